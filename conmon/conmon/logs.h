/* All log drivers of a container behind one door: policy first, then every driver.
 *
 * Streams are numbered 0 = stdout and 1 = stderr.
 */
#ifndef CONMON_LOGS_H
#define CONMON_LOGS_H

#include "conmon/diag.h"
#include "conmon/journald.h"
#include "conmon/logfile.h"
#include "conmon/loop.h"
#include "conmon/policy.h"

struct log_counters {
    uint64_t lines, bytes;
    uint64_t dropped_lines, dropped_bytes;
    uint64_t gaps;
    uint64_t blocked_ns;
};

struct logs {
    bool passthrough;
    struct logfile file;
    struct journald journald;
    struct policy policies[2];
    struct log_counters counters[2];
    bool inside_line[2];
    struct timestamp stamp;
    struct diag *diag;
    struct loop *loop;
    int counters_dir;          /* owned; where the counters file is, AT_FDCWD for the working directory */
    const char *counters_path; /* NULL: no counters file */
    bool counters_stale;
};

/* Buffers that the drivers borrow: untouched memory costs nothing. */
struct log_buffers {
    char *file;    /* LOGFILE_BUFFER_BYTES; holds nothing between two calls */
    char *partial; /* LOG_PARTIAL_BYTES */
};

#define LOG_PARTIAL_BYTES (2 * (PIECE_BYTES + FRAMING_SLACK))

/* Open all drivers that the options name, in order. False leaves one sentence in `error`. */
bool logs_open(struct logs *logs, const struct options *options, const struct log_buffers *buffers, struct diag *diag,
               struct text *error);

/* Log `length` bytes of a stream; the buffer has FRAMING_SLACK bytes of room behind them. Without `flush` an unfinished
 * line at the end is left; returns how many bytes at the end were not taken. */
size_t logs_write(struct logs *logs, unsigned int stream, const char *data, size_t length, bool flush);

/* How long the policy wants the stream not to be read; 0 = read on. */
int64_t logs_wait_ns(struct logs *logs, unsigned int stream);

/* How much to read at once: little when the policy may have to stop the stream in the middle. */
size_t logs_read_limit(const struct logs *logs, unsigned int stream);

/* Change the policy of stdout (0), stderr (1); false when the text is none. */
bool logs_set_policy(struct logs *logs, unsigned int stream, const char *text);

void logs_reopen(struct logs *logs);

/* Write the counters file, if there is one. */
void logs_write_counters(struct logs *logs);

/* The end: unfinished lines, open gaps and counters go out. */
void logs_finish(struct logs *logs);

void logs_sync(struct logs *logs);

#endif
