/* The attach socket and its clients: see attach.h. */
#include "conmon/attach.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conmon/attach_queue.h"
#include "lib/fd.h"
#include "lib/text.h"

#define ACCEPT_RETRY_NS 500000000LL
#define MS_NS 1000000LL
#define INPUT_TURNS 8

struct client {
    struct client *next;
    struct attach *attach;
    int fd; /* owned */
    struct watch watch;
    bool readable;    /* input may be there */
    bool writable;    /* the socket may take a packet */
    bool input_over;  /* end of input was seen and acted upon */
    bool output_over; /* it cannot be written to any more */
    bool lagging;     /* packets are dropped until the queue is half empty */
    int64_t progress_ns;
    uint64_t dropped_bytes;
    struct packet_queue queue;
    char *pending; /* input that stdin has not taken yet, owned */
    size_t pending_at, pending_length;
};

static void on_client(void *owner, uint32_t events)
{
    struct client *client = owner;

    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        client->readable = true;
    }
    if ((events & EPOLLOUT) != 0) {
        client->writable = true;
    }
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        client->output_over = true;
        queue_free(&client->queue);
    }
}

static void on_listener(void *owner, uint32_t events)
{
    struct attach *attach = owner;

    (void)events;
    attach->accept_pending = true;
}

static void on_accept_due(void *owner)
{
    ((struct attach *)owner)->accept_pending = true;
}

static void on_stall_due(void *owner)
{
    (void)owner; /* attach_blocks_output looks at the clock itself */
}

int attach_start(struct attach *attach, int listen_fd)
{
    attach->listen_fd = listen_fd;
    attach->watch = (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_listener, .owner = attach};
    attach->loop->timers[TIMER_ACCEPT] = (struct timer){.due_ns = 0, .on_due = on_accept_due, .owner = attach};
    attach->loop->timers[TIMER_STALL] = (struct timer){.due_ns = 0, .on_due = on_stall_due, .owner = attach};
    return loop_watch(attach->loop, &attach->watch, listen_fd, EPOLLIN);
}

static void add_client(struct attach *attach, int fd)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL) {
        (void)fd_close(fd);
        return;
    }
    client->attach = attach;
    client->fd = fd;
    client->readable = true;
    client->writable = true;
    client->progress_ns = monotonic_ns();
    client->watch = (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_client, .owner = client};
    if (loop_watch(attach->loop, &client->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP) < 0) {
        (void)fd_close(fd);
        free(client);
        return;
    }
    client->next = attach->clients;
    attach->clients = client;
}

static void accept_clients(struct attach *attach)
{
    while (attach->accept_pending && attach->listen_fd >= 0) {
        int fd = accept4(attach->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            add_client(attach, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            attach->accept_pending = false;
            loop_set_timer(attach->loop, TIMER_ACCEPT, monotonic_ns() + ACCEPT_RETRY_NS);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            attach->accept_pending = false;
        }
    }
}

void attach_catch_up(struct attach *attach)
{
    if (attach->listen_fd >= 0 && attach->loop->timers[TIMER_ACCEPT].due_ns == 0) {
        attach->accept_pending = true;
        accept_clients(attach);
    }
}

static bool send_packet(struct client *client, uint8_t stream, const char *data, size_t length)
{
    struct iovec vector[2] = {{.iov_base = &stream, .iov_len = 1},
                              {.iov_base = (void *)(uintptr_t)data, .iov_len = length}};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};

    for (;;) {
        if (sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            return true;
        }
        if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
            client->writable = false;
            return false;
        }
        if (errno != EINTR) {
            client->output_over = true;
            queue_free(&client->queue);
            return false;
        }
    }
}

