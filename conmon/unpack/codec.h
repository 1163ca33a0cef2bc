#pragma once
/* One compressed stream: gzip, zstd, xz, bzip2 or none, found by its first bytes. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common.h"

/* The numbers that containers/storage records. */
enum compression { COMPRESSION_NONE = 0, COMPRESSION_BZIP2 = 1, COMPRESSION_GZIP = 2, COMPRESSION_XZ = 3, COMPRESSION_ZSTD = 4 };

enum { CODEC_MAGIC_BYTES = 6 };

struct codec;

struct codec_io {
    const uint8_t *in;
    size_t in_left;
    uint8_t *out;
    size_t out_left;
    bool in_ended; /* nothing follows what is in `in` */
};

enum compression codec_detect(const uint8_t *magic, size_t length);
const char *codec_name(enum compression kind);

/* Never for COMPRESSION_NONE. NULL when memory is short. */
struct codec *codec_new(enum compression kind);

/*
 * Decompresses as much as input and room allow, one stream, frame or member at a time. Returns 0, or -1 with the
 * reason in `failure`.
 */
int codec_step(struct codec *codec, struct codec_io *io, struct failure *failure);

/* Whether the input so far is complete: the stream may end here. */
bool codec_at_boundary(const struct codec *codec);
