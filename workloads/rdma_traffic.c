/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_traffic.h"

/* Far enough from each other that the largest regions do not meet. */
enum { FIRST_QP = 16, KEY_LOCAL = 0x1000, KEY_REMOTE = 0x100000, STRIDE_LG2 = 46 - 10 };
#define LOCAL_FIRST  (UINT64_C(1) << 44)
#define REMOTE_FIRST (UINT64_C(1) << 45)

bool rdma_traffic_check(const struct gen_config *config, const void *own,
                        struct error *error)
{
    const struct traffic_config *c = own;
    (void)config;
    if ((uint64_t)c->bytes * c->slots >> (STRIDE_LG2 - 1) != 0)
        return error_set(error, "bytes, slots: expected a region of at most 32 GiB");
    return true;
}

/* The address of a queue pair's region at an end. */
static uint64_t base(uint64_t first, uint32_t qp)
{
    return first + ((uint64_t)qp << STRIDE_LG2) % (UINT64_C(1) << 44);
}

static bool make_region(uint64_t bytes, uint64_t nth, struct trace_record *record)
{
    const uint32_t qp         = (uint32_t)(nth / 2);
    const bool local          = nth % 2 == 0;
    record->op                = TRACE_RDMA_REGISTER;
    record->rdma.key          = (local ? KEY_LOCAL : KEY_REMOTE) + qp;
    record->rdma.address      = base(local ? LOCAL_FIRST : REMOTE_FIRST, qp);
    record->rdma.region_bytes = bytes;
    return true;
}

bool rdma_traffic_next(struct gen_stream *s, struct trace_record *record, enum trace_op op,
                       uint32_t depth)
{
    const struct traffic_config *c = s->own;
    if (s->made < 2 * (uint64_t)c->qps)
        return make_region((uint64_t)c->bytes * c->slots, s->made, record);
    const uint64_t nth    = s->made - 2 * (uint64_t)c->qps;
    const uint32_t qp     = (uint32_t)(nth % c->qps);
    const uint64_t offset = nth / c->qps % c->slots * c->bytes;
    record->op            = op;
    record->bytes         = op == TRACE_RDMA_ATOMIC ? 8 : c->bytes;
    record->cpu           = qp % s->config->cpus; /* A queue pair stays with its CPU. */
    record->depth         = depth != 0 ? depth : record->depth;
    record->rdma          = (struct trace_rdma){ .qp            = FIRST_QP + qp,
                                                 .peer          = 1,
                                                 .peer_qp       = FIRST_QP + qp,
                                                 .local_key     = KEY_LOCAL + qp,
                                                 .local_address = base(LOCAL_FIRST, qp) + offset };
    if (op == TRACE_RDMA_SEND)
        return true; /* Where it goes, its receiver says. */
    record->rdma.key     = KEY_REMOTE + qp;
    record->rdma.address = base(REMOTE_FIRST, qp) + offset;
    return true;
}

bool rdma_turns_next(struct gen_stream *s, struct trace_record *record, enum trace_op op)
{
    const struct turns_config *c = s->own;
    if (s->made < 2 * (uint64_t)c->qps)
        return make_region((uint64_t)c->bytes * 2, s->made, record);
    const uint64_t nth  = s->made - 2 * (uint64_t)c->qps;
    const uint32_t qp   = (uint32_t)(nth % c->qps);
    const bool back     = nth / c->qps % 2 == 1;
    const uint64_t mine = base(back ? REMOTE_FIRST : LOCAL_FIRST, qp);
    record->op          = op;
    record->bytes       = c->bytes;
    record->device      = back;
    record->cpu         = qp % s->config->cpus;
    record->depth       = c->qps; /* What bounds it is the order. */
    record->rdma        = (struct trace_rdma){ .qp        = FIRST_QP + qp,
                                               .peer      = !back,
                                               .peer_qp   = FIRST_QP + qp,
                                               .local_key = (back ? KEY_REMOTE : KEY_LOCAL) + qp,
                                               .local_address = mine };
    if (op == TRACE_RDMA_SEND)
        return true;
    record->rdma.key     = (back ? KEY_LOCAL : KEY_REMOTE) + qp;
    record->rdma.address = base(back ? LOCAL_FIRST : REMOTE_FIRST, qp) + c->bytes;
    return true;
}

void rdma_ranks_write(const struct ranks_config *c, uint32_t from, uint32_t to,
                      struct trace_record *record)
{
    const uint32_t pair = from < to ? from * c->ranks + to : to * c->ranks + from;
    record->op          = TRACE_RDMA_WRITE;
    record->bytes       = c->bytes;
    record->device      = from;
    record->rdma        = (struct trace_rdma){ .qp      = FIRST_QP + pair,
                                               .peer    = to,
                                               .peer_qp = FIRST_QP + pair };
}
