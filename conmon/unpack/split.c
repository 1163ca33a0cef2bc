#include "split.h"

#include <errno.h>
#include <inttypes.h>
#include <isa-l/igzip_lib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "encode.h"

enum {
    GZIP_BYTES = 64 * 1024,
    NAME_BYTES_MAX = 4096,
    /* The longest line: a name with every byte escaped, or a full segment, and the keys around it. */
    LINE_BYTES_MAX = NAME_BYTES_MAX * 6 + 256 + SPLIT_SEGMENT_BYTES / 3 * 4,
};

struct split {
    int fd;
    struct failure *failure; /* borrowed */
    uint64_t position;
    size_t segment_length, text_length;
    struct isal_zstream gzip;
    uint8_t segment[SPLIT_SEGMENT_BYTES];
    char text[SPLIT_TEXT_BYTES];
    uint8_t packed[GZIP_BYTES];
    uint8_t level[ISAL_DEF_LVL1_DEFAULT];
};

struct split *split_new(int fd, struct failure *failure)
{
    struct split *split = malloc(sizeof *split);

    if (!split) {
        failure_set(failure, UNPACK_IO, "there is no memory for the tar-split file");
        return NULL;
    }
    split->fd = fd;
    split->failure = failure;
    split->position = 0;
    split->segment_length = split->text_length = 0;
    isal_deflate_init(&split->gzip);
    split->gzip.level = 1;
    split->gzip.level_buf = split->level;
    split->gzip.level_buf_size = sizeof split->level;
    split->gzip.gzip_flag = IGZIP_GZIP;
    return split;
}

static int write_packed(struct split *split, size_t length)
{
    const uint8_t *at = split->packed;

    while (length > 0) {
        ssize_t written = write(split->fd, at, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return failure_errno(split->failure, "the tar-split file cannot be written");
        at += written;
        length -= (size_t)written;
    }
    return 0;
}

static int compress_text(struct split *split, bool last)
{
    struct isal_zstream *gzip = &split->gzip;

    gzip->next_in = (uint8_t *)split->text;
    gzip->avail_in = (uint32_t)split->text_length;
    gzip->end_of_stream = last;
    do {
        gzip->next_out = split->packed;
        gzip->avail_out = sizeof split->packed;
        if (isal_deflate(gzip) != COMP_OK)
            return failure_set(split->failure, UNPACK_IO, "the tar-split file cannot be compressed");
        if (write_packed(split, sizeof split->packed - gzip->avail_out) < 0)
            return -1;
    } while (gzip->avail_out == 0 || (last && gzip->internal_state.state != ZSTATE_END));
    split->text_length = 0;
    return 0;
}

static int reserve_line(struct split *split)
{
    return split->text_length + LINE_BYTES_MAX > sizeof split->text ? compress_text(split, false) : 0;
}

__attribute__((format(printf, 2, 3))) static void append(struct split *split, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    split->text_length +=
        (size_t)vsnprintf(split->text + split->text_length, sizeof split->text - split->text_length, format, arguments);
    va_end(arguments);
}

static void append_literal(struct split *split, const char *text, size_t length)
{
    memcpy(split->text + split->text_length, text, length);
    split->text_length += length;
}

#define APPEND_TEXT(split, text) append_literal((split), (text), sizeof(text) - 1)

static int end_segment(struct split *split)
{
    if (split->segment_length == 0)
        return 0;
    if (reserve_line(split) < 0)
        return -1;
    APPEND_TEXT(split, "{\"type\":2,\"payload\":\"");
    split->text_length += base64_encode(split->segment, split->segment_length, split->text + split->text_length);
    append(split, "\",\"position\":%" PRIu64 "}\n", split->position++);
    split->segment_length = 0;
    return 0;
}

int split_raw(struct split *split, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t room = SPLIT_SEGMENT_BYTES - split->segment_length;
        size_t taken = length < room ? length : room;

        memcpy(split->segment + split->segment_length, bytes, taken);
        split->segment_length += taken;
        bytes += taken;
        length -= taken;
        if (split->segment_length == SPLIT_SEGMENT_BYTES && end_segment(split) < 0)
            return -1;
    }
    return 0;
}

static void append_name(struct split *split, const char *name)
{
    if (utf8_valid(name)) {
        APPEND_TEXT(split, "\"name\":\"");
        split->text_length += json_escape(name, split->text + split->text_length);
    } else {
        APPEND_TEXT(split, "\"name_raw\":\"");
        split->text_length += base64_encode((const uint8_t *)name, strlen(name), split->text + split->text_length);
    }
    APPEND_TEXT(split, "\",");
}

int split_member(struct split *split, const char *name, uint64_t size, uint64_t crc)
{
    if (end_segment(split) < 0 || reserve_line(split) < 0)
        return -1;
    APPEND_TEXT(split, "{\"type\":1,");
    append_name(split, name);
    if (size > 0) {
        uint8_t bytes[8];

        for (int i = 0; i < 8; i++)
            bytes[i] = (uint8_t)(crc >> (56 - 8 * i));
        append(split, "\"size\":%" PRIu64 ",\"payload\":\"", size);
        split->text_length += base64_encode(bytes, sizeof bytes, split->text + split->text_length);
        append(split, "\",\"position\":%" PRIu64 "}\n", split->position++);
    } else {
        append(split, "\"payload\":null,\"position\":%" PRIu64 "}\n", split->position++);
    }
    return 0;
}

int split_close(struct split *split)
{
    int status = end_segment(split);

    if (status == 0)
        status = compress_text(split, true);
    if (close(split->fd) < 0 && status == 0)
        status = failure_errno(split->failure, "the tar-split file cannot be closed");
    free(split);
    return status;
}
