/* An OCI runtime that costs next to nothing, for tests and measurements of the monitor where speed matters.
 *
 * `create`, `restore` and `exec` start FAKE_SCRIPT with /bin/sh (default: a process that only sleeps) on the inherited
 * descriptors, write its pid to --pid-file and leave. With FAKE_CGROUP it moves to that cgroup first (a cgroup.procs
 * file). FAKE_ARGV0 to FAKE_ARGV7 name a program and its arguments instead of a script.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *option(char **argv, const char *name)
{
    for (; argv[0] != NULL && argv[1] != NULL; argv++) {
        if (strcmp(argv[0], name) == 0) {
            return argv[1];
        }
    }
    return NULL;
}

static void enter_cgroup(const char *procs)
{
    int fd = procs != NULL ? open(procs, O_WRONLY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        (void)!write(fd, "0", 1);
        close(fd);
    }
}

static void become_container(void)
{
    char *program[9] = {NULL};
    char name[] = "FAKE_ARGV0";

    (void)setsid();
    for (int i = 0; i < 8; i++) {
        name[sizeof(name) - 2] = (char)('0' + i);
        program[i] = getenv(name);
        if (program[i] == NULL) {
            break;
        }
    }
    if (program[0] != NULL) {
        execv(program[0], program);
    } else if (getenv("FAKE_SCRIPT") != NULL) {
        execl("/bin/sh", "sh", "-c", getenv("FAKE_SCRIPT"), (char *)NULL);
    } else {
        for (;;) {
            pause();
        }
    }
    _exit(127);
}

int main(int argc, char **argv)
{
    const char *path = option(argv, "--pid-file");
    FILE *file;
    pid_t pid;

    (void)argc;
    enter_cgroup(getenv("FAKE_CGROUP"));
    pid = fork();
    if (pid == 0) {
        become_container();
    }
    if (pid < 0 || path == NULL || (file = fopen(path, "w")) == NULL) {
        return 1;
    }
    (void)fprintf(file, "%d", (int)pid);
    return fclose(file) == 0 ? 0 : 1;
}
