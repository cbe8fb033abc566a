/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_local - work requests that change the protection table and send nothing.
 */
#include "workloads/rdma_core.h"

enum local_step { LOCAL_IDLE, LOCAL_BEGIN, LOCAL_DRAIN };

void rnic_want_local(struct rdma_nic *n, struct rnic_qp *q)
{
    CHECK(q->local_step == LOCAL_IDLE);
    q->local_step  = LOCAL_BEGIN;
    q->local_index = q->next;
    q->in_local    = true;
    rnic_local_fifo_push(&n->local_turn, q);
}

/* The entry must exist, be of this protection domain, and carry this key but for the part
 * that software chooses. */
static enum rnic_found entry_of(struct rdma_nic *n, const struct rnic_qp *q, uint32_t key,
                                struct rdma_mpt **entry)
{
    if (n->mpt_lg2 == 0 || key >> RDMA_KEY_VARIANT_BITS <= 1
        || key >> RDMA_KEY_VARIANT_BITS >> n->mpt_lg2 != 0)
        return RNIC_DENIED;
    *entry = rnic_mpt(n, key);
    if (*entry == NULL)
        return RNIC_WAITS;
    if ((*entry)->state == RDMA_MPT_NONE || (*entry)->pd != q->pd)
        return RNIC_DENIED;
    return RNIC_FOUND;
}

enum rnic_found rnic_invalidate(struct rdma_nic *n, const struct rnic_qp *q, uint32_t key,
                                bool remote)
{
    struct rdma_mpt *m;
    if (rnic_table_ring_full(&n->tables))
        return RNIC_WAITS;
    const enum rnic_found found = entry_of(n, q, key, &m);
    if (found != RNIC_FOUND)
        return found;
    if (m->state != RDMA_MPT_VALID || m->key != key)
        return RNIC_DENIED;
    if (remote && m->kind == RDMA_MPT_WINDOW && m->qp != q->id)
        return RNIC_DENIED;
    m->state = RDMA_MPT_FREE;
    rnic_mpt_changed(n, m);
    return RNIC_FOUND;
}

/* A region comes: its entry was reserved for that. */
static enum rnic_found register_region(struct rdma_nic *n, const struct rnic_qp *q,
                                       const struct rdma_wqe *w)
{
    struct rdma_mpt *m;
    const enum rnic_found found = entry_of(n, q, w->region.key, &m);
    if (found != RNIC_FOUND)
        return found;
    if (m->state != RDMA_MPT_FREE || m->kind != RDMA_MPT_REGION || w->region.page_lg2 < 12
        || w->region.page_lg2 > 63)
        return RNIC_DENIED;
    m->state    = RDMA_MPT_VALID;
    m->key      = w->region.key;
    m->access   = w->region.access & RDMA_ACCESS_MASK & ~(uint32_t)RDMA_ON_DEMAND;
    m->page_lg2 = (uint8_t)w->region.page_lg2;
    m->first    = w->range.first;
    m->bytes    = w->range.bytes;
    m->pages    = w->range.pages;
    rnic_forget_pages(n, m->pages,
                      (((m->first + m->bytes - (m->bytes != 0)) >> m->page_lg2)
                       - (m->first >> m->page_lg2) + 1)
                          * RDMA_MTT_BYTES);
    rnic_mpt_changed(n, m);
    return RNIC_FOUND;
}

/* Whether this queue pair may bind a window with these rights to that part of the region.
 */
static bool may_bind(const struct rdma_mpt *region, const struct rdma_wqe *w)
{
    const uint64_t offset = w->range.first - region->first;
    const uint32_t writes = RDMA_REMOTE_WRITE | RDMA_REMOTE_ATOMIC;
    return region->state == RDMA_MPT_VALID && region->kind == RDMA_MPT_REGION
           && region->key == w->region.parent && (region->access & RDMA_MW_BIND)
           && w->range.first >= region->first && offset <= region->bytes
           && w->range.bytes <= region->bytes - offset
           && (!(w->region.access & writes) || (region->access & RDMA_LOCAL_WRITE));
}

