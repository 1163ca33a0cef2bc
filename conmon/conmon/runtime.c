/* The OCI runtime: see runtime.h. */
#include "conmon/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conmon/runtime_argv.h"
#include "lib/fd.h"
#include "lib/io.h"
#include "lib/parse.h"
#include "lib/signals.h"

#define ATTACH_BACKLOG 128
#define SECOND_NS 1000000000LL
#define EXEC_FAILED 127

extern char **environ;

/* A pipe for the container; its side may be reopened by any user of the container through /dev/stdout. */
static bool make_pipe(struct monitor *monitor, int ours[2], int container_end)
{
    if (pipe2(ours, O_CLOEXEC) < 0) {
        monitor_fail_errno(monitor, -errno, "creating a pipe for", "the container");
        return false;
    }
    (void)fchmod(ours[container_end], 0777);
    return true;
}

/* Container-side ends, until the runtime has inherited them. */
struct container_ends {
    int in, out, err;
};

static bool prepare_streams(struct monitor *monitor, struct container_ends *ends)
{
    const struct options *options = &monitor->options;
    int pipe_fds[2];

    if (options->terminal) {
        monitor->input.state = STDIN_AWAITED;
    } else {
        if (options->standard_input) {
            if (!make_pipe(monitor, pipe_fds, 0)) {
                return false;
            }
            ends->in = pipe_fds[0];
            if (stdin_open(&monitor->input, &monitor->loop, pipe_fds[1], false) < 0) {
                monitor_fail(monitor, "preparing the container's stdin failed", NULL);
                return false;
            }
        }
        if (!make_pipe(monitor, pipe_fds, 1)) {
            return false;
        }
        ends->out = pipe_fds[1];
        if (stream_open(&monitor->streams, 0, pipe_fds[0], false) < 0) {
            monitor_fail(monitor, "preparing the container's stdout failed", NULL);
            return false;
        }
    }
    if (!make_pipe(monitor, pipe_fds, 1)) {
        return false;
    }
    ends->err = pipe_fds[1];
    if (stream_open(&monitor->streams, 1, pipe_fds[0], false) < 0) {
        monitor_fail(monitor, "preparing the container's stderr failed", NULL);
        return false;
    }
    monitor->streams.capturing = true;
    return true;
}

static bool prepare_attach(struct monitor *monitor)
{
    struct bundle *bundle = &monitor->bundle;
    int error;
    int fd;

    if (bundle->dir_fd < 0 || monitor->logs.passthrough) {
        return true;
    }
    error = bundle_link(bundle, &monitor->options);
    if (error < 0) {
        monitor_fail_errno(monitor, error, "linking the attach socket's directory at", bundle->link);
        return false;
    }
    fd = bundle_bind(bundle->dir_fd, "attach", SOCK_SEQPACKET, 0700);
    if (fd < 0 || listen(fd, ATTACH_BACKLOG) < 0 || attach_start(&monitor->attach, fd) < 0) {
        monitor_fail_errno(monitor, fd < 0 ? fd : -errno, "creating the attach socket in", bundle->path);
        return false;
    }
    bundle->listening = true;
    error = fifos_open(&monitor->fifos, bundle->dir_fd);
    if (error < 0) {
        monitor_fail_errno(monitor, error, "creating the control fifos in", bundle->path);
        return false;
    }
    return true;
}

bool runtime_prepare(struct monitor *monitor)
{
    if (monitor->options.terminal) {
        int error = console_listen(&monitor->console);

        if (error < 0) {
            monitor_fail_errno(monitor, error, "creating", "the console socket");
            return false;
        }
    }
    return prepare_attach(monitor);
}

static void restore_oom_score(const struct monitor *monitor)
{
    if (monitor->oom_score[0] != '\0') {
        AUTO_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        (void)!write(fd, monitor->oom_score, strlen(monitor->oom_score));
    }
}

