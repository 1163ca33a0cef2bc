#include "progress.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_INTERVAL_MS = 100 };

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_init(struct progress *progress, int fd)
{
    progress->fd = fd;
    progress->last_ms = now_ms();
    atomic_init(&progress->read, 0);
    atomic_init(&progress->written, 0);
    atomic_init(&progress->entries, 0);
    /* A reader that does not read must not hold the layer up: lines that do not fit are dropped. */
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void write_line(struct progress *progress)
{
    char line[128];
    int length = snprintf(line, sizeof line, "{\"read\":%" PRIuFAST64 ",\"written\":%" PRIuFAST64 ",\"entries\":%" PRIuFAST64 "}\n",
                          atomic_load(&progress->read), atomic_load(&progress->written), atomic_load(&progress->entries));

    if (write(progress->fd, line, (size_t)length) < 0)
        return;
}

void progress_tick(struct progress *progress)
{
    int64_t now;

    if (progress->fd < 0)
        return;
    now = now_ms();
    if (now - progress->last_ms < PROGRESS_INTERVAL_MS)
        return;
    progress->last_ms = now;
    write_line(progress);
}

void progress_end(struct progress *progress)
{
    if (progress->fd >= 0)
        write_line(progress);
}
