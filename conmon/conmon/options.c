/* The command line: see options.h. One table row per option; the help text is made from the same table. */
#include "conmon/options.h"

#include <string.h>
#include <strings.h>

#include "lib/parse.h"

enum option_kind { KIND_FLAG, KIND_TEXT, KIND_INT, KIND_INT64, KIND_LIST };

struct option_row {
    const char *name;
    char letter;
    enum option_kind kind;
    size_t offset;
    const char *help; /* NULL: hidden */
};

#define AT(member) offsetof(struct options, member)

static const struct option_row rows[] = {
    {"api-version", 0, KIND_FLAG, AT(api_version), "speak protocol version 1 to the caller"},
    {"attach-stall-limit", 0, KIND_INT, AT(attach_stall_ms),
     "milliseconds a full attach client may stop the output; 0 drops at once, -1 waits for ever"},
    {"bundle", 'b', KIND_TEXT, AT(bundle), "bundle directory"},
    {"cid", 'c', KIND_TEXT, AT(container_id), "container id"},
    {"conmon-pidfile", 'P', KIND_TEXT, AT(monitor_pid_file), "file for the monitor's pid"},
    {"container-pidfile", 'p', KIND_TEXT, AT(container_pid_file), "file for the container's pid"},
    {"cuuid", 'u', KIND_TEXT, AT(container_uuid), "name of the link in the socket directory"},
    {"exec", 'e', KIND_FLAG, AT(exec), "run a process in an existing container"},
    {"exec-attach", 0, KIND_FLAG, AT(exec_attach), "wait for the caller to attach before the exec"},
    {"exec-process-spec", 0, KIND_TEXT, AT(process_spec), "process.json of the exec"},
    {"exit-command", 0, KIND_TEXT, AT(exit_command), "program to run when all is over"},
    {"exit-command-arg", 0, KIND_LIST, AT(exit_command_args), "argument of the exit command (repeatable)"},
    {"exit-delay", 0, KIND_INT, AT(exit_delay_s), "seconds to wait before the exit command"},
    {"exit-dir", 0, KIND_TEXT, AT(exit_dir), "directory for the exit status file"},
    {"full-attach", 0, KIND_FLAG, AT(full_attach), "attach socket in the bundle, no link"},
    {"help", 'h', KIND_FLAG, AT(help), "show this text"},
    {"help-all", '?', KIND_FLAG, AT(help), NULL},
    {"leave-stdin-open", 0, KIND_FLAG, AT(leave_stdin_open), "keep stdin open when a client leaves"},
    {"log-allowlist-dir", 0, KIND_LIST, AT(log_allowlist_dirs), "directory where rotation may create logs (repeatable)"},
    {"log-counters", 0, KIND_TEXT, AT(log_counters), "file for the log policy's counters"},
    {"log-global-size-max", 0, KIND_INT64, AT(log_global_size_max), "stop logging after this many bytes"},
    {"log-label", 0, KIND_LIST, AT(log_labels), "additional journald field K=V (repeatable)"},
    {"log-level", 0, KIND_TEXT, AT(log_level_text), "error, warning, info, debug or trace"},
    {"log-max-files", 0, KIND_INT, AT(log_max_files), "rotated files to keep"},
    {"log-path", 'l', KIND_LIST, AT(log_paths), "log driver: [k8s-file:|json-file:]PATH, journald, passthrough, none"},
    {"log-policy", 0, KIND_LIST, AT(log_policies),
     "[stdout:|stderr:]block|drop|sample|none[,lines=N[/BURST]][,bytes=N[/BURST]][,every=N] (repeatable)"},
    {"log-rotate", 0, KIND_FLAG, AT(log_rotate), "rotate by renaming instead of truncating"},
    {"log-size-max", 0, KIND_INT64, AT(log_size_max), "size limit of one log file"},
    {"log-tag", 0, KIND_TEXT, AT(log_tag), "journald tag"},
    {"name", 'n', KIND_TEXT, AT(name), "container name"},
    {"no-container-partial-message", 0, KIND_FLAG, AT(no_partial_message), "no CONTAINER_PARTIAL_MESSAGE in journald"},
    {"no-new-keyring", 0, KIND_FLAG, AT(no_new_keyring), "passed to the runtime"},
    {"no-pivot", 0, KIND_FLAG, AT(no_pivot), "passed to the runtime"},
    {"no-sync-log", 0, KIND_FLAG, AT(no_sync_log), "no fsync of the log at the end"},
    {"persist-dir", '0', KIND_TEXT, AT(persist_dir), "directory for the files exit and oom"},
    {"pidfile", 0, KIND_TEXT, AT(container_pid_file), NULL},
    {"replace-listen-pid", 0, KIND_FLAG, AT(replace_listen_pid), "set LISTEN_PID to the runtime's pid"},
    {"restore", 0, KIND_TEXT, AT(restore_path), "restore from this checkpoint"},
    {"restore-arg", 0, KIND_LIST, AT(runtime_opts), NULL},
    {"runtime", 'r', KIND_TEXT, AT(runtime), "OCI runtime executable"},
    {"runtime-arg", 0, KIND_LIST, AT(runtime_args), "runtime argument before the command (repeatable)"},
    {"runtime-opt", 0, KIND_LIST, AT(runtime_opts), "runtime argument after the command (repeatable)"},
    {"sdnotify-socket", 0, KIND_TEXT, AT(notify_socket), "relay readiness messages to this socket"},
    {"seccomp-notify-plugins", 0, KIND_TEXT, AT(ignored), NULL},
    {"seccomp-notify-socket", 0, KIND_TEXT, AT(ignored), NULL},
    {"socket-dir-path", 0, KIND_TEXT, AT(socket_dir), "directory of the link to the attach socket"},
    {"stdin", 'i', KIND_FLAG, AT(standard_input), "open stdin"},
    {"sync", 0, KIND_FLAG, AT(sync), "stay in the foreground"},
    {"syslog", 0, KIND_FLAG, AT(syslog), "copy diagnostics to syslog"},
    {"systemd-cgroup", 's', KIND_FLAG, AT(systemd_cgroup), "passed to the runtime"},
    {"terminal", 't', KIND_FLAG, AT(terminal), "the process has a terminal"},
    {"timeout", 'T', KIND_INT, AT(timeout_s), "seconds until the process is killed"},
    {"version", 0, KIND_FLAG, AT(version), "show the version"},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const struct option_row *row_by_letter(char letter)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].letter == letter && letter != '\0') {
            return &rows[i];
        }
    }
    return NULL;
}

