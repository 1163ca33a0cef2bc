/* Exchanging the log file: see logrotate.h. */
#include "conmon/logrotate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/text.h"

#define LOG_MODE 0640

/* A new, empty file called PATH + suffix. A stale one is removed first, so that a link there is never followed. */
static int create_beside(const char *path, const char *suffix, char *name, size_t capacity)
{
    struct text text = text_over(name, capacity);
    int fd;

    text_join(&text, path, suffix, NULL);
    if (text.cut) {
        return -ENAMETOOLONG;
    }
    (void)unlink(name);
    fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, LOG_MODE);
    return fd < 0 ? -errno : fd;
}

int logrotate_replace(const struct logfile *file)
{
    char name[PATH_MAX];
    AUTO_FD int fd = create_beside(file->path, ".tmp", name, sizeof(name));

    if (fd < 0) {
        return fd;
    }
    if (rename(name, file->path) != 0) {
        int error = -errno;

        (void)unlink(name);
        return error;
    }
    return fd_steal(&fd);
}

static int backup_name(const char *path, int number, char *name, size_t capacity)
{
    struct text text = text_over(name, capacity);

    text_join(&text, path, number > 0 ? "." : "", NULL);
    if (number > 0) {
        text_signed(&text, number);
    }
    return text.cut ? -ENAMETOOLONG : 0;
}

/* PATH.(n-1) -> PATH.n ... PATH -> PATH.1; the oldest is overwritten. */
static int shift_backups(const char *path, int max_files)
{
    char from[PATH_MAX], to[PATH_MAX];

    for (int number = max_files; number > 0; number--) {
        if (backup_name(path, number - 1, from, sizeof(from)) < 0 || backup_name(path, number, to, sizeof(to)) < 0) {
            return -ENAMETOOLONG;
        }
        if (rename(from, to) != 0 && errno != ENOENT) {
            return -errno;
        }
    }
    return 0;
}

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    while (length > 1 && directory[length - 1] == '/') {
        length--;
    }
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || directory[length - 1] == '/');
}

static bool is_allowed(const struct logfile *file)
{
    const struct words *list = file->limits.allowlist;

    if (list == NULL || list->count == 0) {
        return true;
    }
    if (strstr(file->path, "/../") != NULL) {
        return false;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (is_below(file->path, list->at[i])) {
            return true;
        }
    }
    return false;
}

int logrotate_shift(const struct logfile *file)
{
    struct stat ours, there;
    bool still_ours;
    int error;

    if (!is_allowed(file)) {
        return -EPERM;
    }
    still_ours = fstat(file->fd, &ours) == 0 && lstat(file->path, &there) == 0 && S_ISREG(there.st_mode) &&
                 ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
    if (still_ours) {
        error = shift_backups(file->path, file->limits.max_files);
        if (error < 0) {
            return error;
        }
    }
    return logrotate_replace(file);
}
