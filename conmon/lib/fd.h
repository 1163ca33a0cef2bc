/* File descriptors: ownership helpers.
 *
 * A descriptor variable starts at -1. `fd_close` returns -1 so that closing and forgetting is one statement:
 * `x = fd_close(x);`. `AUTO_FD` closes at the end of the scope unless `fd_steal` took the descriptor out.
 */
#ifndef LIB_FD_H
#define LIB_FD_H

#include <unistd.h>

static inline int fd_close(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static inline void fd_close_at_scope_end(const int *fd)
{
    (void)fd_close(*fd);
}

#define AUTO_FD __attribute__((cleanup(fd_close_at_scope_end)))

/* Take the descriptor out of `*fd`; the caller owns it now. */
static inline int fd_steal(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#endif
