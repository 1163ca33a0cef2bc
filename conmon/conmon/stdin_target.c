/* The container's standard input: see stdin_target.h. */
#include "conmon/stdin_target.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/fd.h"

static void on_ready(void *owner, uint32_t events)
{
    struct stdin_target *target = owner;

    if ((events & EPOLLERR) != 0 && !target->is_terminal) {
        stdin_close(target); /* the last reader of the pipe is gone */
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        target->writable = true;
    }
}

int stdin_open(struct stdin_target *target, struct loop *loop, int fd, bool is_terminal)
{
    int flags = fcntl(fd, F_GETFL);

    target->fd = fd;
    target->loop = loop;
    target->is_terminal = is_terminal;
    target->writable = true;
    target->state = STDIN_OPEN;
    target->watch = (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_ready, .owner = target};
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return -errno;
    }
    return loop_watch(loop, &target->watch, fd, EPOLLOUT);
}

size_t stdin_take(struct stdin_target *target, const char *data, size_t length)
{
    size_t done = 0;

    if (target->state == STDIN_DISCARD) {
        return length;
    }
    while (done < length && stdin_is_ready(target)) {
        ssize_t put = write(target->fd, data + done, length - done);

        if (put > 0) {
            done += (size_t)put;
        } else if (put == 0 || errno == EAGAIN || (errno == EIO && target->is_terminal)) {
            target->writable = false;
        } else if (errno != EINTR) {
            stdin_close(target);
            return length;
        }
    }
    return done;
}

bool stdin_is_ready(const struct stdin_target *target)
{
    return target->state == STDIN_DISCARD || (target->state == STDIN_OPEN && target->writable);
}

void stdin_close(struct stdin_target *target)
{
    if (target->state == STDIN_OPEN) {
        loop_forget(target->loop, &target->watch);
        target->fd = fd_close(target->fd);
    }
    target->state = STDIN_DISCARD;
}
