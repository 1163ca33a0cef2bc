/* Reports to the caller: see report.h. */
#include "conmon/report.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conmon/json.h"
#include "lib/fd.h"

#define PACKET_BYTES 4096
#define MESSAGE_BYTES 8192
#define REPORT_BYTES (2 * MESSAGE_BYTES)
#define PATIENCE_MS 5000

void report_init(struct report *report, bool api_version, bool exec)
{
    report->key = api_version ? "data" : (exec ? "exit_code" : "pid");
    report->start_is_silent = exec && !api_version;
    report->end_is_reported = exec;
    report->failed = false;
}

/* One write(2) of at most PACKET_BYTES, to a socket or a pipe, without blocking for longer than PATIENCE_MS. */
static ssize_t send_some(int fd, const char *data, size_t length)
{
    size_t size = length < PACKET_BYTES ? length : PACKET_BYTES;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};

    for (int attempt = 0; attempt < 16; attempt++) {
        ssize_t sent = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == ENOTSOCK) {
            if (poll(&ready, 1, PATIENCE_MS) <= 0) {
                return -1;
            }
            sent = write(fd, data, size);
        }
        if (sent >= 0) {
            return sent;
        }
        if (errno == EAGAIN || errno == ENOBUFS) {
            if (poll(&ready, 1, PATIENCE_MS) <= 0) {
                return -1;
            }
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return -1;
}

/* Send one message; a descriptor whose reader is gone is closed. */
static void send_report(int *fd, const char *key, int64_t value, const char *message, size_t message_length)
{
    char data[REPORT_BYTES];
    struct text text = text_over(data, sizeof(data));
    size_t done = 0;

    if (*fd < 0) {
        return;
    }
    if (message_length > MESSAGE_BYTES) {
        message_length = MESSAGE_BYTES;
    }
    json_report(&text, key, value, message, message_length);
    while (done < text.length) {
        ssize_t sent = send_some(*fd, text.at + done, text.length - done);

        if (sent < 0) {
            *fd = fd_close(*fd);
            return;
        }
        done += (size_t)sent;
    }
}

void report_started(struct report *report, int64_t pid)
{
    if (!report->start_is_silent && !report->failed) {
        send_report(&report->sync_fd, report->key, pid, NULL, 0);
    }
}

void report_failure(struct report *report, const char *message, size_t length)
{
    if (report->failed) {
        return;
    }
    report->failed = true;
    send_report(&report->attach_fd, "data", -1, message, length);
    report->attach_fd = fd_close(report->attach_fd);
    send_report(&report->sync_fd, report->key, -1, message, length);
}

void report_attachable(struct report *report)
{
    send_report(&report->attach_fd, "data", 0, NULL, 0);
    report->attach_fd = fd_close(report->attach_fd);
}

void report_ended(struct report *report, int status, const char *message)
{
    if (report->end_is_reported && !report->failed) {
        send_report(&report->sync_fd, report->key, status, message, message != NULL ? strlen(message) : 0);
    }
}

void report_close(struct report *report)
{
    report->sync_fd = fd_close(report->sync_fd);
    report->attach_fd = fd_close(report->attach_fd);
}
