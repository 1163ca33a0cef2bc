/* The container's output: see streams.h. */
#include "conmon/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/io.h"

#define READS_PER_TURN 8
#define BIG_PIPE_BYTES (256 * 1024)
#define FULL_PIPE_BYTES (48 * 1024)
#define TERMINAL_DRAIN_BYTES (1024 * 1024)

#define CLOSE_READS_NS 150000
#define LITTLE_BYTES (32 * 1024)

static void on_ready(void *owner, uint32_t events)
{
    (void)events;
    ((struct stream *)owner)->ready = true;
}

static void on_policy_due(void *owner)
{
    (void)owner; /* streams_work looks at the clock itself */
}

/* All has been quiet for a while: give memory back. */
static void on_trim_due(void *owner)
{
    struct streams *streams = owner;

    if (loop_is_quiet(streams->loop)) {
        if (streams->stream[0].carried == 0 && streams->stream[1].carried == 0) {
            (void)madvise(streams->buffers, streams->buffers_bytes, MADV_DONTNEED);
        }
        streams->loop->release_next = true;
    }
}

void streams_init(struct streams *streams)
{
    for (unsigned int i = 0; i < 2; i++) {
        streams->stream[i].fd = -1;
        streams->stream[i].index = i;
        streams->stream[i].owner = streams;
        streams->stream[i].watch =
            (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_ready, .owner = &streams->stream[i]};
    }
    streams->loop->timers[TIMER_POLICY] = (struct timer){.due_ns = 0, .on_due = on_policy_due, .owner = streams};
    streams->loop->timers[TIMER_TRIM] = (struct timer){.due_ns = 0, .on_due = on_trim_due, .owner = streams};
}

int stream_open(struct streams *streams, unsigned int index, int fd, bool is_terminal)
{
    struct stream *stream = &streams->stream[index];
    int flags = fcntl(fd, F_GETFL);

    stream->fd = fd;
    stream->is_terminal = is_terminal;
    stream->ready = true;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return -errno;
    }
    return loop_watch(streams->loop, &stream->watch, fd, EPOLLIN);
}

static void close_stream(struct stream *stream)
{
    loop_forget(stream->owner->loop, &stream->watch);
    stream->fd = fd_close(stream->fd);
    stream->ready = false;
}

/* Log an unfinished line that was carried over, as a partial record. */
static void flush_carried(struct stream *stream)
{
    if (stream->carried > 0) {
        (void)logs_write(stream->owner->logs, stream->index, stream->data, stream->carried, true);
        stream->carried = 0;
    }
}

/* Hand `length` new bytes, at data + carried, to clients and logs. `more` tells that the kernel has more. */
static void hand_out(struct stream *stream, size_t length, bool more)
{
    struct streams *streams = stream->owner;
    size_t total = stream->carried + length;
    size_t left;

    attach_catch_up(streams->attach);
    attach_send(streams->attach, stream->index == 0 ? 2 : 3, stream->data + stream->carried, length);
    left = logs_write(streams->logs, stream->index, stream->data, total, !more);
    if (left > 0) {
        memmove(stream->data, stream->data + total - left, left);
    }
    stream->carried = left;
}

static void enlarge_pipe(struct stream *stream, size_t got)
{
    if (!stream->enlarged && !stream->is_terminal && got >= FULL_PIPE_BYTES) {
        stream->enlarged = true;
        (void)fcntl(stream->fd, F_SETPIPE_SZ, BIG_PIPE_BYTES);
    }
}

/* Let small pieces gather. The kernel's timer slack makes this about 60 microseconds. */
static void nap_if_close(struct stream *stream)
{
    bool answers = stream->answered != stream->owner->attach->packets;

    stream->answered = stream->owner->attach->packets;
    if (!answers && stream->read_ns > 0 && monotonic_ns() - stream->read_ns < CLOSE_READS_NS) {
        struct timespec moment = {.tv_sec = 0, .tv_nsec = 1000};

        (void)nanosleep(&moment, NULL);
    }
}

/* One read of at most `limit` bytes. Returns the bytes, 0 when there is nothing (more) now. */
static size_t read_once(struct stream *stream, size_t limit, bool flush)
{
    size_t size = limit < STREAM_READ_BYTES ? limit : STREAM_READ_BYTES;
    ssize_t got = io_read(stream->fd, stream->data + stream->carried, size);

    if (got > 0) {
        /* A pipe that gave less than asked for is empty; its next write makes a new event. */
        if (!stream->is_terminal && (size_t)got < size) {
            stream->ready = false;
        }
        enlarge_pipe(stream, (size_t)got);
        hand_out(stream, (size_t)got, !flush && (size_t)got == size);
        return (size_t)got;
    }
    stream->ready = false;
    flush_carried(stream);
    /* A terminal without an open slave says EIO; somebody may open it again. */
    if (got != -EAGAIN && !(stream->is_terminal && (got == -EIO || got == 0))) {
        close_stream(stream);
    }
    return 0;
}

