/* The command line: what the caller asked for, parsed once into a struct that nobody changes afterwards.
 *
 * The grammar is that of the original's option library, because callers depend on its oddities: long names are never
 * abbreviated, `-x VALUE` never `-xVALUE`, flags may be bundled, values are consumed blindly (they may be empty or
 * start with a dash), positional words are ignored, `--flag=anything` sets the flag. Values are opaque bytes.
 *
 * Pure: no I/O, no allocation. Strings are borrowed from argv; the repeatable options' lists live in a pool the
 * caller provides.
 */
#ifndef CONMON_OPTIONS_H
#define CONMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/text.h"

enum log_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_INFO, LEVEL_DEBUG, LEVEL_TRACE };

/* A list of borrowed strings. */
struct words {
    const char **at;
    size_t count;
};

struct options {
    bool help, version;
    bool api_version, exec, exec_attach, full_attach, leave_stdin_open;
    bool log_rotate, no_partial_message, no_new_keyring, no_pivot, no_sync_log, replace_listen_pid;
    bool standard_input, sync, syslog, systemd_cgroup, terminal;
    const char *bundle, *container_id, *container_uuid, *name;
    const char *monitor_pid_file, *container_pid_file;
    const char *process_spec, *restore_path, *runtime;
    const char *exit_command, *exit_dir, *persist_dir, *socket_dir;
    const char *log_level_text, *log_tag, *log_counters, *notify_socket, *ignored;
    int exit_delay_s, log_max_files, timeout_s;
    int attach_stall_ms;
    int64_t log_size_max, log_global_size_max;
    struct words exit_command_args, log_paths, log_labels, log_allowlist_dirs, log_policies;
    struct words runtime_args, runtime_opts;
    enum log_level level;
};

/* Number of repeatable options: the pool given to options_parse has this many times argc entries. */
#define OPTIONS_LISTS 7

enum options_result { OPTIONS_OK, OPTIONS_BAD };

/* Parse argv[1..] into `options`. On OPTIONS_BAD `error` holds one sentence. */
enum options_result options_parse(int argc, char **argv, const char **pool, struct options *options, struct text *error);

/* Check what belongs together, in the documented order; sets `level`. `attach_pipe` tells whether the caller gave
 * one. On OPTIONS_BAD `error` holds one sentence. */
enum options_result options_check(struct options *options, bool attach_pipe, struct text *error);

/* The text for --help. */
void options_help(struct text *help);

/* Text that options_help needs at most. */
#define OPTIONS_HELP_BYTES 6144

#endif
