/* Starting the OCI runtime and judging what became of it. */
#ifndef CONMON_RUNTIME_H
#define CONMON_RUNTIME_H

#include "conmon/monitor.h"

/* Make the pipes, the console socket, the attach socket and the fifos; tell the caller that attaching is possible.
 * False: monitor_fail has been told. */
bool runtime_prepare(struct monitor *monitor);

/* Fork and execute the runtime. */
bool runtime_start(struct monitor *monitor);

/* The runtime has ended with this wait status: enter PHASE_RUNNING, PHASE_ENDED or PHASE_FAILED. */
void runtime_ended(struct monitor *monitor, int wait_status);

#endif
