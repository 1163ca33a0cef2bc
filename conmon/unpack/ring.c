#include "ring.h"

void ring_init(struct ring *ring, uint8_t *memory)
{
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->changed, NULL);
    ring->filled = ring->consumed = 0;
    ring->ended = ring->abandoned = false;
    ring->buffers = memory;
}

static uint8_t *buffer_at(struct ring *ring, unsigned number)
{
    return ring->buffers + (size_t)(number % RING_BUFFERS) * RING_BUFFER_BYTES;
}

uint8_t *ring_wait_empty(struct ring *ring)
{
    uint8_t *buffer;

    pthread_mutex_lock(&ring->lock);
    while (ring->filled - ring->consumed == RING_BUFFERS && !ring->abandoned)
        pthread_cond_wait(&ring->changed, &ring->lock);
    buffer = ring->abandoned ? NULL : buffer_at(ring, ring->filled);
    pthread_mutex_unlock(&ring->lock);
    return buffer;
}

void ring_publish(struct ring *ring, size_t length)
{
    pthread_mutex_lock(&ring->lock);
    ring->lengths[ring->filled % RING_BUFFERS] = length;
    ring->filled++;
    pthread_cond_signal(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
}

void ring_end(struct ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->ended = true;
    pthread_cond_signal(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
}

const uint8_t *ring_wait_filled(struct ring *ring, size_t *length)
{
    const uint8_t *buffer = NULL;

    pthread_mutex_lock(&ring->lock);
    while (ring->filled == ring->consumed && !ring->ended)
        pthread_cond_wait(&ring->changed, &ring->lock);
    if (ring->filled != ring->consumed) {
        buffer = buffer_at(ring, ring->consumed);
        *length = ring->lengths[ring->consumed % RING_BUFFERS];
    }
    pthread_mutex_unlock(&ring->lock);
    return buffer;
}

void ring_release(struct ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->consumed++;
    pthread_cond_signal(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
}

void ring_abandon(struct ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->abandoned = true;
    pthread_cond_signal(&ring->changed);
    pthread_mutex_unlock(&ring->lock);
}
