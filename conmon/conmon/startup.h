/* The part of the monitor's life in which the caller waits: checks, the go-ahead, daemonizing. */
#ifndef CONMON_STARTUP_H
#define CONMON_STARTUP_H

#include "conmon/monitor.h"

enum startup_result {
    STARTUP_GO,  /* this process is the monitor */
    STARTUP_DONE /* this process has nothing more to do; exit with `*code` */
};

/* Parse, check, open the logs, wait for the caller's go-ahead and become a daemon. */
enum startup_result startup(struct monitor *monitor, int argc, char **argv, int *code);

#endif
