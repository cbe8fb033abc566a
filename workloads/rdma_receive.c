/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_receive - packets that arrive: requests of peers, and what this NIC asked for.
 *
 * The packets of a queue pair are worked on one at a time and in order, those of different
 * queue pairs side by side. Nothing of a queue pair's state changes before all that a
 * packet needs is known to be there, so that one which cannot be taken now is as if it had
 * never come.
 */
#include <string.h>

#include "workloads/rdma_core.h"

static const struct rdma_packet *packet_of(const struct rdma_nic *n,
                                           const struct rnic_rx *rx)
{
    return rdma_wire_packet(n->wire, rx->slot);
}

/* ---- Answers
 * ----------------------------------------------------------------------------- */

static bool answers_full(const struct rnic_qp *q)
{
    return rnic_answer_ring_full(&q->answers);
}

static void answer(struct rdma_nic *n, struct rnic_qp *q, const struct rnic_answer *a)
{
    *rnic_answer_ring_push(&q->answers) = *a;
    rnic_want_answer(n, q);
}

/* One acknowledgement may stand for several. */
static void acknowledge(struct rdma_nic *n, struct rnic_qp *q, uint32_t psn, uint64_t flow)
{
    const uint32_t tail = q->answers.tail;
    struct rnic_answer *last =
        q->made == tail ? NULL : &q->answers.item[(tail - 1) & q->answers.mask];
    const struct rnic_answer ack = { .kind = RDMA_PACKET_ACK, .psn = psn, .flow = flow };
    if (last != NULL && last->kind == RDMA_PACKET_ACK) {
        last->psn  = psn;
        last->flow = flow;
    } else if (!answers_full(q))
        answer(n, q, &ack);
}

static void drop(struct rdma_nic *n, struct rnic_rx *rx)
{
    n->stats.dropped++;
    rx->step = RNIC_RX_DONE;
}

static void ask_to_wait(struct rdma_nic *n, struct rnic_rx *rx)
{
    const struct rdma_packet *p = packet_of(n, rx);
    const struct rnic_answer a  = { .kind = RDMA_PACKET_RNR,
                                    .psn  = p->psn,
                                    .flow = p->flow };
    if (!answers_full(rx->qp))
        answer(n, rx->qp, &a);
    rx->step = RNIC_RX_DONE;
}

/* A receive entry ends with an error of its own, because of this packet. */
static void receive_failed(struct rdma_nic *n, struct rnic_rx *rx, uint8_t status)
{
    struct rnic_qp *q           = rx->qp;
    const struct rdma_cqe entry = {
        .qp = q->id, .index = q->receive.index, .opcode = RDMA_RECEIVE, .status = status
    };
    q->has_receive = false;
    n->stats.received++;
    n->stats.failed++;
    rnic_complete(n, q->receive_cq, packet_of(n, rx)->flow, &entry);
}

/* The request is refused, and the queue pair of no more use. */
static void refuse(struct rdma_nic *n, struct rnic_rx *rx, uint8_t status)
{
    const struct rnic_answer a = { .kind   = RDMA_PACKET_NAK,
                                   .status = status,
                                   .psn    = packet_of(n, rx)->psn,
                                   .flow   = packet_of(n, rx)->flow };
    if (!answers_full(rx->qp))
        answer(n, rx->qp, &a);
    rx->step = RNIC_RX_DONE;
    rnic_qp_fail(n, rx->qp);
}

/* ---- What a packet is
 * --------------------------------------------------------------------- */

/* The queue pair that it is meant for and may reach; NULL: none. */
static struct rnic_qp *addressee(struct rdma_nic *n, const struct rdma_packet *p)
{
    if (p->qp >= n->config.qps || n->qp[p->qp].state != RNIC_QP_READY)
        return NULL;
    struct rnic_qp *q = &n->qp[p->qp];
    if (p->datagram)
        return q->type == RDMA_UD && q->qkey == p->qkey ? q : NULL;
    return q->type == RDMA_RC && q->remote_nic == p->from && q->remote_qp == p->source_qp
               ? q
               : NULL;
}

static void set_place(struct rnic_rx *rx, const struct rdma_sge *sge, uint32_t sges,
                      uint64_t offset)
{
    CHECK(sges <= sizeof rx->sge / sizeof rx->sge[0]);
    memcpy(rx->sge, sge, sges * sizeof *sge);
    rx->sges   = sges;
    rx->offset = (uint32_t)offset;
    rx->looked = rx->submitted = 0;
    rx->step                   = RNIC_RX_LOOK;
}

