/* Messages of the `ctl` and `winsz` fifos. Pure.
 *
 * Lines of words. One read may bring several lines or a piece of one; every fifo has a line buffer of its own. A bad
 * line is skipped and never harms its neighbours; a line longer than the buffer is discarded up to its newline.
 *
 *   1 ROWS COLUMNS          set the terminal's size, each 0..65535
 *   2 ANY ANY               reopen (rotate) the logs
 *   3 STREAM POLICY         change the log policy; STREAM 0 = both, 1 = stdout, 2 = stderr; POLICY as in policy.h
 *   4 ANY ANY               write the counters file now
 */
#ifndef CONMON_CTL_H
#define CONMON_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CTL_LINE_BYTES 256

struct line_buffer {
    char data[CTL_LINE_BYTES];
    size_t length;
    bool discarding;
};

/* The next complete line (NUL-terminated, without newline, inside `buffer`) of the bytes from `*at` to `end`, or NULL
 * when they are used up; `*at` moves on. The line is valid until the next call. */
const char *line_next(struct line_buffer *buffer, const char **at, const char *end);

enum ctl_kind { CTL_BAD, CTL_RESIZE, CTL_REOPEN, CTL_POLICY, CTL_COUNTERS };

struct ctl_message {
    enum ctl_kind kind;
    uint16_t rows, columns;
    unsigned int stream;
    const char *policy; /* borrowed from the line */
};

/* Parse one line of `ctl`. */
struct ctl_message ctl_parse(const char *line);

/* Parse one line of `winsz`: `ROWS COLUMNS`. False when it is none. */
bool winsz_parse(const char *line, uint16_t *rows, uint16_t *columns);

#endif
