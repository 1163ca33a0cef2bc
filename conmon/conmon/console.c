/* The terminal: see console.h. */
#include "conmon/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/text.h"

#define LATE_MS 200
#define PAYLOAD_BYTES 4096

static int listen_in(struct console *console, const char *directory)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct text path = text_over(address.sun_path, sizeof(address.sun_path));
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    uint8_t random[6];

    if (fd < 0 || getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return fd < 0 ? -errno : -EIO;
    }
    text_join(&path, directory, "/conmon-term.", NULL);
    for (size_t i = 0; i < sizeof(random); i++) {
        text_char(&path, letters[random[i] & 31]);
    }
    if (path.cut) {
        return -ENAMETOOLONG;
    }
    if (fchmod(fd, 0700) != 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        return -errno;
    }
    memcpy(console->path, address.sun_path, sizeof(console->path));
    if (listen(fd, 1) != 0) {
        return -errno;
    }
    return fd_steal(&fd);
}

void console_stop(struct console *console)
{
    if (console->path[0] != '\0') {
        (void)unlink(console->path);
        console->path[0] = '\0';
    }
    loop_forget(console->loop, &console->listen_watch);
    loop_forget(console->loop, &console->connection_watch);
    console->listen_fd = fd_close(console->listen_fd);
    console->connection_fd = fd_close(console->connection_fd);
}

static void apply_size(struct console *console)
{
    struct winsize size = {.ws_row = console->rows, .ws_col = console->columns};

    if (console->size_pending && console->master_fd >= 0) {
        console->size_pending = false;
        if (ioctl(console->master_fd, TIOCSWINSZ, &size) != 0) {
            diag_errno(console->diag, LEVEL_WARNING, errno, "setting the size of", "the terminal");
        }
    }
}

static void accept_master(struct console *console, int master_fd)
{
    struct termios modes;

    /* The runtime clears ONLCR, viewers expect it. */
    if (tcgetattr(master_fd, &modes) == 0) {
        modes.c_oflag |= ONLCR;
        if (tcsetattr(master_fd, TCSANOW, &modes) != 0) {
            diag_errno(console->diag, LEVEL_WARNING, errno, "setting ONLCR on", "the terminal");
        }
    }
    console->master_fd = master_fd;
    apply_size(console);
    console->on_master(console->owner, master_fd);
}

/* The descriptors of a message; only exactly one is right. */
static int take_descriptor(struct msghdr *message)
{
    int taken = -1;
    int count = 0;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        size_t bytes;

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        bytes = header->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
            count++;
            taken = fd_close(taken);
            taken = fd;
        }
    }
    if (count != 1) {
        (void)fd_close(taken);
        return -EBADMSG;
    }
    return taken;
}

static void on_connection(void *owner, uint32_t events)
{
    struct console *console = owner;
    char payload[PAYLOAD_BYTES];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct iovec vector = {.iov_base = payload, .iov_len = sizeof(payload)};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};
    ssize_t got;
    int fd;

    (void)events;
    do {
        got = recvmsg(console->connection_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    fd = got < 0 ? -errno : take_descriptor(&message);
    console_stop(console);
    if (fd < 0) {
        console->error = fd;
        return;
    }
    accept_master(console, fd);
}

static void on_listener(void *owner, uint32_t events)
{
    struct console *console = owner;
    int fd;

    (void)events;
    do {
        fd = accept4(console->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return;
    }
    console->connection_fd = fd;
    (void)unlink(console->path);
    console->path[0] = '\0';
    loop_forget(console->loop, &console->listen_watch);
    console->listen_fd = fd_close(console->listen_fd);
    if (loop_watch(console->loop, &console->connection_watch, fd, EPOLLIN | EPOLLRDHUP) == 0) {
        on_connection(console, 0);
    }
}

int console_listen(struct console *console)
{
    const char *directory = getenv("TMPDIR");
    int fd = listen_in(console, directory != NULL && directory[0] != '\0' ? directory : "/tmp");

    if (fd < 0 && directory != NULL) {
        fd = listen_in(console, "/tmp");
    }
    if (fd < 0) {
        return fd;
    }
    console->listen_fd = fd;
    console->listen_watch = (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_listener, .owner = console};
    console->connection_watch =
        (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_connection, .owner = console};
    return loop_watch(console->loop, &console->listen_watch, fd, EPOLLIN);
}

bool console_take_late(struct console *console)
{
    if (console->master_fd < 0 && console->listen_fd >= 0) {
        on_listener(console, 0);
    }
    if (console->master_fd < 0 && console->connection_fd >= 0) {
        struct pollfd ready = {.fd = console->connection_fd, .events = POLLIN};

        (void)poll(&ready, 1, LATE_MS);
        on_connection(console, 0);
    }
    return console->master_fd >= 0;
}

void console_resize(struct console *console, uint16_t rows, uint16_t columns)
{
    if (!console->wanted) {
        return;
    }
    console->rows = rows;
    console->columns = columns;
    console->size_pending = true;
    apply_size(console);
}
