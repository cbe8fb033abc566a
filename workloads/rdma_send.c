/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_send - packets: made of work requests and of answers, their data gathered, sent in
 * the order in which they were begun.
 */
#include <string.h>

#include "workloads/rdma_core.h"

/* ---- Pieces of memory ------------------------------------------------------------------
 */

bool rnic_is_read(uint8_t opcode)
{
    return opcode == RDMA_READ || opcode == RDMA_COMPARE_SWAP || opcode == RDMA_FETCH_ADD;
}

bool rnic_is_local(uint8_t opcode)
{
    return opcode == RDMA_LOCAL_INV || opcode == RDMA_REG_MR || opcode == RDMA_BIND_MW;
}

const struct rdma_sge *rnic_wqe_sges(const struct rdma_wqe *w)
{
    const bool atomic = w->opcode == RDMA_COMPARE_SWAP || w->opcode == RDMA_FETCH_ADD;
    return &w->sge[atomic ? 1 : 0];
}

static void skip_empty(struct rnic_cursor *c)
{
    while (c->left > 0 && c->offset == c->sge->bytes) {
        c->sge++;
        c->left--;
        c->offset = 0;
    }
}

struct rnic_cursor rnic_cursor_at(const struct rdma_sge *sge, uint32_t sges,
                                  uint64_t offset)
{
    struct rnic_cursor c = { sge, sges, 0 };
    while (c.left > 0 && offset >= c.sge->bytes) {
        offset -= c.sge->bytes;
        c.sge++;
        c.left--;
    }
    c.offset = (uint32_t)offset;
    return c;
}

struct rdma_sge rnic_cursor_piece(const struct rnic_cursor *c)
{
    CHECK(c->left > 0);
    return (struct rdma_sge){ c->sge->bytes - c->offset, c->sge->key,
                              c->sge->address + c->offset };
}

void rnic_cursor_move(struct rnic_cursor *c, uint32_t bytes)
{
    CHECK(c->left > 0);
    CHECK(bytes <= c->sge->bytes - c->offset);
    c->offset += bytes;
    skip_empty(c);
}

/* ---- Turns
 * ------------------------------------------------------------------------------- */

static bool may_send(const struct rnic_qp *q)
{
    return q->state == RNIC_QP_READY && !q->waits && !q->stalls && !q->halts
           && q->local_step == 0 && q->next != q->arrived;
}

void rnic_want_send(struct rdma_nic *n, struct rnic_qp *q)
{
    if (q->in_send || !may_send(q))
        return;
    q->in_send = true;
    rnic_send_fifo_push(&n->send_turn, q);
}

static bool has_answer(const struct rnic_qp *q)
{
    return q->state >= RNIC_QP_READY && !q->answering_stalls && q->made != q->answers.tail;
}

void rnic_want_answer(struct rdma_nic *n, struct rnic_qp *q)
{
    if (q->in_answer || !has_answer(q))
        return;
    q->in_answer = true;
    rnic_answer_fifo_push(&n->answer_turn, q);
}

/* ---- Making packets
 * ------------------------------------------------------------------------ */

static struct rnic_tx *tx_take(struct rdma_nic *n, struct rnic_qp *q, uint32_t payload)
{
    struct rnic_tx *tx = rnic_tx_fifo_pop(&n->tx_free);
    memset(&tx->packet, 0, offsetof(struct rdma_packet, data));
    tx->qp        = q;
    tx->is_answer = tx->dead = tx->faulted = tx->ends = false;
    tx->asked = tx->reads_out = 0;
    tx->packet.from           = (uint8_t)n->id;
    tx->packet.to             = q->remote_nic;
    tx->packet.qp             = q->remote_qp;
    tx->packet.source_qp      = q->id;
    tx->packet.payload        = payload;
    tx->packet.has_data       = n->carries;
    q->tx_out++;
    rnic_tx_fifo_push(&n->tx_order, tx);
    return tx;
}

static uint8_t packet_kind(uint8_t opcode)
{
    switch (opcode) {
    case RDMA_WRITE:
    case RDMA_WRITE_IMM:
        return RDMA_PACKET_WRITE;
    case RDMA_READ:
        return RDMA_PACKET_READ;
    case RDMA_COMPARE_SWAP:
    case RDMA_FETCH_ADD:
        return RDMA_PACKET_ATOMIC;
    default:
        return RDMA_PACKET_SEND;
    }
}

