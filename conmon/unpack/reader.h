#pragma once
/*
 * The reading thread: takes the blob from a descriptor, hashes it, decompresses it and fills the ring.
 *
 * It holds no privilege and may only read, write its progress line and end.
 */
#include <stdbool.h>
#include <stdatomic.h>
#include <stdint.h>

#include "codec.h"
#include "common.h"
#include "progress.h"
#include "ring.h"
#include "sha256.h"

enum { READER_BUFFER_BYTES = 256 * 1024 };

struct reader {
    int fd;
    int64_t expected_size;       /* -1: unknown */
    const char *expected_digest; /* hexadecimal; empty: unknown */
    struct ring *ring;           /* borrowed */
    struct progress *progress;   /* borrowed */
    uint8_t *buffer;             /* READER_BUFFER_BYTES, borrowed */
    struct sha256 sha;

    /* The result, to be read when the thread has ended. */
    struct failure failure;
    enum compression compression;
    uint64_t size;
    char digest[SHA256_HEX_BYTES];
};

/*
 * Reads the blob to its end. When decompression fails or the ring is abandoned and the digest is known, the rest is
 * still read and hashed: a damaged download is then reported as such, and not as the nonsense it decompresses to.
 */
void reader_run(struct reader *reader);
