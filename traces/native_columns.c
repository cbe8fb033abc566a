/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records to columns and back. The flags of a record say which of its other fields follow;
 * a field that is what one would expect takes no room in its column.
 */
#include <assert.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/lg2.h"
#include "traces/native.h"

enum {
    FLAG_OP           = 0x0007,
    FLAG_LATENCY      = 0x0008, /* The latency is known. */
    FLAG_BYTES        = 0x0010, /* bytes are not those of the record before. */
    FLAG_CPU          = 0x0020, /* Nor is cpu. */
    FLAG_DEVICE       = 0x0040, /* Nor is device. */
    FLAG_QUEUE        = 0x0080, /* Nor is queue. */
    FLAG_COMPLETION   = 0x0100, /* completion_cpu is not cpu. */
    FLAG_SCATTERED    = 0x0200, /* segment_count is not 1. */
    FLAG_PAGES        = 0x0400, /* Addresses and sizes of segments count 4 KiB pages. */
    FLAGS_KNOWN       = 0x07ff,
    PAGE_LG2          = 12,
    COLUMN_SIZE_BYTES = 4, /* Of a number in the directory. */
};

static_assert(NATIVE_COLUMN_BYTES_MAX >= NATIVE_VARINT_BYTES_MAX * NATIVE_BLOCK_RECORDS,
              "a column has room for one value of each record");

/* A record of RDMA work takes 62 bytes, too, of which it does not use 25, and 63 more. */
static_assert(62 * NATIVE_BLOCK_RECORDS + 63 * NATIVE_BLOCK_RDMA
                      + 14 * (NATIVE_BLOCK_SEGMENTS + TRACE_SEGMENTS_MAX)
                      + COLUMN_SIZE_BYTES * (1 + NATIVE_COLUMNS)
                  <= NATIVE_RAW_BYTES_MAX,
              "a full block with RDMA work keeps the limit");

/* 62 bytes of a record's own: kind 1, flags 2, three of 64 bits, seven of 32 bits or less;
 * the address and the size of a segment take 9 and 5. */
static_assert(62 * NATIVE_BLOCK_RECORDS + 14 * (NATIVE_BLOCK_SEGMENTS + TRACE_SEGMENTS_MAX)
                      + COLUMN_SIZE_BYTES * (1 + NATIVE_COLUMNS)
                  <= NATIVE_RAW_BYTES_MAX,
              "a full block keeps the limit");

void native_encoder_begin(struct native_encoder *encoder)
{
    encoder->before  = (struct native_before){ 0 };
    encoder->records = encoder->segments = encoder->rdma = 0;
    for (unsigned c = 0; c < NATIVE_COLUMNS; c++)
        encoder->at[c] = encoder->column[c];
}

bool native_encoder_full(const struct native_encoder *encoder)
{
    return encoder->records >= NATIVE_BLOCK_RECORDS
           || encoder->segments >= NATIVE_BLOCK_SEGMENTS
           || encoder->rdma >= NATIVE_BLOCK_RDMA;
}

static void column_put(struct native_encoder *e, enum native_column column, uint64_t value)
{
    uint8_t *out = e->at[column];
    for (; value >= 0x80; value >>= 7)
        *out++ = (uint8_t)(value | 0x80);
    *out++        = (uint8_t)value;
    e->at[column] = out;
}

/* Differences are small in both directions: the sign moves to the lowest bit. */
static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (0 - (difference >> 63));
}