static uint32_t header_extra(const struct rdma_packet *p)
{
    const bool immediate = p->opcode == RDMA_SEND_IMM || p->opcode == RDMA_SEND_INV
                           || p->opcode == RDMA_WRITE_IMM;
    uint32_t bytes = p->last && immediate ? RDMA_IMM_BYTES : 0;
    if (p->kind == RDMA_PACKET_READ || (p->kind == RDMA_PACKET_WRITE && p->first))
        bytes += RDMA_RETH_BYTES;
    if (p->kind == RDMA_PACKET_ATOMIC)
        bytes += RDMA_ATOMIC_ETH_BYTES;
    return bytes + (p->datagram ? RDMA_DETH_BYTES : 0);
}

static void fill_request(struct rdma_packet *p, const struct rnic_qp *q,
                         const struct rnic_wqe *w)
{
    const struct rdma_wqe *raw = &w->raw;
    p->kind                    = packet_kind(raw->opcode);
    p->opcode                  = raw->opcode;
    p->psn                     = q->psn;
    p->immediate               = raw->immediate;
    p->key                     = raw->remote.key;
    p->address                 = raw->remote.address + q->offset;
    p->length                  = w->bytes;
    p->first                   = q->offset == 0;
    if (p->kind == RDMA_PACKET_READ)
        p->length = w->bytes - q->offset;
    if (p->kind == RDMA_PACKET_ATOMIC) {
        p->swap_add = raw->atomic.swap_add;
        p->compare  = raw->atomic.compare;
    }
    if (q->type == RDMA_UD) {
        p->datagram = true;
        p->qp       = raw->remote.qp;
        p->qkey     = q->qkey;
    }
}

/* The next packet of the request at q->next. */
static void make_request(struct rdma_nic *n, struct rnic_qp *q, struct rnic_wqe *w)
{
    const bool asks        = rnic_is_read(w->raw.opcode);
    const uint64_t left    = w->bytes - q->offset;
    const uint32_t payload = asks ? 0 : (uint32_t)rnic_min64(left, q->mtu);
    struct rnic_tx *tx     = tx_take(n, q, payload);
    struct rdma_packet *p  = &tx->packet;
    fill_request(p, q, w);
    if (n->watcher != NULL)
        p->flow = n->watcher->begun(n->watcher->self, q, q->next, n->now);
    tx->index = q->next;
    tx->ends  = asks || payload == left;
    p->last   = tx->ends;
    p->extra  = header_extra(p);
    if (w->raw.flags & RDMA_FLAG_INLINE) {
        memcpy(p->data, w->raw.data + q->offset, payload);
        tx->asked = payload;
        n->stats.inline_bytes += payload;
    } else if (payload > 0) {
        tx->cursor = rnic_cursor_at(rnic_wqe_sges(&w->raw), w->raw.sges, q->offset);
    }
    q->offset += payload;
    q->psn = rnic_psn(q->psn, 1);
    if (!tx->ends)
        return;
    w->sent   = true;
    q->psn    = rnic_psn(w->first_psn, w->packets);
    q->offset = 0;
    q->next++;
    q->reads_out += asks;
}

/* What a queue pair of this type cannot do. */
static uint8_t misfit(const struct rnic_qp *q, const struct rnic_wqe *w)
{
    if (w->status != RDMA_SUCCESS || q->type == RDMA_RC)
        return w->status;
    if (w->raw.opcode > RDMA_SEND_IMM)
        return RDMA_LOCAL_QP_OPERATION;
    return w->bytes > q->mtu ? RDMA_LOCAL_LENGTH : RDMA_SUCCESS;
}

static void start_at(struct rdma_nic *n, struct rnic_qp *q, sim_time_t when)
{
    dueheap_put(&n->timers, rnic_timer_start(n, q), when);
}

/* Whether the request at q->next may begin now; if not, whatever it waits for takes the
 * queue pair up again. */
