/* Exchanging the log file for a new one. */
#ifndef CONMON_LOGROTATE_H
#define CONMON_LOGROTATE_H

#include "conmon/logfile.h"

/* Put a new empty file at the path, whatever is there. Returns its descriptor (owned by the caller) or a negative errno;
 * on failure the old file stays. */
int logrotate_replace(const struct logfile *file);

/* Shift PATH to PATH.1 and so on, then put a new file at the path. A path that no longer leads to our file is left
 * alone: somebody moved it away on purpose. */
int logrotate_shift(const struct logfile *file);

#endif