static uint64_t unzigzag(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

static bool segments_are_pages(const struct trace_record *r)
{
    uint64_t low = 0;
    for (uint32_t i = 0; i < r->segment_count; i++)
        low |= r->segment[i].pa | r->segment[i].bytes;
    return r->segment_count != 0 && (low & mask_lg2(PAGE_LG2)) == 0;
}

static unsigned flags_of(const struct native_before *b, const struct trace_record *r)
{
    unsigned flags = trace_op_is_rdma(r->op) ? 0 : (unsigned)r->op;
    flags |= r->latency_ns != TRACE_LATENCY_UNKNOWN ? FLAG_LATENCY : 0;
    flags |= r->bytes != b->bytes ? FLAG_BYTES : 0;
    flags |= r->cpu != b->cpu ? FLAG_CPU : 0;
    flags |= r->device != b->device ? FLAG_DEVICE : 0;
    flags |= r->queue != b->queue ? FLAG_QUEUE : 0;
    flags |= r->completion_cpu != r->cpu ? FLAG_COMPLETION : 0;
    if (trace_op_is_rdma(r->op))
        return flags;
    flags |= r->segment_count != 1 ? FLAG_SCATTERED : 0;
    flags |= segments_are_pages(r) ? FLAG_PAGES : 0;
    return flags;
}

static void before_update(struct native_before *b, const struct trace_record *r)
{
    b->time_ns = r->time_ns;
    b->bytes   = r->bytes;
    b->cpu     = r->cpu;
    b->device  = r->device;
    b->queue   = r->queue;
    if (trace_op_is_rdma(r->op)) {
        b->rdma = r->rdma;
        b->rdma.address += r->bytes;
        b->rdma.local_address += r->bytes;
    } else {
        b->lba_end = r->lba + r->bytes / TRACE_SECTOR_BYTES;
    }
}

static void rdma_put(struct native_encoder *e, const struct trace_record *r)
{
    const struct trace_rdma *const b = &e->before.rdma;
    const struct trace_rdma *const w = &r->rdma;

    column_put(e, NATIVE_RDMA_OP, (uint64_t)(r->op - TRACE_PLAIN_OPS));
    column_put(e, NATIVE_RDMA_QP, w->qp);
    column_put(e, NATIVE_RDMA_PEER, w->peer);
    column_put(e, NATIVE_RDMA_PEER_QP, w->peer_qp);
    column_put(e, NATIVE_RDMA_KEY, w->key);
    column_put(e, NATIVE_RDMA_ADDRESS, zigzag(w->address - b->address));
    column_put(e, NATIVE_RDMA_REGION_BYTES, w->region_bytes);
    column_put(e, NATIVE_RDMA_LOCAL_KEY, w->local_key);
    column_put(e, NATIVE_RDMA_LOCAL_ADDRESS, zigzag(w->local_address - b->local_address));
    e->rdma++;
}

/* The size of the last segment is what the others leave of the request's bytes. */
static void segments_put(struct native_encoder *e, const struct trace_record *r,
                         unsigned unit_lg2)
{
    for (uint32_t i = 0; i < r->segment_count; i++) {
        const struct trace_segment *s = &r->segment[i];
        const uint64_t expected       = e->before.pa_end >> unit_lg2;
        column_put(e, NATIVE_SEGMENT_PA, zigzag((s->pa >> unit_lg2) - expected));
        if (i + 1 < r->segment_count)
            column_put(e, NATIVE_SEGMENT_BYTES, s->bytes >> unit_lg2);
        e->before.pa_end = s->pa + s->bytes;
    }
}

void native_encode(struct native_encoder *encoder, const struct trace_record *record)
{
    struct native_encoder *const e     = encoder;
    const struct trace_record *const r = record;
    const unsigned flags               = flags_of(&e->before, r);

    CHECK(!native_encoder_full(e));
    CHECK(r->time_ns >= e->before.time_ns);
    const bool rdma = trace_op_is_rdma(r->op);

    column_put(e, NATIVE_KIND, rdma ? NATIVE_RDMA : NATIVE_REQUEST);
    column_put(e, NATIVE_FLAGS, flags);
    column_put(e, NATIVE_TIME, r->time_ns - e->before.time_ns);
    if (!rdma)
        column_put(e, NATIVE_LBA, zigzag(r->lba - e->before.lba_end));
    column_put(e, NATIVE_DEPTH, r->depth);
    if (flags & FLAG_LATENCY)
        column_put(e, NATIVE_LATENCY, r->latency_ns);
    if (flags & FLAG_BYTES)
        column_put(e, NATIVE_BYTES, r->bytes);
    if (flags & FLAG_CPU)
        column_put(e, NATIVE_CPU, r->cpu);
    if (flags & FLAG_DEVICE)
        column_put(e, NATIVE_DEVICE, r->device);
    if (flags & FLAG_QUEUE)
        column_put(e, NATIVE_QUEUE, r->queue);
    if (flags & FLAG_COMPLETION)
        column_put(e, NATIVE_COMPLETION_CPU, r->completion_cpu);
    if (flags & FLAG_SCATTERED)
        column_put(e, NATIVE_SEGMENT_COUNT, r->segment_count);
    if (rdma)
        rdma_put(e, r);
    before_update(&e->before, r);
    segments_put(e, r, flags & FLAG_PAGES ? PAGE_LG2 : 0);
    e->records++;
    e->segments += r->segment_count;
}

size_t native_encoder_take(const struct native_encoder *encoder, uint8_t *out)
{
    const unsigned columns = encoder->rdma != 0 ? NATIVE_COLUMNS : NATIVE_BASE_COLUMNS;
    uint8_t *directory     = out;
    uint8_t *at            = out + (size_t)COLUMN_SIZE_BYTES * (1 + columns);

    native_put(directory, COLUMN_SIZE_BYTES, columns);
    for (unsigned c = 0; c < columns; c++) {
        const size_t bytes = (size_t)(encoder->at[c] - encoder->column[c]);
        CHECK(bytes <= NATIVE_COLUMN_BYTES_MAX);
        directory += COLUMN_SIZE_BYTES;
        native_put(directory, COLUMN_SIZE_BYTES, bytes);
        memcpy(at, encoder->column[c], bytes);
        at += bytes;
    }
    CHECK(at - out <= NATIVE_RAW_BYTES_MAX);
    return (size_t)(at - out);
}

bool native_decoder_begin(struct native_decoder *decoder, const uint8_t *in, size_t bytes,
                          struct error *error)
{
    const uint64_t columns =
        bytes < COLUMN_SIZE_BYTES ? 0 : native_get(in, COLUMN_SIZE_BYTES);
    const uint8_t *directory = in + COLUMN_SIZE_BYTES;
    size_t used              = COLUMN_SIZE_BYTES * (1 + columns);

    *decoder = (struct native_decoder){ 0 };
    if (columns < NATIVE_BASE_COLUMNS || columns > NATIVE_COLUMNS_MAX || used > bytes)
        return error_set(error, "the block's directory is malformed");
    for (uint64_t c = 0; c < columns; c++, directory += COLUMN_SIZE_BYTES) {
        const uint64_t size = native_get(directory, COLUMN_SIZE_BYTES);
        if (size > bytes - used)
            return error_set(error, "the block's directory exceeds the block");
        if (c < NATIVE_COLUMNS) {
            decoder->column[c].at  = in + used;
            decoder->column[c].end = in + used + size;
        }
        used += size;
    }
    return used == bytes || error_set(error, "the block exceeds its directory");
}

bool native_decoder_empty(const struct native_decoder *decoder)
{
    for (unsigned c = 0; c < NATIVE_COLUMNS; c++)
        if (decoder->column[c].at != decoder->column[c].end)
            return false;
    return true;
}

/* A value that is missing or too large only sets bad: a record is judged once, when all of
 * it has been read. */
static inline uint64_t column_get(struct native_decoder *d, enum native_column column)
{
    const uint8_t *at        = d->column[column].at;
    const uint8_t *const end = d->column[column].end;
    uint64_t value           = 0;

    for (unsigned shift = 0; at != end && shift < 64; shift += 7) {
        const uint8_t byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            d->bad |= shift == 63 && byte > 1; /* A 65th bit. */
            d->column[column].at = at;
            return value;
        }
    }
    d->bad = true;
    return 0;
}

