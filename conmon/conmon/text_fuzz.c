/* libFuzzer: the text formats that come from the container, the kernel and the callers. The first byte chooses. */
#include "conmon/cgroup_text.h"
#include "conmon/ctl.h"
#include "conmon/json.h"
#include "conmon/notify_filter.h"
#include "conmon/policy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The second half of the bytes comes in a read of its own. */
static void fuzz_ctl(const char *data, size_t size)
{
    struct line_buffer buffer = {.length = 0, .discarding = false};
    const char *ends[2] = {data + size / 2, data + size};
    const char *at = data;

    for (int read = 0; read < 2; read++) {
        const char *line;

        while ((line = line_next(&buffer, &at, ends[read])) != NULL) {
            struct ctl_message message = ctl_parse(line);
            uint16_t rows, columns;

            (void)winsz_parse(line, &rows, &columns);
            if (message.kind == CTL_POLICY) {
                struct policy_rule rule;

                (void)policy_parse(message.policy, &rule);
            }
        }
    }
}

static void fuzz_json(const char *data, size_t size)
{
    char out[512];
    struct text text = text_over(out, sizeof(out));

    json_report(&text, "data", -1, data, size);
    if (text.length < 4 || strcmp(out + text.length - 2, "}\n") != 0) {
        abort();
    }
}

static void fuzz_strings(const char *data, size_t size)
{
    char *copy = malloc(size + 1);
    struct policy_rule rule;
    const char *path;
    size_t length;

    memcpy(copy, data, size);
    copy[size] = '\0';
    if (cgroup_find_path(copy, "memory", &path, &length) && (path < copy || path + length > copy + size)) {
        abort();
    }
    (void)cgroup_find_path(copy, NULL, &path, &length);
    (void)memory_events_parse(copy);
    (void)policy_parse(copy, &rule);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data + 1;

    if (size == 0) {
        return 0;
    }
    size--;
    switch (data[0] % 4) {
    case 0:
        fuzz_ctl(text, size);
        break;
    case 1:
        fuzz_json(text, size);
        break;
    case 2:
        fuzz_strings(text, size);
        break;
    default: {
        char *out = malloc(size + 1);

        if (notify_filter(text, size, out) > size) {
            abort();
        }
        free(out);
    }
    }
    return 0;
}
