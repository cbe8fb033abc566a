/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_queue - what an RDMA NIC takes from software's queues and puts into them.
 */
#include <string.h>

#include "workloads/rdma_core.h"

/* ---- Send queues ------------------------------------------------------------------------
 */

/* One read at a time: they may come back in any order. */
static bool fetch_wants(const struct rdma_nic *n, const struct rnic_qp *q)
{
    return q->state == RNIC_QP_READY && q->asked != q->rung && q->asked == q->arrived
           && q->asked - q->done < n->config.window;
}

void rnic_want_fetch(struct rdma_nic *n, struct rnic_qp *q)
{
    if (q->in_fetch || !fetch_wants(n, q))
        return;
    q->in_fetch = true;
    rnic_fetch_fifo_push(&n->fetch_turn, q);
}

void rnic_doorbell(struct rdma_nic *n, uint32_t qp, uint32_t rung)
{
    n->stats.doorbell++;
    if (qp >= n->config.qps)
        return;
    struct rnic_qp *q = &n->qp[qp];
    if (q->state < RNIC_QP_READY || rung - q->done > q->sq_entries)
        return; /* No queue, or more than it can hold. */
    if (n->watcher != NULL)
        n->watcher->rung(n->watcher->self, q, q->rung, rung, n->now);
    q->rung = rung;
    if (q->state == RNIC_QP_FAILED)
        rnic_qp_fail(n, q);
    else
        rnic_want_fetch(n, q);
}

/* As many as one read may bring: up to the ring's end and the room on the NIC. */
static uint32_t fetch_count(const struct rdma_nic *n, const struct rnic_qp *q)
{
    const uint32_t at = q->asked & (q->sq_entries - 1);
    uint32_t count    = rnic_min(q->rung - q->asked, q->sq_entries - at);
    count             = rnic_min(count, n->config.window - (q->asked - q->done));
    count             = rnic_min(count, n->config.fetch_entries);
    /* One transaction does not cross a page. */
    const uint64_t iova = q->sq_base + ((uint64_t)at << q->sq_lg2);
    const uint64_t page = PORT_BYTES_MAX - (iova & (PORT_BYTES_MAX - 1));
    const uint32_t most = rnic_min((uint32_t)page, n->config.max_read_bytes) >> q->sq_lg2;
    return rnic_min(count, most == 0 ? 1 : most);
}

static void fetch_send(struct rdma_nic *n, struct rnic_qp *q, sim_time_t now)
{
    const uint32_t at    = q->asked & (q->sq_entries - 1);
    const uint32_t count = fetch_count(n, q);
    struct rnic_io *io   = rnic_io_take(n, RNIC_IO_FETCH);
    io->of.qp            = q;
    io->first            = q->asked;
    io->count            = count;
    q->asked += count;
    rnic_io_submit(n, io, q->sq_base + ((uint64_t)at << q->sq_lg2), count << q->sq_lg2,
                   io->own.entries, now);
}

static uint64_t message_bytes(const struct rdma_wqe *w)
{
    const struct rdma_sge *sge = rnic_wqe_sges(w);
    uint64_t bytes             = 0;
    if (w->flags & RDMA_FLAG_INLINE)
        return w->inline_bytes;
    for (uint32_t i = 0; i < w->sges; i++)
        bytes += sge[i].bytes;
    return bytes;
}

/* An entry that makes no sense is carried out as what fails. */
static void take_entry(struct rdma_nic *n, struct rnic_qp *q, const uint8_t *entry,
                       uint32_t index, sim_time_t now)
{
    struct rnic_wqe *w   = rnic_wqe_at(n, q, index);
    const uint32_t bytes = 1u << q->sq_lg2;
    *w = (struct rnic_wqe){ .ready_at = now + n->config.wqe_ns * TIME_NS };
    memcpy(&w->raw, entry, bytes);
    const bool atomic =
        w->raw.opcode == RDMA_COMPARE_SWAP || w->raw.opcode == RDMA_FETCH_ADD;
    const uint32_t head =
        (uint32_t)offsetof(struct rdma_wqe, sge) + (atomic ? (uint32_t)RDMA_SGE_BYTES : 0);
    const uint32_t used = w->raw.flags & RDMA_FLAG_INLINE
                              ? w->raw.inline_bytes
                              : (uint32_t)w->raw.sges * RDMA_SGE_BYTES;
    const bool inline_misused =
        (w->raw.flags & RDMA_FLAG_INLINE)
        && (rnic_is_read(w->raw.opcode) || rnic_is_local(w->raw.opcode));
    if (w->raw.opcode >= RDMA_OPCODES || used > bytes - head || inline_misused
        || (!rnic_is_local(w->raw.opcode) && message_bytes(&w->raw) > UINT32_MAX >> 1))
        w->status = RDMA_LOCAL_QP_OPERATION;
    else if (!rnic_is_local(w->raw.opcode))
        w->bytes = message_bytes(&w->raw);
    if (atomic && w->status == RDMA_SUCCESS && w->bytes != RDMA_ATOMIC_BYTES)
        w->status = RDMA_LOCAL_LENGTH;
    if (n->watcher != NULL)
        n->watcher->arrived(n->watcher->self, q, index, w, now);
}

