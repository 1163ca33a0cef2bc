/* The pins: bind mounts of namespace files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "pinns.h"

enum { NSFS_MAGIC = 0x6e736673 };

struct pin_paths {
    char directory[PATH_MAX];
    char pin[PATH_MAX];
    char source[64];
};

static int build_paths(const struct pinns_options *options, enum ns_kind kind, pid_t pid, struct pin_paths *out)
{
    const char *name = ns_table[kind].name;
    int directory = snprintf(out->directory, sizeof out->directory, "%s/%sns", options->directory, name);
    int pin = snprintf(out->pin, sizeof out->pin, "%s/%sns/%s", options->directory, name, options->filename);

    if (directory >= (int)sizeof out->directory || pin >= (int)sizeof out->pin)
        return complain("%s namespace: the path of the pin is too long", name);
    snprintf(out->source, sizeof out->source, "/proc/%d/ns/%s", (int)pid, name);
    return 0;
}

/* Makes every missing directory of an absolute path. */
static int make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -1;
        if (!slash)
            return 0;
        *slash = '/';
    }
}

/*
 * A pinned mount namespace that could be copied into itself by a later recursive bind would be a cycle, so the directory
 * of these pins becomes a mount of its own that cannot be bound again.
 */
static int seal_mnt_directory(const char *path)
{
    if (mount(NULL, path, NULL, MS_UNBINDABLE, NULL) == 0)
        return 0; /* a mount point already */
    if (errno != EINVAL)
        return -1;
    if (mount(path, path, NULL, MS_BIND, NULL) < 0)
        return -1;
    return mount(NULL, path, NULL, MS_UNBINDABLE, NULL);
}

/* Whether the namespace at `pin` is the one at `source`. */
static bool same_namespace(const char *pin, const char *source)
{
    struct stat a, b;

    return stat(pin, &a) == 0 && stat(source, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

enum pin_state { PIN_FAILED = -1, PIN_READY = 0, PIN_KEPT = 1 };

/* Makes the mount point. A leftover of an earlier run is unmounted; anything but a plain empty file is refused. */
static enum pin_state prepare_pin(const struct pin_paths *paths, const char *name)
{
    struct statfs filesystem;
    struct stat status;
    int fd = open(paths->pin, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd >= 0) {
        close(fd);
        return PIN_READY;
    }
    if (errno != EEXIST)
        return fail("%s namespace: %s cannot be created", name, paths->pin);
    /* Several mounts may lie on top of each other after repeated runs of other tools. */
    while (lstat(paths->pin, &status) == 0 && S_ISREG(status.st_mode) && statfs(paths->pin, &filesystem) == 0 &&
           filesystem.f_type == NSFS_MAGIC) {
        if (same_namespace(paths->pin, paths->source))
            return PIN_KEPT;
        if (umount2(paths->pin, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return fail("%s namespace: the old pin %s cannot be unmounted", name, paths->pin);
    }
    if (lstat(paths->pin, &status) < 0)
        return fail("%s namespace: %s cannot be examined", name, paths->pin);
    if (!S_ISREG(status.st_mode) || status.st_size != 0)
        return complain("%s namespace: %s exists and is not a pin", name, paths->pin);
    return PIN_READY;
}

int pin_bind(const struct pinns_options *options, enum ns_kind kind, pid_t pid)
{
    const char *name = ns_table[kind].name;
    struct pin_paths paths;
    enum pin_state state;

    if (build_paths(options, kind, pid, &paths) < 0)
        return -1;
    if (make_directories(paths.directory) < 0)
        return fail("%s namespace: %s cannot be created", name, paths.directory);
    if (kind == NS_MNT && seal_mnt_directory(paths.directory) < 0)
        return fail("mnt namespace: %s cannot be made unbindable", paths.directory);
    state = prepare_pin(&paths, name);
    if (state != PIN_READY)
        return state == PIN_KEPT ? 0 : -1;
    if (mount(paths.source, paths.pin, NULL, MS_BIND, NULL) < 0) {
        int status = fail("%s namespace: cannot be bound to %s", name, paths.pin);

        unlink(paths.pin);
        return status;
    }
    return 0;
}

void pin_undo(const struct pinns_options *options, enum ns_kind kind)
{
    struct pin_paths paths;

    if (build_paths(options, kind, getpid(), &paths) < 0)
        return;
    umount2(paths.pin, MNT_DETACH | UMOUNT_NOFOLLOW);
    unlink(paths.pin);
}
