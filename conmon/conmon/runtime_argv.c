/* The runtime's argument vector: see runtime_argv.h. The word order is what runtimes and wrappers are used to. */
#include "conmon/runtime_argv.h"

#define FIXED_WORDS 24

struct vector {
    const char **at;
    size_t count;
};

static void add(struct vector *words, const char *word)
{
    words->at[words->count++] = word;
}

static void add_pair(struct vector *words, const char *name, const char *value)
{
    add(words, name);
    add(words, value);
}

static void add_all(struct vector *words, const struct words *list)
{
    for (size_t i = 0; i < list->count; i++) {
        add(words, list->at[i]);
    }
}

size_t runtime_argv_slots(const struct options *options)
{
    return FIXED_WORDS + options->runtime_args.count + options->runtime_opts.count;
}

static void add_exec(struct vector *words, const struct options *options, const struct runtime_paths *paths)
{
    add(words, "exec");
    add_pair(words, "--pid-file", paths->container_pid_file);
    add_pair(words, "--process", options->process_spec);
    add(words, "--detach");
}

static void add_create(struct vector *words, const struct options *options, const struct runtime_paths *paths)
{
    add(words, options->restore_path != NULL ? "restore" : "create");
    add_pair(words, "--bundle", paths->bundle);
    add_pair(words, "--pid-file", paths->container_pid_file);
    if (options->no_pivot) {
        add(words, "--no-pivot");
    }
    if (options->no_new_keyring) {
        add(words, "--no-new-keyring");
    }
    if (options->restore_path != NULL) {
        add(words, "--detach");
        add_pair(words, "--image-path", options->restore_path);
        add_pair(words, "--work-path", paths->bundle);
    }
}

size_t runtime_argv(const struct options *options, const struct runtime_paths *paths, const char **argv)
{
    struct vector words = {.at = argv, .count = 0};

    add(&words, options->runtime);
    if (options->systemd_cgroup && !options->exec) {
        add(&words, "--systemd-cgroup");
    }
    add_all(&words, &options->runtime_args);
    if (options->exec) {
        add_exec(&words, options, paths);
    } else {
        add_create(&words, options, paths);
    }
    add_all(&words, &options->runtime_opts);
    if (paths->console_socket != NULL) {
        add_pair(&words, "--console-socket", paths->console_socket);
    }
    add(&words, options->container_id);
    words.at[words.count] = NULL;
    return words.count;
}