void rnic_fetch_respond(struct rdma_nic *n, struct rnic_io *io, bool fault, sim_time_t now)
{
    struct rnic_qp *q = io->of.qp;
    CHECK(io->first == q->arrived);
    if (q->state != RNIC_QP_READY) {
        q->arrived += io->count; /* It has failed: all is flushed. */
        return;
    }
    if (fault)
        memset(io->own.entries, 0xff, (size_t)io->count << q->sq_lg2);
    for (uint32_t i = 0; i < io->count; i++)
        take_entry(n, q, io->own.entries + ((size_t)i << q->sq_lg2), io->first + i, now);
    q->arrived += io->count;
    rnic_want_fetch(n, q);
    rnic_want_send(n, q);
}

/* ---- Receive queues
 * ---------------------------------------------------------------------- */

static bool receive_wants(const struct rnic_rq *rq)
{
    if (!rq->valid)
        return false;
    return rq->wants_probe
           || (rq->asked != rq->posted && rq->asked == rq->arrived
               && rq->asked - rq->taken < RNIC_RECEIVES);
}

static void want_receive(struct rdma_nic *n, struct rnic_rq *rq)
{
    if (rq->in_turn || !receive_wants(rq))
        return;
    rq->in_turn = true;
    rnic_rq_fifo_push(&n->rq_turn, rq);
}

static void probe_send(struct rdma_nic *n, struct rnic_rq *rq, sim_time_t now)
{
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_RECORD);
    io->of.rq          = rq;
    rq->reads_out++;
    rq->wants_probe = false;
    rq->probing     = true;
    rq->counts      = rq->waited_for;
    rq->waited_for  = false;
    rnic_io_submit(n, io, rq->record, sizeof io->own.word, &io->own.word, now);
}

static void receive_fetch(struct rdma_nic *n, struct rnic_rq *rq, sim_time_t now)
{
    const uint32_t at   = rq->asked & (rq->entries - 1);
    uint32_t count      = rnic_min(rq->posted - rq->asked, rq->entries - at);
    count               = rnic_min(count, RNIC_RECEIVES - (rq->asked - rq->taken));
    count               = rnic_min(count, n->config.fetch_entries);
    const uint64_t iova = rq->base + ((uint64_t)at << rq->lg2);
    const uint64_t page = PORT_BYTES_MAX - (iova & (PORT_BYTES_MAX - 1));
    const uint32_t most = rnic_min((uint32_t)page, n->config.max_read_bytes) >> rq->lg2;
    count               = rnic_min(count, most == 0 ? 1 : most);
    struct rnic_io *io  = rnic_io_take(n, RNIC_IO_RECEIVE_FETCH);
    io->of.rq           = rq;
    io->first           = rq->asked;
    io->count           = count;
    rq->asked += count;
    rq->reads_out++;
    rnic_io_submit(n, io, iova, count << rq->lg2, io->own.entries, now);
}

static void take_receive(struct rnic_rq *rq, const uint8_t *entry, uint32_t index)
{
    struct rnic_receive *r = &rq->entry[index % RNIC_RECEIVES];
    *r                     = (struct rnic_receive){ .index = index };
    const uint32_t most    = (1u << rq->lg2) / RDMA_SGE_BYTES;
    memcpy(r->sge, entry, (size_t)most * RDMA_SGE_BYTES);
    while (r->sges < most && r->sge[r->sges].key != RDMA_KEY_NONE)
        r->room += r->sge[r->sges++].bytes;
}

