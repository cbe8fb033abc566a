/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_native - the format of FORMAT.md.
 *
 * Whatever sizes the file claims are held against their limits before anything is read
 * into memory, and a file is whole only when its end block's totals are those of the
 * records that came.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "sim/base/check.h"
#include "traces/import.h"
#include "traces/native.h"

struct native_reader {
    struct trace_source *source;
    struct trace_about *about;
    struct native_totals seen;
    uint32_t block_left; /* Records of the block that have not been handed out. */
    struct native_decoder decoder;
    struct trace_segment segment[TRACE_SEGMENTS_MAX];
    uint8_t raw[NATIVE_RAW_BYTES_MAX];
    uint8_t packed[NATIVE_PACKED_BYTES_MAX];
};

static bool native_recognises(const uint8_t *first, size_t bytes)
{
    return bytes >= NATIVE_MAGIC_BYTES
           && memcmp(first, NATIVE_MAGIC, NATIVE_MAGIC_BYTES) == 0;
}

/* Exactly bytes bytes, or an error: the format always knows what must follow. */
static bool native_read(struct native_reader *n, void *buf, size_t bytes,
                        struct error *error)
{
    const long got = trace_source_read(n->source, buf, bytes, error);
    if (got >= 0 && (size_t)got < bytes)
        return error_set(error, "record %" PRIu64 ": the file ends here, truncated",
                         n->seen.records);
    return got >= 0;
}

static bool header_check(const uint8_t *header, struct error *error)
{
    const unsigned version = (unsigned)native_get(header + 8, 2);
    if (!native_recognises(header, NATIVE_FILE_HEADER_BYTES))
        return error_set(error, "not a native trace: the first bytes are others");
    if (version > NATIVE_VERSION)
        return error_set(error,
                         "format version %u is newer than this program, which has %d",
                         version, NATIVE_VERSION);
    if (version != NATIVE_VERSION || native_get(header + 10, 2) != 0)
        return error_set(error, "the header is damaged");
    return true;
}

static bool header_read(struct native_reader *n, struct error *error)
{
    uint8_t in[NATIVE_FILE_HEADER_BYTES + NATIVE_NOTES_BYTES_MAX + NATIVE_CRC_BYTES];
    uint8_t *const notes = in + NATIVE_FILE_HEADER_BYTES;

    if (!native_read(n, in, NATIVE_FILE_HEADER_BYTES, error) || !header_check(in, error))
        return false;
    const size_t bytes = native_get(in + 12, 4);
    if (bytes > NATIVE_NOTES_BYTES_MAX)
        return error_set(error, "the header claims %zu bytes of notes", bytes);
    if (!native_read(n, notes, bytes + NATIVE_CRC_BYTES, error))
        return false;
    if (native_crc(in, NATIVE_FILE_HEADER_BYTES + bytes) != native_get(notes + bytes, 4))
        return error_set(error, "the header is damaged: its checksum differs");
    return native_notes_decode(n->about, notes, bytes, error);
}

static void *native_open(struct trace_source *source, struct trace_about *about,
                         struct error *error)
{
    struct native_reader *n = malloc(sizeof *n);
    CHECK(n != NULL);
    memset(n, 0, offsetof(struct native_reader, segment));
    n->source = source;
    n->about  = about;
    if (header_read(n, error))
        return n;
    free(n);
    return NULL;
}

static bool block_check(const struct native_reader *n, const struct native_block *block,
                        struct error *error)
{
    if (block->kind != NATIVE_RECORDS && block->kind != NATIVE_END)
        return error_set(error, "block of kind %" PRIu32 " is newer than this program",
                         block->kind);
    if (block->raw_bytes > NATIVE_RAW_BYTES_MAX
        || block->packed_bytes > NATIVE_PACKED_BYTES_MAX)
        return error_set(error, "the block claims %" PRIu32 " bytes, packed %" PRIu32,
                         block->raw_bytes, block->packed_bytes);
    if ((block->kind == NATIVE_RECORDS) != (block->records != 0))
        return error_set(error, "the block claims %" PRIu32 " records", block->records);
    if (block->first != n->seen.records)
        return error_set(error, "a block is missing: the next begins with record %" PRIu64,
                         block->first);
    return true;
}