static bool may_begin(struct rdma_nic *n, struct rnic_qp *q, struct rnic_wqe *w,
                      sim_time_t now)
{
    const bool fenced =
        (w->raw.flags & RDMA_FLAG_FENCE) != 0 || w->raw.opcode == RDMA_LOCAL_INV;
    if (w->ready_at > now || n->message_next > now) {
        start_at(n, q, time_max(w->ready_at, n->message_next));
        return false;
    }
    if (fenced && q->done != q->next)
        return false;
    if (misfit(q, w) != RDMA_SUCCESS) {
        rnic_work_failed(n, q, q->next, misfit(q, w), now);
        return false;
    }
    if (rnic_is_local(w->raw.opcode)) {
        if (n->watcher != NULL)
            n->watcher->begun(n->watcher->self, q, q->next, now);
        rnic_want_local(n, q);
        return false;
    }
    if (rnic_is_read(w->raw.opcode) && q->reads_out >= q->reads_max)
        return false;
    const uint64_t packets = (w->bytes + q->mtu - 1) / q->mtu;
    w->packets             = packets == 0 || !(w->bytes > q->mtu) ? 1 : (uint32_t)packets;
    w->first_psn           = q->psn;
    w->got                 = 0;
    n->message_next        = now + n->config.message_gap_ns * TIME_NS;
    return true;
}

/* What is sent again may have local work between it, which is done once. */
static void skip_local(struct rdma_nic *n, struct rnic_qp *q)
{
    while (q->next != q->arrived && q->offset == 0
           && rnic_is_local(rnic_wqe_at(n, q, q->next)->raw.opcode)
           && rnic_wqe_at(n, q, q->next)->finished)
        q->next++;
}

static bool send_one(struct rdma_nic *n, sim_time_t now)
{
    struct rnic_qp *q = rnic_send_fifo_pop(&n->send_turn);
    q->in_send        = false;
    skip_local(n, q);
    if (!may_send(q))
        return true;
    struct rnic_wqe *w = rnic_wqe_at(n, q, q->next);
    const bool again   = rnic_is_read(w->raw.opcode) && q->reads_out >= q->reads_max;
    if (q->offset == 0 ? !may_begin(n, q, w, now) : again)
        return true;
    make_request(n, q, w);
    rnic_want_send(n, q);
    return true;
}

/* ---- Answers
 * -------------------------------------------------------------------------------- */

static struct rnic_answer *answer_at(struct rnic_qp *q, uint32_t index)
{
    return rnic_answer_ring_at(&q->answers, index - q->answers.head);
}

static void make_answer(struct rdma_nic *n, struct rnic_qp *q, struct rnic_answer *a)
{
    const uint32_t payload =
        a->kind == RDMA_PACKET_DATA ? (uint32_t)rnic_min64(a->bytes - a->sent, q->mtu) : 0;
    struct rnic_tx *tx    = tx_take(n, q, payload);
    struct rdma_packet *p = &tx->packet;
    tx->is_answer         = true;
    tx->index             = q->made;
    tx->piece             = (struct rdma_sge){ payload, a->key, a->address + a->sent };
    tx->cursor            = (struct rnic_cursor){ &tx->piece, 1, 0 };
    p->kind               = a->kind;
    p->status             = a->status;
    p->compare            = a->value;
    p->flow               = a->flow;
    p->first              = a->sent == 0;
    p->psn                = rnic_psn(a->psn, (uint32_t)(a->sent / q->mtu));
    a->sent += payload;
    p->last  = a->sent == a->bytes;
    p->extra = p->first || p->last ? RDMA_AETH_BYTES : 0;
    p->extra += a->kind == RDMA_PACKET_VALUE ? RDMA_ATOMIC_ACK_BYTES : 0;
    tx->ends = p->last;
    q->made += tx->ends;
}

static bool answer_one(struct rdma_nic *n)
{
    struct rnic_qp *q = rnic_answer_fifo_pop(&n->answer_turn);
    q->in_answer      = false;
    if (!has_answer(q))
        return true;
    make_answer(n, q, answer_at(q, q->made));
    rnic_want_answer(n, q);
    return true;
}