static enum rnic_found bind_window(struct rdma_nic *n, const struct rnic_qp *q,
                                   const struct rdma_wqe *w)
{
    struct rdma_mpt *region, *window;
    enum rnic_found found = entry_of(n, q, w->region.parent, &region);
    if (found != RNIC_FOUND)
        return found;
    if (!may_bind(region, w))
        return RNIC_DENIED;
    found = entry_of(n, q, w->region.key, &window);
    if (found != RNIC_FOUND)
        return found;
    if (window->state != RDMA_MPT_FREE || window->kind != RDMA_MPT_WINDOW)
        return RNIC_DENIED;
    window->state  = RDMA_MPT_VALID;
    window->key    = w->region.key;
    window->parent = w->region.parent;
    window->access =
        w->region.access & (RDMA_REMOTE_WRITE | RDMA_REMOTE_READ | RDMA_REMOTE_ATOMIC);
    window->first = w->range.first;
    window->bytes = w->range.bytes;
    window->qp    = q->id;
    rnic_mpt_changed(n, window);
    return RNIC_FOUND;
}

static enum rnic_found carry_out(struct rdma_nic *n, const struct rnic_qp *q,
                                 const struct rdma_wqe *w)
{
    switch (w->opcode) {
    case RDMA_LOCAL_INV:
        return rnic_invalidate(n, q, w->immediate, false);
    case RDMA_REG_MR:
        return register_region(n, q, w);
    default:
        return bind_window(n, q, w);
    }
}

static uint8_t refusal(const struct rdma_wqe *w)
{
    return w->opcode == RDMA_BIND_MW ? RDMA_BIND_ERROR : RDMA_LOCAL_QP_OPERATION;
}

static void over(struct rdma_nic *n, struct rnic_qp *q, struct rnic_wqe *w, sim_time_t now)
{
    q->local_step = LOCAL_IDLE;
    w->finished = w->sent = true;
    q->next += q->next == q->local_index; /* Not if something is to be sent again. */
    rnic_settle(n, q, now);
    rnic_want_send(n, q);
}

/* True: it is over, one way or another. */
static bool work_on(struct rdma_nic *n, struct rnic_qp *q, sim_time_t now)
{
    struct rnic_wqe *w = rnic_wqe_at(n, q, q->local_index);
    if (q->state != RNIC_QP_READY) {
        q->local_step = LOCAL_IDLE;
        return true;
    }
    if (q->local_step == LOCAL_BEGIN) {
        if (rnic_table_ring_full(&n->tables))
            return false;
        const enum rnic_found found = carry_out(n, q, &w->raw);
        if (found == RNIC_WAITS)
            return false;
        if (found != RNIC_FOUND) {
            q->local_step = LOCAL_IDLE;
            rnic_work_failed(n, q, q->local_index, refusal(&w->raw), now);
            return true;
        }
        q->local_step   = LOCAL_DRAIN;
        q->local_serial = n->serial;
    }
    if (w->raw.opcode == RDMA_LOCAL_INV && rnic_reads_before(n, q->local_serial))
        return false;
    over(n, q, w, now);
    return true;
}

bool rnic_local_work(struct rdma_nic *n, sim_time_t now)
{
    struct rnic_local_fifo waiting = { NULL, NULL };
    bool progress                  = false;
    while (!rnic_local_fifo_empty(&n->local_turn)) {
        struct rnic_qp *q = rnic_local_fifo_pop(&n->local_turn);
        if (!work_on(n, q, now)) {
            rnic_local_fifo_push(&waiting, q);
            continue;
        }
        q->in_local = q->local_step != LOCAL_IDLE;
        progress    = true;
    }
    n->local_turn = waiting;
    return progress;
}
