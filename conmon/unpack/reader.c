#include "reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum step { STEP_FAILED = -1, STEP_DONE = 0, STEP_ABANDONED = 1 };

/* Reads once, hashes and counts. Returns the number of bytes, 0 at the end, -1 on failure. */
static ssize_t fill(struct reader *reader, uint8_t *to, size_t room)
{
    ssize_t got;

    /* One byte more than expected is enough to know that the blob is too long. */
    if (reader->expected_size >= 0 && room > (uint64_t)reader->expected_size - reader->size + 1)
        room = (size_t)((uint64_t)reader->expected_size - reader->size + 1);
    do {
        got = read(reader->fd, to, room);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return failure_set(&reader->failure, UNPACK_IO, "the blob cannot be read: %s", strerror(errno));
    sha256_update(&reader->sha, to, (size_t)got);
    reader->size += (uint64_t)got;
    if (reader->expected_size >= 0 && reader->size > (uint64_t)reader->expected_size)
        return failure_set(&reader->failure, UNPACK_SIZE_MISMATCH, "the blob has more than the expected %" PRId64 " bytes",
                           reader->expected_size);
    atomic_store_explicit(&reader->progress->read, reader->size, memory_order_relaxed);
    progress_tick(reader->progress);
    return got;
}

/* Reads until the magic is complete. Returns the number of bytes or -1. */
static ssize_t fill_magic(struct reader *reader)
{
    size_t held = 0;

    while (held < CODEC_MAGIC_BYTES) {
        ssize_t got = fill(reader, reader->buffer + held, READER_BUFFER_BYTES - held);

        if (got < 0)
            return -1;
        if (got == 0)
            break;
        held += (size_t)got;
    }
    return (ssize_t)held;
}

/* An uncompressed blob goes straight into the ring's buffers. */
static enum step copy_plain(struct reader *reader, size_t held)
{
    ssize_t got;
    uint8_t *out = ring_wait_empty(reader->ring);

    if (!out)
        return STEP_ABANDONED;
    memcpy(out, reader->buffer, held);
    got = (ssize_t)held;
    do {
        size_t length = (size_t)got;

        while (length < RING_BUFFER_BYTES && (got = fill(reader, out + length, RING_BUFFER_BYTES - length)) > 0)
            length += (size_t)got;
        if (length > 0)
            ring_publish(reader->ring, length);
        if (got <= 0)
            return got < 0 ? STEP_FAILED : STEP_DONE;
        out = ring_wait_empty(reader->ring);
        if (!out)
            return STEP_ABANDONED;
        got = fill(reader, out, RING_BUFFER_BYTES);
    } while (got > 0);
    return got < 0 ? STEP_FAILED : STEP_DONE;
}

/* Whether the decompressor can make progress with what is there. */
static bool can_step(const struct codec *codec, const struct codec_io *io, bool room_was_short)
{
    return io->in_left > 0 || (!codec_at_boundary(codec) && (room_was_short || io->in_ended));
}

static enum step decompress(struct reader *reader, size_t held)
{
    struct codec *codec = codec_new(reader->compression);
    struct codec_io io = {.in = reader->buffer, .in_left = held};
    bool room_was_short = false;

    if (!codec)
        return failure_set(&reader->failure, UNPACK_IO, "there is no memory for the %s decompressor", codec_name(reader->compression));
    for (;;) {
        uint8_t *start = ring_wait_empty(reader->ring);
        bool finished = false;

        if (!start)
            return STEP_ABANDONED;
        io.out = start;
        io.out_left = RING_BUFFER_BYTES;
        while (io.out_left > 0 && !finished) {
            if (io.in_left == 0 && !io.in_ended && !room_was_short) {
                ssize_t got = fill(reader, reader->buffer, READER_BUFFER_BYTES);

                if (got < 0)
                    return STEP_FAILED;
                io.in = reader->buffer;
                io.in_left = (size_t)got;
                io.in_ended = got == 0;
            }
            if (can_step(codec, &io, room_was_short)) {
                size_t in_before = io.in_left, out_before = io.out_left;

                if (codec_step(codec, &io, &reader->failure) < 0)
                    return STEP_FAILED;
                room_was_short = io.out_left == 0;
                finished = io.in_ended && in_before == io.in_left && out_before == io.out_left;
            } else {
                room_was_short = false;
                finished = io.in_ended;
            }
        }
        if (io.out_left < RING_BUFFER_BYTES)
            ring_publish(reader->ring, RING_BUFFER_BYTES - io.out_left);
        if (finished)
            break;
    }
    if (!codec_at_boundary(codec))
        return failure_set(&reader->failure, UNPACK_TRUNCATED, "the %s stream ends early", codec_name(reader->compression));
    return STEP_DONE;
}

static enum step decode(struct reader *reader)
{
    ssize_t held = fill_magic(reader);

    if (held < 0)
        return STEP_FAILED;
    reader->compression = codec_detect(reader->buffer, (size_t)held);
    return reader->compression == COMPRESSION_NONE ? copy_plain(reader, (size_t)held) : decompress(reader, (size_t)held);
}

/* Reads what is left and compares the blob with what was promised; this verdict replaces any other. */
static void verify(struct reader *reader)
{
    struct failure decoding = reader->failure;
    ssize_t got;

    reader->failure.code = UNPACK_OK;
    do {
        got = fill(reader, reader->buffer, READER_BUFFER_BYTES);
    } while (got > 0);
    if (got < 0)
        return;
    sha256_hex(&reader->sha, reader->digest);
    if (reader->expected_size >= 0 && reader->size < (uint64_t)reader->expected_size)
        failure_set(&reader->failure, UNPACK_TRUNCATED, "the blob ends after %" PRIu64 " of %" PRId64 " bytes", reader->size,
                    reader->expected_size);
    else if (reader->expected_digest[0] && strcmp(reader->expected_digest, reader->digest) != 0)
        failure_set(&reader->failure, UNPACK_DIGEST_MISMATCH, "the blob's digest is sha256:%s, expected sha256:%s", reader->digest,
                    reader->expected_digest);
    else
        reader->failure = decoding;
}

void reader_run(struct reader *reader)
{
    enum step step;

    sha256_init(&reader->sha);
    reader->size = 0;
    step = decode(reader);
    ring_end(reader->ring);
    if (step == STEP_DONE || (reader->expected_digest[0] && reader->failure.code != UNPACK_IO && reader->failure.code != UNPACK_SIZE_MISMATCH))
        verify(reader);
}
