/* The k8s log file: see logfile.h. How files are exchanged is in logrotate.c. */
#include "conmon/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conmon/logrotate.h"
#include "conmon/timestamp.h"
#include "lib/fd.h"
#include "lib/text.h"

#define LOG_MODE 0640
#define MARKER_BYTES 256

int logfile_open(struct logfile *file, const char *path, const struct logfile_limits *limits, struct diag *diag,
                 char *buffer)
{
    struct stat status;

    file->fd = fd_close(file->fd);
    file->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, LOG_MODE);
    if (file->fd < 0) {
        return -errno;
    }
    file->path = path;
    file->limits = *limits;
    file->diag = diag;
    file->buffer = buffer;
    file->used = 0;
    file->size = 0;
    if (fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode)) {
        file->size = status.st_size;
    }
    file->total = file->size;
    return 0;
}

/* Give up the gathered bytes from `kept` on. */
static void count_lost(struct logfile *file, size_t kept, int error)
{
    uint64_t records = 0;

    for (size_t i = kept; i < file->used; i++) {
        records += file->buffer[i] == '\n' ? 1 : 0;
    }
    file->lost_records += records;
    file->lost_bytes += file->used - kept;
    file->all_lost_records += records;
    file->all_lost_bytes += file->used - kept;
    file->size -= (int64_t)(file->used - kept);
    file->total -= (int64_t)(file->used - kept);
    if (file->write_error == 0) {
        diag_errno(file->diag, LEVEL_WARNING, error, "writing the log", file->path);
    }
    file->write_error = error;
}

/* `written` bytes are in the file; cut the torn record at their end away, or remember to start a fresh line. Returns
 * the bytes of whole records. */
static size_t cut_torn_record(struct logfile *file, size_t written)
{
    size_t whole = written;
    off_t position;

    while (whole > 0 && file->buffer[whole - 1] != '\n') {
        whole--;
    }
    if (whole == written) {
        return whole;
    }
    position = lseek(file->fd, 0, SEEK_CUR);
    if (position < (off_t)(written - whole) || ftruncate(file->fd, position - (off_t)(written - whole)) != 0) {
        file->fresh_line_needed = true;
    }
    return whole;
}

/* Write `length` bytes; returns how many made it and the (negative) errno that stopped it. */
static size_t write_out(int fd, const char *data, size_t length, int *error)
{
    size_t done = 0;

    *error = 0;
    while (done < length) {
        ssize_t put = write(fd, data + done, length - done);

        if (put > 0) {
            done += (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            *error = put == 0 ? -EIO : -errno;
            break;
        }
    }
    return done;
}

/* After an episode of errors: say what is missing, as a record of its own. False when it still does not work. */
static bool write_marker(struct logfile *file)
{
    char data[MARKER_BYTES];
    struct text text = text_over(data, sizeof(data));
    struct timestamp stamp = {.text = ""};
    struct timespec now;
    int error;
    size_t put;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    timestamp_set(&stamp, &now);
    if (file->fresh_line_needed) {
        text_char(&text, '\n');
    }
    text_join(&text, stamp.text, " stderr F [conmon: log write failed: ", strerror(-file->write_error), ": ", NULL);
    text_unsigned(&text, file->lost_records);
    text_add(&text, " records, ");
    text_unsigned(&text, file->lost_bytes);
    text_add(&text, " bytes lost]\n");
    put = write_out(file->fd, text.at, text.length, &error);
    if (error != 0) {
        if (put > 0) {
            off_t position = lseek(file->fd, 0, SEEK_CUR);

            file->fresh_line_needed =
                position < (off_t)put || ftruncate(file->fd, position - (off_t)put) != 0 || file->fresh_line_needed;
        }
        return false;
    }
    file->size += (int64_t)put;
    file->total += (int64_t)put;
    file->fresh_line_needed = false;
    file->write_error = 0;
    file->lost_records = 0;
    file->lost_bytes = 0;
    diag_say(file->diag, LEVEL_WARNING, "writing the log ", file->path, " works again", NULL);
    return true;
}

void logfile_flush(struct logfile *file)
{
    int error = 0;
    size_t written;

    if (file->used == 0) {
        return;
    }
    if (file->write_error != 0 && !write_marker(file)) {
        count_lost(file, 0, file->write_error);
        file->used = 0;
        return;
    }
    written = write_out(file->fd, file->buffer, file->used, &error);
    if (error != 0) {
        count_lost(file, cut_torn_record(file, written), error);
    }
    file->used = 0;
}

static void replace(struct logfile *file)
{
    int fd;

    logfile_flush(file);
    fd = file->limits.rotate ? logrotate_shift(file) : logrotate_replace(file);
    if (fd < 0) {
        diag_errno(file->diag, LEVEL_WARNING, fd, "replacing the log", file->path);
        return;
    }
    (void)fd_close(file->fd);
    file->fd = fd;
    file->size = 0;
    file->fresh_line_needed = false;
}

void logfile_add(struct logfile *file, const struct record_prefix *prefix, const struct piece *piece)
{
    int64_t bytes = (int64_t)record_bytes(piece);

    if (file->limits.global_max > 0 && file->total >= file->limits.global_max) {
        return;
    }
    if (file->limits.size_max > 0 && file->size > 0 && file->size + bytes > file->limits.size_max) {
        replace(file);
    }
    if (file->used >= LOGFILE_BUFFER) {
        logfile_flush(file);
    }
    file->used += record_put(file->buffer + file->used, prefix, piece);
    file->size += bytes;
    file->total += bytes;
}

/* Take note of what was put into the buffer behind `used`. */
static void set_used(struct logfile *file, const char *out)
{
    size_t used = (size_t)(out - file->buffer);

    file->size += (int64_t)(used - file->used);
    file->total += (int64_t)(used - file->used);
    file->used = used;
}

uint64_t logfile_add_lines(struct logfile *file, const struct record_prefix *prefix, const char **at, const char *end)
{
    const char *full = file->buffer + LOGFILE_BUFFER;
    char *out = file->buffer + file->used;
    uint64_t lines = 0;

    while (*at < end) {
        const char *limit = end - *at > PIECE_BYTES + 1 ? *at + PIECE_BYTES + 1 : end;

        if (out >= full) {
            set_used(file, out);
            logfile_flush(file);
            out = file->buffer;
        }
        if (!record_put_line(&out, prefix, at, limit)) {
            break;
        }
        lines++;
    }
    set_used(file, out);
    return lines;
}

void logfile_reopen(struct logfile *file)
{
    if (file->fd >= 0) {
        replace(file);
    }
}

void logfile_sync(struct logfile *file)
{
    if (file->fd >= 0) {
        (void)fsync(file->fd);
    }
}