/* Takes a receive entry for a message, if it has none. */
static enum rnic_found want_receive(struct rdma_nic *n, struct rnic_qp *q)
{
    if (q->has_receive)
        return RNIC_FOUND;
    const enum rnic_found found = rnic_receive_take(n, q->rq, &q->receive);
    q->has_receive              = found == RNIC_FOUND;
    return found;
}

static bool begin_send(struct rdma_nic *n, struct rnic_rx *rx, const struct rdma_packet *p)
{
    struct rnic_qp *q           = rx->qp;
    const uint32_t skip         = p->datagram ? RDMA_GRH_BYTES : 0;
    const enum rnic_found found = want_receive(n, q);
    if (found == RNIC_WAITS)
        return false;
    if (found != RNIC_FOUND) {
        if (p->datagram)
            drop(n, rx);
        else
            ask_to_wait(n, rx);
        return true;
    }
    if (p->first)
        q->receive.filled = skip;
    if (q->receive.filled + p->payload > q->receive.room) {
        receive_failed(n, rx, RDMA_LOCAL_LENGTH);
        if (p->datagram)
            drop(n, rx);
        else
            refuse(n, rx, RDMA_REMOTE_INVALID);
        return true;
    }
    rx->to_local = true;
    rx->rights   = RDMA_LOCAL_WRITE;
    rx->bytes    = p->payload;
    set_place(rx, q->receive.sge, q->receive.sges, q->receive.filled);
    return true;
}

static bool begin_remote(struct rdma_nic *n, struct rnic_rx *rx,
                         const struct rdma_packet *p)
{
    static const uint8_t rights[] = { [RDMA_PACKET_WRITE]  = RDMA_REMOTE_WRITE,
                                      [RDMA_PACKET_READ]   = RDMA_REMOTE_READ,
                                      [RDMA_PACKET_ATOMIC] = RDMA_REMOTE_ATOMIC };
    const bool takes              = p->opcode == RDMA_WRITE_IMM && p->last && !rx->again;
    const struct rdma_sge piece   = { p->payload, p->key, p->address };
    if (p->kind == RDMA_PACKET_ATOMIC && p->address % RDMA_ATOMIC_BYTES != 0) {
        refuse(n, rx, RDMA_REMOTE_INVALID);
        return true;
    }
    const enum rnic_found found = takes ? want_receive(n, rx->qp) : RNIC_FOUND;
    if (found == RNIC_WAITS)
        return false;
    if (found != RNIC_FOUND) {
        ask_to_wait(n, rx);
        return true;
    }
    rx->to_local = false;
    rx->rights   = rights[p->kind];
    rx->bytes    = p->payload;
    set_place(rx, &piece, 1, 0);
    return true;
}

/* It has been carried out before: only its answer is repeated. */
static bool begin_again(struct rdma_nic *n, struct rnic_rx *rx, const struct rdma_packet *p)
{
    struct rnic_qp *q = rx->qp;
    rx->again         = true;
    if (p->kind == RDMA_PACKET_READ)
        return begin_remote(n, rx, p);
    rx->step = RNIC_RX_DONE;
    if (p->kind != RDMA_PACKET_ATOMIC) {
        if (p->last)
            acknowledge(n, q, rnic_psn(q->expected, RNIC_PSN_MASK), p->flow);
        return true;
    }
    for (uint32_t i = 0; i < RNIC_ATOMICS && i < q->atomics; i++)
        if (q->atomic[i].psn == p->psn && !answers_full(q)) {
            const struct rnic_answer a = { .kind  = RDMA_PACKET_VALUE,
                                           .psn   = p->psn,
                                           .value = q->atomic[i].value,
                                           .flow  = p->flow };
            answer(n, q, &a);
        }
    return true;
}

static bool begin_request(struct rdma_nic *n, struct rnic_rx *rx,
                          const struct rdma_packet *p)
{
    struct rnic_qp *q = rx->qp;
    rx->again         = false;
    if (!p->datagram && p->psn != q->expected) {
        if (rnic_psn_before(p->psn, q->expected))
            return begin_again(n, rx, p);
        drop(n, rx);
        return true;
    }
    if (!p->datagram && p->kind != RDMA_PACKET_READ && p->kind != RDMA_PACKET_ATOMIC
        && p->first == q->in_message) {
        refuse(n, rx, RDMA_REMOTE_INVALID);
        return true;
    }
    return p->kind == RDMA_PACKET_SEND ? begin_send(n, rx, p) : begin_remote(n, rx, p);
}

