/* All log drivers behind one door: see logs.h. */
#include "conmon/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "conmon/logspec.h"
#include "lib/io.h"

#define COUNTERS_PERIOD_NS 1000000000LL
#define COUNTERS_BYTES 2048
#define BLOCKED_READ_BYTES 4096
#define MARKER_BYTES 192

static const char *const stream_names[2] = {"stdout", "stderr"};

static bool open_driver(struct logs *logs, const char *spec, const struct options *options, const struct log_buffers *buffers,
                        struct text *error)
{
    struct logfile_limits limits = {.size_max = options->log_size_max,
                                    .global_max = options->log_global_size_max,
                                    .rotate = options->log_rotate,
                                    .max_files = options->log_max_files,
                                    .allowlist = &options->log_allowlist_dirs};
    enum log_driver driver = LOG_DRIVER_NONE;
    const char *path = NULL;
    int failure = 0;

    switch (logspec_parse(spec, &driver, &path)) {
    case LOGSPEC_OK:
        break;
    case LOGSPEC_EMPTY:
        text_add(error, "--log-path is empty, expected a driver or a path");
        return false;
    case LOGSPEC_NO_PATH:
        text_join(error, "--log-path has the value \"", spec, "\", expected a file name after the colon", NULL);
        return false;
    case LOGSPEC_UNKNOWN:
        text_join(error, "--log-path has the value \"", spec,
                  "\", expected k8s-file:PATH, json-file:PATH, journald, passthrough or none", NULL);
        return false;
    }
    if (driver == LOG_DRIVER_FILE) {
        failure = logfile_open(&logs->file, path, &limits, logs->diag, buffers->file);
    } else if (driver == LOG_DRIVER_JOURNALD) {
        if (!journal_check(options, error)) {
            return false;
        }
        failure = journald_open(&logs->journald, options, buffers->partial);
    } else if (driver == LOG_DRIVER_PASSTHROUGH) {
        logs->passthrough = true;
    }
    if (failure < 0) {
        text_join(error, "opening the log \"", spec, "\": ", strerror(-failure), NULL);
    }
    return failure == 0;
}

static bool set_policies(struct logs *logs, const struct options *options, struct text *error)
{
    for (size_t i = 0; i < options->log_policies.count; i++) {
        const char *spec = options->log_policies.at[i];
        bool good = true;

        if (strncmp(spec, "stdout:", 7) == 0) {
            good = logs_set_policy(logs, 0, spec + 7);
        } else if (strncmp(spec, "stderr:", 7) == 0) {
            good = logs_set_policy(logs, 1, spec + 7);
        } else {
            good = logs_set_policy(logs, 0, spec) && logs_set_policy(logs, 1, spec);
        }
        if (!good) {
            text_join(error, "--log-policy has the value \"", spec,
                      "\", expected [stdout:|stderr:]block|drop|sample|none[,lines=N[/BURST]][,bytes=N[/BURST]][,every=N]",
                      NULL);
            return false;
        }
    }
    return true;
}

bool logs_open(struct logs *logs, const struct options *options, const struct log_buffers *buffers, struct diag *diag,
               struct text *error)
{
    logs->diag = diag;
    logs->file.fd = -1;
    logs->journald.fd = -1;
    if (!set_policies(logs, options, error)) {
        return false;
    }
    for (size_t i = 0; i < options->log_paths.count; i++) {
        if (!open_driver(logs, options->log_paths.at[i], options, buffers, error)) {
            return false;
        }
    }
    if (logs->journald.fd < 0 && logs->file.fd >= 0) {
        if (options->log_tag != NULL || options->log_labels.count > 0) {
            text_join(error, options->log_tag != NULL ? "--log-tag" : "--log-label", " needs the journald driver", NULL);
            return false;
        }
        if (options->no_partial_message) {
            diag_say(diag, LEVEL_WARNING, "--no-container-partial-message has no effect without journald", NULL);
        }
    }
    return true;
}

