/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/native.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "sim/base/check.h"

static_assert(NATIVE_TOTALS_BYTES + NATIVE_NOTES_BYTES_MAX <= NATIVE_RAW_BYTES_MAX,
              "the end block keeps the limit");
static_assert(sizeof(((struct trace_note *)0)->value) <= UINT8_MAX,
              "the length of a text is one byte");

uint64_t native_get(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0;
    CHECK(bytes <= 8);
    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | in[i];
    return value;
}

void native_put(uint8_t *out, unsigned bytes, uint64_t value)
{
    CHECK(bytes <= 8);
    for (unsigned i = 0; i < bytes; i++, value >>= 8)
        out[i] = (uint8_t)value;
    CHECK(value == 0 || bytes == 8);
}

void native_block_encode(const struct native_block *block, uint8_t *out)
{
    native_put(out + 0, 4, block->kind);
    native_put(out + 4, 4, block->records);
    native_put(out + 8, 8, block->first);
    native_put(out + 16, 4, block->raw_bytes);
    native_put(out + 20, 4, block->packed_bytes);
    native_put(out + 24, 4, block->crc);
}

struct native_block native_block_decode(const uint8_t *in)
{
    const struct native_block block = {
        .kind         = (uint32_t)native_get(in + 0, 4),
        .records      = (uint32_t)native_get(in + 4, 4),
        .first        = native_get(in + 8, 8),
        .raw_bytes    = (uint32_t)native_get(in + 16, 4),
        .packed_bytes = (uint32_t)native_get(in + 20, 4),
        .crc          = (uint32_t)native_get(in + 24, 4),
    };
    return block;
}

uint32_t native_crc(const void *bytes, size_t count)
{
    return (uint32_t)crc32_z(0, bytes, count);
}

uint32_t native_block_crc(const struct native_block *block, const void *packed)
{
    uint8_t header[NATIVE_BLOCK_HEADER_BYTES];
    native_block_encode(block, header);
    const uLong crc = native_crc(header, sizeof header - NATIVE_CRC_BYTES);
    return (uint32_t)crc32_z(crc, packed, block->packed_bytes);
}

void native_totals_encode(const struct native_totals *totals, uint8_t *out)
{
    native_put(out + 0, 8, totals->records);
    native_put(out + 8, 8, totals->segments);
    native_put(out + 16, 8, totals->blocks);
}

struct native_totals native_totals_decode(const uint8_t *in)
{
    const struct native_totals totals = {
        .records  = native_get(in + 0, 8),
        .segments = native_get(in + 8, 8),
        .blocks   = native_get(in + 16, 8),
    };
    return totals;
}

static uint8_t *text_put(uint8_t *out, const char *text)
{
    const size_t bytes = strlen(text);
    CHECK(bytes <= UINT8_MAX);
    *out = (uint8_t)bytes;
    memcpy(out + 1, text, bytes);
    return out + 1 + bytes;
}

size_t native_notes_encode(const struct trace_about *about, uint8_t *out)
{
    uint8_t *at = out;
    for (uint32_t i = 0; i < about->note_count; i++)
        at = text_put(text_put(at, about->note[i].key), about->note[i].value);
    return (size_t)(at - out);
}

/* Takes a text of fewer than limit bytes into out; returns what follows it, or NULL. */
static const uint8_t *text_get(const uint8_t *in, const uint8_t *end, char *out,
                               size_t limit)
{
    if (in == end || *in >= limit || *in > end - in - 1)
        return NULL;
    memcpy(out, in + 1, *in);
    out[*in] = '\0';
    return in + 1 + *in;
}

bool native_notes_decode(struct trace_about *about, const uint8_t *in, size_t bytes,
                         struct error *error)
{
    const uint8_t *const end = in + bytes;
    while (in != end) {
        struct trace_note note;
        const uint8_t *const value = text_get(in, end, note.key, sizeof note.key);
        in = value != NULL ? text_get(value, end, note.value, sizeof note.value) : NULL;
        if (in == NULL)
            return error_set(error, "the notes are malformed");
        trace_about_note(about, note.key, note.value);
    }
    return true;
}
