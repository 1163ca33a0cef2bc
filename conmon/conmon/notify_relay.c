/* The sd-notify relay: see notify_relay.h. */
#include "conmon/notify_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "conmon/bundle.h"
#include "conmon/notify_filter.h"
#include "lib/fd.h"

#define DATAGRAM_BYTES 32768

static socklen_t host_address(const char *path, struct sockaddr_un *address)
{
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof(address->sun_path)) {
        return 0;
    }
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    if (path[0] == '@') {
        address->sun_path[0] = '\0';
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    }
    return (socklen_t)sizeof(*address);
}

static void on_datagram(void *owner, uint32_t events)
{
    struct notify_relay *relay = owner;
    char data[DATAGRAM_BYTES], filtered[DATAGRAM_BYTES];
    struct sockaddr_un address;
    socklen_t address_length = host_address(relay->host_path, &address);

    (void)events;
    for (;;) {
        ssize_t got = recv(relay->fd, data, sizeof(data), MSG_DONTWAIT);
        size_t length;

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return;
        }
        length = notify_filter(data, (size_t)got, filtered);
        if (length > 0 && sendto(relay->fd, filtered, length, MSG_DONTWAIT | MSG_NOSIGNAL,
                                 (struct sockaddr *)&address, address_length) < 0) {
            diag_errno(relay->diag, LEVEL_WARNING, errno, "passing a notification on to", relay->host_path);
        }
    }
}

int notify_relay_open(struct notify_relay *relay, int bundle_fd, const char *host_path)
{
    AUTO_FD int directory = openat(bundle_fd, "notify", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct sockaddr_un address;

    if (directory < 0) {
        return -errno;
    }
    if (host_address(host_path, &address) == 0) {
        return -ENAMETOOLONG;
    }
    relay->fd = bundle_bind(directory, "notify.sock", SOCK_DGRAM, 0777);
    if (relay->fd < 0) {
        return relay->fd;
    }
    relay->host_path = host_path;
    relay->watch = (struct watch){.fd = -1, .order = ORDER_NORMAL, .on_ready = on_datagram, .owner = relay};
    return loop_watch(relay->loop, &relay->watch, relay->fd, EPOLLIN);
}
