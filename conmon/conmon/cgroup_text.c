/* The kernel's cgroup files: see cgroup_text.h. */
#include "conmon/cgroup_text.h"

#include <string.h>

/* True when the comma-separated list has the word. */
static bool list_has(const char *list, size_t length, const char *word)
{
    size_t word_length = strlen(word);

    while (length >= word_length) {
        const char *comma = memchr(list, ',', length);
        size_t item = comma != NULL ? (size_t)(comma - list) : length;

        if (item == word_length && memcmp(list, word, item) == 0) {
            return true;
        }
        if (comma == NULL) {
            break;
        }
        length -= item + 1;
        list = comma + 1;
    }
    return false;
}

bool cgroup_find_path(const char *text, const char *controller, const char **path, size_t *length)
{
    while (*text != '\0') {
        const char *end = strchrnul(text, '\n');
        const char *first = memchr(text, ':', (size_t)(end - text));
        const char *second = first != NULL ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;

        if (second != NULL) {
            size_t list = (size_t)(second - first - 1);
            bool wanted = controller != NULL ? list_has(first + 1, list, controller)
                                             : list == 0 && first - text == 1 && text[0] == '0';

            if (wanted) {
                *path = second + 1;
                *length = (size_t)(end - second - 1);
                return *length > 0;
            }
        }
        text = *end == '\n' ? end + 1 : end;
    }
    return false;
}

static bool take_counter(const char *line, const char *end, const char *name, uint64_t *value)
{
    size_t length = strlen(name);
    uint64_t sum = 0;

    if ((size_t)(end - line) <= length || memcmp(line, name, length) != 0 || line[length] != ' ') {
        return false;
    }
    for (const char *at = line + length + 1; at < end && *at >= '0' && *at <= '9'; at++) {
        sum = sum * 10 + (uint64_t)(*at - '0');
    }
    *value = sum;
    return true;
}

struct memory_events memory_events_parse(const char *text)
{
    struct memory_events events = {0, 0};

    while (*text != '\0') {
        const char *end = strchrnul(text, '\n');

        if (!take_counter(text, end, "oom", &events.oom)) {
            (void)take_counter(text, end, "oom_kill", &events.oom_kill);
        }
        text = *end == '\n' ? end + 1 : end;
    }
    return events;
}