void rnic_receive_respond(struct rdma_nic *n, struct rnic_io *io, bool fault)
{
    struct rnic_rq *rq = io->of.rq;
    CHECK(io->first == rq->arrived);
    rq->reads_out--;
    if (fault) /* Entries without room. */
        for (uint32_t i = 0; i < io->count << rq->lg2; i += RDMA_SGE_BYTES) {
            const struct rdma_sge none = { 0, RDMA_KEY_NONE, 0 };
            memcpy(io->own.entries + i, &none, sizeof none);
        }
    for (uint32_t i = 0; i < io->count; i++)
        take_receive(rq, io->own.entries + ((size_t)i << rq->lg2), io->first + i);
    rq->arrived += io->count;
    want_receive(n, rq);
}

/* The record counts all entries ever posted. */
void rnic_record_respond(struct rdma_nic *n, struct rnic_io *io, bool fault)
{
    struct rnic_rq *rq    = io->of.rq;
    const uint32_t posted = (uint32_t)io->own.word;
    rq->reads_out--;
    rq->probing = false;
    rq->probed  = rq->counts;
    if (!fault && posted - rq->taken <= rq->entries)
        rq->posted = posted;
    want_receive(n, rq);
}

enum rnic_found rnic_receive_take(struct rdma_nic *n, struct rnic_rq *rq,
                                  struct rnic_receive *receive)
{
    if (rq->taken != rq->arrived) {
        *receive = rq->entry[rq->taken++ % RNIC_RECEIVES];
        if (rq->posted - rq->taken < RNIC_RECEIVES / 2 && !rq->probing)
            rq->wants_probe = true; /* What was posted since, ahead of its need. */
        rq->probed = false;
        want_receive(n, rq);
        return RNIC_FOUND;
    }
    if (rq->taken != rq->posted || rq->probing || rq->wants_probe) {
        want_receive(n, rq);
        return RNIC_WAITS;
    }
    if (rq->probed) {
        rq->probed = false;
        return RNIC_DENIED;
    }
    rq->wants_probe = rq->waited_for = true;
    want_receive(n, rq);
    return RNIC_WAITS;
}

bool rnic_queue_reads(struct rdma_nic *n, sim_time_t now)
{
    bool progress = false;
    while (!rnic_fetch_fifo_empty(&n->fetch_turn) && rnic_can_read(n)) {
        struct rnic_qp *q = rnic_fetch_fifo_pop(&n->fetch_turn);
        q->in_fetch       = false;
        progress          = true;
        if (fetch_wants(n, q))
            fetch_send(n, q, now);
    }
    while (!rnic_rq_fifo_empty(&n->rq_turn) && rnic_can_read(n)) {
        struct rnic_rq *rq = rnic_rq_fifo_pop(&n->rq_turn);
        rq->in_turn        = false;
        progress           = true;
        if (!receive_wants(rq))
            continue;
        if (rq->wants_probe)
            probe_send(n, rq, now);
        else
            receive_fetch(n, rq, now);
        want_receive(n, rq);
    }
    return progress;
}

/* ---- Completions and events
 * ---------------------------------------------------------------- */

bool rnic_completions_room(const struct rdma_nic *n)
{
    return rnic_cqe_ring_count(&n->cqes) <= n->cqes.mask / 2;
}

void rnic_complete(struct rdma_nic *n, uint32_t cq, uint64_t flow,
                   const struct rdma_cqe *entry)
{
    CHECK(cq < n->config.cqs);
    CHECK(n->cq[cq].valid);
    *rnic_cqe_ring_push(&n->cqes) = (struct rnic_cqe){ cq, flow, *entry };
}

void rnic_event(struct rdma_nic *n, uint32_t eq, const struct rdma_eqe *entry)
{
    if (!n->eq[eq].valid)
        return; /* Nobody listens. */
    *rnic_eqe_ring_push(&n->eqes) = (struct rnic_eqe){ eq, *entry };
}

static void want_interrupt(struct rdma_nic *n, struct rnic_eq *eq)
{
    if (eq->in_turn || !eq->armed || eq->taken == eq->produced)
        return;
    eq->armed   = false;
    eq->in_turn = true;
    rnic_eq_fifo_push(&n->interrupts, eq);
}

static void event_of_cq(struct rdma_nic *n, uint32_t id)
{
    struct rnic_cq *cq          = &n->cq[id];
    const struct rdma_eqe entry = { .type = RDMA_EVENT_COMPLETION, .number = id };
    cq->armed                   = false;
    rnic_event(n, cq->eq, &entry);
}

