/* A bounded text builder: see text.h. */
#include "lib/text.h"

#include <stdarg.h>
#include <string.h>

struct text text_over(char *data, size_t capacity)
{
    struct text text = {.at = data, .length = 0, .capacity = capacity, .cut = false};

    data[0] = '\0';
    return text;
}

void text_clear(struct text *text)
{
    text->length = 0;
    text->cut = false;
    text->at[0] = '\0';
}

void text_bytes(struct text *text, const void *data, size_t length)
{
    size_t room = text->capacity - 1 - text->length;

    if (length > room) {
        length = room;
        text->cut = true;
    }
    memcpy(text->at + text->length, data, length);
    text->length += length;
    text->at[text->length] = '\0';
}

void text_add(struct text *text, const char *string)
{
    text_bytes(text, string, strlen(string));
}

void text_char(struct text *text, char character)
{
    text_bytes(text, &character, 1);
}

void text_unsigned(struct text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    text_bytes(text, digits + at, sizeof(digits) - at);
}

void text_signed(struct text *text, int64_t value)
{
    if (value < 0) {
        text_char(text, '-');
        text_unsigned(text, (uint64_t)0 - (uint64_t)value);
    } else {
        text_unsigned(text, (uint64_t)value);
    }
}

void text_padded(struct text *text, uint64_t value, unsigned int digits)
{
    char padded[20];

    if (digits > sizeof(padded)) {
        digits = sizeof(padded);
    }
    for (unsigned int i = digits; i > 0; i--) {
        padded[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    text_bytes(text, padded, digits);
}

void text_join(struct text *text, ...)
{
    va_list strings;
    const char *string;

    va_start(strings, text);
    while ((string = va_arg(strings, const char *)) != NULL) {
        text_add(text, string);
    }
    va_end(strings);
}
