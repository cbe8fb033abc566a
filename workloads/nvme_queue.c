/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_queue - submission and completion queues: doorbells (3.1), round-robin arbitration
 * (4.13), fetches and completion entries (4.6).
 */
#include "workloads/nvme_core.h"

/* From one index forward to another around a queue. */
static uint32_t distance(uint32_t from, uint32_t to, uint32_t entries)
{
    CHECK(from < entries);
    CHECK(to < entries);
    return to >= from ? to - from : to + entries - from;
}

static uint32_t ahead(uint32_t index, uint32_t by, uint32_t entries)
{
    const uint32_t sum = index + by;
    CHECK(by <= entries);
    return sum >= entries ? sum - entries : sum;
}

/* ---- Creation and deletion ----------------------------------------------------------- */

void nvme_cq_create(struct nvme_ctrl *n, uint32_t id, uint64_t iova, uint32_t entries)
{
    struct nvme_cq *cq = &n->cq[id];
    CHECK(!cq->valid);
    CHECK(!cq->in_turn); /* It had no submission queue left that could complete. */
    *cq = (struct nvme_cq){
        .id      = (uint16_t)id,
        .iova    = iova,
        .entries = entries,
        .phase   = true,
        .valid   = true,
    };
}

void nvme_sq_create(struct nvme_ctrl *n, uint32_t id, struct nvme_cq *cq, uint64_t iova,
                    uint32_t entries)
{
    struct nvme_sq *sq = &n->sq[id];
    CHECK(!sq->valid);
    CHECK(sq->under_way == 0);
    /* in_turn stays: a queue deleted in its turn leaves the line when its turn comes. */
    sq->cq      = cq;
    sq->iova    = iova;
    sq->entries = entries;
    sq->valid   = true;
    sq->tail = sq->asked = sq->head = 0;
    cq->submission_queues++;
}

static void sq_deleted(struct nvme_ctrl *n, struct nvme_sq *sq)
{
    struct nvme_command *deleter = sq->deleter;
    CHECK(sq->under_way == 0);
    CHECK(sq->cq->submission_queues > 0);
    sq->cq->submission_queues--;
    sq->deleter = NULL;
    sq->valid   = false;
    nvme_command_finish(n, deleter);
}

void nvme_sq_delete(struct nvme_ctrl *n, struct nvme_sq *sq, struct nvme_command *deleter)
{
    CHECK(sq->valid);
    CHECK(sq->deleter == NULL);
    sq->tail    = sq->asked; /* What was not asked for yet never will be. */
    sq->deleter = deleter;
    if (sq->under_way == 0)
        sq_deleted(n, sq);
}

/* ---- Doorbells ----------------------------------------------------------------------- */

static void sq_take_turn(struct nvme_ctrl *n, struct nvme_sq *sq)
{
    if (sq->in_turn)
        return;
    sq->in_turn = true;
    nvme_sq_fifo_push(&n->sq_turn, sq);
}

static bool cq_full(const struct nvme_cq *cq)
{
    return ahead(cq->tail, 1, cq->entries) == cq->head;
}

static void cq_take_turn(struct nvme_ctrl *n, struct nvme_cq *cq)
{
    if (cq->in_turn || nvme_command_fifo_empty(&cq->done) || cq_full(cq))
        return;
    cq->in_turn = true;
    nvme_cq_fifo_push(&n->cq_turn, cq);
}

/* More entries, and not more than the queue has room for. */
static bool sq_ring(struct nvme_ctrl *n, struct nvme_sq *sq, uint32_t tail, sim_time_t now)
{
    if (!sq->valid || sq->deleter != NULL || tail >= sq->entries || tail == sq->tail)
        return false;
    if (distance(sq->head, tail, sq->entries) < distance(sq->head, sq->tail, sq->entries))
        return false;
    if (n->watcher != NULL)
        n->watcher->rung(n->watcher->self, sq->id, distance(sq->tail, tail, sq->entries),
                         now);
    sq->tail = tail;
    sq_take_turn(n, sq);
    return true;
}

uint32_t nvme_cq_untaken(const struct nvme_cq *cq)
{
    return distance(cq->head, cq->tail, cq->entries);
}

