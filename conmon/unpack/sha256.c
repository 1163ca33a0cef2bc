#include "sha256.h"

#include <string.h>

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t value, int count)
{
    return value >> count | value << (32 - count);
}

static uint32_t load_big(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void compress_portable(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    for (; count > 0; count--, blocks += SHA256_BLOCK) {
        uint32_t w[64], s[8];

        for (int i = 0; i < 16; i++)
            w[i] = load_big(blocks + 4 * i);
        for (int i = 16; i < 64; i++) {
            uint32_t low = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
            uint32_t high = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

            w[i] = w[i - 16] + low + w[i - 7] + high;
        }
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; i++) {
            uint32_t sum1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
            uint32_t sum0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
            uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
            uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
            uint32_t first = s[7] + sum1 + choice + round_constants[i] + w[i];

            memmove(s + 1, s, 7 * sizeof *s);
            s[4] += first;
            s[0] = first + sum0 + majority;
        }
        for (int i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

sha256_compress *sha256_portable(void)
{
    return compress_portable;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

/*
 * The instructions hold the state as ABEF and CDGH and do two rounds each; the message schedule advances four words
 * at a time: w[t] = sha256msg2(sha256msg1(w[t-16], w[t-12]) + w[t-7], w[t-4]), where w[t-7] straddles two vectors.
 */
__attribute__((target("sha,sse4.1,ssse3"))) static void compress_sha_ni(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)state);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
    __m128i badc = _mm_shuffle_epi32(low, 0xb1);
    __m128i efgh = _mm_shuffle_epi32(high, 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, badc, 0xf0);

    for (; count > 0; count--, blocks += SHA256_BLOCK) {
        const __m128i abef_start = abef, cdgh_start = cdgh;
        __m128i w[4];

        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(blocks + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i now = w[i & 3];
            __m128i sum = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(const void *)(round_constants + 4 * i)));

            if (i < 12) {
                __m128i last = w[(i + 3) & 3];
                __m128i seventh = _mm_alignr_epi8(last, w[(i + 2) & 3], 4);
                __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(now, w[(i + 1) & 3]), seventh);

                w[i & 3] = _mm_sha256msg2_epu32(next, last);
            }
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_start);
        cdgh = _mm_add_epi32(cdgh, cdgh_start);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

sha256_compress *sha256_accelerated(void)
{
    enum { SSSE3 = 1 << 9, SSE41 = 1 << 19, SHA = 1 << 29 };
    unsigned a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & SSSE3) || !(c & SSE41))
        return NULL;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & SHA) ? compress_sha_ni : NULL;
}

/* Older clangs offer these intrinsics only when the whole file is compiled for them. */
#elif defined(__aarch64__) && (!defined(__clang__) || defined(__ARM_FEATURE_SHA2))
#include <arm_neon.h>
#include <sys/auxv.h>

#ifdef __clang__
#define SHA2_TARGET __attribute__((target("sha2")))
#else
#define SHA2_TARGET __attribute__((target("+crypto")))
#endif

SHA2_TARGET static void compress_armv8(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);

    for (; count > 0; count--, blocks += SHA256_BLOCK) {
        const uint32x4_t abcd_start = abcd, efgh_start = efgh;
        uint32x4_t w[4];

        for (int i = 0; i < 4; i++)
            w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(blocks + 16 * i)));
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            uint32x4_t sum = vaddq_u32(w[i & 3], vld1q_u32(round_constants + 4 * i));
            uint32x4_t before = abcd;

            if (i < 12)
                w[i & 3] = vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
            abcd = vsha256hq_u32(abcd, efgh, sum);
            efgh = vsha256h2q_u32(efgh, before, sum);
        }
        abcd = vaddq_u32(abcd, abcd_start);
        efgh = vaddq_u32(efgh, efgh_start);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}

sha256_compress *sha256_accelerated(void)
{
    enum { CAP_SHA2 = 1 << 6 };

    return getauxval(AT_HWCAP) & CAP_SHA2 ? compress_armv8 : NULL;
}

#else
sha256_compress *sha256_accelerated(void)
{
    return NULL;
}
#endif

void sha256_init(struct sha256 *sha)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    sha->compress = sha256_accelerated();
    if (!sha->compress)
        sha->compress = compress_portable;
    sha->length = 0;
    memcpy(sha->state, start, sizeof start);
}

void sha256_update(struct sha256 *sha, const void *data, size_t length)
{
    const uint8_t *at = data;
    size_t held = sha->length % SHA256_BLOCK;

    sha->length += length;
    if (held > 0) {
        size_t wanted = SHA256_BLOCK - held;
        size_t taken = length < wanted ? length : wanted;

        memcpy(sha->partial + held, at, taken);
        at += taken;
        length -= taken;
        if (taken < wanted)
            return;
        sha->compress(sha->state, sha->partial, 1);
    }
    sha->compress(sha->state, at, length / SHA256_BLOCK);
    at += length / SHA256_BLOCK * SHA256_BLOCK;
    if (length % SHA256_BLOCK)
        memcpy(sha->partial, at, length % SHA256_BLOCK);
}

void sha256_hex(struct sha256 *sha, char out[SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = sha->length * 8;
    size_t held = sha->length % SHA256_BLOCK;
    uint8_t tail[2 * SHA256_BLOCK] = {0};
    size_t tail_length = held < 56 ? SHA256_BLOCK : 2 * SHA256_BLOCK;

    memcpy(tail, sha->partial, held);
    tail[held] = 0x80;
    for (int i = 0; i < 8; i++)
        tail[tail_length - 1 - (size_t)i] = (uint8_t)(bits >> (8 * i));
    sha->compress(sha->state, tail, tail_length / SHA256_BLOCK);
    for (int i = 0; i < SHA256_BYTES; i++) {
        uint8_t byte = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));

        out[2 * i] = digits[byte >> 4];
        out[2 * i + 1] = digits[byte & 15];
    }
    out[64] = '\0';
}