static const struct option_row *row_by_name(const char *name, size_t length)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool store_value(const struct option_row *row, const char *value, struct options *options, struct text *error)
{
    char *target = (char *)options + row->offset;
    bool stored = true;

    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)(void *)target = true;
        break;
    case KIND_TEXT:
        *(const char **)(void *)target = value;
        break;
    case KIND_INT:
        stored = parse_int(value, (int *)(void *)target);
        break;
    case KIND_INT64:
        stored = parse_i64(value, (int64_t *)(void *)target);
        break;
    case KIND_LIST: {
        struct words *list = (struct words *)(void *)target;

        list->at[list->count++] = value;
        break;
    }
    }
    if (!stored) {
        text_join(error, "option --", row->name, " has the value \"", value, "\", expected an integer in range", NULL);
    }
    return stored;
}

/* `--name`, `--name=value`, `--name value`. `*index` moves over a consumed value. */
static bool parse_long(int argc, char **argv, int *index, struct options *options, struct text *error)
{
    const char *name = argv[*index] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct option_row *row = row_by_name(name, length);
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (row == NULL) {
        text_join(error, "unknown option ", argv[*index], NULL);
        return false;
    }
    if (row->kind != KIND_FLAG && value == NULL) {
        if (*index + 1 >= argc) {
            text_join(error, "option --", row->name, " lacks its value", NULL);
            return false;
        }
        value = argv[++*index];
    }
    return store_value(row, value, options, error);
}

/* A bundle of letters; only the last one may take a value, which is the next word. */
static bool parse_letters(int argc, char **argv, int *index, struct options *options, struct text *error)
{
    const char *letters = argv[*index] + 1;

    for (const char *letter = letters; *letter != '\0'; letter++) {
        const struct option_row *row = row_by_letter(*letter);
        const char *value = NULL;

        if (row == NULL) {
            text_join(error, "unknown option -", letters, NULL);
            return false;
        }
        if (row->kind != KIND_FLAG) {
            if (letter[1] != '\0') {
                text_join(error, "option -", letters, ": a value is a word of its own", NULL);
                return false;
            }
            if (*index + 1 >= argc) {
                text_join(error, "option --", row->name, " lacks its value", NULL);
                return false;
            }
            value = argv[++*index];
        }
        if (!store_value(row, value, options, error)) {
            return false;
        }
    }
    return true;
}