/* Entries taken, and not more than there are. */
static bool cq_ring(struct nvme_ctrl *n, struct nvme_cq *cq, uint32_t head, sim_time_t now)
{
    if (!cq->valid || head >= cq->entries || head == cq->head)
        return false;
    if (distance(cq->head, head, cq->entries) > distance(cq->head, cq->tail, cq->entries))
        return false;
    cq->head = head;
    cq_take_turn(n, cq);
    if (n->config.coalesce_restart && cq->interrupts)
        nvme_interrupt_taken(n, cq->vector, now);
    return true;
}

void nvme_doorbell_write(struct nvme_ctrl *n, uint32_t index, uint32_t value,
                         sim_time_t now)
{
    const uint32_t id = index / 2;
    bool accepted     = false;
    if (n->state == NVME_STATE_READY && id <= n->config.queues)
        accepted = index % 2 == 0 ? sq_ring(n, &n->sq[id], value, now)
                                  : cq_ring(n, &n->cq[id], value, now);
    n->stats.doorbell++;
    n->stats.doorbell_accepted += accepted;
    n->stats.doorbell_ignored += !accepted;
    nvme_kick(n, now);
}

/* ---- Fetching ------------------------------------------------------------------------ */

static uint32_t sq_waiting(const struct nvme_sq *sq)
{
    return distance(sq->asked, sq->tail, sq->entries);
}

static void sq_leave_turn(struct nvme_ctrl *n)
{
    struct nvme_sq *sq = nvme_sq_fifo_pop(&n->sq_turn);
    CHECK(sq->in_turn);
    sq->in_turn   = false;
    n->burst_left = n->burst;
}

bool nvme_fetch_wanted(struct nvme_ctrl *n)
{
    if (n->commands_free == 0 || nvme_fetch_fifo_empty(&n->fetch_free))
        return false;
    /* A queue that was deleted meanwhile has nothing waiting. */
    while (!nvme_sq_fifo_empty(&n->sq_turn) && sq_waiting(n->sq_turn.first) == 0)
        sq_leave_turn(n);
    return !nvme_sq_fifo_empty(&n->sq_turn);
}

static uint64_t sq_entry_iova(const struct nvme_sq *sq)
{
    return sq->iova + ((uint64_t)sq->asked << NVME_SQE_LG2);
}

/* As many as wait, lie in one piece, fit into one read, have a place and a turn. */
static uint32_t fetch_count(const struct nvme_ctrl *n, const struct nvme_sq *sq)
{
    const uint32_t read   = n->config.max_read_bytes;
    const uint32_t offset = (uint32_t)(sq_entry_iova(sq) & (read - 1));
    uint32_t count        = nvme_min(sq_waiting(sq), sq->entries - sq->asked);
    count                 = nvme_min(count, (read - offset) >> NVME_SQE_LG2);
    count                 = nvme_min(count, n->config.fetch_entries);
    count                 = nvme_min(count, n->commands_free);
    return nvme_min(count, n->burst_left);
}

void nvme_fetch_send(struct nvme_ctrl *n, sim_time_t now)
{
    struct nvme_sq *sq   = n->sq_turn.first;
    struct nvme_fetch *f = nvme_fetch_fifo_pop(&n->fetch_free);
    struct nvme_tx *tx   = nvme_tx_take(n, NVME_TX_FETCH);
    const uint64_t iova  = sq_entry_iova(sq);
    tx->fetch            = f;
    f->sq                = sq;
    f->arrived           = false;
    f->count             = fetch_count(n, sq);
    CHECK(f->count > 0);
    nvme_fetch_fifo_push(&sq->fetches, f);
    sq->asked = ahead(sq->asked, f->count, sq->entries);
    sq->under_way += f->count;
    n->commands_free -= f->count;
    n->burst_left -= f->count;
    if (sq_waiting(sq) == 0) {
        sq_leave_turn(n);
    } else if (n->burst_left == 0) {
        nvme_sq_fifo_rotate(&n->sq_turn);
        n->burst_left = n->burst;
    }
    n->stats.transaction_fetch++;
    n->stats.entry_fetched += f->count;
    if (n->watcher != NULL)
        n->watcher->fetching(n->watcher->self, sq->id, f->count, now);
    nvme_tx_submit(n, tx, iova, f->count << NVME_SQE_LG2, f->entry, now);
}

