/* The k8s log file: batching, limits, reopening, rotation, and what to do when the disk says no.
 *
 * Records are gathered in one buffer and written with one write(2). A write error never stops anything: the records are
 * counted as lost, the file is cut back to the last whole record (or the next record starts on a fresh line), and when
 * writing works again a marker line tells how much is missing.
 *
 * Replacing the file always makes a new directory entry at PATH by rename, because readers wait for exactly that. With
 * rotation the old file becomes PATH.1, PATH.1 becomes PATH.2, and so on; if somebody has moved the file away already,
 * only a new one is opened.
 */
#ifndef CONMON_LOGFILE_H
#define CONMON_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conmon/diag.h"
#include "conmon/framing.h"

#define LOGFILE_BUFFER (256 * 1024)

struct logfile_limits {
    int64_t size_max;   /* <= 0: none */
    int64_t global_max; /* <= 0: none */
    bool rotate;
    int max_files;
    const struct words *allowlist;
};

struct logfile {
    int fd; /* -1: no such driver */
    const char *path;
    struct logfile_limits limits;
    struct diag *diag;
    int64_t size;  /* of the present file */
    int64_t total; /* ever, the size at start included */
    size_t used;   /* bytes gathered in `buffer` */
    size_t gathered_records;
    bool fresh_line_needed;
    int write_error; /* of the episode that is running, 0: none */
    uint64_t lost_records, lost_bytes;
    uint64_t all_lost_records, all_lost_bytes;
    char *buffer; /* LOGFILE_BUFFER + FRAMING_SLACK + one record, borrowed */
};

#define LOGFILE_BUFFER_BYTES (LOGFILE_BUFFER + RECORD_PREFIX + PIECE_BYTES + 2 * FRAMING_SLACK)

/* Open or create the file, appending. Returns 0 or a negative errno. */
int logfile_open(struct logfile *file, const char *path, const struct logfile_limits *limits, struct diag *diag,
                 char *buffer);

/* Gather one record; flushes and replaces the file as the limits demand. */
void logfile_add(struct logfile *file, const struct record_prefix *prefix, const struct piece *piece);

/* Write what is gathered. */
void logfile_flush(struct logfile *file);

/* The caller's request to reopen. */
/* Add the whole lines at `*at`, as far as they come before anything else, and move it behind them; returns how many. Only
 * for a file without limits. */
uint64_t logfile_add_lines(struct logfile *file, const struct record_prefix *prefix, const char **at, const char *end);

static inline bool logfile_has_limits(const struct logfile *file)
{
    return file->limits.size_max > 0 || file->limits.global_max > 0;
}

void logfile_reopen(struct logfile *file);

void logfile_sync(struct logfile *file);

#endif
