/* The control fifos: see fifos.h. */
#include "conmon/fifos.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"

#define FIFO_MODE 0660

static void do_policy(struct fifos *fifos, const struct ctl_message *message)
{
    bool good = true;

    if (message->stream == 0 || message->stream == 1) {
        good = logs_set_policy(fifos->logs, 0, message->policy);
    }
    if (message->stream == 0 || message->stream == 2) {
        good = logs_set_policy(fifos->logs, 1, message->policy) && good;
    }
    if (!good) {
        diag_say(fifos->diag, LEVEL_WARNING, "ctl: bad log policy ", message->policy, NULL);
    }
    if (fifos->logs->counters_path == NULL) {
        fifos->logs->counters_path = "log-counters";
    }
    logs_write_counters(fifos->logs);
}

static void do_message(struct fifos *fifos, const char *line)
{
    struct ctl_message message = ctl_parse(line);

    switch (message.kind) {
    case CTL_BAD:
        diag_say(fifos->diag, LEVEL_INFO, "ctl: skipped a bad line", NULL);
        break;
    case CTL_RESIZE:
        console_resize(fifos->console, message.rows, message.columns);
        break;
    case CTL_REOPEN:
        logs_reopen(fifos->logs);
        break;
    case CTL_POLICY:
        do_policy(fifos, &message);
        break;
    case CTL_COUNTERS:
        if (fifos->logs->counters_path == NULL) {
            fifos->logs->counters_path = "log-counters";
        }
        logs_write_counters(fifos->logs);
        break;
    }
}

static void on_ctl(void *owner, uint32_t events)
{
    struct fifo *fifo = owner;
    char data[512];
    ssize_t got;

    (void)events;
    while ((got = io_read(fifo->fd, data, sizeof(data))) > 0) {
        const char *at = data;
        const char *line;

        while ((line = line_next(&fifo->lines, &at, data + got)) != NULL) {
            do_message(fifo->fifos, line);
        }
    }
}

static void on_winsz(void *owner, uint32_t events)
{
    struct fifo *fifo = owner;
    char data[512];
    ssize_t got;

    (void)events;
    while ((got = io_read(fifo->fd, data, sizeof(data))) > 0) {
        const char *at = data;
        const char *line;
        uint16_t rows, columns;

        while ((line = line_next(&fifo->lines, &at, data + got)) != NULL) {
            if (winsz_parse(line, &rows, &columns)) {
                console_resize(fifo->fifos->console, rows, columns);
            }
        }
    }
}

static int open_fifo(struct fifos *fifos, struct fifo *fifo, int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
        return -errno;
    }
    if (mkfifoat(dir_fd, name, FIFO_MODE) != 0) {
        return -errno;
    }
    fifo->fifos = fifos;
    fifo->fd = openat(dir_fd, name, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fifo->fd < 0) {
        return -errno;
    }
    return loop_watch(fifos->loop, &fifo->watch, fifo->fd, EPOLLIN);
}

int fifos_open(struct fifos *fifos, int dir_fd)
{
    int error;

    fifos->ctl.watch = (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_ctl, .owner = &fifos->ctl};
    fifos->winsz.watch = (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_winsz, .owner = &fifos->winsz};
    error = open_fifo(fifos, &fifos->ctl, dir_fd, "ctl");
    return error < 0 ? error : open_fifo(fifos, &fifos->winsz, dir_fd, "winsz");
}
