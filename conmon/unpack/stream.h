#pragma once
/* The decompressed archive as the writing thread sees it: hashed, counted, in pieces of whatever length. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec.h"
#include "common.h"
#include "ring.h"
#include "sha256.h"

struct stream {
    struct ring *ring; /* borrowed */
    const enum compression *compression; /* borrowed, known once the first buffer is there; a plain archive is hashed as blob */
    struct sha256 sha;
    uint64_t length;    /* bytes taken from the ring */
    uint64_t max_bytes; /* 0: no limit */
    const uint8_t *at;
    size_t left;
    bool holds_buffer;
    bool ended; /* the reader has nothing more: it succeeded, or it knows why not */
    struct failure *failure; /* borrowed */
};

void stream_init(struct stream *stream, struct ring *ring, const enum compression *compression, uint64_t max_bytes,
                 struct failure *failure);

/* Shows the next bytes without taking them. Returns their number, 0 at the end, -1 on failure. */
long stream_peek(struct stream *stream, const uint8_t **at);
/* Takes `length` of the bytes just shown. */
void stream_skip(struct stream *stream, size_t length);
