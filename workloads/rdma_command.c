/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_command - commands of an RDMA NIC: a mailbox is read, carried out and answered.
 */
#include <string.h>

#include "workloads/rdma_core.h"

void rnic_command_begin(struct rdma_nic *n)
{
    if (n->command.step == RNIC_COMMAND_IDLE)
        n->command.step = RNIC_COMMAND_READ;
}

void rnic_mailbox_respond(struct rdma_nic *n, bool fault, sim_time_t now)
{
    struct rnic_command *c = &n->command;
    CHECK(c->step == RNIC_COMMAND_READING);
    if (fault) { /* Nor could the answer be written. */
        c->step = RNIC_COMMAND_IDLE;
        return;
    }
    c->step = RNIC_COMMAND_WORK;
    c->due  = now + n->config.command_ns * TIME_NS;
    dueheap_put(&n->timers, 2 * n->config.qps, c->due);
}

/* ---- Queues ----------------------------------------------------------------------------
 */

static bool fits(uint64_t entries)
{
    return entries >= 1 && entries <= 1u << 20 && is_pow2(entries);
}

static uint32_t create_eq(struct rdma_nic *n, const uint64_t *word)
{
    if (word[1] >= RNIC_EQS || !fits(word[3]))
        return RDMA_CMD_BAD_INDEX;
    if (n->eq[word[1]].valid)
        return RDMA_CMD_BAD_STATE;
    n->eq[word[1]] = (struct rnic_eq){ .valid           = true,
                                       .base            = word[2],
                                       .entries         = (uint32_t)word[3],
                                       .message_address = word[4],
                                       .message_data    = (uint32_t)word[5] };
    return RDMA_CMD_OK;
}

static uint32_t create_cq(struct rdma_nic *n, const uint64_t *word)
{
    if (word[1] >= n->config.cqs || !fits(word[3]) || word[4] >= RNIC_EQS)
        return RDMA_CMD_BAD_INDEX;
    if (n->cq[word[1]].valid || !n->eq[word[4]].valid)
        return RDMA_CMD_BAD_STATE;
    n->cq[word[1]] = (struct rnic_cq){ .valid   = true,
                                       .base    = word[2],
                                       .entries = (uint32_t)word[3],
                                       .eq      = (uint32_t)word[4] };
    return RDMA_CMD_OK;
}

static bool stride_fits(uint64_t lg2)
{
    return lg2 >= RDMA_WQE_LG2_MIN && lg2 <= RDMA_WQE_LG2_MAX;
}

static uint32_t create_rq(struct rdma_nic *n, const uint64_t *word)
{
    if (word[1] >= n->config.cqs || !fits(word[3]))
        return RDMA_CMD_BAD_INDEX;
    struct rnic_rq *rq = &n->rq[word[1]];
    if (rq->valid)
        return RDMA_CMD_BAD_STATE;
    if (word[4] < 4 || word[4] > RDMA_WQE_LG2_MAX)
        return RDMA_CMD_BAD_PARAMETER;
    *rq = (struct rnic_rq){ .valid   = true,
                            .id      = (uint32_t)word[1],
                            .base    = word[2],
                            .entries = (uint32_t)word[3],
                            .lg2     = (uint32_t)word[4],
                            .record  = word[5],
                            .pd      = (uint32_t)word[6] };
    return RDMA_CMD_OK;
}

/* ---- Queue pairs
 * ------------------------------------------------------------------------- */

static struct rnic_qp *qp_of(struct rdma_nic *n, uint64_t id)
{
    return id < n->config.qps && n->qp[id].state != RNIC_QP_NONE ? &n->qp[id] : NULL;
}

static void reset_qp(struct rnic_qp *q, const uint64_t *word)
{
    struct rnic_wqe *wqe                  = q->wqe;
    const struct rnic_answer_ring answers = q->answers;
    *q                                    = (struct rnic_qp){ .id         = (uint32_t)word[1],
                                                              .type       = (uint8_t)word[2],
                                                              .state      = RNIC_QP_RESET,
                                                              .pd         = (uint32_t)word[3],
                                                              .sq_base    = word[4],
                                                              .sq_entries = (uint32_t)word[5],
                                                              .sq_lg2     = (uint32_t)word[6],
                                                              .send_cq    = (uint32_t)word[7],
                                                              .receive_cq = (uint32_t)word[8],
                                                              .shared     = (word[10] & RDMA_QP_SHARED) != 0,
                                                              .wqe        = wqe,
                                                              .answers    = answers };
    q->answers.head = q->answers.tail = 0;
}

