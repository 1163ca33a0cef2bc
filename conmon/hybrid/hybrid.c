/*
 * runtime-hybrid: run an OCI runtime that refuses hosts with both cgroup versions mounted.
 *
 *   runtime-hybrid --hybrid=CGROUP2_MOUNT:RUNTIME ARGUMENT...
 *
 * becomes RUNTIME ARGUMENT... in a mount namespace of its own in which CGROUP2_MOUNT/cgroup.controllers reads as empty, so that
 * the runtime sees a host of cgroup v1 with an unused v2 mount, which it supports. The option may stand anywhere before the
 * runtime's own words end, because a monitor may put options of its own in front. Only the v2 mount is made private in the
 * copy: all others keep their peers, so a container's mount propagation is what it would be without this program.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define OPTION "--hybrid="

static int fail(const char *what, const char *path)
{
    fprintf(stderr, "runtime-hybrid: %s %s: %s\n", what, path, strerror(errno));
    return 125;
}

/* Takes the option out of argv; returns its value, or NULL. */
static char *take_option(char **argv)
{
    for (char **word = argv + 1; *word != NULL; word++) {
        if (strncmp(*word, OPTION, strlen(OPTION)) != 0)
            continue;
        char *value = *word + strlen(OPTION);
        for (; *word != NULL; word++)
            word[0] = word[1];
        return value;
    }
    return NULL;
}

static int hide_controllers(const char *cgroup2)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/cgroup.controllers", cgroup2);
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        return fail("cannot use", cgroup2);
    }
    if (unshare(CLONE_NEWNS) != 0)
        return fail("cannot make a mount namespace for", cgroup2);
    if (mount(NULL, cgroup2, NULL, MS_PRIVATE, NULL) != 0)
        return fail("cannot make private", cgroup2);
    if (mount("/dev/null", path, NULL, MS_BIND, NULL) != 0)
        return fail("cannot cover", path);
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    char *cgroup2 = take_option(argv);
    char *runtime = cgroup2 != NULL ? strchr(cgroup2, ':') : NULL;
    if (runtime == NULL || runtime[1] != '/' || cgroup2[0] != '/') {
        fprintf(stderr, "usage: runtime-hybrid --hybrid=CGROUP2_MOUNT:RUNTIME ARGUMENT...\n");
        return 125;
    }
    *runtime++ = '\0';
    int failed = hide_controllers(cgroup2);
    if (failed != 0)
        return failed;
    argv[0] = runtime;
    execv(runtime, argv);
    return fail("cannot execute", runtime);
}
