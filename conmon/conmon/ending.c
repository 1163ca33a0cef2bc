/* The end: see ending.h.
 *
 * What is published first must be complete first: OOM file, logs, then the exit files (persist directory, then exit
 * directory), then end of file for the clients, then the sync pipe, then the exit command. The attach socket and the
 * link are removed before the exit files, because their appearance may make the caller start the next monitor in the
 * same bundle. The log is synced last: a slow disk must not delay any of it.
 */
#include "conmon/ending.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/signals.h"
#include "lib/syscalls.h"

#define CLIENT_PATIENCE_NS 10000000000LL
#define EXIT_FILE_TRIES 5
#define EXIT_FILE_PAUSE_MS 20

static void close_inherited(struct monitor *monitor)
{
    for (size_t i = 0; i < monitor->inherited_count; i++) {
        (void)fd_close(monitor->inherited[i]);
    }
    monitor->inherited_count = 0;
}

static bool write_exit_file(struct monitor *monitor, const char *directory, const char *name, int status)
{
    AUTO_FD int dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char data[16];
    struct text text = text_over(data, sizeof(data));
    int error = dir_fd < 0 ? -errno : -EAGAIN;

    text_signed(&text, status);
    for (int attempt = 0; dir_fd >= 0 && attempt < EXIT_FILE_TRIES && error < 0; attempt++) {
        if (attempt > 0) {
            (void)poll(NULL, 0, EXIT_FILE_PAUSE_MS);
        }
        error = io_write_file_atomic(dir_fd, name, text.at, text.length, 0644);
    }
    if (error < 0) {
        diag_errno(&monitor->diag, LEVEL_ERROR, error, "writing the exit file in", directory);
    }
    return error == 0;
}

static bool write_exit_files(struct monitor *monitor, int status)
{
    const struct options *options = &monitor->options;
    bool written = true;

    if (options->persist_dir != NULL) {
        written = write_exit_file(monitor, options->persist_dir, "exit", status);
    }
    if (options->exit_dir != NULL) {
        written = write_exit_file(monitor, options->exit_dir, options->container_id, status) && written;
    }
    return written;
}

static void on_patience_over(void *owner)
{
    (void)owner; /* flush_clients looks at the clock itself */
}

/* Give clients what is queued for them, as long as one of them keeps taking it. */
static void flush_clients(struct monitor *monitor)
{
    struct loop *loop = &monitor->loop;

    loop->timers[TIMER_STALL] = (struct timer){.due_ns = 0, .on_due = on_patience_over, .owner = monitor};
    stdin_close(&monitor->input);
    for (;;) {
        bool more = attach_work(&monitor->attach);
        int64_t until_ns;

        if (!attach_has_queued(&monitor->attach)) {
            return;
        }
        until_ns = attach_progress_ns(&monitor->attach) + CLIENT_PATIENCE_NS;
        if (monotonic_ns() >= until_ns) {
            return;
        }
        loop_set_timer(loop, TIMER_STALL, until_ns);
        if (loop_turn(loop, more) < 0) {
            return;
        }
    }
}

/* Logs and exit files of a process that has run. Returns the exit code. */
static int publish(struct monitor *monitor)
{
    bool timed_out = monitor->phase == PHASE_TIMEOUT;
    int status = timed_out ? -1 : monitor->children.status;
    bool written;

    oom_check_last(&monitor->oom);
    if (timed_out) {
        children_kill_group(&monitor->children);
    }
    /* Whoever is attached gets the last output; clients that lag must not hold it up. */
    (void)attach_work(&monitor->attach);
    monitor->attach.unbounded = true;
    streams_drain(&monitor->streams);
    logs_finish(&monitor->logs);
    close_inherited(monitor);
    attach_stop_listening(&monitor->attach);
    bundle_clean(&monitor->bundle);
    written = write_exit_files(monitor, status);
    flush_clients(monitor);
    attach_close(&monitor->attach);
    report_ended(&monitor->report, status, timed_out ? "command timed out" : NULL);
    return written ? status & 0xff : 1;
}

/* What the exit command must not see: it may start another monitor. */
static void clean_environment(void)
{
    (void)unsetenv("_OCI_SYNCPIPE");
    (void)unsetenv("_OCI_STARTPIPE");
    (void)unsetenv("_OCI_ATTACHPIPE");
}

static void become_exit_command(const struct monitor *monitor, const char **argv)
{
    const char *program = monitor->options.exit_command;

    signals_default();
    if (monitor->options.exit_delay_s > 0) {
        (void)poll(NULL, 0, monitor->options.exit_delay_s > INT32_MAX / 1000 ? INT32_MAX : monitor->options.exit_delay_s * 1000);
    }
    if (monitor->oom_score[0] != '\0') {
        AUTO_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        (void)!write(fd, monitor->oom_score, strlen(monitor->oom_score));
    }
    clean_environment();
    (void)sys_close_range(3, ~0U, 0);
    (void)execv(program, (char *const *)(uintptr_t)argv);
    _exit(1);
}

static pid_t start_exit_command(struct monitor *monitor)
{
    const struct words *words = &monitor->options.exit_command_args;
    size_t count = words->count + 2;
    const char **argv;
    pid_t pid;

    if (monitor->options.exit_command == NULL) {
        return 0;
    }
    argv = calloc(count, sizeof(*argv));
    if (argv == NULL) {
        return 0;
    }
    argv[0] = monitor->options.exit_command;
    for (size_t i = 0; i < words->count; i++) {
        argv[i + 1] = words->at[i];
    }
    /* The command may daemonize: what it leaves behind is not for us to wait for. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 0);
    pid = fork();
    if (pid == 0) {
        become_exit_command(monitor, argv);
    }
    free(argv);
    return pid;
}

/* With an exit command wait for all children, else only collect those that are done. */
static void reap_rest(bool wait)
{
    pid_t got;

    do {
        got = waitpid(-1, NULL, wait ? 0 : WNOHANG);
    } while (got > 0 || (got < 0 && errno == EINTR));
}

int ending(struct monitor *monitor)
{
    bool was_started = monitor->runtime_done || monitor->runtime_pid > 0;
    pid_t command = 0;
    int code = 1;

    console_stop(&monitor->console);
    if (monitor->phase == PHASE_FAILED) {
        report_failure(&monitor->report, monitor->failure, strlen(monitor->failure));
        attach_close(&monitor->attach);
        bundle_clean(&monitor->bundle);
        logs_finish(&monitor->logs);
        close_inherited(monitor);
    } else {
        code = publish(monitor);
    }
    streams_close(&monitor->streams);
    report_close(&monitor->report);
    if (was_started) {
        command = start_exit_command(monitor);
    }
    if (!monitor->options.no_sync_log) {
        logs_sync(&monitor->logs);
    }
    (void)sys_close_range(3, ~0U, 0);
    reap_rest(command > 0);
    return code;
}