/* Requests and answers in turn, as long as there is room. */
static bool make_packets(struct rdma_nic *n, sim_time_t now)
{
    bool progress = false;
    while (!rnic_tx_fifo_empty(&n->tx_free)) {
        const bool answers  = !rnic_answer_fifo_empty(&n->answer_turn);
        const bool requests = !rnic_send_fifo_empty(&n->send_turn);
        if (!answers && !requests)
            break;
        if (answers && (n->answers_next || !requests))
            progress |= answer_one(n);
        else
            progress |= send_one(n, now);
        n->answers_next = !n->answers_next;
    }
    return progress;
}

/* ---- Gathering
 * --------------------------------------------------------------------------------- */

/* Packets of a queue pair that are being made and must not go. */
static void kill_requests(struct rdma_nic *n, const struct rnic_qp *q, uint32_t psn)
{
    for (struct rnic_tx *tx = n->tx_order.first; tx != NULL; tx = tx->next)
        if (tx->qp == q && !tx->is_answer && !rnic_psn_before(tx->packet.psn, psn))
            tx->dead = true;
}

static void kill_answers(struct rdma_nic *n, struct rnic_tx *from)
{
    for (struct rnic_tx *tx = from; tx != NULL; tx = tx->next)
        if (tx->qp == from->qp && tx->is_answer)
            tx->dead = true;
    (void)n;
}

/* The answer that tx is of is to be made again from this packet on. */
static void answer_again(struct rdma_nic *n, struct rnic_tx *tx)
{
    struct rnic_qp *q     = tx->qp;
    struct rnic_answer *a = answer_at(q, tx->index);
    kill_answers(n, tx);
    a->sent = tx->piece.address - a->address;
    for (uint32_t i = tx->index + 1; i != q->answers.tail; i++)
        answer_at(q, i)->sent = 0;
    q->made = tx->index;
}

/* The data of an answer cannot be read after all: the peer is told, and nothing else. */
static void answer_refused(struct rdma_nic *n, struct rnic_tx *tx, uint8_t status)
{
    struct rnic_qp *q = tx->qp;
    answer_again(n, tx);
    struct rnic_answer *a = answer_at(q, tx->index);
    const uint32_t psn    = rnic_psn(a->psn, (uint32_t)(a->sent / q->mtu));
    *a                    = (struct rnic_answer){
                           .kind = RDMA_PACKET_NAK, .status = status, .psn = psn, .flow = a->flow
    };
    q->answers.tail = tx->index + 1;
    rnic_want_answer(n, q);
    rnic_qp_fail(n, q);
}

static void gather_failed(struct rdma_nic *n, struct rnic_tx *tx, enum rnic_found how,
                          const struct rnic_access *a, sim_time_t now)
{
    struct rnic_qp *q = tx->qp;
    if (how == RNIC_FAULTS) {
        rnic_page_fault(n, a);
        if (tx->is_answer) {
            answer_again(n, tx);
            q->answering_stalls = true;
        } else {
            rnic_go_back(n, q, tx->packet.psn);
            q->stalls = true;
        }
    } else if (tx->is_answer) {
        answer_refused(n, tx, RDMA_REMOTE_ACCESS);
    } else {
        rnic_work_failed(n, q, tx->index, RDMA_LOCAL_PROTECTION, now);
    }
}

/* False: it has to wait for the port or for an entry of a table. */
static bool gather_piece(struct rdma_nic *n, struct rnic_tx *tx, sim_time_t now)
{
    const struct rdma_sge piece = rnic_cursor_piece(&tx->cursor);
    const uint32_t left         = rnic_min(piece.bytes, tx->packet.payload - tx->asked);
    const struct rnic_access a  = {
         .key     = piece.key,
         .pd      = tx->qp->pd,
         .qp      = tx->qp->id,
         .rights  = tx->is_answer ? RDMA_REMOTE_READ : 0,
         .address = piece.address,
         .bytes   = left,
         .remote  = tx->is_answer,
    };
    uint64_t iova, run;
    const enum rnic_found found = rnic_translate(n, &a, &iova, &run);
    if (found == RNIC_WAITS)
        return false;
    if (found != RNIC_FOUND) {
        gather_failed(n, tx, found, &a, now);
        return false;
    }
    const uint32_t bytes =
        rnic_piece(iova, rnic_min64(left, run), n->config.max_read_bytes);
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_GATHER);
    io->of.tx          = tx;
    io->flow           = tx->packet.flow;
    n->stats.gathered_bytes += bytes;
    rnic_io_submit(n, io, iova, bytes, n->carries ? tx->packet.data + tx->asked : NULL,
                   now);
    tx->asked += bytes;
    tx->reads_out++;
    rnic_cursor_move(&tx->cursor, bytes);
    return true;
}