static void set_defaults(int argc, const char **pool, struct options *options)
{
    struct words *lists[OPTIONS_LISTS] = {&options->exit_command_args, &options->log_paths,
                                          &options->log_labels,        &options->log_allowlist_dirs,
                                          &options->log_policies,      &options->runtime_args,
                                          &options->runtime_opts};

    memset(options, 0, sizeof(*options));
    for (size_t i = 0; i < OPTIONS_LISTS; i++) {
        lists[i]->at = pool + i * (size_t)argc;
        lists[i]->count = 0;
    }
    options->socket_dir = "/var/run/crio";
    options->log_size_max = -1;
    options->log_global_size_max = -1;
    options->log_max_files = 1;
    options->attach_stall_ms = 1000;
    options->level = LEVEL_WARNING;
}

enum options_result options_parse(int argc, char **argv, const char **pool, struct options *options, struct text *error)
{
    set_defaults(argc, pool, options);
    for (int i = 1; i < argc; i++) {
        bool good = true;

        if (strcmp(argv[i], "--") == 0) {
            break;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            good = parse_long(argc, argv, &i, options, error);
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            good = parse_letters(argc, argv, &i, options, error);
        }
        if (!good) {
            return OPTIONS_BAD;
        }
    }
    return OPTIONS_OK;
}

static bool parse_level(const char *name, enum log_level *level)
{
    static const struct {
        const char *name;
        enum log_level level;
    } names[] = {{"error", LEVEL_ERROR},   {"fatal", LEVEL_ERROR}, {"panic", LEVEL_ERROR}, {"warn", LEVEL_WARNING},
                 {"warning", LEVEL_WARNING}, {"info", LEVEL_INFO},   {"debug", LEVEL_DEBUG}, {"trace", LEVEL_TRACE}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(names[i].name, name) == 0) {
            *level = names[i].level;
            return true;
        }
    }
    return false;
}

static const char *find_conflict(const struct options *options, bool attach_pipe)
{
    if (options->exec && options->restore_path != NULL) {
        return "--exec and --restore exclude each other";
    }
    if (options->exec_attach && !options->exec) {
        return "--exec-attach needs --exec";
    }
    if (options->exec_attach && !options->api_version) {
        return "--exec-attach needs --api-version";
    }
    if (options->container_uuid == NULL && (!options->exec || options->api_version)) {
        return "container uuid missing: use --cuuid";
    }
    if (options->runtime == NULL) {
        return "runtime path missing: use --runtime";
    }
    if (options->exec && options->process_spec == NULL) {
        return "process spec missing: use --exec-process-spec";
    }
    if (options->exit_delay_s < 0) {
        return "--exit-delay is negative";
    }
    if (options->log_paths.count == 0) {
        return "log driver missing: use --log-path";
    }
    if (options->exec_attach && !attach_pipe) {
        return "--exec-attach needs the environment variable _OCI_ATTACHPIPE";
    }
    return NULL;
}

enum options_result options_check(struct options *options, bool attach_pipe, struct text *error)
{
    const char *conflict;

    if (options->log_max_files < 0) {
        text_add(error, "--log-max-files is negative");
        return OPTIONS_BAD;
    }
    if (options->log_rotate && options->log_max_files == 0) {
        text_add(error, "--log-rotate needs --log-max-files of at least 1");
        return OPTIONS_BAD;
    }
    if (options->container_id == NULL || options->container_id[0] == '\0') {
        text_add(error, "container id missing: use --cid");
        return OPTIONS_BAD;
    }
    if (options->log_level_text != NULL && !parse_level(options->log_level_text, &options->level)) {
        text_join(error, "--log-level has the value \"", options->log_level_text,
                  "\", expected error, warning, info, debug or trace", NULL);
        return OPTIONS_BAD;
    }
    conflict = find_conflict(options, attach_pipe);
    if (conflict != NULL) {
        text_add(error, conflict);
        return OPTIONS_BAD;
    }
    return OPTIONS_OK;
}

void options_help(struct text *help)
{
    text_add(help, "Usage:\n  conmon [OPTION...] - monitor one container process\n\nOptions:\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].help == NULL) {
            continue;
        }
        text_add(help, rows[i].letter != '\0' ? "  -" : "   ");
        text_char(help, rows[i].letter != '\0' ? rows[i].letter : ' ');
        text_join(help, rows[i].letter != '\0' ? ", --" : "  --", rows[i].name,
                  rows[i].kind == KIND_FLAG ? "" : "=VALUE", "\n        ", rows[i].help, "\n", NULL);
    }
}