static uint32_t create_qp(struct rdma_nic *n, const uint64_t *word)
{
    if (word[1] >= n->config.qps || word[7] >= n->config.cqs || word[8] >= n->config.cqs
        || word[9] >= n->config.cqs)
        return RDMA_CMD_BAD_INDEX;
    if (n->qp[word[1]].state != RNIC_QP_NONE || !n->cq[word[7]].valid
        || !n->cq[word[8]].valid || !n->rq[word[9]].valid)
        return RDMA_CMD_BAD_STATE;
    if (word[2] > RDMA_UD || !fits(word[5]) || !stride_fits(word[6]))
        return RDMA_CMD_BAD_PARAMETER;
    reset_qp(&n->qp[word[1]], word);
    n->qp[word[1]].rq = &n->rq[word[9]];
    return RDMA_CMD_OK;
}

static uint32_t connect_qp(struct rdma_nic *n, const uint64_t *word)
{
    struct rnic_qp *q = qp_of(n, word[1]);
    if (q == NULL)
        return RDMA_CMD_BAD_INDEX;
    if (q->state != RNIC_QP_RESET)
        return RDMA_CMD_BAD_STATE;
    if (word[2] >= n->wire->nics || word[4] < 256 || word[4] > RDMA_MTU_MAX
        || !is_pow2(word[4]) || word[7] < 1 || word[7] > 16 || (word[9] & 0xff) > 7
        || word[9] >> 8 > 7)
        return RDMA_CMD_BAD_PARAMETER;
    q->state           = RNIC_QP_READY;
    q->remote_nic      = (uint8_t)word[2];
    q->remote_qp       = (uint32_t)word[3];
    q->mtu             = (uint32_t)word[4];
    q->psn             = (uint32_t)word[5] & RNIC_PSN_MASK;
    q->acked           = q->psn;
    q->expected        = (uint32_t)word[6] & RNIC_PSN_MASK;
    q->reads_max       = (uint32_t)word[7];
    q->qkey            = (uint32_t)word[8];
    q->retries_max     = (uint8_t)(word[9] >> 8);
    q->rnr_retries_max = (uint8_t)word[9];
    q->retries         = q->retries_max;
    q->rnr_retries     = q->rnr_retries_max;
    return RDMA_CMD_OK;
}

/* Nothing more is begun; the command is over when what is under way is. */
static uint32_t destroy_qp(struct rdma_nic *n, uint64_t id)
{
    struct rnic_qp *q = qp_of(n, id);
    if (q == NULL)
        return RDMA_CMD_BAD_INDEX;
    if (q->state == RNIC_QP_READY) {
        q->shared = true; /* Its receives are not flushed: nobody waits for them. */
        q->rung   = q->done;
        rnic_qp_fail(n, q);
    }
    n->command.qp = q;
    return RDMA_CMD_OK;
}

static bool rq_is_quiet(const struct rnic_rq *rq)
{
    return rq->reads_out == 0 && !rq->in_turn;
}

static bool qp_is_quiet(const struct rnic_qp *q)
{
    return q->tx_out + q->rx_out == 0 && q->asked == q->arrived && !q->in_flush
           && !q->in_local && !q->in_send && !q->in_answer && !q->in_fetch;
}

static uint32_t destroy_cq(struct rdma_nic *n, uint64_t id)
{
    if (id >= n->config.cqs || !n->cq[id].valid)
        return RDMA_CMD_BAD_INDEX;
    for (uint32_t i = 0; i < n->config.qps; i++)
        if (n->qp[i].state != RNIC_QP_NONE
            && (n->qp[i].send_cq == id || n->qp[i].receive_cq == id))
            return RDMA_CMD_BAD_STATE;
    n->cq[id].valid = false;
    return RDMA_CMD_OK;
}

static uint32_t destroy_rq(struct rdma_nic *n, uint64_t id)
{
    if (id >= n->config.cqs || !n->rq[id].valid)
        return RDMA_CMD_BAD_INDEX;
    for (uint32_t i = 0; i < n->config.qps; i++)
        if (n->qp[i].state != RNIC_QP_NONE && n->qp[i].rq == &n->rq[id])
            return RDMA_CMD_BAD_STATE;
    n->rq[id].valid = false;
    n->command.rq   = &n->rq[id];
    return RDMA_CMD_OK;
}

static uint32_t destroy_eq(struct rdma_nic *n, uint64_t id)
{
    if (id >= RNIC_EQS || !n->eq[id].valid)
        return RDMA_CMD_BAD_INDEX;
    n->eq[id].valid = false;
    return RDMA_CMD_OK;
}

