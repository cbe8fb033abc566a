/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/trace_edit.h"

#include <inttypes.h>

#include "sim/base/check.h"
#include "sim/base/rng.h"

bool edit_cut_keeps(const struct edit_cut *cut, const struct trace_record *r,
                    uint64_t index)
{
    return index >= cut->skip && r->time_ns >= cut->begin_ns && r->time_ns < cut->end_ns
           && (cut->device == UINT64_MAX || r->device == cut->device)
           && (cut->cpu == UINT64_MAX || r->cpu == cut->cpu);
}

static bool scaled(const char *field, uint64_t *value, uint64_t millionths,
                   struct error *error)
{
    const uint64_t whole = *value / 1000000, rest = *value % 1000000;
    uint64_t product;
    if (__builtin_mul_overflow(whole, millionths, &product)
        || __builtin_add_overflow(product, rest * millionths / 1000000, &product)
        || product > TRACE_TIME_MAX_NS)
        return error_set(error, "%s %" PRIu64 " becomes too large", field, *value);
    *value = product;
    return true;
}

bool edit_scale(struct trace_record *r, uint64_t millionths, struct error *error)
{
    return scaled("time_ns", &r->time_ns, millionths, error)
           && (r->latency_ns == TRACE_LATENCY_UNKNOWN
               || scaled("latency_ns", &r->latency_ns, millionths, error));
}

/* A bijection of the numbers of an even count of bits: a Feistel network, whose rounds need
 * not be invertible. */
static uint64_t permute(uint64_t value, unsigned bits, uint64_t seed)
{
    const unsigned half = bits / 2;
    const uint64_t mask = (UINT64_C(1) << half) - 1;
    uint64_t left = value >> half & mask, right = value & mask;
    for (uint64_t round = 1; round <= 6; round++) {
        struct rng rng      = { seed ^ round << 56 ^ right };
        const uint64_t next = (left ^ rng_next(&rng)) & mask;
        left                = right;
        right               = next;
    }
    return value >> bits << bits | left << half | right;
}

enum {
    EXTENT_LG2   = 11, /* Sectors in 1 MiB. */
    EXTENT_BITS  = 28,
    FRAME_LG2    = 21,
    FRAME_BITS   = 24, /* 32 TiB of memory. */
    VIRTUAL_BITS = 26, /* 128 TiB: a process. */
};

/* 0 stays itself, and nothing else becomes 0: what would, goes where 0 would have gone. */
static uint64_t permute_but_0(uint64_t value, unsigned bits, uint64_t seed)
{
    const uint64_t moved = value == 0 ? 0 : permute(value, bits, seed);
    return moved == 0 && value != 0 ? permute(0, bits, seed) : moved;
}

static uint64_t hide_address(uint64_t address, unsigned bits, uint64_t seed)
{
    const uint64_t offset = address & ((UINT64_C(1) << FRAME_LG2) - 1);
    return permute_but_0(address >> FRAME_LG2, bits, seed) << FRAME_LG2 | offset;
}

static uint32_t hide_number(uint32_t number, unsigned bits, uint64_t seed)
{
    return (uint32_t)permute_but_0(number, bits, seed);
}

static void hide_rdma(struct trace_record *r, uint64_t seed)
{
    struct trace_rdma *const w = &r->rdma;
    w->qp                      = hide_number(w->qp, TRACE_QP_BITS, seed ^ 1);
    w->peer_qp                 = hide_number(w->peer_qp, TRACE_QP_BITS, seed ^ 1);
    w->key                     = hide_number(w->key, 32, seed ^ 2);
    w->local_key               = hide_number(w->local_key, 32, seed ^ 2);
    if (w->address != 0)
        w->address = hide_address(w->address, VIRTUAL_BITS, seed ^ 3);
    if (w->local_address != 0)
        w->local_address = hide_address(w->local_address, VIRTUAL_BITS, seed ^ 3);
}

void edit_anonymise(struct trace_record *r, struct trace_segment *segment, uint64_t seed)
{
    if (trace_op_is_rdma(r->op)) {
        hide_rdma(r, seed);
        return;
    }
    const uint64_t offset = r->lba & ((UINT64_C(1) << EXTENT_LG2) - 1);
    if (r->op != TRACE_FLUSH)
        r->lba = permute(r->lba >> EXTENT_LG2, EXTENT_BITS, seed ^ 4 ^ r->device << 8)
                     << EXTENT_LG2
                 | offset;
    for (uint32_t i = 0; i < r->segment_count; i++)
        segment[i].pa = hide_address(segment[i].pa, FRAME_BITS, seed ^ 5);
    r->segment = segment;
}
