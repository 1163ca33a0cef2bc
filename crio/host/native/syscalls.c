/* System calls that Python has no wrapper for. Straight calls, -errno on failure, no state. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "native.h"

struct how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

struct attr {
    uint64_t attr_set;
    uint64_t attr_clr;
    uint64_t propagation;
    uint64_t userns_fd;
};

static int result(long value) {
    return value < 0 ? -errno : (int)value;
}

static const char *or_null(const char *text) {
    return text != NULL && text[0] != '\0' ? text : NULL;
}

int crio_mount(const char *source, const char *target, const char *fstype, unsigned long flags, const char *data) {
    return result(mount(or_null(source), target, or_null(fstype), flags, or_null(data)));
}

int crio_umount2(const char *target, int flags) {
    return result(umount2(target, flags));
}

int crio_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct how how = { .flags = flags, .mode = mode, .resolve = resolve };
    return result(syscall(437, dir_fd, path, &how, sizeof how));
}

int crio_syncfs(int fd) {
    return result(syncfs(fd));
}

int crio_prctl(int option, unsigned long arg2, unsigned long arg3) {
    return result(prctl(option, arg2, arg3, 0, 0));
}

int64_t crio_fs_type(const char *path) {
    struct statfs info;
    if (statfs(path, &info) < 0)
        return -errno;
    return (int64_t)info.f_type;
}

int crio_open_tree(int dir_fd, const char *path, unsigned int flags) {
    return result(syscall(428, dir_fd, path, flags));
}

int crio_move_mount(int from_fd, const char *from_path, int to_fd, const char *to_path, unsigned int flags) {
    return result(syscall(429, from_fd, from_path, to_fd, to_path, flags));
}

int crio_fsopen(const char *fstype, unsigned int flags) {
    return result(syscall(430, fstype, flags));
}

int crio_fsconfig(int fd, unsigned int command, const char *key, const char *value, int aux) {
    return result(syscall(431, fd, command, or_null(key), or_null(value), aux));
}

int crio_fsmount(int fd, unsigned int flags, unsigned int attr_flags) {
    return result(syscall(432, fd, flags, attr_flags));
}

int crio_mount_setattr(int dir_fd, const char *path, unsigned int flags, uint64_t attr_set, uint64_t attr_clr,
                       uint64_t propagation, int userns_fd) {
    struct attr attr = { attr_set, attr_clr, propagation, (uint64_t)(userns_fd < 0 ? 0 : userns_fd) };
    return result(syscall(442, dir_fd, path, flags, &attr, sizeof attr));
}

int crio_renameat2(int old_fd, const char *old_path, int new_fd, const char *new_path, unsigned int flags) {
    return result(syscall(SYS_renameat2, old_fd, old_path, new_fd, new_path, flags));
}

int crio_quotactl_fd(int fd, unsigned int command, int id, void *value) {
    return result(syscall(443, fd, command, id, value));
}

int crio_inotify_init(void) {
    return result(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

int crio_inotify_add(int fd, const char *path, uint32_t mask) {
    return result(inotify_add_watch(fd, path, mask));
}

int crio_inotify_remove(int fd, int watch) {
    return result(inotify_rm_watch(fd, watch));
}
