/* A bounded text builder on a caller's buffer: no heap, no stdio, always NUL-terminated.
 *
 * What does not fit is dropped and `cut` is set; the text so far stays valid.
 */
#ifndef LIB_TEXT_H
#define LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *at;
    size_t length;
    size_t capacity;
    bool cut;
};

/* A builder over `data`, which must have room for at least the final NUL. */
struct text text_over(char *data, size_t capacity);

void text_clear(struct text *text);
void text_bytes(struct text *text, const void *data, size_t length);
void text_add(struct text *text, const char *string);
void text_char(struct text *text, char character);
void text_unsigned(struct text *text, uint64_t value);
void text_signed(struct text *text, int64_t value);

/* `value` with leading zeros, exactly `digits` wide. */
void text_padded(struct text *text, uint64_t value, unsigned int digits);

/* Add all strings up to the NULL that ends the list. */
void text_join(struct text *text, ...) __attribute__((sentinel));

#endif
