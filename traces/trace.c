/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/trace.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/check.h"

const char *trace_op_name(enum trace_op op)
{
    static const char *const name[TRACE_OPS] = {
        [TRACE_READ]               = "read",
        [TRACE_WRITE]              = "write",
        [TRACE_FLUSH]              = "flush",
        [TRACE_DISCARD]            = "discard",
        [TRACE_WRITE_ZEROES]       = "write_zeroes",
        [TRACE_ACCESS_READ]        = "access_read",
        [TRACE_ACCESS_WRITE]       = "access_write",
        [TRACE_MAP]                = "map",
        [TRACE_RDMA_SEND]          = "rdma_send",
        [TRACE_RDMA_RECEIVE]       = "rdma_receive",
        [TRACE_RDMA_WRITE]         = "rdma_write",
        [TRACE_RDMA_READ]          = "rdma_read",
        [TRACE_RDMA_ATOMIC]        = "rdma_atomic",
        [TRACE_RDMA_REGISTER]      = "rdma_register",
        [TRACE_RDMA_FAST_REGISTER] = "rdma_fast_register",
        [TRACE_RDMA_INVALIDATE]    = "rdma_invalidate",
        [TRACE_RDMA_DEREGISTER]    = "rdma_deregister",
    };
    CHECK(op < TRACE_OPS);
    return name[op];
}

/* A note is one line on a terminal, whatever the file that it came from holds. */
static void note_copy(char *out, size_t out_bytes, const char *text)
{
    size_t used = 0;
    for (; *text != '\0' && used + 1 < out_bytes; text++) {
        const unsigned char c = (unsigned char)*text;
        out[used++]           = c < 0x20 || c == 0x7f ? '?' : *text;
    }
    memset(out + used, 0, out_bytes - used);
}

static struct trace_note *note_find(struct trace_about *about, const char *key)
{
    for (uint32_t i = 0; i < about->note_count; i++)
        if (strcmp(about->note[i].key, key) == 0)
            return &about->note[i];
    return NULL;
}

void trace_about_note(struct trace_about *about, const char *key, const char *value)
{
    char name[sizeof about->note[0].key];
    note_copy(name, sizeof name, key);

    struct trace_note *note = note_find(about, name);
    if (note == NULL && about->note_count < TRACE_NOTES_MAX) {
        note = &about->note[about->note_count++];
        memcpy(note->key, name, sizeof name);
    }
    if (note != NULL)
        note_copy(note->value, sizeof note->value, value);
}

const char *trace_about_find(const struct trace_about *about, const char *key)
{
    for (uint32_t i = 0; i < about->note_count; i++)
        if (strcmp(about->note[i].key, key) == 0)
            return about->note[i].value;
    return NULL;
}

bool trace_takes_turns(const struct trace_about *about)
{
    const char *order = trace_about_find(about, TRACE_NOTE_ORDER);
    return order != NULL && strcmp(order, TRACE_ORDER_TURNS) == 0;
}

static bool below(const char *field, uint64_t value, uint64_t limit, struct error *error)
{
    if (value < limit)
        return true;
    return error_set(error, "%s %" PRIu64 " must be below %" PRIu64, field, value, limit);
}

static bool place_check(const struct trace_record *r, struct error *error)
{
    return below("cpu", r->cpu, TRACE_CPUS_MAX, error)
           && below("completion_cpu", r->completion_cpu, TRACE_CPUS_MAX, error)
           && below("device", r->device, TRACE_DEVICES_MAX, error)
           && below("queue", r->queue, TRACE_QUEUES_MAX, error);
}

static bool time_check(const struct trace_record *r, struct error *error)
{
    if (!below("time_ns", r->time_ns, TRACE_TIME_MAX_NS + 1, error))
        return false;
    return r->latency_ns == TRACE_LATENCY_UNKNOWN
           || below("latency_ns", r->latency_ns, TRACE_TIME_MAX_NS + 1, error);
}

