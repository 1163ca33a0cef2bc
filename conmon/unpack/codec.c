#include "codec.h"

#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { ZSTD_WINDOW_LOG_MAX = 27, XZ_MEMORY_BYTES = 192 * 1024 * 1024 };

struct codec {
    enum compression kind;
    bool boundary;
    union {
        struct inflate_state gzip;
        ZSTD_DCtx *zstd;
        lzma_stream xz;
        bz_stream bzip2;
    } state;
};

enum compression codec_detect(const uint8_t *magic, size_t length)
{
    static const struct {
        enum compression kind;
        size_t length;
        uint8_t bytes[CODEC_MAGIC_BYTES];
    } magics[] = {
        {COMPRESSION_GZIP, 3, {0x1f, 0x8b, 0x08}},
        {COMPRESSION_ZSTD, 4, {0x28, 0xb5, 0x2f, 0xfd}},
        {COMPRESSION_XZ, 6, {0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00}},
        {COMPRESSION_BZIP2, 3, {0x42, 0x5a, 0x68}},
    };

    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        if (length >= magics[i].length && memcmp(magic, magics[i].bytes, magics[i].length) == 0)
            return magics[i].kind;
    }
    /* A zstd stream may begin with a skippable frame. */
    if (length >= 4 && (magic[0] & 0xf0) == 0x50 && magic[1] == 0x2a && magic[2] == 0x4d && magic[3] == 0x18)
        return COMPRESSION_ZSTD;
    return COMPRESSION_NONE;
}

const char *codec_name(enum compression kind)
{
    static const char *const names[] = {"plain", "bzip2", "gzip", "xz", "zstd"};

    return names[kind];
}

static void gzip_restart(struct inflate_state *state)
{
    isal_inflate_reset(state);
    state->crc_flag = ISAL_GZIP;
}

static bool codec_start(struct codec *codec)
{
    switch (codec->kind) {
    case COMPRESSION_GZIP:
        isal_inflate_init(&codec->state.gzip);
        codec->state.gzip.crc_flag = ISAL_GZIP;
        return true;
    case COMPRESSION_ZSTD:
        codec->state.zstd = ZSTD_createDCtx();
        return codec->state.zstd &&
               !ZSTD_isError(ZSTD_DCtx_setParameter(codec->state.zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
    case COMPRESSION_XZ:
        return lzma_stream_decoder(&codec->state.xz, XZ_MEMORY_BYTES, LZMA_CONCATENATED) == LZMA_OK;
    case COMPRESSION_BZIP2:
        return BZ2_bzDecompressInit(&codec->state.bzip2, 0, 0) == BZ_OK;
    case COMPRESSION_NONE:
        break;
    }
    return false;
}

struct codec *codec_new(enum compression kind)
{
    struct codec *codec = calloc(1, sizeof *codec);

    if (!codec)
        return NULL;
    codec->kind = kind;
    if (!codec_start(codec)) {
        free(codec);
        return NULL;
    }
    return codec;
}

static int gzip_step(struct codec *codec, struct codec_io *io, struct failure *failure)
{
    struct inflate_state *state = &codec->state.gzip;
    int status;

    if (codec->boundary) {
        /* Another member follows, or garbage too short to be one. */
        if (io->in[0] != 0x1f)
            return failure_set(failure, UNPACK_BAD_ARCHIVE, "garbage follows the gzip stream");
        gzip_restart(state);
    }
    state->next_in = (uint8_t *)io->in;
    state->avail_in = (uint32_t)io->in_left;
    state->next_out = io->out;
    state->avail_out = (uint32_t)io->out_left;
    status = isal_inflate(state);
    io->in = state->next_in;
    io->in_left = state->avail_in;
    io->out = state->next_out;
    io->out_left = state->avail_out;
    if (status != ISAL_DECOMP_OK && status != ISAL_END_INPUT)
        return failure_set(failure, UNPACK_BAD_ARCHIVE,
                           status == ISAL_INCORRECT_CHECKSUM ? "the gzip stream has a wrong checksum" : "the gzip stream is damaged");
    codec->boundary = state->block_state == ISAL_BLOCK_FINISH;
    return 0;
}

static int zstd_step(struct codec *codec, struct codec_io *io, struct failure *failure)
{
    ZSTD_inBuffer in = {io->in, io->in_left, 0};
    ZSTD_outBuffer out = {io->out, io->out_left, 0};
    size_t status = ZSTD_decompressStream(codec->state.zstd, &out, &in);

    if (ZSTD_isError(status))
        return failure_set(failure, UNPACK_BAD_ARCHIVE, "the zstd stream is damaged: %s", ZSTD_getErrorName(status));
    io->in += in.pos;
    io->in_left -= in.pos;
    io->out += out.pos;
    io->out_left -= out.pos;
    codec->boundary = status == 0;
    return 0;
}

static int xz_step(struct codec *codec, struct codec_io *io, struct failure *failure)
{
    lzma_stream *state = &codec->state.xz;
    lzma_ret status;

    state->next_in = io->in;
    state->avail_in = io->in_left;
    state->next_out = io->out;
    state->avail_out = io->out_left;
    status = lzma_code(state, io->in_ended ? LZMA_FINISH : LZMA_RUN);
    io->in = state->next_in;
    io->in_left = state->avail_in;
    io->out = state->next_out;
    io->out_left = state->avail_out;
    codec->boundary = status == LZMA_STREAM_END;
    if (status == LZMA_MEMLIMIT_ERROR || status == LZMA_MEM_ERROR)
        return failure_set(failure, UNPACK_BUDGET, "the xz stream needs more than %d MiB to be decompressed", XZ_MEMORY_BYTES >> 20);
    if (status != LZMA_OK && status != LZMA_STREAM_END && status != LZMA_BUF_ERROR)
        return failure_set(failure, UNPACK_BAD_ARCHIVE, "the xz stream is damaged");
    return 0;
}

static int bzip2_step(struct codec *codec, struct codec_io *io, struct failure *failure)
{
    bz_stream *state = &codec->state.bzip2;
    int status;

    if (codec->boundary) {
        BZ2_bzDecompressEnd(state);
        memset(state, 0, sizeof *state);
        if (BZ2_bzDecompressInit(state, 0, 0) != BZ_OK)
            return failure_set(failure, UNPACK_IO, "there is no memory for another bzip2 stream");
    }
    state->next_in = (char *)io->in;
    state->avail_in = (unsigned)io->in_left;
    state->next_out = (char *)io->out;
    state->avail_out = (unsigned)io->out_left;
    status = BZ2_bzDecompress(state);
    io->in = (uint8_t *)state->next_in;
    io->in_left = state->avail_in;
    io->out = (uint8_t *)state->next_out;
    io->out_left = state->avail_out;
    codec->boundary = status == BZ_STREAM_END;
    if (status != BZ_OK && status != BZ_STREAM_END)
        return failure_set(failure, UNPACK_BAD_ARCHIVE, "the bzip2 stream is damaged");
    return 0;
}

int codec_step(struct codec *codec, struct codec_io *io, struct failure *failure)
{
    switch (codec->kind) {
    case COMPRESSION_GZIP:
        return gzip_step(codec, io, failure);
    case COMPRESSION_ZSTD:
        return zstd_step(codec, io, failure);
    case COMPRESSION_XZ:
        return xz_step(codec, io, failure);
    case COMPRESSION_BZIP2:
        return bzip2_step(codec, io, failure);
    case COMPRESSION_NONE:
        break;
    }
    return failure_set(failure, UNPACK_IO, "a plain stream has no decompressor");
}

bool codec_at_boundary(const struct codec *codec)
{
    return codec->boundary;
}
