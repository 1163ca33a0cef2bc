/* Which sd-notify assignments of a container may reach the host's service manager. Pure. */
#ifndef CONMON_NOTIFY_FILTER_H
#define CONMON_NOTIFY_FILTER_H

#include <stddef.h>

/* Copy the allowed assignments of a datagram to `out` (as large as the datagram), joined by newlines. Returns the
 * length; 0 means that nothing is to be sent. */
size_t notify_filter(const char *datagram, size_t length, char *out);

#endif
