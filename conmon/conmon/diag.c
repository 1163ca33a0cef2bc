/* Diagnostics: see diag.h. */
#include "conmon/diag.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "conmon/loop.h"
#include "lib/text.h"

#define LINE_BYTES 1024
#define WINDOW_NS 10000000000LL
#define WINDOW_LINES 20

static void send_syslog(struct diag *diag, enum log_level level, const char *message)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    char data[LINE_BYTES];
    struct text line = text_over(data, sizeof(data));

    if (diag->syslog_fd < 0) {
        diag->syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    /* Facility user (1): 8 + severity error (3) or info (6). */
    text_add(&line, level == LEVEL_ERROR ? "<11>conmon: conmon " : "<14>conmon: conmon ");
    if (diag->container_id != NULL) {
        text_bytes(&line, diag->container_id, strnlen(diag->container_id, 20));
    }
    text_join(&line, " <", names[level], ">: ", message, NULL);
    (void)sendto(diag->syslog_fd, line.at, line.length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address,
                 sizeof(address));
}

/* True when this line is one too many for its window of time. */
static bool is_too_many(struct diag *diag)
{
    int64_t now_ns = monotonic_ns();

    if (now_ns - diag->window_ns > WINDOW_NS) {
        diag->window_ns = now_ns;
        diag->window_count = 0;
    }
    return ++diag->window_count > WINDOW_LINES;
}

static void say(struct diag *diag, enum log_level level, const char *message)
{
    if (level != LEVEL_ERROR && is_too_many(diag)) {
        return;
    }
    if (diag->visible) {
        char data[LINE_BYTES];
        struct text line = text_over(data, sizeof(data));

        text_add(&line, "[conmon:");
        text_char(&line, "ewidd"[level]);
        text_join(&line, "]: ", message, "\n", NULL);
        (void)!write(STDERR_FILENO, line.at, line.length);
    }
    if (diag->to_syslog) {
        send_syslog(diag, level, message);
    }
}

void diag_say(struct diag *diag, enum log_level level, ...)
{
    char data[LINE_BYTES];
    struct text message = text_over(data, sizeof(data));
    const char *string;
    va_list strings;

    if (level > diag->level || (!diag->visible && !diag->to_syslog)) {
        return;
    }
    va_start(strings, level);
    while ((string = va_arg(strings, const char *)) != NULL) {
        text_add(&message, string);
    }
    va_end(strings);
    say(diag, level, message.at);
}

void diag_errno(struct diag *diag, enum log_level level, int error, const char *what, const char *object)
{
    diag_say(diag, level, what, " ", object, ": ", strerror(error < 0 ? -error : error), NULL);
}
