/* Noticing out-of-memory kills: see oom.h. */
#include "conmon/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/text.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_TEXT_BYTES 8192

static void touch(int dir_fd, const char *path)
{
    int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

    (void)fd_close(fd);
}

static void record_oom(struct oom *oom)
{
    char path[PATH_MAX];
    struct text text = text_over(path, sizeof(path));

    if (oom->seen) {
        return;
    }
    oom->seen = true;
    diag_say(oom->diag, LEVEL_INFO, "the container ran out of memory", NULL);
    if (oom->persist_dir != NULL) {
        text_join(&text, oom->persist_dir, "/oom", NULL);
        if (!text.cut) {
            touch(AT_FDCWD, path);
        }
    }
    if (oom->bundle->dir_fd >= 0) {
        touch(oom->bundle->dir_fd, "oom");
    }
}

static void check_v2(struct oom *oom)
{
    char data[1024];
    struct memory_events events;

    if (io_read_file(oom->memory_fd, "memory.events", data, sizeof(data)) < 0) {
        return; /* the cgroup is gone: normal at the end */
    }
    events = memory_events_parse(data);
    if ((events.oom > 0 && events.oom != oom->last.oom) ||
        (events.oom_kill > 0 && events.oom_kill != oom->last.oom_kill)) {
        record_oom(oom);
    }
    oom->last = events;
}

static void on_v2(void *owner, uint32_t events)
{
    struct oom *oom = owner;
    char data[1024];

    (void)events;
    check_v2(oom);
    while (io_read(oom->event_fd, data, sizeof(data)) > 0) {
        /* what changed is known */
    }
}

static void check_v1(struct oom *oom)
{
    /* Look at the cgroup first: its removal raises the event, too. */
    bool exists = access(oom->control_path, F_OK) == 0;
    uint64_t count = 0;

    if (io_read(oom->event_fd, &count, sizeof(count)) == (ssize_t)sizeof(count) && (exists || count != 1)) {
        record_oom(oom);
    }
}

static void on_v1(void *owner, uint32_t events)
{
    (void)events;
    check_v1(owner);
}

static int watch_v1(struct oom *oom, const char *path, size_t length)
{
    char data[PATH_MAX];
    struct text text = text_over(data, sizeof(data));
    AUTO_FD int control_fd = -1;

    text_add(&text, CGROUP_ROOT "/memory");
    text_bytes(&text, path, length);
    text_add(&text, "/memory.oom_control");
    oom->memory_fd = open(data, O_RDONLY | O_CLOEXEC);
    if (text.cut || oom->memory_fd < 0) {
        return -errno;
    }
    text = text_over(oom->control_path, sizeof(oom->control_path));
    text_add(&text, CGROUP_ROOT "/memory");
    text_bytes(&text, path, length);
    text_add(&text, "/cgroup.event_control");
    control_fd = open(oom->control_path, O_WRONLY | O_CLOEXEC);
    oom->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control_fd < 0 || oom->event_fd < 0) {
        return -errno;
    }
    text = text_over(data, sizeof(data));
    text_signed(&text, oom->event_fd);
    text_char(&text, ' ');
    text_signed(&text, oom->memory_fd);
    if (write(control_fd, text.at, text.length) < 0) {
        return -errno;
    }
    oom->watch = (struct watch){.fd = -1, .order = ORDER_OOM, .on_ready = on_v1, .owner = oom};
    return loop_watch(oom->loop, &oom->watch, oom->event_fd, EPOLLIN);
}

static int watch_v2(struct oom *oom, const char *path, size_t length)
{
    char data[PATH_MAX];
    struct text text = text_over(data, sizeof(data));

    oom->is_v2 = true;
    text_add(&text, CGROUP_ROOT);
    text_bytes(&text, path, length);
    oom->memory_fd = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (text.cut || oom->memory_fd < 0) {
        return -errno;
    }
    text_add(&text, "/memory.events");
    oom->event_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (oom->event_fd < 0 || inotify_add_watch(oom->event_fd, data, IN_MODIFY) < 0) {
        return -errno;
    }
    oom->watch = (struct watch){.fd = -1, .order = ORDER_OOM, .on_ready = on_v2, .owner = oom};
    check_v2(oom);
    return loop_watch(oom->loop, &oom->watch, oom->event_fd, EPOLLIN);
}

void oom_watch(struct oom *oom, pid_t pid)
{
    char data[CGROUP_TEXT_BYTES];
    struct text path_text = text_over(data, sizeof(data));
    struct statfs root;
    const char *path;
    size_t length;
    int error = -ENOENT;
    bool is_v2;

    text_add(&path_text, "/proc/");
    text_signed(&path_text, pid);
    text_add(&path_text, "/cgroup");
    if (statfs(CGROUP_ROOT, &root) != 0) {
        return;
    }
    is_v2 = root.f_type == CGROUP2_SUPER_MAGIC;
    if (io_read_file(AT_FDCWD, data, data, sizeof(data)) > 0 &&
        cgroup_find_path(data, is_v2 ? NULL : "memory", &path, &length)) {
        error = is_v2 ? watch_v2(oom, path, length) : watch_v1(oom, path, length);
    }
    if (error < 0) {
        diag_errno(oom->diag, LEVEL_WARNING, error, "watching for", "out-of-memory events");
        oom->event_fd = fd_close(oom->event_fd);
        oom->memory_fd = fd_close(oom->memory_fd);
    }
}

void oom_check_last(struct oom *oom)
{
    if (oom->event_fd < 0) {
        return;
    }
    if (oom->is_v2) {
        check_v2(oom);
    } else {
        check_v1(oom);
    }
}
