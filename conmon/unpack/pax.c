#include "pax.h"

#include <string.h>

enum pax_result pax_next(char **cursor, char *end, struct pax_record *out)
{
    char *at = *cursor;
    size_t length = 0;
    char *equals, *last;

    if (at == end)
        return PAX_END;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        length = length * 10 + (size_t)(*at - '0');
        if (length > (size_t)(end - *cursor))
            return PAX_BAD;
    }
    if (at == *cursor || at == end || *at != ' ' || length <= (size_t)(at + 1 - *cursor))
        return PAX_BAD;
    at++;
    last = *cursor + length - 1;
    if (*last != '\n')
        return PAX_BAD;
    equals = memchr(at, '=', (size_t)(last - at));
    if (!equals || equals == at || memchr(at, '\0', (size_t)(equals - at)))
        return PAX_BAD;
    *equals = '\0';
    *last = '\0';
    out->key = at;
    out->value = equals + 1;
    out->value_length = (size_t)(last - equals - 1);
    *cursor = last + 1;
    return PAX_RECORD;
}

/* Reads digits; stops at the first other character. Returns NULL when there is none or the number is too large. */
static const char *read_digits(const char *text, uint64_t *out)
{
    const char *at = text;
    uint64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (value > (INT64_MAX - 9) / 10)
            return NULL;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *out = value;
    return at == text ? NULL : at;
}

int pax_number(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    uint64_t value;
    const char *end = read_digits(text + negative, &value);

    if (!end || *end)
        return -1;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

int pax_time(const char *text, int64_t *seconds, uint32_t *nanoseconds)
{
    bool negative = *text == '-';
    uint64_t whole;
    uint32_t fraction = 0, unit = 100000000;
    const char *at = read_digits(text + negative, &whole);

    if (!at)
        return -1;
    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10)
            fraction += (uint32_t)(*at - '0') * unit;
    }
    if (*at)
        return -1;
    *seconds = negative ? -(int64_t)whole - (fraction > 0) : (int64_t)whole;
    *nanoseconds = negative && fraction > 0 ? 1000000000 - fraction : fraction;
    return 0;
}

long sparse_parse_list(const char *text, struct sparse_run *runs, size_t capacity)
{
    size_t count = 0;

    while (*text) {
        if (count == capacity)
            return -1;
        text = read_digits(text, &runs[count].offset);
        if (!text || *text != ',')
            return -1;
        text = read_digits(text + 1, &runs[count].length);
        if (!text || (*text && *text != ','))
            return -1;
        count++;
        if (*text && !*++text)
            return -1;
    }
    return (long)count;
}

bool sparse_valid(const struct sparse_run *runs, size_t count, uint64_t real_size, uint64_t stored_size)
{
    uint64_t end = 0, total = 0;

    for (size_t i = 0; i < count; i++) {
        if (runs[i].offset < end || runs[i].length > INT64_MAX || runs[i].offset > INT64_MAX)
            return false;
        end = runs[i].offset + runs[i].length;
        total += runs[i].length;
        if (end > real_size || total > stored_size)
            return false;
    }
    return total == stored_size;
}