static void add_to_drivers(struct logs *logs, unsigned int stream, const struct record_prefix *prefix,
                           const struct piece *piece)
{
    if (logs->file.fd >= 0) {
        logfile_add(&logs->file, prefix, piece);
    }
    if (logs->journald.fd >= 0) {
        journald_add(&logs->journald, stream, piece);
    }
}

/* The gap's marker line goes out through all drivers. The content buffer has slack, as framing demands. */
static void add_marker(struct logs *logs, unsigned int stream, const struct record_prefix *prefix, int64_t now_ns)
{
    char data[MARKER_BYTES + FRAMING_SLACK] = "";
    struct text text = text_over(data, MARKER_BYTES);
    struct policy *policy = &logs->policies[stream];
    struct piece piece = {.at = data, .length = 0, .whole = true};

    policy_marker(policy, now_ns, &text);
    piece.length = text.length;
    if (policy->gap.lines > 0) {
        add_to_drivers(logs, stream, prefix, &piece);
        logs->counters[stream].gaps++;
    }
    policy_gap_done(policy);
}

/* Whether the policy lets the piece through; writes the marker of a gap that ends here. */
static bool passes_policy(struct logs *logs, unsigned int stream, const struct record_prefix *prefix,
                          const struct piece *piece, int64_t now_ns)
{
    struct log_counters *counters = &logs->counters[stream];
    struct policy *policy = &logs->policies[stream];
    bool starts_line = !policy->inside_line;

    switch (policy_judge(policy, piece->length, piece->whole, now_ns)) {
    case POLICY_KEEP:
        return true;
    case POLICY_KEEP_AFTER_GAP:
        add_marker(logs, stream, prefix, now_ns);
        return true;
    case POLICY_LEAVE_OUT:
        counters->dropped_lines += starts_line ? 1 : 0;
        counters->dropped_bytes += piece->length + (piece->whole ? 1 : 0);
        break;
    }
    return false;
}

static void plan_counters(struct logs *logs)
{
    if (logs->counters_path != NULL && !logs->counters_stale) {
        logs->counters_stale = true;
        loop_set_timer(logs->loop, TIMER_COUNTERS, monotonic_ns() + COUNTERS_PERIOD_NS);
    }
}

/* The usual case, quickly: whole lines, for a file without limits alone. */
static void write_lines(struct logs *logs, unsigned int stream, const struct record_prefix *prefix, const char **at,
                        const char *end)
{
    struct log_counters *counters = &logs->counters[stream];
    const char *start = *at;
    uint64_t lines = logfile_add_lines(&logs->file, prefix, at, end);

    if (lines > 0) {
        counters->lines += lines - (logs->inside_line[stream] ? 1 : 0);
        counters->bytes += (uint64_t)(*at - start);
        logs->inside_line[stream] = false;
    }
}

