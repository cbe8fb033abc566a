/* SPDX-License-Identifier: Apache-2.0 */
/* unpack_xz - one .xz stream of liblzma. */
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/unpack.h"

static bool xz_recognises(const uint8_t *first, size_t bytes)
{
    static const uint8_t magic[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };
    return bytes >= sizeof magic && memcmp(first, magic, sizeof magic) == 0;
}

static void xz_again(void *state)
{
    CHECK(lzma_stream_decoder(state, UNPACK_MEMORY_MAX, 0) == LZMA_OK);
}

static void *xz_begin(void)
{
    lzma_stream *z = malloc(sizeof *z);
    CHECK(z != NULL);
    *z = (lzma_stream)LZMA_STREAM_INIT;
    xz_again(z);
    return z;
}

static const char *xz_why(lzma_ret result)
{
    switch (result) {
    case LZMA_MEMLIMIT_ERROR:
        return "its dictionary is too large";
    case LZMA_FORMAT_ERROR:
        return "not an xz stream";
    case LZMA_OPTIONS_ERROR:
        return "options that are not known";
    default:
        return "wrong data";
    }
}

static enum unpack_result xz_step(void *state, struct unpack_io *io, struct error *error)
{
    lzma_stream *z = state;
    z->next_in     = io->in;
    z->avail_in    = io->in_bytes;
    z->next_out    = io->out;
    z->avail_out   = io->out_bytes;

    const lzma_ret result = lzma_code(z, LZMA_RUN);
    *io = (struct unpack_io){ z->next_in, z->avail_in, z->next_out, z->avail_out };
    CHECK(result != LZMA_MEM_ERROR);
    if (result == LZMA_STREAM_END)
        return UNPACK_ENDED;
    if (result == LZMA_OK || result == LZMA_BUF_ERROR)
        return UNPACK_GOING;
    error_set(error, "the compressed data is damaged (%s)", xz_why(result));
    return UNPACK_BROKEN;
}

static void xz_end(void *state)
{
    lzma_end(state);
    free(state);
}

const struct unpacker unpack_xz = {
    .name       = "xz",
    .recognises = xz_recognises,
    .begin      = xz_begin,
    .step       = xz_step,
    .again      = xz_again,
    .end        = xz_end,
};
