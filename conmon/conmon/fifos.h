/* The fifos `ctl` and `winsz` in the bundle. The monitor holds each open for reading and writing, so that a caller's
 * non-blocking open always finds a reader and its leaving is never seen as an end of file. */
#ifndef CONMON_FIFOS_H
#define CONMON_FIFOS_H

#include "conmon/console.h"
#include "conmon/ctl.h"
#include "conmon/diag.h"
#include "conmon/logs.h"
#include "conmon/loop.h"

struct fifo {
    int fd; /* owned */
    struct line_buffer lines;
    struct watch watch;
    struct fifos *fifos;
};

struct fifos {
    struct fifo ctl, winsz;
    struct console *console;
    struct logs *logs;
    struct loop *loop;
    struct diag *diag;
};

/* Create and watch both below `dir_fd`. Returns 0 or a negative errno. */
int fifos_open(struct fifos *fifos, int dir_fd);

#endif
