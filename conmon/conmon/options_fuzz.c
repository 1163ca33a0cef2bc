/* libFuzzer: the command line. The input is cut into words at NUL bytes. */
#include "conmon/journal_text.h"
#include "conmon/logspec.h"
#include "conmon/options.h"
#include "conmon/runtime_argv.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct options *options)
{
    struct runtime_paths paths = {.bundle = "b", .container_pid_file = "p", .console_socket = "s"};
    size_t capacity = journal_fields_bytes(options);
    const char **argv = calloc(runtime_argv_slots(options), sizeof(*argv));
    char *fields = malloc(capacity);
    struct text text = text_over(fields, capacity);
    char error_data[64];
    struct text error = text_over(error_data, sizeof(error_data));

    if (runtime_argv(options, &paths, argv) >= runtime_argv_slots(options)) {
        abort();
    }
    if (journal_check(options, &error)) {
        journal_fields(options, &text);
        journal_labels(options, &text);
        if (text.cut) {
            abort();
        }
    }
    free(argv);
    free(fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    char *argv[MAX_WORDS] = {copy};
    const char *pool[OPTIONS_LISTS * MAX_WORDS];
    struct options options;
    char error_data[256];
    struct text error = text_over(error_data, sizeof(error_data));
    int argc = 1;

    memcpy(copy, data, size);
    copy[size] = '\0';
    for (size_t at = 0; at <= size && argc < MAX_WORDS; at += strlen(copy + at) + 1) {
        argv[argc++] = copy + at;
    }
    if (options_parse(argc, argv, pool, &options, &error) == OPTIONS_OK &&
        options_check(&options, true, &error) == OPTIONS_OK) {
        use(&options);
        for (size_t i = 0; i < options.log_paths.count; i++) {
            enum log_driver driver;
            const char *path;

            (void)logspec_parse(options.log_paths.at[i], &driver, &path);
        }
    }
    free(copy);
    return 0;
}
