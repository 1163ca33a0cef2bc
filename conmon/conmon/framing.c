/* Cutting output into pieces: see framing.h. */
#include "conmon/framing.h"

#if defined(__SSE2__) && !EXACT_READS
const char *framing_find_newline(const char *at, const char *end)
{
    const __m128i newline = _mm_set1_epi8('\n');

    for (; at < end; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
        unsigned int mask = (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi8(block, newline));

        if (mask != 0) {
            const char *found = at + __builtin_ctz(mask);

            return found < end ? found : end;
        }
    }
    return end;
}
#elif defined(__aarch64__) && !EXACT_READS
const char *framing_find_newline(const char *at, const char *end)
{
    const uint8x16_t newline = vdupq_n_u8('\n');

    for (; at < end; at += 16) {
        uint8x16_t equal = vceqq_u8(vld1q_u8((const uint8_t *)at), newline);
        uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(equal), 4)), 0);

        if (mask != 0) {
            const char *found = at + (__builtin_ctzll(mask) >> 2);

            return found < end ? found : end;
        }
    }
    return end;
}
#else
const char *framing_find_newline(const char *at, const char *end)
{
    const char *found = memchr(at, '\n', (size_t)(end - at));

    return found != NULL ? found : end;
}
#endif

void record_prefix_set(struct record_prefix *prefix, const char *stamp, bool is_stderr)
{
    memcpy(prefix->text, stamp, TIMESTAMP_BYTES);
    memcpy(prefix->text + TIMESTAMP_BYTES, is_stderr ? " stderr F " : " stdout F ", RECORD_PREFIX - TIMESTAMP_BYTES);
}
