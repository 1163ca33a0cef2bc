/* The bundle directory: see bundle.h. */
#include "conmon/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/text.h"

int bundle_open(struct bundle *bundle, const struct options *options)
{
    bundle->path = options->bundle;
    if (bundle->path == NULL) {
        if (options->exec) {
            return 0;
        }
        bundle->path = getcwd(bundle->working_directory, sizeof(bundle->working_directory));
        if (bundle->path == NULL) {
            return -errno;
        }
    }
    bundle->dir_fd = open(bundle->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return bundle->dir_fd < 0 ? -errno : 0;
}

int bundle_link(struct bundle *bundle, const struct options *options)
{
    struct text text = text_over(bundle->link, sizeof(bundle->link));

    if (options->full_attach || bundle->dir_fd < 0 || options->container_uuid == NULL) {
        return 0;
    }
    text_join(&text, options->socket_dir, "/", options->container_uuid, NULL);
    if (text.cut) {
        return -ENAMETOOLONG;
    }
    if (unlink(bundle->link) != 0 && errno != ENOENT) {
        return -errno;
    }
    if (symlink(bundle->path, bundle->link) != 0) {
        return -errno;
    }
    bundle->has_link = true;
    return 0;
}

int bundle_bind(int dir_fd, const char *name, int type, unsigned int mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct text path = text_over(address.sun_path, sizeof(address.sun_path));
    AUTO_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask;
    int error;

    if (fd < 0) {
        return -errno;
    }
    if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
        return -errno;
    }
    text_add(&path, "/proc/self/fd/");
    text_signed(&path, dir_fd);
    text_join(&path, "/", name, NULL);
    if (path.cut) {
        return -ENAMETOOLONG;
    }
    /* The new inode takes the socket's mode, so it never exists with a wider one. */
    if (fchmod(fd, mode) != 0) {
        return -errno;
    }
    mask = umask(0);
    error = bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ? -errno : 0;
    (void)umask(mask);
    return error < 0 ? error : fd_steal(&fd);
}

/* Remove the link only if it is ours: a later monitor may have replaced it. */
static void remove_link(struct bundle *bundle)
{
    char target[PATH_MAX];
    ssize_t length = readlink(bundle->link, target, sizeof(target) - 1);

    if (length > 0 && (size_t)length == strlen(bundle->path) && memcmp(target, bundle->path, (size_t)length) == 0) {
        (void)unlink(bundle->link);
    }
    bundle->has_link = false;
}

void bundle_clean(struct bundle *bundle)
{
    if (bundle->listening) {
        (void)unlinkat(bundle->dir_fd, "attach", 0);
        (void)unlinkat(bundle->dir_fd, "ctl", 0);
        (void)unlinkat(bundle->dir_fd, "winsz", 0);
        bundle->listening = false;
    }
    if (bundle->has_link) {
        remove_link(bundle);
    }
}