/* Socket activation: the variable names the process that may use the sockets. `entry` is the room for the new one. */
static bool set_listen_pid(const struct monitor *monitor, char *entry, size_t capacity)
{
    static const char name[] = "LISTEN_PID=";
    struct text text = text_over(entry, capacity);

    for (char **variable = environ; *variable != NULL; variable++) {
        uint64_t pid;

        if (strncmp(*variable, name, sizeof(name) - 1) != 0) {
            continue;
        }
        if (!parse_decimal(*variable + sizeof(name) - 1, INT32_MAX, &pid) || pid == 0) {
            return false;
        }
        if (monitor->options.replace_listen_pid || (pid_t)pid == getppid()) {
            text_add(&text, name);
            text_signed(&text, getpid());
            *variable = entry;
        }
    }
    return true;
}

/* exec --exec-attach: the caller attaches first, then sends its second message. */
static void wait_for_attach(const struct monitor *monitor)
{
    char data[64];

    if (monitor->options.exec_attach && monitor->start_fd >= 0) {
        (void)io_read(monitor->start_fd, data, sizeof(data));
    }
}

static void say_and_exit(const char *what, const char *object, int error, int code)
{
    char data[512];
    struct text text = text_over(data, sizeof(data));

    text_join(&text, "conmon: ", what, object, error != 0 ? ": " : "", error != 0 ? strerror(error) : "", "\n", NULL);
    (void)!write(STDERR_FILENO, text.at, text.length);
    _exit(code);
}

/* In the new process, up to the exec. Writes to stderr only when the runtime cannot be executed. */
static void become_runtime(const struct monitor *monitor, const struct container_ends *ends, const char **argv, pid_t parent)
{
    char listen_pid[32];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(EXEC_FAILED);
    }
    signals_default();
    if (!monitor->logs.passthrough) {
        /* 0, 1 and 2 are /dev/null already. */
        if (ends->in >= 0) {
            (void)dup2(ends->in, STDIN_FILENO);
        }
        if (ends->out >= 0) {
            (void)dup2(ends->out, STDOUT_FILENO);
        }
        (void)dup2(ends->err, STDERR_FILENO);
    }
    if (!set_listen_pid(monitor, listen_pid, sizeof(listen_pid))) {
        say_and_exit("LISTEN_PID is not a process id", "", 0, 1);
    }
    wait_for_attach(monitor);
    restore_oom_score(monitor);
    (void)execv(monitor->options.runtime, (char *const *)(uintptr_t)argv);
    say_and_exit("executing the runtime ", monitor->options.runtime, errno, EXEC_FAILED);
}

static const char **build_argv(struct monitor *monitor)
{
    struct runtime_paths paths = {.bundle = monitor->bundle.path,
                                  .container_pid_file = monitor->container_pid_file,
                                  .console_socket = monitor->options.terminal ? monitor->console.path : NULL};
    size_t bytes = runtime_argv_slots(&monitor->options) * sizeof(char *);
    const char **argv = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (argv == MAP_FAILED) {
        return NULL;
    }
    (void)runtime_argv(&monitor->options, &paths, argv);
    return argv;
}

/* The daemon may go on only when its pid file is in place: a container nobody can find must not be started. */
static bool wait_for_pid_file(struct monitor *monitor)
{
    char data[1];
    bool in_place = true;

    if (monitor->pid_file_fd >= 0) {
        in_place = io_read(monitor->pid_file_fd, data, sizeof(data)) == 1;
        monitor->pid_file_fd = fd_close(monitor->pid_file_fd);
    }
    if (!in_place) {
        monitor_fail(monitor, "the monitor's pid file could not be written", NULL);
    }
    return in_place;
}

