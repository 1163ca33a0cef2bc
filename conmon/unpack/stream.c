#include "stream.h"

#include <inttypes.h>

void stream_init(struct stream *stream, struct ring *ring, const enum compression *compression, uint64_t max_bytes,
                 struct failure *failure)
{
    *stream = (struct stream){.ring = ring, .compression = compression, .max_bytes = max_bytes, .failure = failure};
    sha256_init(&stream->sha);
}

long stream_peek(struct stream *stream, const uint8_t **at)
{
    if (stream->left == 0) {
        if (stream->holds_buffer)
            ring_release(stream->ring);
        stream->at = ring_wait_filled(stream->ring, &stream->left);
        stream->holds_buffer = stream->at != NULL;
        if (!stream->at) {
            stream->left = 0;
            stream->ended = true;
            return 0;
        }
        stream->length += stream->left;
        if (stream->max_bytes && stream->length > stream->max_bytes)
            return failure_set(stream->failure, UNPACK_BUDGET, "the uncompressed archive is longer than the allowed %" PRIu64 " bytes",
                               stream->max_bytes);
        if (*stream->compression != COMPRESSION_NONE)
            sha256_update(&stream->sha, stream->at, stream->left);
    }
    *at = stream->at;
    return (long)stream->left;
}

void stream_skip(struct stream *stream, size_t length)
{
    stream->at += length;
    stream->left -= length;
}