/* Data or a value that this queue pair asked for. */
static bool begin_answer(struct rdma_nic *n, struct rnic_rx *rx,
                         const struct rdma_packet *p, sim_time_t now)
{
    struct rnic_qp *q  = rx->qp;
    struct rnic_wqe *w = rnic_wqe_of(n, q, p->psn, &rx->index);
    if (w == NULL || !rnic_is_read(w->raw.opcode) || w->finished || !w->sent
        || rnic_psn_distance(w->first_psn, p->psn) != w->got / q->mtu
        || w->bytes - w->got < p->payload) {
        drop(n, rx);
        return true;
    }
    rnic_acknowledged(n, q, rnic_psn(w->first_psn, RNIC_PSN_MASK), now);
    if (q->state != RNIC_QP_READY) {
        drop(n, rx);
        return true;
    }
    rx->wqe      = w;
    rx->to_local = true;
    rx->rights   = RDMA_LOCAL_WRITE;
    rx->bytes    = p->kind == RDMA_PACKET_VALUE ? RDMA_ATOMIC_BYTES : p->payload;
    rx->old      = p->compare;
    set_place(rx, rnic_wqe_sges(&w->raw), w->raw.sges, w->got);
    return true;
}

/* False: it has to wait. */
static bool begin(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    const struct rdma_packet *p = packet_of(n, rx);
    if (!rnic_completions_room(n))
        return false;
    if (rx->qp->state != RNIC_QP_READY) {
        drop(n, rx);
        return true;
    }
    switch (p->kind) {
    case RDMA_PACKET_ACK:
        rnic_acknowledged(n, rx->qp, p->psn, now);
        break;
    case RDMA_PACKET_NAK:
        rnic_refused(n, rx->qp, p->psn, p->status, now);
        break;
    case RDMA_PACKET_RNR:
        rnic_not_ready(n, rx->qp, p->psn, now);
        break;
    case RDMA_PACKET_DATA:
    case RDMA_PACKET_VALUE:
        return begin_answer(n, rx, p, now);
    default:
        return begin_request(n, rx, p);
    }
    rx->step = RNIC_RX_DONE;
    return true;
}

/* ---- Addresses
 * ------------------------------------------------------------------------------ */

/* The access to what the cursor points to, of at most left bytes of the packet. */
static struct rnic_access access_of(const struct rnic_rx *rx, const struct rnic_cursor *c,
                                    uint32_t left)
{
    const struct rdma_sge piece = rnic_cursor_piece(c);
    return (struct rnic_access){ .key     = piece.key,
                                 .pd      = rx->qp->pd,
                                 .qp      = rx->qp->id,
                                 .rights  = rx->rights,
                                 .address = piece.address,
                                 .bytes   = rnic_min(piece.bytes, left),
                                 .remote  = !rx->to_local };
}

/* All that a remote request is going to touch must be allowed before any of it is. */
static struct rnic_access whole_request(const struct rdma_nic *n, const struct rnic_rx *rx)
{
    const struct rdma_packet *p = packet_of(n, rx);
    return (struct rnic_access){
        .key     = p->key,
        .pd      = rx->qp->pd,
        .qp      = rx->qp->id,
        .rights  = rx->rights,
        .address = p->address,
        .bytes   = p->kind == RDMA_PACKET_ATOMIC             ? RDMA_ATOMIC_BYTES
                   : p->kind == RDMA_PACKET_READ || p->first ? p->length
                                                             : p->payload,
        .remote  = true,
    };
}

static void look_failed(struct rdma_nic *n, struct rnic_rx *rx, enum rnic_found how,
                        const struct rnic_access *a, sim_time_t now)
{
    struct rnic_qp *q  = rx->qp;
    const bool mine    = rx->wqe != NULL;
    const uint32_t psn = packet_of(n, rx)->psn;
    if (how == RNIC_FAULTS) {
        rnic_page_fault(n, a);
        if (mine) {
            rnic_go_back(n, q, psn);
            q->stalls = true;
            drop(n, rx);
        } else if (packet_of(n, rx)->datagram) {
            drop(n, rx);
        } else {
            ask_to_wait(n, rx);
        }
    } else if (mine) {
        rx->step = RNIC_RX_DONE;
        rnic_work_failed(n, q, rx->index, RDMA_LOCAL_PROTECTION, now);
    } else if (rx->to_local) {
        receive_failed(n, rx, RDMA_LOCAL_PROTECTION);
        refuse(n, rx, RDMA_REMOTE_OPERATION);
    } else {
        refuse(n, rx, RDMA_REMOTE_ACCESS);
    }
}

