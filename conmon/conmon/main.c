/* conmon: supervises one container process for a caller that may come and go.
 *
 * One process, one thread, one loop. Started once per container (or exec), it daemonizes, starts the OCI runtime, and
 * from then on owns the container's output, input, terminal, exit status and control fifos. It must not die before the
 * container does: nothing below main exits, an error of a peer is never fatal, and every peer may vanish at any time.
 *
 * The steps: startup (checks, go-ahead, daemon) - detach - prepare sockets - start the runtime - loop - ending.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conmon/ending.h"
#include "conmon/footprint.h"
#include "conmon/monitor.h"
#include "conmon/runtime.h"
#include "conmon/startup.h"
#include "lib/fd.h"
#include "lib/io.h"

#define PAGE_BYTES 4096UL

/* The end of the program's own data, set by the linker. */
extern char end[];

static void set_failed(struct monitor *monitor, const char *message)
{
    if (monitor->phase == PHASE_FAILED) {
        return;
    }
    monitor->phase = PHASE_FAILED;
    diag_say(&monitor->diag, LEVEL_ERROR, message, NULL);
}

void monitor_fail(struct monitor *monitor, ...)
{
    struct text text = text_over(monitor->failure, sizeof(monitor->failure));
    const char *string;
    va_list strings;

    va_start(strings, monitor);
    while ((string = va_arg(strings, const char *)) != NULL) {
        text_add(&text, string);
    }
    va_end(strings);
    set_failed(monitor, monitor->failure);
}

void monitor_fail_errno(struct monitor *monitor, int error, const char *what, const char *object)
{
    monitor_fail(monitor, what, " ", object, ": ", strerror(-error), NULL);
}

static void check_runtime(struct monitor *monitor)
{
    int status = 0;

    if (waitpid(monitor->runtime_pid, &status, WNOHANG) == monitor->runtime_pid) {
        runtime_ended(monitor, status);
    }
}

static void check_children(struct monitor *monitor)
{
    if (monitor->phase == PHASE_RUNTIME) {
        check_runtime(monitor);
    } else if (monitor->phase != PHASE_SETUP && monitor->children.pid > 0) {
        children_reap(&monitor->children);
    }
    if (monitor->phase == PHASE_RUNNING && monitor->children.ended) {
        monitor->phase = PHASE_ENDED;
    }
}

static void forward(struct monitor *monitor, int number)
{
    if (monitor->phase == PHASE_RUNTIME && monitor->runtime_pid > 0) {
        (void)kill(monitor->runtime_pid, number); /* not reaped yet, so the pid is the runtime's */
    } else if (monitor->phase == PHASE_RUNNING && !children_signal(&monitor->children, number)) {
        check_children(monitor);
    }
}

static void on_signal(void *owner, uint32_t events)
{
    struct monitor *monitor = owner;
    struct signalfd_siginfo info;

    (void)events;
    while (io_read(monitor->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGINT:
        case SIGQUIT:
            forward(monitor, (int)info.ssi_signo);
            break;
        default:
            break; /* everything else only wakes us */
        }
    }
    check_children(monitor);
}

static void on_timeout(void *owner)
{
    struct monitor *monitor = owner;

    check_children(monitor);
    if (monitor->phase == PHASE_RUNNING) {
        monitor->phase = PHASE_TIMEOUT;
    }
}

static void on_counters_due(void *owner)
{
    logs_write_counters(owner);
}

/* The terminal has arrived: it is the container's input and its stdout. */
static void on_master(void *owner, int master_fd)
{
    struct monitor *monitor = owner;
    int output_fd = fcntl(master_fd, F_DUPFD_CLOEXEC, 3);

    if (output_fd < 0 || stream_open(&monitor->streams, 0, output_fd, true) < 0) {
        diag_say(&monitor->diag, LEVEL_ERROR, "watching the terminal's output failed", NULL);
    }
    if (stdin_open(&monitor->input, &monitor->loop, master_fd, true) < 0) {
        diag_say(&monitor->diag, LEVEL_ERROR, "watching the terminal's input failed", NULL);
    }
}

