/* The attach socket and its clients.
 *
 * Output: every packet is one stream id byte (2 = stdout, 3 = stderr) and at most 8192 bytes. What a client's socket does
 * not take is kept in a queue of the client's own, bounded by ATTACH_QUEUE_BYTES. While a queue is full the container's
 * output is not read (back-pressure, nothing is lost), but only for a client that keeps reading: one that has taken
 * nothing for the stall limit is "lagging", its packets are counted and dropped, and a note tells it so when it reads
 * again. The logs and the other clients are never affected by it.
 *
 * Input: raw bytes, passed to the container's stdin; a client whose bytes do not fit is not read until they do.
 *
 * A client that has closed both directions is freed at once when its input has been passed on. At the end a client gets
 * its queue, then an orderly end of file: unread input is thrown away first, or it would see a reset.
 */
#ifndef CONMON_ATTACH_H
#define CONMON_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conmon/diag.h"
#include "conmon/loop.h"
#include "conmon/stdin_target.h"

#define ATTACH_PACKET_BYTES 8192
#define ATTACH_QUEUE_BYTES (1024 * 1024)
#define ATTACH_INPUT_BYTES (256 * 1024)

struct client;

struct attach {
    int listen_fd; /* owned; -1: none */
    struct watch watch;
    struct client *clients;
    struct client *writer; /* whose half-written packet stdin waits for */
    struct loop *loop;
    struct diag *diag;
    struct stdin_target *target;
    bool accept_pending;
    bool closes_stdin; /* a client's end of input ends the container's */
    bool unbounded;    /* the end: queues take everything */
    bool terminal;
    int stall_ms;
    uint64_t packets; /* of input, ever */
    char *input; /* ATTACH_INPUT_BYTES, borrowed */
};

/* Listen on `listen_fd` (taken). Returns 0 or a negative errno. */
int attach_start(struct attach *attach, int listen_fd);

/* Take the clients that have connected by now. Called between reading output and sending it: whoever connected before the
 * container wrote something gets it. */
void attach_catch_up(struct attach *attach);

/* Send one read of the container's output to all clients. `stream` is 2 or 3. */
void attach_send(struct attach *attach, uint8_t stream, const char *data, size_t length);

/* True while the container's output must not be read. */
bool attach_blocks_output(struct attach *attach);

/* Do what can be done: accept, pass input on, empty queues. True when there is more to do at once. */
bool attach_work(struct attach *attach);

/* No more clients; existing ones stay. */
void attach_stop_listening(struct attach *attach);

/* True while some client's queue holds something. */
bool attach_has_queued(const struct attach *attach);

/* The latest moment at which a client with queued output took something, 0 when none has any. */
int64_t attach_progress_ns(const struct attach *attach);

/* End of file for everybody. */
void attach_close(struct attach *attach);

#endif
