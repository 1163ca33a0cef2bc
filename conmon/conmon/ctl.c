/* Messages of the fifos: see ctl.h. */
#include "conmon/ctl.h"

#include <string.h>

const char *line_next(struct line_buffer *buffer, const char **at, const char *end)
{
    while (*at < end) {
        const char *newline = memchr(*at, '\n', (size_t)(end - *at));
        const char *stop = newline != NULL ? newline : end;
        size_t length = (size_t)(stop - *at);

        if (!buffer->discarding && length < sizeof(buffer->data) - buffer->length) {
            memcpy(buffer->data + buffer->length, *at, length);
            buffer->length += length;
        } else {
            buffer->discarding = true;
            buffer->length = 0;
        }
        *at = newline != NULL ? newline + 1 : end;
        if (newline == NULL) {
            break;
        }
        if (buffer->discarding) {
            buffer->discarding = false;
            continue;
        }
        buffer->data[buffer->length] = '\0';
        buffer->length = 0;
        return buffer->data;
    }
    return NULL;
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t' || character == '\r';
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at)) {
        at++;
    }
    return at;
}

/* A word of decimal digits of at most 65535; NULL when the next word is something else. */
static const char *take_number(const char *at, uint16_t *value)
{
    uint32_t sum = 0;
    const char *first;

    at = skip_blanks(at);
    first = at;
    while (*at >= '0' && *at <= '9') {
        sum = sum * 10 + (uint32_t)(*at - '0');
        if (sum > UINT16_MAX) {
            return NULL;
        }
        at++;
    }
    if (at == first || !(is_blank(*at) || *at == '\0')) {
        return NULL;
    }
    *value = (uint16_t)sum;
    return at;
}

struct ctl_message ctl_parse(const char *line)
{
    struct ctl_message message = {.kind = CTL_BAD, .rows = 0, .columns = 0, .stream = 0, .policy = NULL};
    uint16_t kind = 0, first = 0, second = 0;
    const char *at = take_number(line, &kind);

    if (at == NULL || (at = take_number(at, &first)) == NULL) {
        return message;
    }
    if (kind == 3) {
        message.policy = skip_blanks(at);
        message.stream = first;
        if (*message.policy != '\0' && first <= 2) {
            message.kind = CTL_POLICY;
        }
        return message;
    }
    if (take_number(at, &second) == NULL) {
        return message;
    }
    message.rows = first;
    message.columns = second;
    if (kind == 1) {
        message.kind = CTL_RESIZE;
    } else if (kind == 2) {
        message.kind = CTL_REOPEN;
    } else if (kind == 4) {
        message.kind = CTL_COUNTERS;
    }
    return message;
}

bool winsz_parse(const char *line, uint16_t *rows, uint16_t *columns)
{
    uint16_t first = 0, second = 0;
    const char *at = take_number(line, &first);

    if (at == NULL || take_number(at, &second) == NULL) {
        return false;
    }
    *rows = first;
    *columns = second;
    return true;
}