/* Oldest first; younger ones go on while an older one waits. */
static bool gather(struct rdma_nic *n, sim_time_t now)
{
    bool progress = false;
    for (struct rnic_tx *tx = n->tx_order.first; tx != NULL; tx = tx->next)
        while (!tx->dead && tx->asked < tx->packet.payload && rnic_can_read(n)) {
            if (!gather_piece(n, tx, now))
                break;
            progress = true;
        }
    return progress;
}

void rnic_gather_respond(struct rdma_nic *n, struct rnic_io *io, bool fault)
{
    struct rnic_tx *tx = io->of.tx;
    CHECK(tx->reads_out > 0);
    tx->reads_out--;
    tx->faulted |= fault;
    (void)n;
}

/* ---- Sending
 * -------------------------------------------------------------------------------------- */

static void count_packet(struct rdma_nic *n, const struct rdma_packet *p)
{
    n->stats.packet++;
    if (p->kind <= RDMA_PACKET_ATOMIC)
        n->stats.packet_request++;
    else if (p->kind <= RDMA_PACKET_VALUE)
        n->stats.packet_answer++;
    else
        n->stats.packet_ack++;
    n->stats.nak += p->kind == RDMA_PACKET_NAK;
    n->stats.not_ready += p->kind == RDMA_PACKET_RNR;
}

static void sent(struct rdma_nic *n, struct rnic_tx *tx, sim_time_t now)
{
    struct rnic_qp *q = tx->qp;
    if (!tx->is_answer && tx->ends && n->watcher != NULL)
        n->watcher->sent(n->watcher->self, q, tx->index, now);
    if (tx->is_answer) {
        if (tx->ends) {
            CHECK(tx->index == q->answers.head);
            rnic_answer_ring_pop(&q->answers);
        }
    } else if (q->type == RDMA_UD) {
        rnic_wqe_at(n, q, tx->index)->finished = true;
        rnic_settle(n, q, now);
    } else if (dueheap_item_due(&n->timers, rnic_timer_again(q)) == TIME_NEVER) {
        dueheap_put(&n->timers, rnic_timer_again(q), now + n->config.timeout_us * TIME_US);
    }
}

static void tx_release(struct rdma_nic *n)
{
    struct rnic_tx *tx = rnic_tx_fifo_pop(&n->tx_order);
    tx->qp->tx_out--;
    rnic_tx_fifo_push(&n->tx_free, tx);
}

/* What the memory refused to give cannot be sent. */
static void refuse_faulted(struct rdma_nic *n, struct rnic_tx *tx, sim_time_t now)
{
    if (tx->is_answer)
        answer_refused(n, tx, RDMA_REMOTE_OPERATION);
    else
        rnic_work_failed(n, tx->qp, tx->index, RDMA_LOCAL_PROTECTION, now);
    CHECK(tx->dead);
}

static bool is_complete(const struct rnic_tx *tx)
{
    return tx->reads_out == 0 && (tx->dead || tx->asked == tx->packet.payload);
}

static bool transmit(struct rdma_nic *n, sim_time_t now)
{
    bool progress = false;
    while (!rnic_tx_fifo_empty(&n->tx_order) && is_complete(n->tx_order.first)) {
        struct rnic_tx *tx = n->tx_order.first;
        if (!tx->dead && tx->faulted)
            refuse_faulted(n, tx, now);
        if (!tx->dead) {
            if (rdma_wire_ready(n->wire, n->id, tx->packet.to, now) > now)
                return progress;
            rdma_wire_send(n->wire, &tx->packet, now);
            count_packet(n, &tx->packet);
            sent(n, tx, now);
        }
        tx_release(n);
        progress = true;
    }
    return progress;
}

