#pragma once
/*
 * The pipe between the two threads: the reader fills buffers with decompressed bytes, the writer consumes them.
 *
 * A buffer belongs to exactly one side at any time. Handing over takes a mutex once per buffer (256 KiB), so the cost
 * is nothing; both sides may sleep.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RING_BUFFER_BYTES = 256 * 1024, RING_BUFFERS = 4 };

struct ring {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned filled;   /* buffers handed to the consumer so far */
    unsigned consumed; /* buffers handed back so far */
    bool ended;        /* the producer hands over nothing more */
    bool abandoned;    /* the consumer takes nothing more */
    size_t lengths[RING_BUFFERS];
    uint8_t *buffers; /* RING_BUFFERS times RING_BUFFER_BYTES */
};

/* Borrows `memory` for the ring's life. */
void ring_init(struct ring *ring, uint8_t *memory);

/* Producer: waits for an empty buffer; NULL when the consumer has abandoned the ring. */
uint8_t *ring_wait_empty(struct ring *ring);
/* Producer: hands the buffer over with `length` > 0 bytes in it. */
void ring_publish(struct ring *ring, size_t length);
void ring_end(struct ring *ring);

/* Consumer: waits for a filled buffer; NULL at the end. */
const uint8_t *ring_wait_filled(struct ring *ring, size_t *length);
/* Consumer: hands the buffer back. */
void ring_release(struct ring *ring);
void ring_abandon(struct ring *ring);
