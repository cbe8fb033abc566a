/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack - the family of decompressors that stand under every importer.
 *
 * traces/unpack_X.c defines `const struct unpacker unpack_X` whose name is "X"; the file's
 * name is its registration. A compressed file is a row of members (gzip members, zstd
 * frames, xz and bzip2 streams), each of which ends by itself; traces/source.c goes from
 * one to the next and finds files that were cut.
 */
#ifndef TRACES_UNPACK_H
#define TRACES_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is left to read and to fill; a step moves both ends forward. */
struct unpack_io {
    const uint8_t *in;
    size_t in_bytes;
    uint8_t *out;
    size_t out_bytes;
};

enum unpack_result {
    UNPACK_GOING,  /* Not at the end of a member; nothing moved when input is missing. */
    UNPACK_ENDED,  /* The member is whole. */
    UNPACK_BROKEN, /* The error holds why. */
};

enum { UNPACK_MAGIC_BYTES = 6 };

/* What a hostile file may make a decoder allocate. */
#define UNPACK_MEMORY_MAX (UINT64_C(256) << 20)

struct unpacker {
    const char *name;

    /* Whether a file that begins like this is of this kind; bytes may be few. */
    bool (*recognises)(const uint8_t *first, size_t bytes);

    void *(*begin)(void);
    enum unpack_result (*step)(void *state, struct unpack_io *io, struct error *error);
    void (*again)(void *state); /* To the start of the next member. */
    void (*end)(void *state);
};

extern const struct unpacker *const unpack_table[];

#ifdef __cplusplus
}
#endif

#endif
