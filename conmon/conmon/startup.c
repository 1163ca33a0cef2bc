/* Before the monitor is one: see startup.h. Whatever is wrong here is said on stderr, and the process exits with 1. */
#include "conmon/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/parse.h"
#include "lib/signals.h"
#include "version.h"

/* The version is that of the command line and the files, which other programs read; whose program it is, the commit says. */
#define VERSION_TEXT "conmon version 2.2.1\ncommit: crio-native-c " CRIO_VERSION " " CRIO_COMMIT "\n"
#define START_BYTES 8192

/* The three standard descriptors must be something, or the next open would become one of them. */
static void occupy_standard_fds(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    (void)fd_close(fd);
}

static bool parse_environment_fd(struct monitor *monitor, const char *name, int *fd)
{
    const char *value = getenv(name);
    uint64_t number;
    int flags;

    *fd = -1;
    if (value == NULL) {
        return true;
    }
    if (!parse_decimal(value, INT32_MAX, &number) || number <= STDERR_FILENO) {
        diag_say(&monitor->diag, LEVEL_ERROR, name, " has the value \"", value, "\", expected a descriptor number above 2",
                 NULL);
        return false;
    }
    flags = fcntl((int)number, F_GETFD);
    if (flags < 0 || fcntl((int)number, F_SETFD, flags | FD_CLOEXEC) < 0) {
        diag_say(&monitor->diag, LEVEL_ERROR, name, " has the value \"", value, "\", which is not an open descriptor", NULL);
        return false;
    }
    *fd = (int)number;
    return true;
}

struct directory_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* Remember which descriptors the caller left open, to close them just before the exit is published. */
static void list_inherited(struct monitor *monitor)
{
    AUTO_FD int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _Alignas(8) char data[1024];
    long got;

    while (directory >= 0 && (got = syscall(SYS_getdents64, directory, data, sizeof(data))) > 0) {
        for (long at = 0; at < got;) {
            const struct directory_entry *entry = (const void *)(data + at);
            uint64_t fd;

            if (parse_decimal(entry->name, INT32_MAX, &fd) && fd > STDERR_FILENO && (int)fd != directory &&
                monitor->inherited_count < INHERITED_FDS) {
                monitor->inherited[monitor->inherited_count++] = (int)fd;
            }
            at += entry->length;
        }
    }
}

static void forget_inherited(struct monitor *monitor, int fd)
{
    for (size_t i = 0; i < monitor->inherited_count; i++) {
        if (monitor->inherited[i] == fd) {
            monitor->inherited[i] = monitor->inherited[--monitor->inherited_count];
            return;
        }
    }
}

/* True when the program has only to print something. */
static bool print_and_leave(const struct options *options)
{
    char data[OPTIONS_HELP_BYTES];
    struct text help = text_over(data, sizeof(data));

    if (options->help) {
        options_help(&help);
        (void)io_write_all(STDOUT_FILENO, help.at, help.length);
        return true;
    }
    if (options->version) {
        (void)io_write_all(STDOUT_FILENO, VERSION_TEXT, sizeof(VERSION_TEXT) - 1);
        return true;
    }
    return false;
}

static bool take_pipes(struct monitor *monitor)
{
    if (!parse_environment_fd(monitor, "_OCI_SYNCPIPE", &monitor->report.sync_fd) ||
        !parse_environment_fd(monitor, "_OCI_STARTPIPE", &monitor->start_fd) ||
        !parse_environment_fd(monitor, "_OCI_ATTACHPIPE", &monitor->report.attach_fd)) {
        return false;
    }
    forget_inherited(monitor, monitor->report.sync_fd);
    forget_inherited(monitor, monitor->start_fd);
    forget_inherited(monitor, monitor->report.attach_fd);
    return true;
}

static bool check_options(struct monitor *monitor)
{
    struct options *options = &monitor->options;
    struct log_buffers buffers = {.file = monitor->buffers.log, .partial = monitor->partial};
    char data[1024];
    struct text error = text_over(data, sizeof(data));

    if (!take_pipes(monitor)) {
        return false;
    }
    if (options_check(options, monitor->report.attach_fd >= 0, &error) != OPTIONS_OK) {
        diag_say(&monitor->diag, LEVEL_ERROR, data, NULL);
        return false;
    }
    monitor->diag.level = options->level;
    monitor->diag.to_syslog = options->syslog;
    monitor->diag.container_id = options->container_id;
    if (access(options->runtime, X_OK) != 0) {
        diag_errno(&monitor->diag, LEVEL_ERROR, errno, "--runtime cannot be executed:", options->runtime);
        return false;
    }
    if (!logs_open(&monitor->logs, options, &buffers, &monitor->diag, &error)) {
        diag_say(&monitor->diag, LEVEL_ERROR, data, NULL);
        return false;
    }
    if (options->ignored != NULL) {
        diag_say(&monitor->diag, LEVEL_WARNING, "the seccomp notify options have no effect", NULL);
    }
    return true;
}

/* Become the last one the OOM killer takes. Without the capability this fails, which is normal. */
static void lower_oom_score(struct monitor *monitor)
{
    static const char lowest[] = "-1000";
    AUTO_FD int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    ssize_t got;

    if (fd < 0) {
        return;
    }
    got = io_read(fd, monitor->oom_score, sizeof(monitor->oom_score) - 1);
    if (got <= 0 || lseek(fd, 0, SEEK_SET) != 0 || write(fd, lowest, sizeof(lowest) - 1) < 0) {
        monitor->oom_score[0] = '\0';
        return;
    }
    monitor->oom_score[got] = '\0';
}

