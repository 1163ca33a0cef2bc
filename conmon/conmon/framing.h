/* Cutting output into pieces and framing them as k8s log records. Pure, and the hot path of the program.
 *
 * A record is `TIMESTAMP STREAM TAG CONTENT\n`: 35 + 1 + 6 + 1 + 1 + 1 = 45 bytes before the content. A piece is a line
 * (tag F), or a part of one (tag P): what a read left without a newline, or 16 KiB of a longer line, the most that
 * readers of the format expect.
 *
 * Speed: a line of 80 bytes has to be found, prefixed and copied in some ten nanoseconds, so search and copy go 16
 * bytes at a time and may read and write up to FRAMING_SLACK bytes too far: buffers have that much room at the end. The
 * usual case, whole lines into a file without limits, does both in one pass (record_put_line).
 */
#ifndef CONMON_FRAMING_H
#define CONMON_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "conmon/timestamp.h"

/* A sanitised build must not read beyond the end, not even into slack that is there. */
#if defined(__SANITIZE_ADDRESS__)
#define EXACT_READS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXACT_READS 1
#endif
#endif
#ifndef EXACT_READS
#define EXACT_READS 0
#endif

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define FRAMING_SLACK 64
#define RECORD_PREFIX 45
#define PIECE_BYTES 16384

struct piece {
    const char *at;
    size_t length; /* without the newline */
    bool whole;    /* a newline ends it */
};

/* Where the first newline of 16 bytes is, 16 when there is none; the bytes are copied to `to` on the way. */
static inline unsigned int framing_block(char *to, const char *from)
{
#if defined(__SSE2__)
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)from);
    unsigned int mask = (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8('\n')));

    _mm_storeu_si128((__m128i *)(void *)to, block);
    return mask != 0 ? (unsigned int)__builtin_ctz(mask) : 16;
#elif defined(__aarch64__)
    uint8x16_t block = vld1q_u8((const uint8_t *)from);
    uint8x16_t equal = vceqq_u8(block, vdupq_n_u8('\n'));
    uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(equal), 4)), 0);

    vst1q_u8((uint8_t *)to, block);
    return mask != 0 ? (unsigned int)(__builtin_ctzll(mask) >> 2) : 16;
#else
    unsigned int at = 0;

    __builtin_memcpy(to, from, 16);
    while (at < 16 && from[at] != '\n') {
        at++;
    }
    return at;
#endif
}

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

/* Write the record of the whole line at `*at`, which ends before `limit`, and move both behind it. False when there is no
 * such line; there is garbage behind `*out` then. Reads and writes up to 15 bytes too far. */
static inline bool record_put_line(char **out, const struct record_prefix *prefix, const char **at, const char *limit)
{
    char *to = *out + RECORD_PREFIX;

    if (EXACT_READS) {
        return false;
    }
    __builtin_memcpy(*out, prefix->text, 48);
    for (const char *from = *at; from < limit; from += 16, to += 16) {
        unsigned int found = framing_block(to, from);

        if (found < 16) {
            if (from + found >= limit) {
                return false;
            }
            *at = from + found + 1;
            *out = to + found + 1;
            return true;
        }
    }
    return false;
}

#endif