/* Unpacks a block into raw. Damage is found before zlib sees it. */
static bool block_unpack(struct native_reader *n, const struct native_block *block,
                         struct error *error)
{
    uLongf raw_bytes   = block->raw_bytes;
    uLong packed_bytes = block->packed_bytes;

    if (native_block_crc(block, n->packed) != block->crc)
        return error_set(error, "the block is damaged: its checksum differs");
    if (uncompress2(n->raw, &raw_bytes, n->packed, &packed_bytes) != Z_OK
        || raw_bytes != block->raw_bytes || packed_bytes != block->packed_bytes)
        return error_set(error, "the block does not unpack to what it claims");
    n->block_left = block->records;
    return true;
}

static bool block_read(struct native_reader *n, struct native_block *block,
                       struct error *error)
{
    uint8_t header[NATIVE_BLOCK_HEADER_BYTES];
    struct error why;

    if (!native_read(n, header, sizeof header, error))
        return false;
    *block = native_block_decode(header);
    if (!block_check(n, block, &why))
        return error_set(error, "record %" PRIu64 ": %s", n->seen.records, why.text);
    if (!native_read(n, n->packed, block->packed_bytes, error))
        return false;
    return block_unpack(n, block, error)
           || error_in(error, "record %" PRIu64, n->seen.records);
}

/* The end block: its totals must be those of what was read, and nothing may follow. */
static int end_check(struct native_reader *n, const struct native_block *end,
                     struct error *error)
{
    uint8_t behind;
    if (end->raw_bytes < NATIVE_TOTALS_BYTES) {
        error_set(error, "the end block is too small");
        return -1;
    }
    const struct native_totals total = native_totals_decode(n->raw);
    if (memcmp(&total, &n->seen, sizeof total) != 0) {
        error_set(error, "the totals at the end are not those of the records");
        return -1;
    }
    if (!native_notes_decode(n->about, n->raw + NATIVE_TOTALS_BYTES,
                             end->raw_bytes - NATIVE_TOTALS_BYTES, error))
        return -1;
    const long got = trace_source_read(n->source, &behind, 1, error);
    if (got > 0)
        error_set(error, "there is more behind the end");
    return got == 0 ? 0 : -1;
}

static bool record_read(struct native_reader *n, struct trace_record *record,
                        struct error *error)
{
    if (!native_decode(&n->decoder, record, n->segment, error))
        return error_in(error, "record %" PRIu64, n->seen.records);
    n->block_left--;
    n->seen.records++;
    n->seen.segments += record->segment_count;
    if (n->block_left == 0 && !native_decoder_empty(&n->decoder))
        return error_set(error, "record %" PRIu64 ": its block holds more than its records",
                         n->seen.records - 1);
    return true;
}

/* Begins the next block of records. 1: it did; 0: there is none; -1. */
static int records_begin(struct native_reader *n, struct error *error)
{
    struct native_block block;
    if (!block_read(n, &block, error))
        return -1;
    if (block.kind == NATIVE_END)
        return end_check(n, &block, error);
    n->seen.blocks++;
    if (native_decoder_begin(&n->decoder, n->raw, block.raw_bytes, error))
        return 1;
    error_in(error, "record %" PRIu64, n->seen.records);
    return -1;
}

static int native_next(void *state, struct trace_record *record, struct error *error)
{
    struct native_reader *n = state;
    const int got           = n->block_left != 0 ? 1 : records_begin(n, error);
    if (got != 1)
        return got;
    return record_read(n, record, error) ? 1 : -1;
}

static void native_close(void *state)
{
    free(state);
}

const struct trace_importer import_native = {
    .name    = "native",
    .summary = "The simulator's own compact format (traces/FORMAT.md)",
    .origin  = "iovasim trace convert",
    .knows =
        KNOWS_TIME | KNOWS_LATENCY | KNOWS_CPU | KNOWS_DEVICE | KNOWS_MEMORY | KNOWS_RDMA,
    .recognises = native_recognises,
    .open       = native_open,
    .next       = native_next,
    .close      = native_close,
};