/* False: it has to wait. Sets *iova to what an atomic or a read begins with. */
static bool look_whole(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    const struct rnic_access a = whole_request(n, rx);
    uint64_t run;
    const enum rnic_found found = rnic_translate(n, &a, &rx->iova, &run);
    if (found == RNIC_WAITS)
        return false;
    if (found != RNIC_FOUND)
        look_failed(n, rx, found, &a, now);
    return true;
}

/* Looks up all pages that the packet goes to. */
static bool look(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    if (!rx->to_local && rx->looked == 0) {
        if (!look_whole(n, rx, now))
            return false;
        if (rx->step != RNIC_RX_LOOK)
            return true;
    }
    while (rx->looked < rx->bytes) {
        const struct rnic_cursor c =
            rnic_cursor_at(rx->sge, rx->sges, (uint64_t)rx->offset + rx->looked);
        const struct rnic_access a = access_of(rx, &c, rx->bytes - rx->looked);
        uint64_t iova, run;
        const enum rnic_found found = rnic_translate(n, &a, &iova, &run);
        if (found == RNIC_WAITS)
            return false;
        if (found != RNIC_FOUND) {
            look_failed(n, rx, found, &a, now);
            return true;
        }
        rx->looked += (uint32_t)rnic_min64(a.bytes, run);
    }
    rx->cursor = rnic_cursor_at(rx->sge, rx->sges, rx->offset);
    rx->step   = RNIC_RX_COMMIT;
    return true;
}

/* ---- Transactions
 * ----------------------------------------------------------------------------- */

static bool scatter_piece(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    const struct rnic_access a = access_of(rx, &rx->cursor, rx->bytes - rx->submitted);
    struct rdma_packet *p      = &n->wire->packet[rx->slot];
    uint64_t iova, run;
    const enum rnic_found found = rnic_translate(n, &a, &iova, &run);
    if (found == RNIC_WAITS)
        return false;
    if (found != RNIC_FOUND) { /* It has gone since it was looked up. */
        look_failed(n, rx, found, &a, now);
        return true;
    }
    const uint32_t bytes =
        rnic_piece(iova, rnic_min64(a.bytes, run), n->config.max_payload_bytes);
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_SCATTER);
    void *data         = n->carries ? p->data + rx->submitted : NULL;
    if (p->kind == RDMA_PACKET_VALUE)
        data = (char *)&rx->old + rx->submitted;
    io->of.rx = rx;
    io->flow  = p->flow;
    n->stats.scattered_bytes += bytes;
    rnic_io_submit(n, io, iova, bytes, data, now);
    rx->submitted += bytes;
    rx->writes_out++;
    rnic_cursor_move(&rx->cursor, bytes);
    return true;
}

static bool read_operand(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    if (n->atomic != NULL || !rnic_can_read(n) || !look_whole(n, rx, now))
        return false;
    if (rx->step != RNIC_RX_COMMIT)
        return true; /* It has gone since it was looked up. */
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_ATOMIC_READ);
    io->of.rx          = rx;
    io->flow           = packet_of(n, rx)->flow;
    n->atomic          = rx;
    rx->step           = RNIC_RX_VALUE;
    rnic_io_submit(n, io, rx->iova, RDMA_ATOMIC_BYTES, &rx->old, now);
    n->atomic_serial = n->serial;
    return true;
}

static bool commit(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    if (!rx->to_local && packet_of(n, rx)->kind == RDMA_PACKET_ATOMIC)
        return read_operand(n, rx, now);
    while (rx->step == RNIC_RX_COMMIT && rx->submitted < rx->bytes)
        if (!rnic_can_write(n) || !scatter_piece(n, rx, now))
            return false;
    if (rx->step == RNIC_RX_COMMIT)
        rx->step = RNIC_RX_FINISH;
    return true;
}

void rnic_atomic_respond(struct rdma_nic *n, struct rnic_io *io, bool fault)
{
    struct rnic_rx *rx = io->of.rx;
    CHECK(rx->step == RNIC_RX_VALUE);
    CHECK(n->atomic == rx);
    rx->step    = RNIC_RX_CHANGE;
    rx->faulted = fault;
}

