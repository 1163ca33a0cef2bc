/* Record timestamps: local time with nine digits and a numeric offset, always 35 characters.
 *
 * The text of the current second and the zone's offset are cached: the offset is asked for once per quarter of an
 * hour, because zone changes happen on such boundaries, and only the nanoseconds change from one read to the next.
 */
#ifndef CONMON_TIMESTAMP_H
#define CONMON_TIMESTAMP_H

#include <stdint.h>
#include <time.h>

#define TIMESTAMP_BYTES 35

struct timestamp {
    int64_t second;      /* whose text is cached */
    int64_t offset_from; /* quarter of an hour for which the offset holds */
    int32_t offset_s;
    char text[TIMESTAMP_BYTES + 1]; /* empty at first */
};

/* Make `stamp->text` show `now`, with the process's time zone. */
void timestamp_set(struct timestamp *stamp, const struct timespec *now);

/* The same with a given offset from UTC. Pure. */
void timestamp_set_at(struct timestamp *stamp, const struct timespec *now, int32_t offset_s);

#endif