/* ---- All of them
 * ----------------------------------------------------------------------------- */

static uint32_t init_table(struct rdma_nic *n, const uint64_t *word)
{
    if (word[2] < 1 || word[2] > n->config.mpt_lg2 || word[1] % RDMA_MPT_BYTES != 0)
        return RDMA_CMD_BAD_PARAMETER;
    n->mpt_base = word[1];
    n->mpt_lg2  = (uint32_t)word[2];
    return RDMA_CMD_OK;
}

static uint32_t forget(struct rdma_nic *n, const uint64_t *word)
{
    if (word[1] != RDMA_KEY_NONE)
        rnic_forget_key(n, (uint32_t)word[1]);
    rnic_forget_pages(n, word[2], word[3]);
    return RDMA_CMD_OK;
}

static uint32_t resume(struct rdma_nic *n, const uint64_t *word)
{
    rnic_forget_pages(n, word[4], word[5]);
    rnic_faults_over(n, (uint32_t)word[1], word[2], word[3]);
    return RDMA_CMD_OK;
}

static uint32_t carry_out(struct rdma_nic *n, const uint64_t *word)
{
    switch (word[0]) {
    case RDMA_CMD_INIT:
        return init_table(n, word);
    case RDMA_CMD_CREATE_EQ:
        return create_eq(n, word);
    case RDMA_CMD_CREATE_CQ:
        return create_cq(n, word);
    case RDMA_CMD_CREATE_RQ:
        return create_rq(n, word);
    case RDMA_CMD_CREATE_QP:
        return create_qp(n, word);
    case RDMA_CMD_CONNECT_QP:
        return connect_qp(n, word);
    case RDMA_CMD_DESTROY_QP:
        return destroy_qp(n, word[1]);
    case RDMA_CMD_DESTROY_CQ:
        return destroy_cq(n, word[1]);
    case RDMA_CMD_DESTROY_RQ:
        return destroy_rq(n, word[1]);
    case RDMA_CMD_DESTROY_EQ:
        return destroy_eq(n, word[1]);
    case RDMA_CMD_FORGET:
        return forget(n, word);
    case RDMA_CMD_RESUME:
        return resume(n, word);
    default:
        return RDMA_CMD_BAD_OPCODE;
    }
}

static bool is_drained(const struct rdma_nic *n)
{
    const struct rnic_command *c = &n->command;
    if (c->qp != NULL)
        return qp_is_quiet(c->qp);
    if (c->rq != NULL)
        return rq_is_quiet(c->rq);
    return c->word[0] != RDMA_CMD_FORGET || !rnic_reads_before(n, c->serial);
}

static void read_mailbox(struct rdma_nic *n, sim_time_t now)
{
    struct rnic_io *io = rnic_io_take(n, RNIC_IO_MAILBOX);
    n->command.step    = RNIC_COMMAND_READING;
    rnic_io_submit(n, io, n->command.mailbox, RDMA_MAILBOX_BYTES, n->command.word, now);
}

static void begin(struct rdma_nic *n)
{
    struct rnic_command *c = &n->command;
    n->stats.command++;
    c->qp     = NULL;
    c->rq     = NULL;
    c->error  = carry_out(n, c->word);
    c->serial = n->serial;
    c->step   = RNIC_COMMAND_DRAIN;
}

static void answer(struct rdma_nic *n, sim_time_t now)
{
    struct rnic_command *c = &n->command;
    struct rnic_io *io     = rnic_io_take(n, RNIC_IO_STATUS);
    if (c->qp != NULL)
        c->qp->state = RNIC_QP_NONE;
    io->own.word = RDMA_DONE + c->error;
    c->step      = RNIC_COMMAND_IDLE;
    rnic_io_submit(n, io, c->mailbox + 8 * RDMA_MAILBOX_STATUS, sizeof io->own.word,
                   &io->own.word, now);
}

bool rnic_command_work(struct rdma_nic *n, sim_time_t now)
{
    struct rnic_command *c = &n->command;
    const uint8_t before   = c->step;
    if (c->step == RNIC_COMMAND_READ && rnic_can_read(n))
        read_mailbox(n, now);
    if (c->step == RNIC_COMMAND_WORK && c->due <= now)
        begin(n);
    if (c->step == RNIC_COMMAND_DRAIN && is_drained(n))
        c->step = RNIC_COMMAND_ANSWER;
    if (c->step == RNIC_COMMAND_ANSWER && rnic_table_ring_empty(&n->tables)
        && rnic_cqe_ring_empty(&n->cqes) && rnic_can_write(n))
        answer(n, now);
    return c->step != before;
}
