/* The kernel's cgroup files, as text. Pure. */
#ifndef CONMON_CGROUP_TEXT_H
#define CONMON_CGROUP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Find a process's path in the text of /proc/PID/cgroup: of the named v1 controller, or of v2 when `controller` is
 * NULL. `*path` is borrowed from the text and not terminated. False when there is none. */
bool cgroup_find_path(const char *text, const char *controller, const char **path, size_t *length);

struct memory_events {
    uint64_t oom;
    uint64_t oom_kill;
};

/* Read the two counters of memory.events; absent ones are 0. */
struct memory_events memory_events_parse(const char *text);

#endif