/* What was captured becomes container output. */
static void pass_capture(struct streams *streams)
{
    struct stream *stream = &streams->stream[1];

    if (streams->captured > 0 && !streams->capture_passed) {
        memcpy(stream->data, streams->capture, streams->captured);
        hand_out(stream, streams->captured, false);
    }
    streams->capture_passed = true;
}

/* The runtime's messages, as long as there is room to keep them; then they become output, the runtime must not wait. */
static void read_capture(struct streams *streams)
{
    struct stream *stream = &streams->stream[1];

    while (stream->fd >= 0 && stream->ready && !streams->capture_passed) {
        size_t room = CAPTURE_BYTES - 1 - streams->captured;
        ssize_t got = io_read(stream->fd, streams->capture + streams->captured, room);

        if (got > 0) {
            streams->captured += (size_t)got;
            if ((size_t)got == room) {
                pass_capture(streams);
            }
        } else {
            stream->ready = false;
            if (got != -EAGAIN) {
                close_stream(stream);
            }
        }
    }
}

static bool waits_for_policy(struct stream *stream)
{
    if (stream->wait_until_ns == 0) {
        return false;
    }
    if (monotonic_ns() >= stream->wait_until_ns) {
        stream->wait_until_ns = 0;
        return false;
    }
    return true;
}

static void plan_policy_timer(struct streams *streams)
{
    int64_t due_ns = 0;

    for (unsigned int i = 0; i < 2; i++) {
        int64_t until_ns = streams->stream[i].wait_until_ns;

        if (until_ns > 0 && (due_ns == 0 || until_ns < due_ns)) {
            due_ns = until_ns;
        }
    }
    if (due_ns > 0) {
        loop_set_timer(streams->loop, TIMER_POLICY, due_ns);
    }
}

/* True when the stream has more to be read at once. */
static bool read_stream(struct stream *stream)
{
    struct streams *streams = stream->owner;

    for (int i = 0; i < READS_PER_TURN && stream->fd >= 0 && stream->ready; i++) {
        int64_t wait_ns;
        size_t got;

        if (waits_for_policy(stream)) {
            return false; /* the rest of a carried line comes with the next read */
        }
        if (attach_blocks_output(streams->attach)) {
            flush_carried(stream);
            return false;
        }
        nap_if_close(stream);
        got = read_once(stream, logs_read_limit(streams->logs, stream->index), false);
        stream->read_ns = got > 0 && got < LITTLE_BYTES ? monotonic_ns() : 0;
        wait_ns = logs_wait_ns(streams->logs, stream->index);
        if (wait_ns > 0) {
            stream->wait_until_ns = monotonic_ns() + wait_ns;
            plan_policy_timer(streams);
        }
    }
    return stream->fd >= 0 && stream->ready;
}

bool streams_work(struct streams *streams)
{
    bool more = read_stream(&streams->stream[0]);

    if (streams->capturing && !streams->capture_passed) {
        read_capture(streams);
        return more || streams->stream[1].ready;
    }
    return read_stream(&streams->stream[1]) || more;
}

void streams_end_capture(struct streams *streams)
{
    streams->capturing = false;
    pass_capture(streams);
}

size_t streams_collect_capture(struct streams *streams)
{
    streams->stream[1].ready = streams->stream[1].fd >= 0;
    read_capture(streams);
    return streams->captured;
}

static void drain_stream(struct stream *stream)
{
    int queued = 0;
    size_t left;

    if (stream->fd < 0) {
        flush_carried(stream);
        return;
    }
    if (stream->is_terminal || ioctl(stream->fd, FIONREAD, &queued) < 0) {
        queued = TERMINAL_DRAIN_BYTES;
    }
    left = (size_t)queued;
    while (left > 0 && stream->fd >= 0) {
        size_t got = read_once(stream, left, false);

        if (got == 0) {
            break;
        }
        left -= got < left ? got : left;
    }
    flush_carried(stream);
}

void streams_drain(struct streams *streams)
{
    if (streams->capturing) {
        streams_end_capture(streams);
    }
    drain_stream(&streams->stream[0]);
    drain_stream(&streams->stream[1]);
}

void streams_close(struct streams *streams)
{
    for (unsigned int i = 0; i < 2; i++) {
        if (streams->stream[i].fd >= 0) {
            close_stream(&streams->stream[i]);
        }
    }
}
