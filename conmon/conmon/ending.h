/* The end: from the process's exit to the monitor's. The order of the steps is a contract with the callers. */
#ifndef CONMON_ENDING_H
#define CONMON_ENDING_H

#include "conmon/monitor.h"

/* Do everything that is due after PHASE_ENDED, PHASE_TIMEOUT or PHASE_FAILED; returns the monitor's exit code. */
int ending(struct monitor *monitor);

#endif
