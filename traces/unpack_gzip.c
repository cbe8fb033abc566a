/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack_gzip - zlib's inflate, over one gzip member. Its own gzread is not used, because
 * that takes a damaged second member for a silent end of the file.
 */
#include <stdlib.h>
#include <zlib.h>

#include "sim/base/check.h"
#include "traces/unpack.h"

enum { GZIP_WINDOW_BITS = 15 + 16 }; /* The largest window; gzip headers only. */

static bool gzip_recognises(const uint8_t *first, size_t bytes)
{
    return bytes >= 2 && first[0] == 0x1f && first[1] == 0x8b;
}

static void *gzip_begin(void)
{
    z_stream *z = calloc(1, sizeof *z);
    CHECK(z != NULL);
    CHECK(inflateInit2(z, GZIP_WINDOW_BITS) == Z_OK);
    return z;
}

static enum unpack_result gzip_step(void *state, struct unpack_io *io, struct error *error)
{
    z_stream *z  = state;
    z->next_in   = (Bytef *)io->in;
    z->avail_in  = (uInt)io->in_bytes;
    z->next_out  = io->out;
    z->avail_out = (uInt)io->out_bytes;

    const int result = inflate(z, Z_NO_FLUSH);
    *io = (struct unpack_io){ z->next_in, z->avail_in, z->next_out, z->avail_out };
    if (result == Z_STREAM_END)
        return UNPACK_ENDED;
    if (result == Z_OK || result == Z_BUF_ERROR)
        return UNPACK_GOING;
    error_set(error, "the compressed data is damaged (%s)",
              z->msg != NULL ? z->msg : zError(result));
    return UNPACK_BROKEN;
}

static void gzip_again(void *state)
{
    CHECK(inflateReset(state) == Z_OK);
}

static void gzip_end(void *state)
{
    inflateEnd(state);
    free(state);
}

const struct unpacker unpack_gzip = {
    .name       = "gzip",
    .recognises = gzip_recognises,
    .begin      = gzip_begin,
    .step       = gzip_step,
    .again      = gzip_again,
    .end        = gzip_end,
};