/* All signals come through a descriptor, except those that mean a fault of our own. */
static int take_signals(struct monitor *monitor)
{
    static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPIPE};
    sigset_t taken;

    (void)sigfillset(&taken);
    for (size_t i = 0; i < sizeof(own_faults) / sizeof(own_faults[0]); i++) {
        (void)sigdelset(&taken, own_faults[i]);
    }
    (void)sigprocmask(SIG_SETMASK, &taken, NULL);
    if (signalfd(monitor->signal_fd, &taken, SFD_CLOEXEC | SFD_NONBLOCK) < 0) {
        return -errno;
    }
    return loop_watch(&monitor->loop, &monitor->signal_watch, monitor->signal_fd, EPOLLIN);
}

/* Let go of the caller's standard descriptors: it may wait for their end. */
static void detach_standard_fds(void)
{
    AUTO_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && null_fd >= 0; fd++) {
        (void)dup2(null_fd, fd);
    }
}

static void wire(struct monitor *monitor)
{
    monitor->signal_watch = (struct watch){.fd = -1, .order = ORDER_EXIT, .on_ready = on_signal, .owner = monitor};
    monitor->loop.timers[TIMER_TIMEOUT] = (struct timer){.due_ns = 0, .on_due = on_timeout, .owner = monitor};
    monitor->loop.timers[TIMER_COUNTERS] = (struct timer){.due_ns = 0, .on_due = on_counters_due, .owner = &monitor->logs};
    monitor->logs.loop = &monitor->loop;
    monitor->attach.loop = &monitor->loop;
    monitor->attach.diag = &monitor->diag;
    monitor->attach.target = &monitor->input;
    monitor->attach.input = monitor->buffers.input;
    monitor->attach.closes_stdin = !monitor->options.leave_stdin_open;
    monitor->attach.terminal = monitor->options.terminal;
    monitor->attach.stall_ms = monitor->options.attach_stall_ms;
    monitor->input.loop = &monitor->loop;
    monitor->streams.loop = &monitor->loop;
    monitor->streams.logs = &monitor->logs;
    monitor->streams.attach = &monitor->attach;
    monitor->streams.capture = monitor->capture;
    monitor->streams.buffers = (char *)&monitor->buffers;
    monitor->streams.buffers_bytes = sizeof(monitor->buffers);
    monitor->console.loop = &monitor->loop;
    monitor->console.diag = &monitor->diag;
    monitor->console.wanted = monitor->options.terminal;
    monitor->console.on_master = on_master;
    monitor->console.owner = monitor;
    monitor->fifos.console = &monitor->console;
    monitor->fifos.logs = &monitor->logs;
    monitor->fifos.loop = &monitor->loop;
    monitor->fifos.diag = &monitor->diag;
    monitor->children.loop = &monitor->loop;
    monitor->oom.loop = &monitor->loop;
    monitor->oom.diag = &monitor->diag;
    monitor->oom.bundle = &monitor->bundle;
    monitor->oom.persist_dir = monitor->options.persist_dir;
    monitor->relay.loop = &monitor->loop;
    monitor->relay.diag = &monitor->diag;
    streams_init(&monitor->streams);
    for (unsigned int i = 0; i < 2; i++) {
        monitor->streams.stream[i].data = monitor->buffers.stream[i];
    }
}

/* Where the runtime writes the container's pid. */
static bool choose_pid_file(struct monitor *monitor)
{
    struct text text = text_over(monitor->container_pid_path, sizeof(monitor->container_pid_path));

    monitor->container_pid_file = monitor->options.container_pid_file;
    if (monitor->container_pid_file == NULL) {
        text_join(&text, "pidfile-", monitor->options.container_id, NULL);
        monitor->container_pid_file = monitor->container_pid_path;
    }
    return !text.cut;
}

static void choose_counters_file(struct monitor *monitor)
{
    monitor->logs.counters_dir = monitor->bundle.dir_fd;
    if (monitor->options.log_counters != NULL) {
        monitor->logs.counters_dir = AT_FDCWD;
        monitor->logs.counters_path = monitor->options.log_counters;
    } else if (monitor->options.log_policies.count > 0 && monitor->bundle.dir_fd >= 0) {
        monitor->logs.counters_path = "log-counters";
    }
}

