#pragma once
/* SHA-256, with the processor's instructions where it has them. */
#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_HEX_BYTES = 65, SHA256_BLOCK = 64 };

typedef void sha256_compress(uint32_t state[8], const uint8_t *blocks, size_t count);

struct sha256 {
    sha256_compress *compress;
    uint64_t length;
    uint32_t state[8];
    uint8_t partial[SHA256_BLOCK];
};

void sha256_init(struct sha256 *sha);
void sha256_update(struct sha256 *sha, const void *data, size_t length);
/* Ends the hash and writes its 64 hexadecimal digits and a NUL. */
void sha256_hex(struct sha256 *sha, char out[SHA256_HEX_BYTES]);

/* The implementations; NULL where the processor (or the target) lacks the instructions. For tests. */
sha256_compress *sha256_portable(void);
sha256_compress *sha256_accelerated(void);