bool runtime_start(struct monitor *monitor)
{
    struct container_ends ends = {.in = -1, .out = -1, .err = -1};
    const char **argv = build_argv(monitor);
    pid_t self = getpid();
    bool prepared = prepare_streams(monitor, &ends) && wait_for_pid_file(monitor);

    if (prepared && argv == NULL) {
        monitor_fail(monitor, "no memory for the runtime's arguments", NULL);
        prepared = false;
    }
    if (prepared) {
        monitor->runtime_pid = fork();
        if (monitor->runtime_pid == 0) {
            become_runtime(monitor, &ends, argv, self);
        }
        if (monitor->runtime_pid < 0) {
            monitor_fail_errno(monitor, -errno, "forking for", "the runtime");
            prepared = false;
        }
    }
    (void)fd_close(ends.in);
    (void)fd_close(ends.out);
    (void)fd_close(ends.err);
    monitor->start_fd = fd_close(monitor->start_fd);
    if (argv != NULL) {
        (void)munmap(argv, runtime_argv_slots(&monitor->options) * sizeof(char *));
    }
    return prepared;
}

static void add_fate(struct text *text, int wait_status)
{
    int status = exit_status(wait_status);

    text_add(text, status > 128 && !WIFEXITED(wait_status) ? "was killed by signal " : "exited with status ");
    text_signed(text, status > 128 && !WIFEXITED(wait_status) ? status - 128 : status);
}

/* The runtime's own words are the best report; without any, say how it ended. */
static void fail_runtime(struct monitor *monitor, int wait_status)
{
    size_t length = streams_collect_capture(&monitor->streams);
    char data[128];
    struct text text = text_over(data, sizeof(data));

    if (length > 0) {
        report_failure(&monitor->report, monitor->capture, length);
    }
    text_add(&text, "the runtime ");
    add_fate(&text, wait_status);
    monitor_fail(monitor, data, NULL);
}

static pid_t read_pid(const struct monitor *monitor)
{
    char data[32];
    ssize_t length = io_read_file(AT_FDCWD, monitor->container_pid_file, data, sizeof(data));
    uint64_t pid;

    while (length > 0 && (data[length - 1] == '\n' || data[length - 1] == ' ')) {
        data[--length] = '\0';
    }
    return length > 0 && parse_decimal(data, INT32_MAX, &pid) ? (pid_t)pid : 0;
}

static bool check_console(struct monitor *monitor)
{
    if (!monitor->options.terminal || console_take_late(&monitor->console)) {
        return true;
    }
    console_stop(&monitor->console);
    if (monitor->console.error < 0) {
        monitor_fail_errno(monitor, monitor->console.error, "receiving", "the terminal from the runtime");
    } else {
        monitor_fail(monitor, "the runtime succeeded but did not send a terminal to the console socket", NULL);
    }
    return false;
}

static void fail_without_pid(struct monitor *monitor)
{
    size_t length = streams_collect_capture(&monitor->streams);

    if (length > 0) {
        report_failure(&monitor->report, monitor->capture, length);
    }
    monitor_fail(monitor, "the runtime succeeded but there is no pid in its pid file ", monitor->container_pid_file, NULL);
}

void runtime_ended(struct monitor *monitor, int wait_status)
{
    pid_t pid;

    monitor->runtime_done = true;
    monitor->runtime_pid = 0;
    if (exit_status(wait_status) != 0) {
        console_stop(&monitor->console);
        fail_runtime(monitor, wait_status);
        return;
    }
    if (!check_console(monitor)) {
        return;
    }
    pid = read_pid(monitor);
    if (pid <= 0) {
        fail_without_pid(monitor);
        return;
    }
    monitor->phase = PHASE_RUNNING;
    children_watch(&monitor->children, pid);
    report_started(&monitor->report, pid);
    if (!monitor->children.ended) {
        oom_watch(&monitor->oom, pid);
    }
    streams_end_capture(&monitor->streams);
    if (monitor->options.timeout_s > 0) {
        loop_set_timer(&monitor->loop, TIMER_TIMEOUT, monotonic_ns() + monitor->options.timeout_s * SECOND_NS);
    }
}
