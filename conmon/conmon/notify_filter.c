/* The sd-notify filter: see notify_filter.h. A container must not be able to change the service's main pid, extend
 * time limits or store descriptors, so this is a list of what is allowed. */
#include "conmon/notify_filter.h"

#include <stdbool.h>
#include <string.h>

static bool is_allowed(const char *line, size_t length)
{
    static const char *const exact[] = {"READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger"};
    static const char *const prefix[] = {"STATUS=", "ERRNO=", "BUSERROR=", "MONOTONIC_USEC="};

    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        if (length == strlen(exact[i]) && memcmp(line, exact[i], length) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++) {
        if (length >= strlen(prefix[i]) && memcmp(line, prefix[i], strlen(prefix[i])) == 0) {
            return true;
        }
    }
    return false;
}

size_t notify_filter(const char *datagram, size_t length, char *out)
{
    const char *end = datagram + length;
    size_t used = 0;

    while (datagram < end) {
        const char *stop = datagram;
        size_t line;

        while (stop < end && *stop != '\n' && *stop != '\r') {
            stop++;
        }
        line = (size_t)(stop - datagram);
        if (is_allowed(datagram, line)) {
            if (used > 0) {
                out[used++] = '\n';
            }
            memcpy(out + used, datagram, line);
            used += line;
        }
        datagram = stop < end ? stop + 1 : end;
    }
    return used;
}