/* Tell a client that was lagging how much it missed. */
static void end_lag(struct client *client)
{
    char data[96];
    struct text text = text_over(data, sizeof(data));

    text_add(&text, "[conmon: this client did not read, ");
    text_unsigned(&text, client->dropped_bytes);
    text_add(&text, client->attach->terminal ? " bytes were left out]\r\n" : " bytes were left out]\n");
    client->lagging = false;
    client->dropped_bytes = 0;
    (void)queue_put(&client->queue, 3, text.at, text.length);
}

static void send_queued(struct client *client)
{
    while (client->writable && !client->output_over) {
        size_t length;
        const char *packet = queue_peek(&client->queue, &length);

        if (packet == NULL || !send_packet(client, (uint8_t)packet[0], packet + 1, length - 1)) {
            break;
        }
        queue_drop(&client->queue);
        client->progress_ns = monotonic_ns();
    }
    if (client->lagging && !client->output_over && client->queue.bytes < ATTACH_QUEUE_BYTES / 2) {
        end_lag(client);
        send_queued(client);
    }
}

static void send_or_queue(struct client *client, uint8_t stream, const char *data, size_t length)
{
    if (client->output_over) {
        return;
    }
    if (client->lagging) {
        client->dropped_bytes += length;
        return;
    }
    if (client->queue.bytes == 0 && client->writable && send_packet(client, stream, data, length)) {
        return;
    }
    if (client->output_over) {
        return;
    }
    if (client->queue.bytes == 0) {
        client->progress_ns = monotonic_ns();
    }
    if (!queue_put(&client->queue, stream, data, length)) {
        client->lagging = true;
        client->dropped_bytes += length;
    }
}

void attach_send(struct attach *attach, uint8_t stream, const char *data, size_t length)
{
    for (size_t done = 0; done < length && attach->clients != NULL; done += ATTACH_PACKET_BYTES) {
        size_t size = length - done < ATTACH_PACKET_BYTES ? length - done : ATTACH_PACKET_BYTES;

        for (struct client *client = attach->clients; client != NULL; client = client->next) {
            send_or_queue(client, stream, data + done, size);
        }
    }
}

bool attach_blocks_output(struct attach *attach)
{
    bool blocks = false;

    if (attach->clients == NULL || attach->unbounded) {
        return false;
    }
    for (struct client *client = attach->clients; client != NULL; client = client->next) {
        int64_t limit_ns;

        if (client->queue.bytes < ATTACH_QUEUE_BYTES || client->lagging) {
            continue;
        }
        if (attach->stall_ms < 0) {
            blocks = true;
            continue;
        }
        limit_ns = client->progress_ns + attach->stall_ms * MS_NS;
        if (monotonic_ns() >= limit_ns) {
            client->lagging = true;
            diag_say(attach->diag, LEVEL_WARNING, "an attach client does not read: leaving out output for it", NULL);
        } else {
            blocks = true;
            loop_set_timer(attach->loop, TIMER_STALL, limit_ns);
        }
    }
    return blocks;
}

/* All input of this client was passed on: what that means for the container's stdin. */
static void end_input(struct client *client)
{
    struct attach *attach = client->attach;

    client->input_over = true;
    if (attach->closes_stdin && !attach->target->is_terminal && attach->target->state == STDIN_OPEN) {
        stdin_close(attach->target);
    }
}

/* Pass on what is left of a packet. True when nothing is left. */
static bool pass_pending(struct client *client)
{
    struct attach *attach = client->attach;

    if (client->pending == NULL) {
        return true;
    }
    client->pending_at += stdin_take(attach->target, client->pending + client->pending_at,
                                     client->pending_length - client->pending_at);
    if (client->pending_at < client->pending_length) {
        return false;
    }
    free(client->pending);
    client->pending = NULL;
    attach->writer = NULL;
    return true;
}

static void keep_pending(struct client *client, const char *data, size_t length)
{
    client->pending = malloc(length);
    if (client->pending == NULL) {
        return;
    }
    memcpy(client->pending, data, length);
    client->pending_at = 0;
    client->pending_length = length;
    client->attach->writer = client;
}