sim_time_t rnic_send_due(struct rdma_nic *n, sim_time_t now)
{
    const struct rnic_tx *tx = n->tx_order.first;
    if (tx == NULL || !is_complete(tx) || tx->dead)
        return TIME_NEVER;
    return rdma_wire_ready(n->wire, n->id, tx->packet.to, now);
}

bool rnic_send_work(struct rdma_nic *n, sim_time_t now)
{
    bool progress = make_packets(n, now);
    progress |= gather(n, now);
    return transmit(n, now) || progress;
}

/* ---- The life of a request
 * -------------------------------------------------------------------------- */

struct rnic_wqe *rnic_wqe_of(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn,
                             uint32_t *index)
{
    const uint32_t end = q->next + (q->offset > 0 ? 1 : 0);
    for (uint32_t i = q->done; i != end; i++) {
        struct rnic_wqe *w = rnic_wqe_at(n, q, i);
        if (!rnic_is_local(w->raw.opcode)
            && rnic_psn_distance(w->first_psn, psn) < w->packets) {
            *index = i;
            return w;
        }
    }
    return NULL;
}

static void count_work(struct rdma_nic *n, const struct rnic_wqe *w)
{
    struct rdma_stats *s = &n->stats;
    s->work++;
    s->failed += w->status != RDMA_SUCCESS;
    if (rnic_is_local(w->raw.opcode))
        s->work_local++;
    else if (w->raw.opcode == RDMA_READ)
        s->work_read++;
    else if (rnic_is_read(w->raw.opcode))
        s->work_atomic++;
    else if (w->raw.opcode == RDMA_WRITE || w->raw.opcode == RDMA_WRITE_IMM)
        s->work_write++;
    else
        s->work_send++;
}

/* The one at q->done ends like this; returns its flow. */
static uint64_t tell_finished(struct rdma_nic *n, const struct rnic_qp *q, uint8_t status,
                              bool told, sim_time_t now)
{
    return n->watcher == NULL
               ? 0
               : n->watcher->finished(n->watcher->self, q, q->done, status, told, now);
}

static void complete_one(struct rdma_nic *n, struct rnic_qp *q, const struct rnic_wqe *w,
                         sim_time_t now)
{
    const bool told = (w->raw.flags & RDMA_FLAG_SIGNALED) != 0 || w->status != RDMA_SUCCESS;
    const uint64_t flow = tell_finished(n, q, w->status, told, now);
    count_work(n, w);
    if (!told)
        return;
    const struct rdma_cqe entry = { .qp     = q->id,
                                    .index  = q->done,
                                    .opcode = w->raw.opcode,
                                    .status = w->status,
                                    .bytes  = (uint32_t)w->bytes };
    rnic_complete(n, q->send_cq, flow, &entry);
}

void rnic_settle(struct rdma_nic *n, struct rnic_qp *q, sim_time_t now)
{
    const uint32_t before = q->done;
    while (q->state == RNIC_QP_READY && q->done != q->next) {
        const struct rnic_wqe *w = rnic_wqe_at(n, q, q->done);
        if (!w->finished)
            break;
        complete_one(n, q, w, now);
        q->done++;
        if (w->status != RDMA_SUCCESS)
            rnic_qp_fail(n, q);
    }
    if (q->done == before || q->state != RNIC_QP_READY)
        return;
    const bool outstanding = q->done != q->next || q->offset > 0;
    if (!q->waits)
        dueheap_put(&n->timers, rnic_timer_again(q),
                    outstanding ? now + n->config.timeout_us * TIME_US : TIME_NEVER);
    rnic_want_fetch(n, q);
    rnic_want_send(n, q);
}

void rnic_work_failed(struct rdma_nic *n, struct rnic_qp *q, uint32_t index, uint8_t status,
                      sim_time_t now)
{
    struct rnic_wqe *w = rnic_wqe_at(n, q, index);
    CHECK(status != RDMA_SUCCESS);
    if (q->state != RNIC_QP_READY || w->finished)
        return;
    w->status   = status;
    w->finished = true;
    q->halts    = true;
    for (struct rnic_tx *tx = n->tx_order.first; tx != NULL; tx = tx->next)
        if (tx->qp == q && !tx->is_answer && tx->index - q->done >= index - q->done)
            tx->dead = true;
    q->next   = index + 1;
    q->offset = 0;
    rnic_settle(n, q, now);
}

