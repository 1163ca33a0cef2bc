/*
 * exec-wait: run an OCI runtime's detached `exec` and wait for the process that it leaves behind.
 *
 *   exec-wait REPORT_FD PID_FILE RUNTIME ARGUMENT...
 *
 * A runtime that waits itself also copies output itself, and then waits for every background child that still holds the pipe;
 * and its exit code cannot be told from the command's. So the runtime runs with `exec --detach --pid-file PID_FILE`: it hands
 * its own standard input, output and error to the new process, ends, and the process becomes a child of this program, which is
 * a child subreaper. What happened is written to REPORT_FD as one line:
 *
 *   runtime N   the runtime failed with exit code N (or 128 + signal); no process was left
 *   exit N      the process ended with exit code N (or 128 + signal)
 *
 * The runtime's own complaints go where its --log option says. The runtime does not inherit REPORT_FD.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/signals.h"

static int report(int fd, const char *what, int code)
{
    char line[64];
    int length = snprintf(line, sizeof line, "%s %d\n", what, code);
    return write(fd, line, (size_t)length) == length ? 0 : 125;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    pid_t found;
    do
        found = waitpid(pid, &status, 0);
    while (found < 0 && errno == EINTR);
    if (found < 0)
        return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The number in the pid file, or -1. */
static pid_t read_pid(const char *path)
{
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return -1;
    text[length] = '\0';
    char *end;
    long pid = strtol(text, &end, 10);
    return (*end == '\0' || *end == '\n') && pid > 0 ? (pid_t)pid : -1;
}

int main(int argc, char **argv)
{
    int report_fd = argc >= 4 ? atoi(argv[1]) : -1;
    if (report_fd <= STDERR_FILENO) {
        fprintf(stderr, "usage: exec-wait REPORT_FD PID_FILE RUNTIME ARGUMENT...\n");
        return 125;
    }
    if (fcntl(report_fd, F_SETFD, FD_CLOEXEC) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        fprintf(stderr, "exec-wait: cannot prepare: %s\n", strerror(errno));
        return 125;
    }
    /* The command in the container must not ignore what somebody before the daemon ignored. */
    signals_default();
    pid_t runtime = vfork();
    if (runtime == 0) {
        execv(argv[3], argv + 3);
        _exit(127);
    }
    if (runtime < 0)
        return report(report_fd, "runtime", 125);
    int code = wait_for(runtime);
    if (code != 0)
        return report(report_fd, "runtime", code < 0 ? 125 : code);
    /* Nothing to read or write any more here: the pipes belong to the process alone. */
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close(fd);
    pid_t process = read_pid(argv[2]);
    code = process > 0 ? wait_for(process) : -1;
    return code < 0 ? report(report_fd, "runtime", 125) : report(report_fd, "exit", code);
}
