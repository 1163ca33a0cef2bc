/*
 * pause: PID 1 of a pod that shares its process namespace.
 *
 * It owns the namespaces, reaps what is re-parented to it, and leaves on TERM or INT. It is not a supervisor: it starts
 * nothing, logs nothing and forwards no signal.
 *
 * All signals are blocked before anything else. PID 1 of a namespace ignores signals with default action, but a blocked one
 * stays pending, so a TERM that arrives before the wait loop starts is not lost.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "version.h"

/* Collects every child that has ended; children still running are left alone. */
static void reap_nowait(void)
{
    pid_t pid;

    do {
        pid = waitpid(-1, NULL, WNOHANG);
    } while (pid > 0 || (pid < 0 && errno == EINTR));
}

/* Waits for the next signal of `set`, riding out interruptions by ptrace or a freezer. */
static int wait_signal(const sigset_t *set)
{
    int number;

    do {
        number = sigwaitinfo(set, NULL);
    } while (number < 0 && errno == EINTR);
    return number;
}

static int say(int fd, const char *text)
{
    size_t length = strlen(text);

    return write(fd, text, length) == (ssize_t)length ? 0 : 1;
}

int main(int argc, char **argv)
{
    sigset_t all;
    sigset_t waited;

    sigfillset(&all);
    if (sigprocmask(SIG_BLOCK, &all, NULL) < 0)
        return 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-v") == 0)
            return say(STDOUT_FILENO, "pause version " CRIO_VERSION "\ncommit: " CRIO_COMMIT "\n");
    }
    sigemptyset(&waited);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGINT);
    sigaddset(&waited, SIGCHLD);
    for (;;) {
        /* Reap first: a child may have ended before SIGCHLD was blocked by us. */
        reap_nowait();
        switch (wait_signal(&waited)) {
        case SIGTERM:
        case SIGINT:
            return 0;
        case SIGCHLD:
            break;
        default:
            say(STDERR_FILENO, "pause: waiting for a signal failed\n");
            return 1;
        }
    }
}
