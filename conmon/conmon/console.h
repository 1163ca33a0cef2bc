/* The terminal: receiving the pty master from the runtime, and its window size.
 *
 * The runtime connects once to the console socket and sends one descriptor. A size that was asked for before that is
 * kept and applied at once when the terminal arrives.
 */
#ifndef CONMON_CONSOLE_H
#define CONMON_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "conmon/diag.h"
#include "conmon/loop.h"

struct console {
    bool wanted;
    int listen_fd;     /* owned; -1: not listening (any more) */
    int connection_fd; /* owned */
    int master_fd;     /* borrowed once it was handed to on_master; -1: not here yet */
    struct watch listen_watch, connection_watch;
    struct loop *loop;
    struct diag *diag;
    uint16_t rows, columns;
    bool size_pending;
    int error; /* negative errno when what came was no terminal */
    char path[108];
    void (*on_master)(void *owner, int master_fd); /* takes the descriptor */
    void *owner;
};

/* Listen on a socket of random name in $TMPDIR, or in /tmp when that is too long or unusable. */
int console_listen(struct console *console);

/* The runtime is done: take a connection that still waits. True when the terminal is here. */
bool console_take_late(struct console *console);

void console_resize(struct console *console, uint16_t rows, uint16_t columns);

/* Stop listening and remove the socket's file. */
void console_stop(struct console *console);

#endif