static inline uint32_t column_get32(struct native_decoder *d, enum native_column column)
{
    const uint64_t value = column_get(d, column);
    d->bad |= value > UINT32_MAX;
    return (uint32_t)value;
}

static void segments_get(struct native_decoder *d, const struct trace_record *r,
                         struct trace_segment *segment, unsigned unit_lg2)
{
    uint64_t left = r->bytes;

    for (uint32_t i = 0; i < r->segment_count && !d->bad; i++) {
        const uint64_t expected = d->before.pa_end >> unit_lg2;
        const uint64_t pa       = expected + unzigzag(column_get(d, NATIVE_SEGMENT_PA));
        uint64_t bytes          = left;
        if (i + 1 < r->segment_count)
            bytes = (uint64_t)column_get32(d, NATIVE_SEGMENT_BYTES) << unit_lg2;
        d->bad |= bytes > left;
        left -= bytes;
        segment[i].pa    = pa << unit_lg2;
        segment[i].bytes = (uint32_t)bytes;
        d->before.pa_end = segment[i].pa + segment[i].bytes;
    }
}

/* What both kinds of record have; an operation of FLAG_OP is judged by the reader. */
static void request_get(struct native_decoder *d, struct trace_record *r, unsigned flags,
                        bool rdma)
{
    const struct native_before *const b = &d->before;

    r->op      = (enum trace_op)(flags & FLAG_OP);
    r->time_ns = b->time_ns + column_get(d, NATIVE_TIME);
    r->lba     = rdma ? 0 : b->lba_end + unzigzag(column_get(d, NATIVE_LBA));
    r->rdma    = (struct trace_rdma){ 0 };
    r->depth   = column_get32(d, NATIVE_DEPTH);
    r->latency_ns =
        flags & FLAG_LATENCY ? column_get(d, NATIVE_LATENCY) : TRACE_LATENCY_UNKNOWN;
    r->bytes  = flags & FLAG_BYTES ? column_get32(d, NATIVE_BYTES) : b->bytes;
    r->cpu    = flags & FLAG_CPU ? column_get32(d, NATIVE_CPU) : b->cpu;
    r->device = flags & FLAG_DEVICE ? column_get32(d, NATIVE_DEVICE) : b->device;
    r->queue  = flags & FLAG_QUEUE ? column_get32(d, NATIVE_QUEUE) : b->queue;
    r->completion_cpu =
        flags & FLAG_COMPLETION ? column_get32(d, NATIVE_COMPLETION_CPU) : r->cpu;
    r->segment_count = flags & FLAG_SCATTERED ? column_get32(d, NATIVE_SEGMENT_COUNT) : 1;
}

