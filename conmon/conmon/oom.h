/* Noticing that the kernel killed the container for lack of memory.
 *
 * cgroup v1: an eventfd registered with memory.oom_control; an event of a cgroup that is being removed is none. v2:
 * inotify on memory.events, read at each event and once more at the end. An OOM leaves an empty file `oom` in the persist
 * directory and in the bundle, before any exit file exists.
 */
#ifndef CONMON_OOM_H
#define CONMON_OOM_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "conmon/bundle.h"
#include "conmon/cgroup_text.h"
#include "conmon/diag.h"
#include "conmon/loop.h"

struct oom {
    int event_fd;  /* owned: eventfd (v1) or inotify (v2); -1: not watching */
    int memory_fd; /* owned: memory.oom_control (v1), cgroup directory (v2) */
    bool is_v2;
    bool seen;
    struct memory_events last;
    struct watch watch;
    struct loop *loop;
    struct diag *diag;
    const struct bundle *bundle;
    const char *persist_dir;
    char control_path[PATH_MAX]; /* v1: cgroup.event_control */
};

/* Watch the cgroup of `pid`. Failures are warnings: the container runs without. */
void oom_watch(struct oom *oom, pid_t pid);

/* The last look, when the process has ended. */
void oom_check_last(struct oom *oom);

#endif
