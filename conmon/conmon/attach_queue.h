/* A client's queue of packets: chunks of memory from the kernel, given back as soon as they are empty. */
#ifndef CONMON_ATTACH_QUEUE_H
#define CONMON_ATTACH_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_chunk;

struct packet_queue {
    struct queue_chunk *first, *last;
    size_t bytes;
};

/* Append a packet made of a stream id and data; false when there is no memory. */
bool queue_put(struct packet_queue *queue, uint8_t stream, const char *data, size_t length);

/* The oldest packet (stream id first), or NULL. */
const char *queue_peek(const struct packet_queue *queue, size_t *length);

/* Remove the oldest packet. */
void queue_drop(struct packet_queue *queue);

void queue_free(struct packet_queue *queue);

#endif
