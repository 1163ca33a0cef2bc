#include "layer.h"

#include <errno.h>
#include <inttypes.h>
#include <isa-l/crc64.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MEMBERS_PER_CHECK = 64, BYTES_PER_CHECK = 8 * 1024 * 1024 };

/* Compares the processor time used so far with the budget. */
static int check_time(const struct layer *layer)
{
    struct timespec used;

    if (layer->options->max_seconds == 0)
        return 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    if ((uint64_t)used.tv_sec >= layer->options->max_seconds)
        return failure_set(layer->failure, UNPACK_BUDGET, "the layer takes more than the allowed %" PRIu64 " processor seconds",
                           layer->options->max_seconds);
    return 0;
}

static int check_bytes(struct layer *layer, uint64_t size)
{
    uint64_t limit = layer->options->max_bytes;

    if (limit && (size > limit || layer->written > limit - size))
        return failure_set(layer->failure, UNPACK_BUDGET, "entry '%s': with it the layer has more than the allowed %" PRIu64 " bytes",
                           layer->entries.shown.text, limit);
    return 0;
}

static int write_all(struct layer *layer, int fd, const uint8_t *at, size_t length)
{
    layer->written += length;
    atomic_store_explicit(&layer->progress->written, layer->written, memory_order_relaxed);
    while (length > 0) {
        ssize_t written = write(fd, at, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return failure_errno(layer->failure, "entry '%s': its content cannot be written", layer->entries.shown.text);
        at += written;
        length -= (size_t)written;
    }
    return 0;
}

static int ends_early(struct layer *layer)
{
    return failure_set(layer->failure, UNPACK_BAD_ARCHIVE, "entry '%s': the archive ends inside its content", layer->entries.shown.text);
}

/* Copies `size` bytes of the archive to the file; they are not part of the tar-split file. */
static int copy_content(struct layer *layer, int fd, uint64_t size, uint64_t *crc)
{
    uint64_t left = size, unchecked = 0;

    *crc = 0;
    while (left > 0) {
        const uint8_t *at;
        long shown = stream_peek(layer->stream, &at);
        size_t taken = (uint64_t)shown < left ? (size_t)shown : (size_t)left;

        if (shown < 0)
            return -1;
        if (shown == 0)
            return ends_early(layer);
        *crc = crc64_iso_refl(*crc, at, taken);
        if (write_all(layer, fd, at, taken) < 0)
            return -1;
        stream_skip(layer->stream, taken);
        left -= taken;
        unchecked += taken;
        if (unchecked >= BYTES_PER_CHECK && check_time(layer) < 0)
            return -1;
        unchecked %= BYTES_PER_CHECK;
    }
    return 0;
}

static int copy_run(struct layer *layer, int fd, const struct sparse_run *run)
{
    uint64_t left = run->length;

    if (left > 0 && lseek(fd, (off_t)run->offset, SEEK_SET) < 0)
        return failure_errno(layer->failure, "entry '%s': its content cannot be placed", layer->entries.shown.text);
    while (left > 0) {
        const uint8_t *at;
        long shown = stream_peek(layer->stream, &at);
        size_t taken = (uint64_t)shown < left ? (size_t)shown : (size_t)left;

        if (shown < 0)
            return -1;
        if (shown == 0)
            return ends_early(layer);
        if (write_all(layer, fd, at, taken) < 0 || member_take_raw(&layer->reader, NULL, taken) < 0)
            return -1;
        left -= taken;
    }
    return 0;
}

/*
 * A sparse file is written with its holes. What the archive stores for it goes into the tar-split file as it is: only so
 * can the archive be put together again from the expanded file.
 */
static int copy_sparse(struct layer *layer, struct member *member, int fd)
{
    uint64_t map_bytes = 0;

    if (check_bytes(layer, member->real_size) < 0)
        return -1;
    if (member->sparse_map_in_content && member_read_sparse_map(&layer->reader, member, &map_bytes) < 0)
        return -1;
    if (!sparse_valid(member->runs, member->run_count, member->real_size, member->size - map_bytes))
        return failure_set(layer->failure, UNPACK_BAD_ARCHIVE, "entry '%s': its sparse map does not fit its size",
                           layer->entries.shown.text);
    for (size_t i = 0; i < member->run_count; i++) {
        if (copy_run(layer, fd, &member->runs[i]) < 0)
            return -1;
    }
    if (ftruncate(fd, (off_t)member->real_size) < 0)
        return failure_errno(layer->failure, "entry '%s': its size cannot be set", layer->entries.shown.text);
    return 0;
}

static int discard_content(struct layer *layer, const struct member *member)
{
    int64_t taken = member_take_raw(&layer->reader, NULL, member->size);

    if (taken < 0)
        return -1;
    return (uint64_t)taken == member->size ? 0 : ends_early(layer);
}

static int fill_file(struct layer *layer, struct member *member, int fd)
{
    uint64_t crc = 0;
    int status;

    if (member->sparse) {
        /* The member's line comes first, so that its raw content follows in order. */
        status = split_member(layer->split, member->name, 0, 0);
        if (status == 0)
            status = copy_sparse(layer, member, fd);
    } else {
        status = check_bytes(layer, member->size);
        if (status == 0)
            status = copy_content(layer, fd, member->size, &crc);
        if (status == 0)
            status = split_member(layer->split, member->name, member->size, crc);
    }
    if (status < 0) {
        close(fd);
        return -1;
    }
    return entry_finish(&layer->entries, member, fd);
}

static int apply_member(struct layer *layer, struct member *member)
{
    int fd = -1;

    switch (entry_apply(&layer->entries, member, &fd)) {
    case ENTRY_FAILED:
        return -1;
    case ENTRY_WANTS_CONTENT:
        if (fill_file(layer, member, fd) < 0)
            return -1;
        break;
    case ENTRY_DONE:
    case ENTRY_DISCARDS:
        if (split_member(layer->split, member->name, 0, 0) < 0 || discard_content(layer, member) < 0)
            return -1;
        break;
    }
    return member_take_padding(&layer->reader, member->size);
}

int layer_run(struct layer *layer, struct tree *tree)
{
    struct member member;
    int status;

    layer->reader = (struct member_reader){.stream = layer->stream, .split = layer->split, .failure = layer->failure};
    layer->entries = (struct entries){.tree = tree,
                                      .options = layer->options,
                                      .failure = layer->failure,
                                      .inherits_modes = layer->options->whiteouts == WHITEOUTS_APPLY};
    layer->members = layer->written = 0;
    while ((status = member_next(&layer->reader, &member)) > 0) {
        if (layer->members++ % MEMBERS_PER_CHECK == 0 && check_time(layer) < 0)
            return -1;
        if (apply_member(layer, &member) < 0)
            return -1;
        atomic_store_explicit(&layer->progress->entries, layer->members, memory_order_relaxed);
    }
    if (status < 0 || member_take_rest(&layer->reader) < 0)
        return -1;
    return entries_finish(&layer->entries);
}

void layer_free(struct layer *layer)
{
    member_reader_free(&layer->reader);
    entries_free(&layer->entries);
}
