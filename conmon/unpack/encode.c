#include "encode.h"

#include <stdint.h>
#include <string.h>

size_t base64_encode(const uint8_t *bytes, size_t length, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = out;

    for (; length >= 3; length -= 3, bytes += 3, at += 4) {
        uint32_t group = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];

        at[0] = digits[group >> 18];
        at[1] = digits[group >> 12 & 63];
        at[2] = digits[group >> 6 & 63];
        at[3] = digits[group & 63];
    }
    if (length > 0) {
        uint32_t group = (uint32_t)bytes[0] << 16 | (length > 1 ? (uint32_t)bytes[1] << 8 : 0);

        at[0] = digits[group >> 18];
        at[1] = digits[group >> 12 & 63];
        at[2] = length > 1 ? digits[group >> 6 & 63] : '=';
        at[3] = '=';
        at += 4;
    }
    return (size_t)(at - out);
}

size_t json_escape(const char *text, char *out)
{
    static const char digits[] = "0123456789abcdef";
    char *at = out;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(at, "\\u00", 4);
            at[4] = digits[c >> 4];
            at[5] = digits[c & 15];
            at += 6;
        } else {
            *at++ = (char)c;
        }
    }
    return (size_t)(at - out);
}

/* The number of bytes of a well-formed sequence at `at`, or 0: no overlong forms, surrogates or values above U+10FFFF. */
static size_t utf8_sequence(const unsigned char *at)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;

    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        length = 2;
    else if (at[0] >= 0xe0 && at[0] <= 0xef)
        length = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf) {
        if (at[i] < low || at[i] > high)
            return 0;
    }
    return length;
}

bool utf8_valid(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    while (*at) {
        size_t length = utf8_sequence(at);

        if (length == 0)
            return false;
        at += length;
    }
    return true;
}
