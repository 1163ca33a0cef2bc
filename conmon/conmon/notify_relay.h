/* The sd-notify relay: a datagram socket in the bundle for the container, filtered and passed on to the host's. */
#ifndef CONMON_NOTIFY_RELAY_H
#define CONMON_NOTIFY_RELAY_H

#include "conmon/diag.h"
#include "conmon/loop.h"

struct notify_relay {
    int fd; /* owned; -1: no relay */
    const char *host_path;
    struct watch watch;
    struct loop *loop;
    struct diag *diag;
};

/* Bind notify/notify.sock below the bundle. Returns 0 or a negative errno. */
int notify_relay_open(struct notify_relay *relay, int bundle_fd, const char *host_path);

#endif
