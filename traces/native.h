/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native - the pieces of the native format that its writer and its importer share.
 *
 * FORMAT.md is the description; the names here are those of its tables. Everything is pure
 * functions between structs and bytes, so that both directions stand side by side.
 */
#ifndef TRACES_NATIVE_H
#define TRACES_NATIVE_H

#include <stddef.h>

#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NATIVE_MAGIC "IOVATRC\n" /* Without its terminator. */

enum {
    NATIVE_VERSION            = 1,
    NATIVE_MAGIC_BYTES        = 8,
    NATIVE_FILE_HEADER_BYTES  = 16,
    NATIVE_BLOCK_HEADER_BYTES = 28,
    NATIVE_CRC_BYTES          = 4,
    NATIVE_TOTALS_BYTES       = 24,
    NATIVE_NOTE_BYTES_MAX     = sizeof(struct trace_note), /* Two lengths for two NULs. */
    NATIVE_NOTES_BYTES_MAX    = TRACE_NOTES_MAX * NATIVE_NOTE_BYTES_MAX,

    /* A block is closed by the record that reaches one of these, so it may hold up to
     * TRACE_SEGMENTS_MAX - 1 segments more. */
    NATIVE_BLOCK_RECORDS  = 1 << 14,
    NATIVE_BLOCK_SEGMENTS = 1 << 15,
    NATIVE_BLOCK_RDMA     = 1 << 13, /* Records of RDMA work, which are larger. */

    NATIVE_RAW_BYTES_MAX    = 1 << 21,
    NATIVE_PACKED_BYTES_MAX = NATIVE_RAW_BYTES_MAX + 4096, /* zlib can make it grow. */
};

enum native_block_kind { NATIVE_RECORDS = 1, NATIVE_END = 2 };
enum native_record_kind { NATIVE_REQUEST = 1, NATIVE_RDMA = 2 };

struct native_block {
    uint32_t kind;
    uint32_t records;
    uint64_t first; /* Index of its first record; in the end block, how many there are. */
    uint32_t raw_bytes, packed_bytes;
    uint32_t crc;
};

/* What the end block says about the whole file. */
struct native_totals {
    uint64_t records, segments, blocks;
};

uint64_t native_get(const uint8_t *in, unsigned bytes); /* Little-endian. */
void native_put(uint8_t *out, unsigned bytes, uint64_t value);

void native_block_encode(const struct native_block *block, uint8_t *out);
struct native_block native_block_decode(const uint8_t *in);

/* CRC-32 of a block's header, as far as the CRC itself, and of its packed contents. */
uint32_t native_block_crc(const struct native_block *block, const void *packed);
uint32_t native_crc(const void *bytes, size_t count);

/* Notes, up to NATIVE_NOTES_BYTES_MAX bytes of them. */
size_t native_notes_encode(const struct trace_about *about, uint8_t *out);
bool native_notes_decode(struct trace_about *about, const uint8_t *in, size_t bytes,
                         struct error *error);

void native_totals_encode(const struct native_totals *totals, uint8_t *out);
struct native_totals native_totals_decode(const uint8_t *in);

/*
 * The contents of a block of records: one column of varints for each field, because values
 * of one kind next to each other pack much better than records do.
 */
enum native_column {
    NATIVE_KIND,
    NATIVE_FLAGS,
    NATIVE_TIME,
    NATIVE_LATENCY,
    NATIVE_LBA,
    NATIVE_BYTES,
    NATIVE_CPU,
    NATIVE_COMPLETION_CPU,
    NATIVE_DEVICE,
    NATIVE_QUEUE,
    NATIVE_DEPTH,
    NATIVE_SEGMENT_COUNT,
    NATIVE_SEGMENT_PA,
    NATIVE_SEGMENT_BYTES,
    NATIVE_BASE_COLUMNS, /* A block without RDMA work has no others. */

    NATIVE_RDMA_OP = NATIVE_BASE_COLUMNS,
    NATIVE_RDMA_QP,
    NATIVE_RDMA_PEER,
    NATIVE_RDMA_PEER_QP,
    NATIVE_RDMA_KEY,
    NATIVE_RDMA_ADDRESS,
    NATIVE_RDMA_REGION_BYTES,
    NATIVE_RDMA_LOCAL_KEY,
    NATIVE_RDMA_LOCAL_ADDRESS,
    NATIVE_COLUMNS,
};

enum {
    NATIVE_COLUMNS_MAX      = 64, /* That a later writer may have. */
    NATIVE_VARINT_BYTES_MAX = 10,
    NATIVE_COLUMN_BYTES_MAX =
        NATIVE_VARINT_BYTES_MAX * (NATIVE_BLOCK_SEGMENTS + TRACE_SEGMENTS_MAX),
};

/* The record before, from which the next one differs little; all 0 at a block's start. */
struct native_before {
    uint64_t time_ns, lba_end, pa_end;
    uint32_t bytes, cpu, device, queue;
    struct trace_rdma rdma; /* Of the last record of RDMA work; its addresses are ends. */
};

struct native_encoder {
    struct native_before before;
    uint32_t records, segments, rdma; /* Of the block so far; rdma: records of that kind. */
    uint8_t *at[NATIVE_COLUMNS];
    uint8_t column[NATIVE_COLUMNS][NATIVE_COLUMN_BYTES_MAX];
};

void native_encoder_begin(struct native_encoder *encoder);

/* Appends a record that passes trace_record_check and is not earlier than the last. */
void native_encode(struct native_encoder *encoder, const struct trace_record *record);
bool native_encoder_full(const struct native_encoder *encoder);

/* The contents of the block, at most NATIVE_RAW_BYTES_MAX, into out; returns their size. */
size_t native_encoder_take(const struct native_encoder *encoder, uint8_t *out);

struct native_decoder {
    struct native_before before;
    struct {
        const uint8_t *at, *end;
    } column[NATIVE_COLUMNS];
    bool bad; /* A column was too short, or a value did not fit. */
};

/* The contents may be anything, and must outlive the decoder. */
bool native_decoder_begin(struct native_decoder *decoder, const uint8_t *in, size_t bytes,
                          struct error *error);

/* The next record; segment has room for TRACE_SEGMENTS_MAX. */
bool native_decode(struct native_decoder *decoder, struct trace_record *record,
                   struct trace_segment *segment, struct error *error);

/* Whether every value has been used. */
bool native_decoder_empty(const struct native_decoder *decoder);

#ifdef __cplusplus
}
#endif

#endif
