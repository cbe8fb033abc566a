/* SPDX-License-Identifier: Apache-2.0 */
/* unpack_bzip2 - one bzip2 stream; pbzip2 writes many. */
#include <bzlib.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/unpack.h"

static bool bzip2_recognises(const uint8_t *first, size_t bytes)
{
    return bytes >= 5 && memcmp(first, "BZh", 3) == 0 && first[3] >= '1' && first[3] <= '9'
           && (first[4] == 0x31
               || first[4] == 0x17); /* A block, or the end of an empty one. */
}

static void *bzip2_begin(void)
{
    bz_stream *z = calloc(1, sizeof *z);
    CHECK(z != NULL);
    CHECK(BZ2_bzDecompressInit(z, 0, 0) == BZ_OK);
    return z;
}

static enum unpack_result bzip2_step(void *state, struct unpack_io *io, struct error *error)
{
    bz_stream *z = state;
    z->next_in   = (char *)io->in;
    z->avail_in  = (unsigned)io->in_bytes;
    z->next_out  = (char *)io->out;
    z->avail_out = (unsigned)io->out_bytes;

    const int result = BZ2_bzDecompress(z);
    io->in += io->in_bytes - z->avail_in;
    io->in_bytes = z->avail_in;
    io->out += io->out_bytes - z->avail_out;
    io->out_bytes = z->avail_out;
    if (result == BZ_STREAM_END)
        return UNPACK_ENDED;
    if (result == BZ_OK)
        return UNPACK_GOING;
    CHECK(result != BZ_MEM_ERROR);
    error_set(error, "the compressed data is damaged (%s)",
              result == BZ_DATA_ERROR_MAGIC ? "not a bzip2 stream" : "wrong data");
    return UNPACK_BROKEN;
}

static void bzip2_again(void *state)
{
    bz_stream *z = state;
    BZ2_bzDecompressEnd(z);
    memset(z, 0, sizeof *z);
    CHECK(BZ2_bzDecompressInit(z, 0, 0) == BZ_OK);
}

static void bzip2_end(void *state)
{
    BZ2_bzDecompressEnd(state);
    free(state);
}

const struct unpacker unpack_bzip2 = {
    .name       = "bzip2",
    .recognises = bzip2_recognises,
    .begin      = bzip2_begin,
    .step       = bzip2_step,
    .again      = bzip2_again,
    .end        = bzip2_end,
};