static bool bytes_check(const struct trace_record *r, struct error *error)
{
    if (!below("lba", r->lba, TRACE_LBA_MAX + 1, error))
        return false;
    if (r->op == TRACE_FLUSH && r->bytes != 0)
        return error_set(error, "bytes %" PRIu32 " must be 0 for a flush", r->bytes);
    if (!trace_op_moves_data(r->op))
        return true;
    if (r->bytes == 0)
        return error_set(error, "bytes must not be 0 for a %s", trace_op_name(r->op));
    return below("bytes", r->bytes, (uint64_t)TRACE_BYTES_MAX + 1, error);
}

static bool segment_check(const struct trace_record *r, uint32_t index, struct error *error)
{
    const struct trace_segment *s = &r->segment[index];
    const uint64_t pa_end         = UINT64_C(1) << TRACE_PA_BITS;

    if (s->bytes == 0)
        return error_set(error, "segment %" PRIu32 " is empty", index);
    if (s->pa >= pa_end || s->bytes > pa_end - s->pa)
        return error_set(error, "segment %" PRIu32 " at 0x%" PRIx64 " exceeds %d bits",
                         index, s->pa, TRACE_PA_BITS);
    return true;
}

static bool segments_check(const struct trace_record *r, struct error *error)
{
    uint64_t sum = 0;

    if (r->segment_count == 0)
        return true;
    if (!trace_op_moves_data(r->op))
        return error_set(error, "segment_count must be 0 for a %s", trace_op_name(r->op));
    if (!below("segment_count", r->segment_count, TRACE_SEGMENTS_MAX + 1, error))
        return false;
    for (uint32_t i = 0; i < r->segment_count; i++) {
        if (!segment_check(r, i, error))
            return false;
        sum += r->segment[i].bytes;
    }
    if (sum != r->bytes)
        return error_set(error,
                         "the segments sum to %" PRIu64 " bytes, the request has %" PRIu32,
                         sum, r->bytes);
    return true;
}

static bool range_check(const char *field, uint64_t address, uint64_t bytes,
                        struct error *error)
{
    if (bytes <= UINT64_MAX - address)
        return true;
    return error_set(error, "%s 0x%" PRIx64 " + %" PRIu64 " exceeds 64 bits", field,
                     address, bytes);
}

static bool rdma_is_blank(const struct trace_rdma *r)
{
    return r->qp == 0 && r->peer == 0 && r->peer_qp == 0 && r->key == 0 && r->address == 0
           && r->region_bytes == 0 && r->local_key == 0 && r->local_address == 0;
}

static bool rdma_check(const struct trace_record *record, struct error *error)
{
    const struct trace_rdma *const r = &record->rdma;
    const bool comes                 = trace_op_registers(record->op);
    const bool region                = trace_op_is_region(record->op);

    if (!trace_op_is_rdma(record->op))
        return rdma_is_blank(r)
               || error_set(error, "a %s cannot have RDMA fields",
                            trace_op_name(record->op));
    if (record->lba != 0 || record->segment_count != 0 || record->queue != 0)
        return error_set(error, "lba, queue and segments must be 0 for a %s",
                         trace_op_name(record->op));
    if (!below("bytes", record->bytes, region ? 1 : (uint64_t)TRACE_MESSAGE_MAX + 1, error))
        return false;
    if ((r->region_bytes != 0) != comes)
        return error_set(error, "region_bytes cannot be %" PRIu64 " for a %s",
                         r->region_bytes, trace_op_name(record->op));
    return below("qp", r->qp, 1 << TRACE_QP_BITS, error)
           && below("peer", r->peer, TRACE_DEVICES_MAX, error)
           && below("peer_qp", r->peer_qp, 1 << TRACE_QP_BITS, error)
           && range_check("address", r->address, record->bytes, error)
           && range_check("address", r->address, r->region_bytes, error)
           && range_check("local_address", r->local_address, record->bytes, error);
}

bool trace_record_check(const struct trace_record *record, struct error *error)
{
    if ((unsigned)record->op >= TRACE_OPS)
        return error_set(error, "op %u is not known", (unsigned)record->op);
    return time_check(record, error) && place_check(record, error)
           && rdma_check(record, error)
           && (trace_op_is_rdma(record->op)
               || (bytes_check(record, error) && segments_check(record, error)));
}
