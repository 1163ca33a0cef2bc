/* JSON for the caller's pipes: see json.h. */
#include "conmon/json.h"

#include <stdbool.h>
#include <string.h>

static bool is_tail(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length of the well-formed UTF-8 character at `at`, 0 when it is none (overlong forms and surrogates are none). */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] >= 0xc2 && at[0] <= 0xdf && left >= 2 && is_tail(at[1])) {
        return 2;
    }
    if ((at[0] & 0xf0) == 0xe0 && left >= 3 && is_tail(at[1]) && is_tail(at[2])) {
        bool overlong = at[0] == 0xe0 && at[1] < 0xa0;
        bool surrogate = at[0] == 0xed && at[1] >= 0xa0;

        return overlong || surrogate ? 0 : 3;
    }
    if (at[0] >= 0xf0 && at[0] <= 0xf4 && left >= 4 && is_tail(at[1]) && is_tail(at[2]) && is_tail(at[3])) {
        bool overlong = at[0] == 0xf0 && at[1] < 0x90;
        bool too_big = at[0] == 0xf4 && at[1] >= 0x90;

        return overlong || too_big ? 0 : 4;
    }
    return 0;
}

static size_t escape_ascii(unsigned char byte, char *escaped)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found = byte != 0 ? strchr(named, byte) : NULL;

    if (found != NULL) {
        escaped[0] = '\\';
        escaped[1] = letters[found - named];
        return 2;
    }
    if (byte < 0x20 || byte == 0x7f) {
        memcpy(escaped, "\\u00", 4);
        escaped[4] = hex[byte >> 4];
        escaped[5] = hex[byte & 15];
        return 6;
    }
    escaped[0] = (char)byte;
    return 1;
}

void json_escape(struct text *out, const void *data, size_t length)
{
    const unsigned char *at = data;
    const unsigned char *end = at + length;

    while (at < end) {
        char escaped[8];
        size_t used = utf8_length(at, (size_t)(end - at));
        size_t size;

        if (used == 1) {
            size = escape_ascii(*at, escaped);
        } else if (used == 0) {
            used = 1;
            size = 3;
            memcpy(escaped, "\xef\xbf\xbd", 3);
        } else {
            size = used;
            memcpy(escaped, at, used);
        }
        if (out->length + size + 1 > out->capacity) {
            out->cut = true;
            return;
        }
        text_bytes(out, escaped, size);
        at += used;
    }
}

void json_report(struct text *out, const char *key, int64_t value, const void *message, size_t message_length)
{
    static const char closing[] = "\"}\n";

    text_join(out, "{\"", key, "\": ", NULL);
    text_signed(out, value);
    if (message_length == 0) {
        text_add(out, "}\n");
        return;
    }
    text_add(out, ", \"message\": \"");
    out->capacity -= sizeof(closing) - 1;
    json_escape(out, message, message_length);
    out->capacity += sizeof(closing) - 1;
    text_add(out, closing);
}