enum go_ahead { GO_AHEAD, GO_TERMINATED, GO_FAILED };

/* Wait for the caller's first message (or its end), or for SIGTERM. All of a first message is taken with one read. */
static enum go_ahead wait_for_start(struct monitor *monitor)
{
    struct pollfd ready[2] = {{.fd = monitor->start_fd, .events = POLLIN}, {.fd = monitor->signal_fd, .events = POLLIN}};
    char data[START_BYTES];
    ssize_t got;

    for (;;) {
        if (poll(ready, 2, -1) < 0 && errno != EINTR) {
            return GO_FAILED;
        }
        if ((ready[1].revents & POLLIN) != 0) {
            return GO_TERMINATED;
        }
        if (ready[0].revents != 0) {
            got = io_read(monitor->start_fd, data, sizeof(data));
            if (got != -EAGAIN) {
                return got >= 0 ? GO_AHEAD : GO_FAILED;
            }
        }
    }
}

/* The daemon's half of daemonizing is in `*code` = 0 and STARTUP_GO; the caller's half writes the pid file. */
static enum startup_result daemonize(struct monitor *monitor, int *code)
{
    int ends[2] = {-1, -1};
    char data[16];
    struct text text = text_over(data, sizeof(data));
    pid_t pid;
    int error = 0;

    if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        diag_errno(&monitor->diag, LEVEL_ERROR, errno, "starting", "the daemon");
        *code = 1;
        return STARTUP_DONE;
    }
    if (pid == 0) {
        (void)fd_close(ends[1]);
        monitor->pid_file_fd = ends[0];
        return STARTUP_GO;
    }
    text_signed(&text, pid);
    if (monitor->options.monitor_pid_file != NULL) {
        error = io_write_file_atomic(AT_FDCWD, monitor->options.monitor_pid_file, data, text.length, 0644);
    }
    if (error < 0) {
        /* The daemon finds its pipe closed and gives up before anything was started. */
        diag_errno(&monitor->diag, LEVEL_ERROR, error, "writing the pid file", monitor->options.monitor_pid_file);
        *code = 1;
        return STARTUP_DONE;
    }
    (void)!write(ends[1], "+", 1);
    *code = 0;
    return STARTUP_DONE;
}

/* --sync: no fork; the pid file is written all the same. */
static enum startup_result stay(struct monitor *monitor, int *code)
{
    char data[16];
    struct text text = text_over(data, sizeof(data));
    int error;

    if (monitor->options.monitor_pid_file == NULL) {
        return STARTUP_GO;
    }
    text_signed(&text, getpid());
    error = io_write_file_atomic(AT_FDCWD, monitor->options.monitor_pid_file, data, text.length, 0644);
    if (error < 0) {
        diag_errno(&monitor->diag, LEVEL_ERROR, error, "writing the pid file", monitor->options.monitor_pid_file);
        *code = 1;
        return STARTUP_DONE;
    }
    return STARTUP_GO;
}

/* SIGTERM is looked at only where waiting is harmless; a closed pipe is an error code, not a signal. */
static void prepare_signals(struct monitor *monitor)
{
    sigset_t terminate;

    /* An ignored SIGCHLD would hide the end of every child, and an ignored SIGTERM never be read. */
    signals_default();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&terminate);
    (void)sigaddset(&terminate, SIGTERM);
    (void)sigprocmask(SIG_SETMASK, &terminate, NULL);
    monitor->signal_fd = signalfd(-1, &terminate, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool parse(struct monitor *monitor, int argc, char **argv)
{
    size_t bytes = OPTIONS_LISTS * (size_t)argc * sizeof(char *);
    char data[512];
    struct text error = text_over(data, sizeof(data));
    const char **pool = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pool == MAP_FAILED) {
        return false;
    }
    if (options_parse(argc, argv, pool, &monitor->options, &error) != OPTIONS_OK) {
        diag_say(&monitor->diag, LEVEL_ERROR, data, NULL);
        return false;
    }
    return true;
}

enum startup_result startup(struct monitor *monitor, int argc, char **argv, int *code)
{
    occupy_standard_fds();
    list_inherited(monitor);
    prepare_signals(monitor);
    (void)umask(0022);
    *code = 1;
    if (!parse(monitor, argc, argv)) {
        return STARTUP_DONE;
    }
    if (print_and_leave(&monitor->options)) {
        *code = 0;
        return STARTUP_DONE;
    }
    if (!check_options(monitor)) {
        return STARTUP_DONE;
    }
    lower_oom_score(monitor);
    if (monitor->start_fd >= 0) {
        switch (wait_for_start(monitor)) {
        case GO_AHEAD:
            break;
        case GO_FAILED:
            diag_say(&monitor->diag, LEVEL_ERROR, "reading the start pipe failed", NULL);
            return STARTUP_DONE;
        case GO_TERMINATED:
            return STARTUP_DONE;
        }
        if (!monitor->options.exec_attach) {
            monitor->start_fd = fd_close(monitor->start_fd);
        }
    }
    return monitor->options.sync ? stay(monitor, code) : daemonize(monitor, code);
}