/* Commands are decoded one after the other, each decode_ns after it could begin. */
static void decode_begin(struct nvme_ctrl *n, struct nvme_sq *sq,
                         const struct nvme_sqe *entry, sim_time_t now)
{
    struct nvme_command *c = nvme_command_fifo_pop(&n->command_free);
    const sim_time_t begin = time_max(now, n->decode_next);
    n->decode_next         = begin + n->config.command_gap_ns * TIME_NS;
    c->sq                  = sq;
    c->sqe                 = *entry;
    c->start_at            = begin + n->config.decode_ns * TIME_NS;
    nvme_command_fifo_push(&n->decode, c);
    if (n->watcher != NULL)
        n->watcher->arrived(n->watcher->self, c, now);
}

/* Reads may be answered in any order; entries are consumed in theirs, so that the head that
 * completions report is true. */
void nvme_fetch_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault, sim_time_t now)
{
    struct nvme_sq *sq = tx->fetch->sq;
    tx->fetch->arrived = true;
    if (fault) {
        nvme_fail(n);
        return;
    }
    while (!nvme_fetch_fifo_empty(&sq->fetches) && sq->fetches.first->arrived) {
        struct nvme_fetch *f = nvme_fetch_fifo_pop(&sq->fetches);
        for (uint32_t i = 0; i < f->count; i++)
            decode_begin(n, sq, &f->entry[i], now);
        sq->head = ahead(sq->head, f->count, sq->entries);
        nvme_fetch_fifo_push(&n->fetch_free, f);
    }
}

/* ---- Completing ---------------------------------------------------------------------- */

void nvme_cq_enqueue(struct nvme_ctrl *n, struct nvme_command *c)
{
    struct nvme_cq *cq = c->sq->cq;
    CHECK(cq->valid);
    n->stats.queue_full += cq_full(cq);
    nvme_command_fifo_push(&cq->done, c);
    cq_take_turn(n, cq);
}

static struct nvme_cqe entry_of(const struct nvme_command *c)
{
    const uint16_t phase      = c->sq->cq->phase ? NVME_CQE_PHASE : 0;
    const struct nvme_cqe cqe = {
        .result  = c->result,
        .sq_head = (uint16_t)c->sq->head,
        .sq_id   = c->sq->id,
        .cid     = c->sqe.cid,
        .status  = (uint16_t)(c->status << NVME_CQE_STATUS_SHIFT | phase),
    };
    return cqe;
}

static void command_release(struct nvme_ctrl *n, struct nvme_command *c)
{
    struct nvme_sq *sq = c->sq;
    CHECK(sq->under_way > 0);
    sq->under_way--;
    nvme_command_reset(c, c->serial + 1);
    n->commands_free++;
    nvme_command_fifo_push(&n->command_free, c);
    if (sq->under_way == 0 && sq->deleter != NULL)
        sq_deleted(n, sq);
}

static void cq_advance(struct nvme_ctrl *n, struct nvme_cq *cq)
{
    cq->tail = ahead(cq->tail, 1, cq->entries);
    if (cq->tail == 0)
        cq->phase = !cq->phase;
    nvme_cq_fifo_pop(&n->cq_turn);
    cq->in_turn = false;
    cq_take_turn(n, cq); /* Behind the other queues. */
}

void nvme_cq_send(struct nvme_ctrl *n, sim_time_t now)
{
    struct nvme_cq *cq     = n->cq_turn.first;
    struct nvme_command *c = nvme_command_fifo_pop(&cq->done);
    struct nvme_tx *tx     = nvme_tx_take(n, NVME_TX_COMPLETION);
    const uint64_t iova    = cq->iova + ((uint64_t)cq->tail << NVME_CQE_LG2);
    CHECK(c->done);
    CHECK(!cq_full(cq));
    tx->own.cqe = entry_of(c);
    tx->command = c; /* Only until it is submitted: then the command is gone. */
    if (n->watcher != NULL)
        n->watcher->completing(n->watcher->self, c, now);
    n->stats.transaction_completion++;
    n->stats.completion++;
    n->stats.completion_succeeded += c->status == NVME_SUCCESS;
    n->stats.completion_failed += c->status != NVME_SUCCESS;
    nvme_tx_submit(n, tx, iova, sizeof tx->own.cqe, &tx->own.cqe, now);
    cq_advance(n, cq);
    command_release(n, c);
    if (cq->interrupts)
        nvme_interrupt_note(n, cq->vector, cq->id == 0, now);
}