/* A read of zero bytes is the end of input, or an empty packet. */
static bool is_end_of_input(int fd)
{
    struct pollfd state = {.fd = fd, .events = POLLRDHUP};

    return poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Take one packet of input. False when there is none now. */
static bool pass_packet(struct client *client)
{
    struct attach *attach = client->attach;
    ssize_t got = recv(client->fd, attach->input, ATTACH_INPUT_BYTES, MSG_DONTWAIT);
    size_t taken;

    if (got < 0 && errno == EINTR) {
        return true;
    }
    if (got < 0) {
        client->readable = false;
        if (errno != EAGAIN) {
            client->output_over = true;
            end_input(client);
        }
        return false;
    }
    if (got == 0) {
        if (is_end_of_input(client->fd)) {
            client->readable = false;
            end_input(client);
        }
        return !client->input_over;
    }
    attach->packets++;
    taken = stdin_take(attach->target, attach->input, (size_t)got);
    if (taken < (size_t)got) {
        keep_pending(client, attach->input + taken, (size_t)got - taken);
    }
    return true;
}

/* True when it stopped because of its turns being used up, not for lack of work. */
static bool pass_input(struct client *client)
{
    struct attach *attach = client->attach;

    for (int turn = 0; turn < INPUT_TURNS; turn++) {
        if (attach->writer != NULL && attach->writer != client) {
            return false;
        }
        if (!pass_pending(client) || client->input_over || !client->readable || !stdin_is_ready(attach->target)) {
            return false;
        }
        if (!pass_packet(client)) {
            return false;
        }
    }
    return true;
}

static void free_client(struct client *client)
{
    struct attach *attach = client->attach;

    loop_forget(attach->loop, &client->watch);
    client->fd = fd_close(client->fd);
    queue_free(&client->queue);
    free(client->pending);
    if (attach->writer == client) {
        attach->writer = NULL;
    }
    free(client);
}

bool attach_work(struct attach *attach)
{
    struct client **link = &attach->clients;
    const struct client *writer = attach->writer;
    bool more = false;

    if (attach->accept_pending) {
        accept_clients(attach);
    }
    while (*link != NULL) {
        struct client *client = *link;

        more = pass_input(client) || more;
        if (client->queue.bytes > 0 || client->lagging) {
            send_queued(client);
        }
        if (client->output_over && client->input_over) {
            *link = client->next;
            free_client(client);
        } else {
            link = &client->next;
        }
    }
    /* Others were kept waiting by a writer that is done now. */
    return more || (writer != NULL && attach->writer != writer && attach->clients != NULL);
}

void attach_stop_listening(struct attach *attach)
{
    loop_forget(attach->loop, &attach->watch);
    attach->listen_fd = fd_close(attach->listen_fd);
    attach->accept_pending = false;
}

bool attach_has_queued(const struct attach *attach)
{
    for (const struct client *client = attach->clients; client != NULL; client = client->next) {
        if (client->queue.bytes > 0 && !client->output_over) {
            return true;
        }
    }
    return false;
}

int64_t attach_progress_ns(const struct attach *attach)
{
    int64_t latest_ns = 0;

    for (const struct client *client = attach->clients; client != NULL; client = client->next) {
        if (client->queue.bytes > 0 && !client->output_over && client->progress_ns > latest_ns) {
            latest_ns = client->progress_ns;
        }
    }
    return latest_ns;
}

void attach_close(struct attach *attach)
{
    attach_stop_listening(attach);
    while (attach->clients != NULL) {
        struct client *client = attach->clients;

        attach->clients = client->next;
        (void)shutdown(client->fd, SHUT_RDWR);
        while (recv(client->fd, attach->input, ATTACH_INPUT_BYTES, MSG_DONTWAIT) > 0) {
            /* Unread input would turn the client's end of file into a reset. */
        }
        free_client(client);
    }
}