static void rdma_get(struct native_decoder *d, struct trace_record *r, unsigned flags)
{
    const struct native_before *const b = &d->before;
    const uint64_t op                   = column_get(d, NATIVE_RDMA_OP);
    struct trace_rdma *const w          = &r->rdma;

    d->bad |= op >= TRACE_OPS - TRACE_PLAIN_OPS || (flags & FLAG_OP) != 0;
    r->op           = d->bad ? TRACE_RDMA_SEND : (enum trace_op)(TRACE_PLAIN_OPS + op);
    w->qp           = column_get32(d, NATIVE_RDMA_QP);
    w->peer         = column_get32(d, NATIVE_RDMA_PEER);
    w->peer_qp      = column_get32(d, NATIVE_RDMA_PEER_QP);
    w->key          = column_get32(d, NATIVE_RDMA_KEY);
    w->address      = b->rdma.address + unzigzag(column_get(d, NATIVE_RDMA_ADDRESS));
    w->region_bytes = column_get(d, NATIVE_RDMA_REGION_BYTES);
    w->local_key    = column_get32(d, NATIVE_RDMA_LOCAL_KEY);
    w->local_address =
        b->rdma.local_address + unzigzag(column_get(d, NATIVE_RDMA_LOCAL_ADDRESS));
    r->segment_count = 0;
}

bool native_decode(struct native_decoder *decoder, struct trace_record *record,
                   struct trace_segment *segment, struct error *error)
{
    const uint64_t kind  = column_get(decoder, NATIVE_KIND);
    const uint64_t flags = column_get(decoder, NATIVE_FLAGS);

    if (!decoder->bad && kind != NATIVE_REQUEST && kind != NATIVE_RDMA)
        return error_set(error, "kind %llu is newer than this program",
                         (unsigned long long)kind);
    if (flags & ~(uint64_t)FLAGS_KNOWN)
        return error_set(error, "flags 0x%llx are newer than this program",
                         (unsigned long long)flags);
    request_get(decoder, record, (unsigned)flags, kind == NATIVE_RDMA);
    if (kind == NATIVE_RDMA)
        rdma_get(decoder, record, (unsigned)flags);
    decoder->bad |= record->segment_count > TRACE_SEGMENTS_MAX;
    record->segment = segment;
    before_update(&decoder->before, record);
    if (!decoder->bad)
        segments_get(decoder, record, segment, flags & FLAG_PAGES ? PAGE_LG2 : 0);
    return !decoder->bad || error_set(error, "its block is malformed");
}