void rnic_acknowledged(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn, sim_time_t now)
{
    const uint32_t end = q->next;
    /* What is sent again may have been acknowledged before: then nothing new is learnt. */
    if (!rnic_psn_before(psn, q->acked)) {
        q->acked       = rnic_psn(psn, 1);
        q->retries     = q->retries_max;
        q->rnr_retries = q->rnr_retries_max;
    }
    for (uint32_t i = q->done; i != end; i++) {
        struct rnic_wqe *w = rnic_wqe_at(n, q, i);
        if (rnic_is_local(w->raw.opcode) || w->finished)
            continue;
        if (!rnic_psn_before(rnic_psn(w->first_psn, w->packets - 1), q->acked))
            break;
        w->finished = !rnic_is_read(w->raw.opcode) && w->sent;
    }
    rnic_settle(n, q, now);
}

static void recount_reads(struct rdma_nic *n, struct rnic_qp *q)
{
    q->reads_out = 0;
    for (uint32_t i = q->done; i != q->next; i++) {
        const struct rnic_wqe *w = rnic_wqe_at(n, q, i);
        q->reads_out += rnic_is_read(w->raw.opcode) && !w->finished;
    }
}

void rnic_go_back(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn)
{
    uint32_t index;
    struct rnic_wqe *w = rnic_wqe_of(n, q, psn, &index);
    if (w == NULL)
        return; /* It is over in the meantime. */
    kill_requests(n, q, psn);
    const uint32_t end = q->next + (q->offset > 0 ? 1 : 0);
    for (uint32_t i = index; i != end; i++)
        rnic_wqe_at(n, q, i)->sent = rnic_is_local(rnic_wqe_at(n, q, i)->raw.opcode);
    q->next   = index;
    q->offset = (uint64_t)rnic_psn_distance(w->first_psn, psn) * q->mtu;
    q->psn    = psn;
    n->stats.repeated++;
    recount_reads(n, q);
    rnic_want_send(n, q);
}

void rnic_refused(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn, uint8_t status,
                  sim_time_t now)
{
    uint32_t index;
    rnic_acknowledged(n, q, rnic_psn(psn, RNIC_PSN_MASK), now);
    if (q->state == RNIC_QP_READY && rnic_wqe_of(n, q, psn, &index) != NULL)
        rnic_work_failed(n, q, index, status, now);
}

void rnic_not_ready(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn, sim_time_t now)
{
    uint32_t index;
    if (rnic_psn_before(psn, q->acked))
        return;
    rnic_acknowledged(n, q, rnic_psn(psn, RNIC_PSN_MASK), now);
    if (q->state != RNIC_QP_READY || q->halts || rnic_wqe_of(n, q, psn, &index) == NULL)
        return;
    if (q->rnr_retries == 0) {
        rnic_work_failed(n, q, index, RDMA_RNR_RETRIES_EXCEEDED, now);
        return;
    }
    if (q->rnr_retries_max != RNIC_RETRIES_ENDLESS)
        q->rnr_retries--;
    rnic_go_back(n, q, psn);
    q->waits = true;
    dueheap_put(&n->timers, rnic_timer_again(q), now + n->config.rnr_ns * TIME_NS);
}

/* ---- Timers
 * ------------------------------------------------------------------------------------------
 */

static void time_out(struct rdma_nic *n, struct rnic_qp *q, sim_time_t now)
{
    if (q->state != RNIC_QP_READY || (q->done == q->next && q->offset == 0))
        return;
    struct rnic_wqe *w = rnic_wqe_at(n, q, q->done);
    if (q->stalls || rnic_is_local(w->raw.opcode)) {
        dueheap_put(&n->timers, rnic_timer_again(q), now + n->config.timeout_us * TIME_US);
        return;
    }
    if (q->retries == 0) {
        rnic_work_failed(n, q, q->done, RDMA_RETRIES_EXCEEDED, now);
        return;
    }
    q->retries--;
    uint32_t psn = rnic_psn(w->first_psn, (uint32_t)(w->got / q->mtu));
    if (rnic_psn_before(psn, q->acked) && !rnic_is_read(w->raw.opcode))
        psn = q->acked;
    dueheap_put(&n->timers, rnic_timer_again(q), now + n->config.timeout_us * TIME_US);
    rnic_go_back(n, q, psn);
}

