/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_turns - messages of a connection that take turns, as in perftest's latency tests:
 * the program at each end spins, on its completion queue for a send, on the last byte of
 * the buffer for a write, and posts its own message when the peer's is there.
 */
#include "workloads/rdma_plan.h"

void rdma_turn_plan(struct rdma_replay *r, struct rdma_flight *f)
{
    struct rdma_end *e = f->local.end, *p = f->remote.end;
    struct rdma_turn_before *b = &e->turn_before;
    if (!r->turns)
        return;
    f->turn = ++e->turn;
    p->turn = e->turn;
    if (b->end == p && b->op == TRACE_RDMA_WRITE && b->bytes > 0)
        f->watched = b->address + b->bytes - 1;
    *b             = (struct rdma_turn_before){ e, f->op, f->remote.address, f->bytes };
    p->turn_before = *b;
}

uint8_t rdma_turn_mark(const struct rdma_flight *f)
{
    return (uint8_t)f->turn;
}

static unsigned shift_of(uint64_t address)
{
    return 8 * (unsigned)(address & 7);
}

static uint64_t word_at(const struct rdma_replay_cpu *c, uint64_t address)
{
    return rdma_frames_of(&c->host->frames, address) & ~UINT64_C(7);
}

void rdma_turn_write_mark(struct rdma_replay_cpu *c, const struct rdma_flight *f)
{
    if (f->turn == 0 || f->op != TRACE_RDMA_WRITE || f->bytes == 0)
        return;
    const uint64_t last  = f->local.address + f->bytes - 1;
    const uint64_t word  = cpu_read64(c->cpu, word_at(c, last));
    const unsigned shift = shift_of(last);
    cpu_write64(c->cpu, word_at(c, last),
                (word & ~(UINT64_C(0xff) << shift)) | (uint64_t)rdma_turn_mark(f) << shift);
}

/* What perftest reports: half of the time from a message to its answer. */
void rdma_turn_over(struct rdma_replay *r, struct rdma_end *e, uint64_t turn, bool arrived)
{
    if (turn <= e->turn_seen)
        return;
    e->turn_seen = turn;
    if (arrived && turn % 2 == 0 && e->turn_posted_at != 0)
        histogram_record(&r->latency_ns,
                         (cpu_this()->time - e->turn_posted_at) / 2 / TIME_NS);
}

bool rdma_turn_has_come(struct rdma_replay_cpu *c, const struct rdma_flight *f)
{
    struct rdma_end *e = f->local.end;
    if (f->turn == 0 || e->turn_seen + 1 >= f->turn)
        return true;
    if (f->watched == 0)
        return false; /* A completion will tell. */
    const uint64_t word = cpu_read64(c->cpu, word_at(c, f->watched));
    if ((uint8_t)(word >> shift_of(f->watched)) != (uint8_t)(f->turn - 1))
        return false;
    rdma_turn_over(c->replay, e, f->turn - 1, true);
    return true;
}

bool rdma_turn_inline(struct rdma_replay_cpu *c, const struct rdma_flight *f, void *data)
{
    const uint64_t room =
        c->host->verbs->config.wqe_bytes - offsetof(struct rdma_wqe, data);
    const bool takes = f->op == TRACE_RDMA_SEND || f->op == TRACE_RDMA_WRITE;
    if (f->turn == 0 || !takes || f->bytes == 0 || f->bytes > room)
        return false;
    const uint64_t first = f->local.address, end = first + f->bytes;
    for (uint64_t at = first & ~UINT64_C(7); at < end; at += 8) {
        const uint64_t word = cpu_read64(c->cpu, word_at(c, at));
        for (uint64_t i = at < first ? first : at; i < end && i < at + 8; i++)
            ((uint8_t *)data)[i - first] = (uint8_t)(word >> shift_of(i));
    }
    return true;
}
