/* Reports to the caller on the sync and attach pipes.
 *
 * One JSON object and a newline per message; no write is larger than 4096 bytes, because callers read SEQPACKET sockets
 * with a buffer of that size; never two messages in one write. A caller that is gone (EPIPE) or does not read is not
 * an error: the container has to be supervised all the same.
 */
#ifndef CONMON_REPORT_H
#define CONMON_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report {
    int sync_fd;   /* owned; -1: none */
    int attach_fd; /* owned; -1: none or used up */
    const char *key;
    bool start_is_silent; /* legacy exec reports only the end */
    bool end_is_reported; /* exec reports its end */
    bool failed;          /* -1 was sent: nothing may follow */
};

void report_init(struct report *report, bool api_version, bool exec);

/* The process was started. */
void report_started(struct report *report, int64_t pid);

/* Setup or the runtime failed; also tells the attach pipe if it still waits. */
void report_failure(struct report *report, const char *message, size_t length);

/* Attaching is possible now. */
void report_attachable(struct report *report);

/* The process ended with `status` (-1 unknown), `message` may be NULL. */
void report_ended(struct report *report, int status, const char *message);

void report_close(struct report *report);

#endif