static bool change_operand(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    const struct rdma_packet *p = packet_of(n, rx);
    if (rx->faulted) {
        n->atomic = NULL;
        refuse(n, rx, RDMA_REMOTE_OPERATION);
        return true;
    }
    if (!rnic_can_write(n))
        return false;
    const bool add     = p->opcode == RDMA_FETCH_ADD;
    const bool changes = add || rx->old == p->compare;
    rx->step           = RNIC_RX_FINISH;
    n->atomic          = NULL; /* The next read cannot pass this write. */
    if (!changes)
        return true;
    rx->value          = add ? rx->old + p->swap_add : p->swap_add;
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_ATOMIC_WRITE);
    io->of.rx          = rx;
    io->flow           = p->flow;
    rx->writes_out++;
    rnic_io_submit(n, io, rx->iova, RDMA_ATOMIC_BYTES, &rx->value, now);
    return true;
}

void rnic_scatter_respond(struct rdma_nic *n, struct rnic_io *io, sim_time_t now)
{
    struct rnic_rx *rx = io->of.rx;
    (void)n;
    (void)now;
    CHECK(rx->writes_out > 0);
    rx->writes_out--;
}

/* ---- Finishing
 * ---------------------------------------------------------------------------------- */

static void complete_receive(struct rdma_nic *n, struct rnic_qp *q,
                             const struct rdma_packet *p, uint64_t bytes)
{
    const struct rdma_cqe entry = {
        .qp              = q->id,
        .index           = q->receive.index,
        .opcode          = RDMA_RECEIVE,
        .bytes           = (uint32_t)bytes,
        .immediate       = p->immediate,
        .has_immediate   = p->opcode == RDMA_SEND_IMM || p->opcode == RDMA_WRITE_IMM,
        .has_invalidated = p->opcode == RDMA_SEND_INV,
        .source_qp       = p->source_qp,
    };
    q->has_receive = false;
    n->stats.received++;
    rnic_complete(n, q->receive_cq, p->flow, &entry);
}

/* False: it has to wait. */
static bool finish_data(struct rdma_nic *n, struct rnic_rx *rx, const struct rdma_packet *p)
{
    struct rnic_qp *q = rx->qp;
    if (p->kind == RDMA_PACKET_SEND && p->last && p->opcode == RDMA_SEND_INV) {
        const enum rnic_found found = rnic_invalidate(n, q, p->immediate, true);
        if (found == RNIC_WAITS)
            return false;
        if (found != RNIC_FOUND) {
            receive_failed(n, rx, RDMA_LOCAL_QP_OPERATION);
            refuse(n, rx, RDMA_REMOTE_ACCESS);
            return true;
        }
    }
    q->message_bytes = p->first ? p->payload : q->message_bytes + p->payload;
    q->receive.filled += p->kind == RDMA_PACKET_SEND ? p->payload : 0;
    q->in_message = !p->last;
    if (p->last && p->kind == RDMA_PACKET_SEND)
        complete_receive(n, q, p, q->receive.filled);
    else if (p->last && p->opcode == RDMA_WRITE_IMM)
        complete_receive(n, q, p, q->message_bytes);
    rx->step = RNIC_RX_DONE;
    if (p->datagram)
        return true;
    q->expected = rnic_psn(q->expected, 1);
    if (p->last)
        acknowledge(n, q, p->psn, p->flow);
    return true;
}

static void finish_read(struct rdma_nic *n, struct rnic_rx *rx, const struct rdma_packet *p)
{
    struct rnic_qp *q = rx->qp;
    const uint32_t packets =
        p->length == 0 ? 1 : (uint32_t)((p->length + q->mtu - 1) / q->mtu);
    const struct rnic_answer a = { .kind    = RDMA_PACKET_DATA,
                                   .psn     = p->psn,
                                   .key     = p->key,
                                   .address = p->address,
                                   .bytes   = p->length,
                                   .flow    = p->flow };
    rx->step                   = RNIC_RX_DONE;
    if (!rx->again)
        q->expected = rnic_psn(p->psn, packets);
    answer(n, q, &a);
}

static void finish_atomic(struct rdma_nic *n, struct rnic_rx *rx,
                          const struct rdma_packet *p)
{
    struct rnic_qp *q          = rx->qp;
    const struct rnic_answer a = {
        .kind = RDMA_PACKET_VALUE, .psn = p->psn, .value = rx->old, .flow = p->flow
    };
    const uint32_t at   = q->atomics++ % RNIC_ATOMICS;
    q->atomic[at].psn   = p->psn;
    q->atomic[at].value = rx->old;
    q->expected         = rnic_psn(q->expected, 1);
    rx->step            = RNIC_RX_DONE;
    answer(n, q, &a);
}

