/* Reads and writes that survive EINTR and short counts: see io.h. */
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/fd.h"

ssize_t io_read(int fd, void *data, size_t capacity)
{
    for (;;) {
        ssize_t got = read(fd, data, capacity);

        if (got >= 0) {
            return got;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

int io_write_all(int fd, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0) {
        ssize_t put = write(fd, at, length);

        if (put >= 0) {
            at += put;
            length -= (size_t)put;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};

            (void)poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

ssize_t io_read_file(int dir_fd, const char *path, char *data, size_t capacity)
{
    AUTO_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;

    if (fd < 0) {
        return -errno;
    }
    while (length + 1 < capacity) {
        ssize_t got = io_read(fd, data + length, capacity - 1 - length);

        if (got < 0) {
            return got;
        }
        if (got == 0) {
            break;
        }
        length += (size_t)got;
    }
    data[length] = '\0';
    return (ssize_t)length;
}

/* Appends ".XXXXXX" with six random letters to `path`. */
static int temporary_name(const char *path, char *name, size_t capacity)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[6];
    size_t length = strlen(path);

    if (length + sizeof(random) + 2 > capacity) {
        return -ENAMETOOLONG;
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return -EIO;
    }
    memcpy(name, path, length);
    name[length++] = '.';
    for (size_t i = 0; i < sizeof(random); i++) {
        name[length++] = letters[random[i] & 31];
    }
    name[length] = '\0';
    return 0;
}

int io_write_file_atomic(int dir_fd, const char *path, const void *data, size_t length, mode_t mode)
{
    char name[PATH_MAX];
    int error = temporary_name(path, name, sizeof(name));
    int fd;

    if (error < 0) {
        return error;
    }
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return -errno;
    }
    error = io_write_all(fd, data, length);
    (void)fd_close(fd);
    if (error == 0 && renameat(dir_fd, name, dir_fd, path) != 0) {
        error = -errno;
    }
    if (error < 0) {
        (void)unlinkat(dir_fd, name, 0);
    }
    return error;
}