void rnic_timer_expire(struct rdma_nic *n, uint32_t item, sim_time_t now)
{
    struct rnic_qp *q = &n->qp[item % n->config.qps];
    if (item < n->config.qps && !q->waits)
        time_out(n, q, now);
    q->waits &= item >= n->config.qps;
    rnic_want_send(n, q);
}

/* ---- Failure
 * ------------------------------------------------------------------------------------------
 */

void rnic_qp_fail(struct rdma_nic *n, struct rnic_qp *q)
{
    const struct rdma_eqe entry = { .type = RDMA_EVENT_QP_ERROR, .number = q->id };
    if (q->state == RNIC_QP_READY) {
        q->state = RNIC_QP_FAILED;
        for (struct rnic_tx *tx = n->tx_order.first; tx != NULL; tx = tx->next)
            tx->dead |= tx->qp == q && !tx->is_answer;
        dueheap_put(&n->timers, rnic_timer_again(q), TIME_NEVER);
        dueheap_put(&n->timers, rnic_timer_start(n, q), TIME_NEVER);
        rnic_event(n, 0, &entry);
    }
    if (!q->in_flush) {
        q->in_flush = true;
        rnic_flush_fifo_push(&n->flush_turn, q);
    }
}

static void flush_sends(struct rdma_nic *n, struct rnic_qp *q, sim_time_t now)
{
    while (q->done != q->rung && rnic_completions_room(n)) {
        const uint64_t flow         = tell_finished(n, q, RDMA_FLUSHED, true, now);
        const struct rdma_cqe entry = { .qp     = q->id,
                                        .index  = q->done++,
                                        .status = RDMA_FLUSHED };
        n->stats.flushed++;
        rnic_complete(n, q->send_cq, flow, &entry);
    }
    q->next = q->arrived = q->asked = q->done;
    q->offset                       = 0;
    q->reads_out                    = 0;
    q->local_step                   = 0;
}

static void flush_receive(struct rdma_nic *n, struct rnic_qp *q, uint32_t index)
{
    const struct rdma_cqe entry = {
        .qp = q->id, .index = index, .opcode = RDMA_RECEIVE, .status = RDMA_FLUSHED
    };
    n->stats.flushed++;
    rnic_complete(n, q->receive_cq, 0, &entry);
}

/* True: all that has been posted is flushed. */
static bool flush_receives(struct rdma_nic *n, struct rnic_qp *q)
{
    struct rnic_receive receive;
    if (q->has_receive)
        flush_receive(n, q, q->receive.index);
    q->in_message = q->has_receive = false;
    if (q->shared || q->rq == NULL)
        return true;
    while (rnic_completions_room(n)) {
        const enum rnic_found found = rnic_receive_take(n, q->rq, &receive);
        if (found != RNIC_FOUND)
            return found == RNIC_DENIED;
        flush_receive(n, q, receive.index);
    }
    return false;
}

/* Only once nothing of the queue pair is under way: what completes does so in order. */
bool rnic_flush_work(struct rdma_nic *n, sim_time_t now)
{
    bool progress       = false;
    const uint32_t most = n->config.qps;
    for (uint32_t i = 0; i < most && !rnic_flush_fifo_empty(&n->flush_turn); i++) {
        struct rnic_qp *q     = rnic_flush_fifo_pop(&n->flush_turn);
        const uint32_t before = q->done;
        bool over             = false;
        if (q->tx_out + q->rx_out == 0 && q->asked == q->arrived) {
            flush_sends(n, q, now);
            progress |= q->done != before;
            over = q->done == q->rung && flush_receives(n, q);
        }
        q->in_flush = !over;
        if (!over)
            rnic_flush_fifo_push(&n->flush_turn, q);
        progress |= over;
        if (n->flush_turn.first == q)
            break; /* It is the only one. */
    }
    return progress;
}
