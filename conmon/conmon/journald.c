/* The journald driver: see journald.h. */
#include "conmon/journald.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/io.h"
#include "lib/text.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define PATIENCE_MS 100
#define MARKER_BYTES 160

int journald_open(struct journald *journald, const struct options *options, char *partial)
{
    size_t capacity = journal_fields_bytes(options);
    struct text text;
    char *data;

    journald->fd = fd_close(journald->fd);
    data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        return -errno;
    }
    text = text_over(data, capacity);
    text_join(&text, "CONTAINER_ID_FULL=", options->container_id, "\n", NULL);
    journald->constant.id_full = data;
    journald->constant.id_full_length = text.length;
    journal_fields(options, &text);
    journald->constant.fields = data + journald->constant.id_full_length;
    journald->constant.fields_length = text.length - journald->constant.id_full_length;
    journald->constant.labels = data + text.length;
    journal_labels(options, &text);
    journald->constant.labels_length = text.length - (size_t)(journald->constant.labels - data);
    journald->mark_partial = !options->no_partial_message;
    journald->partial[0] = partial;
    journald->partial[1] = partial + PIECE_BYTES + FRAMING_SLACK;
    journald->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return journald->fd < 0 ? -errno : 0;
}

/* An entry too large for a datagram goes as a sealed memory file. */
static int send_as_file(int fd, struct msghdr *message)
{
    AUTO_FD int file = memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr carrier = {.msg_name = message->msg_name, .msg_namelen = message->msg_namelen};
    struct cmsghdr *header;

    if (file < 0) {
        return -errno;
    }
    for (size_t i = 0; i < (size_t)message->msg_iovlen; i++) {
        if (io_write_all(file, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len) < 0) {
            return -EIO;
        }
    }
    (void)fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    memset(&control, 0, sizeof(control));
    carrier.msg_control = &control;
    carrier.msg_controllen = sizeof(control.space);
    header = CMSG_FIRSTHDR(&carrier);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &file, sizeof(file));
    return sendmsg(fd, &carrier, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int send_once(int fd, struct msghdr *message)
{
    int error;

    do {
        error = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
    } while (error == -EINTR);
    if (error == -EMSGSIZE || error == -ENOBUFS) {
        error = send_as_file(fd, message);
    }
    return error;
}

/* Send an entry; while journald is stuck only one try is made. */
static bool send_entry(struct journald *journald, const struct journal_entry *entry)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
    struct iovec vector[JOURNAL_PIECES];
    char head[16];
    struct msghdr message = {.msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = vector};
    int error;

    message.msg_iovlen = (int)journal_compose(entry, &journald->constant, head, vector);
    error = send_once(journald->fd, &message);
    if (error == -EAGAIN && !journald->stuck) {
        /* A datagram socket does not tell when its peer's queue has room: wait a little, then try again. */
        (void)poll(NULL, 0, PATIENCE_MS);
        error = send_once(journald->fd, &message);
    }
    return error == 0;
}

static void send_marker(struct journald *journald)
{
    char data[MARKER_BYTES];
    struct text text = text_over(data, sizeof(data));
    struct journal_entry entry = {.newline = true, .is_stderr = true, .partial = false};

    text_add(&text, "[conmon: journal did not take entries: ");
    text_unsigned(&text, journald->lost_entries);
    text_add(&text, " entries, ");
    text_unsigned(&text, journald->lost_bytes);
    text_add(&text, " bytes lost]");
    entry.message = text.at;
    entry.length = text.length;
    if (send_entry(journald, &entry)) {
        journald->stuck = false;
        journald->lost_entries = 0;
        journald->lost_bytes = 0;
    }
}

static void send_counted(struct journald *journald, const struct journal_entry *entry)
{
    if (journald->stuck) {
        send_marker(journald);
    }
    if (!journald->stuck && send_entry(journald, entry)) {
        return;
    }
    journald->stuck = true;
    journald->lost_entries++;
    journald->lost_bytes += entry->length;
    journald->all_lost_entries++;
    journald->all_lost_bytes += entry->length;
}

void journald_flush(struct journald *journald, unsigned int stream)
{
    struct journal_entry entry = {.message = journald->partial[stream],
                                  .length = journald->partial_length[stream],
                                  .newline = false,
                                  .is_stderr = stream == 1,
                                  .partial = journald->mark_partial};

    if (journald->fd >= 0 && entry.length > 0) {
        send_counted(journald, &entry);
    }
    journald->partial_length[stream] = 0;
}

void journald_add(struct journald *journald, unsigned int stream, const struct piece *piece)
{
    struct journal_entry entry = {.message = piece->at,
                                  .length = piece->length,
                                  .newline = piece->whole,
                                  .is_stderr = stream == 1,
                                  .partial = !piece->whole && journald->mark_partial};
    size_t kept = journald->partial_length[stream];

    if (kept + piece->length > PIECE_BYTES) {
        journald_flush(journald, stream);
        kept = 0;
    }
    if (kept == 0 && (piece->whole || piece->length == PIECE_BYTES)) {
        send_counted(journald, &entry);
        return;
    }
    memcpy(journald->partial[stream] + kept, piece->at, piece->length);
    journald->partial_length[stream] = kept + piece->length;
    if (piece->whole) {
        entry.message = journald->partial[stream];
        entry.length = journald->partial_length[stream];
        send_counted(journald, &entry);
        journald->partial_length[stream] = 0;
    }
}
