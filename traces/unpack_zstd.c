/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack_zstd - one Zstandard frame, or one skippable frame, which holds nothing. Windows
 * beyond the library's usual limit of 128 MiB (zstd --long=28 and more) are refused.
 */
#include <string.h>
#include <zstd.h>

#include "sim/base/check.h"
#include "traces/unpack.h"

static bool zstd_recognises(const uint8_t *first, size_t bytes)
{
    static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
    if (bytes < sizeof magic)
        return false;
    return memcmp(first, magic, sizeof magic) == 0
           || ((first[0] & 0xf0) == 0x50 && memcmp(first + 1, "\x2a\x4d\x18", 3) == 0);
}

static void *zstd_begin(void)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    CHECK(z != NULL);
    return z;
}

static enum unpack_result zstd_step(void *state, struct unpack_io *io, struct error *error)
{
    ZSTD_inBuffer in    = { io->in, io->in_bytes, 0 };
    ZSTD_outBuffer out  = { io->out, io->out_bytes, 0 };
    const size_t result = ZSTD_decompressStream(state, &out, &in);

    io->in += in.pos;
    io->in_bytes -= in.pos;
    io->out += out.pos;
    io->out_bytes -= out.pos;
    if (ZSTD_isError(result)) {
        error_set(error, "the compressed data is damaged (%s)", ZSTD_getErrorName(result));
        return UNPACK_BROKEN;
    }
    return result == 0 ? UNPACK_ENDED : UNPACK_GOING;
}

static void zstd_again(void *state)
{
    CHECK(!ZSTD_isError(ZSTD_DCtx_reset(state, ZSTD_reset_session_only)));
}

static void zstd_end(void *state)
{
    ZSTD_freeDCtx(state);
}

const struct unpacker unpack_zstd = {
    .name       = "zstd",
    .recognises = zstd_recognises,
    .begin      = zstd_begin,
    .step       = zstd_step,
    .again      = zstd_again,
    .end        = zstd_end,
};
