/* A client's queue of packets: see attach_queue.h. A packet is a 16-bit length, the stream id and the data. */
#include "conmon/attach_queue.h"

#include <string.h>
#include <sys/mman.h>

#define CHUNK_BYTES (64 * 1024)

struct queue_chunk {
    struct queue_chunk *next;
    size_t head, tail;
    char data[CHUNK_BYTES - 3 * sizeof(size_t)];
};

static struct queue_chunk *add_chunk(struct packet_queue *queue)
{
    struct queue_chunk *chunk = mmap(NULL, sizeof(*chunk), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (chunk == MAP_FAILED) {
        return NULL;
    }
    if (queue->last != NULL) {
        queue->last->next = chunk;
    } else {
        queue->first = chunk;
    }
    queue->last = chunk;
    return chunk;
}

bool queue_put(struct packet_queue *queue, uint8_t stream, const char *data, size_t length)
{
    uint16_t size = (uint16_t)(length + 1);
    struct queue_chunk *chunk = queue->last;

    if (chunk == NULL || sizeof(chunk->data) - chunk->tail < sizeof(size) + size) {
        chunk = add_chunk(queue);
        if (chunk == NULL) {
            return false;
        }
    }
    memcpy(chunk->data + chunk->tail, &size, sizeof(size));
    chunk->data[chunk->tail + sizeof(size)] = (char)stream;
    memcpy(chunk->data + chunk->tail + sizeof(size) + 1, data, length);
    chunk->tail += sizeof(size) + size;
    queue->bytes += size;
    return true;
}

const char *queue_peek(const struct packet_queue *queue, size_t *length)
{
    const struct queue_chunk *chunk = queue->first;
    uint16_t size;

    if (chunk == NULL) {
        return NULL;
    }
    memcpy(&size, chunk->data + chunk->head, sizeof(size));
    *length = size;
    return chunk->data + chunk->head + sizeof(size);
}

void queue_drop(struct packet_queue *queue)
{
    struct queue_chunk *chunk = queue->first;
    uint16_t size;

    memcpy(&size, chunk->data + chunk->head, sizeof(size));
    chunk->head += sizeof(size) + size;
    queue->bytes -= size;
    if (chunk->head < chunk->tail) {
        return;
    }
    queue->first = chunk->next;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    (void)munmap(chunk, sizeof(*chunk));
}

void queue_free(struct packet_queue *queue)
{
    while (queue->first != NULL) {
        struct queue_chunk *chunk = queue->first;

        queue->first = chunk->next;
        (void)munmap(chunk, sizeof(*chunk));
    }
    queue->last = NULL;
    queue->bytes = 0;
}
