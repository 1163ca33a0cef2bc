/* The container's standard input as seen from the attach clients: a pipe, a terminal, or nowhere.
 *
 * Writing never blocks. A pipe whose reader is gone is closed for good and everything further is discarded. Before a
 * terminal has arrived nothing is taken, so that typed-ahead input waits in the clients' sockets.
 */
#ifndef CONMON_STDIN_TARGET_H
#define CONMON_STDIN_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "conmon/loop.h"

enum stdin_state {
    STDIN_DISCARD, /* nobody reads: take and forget */
    STDIN_AWAITED, /* the terminal is not here yet: take nothing */
    STDIN_OPEN
};

struct stdin_target {
    enum stdin_state state;
    bool is_terminal;
    bool writable;
    int fd; /* owned */
    struct watch watch;
    struct loop *loop;
};

/* Use the write end of a pipe or a terminal; `fd` is taken. Returns 0 or a negative errno. */
int stdin_open(struct stdin_target *target, struct loop *loop, int fd, bool is_terminal);

/* Bytes taken of `data` (all of them when discarding), 0 when nothing can be taken now. */
size_t stdin_take(struct stdin_target *target, const char *data, size_t length);

/* True when stdin_take may take something. */
bool stdin_is_ready(const struct stdin_target *target);

/* Close it; what comes later is discarded. */
void stdin_close(struct stdin_target *target);

#endif
