/* Cutting output into pieces and framing them as k8s log records. Pure, and the hot path of the program.
 *
 * A record is `TIMESTAMP STREAM TAG CONTENT\n`: 35 + 1 + 6 + 1 + 1 + 1 = 45 bytes before the content. A piece is a line
 * (tag F), or a part of one (tag P): what a read left without a newline, or 16 KiB of a longer line, the most that
 * readers of the format expect.
 *
 * Speed: a line of 80 bytes has to be found, prefixed and copied in some ten nanoseconds, so search and copy go 16
 * bytes at a time and may read and write up to FRAMING_SLACK bytes too far: buffers have that much room at the end.
 */
#ifndef CONMON_FRAMING_H
#define CONMON_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "conmon/timestamp.h"

#define FRAMING_SLACK 64
#define RECORD_PREFIX 45
#define PIECE_BYTES 16384

struct piece {
    const char *at;
    size_t length; /* without the newline */
    bool whole;    /* a newline ends it */
};

/* Copy in blocks of 16; reads and writes up to 15 bytes beyond `length`. */
static inline void framing_copy(char *to, const char *from, size_t length)
{
    for (size_t done = 0; done < length; done += 16) {
        __builtin_memcpy(to + done, from + done, 16);
    }
}

/* The first newline in [at, end), or `end`. Reads up to 15 bytes beyond `end`. */
const char *framing_find_newline(const char *at, const char *end);

/* Take the next piece from `*at`. A rest without a newline, shorter than PIECE_BYTES, is taken only with `flush`;
 * false means that nothing (more) is to be taken. */
static inline bool piece_next(const char **at, const char *end, bool flush, struct piece *piece)
{
    size_t left = (size_t)(end - *at);
    const char *limit = left > PIECE_BYTES + 1 ? *at + PIECE_BYTES + 1 : end;
    const char *stop;

    if (left == 0) {
        return false;
    }
    stop = framing_find_newline(*at, limit);
    piece->at = *at;
    piece->whole = stop != limit;
    piece->length = (size_t)(stop - *at);
    if (piece->whole) {
        *at = stop + 1;
        return true;
    }
    if (piece->length > PIECE_BYTES) {
        piece->length = PIECE_BYTES;
    } else if (piece->length < PIECE_BYTES && !flush) {
        return false;
    } else if (piece->length == PIECE_BYTES && !flush) {
        return false; /* its newline may be the next byte */
    }
    *at += piece->length;
    return true;
}

/* The 45 bytes that start every record of one read; the tag is filled in per record. Written with slack: 48 bytes. */
struct record_prefix {
    char text[48];
};

void record_prefix_set(struct record_prefix *prefix, const char *stamp, bool is_stderr);

static inline size_t record_bytes(const struct piece *piece)
{
    return RECORD_PREFIX + piece->length + 1;
}

/* Write one record at `out`, which has record_bytes + FRAMING_SLACK bytes of room. */
static inline size_t record_put(char *out, const struct record_prefix *prefix, const struct piece *piece)
{
    __builtin_memcpy(out, prefix->text, 48);
    out[RECORD_PREFIX - 2] = piece->whole ? 'F' : 'P';
    if (piece->length <= 512) {
        framing_copy(out + RECORD_PREFIX, piece->at, piece->length);
    } else {
        memcpy(out + RECORD_PREFIX, piece->at, piece->length);
    }
    out[RECORD_PREFIX + piece->length] = '\n';
    return RECORD_PREFIX + piece->length + 1;
}

#endif
