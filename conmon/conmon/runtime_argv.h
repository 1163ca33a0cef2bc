/* The runtime's argument vector for create, restore and exec. Pure. */
#ifndef CONMON_RUNTIME_ARGV_H
#define CONMON_RUNTIME_ARGV_H

#include "conmon/options.h"

struct runtime_paths {
    const char *bundle;
    const char *container_pid_file;
    const char *console_socket; /* NULL without a terminal */
};

/* Number of slots that runtime_argv may fill, the final NULL included. */
size_t runtime_argv_slots(const struct options *options);

/* Fill `argv` with borrowed strings and a final NULL; returns the number of words. */
size_t runtime_argv(const struct options *options, const struct runtime_paths *paths, const char **argv);

#endif