static void finish_answer(struct rdma_nic *n, struct rnic_rx *rx,
                          const struct rdma_packet *p, sim_time_t now)
{
    struct rnic_qp *q  = rx->qp;
    struct rnic_wqe *w = rx->wqe;
    rx->step           = RNIC_RX_DONE;
    w->got += rx->bytes;
    q->acked       = rnic_psn(p->psn, 1);
    q->retries     = q->retries_max;
    q->rnr_retries = q->rnr_retries_max;
    if (!q->waits)
        dueheap_put(&n->timers, rnic_timer_again(q), now + n->config.timeout_us * TIME_US);
    if (w->got < w->bytes)
        return;
    w->finished = true;
    CHECK(q->reads_out > 0);
    q->reads_out--;
    rnic_settle(n, q, now);
    rnic_want_send(n, q);
}

static bool finish(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    const struct rdma_packet *p = packet_of(n, rx);
    if (rx->qp->state != RNIC_QP_READY) {
        drop(n, rx);
        return true;
    }
    if (rx->wqe != NULL) {
        finish_answer(n, rx, p, now);
        return true;
    }
    if (p->kind == RDMA_PACKET_SEND || p->kind == RDMA_PACKET_WRITE)
        return finish_data(n, rx, p);
    if (answers_full(rx->qp))
        drop(n, rx); /* More than was agreed on: the peer asks again. */
    else if (p->kind == RDMA_PACKET_READ)
        finish_read(n, rx, p);
    else
        finish_atomic(n, rx, p);
    return true;
}

/* ---- All of them
 * ---------------------------------------------------------------------------------- */

static bool advance(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    switch (rx->step) {
    case RNIC_RX_BEGIN:
        return begin(n, rx, now);
    case RNIC_RX_LOOK:
        return look(n, rx, now);
    case RNIC_RX_COMMIT:
        return commit(n, rx, now);
    case RNIC_RX_CHANGE:
        return change_operand(n, rx, now);
    case RNIC_RX_FINISH:
        return finish(n, rx, now);
    default:
        return false;
    }
}

static void rx_take(struct rdma_nic *n, sim_time_t now)
{
    struct rnic_rx *rx = rnic_rx_fifo_pop(&n->rx_free);
    rx->slot           = rdma_wire_take(n->wire, n->id, now);
    rx->qp             = addressee(n, packet_of(n, rx));
    rx->step           = RNIC_RX_BEGIN;
    rx->wqe            = NULL;
    rx->writes_out     = 0;
    rnic_rx_fifo_push(&n->rx_order, rx);
    if (rx->qp == NULL)
        drop(n, rx);
    else
        rx->qp->rx_out++;
}

static bool work_on(struct rdma_nic *n, struct rnic_rx *rx, sim_time_t now)
{
    struct rnic_qp *q = rx->qp;
    bool progress     = false;
    if (rx->step == RNIC_RX_DONE || (q->rx_busy != NULL && q->rx_busy != rx))
        return false;
    q->rx_busy = rx;
    while (rx->step != RNIC_RX_DONE && advance(n, rx, now))
        progress = true;
    if (rx->step == RNIC_RX_DONE)
        q->rx_busy = NULL;
    return progress;
}

bool rnic_receive_work(struct rdma_nic *n, sim_time_t now)
{
    const sim_time_t delay = n->config.receive_ns * TIME_NS;
    bool progress          = false;
    while (!rnic_rx_fifo_empty(&n->rx_free) && now >= delay
           && rdma_wire_arrived(n->wire, n->id, now - delay) != NULL) {
        rx_take(n, now);
        progress = true;
    }
    for (struct rnic_rx *rx = n->rx_order.first; rx != NULL; rx = rx->next)
        progress |= work_on(n, rx, now);
    while (!rnic_rx_fifo_empty(&n->rx_order) && n->rx_order.first->step == RNIC_RX_DONE
           && n->rx_order.first->writes_out == 0) {
        struct rnic_rx *rx = rnic_rx_fifo_pop(&n->rx_order);
        if (rx->qp != NULL)
            rx->qp->rx_out--;
        rdma_wire_drop(n->wire, rx->slot, now);
        rnic_rx_fifo_push(&n->rx_free, rx);
        progress = true;
    }
    return progress;
}