/* Everything up to the running runtime. False: monitor_fail has been told. */
static bool set_up(struct monitor *monitor)
{
    int error = loop_start(&monitor->loop);

    wire(monitor);
    report_init(&monitor->report, monitor->options.api_version, monitor->options.exec);
    if (!monitor->logs.passthrough) {
        detach_standard_fds();
        monitor->diag.visible = false;
    }
    (void)setsid();
    if (error == 0) {
        error = take_signals(monitor);
    }
    if (error < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || !choose_pid_file(monitor)) {
        monitor_fail_errno(monitor, error < 0 ? error : -errno, "setting up", "the monitor");
        return false;
    }
    error = bundle_open(&monitor->bundle, &monitor->options);
    if (error < 0) {
        monitor_fail_errno(monitor, error, "opening the bundle", monitor->bundle.path != NULL ? monitor->bundle.path : ".");
        return false;
    }
    choose_counters_file(monitor);
    if (monitor->options.notify_socket != NULL && monitor->bundle.dir_fd >= 0) {
        error = notify_relay_open(&monitor->relay, monitor->bundle.dir_fd, monitor->options.notify_socket);
        if (error < 0) {
            monitor_fail_errno(monitor, error, "creating the notify socket for", monitor->options.notify_socket);
            return false;
        }
    }
    if (!runtime_prepare(monitor)) {
        return false;
    }
    report_attachable(&monitor->report);
    return runtime_start(monitor);
}

static void run(struct monitor *monitor)
{
    bool settled = false;

    if (monitor->logs.passthrough) {
        detach_standard_fds();
        monitor->diag.visible = false;
    }
    monitor->phase = PHASE_RUNTIME;
    logs_write_counters(&monitor->logs);
    while (monitor->phase == PHASE_RUNTIME || monitor->phase == PHASE_RUNNING) {
        bool more = streams_work(&monitor->streams);

        more = attach_work(&monitor->attach) || more;
        if (!settled && monitor->phase == PHASE_RUNNING) {
            settled = true;
            footprint_prepare();
            monitor->loop.release_next = true;
        }
        if (loop_turn(&monitor->loop, more) < 0) {
            check_children(monitor); /* cannot happen; never give up on the container */
        }
        if (monitor->phase == PHASE_RUNNING && monitor->children.ended) {
            monitor->phase = PHASE_ENDED;
        }
    }
}

/* A monitor with nothing open. The memory is zero and untouched. It lies in the same two megabytes as the program, if the
 * kernel agrees, so that both share one page of page table. */
static struct monitor *new_monitor(void)
{
    void *wish = (void *)(((uintptr_t)end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1));
    struct monitor *monitor =
        mmap(wish, sizeof(*monitor), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (monitor == MAP_FAILED) {
        return NULL;
    }
    monitor->diag = (struct diag){.level = LEVEL_WARNING, .visible = true, .syslog_fd = -1};
    monitor->loop.epoll_fd = -1;
    monitor->loop.timer_fd = -1;
    monitor->report.sync_fd = -1;
    monitor->report.attach_fd = -1;
    monitor->logs.file.fd = -1;
    monitor->logs.journald.fd = -1;
    monitor->logs.counters_dir = -1;
    monitor->bundle.dir_fd = -1;
    monitor->attach.listen_fd = -1;
    monitor->attach.watch.fd = -1;
    monitor->input.fd = -1;
    monitor->input.watch.fd = -1;
    monitor->console.listen_fd = -1;
    monitor->console.connection_fd = -1;
    monitor->console.master_fd = -1;
    monitor->console.listen_watch.fd = -1;
    monitor->console.connection_watch.fd = -1;
    monitor->children.pid_fd = -1;
    monitor->children.watch.fd = -1;
    monitor->oom.event_fd = -1;
    monitor->oom.memory_fd = -1;
    monitor->relay.fd = -1;
    monitor->signal_fd = -1;
    monitor->start_fd = -1;
    monitor->pid_file_fd = -1;
    return monitor;
}

int main(int argc, char **argv)
{
    struct monitor *monitor = new_monitor();
    int code = 1;

    if (monitor == NULL || startup(monitor, argc, argv, &code) == STARTUP_DONE) {
        return code;
    }
    if (set_up(monitor)) {
        run(monitor);
    }
    return ending(monitor);
}
