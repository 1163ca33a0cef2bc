/* The container's process: see children.h. */
#include "conmon/children.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/syscalls.h"

#define FOREIGN_RETRY_NS 50000000LL
#define FOREIGN_LIMIT_NS 5000000000LL

/* The kernel's struct pidfd_info, first version. */
struct process_info {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t ids[11];
    int32_t exit_code;
};

#define PROCESS_INFO_EXIT (1ULL << 3)
#define PROCESS_GET_INFO _IOWR(0xFF, 11, struct process_info)

int exit_status(int wait_status)
{
    if (WIFEXITED(wait_status)) {
        return WEXITSTATUS(wait_status);
    }
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : -1;
}

static void set_ended(struct children *children, int status)
{
    children->ended = true;
    children->status = status;
    loop_forget(children->loop, &children->watch);
    loop_clear_timer(children->loop, TIMER_FOREIGN);
}

static bool has_exited(const struct children *children)
{
    if (children->pid_fd >= 0) {
        return sys_pidfd_send_signal(children->pid_fd, 0) != 0 && errno == ESRCH;
    }
    return kill(children->pid, 0) != 0 && errno == ESRCH;
}

/* The process is not our child: ask the pidfd. Its real parent may take a moment to reap it, and only then the status
 * is there. `exited` tells that the pidfd has announced the end. */
static void check_foreign(struct children *children, bool exited)
{
    struct process_info info = {.mask = PROCESS_INFO_EXIT};
    int64_t now_ns = monotonic_ns();
    bool supported = children->pid_fd >= 0 && ioctl(children->pid_fd, PROCESS_GET_INFO, &info) == 0;

    if (supported && (info.mask & PROCESS_INFO_EXIT) != 0) {
        set_ended(children, exit_status(info.exit_code));
        return;
    }
    if (!exited && !has_exited(children)) {
        return;
    }
    if (children->foreign_until_ns == 0) {
        children->foreign_until_ns = now_ns + FOREIGN_LIMIT_NS;
    }
    if (!supported || now_ns >= children->foreign_until_ns) {
        set_ended(children, -1);
        return;
    }
    loop_set_timer(children->loop, TIMER_FOREIGN, now_ns + FOREIGN_RETRY_NS);
}

/* Look at the container's process itself. */
static void check_process(struct children *children, bool exited)
{
    int status = 0;
    pid_t got = waitpid(children->pid, &status, WNOHANG);

    if (got == children->pid) {
        set_ended(children, exit_status(status));
    } else if (got < 0 && errno == ECHILD) {
        check_foreign(children, exited);
    }
}

static void on_pid_fd(void *owner, uint32_t events)
{
    struct children *children = owner;

    (void)events;
    if (!children->ended) {
        check_process(children, true);
    }
}

static void on_foreign_due(void *owner)
{
    struct children *children = owner;

    if (!children->ended) {
        check_process(children, true);
    }
}

void children_watch(struct children *children, pid_t pid)
{
    children->pid = pid;
    children->watch = (struct watch){.fd = -1, .order = ORDER_EXIT, .on_ready = on_pid_fd, .owner = children};
    children->loop->timers[TIMER_FOREIGN] = (struct timer){.due_ns = 0, .on_due = on_foreign_due, .owner = children};
    children->pid_fd = sys_pidfd_open(pid, 0);
    if (children->pid_fd >= 0) {
        (void)loop_watch(children->loop, &children->watch, children->pid_fd, EPOLLIN);
    }
    check_process(children, false);
}

void children_reap(struct children *children)
{
    int status = 0;
    pid_t got;

    while ((got = waitpid(-1, &status, WNOHANG)) > 0) {
        if (got == children->pid && !children->ended) {
            set_ended(children, exit_status(status));
        }
    }
    if (!children->ended) {
        check_process(children, false);
    }
}

bool children_signal(const struct children *children, int number)
{
    if (children->pid_fd >= 0) {
        return sys_pidfd_send_signal(children->pid_fd, number) == 0;
    }
    return !children->ended && kill(children->pid, number) == 0;
}

void children_kill_group(const struct children *children)
{
    pid_t group;

    if (children->ended || !children_signal(children, 0)) {
        return;
    }
    group = getpgid(children->pid);
    if (group > 1 && group != getpgrp()) {
        (void)kill(-group, SIGKILL);
    }
    (void)children_signal(children, SIGKILL);
}
