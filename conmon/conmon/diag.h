/* The monitor's own diagnostics: `[conmon:X]: text` on stderr while that is the caller's, and syslog when asked for.
 *
 * Never blocks, never fails, limited in rate, and never writes into a container's streams: after the daemon has detached
 * `visible` is false and stderr is left alone.
 */
#ifndef CONMON_DIAG_H
#define CONMON_DIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "conmon/options.h"

struct diag {
    enum log_level level;
    bool visible;
    bool to_syslog;
    int syslog_fd;
    const char *container_id;
    int64_t window_ns;
    unsigned int window_count;
};

/* Say the strings up to NULL, as one line. */
void diag_say(struct diag *diag, enum log_level level, ...) __attribute__((sentinel));

/* As diag_say, followed by the text of a (negative) errno. */
void diag_errno(struct diag *diag, enum log_level level, int error, const char *what, const char *object);

#endif
