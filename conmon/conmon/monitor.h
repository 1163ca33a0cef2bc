/* The monitor's state: one struct, made once, passed down. There are no mutable globals.
 *
 * The large buffers are at its end, in memory that the kernel provides on first touch only: a monitor of a quiet
 * container costs a few pages.
 */
#ifndef CONMON_MONITOR_H
#define CONMON_MONITOR_H

#include <signal.h>
#include <sys/types.h>

#include "conmon/attach.h"
#include "conmon/bundle.h"
#include "conmon/children.h"
#include "conmon/console.h"
#include "conmon/diag.h"
#include "conmon/fifos.h"
#include "conmon/logs.h"
#include "conmon/loop.h"
#include "conmon/notify_relay.h"
#include "conmon/oom.h"
#include "conmon/options.h"
#include "conmon/report.h"
#include "conmon/stdin_target.h"
#include "conmon/streams.h"

#define INHERITED_FDS 512
#define FAILURE_BYTES 512

/* What the monitor is doing. Each phase has one way on, and every phase may go to PHASE_FAILED. */
enum phase {
    PHASE_SETUP,   /* nothing was started yet */
    PHASE_RUNTIME, /* the runtime is at work, the process's pid is not known */
    PHASE_RUNNING, /* the process runs */
    PHASE_ENDED,   /* the process ended */
    PHASE_TIMEOUT, /* the time limit came first */
    PHASE_FAILED   /* setup or the runtime failed */
};

struct monitor {
    struct options options;
    enum phase phase;
    struct diag diag;
    struct loop loop;
    struct report report;
    struct logs logs;
    struct attach attach;
    struct stdin_target input;
    struct streams streams;
    struct fifos fifos;
    struct console console;
    struct children children;
    struct notify_relay relay;
    struct watch signal_watch;
    int signal_fd;
    int start_fd;      /* owned; the caller's go-ahead, -1 when used up */
    int pid_file_fd;   /* owned; tells the daemon that its pid file is in place, -1: none */
    pid_t runtime_pid; /* 0: not running */
    int runtime_status;
    bool runtime_done;
    const char *container_pid_file;
    char oom_score[16]; /* the caller's oom_score_adj, "" unless it was changed */
    size_t inherited_count;
    /* Structs with long paths come last, so that the others share few pages. */
    int inherited[INHERITED_FDS];
    char container_pid_path[64 + 256];
    char failure[FAILURE_BYTES]; /* why PHASE_FAILED, when it was not the runtime's own message */
    struct bundle bundle;
    struct oom oom;
    /* Large buffers from here on; `buffers` is page-aligned and may be given back when idle. */
    char capture[CAPTURE_BYTES];
    char partial[LOG_PARTIAL_BYTES];
    _Alignas(4096) struct {
        char stream[2][STREAM_BUFFER_BYTES];
        char input[ATTACH_INPUT_BYTES];
        char log[LOGFILE_BUFFER_BYTES];
    } buffers;
};

/* Note why it failed, for the report. The strings up to NULL are joined. */
void monitor_fail(struct monitor *monitor, ...) __attribute__((sentinel));

/* As monitor_fail, ending in the text of a negative errno. */
void monitor_fail_errno(struct monitor *monitor, int error, const char *what, const char *object);

#endif
