/*
 * One socket for two protocols.
 *
 * A client of crio.sock speaks either gRPC (HTTP/2, first bytes "PRI") or the HTTP/1 status API. grpcio cannot be handed an
 * accepted connection, so this loop accepts, looks at the first three bytes without consuming them, connects to the private
 * socket of the right server and copies bytes both ways until both directions ended. It runs on a thread of the daemon that
 * never holds the interpreter lock, and ends when stop_fd becomes readable.
 *
 * Each direction owns one buffer. Invariant: a direction reads only while its buffer is empty and writes only while it is not,
 * so memory per connection is bounded and a slow reader slows down only its own peer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "native.h"

enum { BUFFER_BYTES = 65536, EVENTS = 64, CLIENT = 0, SERVER = 1, FULL_PAUSE_MS = 100 };

struct link;

struct end {
    struct link *link;
    int fd;
    uint32_t events;      /* what epoll watches now */
    bool eof;             /* nothing more to read from this end */
    bool shut;            /* the peer's EOF was passed on to this end */
    bool gone;            /* closed by its owner and no longer watched: HUP would wake the loop for ever */
    size_t length;        /* bytes read from this end that the other end has not taken yet */
    size_t offset;
    char *buffer;
};

struct link {
    struct end ends[2];
    bool chosen;          /* the server's end is connected */
    bool dead;
    struct link *next_dead;
};

struct loop {
    int epoll_fd;
    const char *paths[2]; /* grpc, http */
    bool full;            /* no descriptor was left for a client: accepting pauses, or the waiting client would wake the loop for ever */
    struct link *dead;
};

static int watch(struct loop *loop, struct end *end, uint32_t events, bool add) {
    struct epoll_event event = { .events = events, .data.ptr = end };
    if (end->gone || (!add && end->events == events))
        return 0;
    end->events = events;
    return epoll_ctl(loop->epoll_fd, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, end->fd, &event);
}

static void kill_link(struct loop *loop, struct link *link) {
    if (link->dead)
        return;
    link->dead = true;
    for (int i = 0; i < 2; i++) {
        if (link->ends[i].fd < 0)
            continue;
        /*
         * Closing alone does not end the watch while a child of the daemon is between fork and exec: it has a copy of the
         * descriptor, and an event would come for memory that is free by then.
         */
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, link->ends[i].fd, NULL);
        close(link->ends[i].fd);
        link->ends[i].fd = -1;
    }
    /* Events of this round may still point here, so the memory goes when the round is over. */
    link->next_dead = loop->dead;
    loop->dead = link;
}

static void bury(struct loop *loop) {
    while (loop->dead != NULL) {
        struct link *link = loop->dead;
        loop->dead = link->next_dead;
        free(link->ends[CLIENT].buffer);
        free(link->ends[SERVER].buffer);
        free(link);
    }
}

static struct end *other(struct end *end) {
    return &end->link->ends[end == &end->link->ends[CLIENT] ? SERVER : CLIENT];
}