/* What cannot be is not believed. */
void rnic_taken_cq(struct rdma_nic *n, uint32_t cq, uint32_t taken)
{
    if (cq >= n->config.cqs || !n->cq[cq].valid)
        return;
    if (n->cq[cq].produced - taken <= n->cq[cq].produced - n->cq[cq].taken)
        n->cq[cq].taken = taken;
}

void rnic_arm_cq(struct rdma_nic *n, uint32_t cq, uint32_t taken)
{
    if (cq >= n->config.cqs || !n->cq[cq].valid)
        return;
    rnic_taken_cq(n, cq, taken);
    n->cq[cq].armed = true;
    if (n->cq[cq].produced != taken)
        event_of_cq(n, cq);
}

void rnic_arm_eq(struct rdma_nic *n, uint32_t eq, uint32_t taken)
{
    if (eq >= RNIC_EQS || !n->eq[eq].valid)
        return;
    n->eq[eq].armed = true;
    n->eq[eq].taken = taken;
    want_interrupt(n, &n->eq[eq]);
}

/* Whoever completes to it has lost a completion, or will. */
static void overflow(struct rdma_nic *n, uint32_t id)
{
    const struct rdma_eqe entry = { .type = RDMA_EVENT_CQ_ERROR, .number = id };
    n->cq[id].failed            = true;
    n->stats.overflow++;
    rnic_event(n, 0, &entry);
    for (uint32_t i = 0; i < n->config.qps; i++) {
        struct rnic_qp *q = &n->qp[i];
        if (q->state == RNIC_QP_READY && (q->send_cq == id || q->receive_cq == id))
            rnic_qp_fail(n, q);
    }
}

static void cqe_send(struct rdma_nic *n, sim_time_t now)
{
    const struct rnic_cqe *c = rnic_cqe_ring_front(&n->cqes);
    struct rnic_cq *cq       = &n->cq[c->cq];
    const uint32_t id        = c->cq;
    if (!cq->failed && cq->produced - cq->taken == cq->entries)
        overflow(n, id);
    if (cq->failed) {
        rnic_cqe_ring_pop(&n->cqes);
        return;
    }
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_CQE);
    const uint64_t at  = cq->produced & (cq->entries - 1);
    io->own.cqe        = c->entry;
    io->own.cqe.owner  = (cq->produced & cq->entries) == 0;
    io->flow           = c->flow;
    io->first          = id;
    io->count          = cq->produced;
    cq->produced++;
    rnic_cqe_ring_pop(&n->cqes);
    rnic_io_submit(n, io, cq->base + at * RDMA_CQE_BYTES, RDMA_CQE_BYTES, &io->own.cqe,
                   now);
    if (cq->armed)
        event_of_cq(n, id);
}

/* False: its queue is full until software takes something. */
static bool eqe_send(struct rdma_nic *n, sim_time_t now)
{
    const struct rnic_eqe *e = rnic_eqe_ring_front(&n->eqes);
    struct rnic_eq *eq       = &n->eq[e->eq];
    if (eq->produced - eq->taken >= eq->entries)
        return false;
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_EQE);
    const uint64_t at  = eq->produced & (eq->entries - 1);
    io->own.eqe        = e->entry;
    io->own.eqe.owner  = (eq->produced & eq->entries) == 0;
    eq->produced++;
    rnic_eqe_ring_pop(&n->eqes);
    rnic_io_submit(n, io, eq->base + at * RDMA_EQE_BYTES, RDMA_EQE_BYTES, &io->own.eqe,
                   now);
    want_interrupt(n, eq);
    return true;
}

static void interrupt_send(struct rdma_nic *n, sim_time_t now)
{
    struct rnic_eq *eq = rnic_eq_fifo_pop(&n->interrupts);
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_INTERRUPT);
    eq->in_turn        = false;
    io->own.message    = eq->message_data;
    n->stats.interrupt++;
    rnic_io_submit(n, io, eq->message_address, sizeof io->own.message, &io->own.message,
                   now);
}

/* In the order that software relies on: completion, event, message. */
bool rnic_queue_writes(struct rdma_nic *n, sim_time_t now)
{
    bool progress = false;
    for (;; progress = true) {
        if (!rnic_can_write(n))
            return progress;
        if (!rnic_cqe_ring_empty(&n->cqes))
            cqe_send(n, now);
        else if (!rnic_eqe_ring_empty(&n->eqes) && eqe_send(n, now))
            ;
        else if (!rnic_eq_fifo_empty(&n->interrupts))
            interrupt_send(n, now);
        else
            return progress;
    }
}
