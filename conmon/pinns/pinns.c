/*
 * pinns: makes namespaces and pins them to files, so that a pod has them before (and without) any process of its own.
 *
 * Without a user or mount namespace everything happens in this process: unshare, configure, bind. With one, a child
 * makes the namespaces, because a process in another user or mount namespace could no longer mount on the host; the
 * parent writes the id maps and binds the child's namespace files, then the child is killed. Either all pins exist
 * at the end, or none of those made by this run.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/signals.h"
#include "pinns.h"
#include "version.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

const struct ns_info ns_table[NS_COUNT] = {
    [NS_USER] = {"user", CLONE_NEWUSER}, [NS_MNT] = {"mnt", CLONE_NEWNS}, [NS_CGROUP] = {"cgroup", CLONE_NEWCGROUP},
    [NS_UTS] = {"uts", CLONE_NEWUTS},    [NS_IPC] = {"ipc", CLONE_NEWIPC}, [NS_NET] = {"net", CLONE_NEWNET},
};

int complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "pinns: %s\n", text);
    return -1;
}

int fail(const char *format, ...)
{
    int error = errno;
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return complain("%s: %s", text, strerror(error));
}

/* Pins every namespace of mode `mode` as seen by `pid`; takes its own pins back on failure. */
static int pin_all(const struct pinns_options *options, enum ns_mode mode, pid_t pid)
{
    for (int kind = 0; kind < NS_COUNT; kind++) {
        if (options->mode[kind] != mode || pin_bind(options, (enum ns_kind)kind, pid) == 0)
            continue;
        while (--kind >= 0) {
            if (options->mode[kind] == mode)
                pin_undo(options, (enum ns_kind)kind);
        }
        return -1;
    }
    return 0;
}

static void undo_host(const struct pinns_options *options)
{
    for (int kind = 0; kind < NS_COUNT; kind++) {
        if (options->mode[kind] == NS_HOST)
            pin_undo(options, (enum ns_kind)kind);
    }
}

/* One byte says "your turn"; end of file says that the other side is gone. */
static int send_turn(int fd)
{
    return send(fd, "!", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int wait_turn(int fd)
{
    char byte;
    ssize_t got;

    do {
        got = read(fd, &byte, 1);
    } while (got < 0 && errno == EINTR);
    return got == 1 ? 0 : -1;
}

/* Becomes root of the new user namespace, as which the other namespaces are made and configured. */
static int become_root(void)
{
    if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return fail("user namespace: id 0 cannot be taken (is it mapped?)");
    return 0;
}

static int child_main(const struct pinns_options *options, int turn_fd)
{
    bool user = options->mode[NS_USER] == NS_NEW;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return 1;
    if (user && unshare(CLONE_NEWUSER) < 0) {
        fail("user namespace: cannot be created");
        return 1;
    }
    if (send_turn(turn_fd) < 0 || wait_turn(turn_fd) < 0)
        return 1;
    if (user && become_root() < 0)
        return 1;
    if (inside_unshare(options) < 0 || inside_configure(options) < 0)
        return 1;
    /* Changing ids made this process undumpable; its namespace files stay readable to the privileged parent. */
    if (send_turn(turn_fd) < 0)
        return 1;
    wait_turn(turn_fd); /* until the parent kills it or is gone */
    return 0;
}

static int write_map(pid_t pid, const char *kind, const char *text)
{
    char path[64];
    size_t length = strlen(text);
    int fd, status = 0;

    snprintf(path, sizeof path, "/proc/%d/%s_map", (int)pid, kind);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return fail("user namespace: %s cannot be opened", path);
    if (write(fd, text, length) != (ssize_t)length)
        status = fail("user namespace: the %s mapping is refused", kind);
    close(fd);
    return status;
}

static int parent_main(const struct pinns_options *options, pid_t child, int turn_fd)
{
    if (wait_turn(turn_fd) < 0)
        return -1; /* the child has said why */
    if (options->mode[NS_USER] == NS_NEW &&
        (write_map(child, "uid", options->uid_map) < 0 || write_map(child, "gid", options->gid_map) < 0))
        return -1;
    if (send_turn(turn_fd) < 0 || wait_turn(turn_fd) < 0)
        return -1;
    return pin_all(options, NS_NEW, child);
}

static int run_with_child(const struct pinns_options *options)
{
    int turn_fds[2];
    int status;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, turn_fds) < 0)
        return fail("no socket pair");
    child = fork();
    if (child < 0)
        return fail("no child process");
    if (child == 0) {
        close(turn_fds[0]);
        _exit(child_main(options, turn_fds[1]));
    }
    close(turn_fds[1]);
    status = parent_main(options, child, turn_fds[0]);
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    close(turn_fds[0]);
    return status;
}

static int run_in_process(const struct pinns_options *options)
{
    if (inside_unshare(options) < 0 || inside_configure(options) < 0)
        return -1;
    return pin_all(options, NS_NEW, getpid());
}

static int run(const struct pinns_options *options)
{
    int status;

    /* Nothing inherited reaches the namespaces' life; 0 to 2 stay. */
    syscall(SYS_close_range, 3U, ~0U, 0U);
    if (pin_all(options, NS_HOST, getpid()) < 0)
        return -1;
    if (options->mode[NS_USER] == NS_NEW || options->mode[NS_MNT] == NS_NEW)
        status = run_with_child(options);
    else
        status = run_in_process(options);
    if (status < 0)
        undo_host(options);
    return status;
}

int main(int argc, char **argv)
{
    struct pinns_options options = {0};
    char **sysctls = calloc((size_t)argc + 1, sizeof *sysctls);

    /* An ignored SIGCHLD would hide the ends of the children. */
    signals_default();
    if (!sysctls || options_parse(argc, argv, sysctls, &options) < 0)
        return 1;
    if (options.show_help) {
        options_usage(STDOUT_FILENO);
        return 0;
    }
    if (options.show_version) {
        dprintf(STDOUT_FILENO, "pinns version " CRIO_VERSION "\ncommit: " CRIO_COMMIT "\n");
        return 0;
    }
    return run(&options) < 0 ? 1 : 0;
}