/* Moves what is possible from one end to its peer. False: the connection is broken. */
static bool pump(struct end *from) {
    struct end *to = other(from);
    for (;;) {
        while (from->length > 0) {
            ssize_t sent = send(to->fd, from->buffer + from->offset, from->length, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno == EINTR)
                continue;
            if (sent < 0)
                return errno == EAGAIN;
            from->offset += (size_t)sent;
            from->length -= (size_t)sent;
        }
        if (from->eof) {
            if (!to->shut) {
                to->shut = true;
                (void)shutdown(to->fd, SHUT_WR);
            }
            return true;
        }
        ssize_t got = recv(from->fd, from->buffer, BUFFER_BYTES, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN;
        from->eof = got == 0;
        from->offset = 0;
        from->length = (size_t)got;
        if (got > 0 && (size_t)got < BUFFER_BYTES) {
            /* A short read emptied the socket: send it and wait, instead of asking for EAGAIN. */
            ssize_t sent = send(to->fd, from->buffer, from->length, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent == got) {
                from->length = 0;
                return true;
            }
            if (sent > 0) {
                from->offset = (size_t)sent;
                from->length -= (size_t)sent;
            }
        }
    }
}

static uint32_t wanted(struct end *end) {
    uint32_t events = 0;
    if (end->length == 0 && !end->eof)
        events |= EPOLLIN;
    if (other(end)->length > 0)
        events |= EPOLLOUT;
    return events;
}

/* Learns the protocol from the first bytes: 1 = connected, 0 = wait for more, -1 = give the connection up. */
static int choose(struct loop *loop, struct link *link) {
    static const char preface[3] = { 'P', 'R', 'I' };
    char head[3];
    ssize_t got = recv(link->ends[CLIENT].fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (got == 0)
        return -1;
    bool grpc = memcmp(head, preface, (size_t)got) == 0;
    if (grpc && got < (ssize_t)sizeof head)
        return 0;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = loop->paths[grpc ? 0 : 1];
    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    struct end *server = &link->ends[SERVER];
    if (connect(server->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        link->ends[i].buffer = malloc(BUFFER_BYTES);
        if (link->ends[i].buffer == NULL)
            return -1;
    }
    link->chosen = true;
    return watch(loop, server, EPOLLIN, true) < 0 ? -1 : 1;
}

static void on_ready(struct loop *loop, struct end *end, uint32_t events) {
    struct link *link = end->link;
    if (link->dead)
        return;
    if (!link->chosen) {
        int chosen = choose(loop, link);
        /* A client that leaves before it has said enough: its bytes stay readable, so no end of file is ever read. */
        if (chosen < 0 || (chosen == 0 && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0))
            kill_link(loop, link);
        if (chosen <= 0) {
            /* Fewer bytes than the protocol needs stay in the socket: edge triggering waits for the next ones. */
            if (chosen == 0 && !link->dead)
                (void)watch(loop, end, EPOLLIN | EPOLLRDHUP | EPOLLET, false);
            return;
        }
    }
    bool alive = (events & EPOLLERR) == 0 && pump(end) && ((events & EPOLLOUT) == 0 || pump(other(end)));
    if (alive && (events & EPOLLHUP) != 0 && end->eof) {
        /* Its owner closed it: nothing can be delivered to it any more, what it said last still goes to the peer. */
        alive = end->length > 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, end->fd, NULL) == 0;
        end->gone = true;
    }
    struct end *client = &link->ends[CLIENT];
    struct end *server = &link->ends[SERVER];
    bool nothing_left = client->length == 0 && server->length == 0;
    bool done = nothing_left && ((client->eof && server->eof) || client->gone || server->gone);
    if (!alive || done || watch(loop, client, wanted(client), false) < 0 || watch(loop, server, wanted(server), false) < 0)
        kill_link(loop, link);
}

static void accept_again(struct loop *loop, int *listen_fd, bool again) {
    struct epoll_event event = { .events = again ? EPOLLIN : 0, .data.ptr = listen_fd };
    loop->full = !again;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, *listen_fd, &event);
}

/* Both descriptors or none: a client that is accepted with the last one could only be turned away. */
static void on_client(struct loop *loop, int *listen_fd) {
    int server_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = server_fd < 0 ? -1 : accept4(*listen_fd, NULL, NULL, SOCK_CLOEXEC);
    struct link *link = fd < 0 ? NULL : calloc(1, sizeof *link);
    if (link == NULL) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            accept_again(loop, listen_fd, false);
        if (fd >= 0)
            close(fd);
        if (server_fd >= 0)
            close(server_fd);
        return;
    }
    for (int i = 0; i < 2; i++)
        link->ends[i] = (struct end){ .link = link, .fd = i == CLIENT ? fd : server_fd };
    if (watch(loop, &link->ends[CLIENT], EPOLLIN | EPOLLRDHUP, true) < 0)
        kill_link(loop, link);
}

int crio_forward(int listen_fd, int stop_fd, const char *grpc_path, const char *http_path) {
    struct loop loop = { .epoll_fd = epoll_create1(EPOLL_CLOEXEC), .paths = { grpc_path, http_path } };
    if (loop.epoll_fd < 0)
        return -errno;
    struct epoll_event on_listen = { .events = EPOLLIN, .data.ptr = &listen_fd };
    struct epoll_event on_stop = { .events = EPOLLIN, .data.ptr = &stop_fd };
    if (epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, listen_fd, &on_listen) < 0 ||
        epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, stop_fd, &on_stop) < 0) {
        int error = errno;
        close(loop.epoll_fd);
        return -error;
    }
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(loop.epoll_fd, events, EVENTS, loop.full ? FULL_PAUSE_MS : -1);
        if (count < 0 && errno != EINTR)
            break;
        if (loop.full)
            accept_again(&loop, &listen_fd, true);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &stop_fd) {
                bury(&loop);
                close(loop.epoll_fd);
                return 0;
            }
            if (events[i].data.ptr == &listen_fd)
                on_client(&loop, &listen_fd);
            else
                on_ready(&loop, events[i].data.ptr, events[i].events);
        }
        bury(&loop);
    }
    int error = errno;
    close(loop.epoll_fd);
    return -error;
}
