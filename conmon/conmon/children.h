/* The container's process: watched through a pidfd, whether it is our child or not.
 *
 * While the runtime is at work no unknown child is reaped, so the process's status cannot get lost before its pid is
 * known. A process that is not our child is asked for its status through the pidfd (recent kernels keep it until the
 * descriptor is closed); when nobody can tell, the status is -1, never 0.
 */
#ifndef CONMON_CHILDREN_H
#define CONMON_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

#include "conmon/loop.h"

struct children {
    pid_t pid;  /* of the container's process; 0: not known yet */
    int pid_fd; /* owned; -1: none */
    bool ended;
    int status; /* exit code, 128 + signal, or -1; valid when ended */
    int64_t foreign_until_ns;
    struct watch watch;
    struct loop *loop;
};

/* Exit code or 128 + signal of a wait status. */
int exit_status(int wait_status);

/* Begin to watch `pid`. */
void children_watch(struct children *children, pid_t pid);

/* Reap what has ended; notices the end of the container's process. */
void children_reap(struct children *children);

/* Send a signal to the process; false when it is gone. */
bool children_signal(const struct children *children, int number);

/* Kill the process and its process group. */
void children_kill_group(const struct children *children);

#endif
