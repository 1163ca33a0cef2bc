/* Strict integer parsing: see parse.h. */
#include "lib/parse.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

bool parse_i64(const char *text, int64_t *value)
{
    char *end = NULL;
    long long parsed;

    errno = 0;
    parsed = strtoll(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0') {
        return false;
    }
    *value = parsed;
    return true;
}

bool parse_int(const char *text, int *value)
{
    int64_t wide;

    if (!parse_i64(text, &wide) || wide < INT_MIN || wide > INT_MAX) {
        return false;
    }
    *value = (int)wide;
    return true;
}

bool parse_decimal(const char *text, uint64_t limit, uint64_t *value)
{
    uint64_t sum = 0;

    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!isdigit((unsigned char)*text)) {
            return false;
        }
        if (sum > (UINT64_MAX - 9) / 10) {
            return false;
        }
        sum = sum * 10 + (uint64_t)(*text - '0');
    }
    if (sum > limit) {
        return false;
    }
    *value = sum;
    return true;
}