size_t logs_write(struct logs *logs, unsigned int stream, const char *data, size_t length, bool flush)
{
    bool limited = logs->policies[stream].rule.action != POLICY_NONE || logs->policies[stream].in_gap;
    struct log_counters *counters = &logs->counters[stream];
    bool simple = !limited && logs->journald.fd < 0 && !logfile_has_limits(&logs->file);
    const char *end = data + length;
    struct record_prefix prefix;
    struct timespec now;
    struct piece piece;
    int64_t now_ns = 0;

    if (logs->file.fd < 0 && logs->journald.fd < 0) {
        return 0;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    timestamp_set(&logs->stamp, &now);
    record_prefix_set(&prefix, logs->stamp.text, stream == 1);
    if (limited) {
        now_ns = monotonic_ns();
    }
    for (;;) {
        if (simple) {
            write_lines(logs, stream, &prefix, &data, end);
        }
        if (!piece_next(&data, end, flush, &piece)) {
            break;
        }
        if (limited && !passes_policy(logs, stream, &prefix, &piece, now_ns)) {
            continue;
        }
        counters->lines += logs->inside_line[stream] ? 0 : 1;
        counters->bytes += piece.length + (piece.whole ? 1 : 0);
        logs->inside_line[stream] = !piece.whole;
        add_to_drivers(logs, stream, &prefix, &piece);
    }
    logfile_flush(&logs->file);
    plan_counters(logs);
    return (size_t)(end - data);
}

int64_t logs_wait_ns(struct logs *logs, unsigned int stream)
{
    int64_t wait_ns;

    if (logs->policies[stream].rule.action != POLICY_BLOCK) {
        return 0;
    }
    wait_ns = policy_wait_ns(&logs->policies[stream], monotonic_ns());
    logs->counters[stream].blocked_ns += (uint64_t)wait_ns;
    return wait_ns;
}

size_t logs_read_limit(const struct logs *logs, unsigned int stream)
{
    return logs->policies[stream].rule.action == POLICY_BLOCK ? BLOCKED_READ_BYTES : SIZE_MAX;
}

bool logs_set_policy(struct logs *logs, unsigned int stream, const char *text)
{
    struct policy_rule rule;

    if (!policy_parse(text, &rule)) {
        return false;
    }
    policy_start(&logs->policies[stream], &rule, monotonic_ns());
    return true;
}

void logs_reopen(struct logs *logs)
{
    logfile_reopen(&logs->file);
}

static void add_counter(struct text *text, const char *stream, const char *name, uint64_t value)
{
    text_join(text, stream, ".", name, " ", NULL);
    text_unsigned(text, value);
    text_char(text, '\n');
}

void logs_write_counters(struct logs *logs)
{
    char data[COUNTERS_BYTES];
    struct text text = text_over(data, sizeof(data));
    int error;

    logs->counters_stale = false;
    if (logs->counters_path == NULL) {
        return;
    }
    for (unsigned int i = 0; i < 2; i++) {
        const struct log_counters *counters = &logs->counters[i];

        text_join(&text, stream_names[i], ".policy ", NULL);
        policy_describe(&logs->policies[i].rule, &text);
        text_char(&text, '\n');
        add_counter(&text, stream_names[i], "lines", counters->lines);
        add_counter(&text, stream_names[i], "bytes", counters->bytes);
        add_counter(&text, stream_names[i], "dropped_lines", counters->dropped_lines);
        add_counter(&text, stream_names[i], "dropped_bytes", counters->dropped_bytes);
        add_counter(&text, stream_names[i], "gaps", counters->gaps);
        add_counter(&text, stream_names[i], "blocked_ms", counters->blocked_ns / 1000000);
    }
    add_counter(&text, "file", "lost_records", logs->file.all_lost_records);
    add_counter(&text, "file", "lost_bytes", logs->file.all_lost_bytes);
    add_counter(&text, "journald", "lost_entries", logs->journald.all_lost_entries);
    add_counter(&text, "journald", "lost_bytes", logs->journald.all_lost_bytes);
    error = io_write_file_atomic(logs->counters_dir, logs->counters_path, text.at, text.length, 0644);
    if (error < 0) {
        diag_errno(logs->diag, LEVEL_WARNING, error, "writing the counters file", logs->counters_path);
    }
}

void logs_finish(struct logs *logs)
{
    for (unsigned int i = 0; i < 2; i++) {
        if (logs->policies[i].in_gap) {
            struct record_prefix prefix;
            struct timespec now;

            (void)clock_gettime(CLOCK_REALTIME, &now);
            timestamp_set(&logs->stamp, &now);
            record_prefix_set(&prefix, logs->stamp.text, i == 1);
            add_marker(logs, i, &prefix, monotonic_ns());
        }
        journald_flush(&logs->journald, i);
    }
    logfile_flush(&logs->file);
    logs_write_counters(logs);
}

void logs_sync(struct logs *logs)
{
    logfile_sync(&logs->file);
}
