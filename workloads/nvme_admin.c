/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_admin - the admin commands that a driver needs to bring a controller up (5), with
 * the errors that the specification asks for.
 */
#include "workloads/nvme_core.h"

static uint32_t low_half(uint32_t word)
{
    return word & 0xffff;
}

static uint32_t high_half(uint32_t word)
{
    return word >> 16;
}

/* ---- Queues (5.3 to 5.6) ------------------------------------------------------------- */

/* What creating either kind of queue has in common. */
static uint16_t check_queue(const struct nvme_ctrl *n, const struct nvme_command *c,
                            unsigned entry_size_shift, unsigned entry_lg2)
{
    const uint32_t entries_less_1 = high_half(c->sqe.cdw[0]);
    if (entries_less_1 == 0 || entries_less_1 >= n->config.queue_entries
        || (n->cc >> entry_size_shift & 15) != entry_lg2)
        return NVME_QUEUE_SIZE_INVALID;
    if (!(c->sqe.cdw[1] & NVME_QUEUE_CONTIGUOUS))
        return NVME_INVALID_FIELD; /* CAP.CQR says so. */
    if (c->sqe.data.prp[0] & (NVME_PAGE_BYTES - 1))
        return NVME_PRP_OFFSET_INVALID;
    return NVME_SUCCESS;
}

static bool is_io_queue(const struct nvme_ctrl *n, uint32_t id)
{
    return id >= 1 && id <= n->config.queues;
}

static uint16_t create_cq(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const uint32_t id = low_half(c->sqe.cdw[0]), vector = high_half(c->sqe.cdw[1]);
    (void)now;
    if (!is_io_queue(n, id) || n->cq[id].valid)
        return NVME_QUEUE_ID_INVALID;
    const uint16_t status = check_queue(n, c, NVME_CC_IOCQES_SHIFT, NVME_CQE_LG2);
    if (status != NVME_SUCCESS)
        return status;
    if (vector >= n->config.vectors)
        return NVME_VECTOR_INVALID;
    nvme_cq_create(n, id, c->sqe.data.prp[0], high_half(c->sqe.cdw[0]) + 1);
    n->cq[id].vector     = (uint16_t)vector;
    n->cq[id].interrupts = c->sqe.cdw[1] & NVME_QUEUE_INTERRUPTS;
    return NVME_SUCCESS;
}

static uint16_t create_sq(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const uint32_t id = low_half(c->sqe.cdw[0]), cq = high_half(c->sqe.cdw[1]);
    (void)now;
    if (!is_io_queue(n, id) || n->sq[id].valid || !is_io_queue(n, cq))
        return NVME_QUEUE_ID_INVALID;
    if (!n->cq[cq].valid)
        return NVME_CQ_INVALID;
    const uint16_t status = check_queue(n, c, NVME_CC_IOSQES_SHIFT, NVME_SQE_LG2);
    if (status != NVME_SUCCESS)
        return status;
    nvme_sq_create(n, id, &n->cq[cq], c->sqe.data.prp[0], high_half(c->sqe.cdw[0]) + 1);
    return NVME_SUCCESS;
}

static uint16_t delete_sq(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const uint32_t id = low_half(c->sqe.cdw[0]);
    (void)now;
    if (!is_io_queue(n, id) || !n->sq[id].valid || n->sq[id].deleter != NULL)
        return NVME_QUEUE_ID_INVALID;
    nvme_sq_delete(n, &n->sq[id], c);
    return NVME_UNFINISHED;
}

static uint16_t delete_cq(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const uint32_t id = low_half(c->sqe.cdw[0]);
    (void)now;
    if (!is_io_queue(n, id) || !n->cq[id].valid)
        return NVME_QUEUE_ID_INVALID;
    if (n->cq[id].submission_queues > 0)
        return NVME_QUEUE_DELETE_INVALID;
    n->cq[id].valid = false;
    return NVME_SUCCESS;
}

/* ---- Features (5.13, 5.21) ----------------------------------------------------------- */

static bool has_io_queues(const struct nvme_ctrl *n)
{
    for (uint32_t i = 1; i <= n->config.queues; i++)
        if (n->cq[i].valid)
            return true;
    return false;
}

static uint32_t queues_granted(const struct nvme_ctrl *n)
{
    const uint32_t less_1 = n->config.queues - 1;
    return less_1 | less_1 << 16;
}

static uint32_t arbitration(const struct nvme_ctrl *n)
{
    return n->burst == UINT32_MAX ? NVME_ARBITRATION_FREE : lg2_floor(n->burst);
}

static uint32_t coalescing(const struct nvme_ctrl *n)
{
    return (n->coalesce_entries - 1) | (uint32_t)(n->coalesce_ps / (100 * TIME_US)) << 8;
}

/* Software may ask for any number but the highest and gets what there is. */
static uint16_t set_queues(struct nvme_ctrl *n, struct nvme_command *c)
{
    const uint32_t wanted = c->sqe.cdw[1];
    if (low_half(wanted) == 0xffff || high_half(wanted) == 0xffff)
        return NVME_INVALID_FIELD;
    if (has_io_queues(n))
        return NVME_COMMAND_SEQUENCE;
    c->result = queues_granted(n);
    return NVME_SUCCESS;
}

/* A vector is configured once it has an I/O completion queue (5.21.1.9). */
static bool vector_has_queue(const struct nvme_ctrl *n, uint32_t vector)
{
    for (uint32_t i = 1; i <= n->config.queues; i++)
        if (n->cq[i].valid && n->cq[i].interrupts && n->cq[i].vector == vector)
            return true;
    return false;
}

static uint16_t set_feature(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const uint32_t value = c->sqe.cdw[1];
    (void)now;
    switch (c->sqe.cdw[0] & 0xff) {
    case NVME_FEATURE_ARBITRATION:
        n->burst = (value & 7) == NVME_ARBITRATION_FREE ? UINT32_MAX : 1u << (value & 7);
        return NVME_SUCCESS;
    case NVME_FEATURE_QUEUES:
        return set_queues(n, c);
    case NVME_FEATURE_COALESCING:
        n->coalesce_entries = (value & 0xff) + 1;
        n->coalesce_ps      = (value >> 8 & 0xff) * 100 * TIME_US;
        return NVME_SUCCESS;
    case NVME_FEATURE_VECTOR:
        if (!vector_has_queue(n, low_half(value)))
            return NVME_INVALID_FIELD;
        n->vector[low_half(value)].direct = value & NVME_VECTOR_DIRECT;
        return NVME_SUCCESS;
    default:
        return NVME_INVALID_FIELD;
    }
}

/* Only the current value: default and saved ones (select) are not kept. */
static uint16_t get_feature(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const uint32_t vector = low_half(c->sqe.cdw[1]);
    (void)now;
    if (c->sqe.cdw[0] & 0x700)
        return NVME_INVALID_FIELD;
    switch (c->sqe.cdw[0] & 0xff) {
    case NVME_FEATURE_ARBITRATION:
        c->result = arbitration(n);
        return NVME_SUCCESS;
    case NVME_FEATURE_QUEUES:
        c->result = queues_granted(n);
        return NVME_SUCCESS;
    case NVME_FEATURE_COALESCING:
        c->result = coalescing(n);
        return NVME_SUCCESS;
    case NVME_FEATURE_VECTOR:
        if (vector >= n->config.vectors)
            return NVME_INVALID_FIELD;
        c->result = vector | (n->vector[vector].direct ? NVME_VECTOR_DIRECT : 0);
        return NVME_SUCCESS;
    default:
        return NVME_INVALID_FIELD;
    }
}

/* ---- Dispatch ------------------------------------------------------------------------ */

uint16_t nvme_admin_run(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    static nvme_run_fn *const verb[] = {
        [NVME_ADMIN_DELETE_SQ] = delete_sq,        [NVME_ADMIN_CREATE_SQ] = create_sq,
        [NVME_ADMIN_DELETE_CQ] = delete_cq,        [NVME_ADMIN_CREATE_CQ] = create_cq,
        [NVME_ADMIN_IDENTIFY] = nvme_identify_run, [NVME_ADMIN_SET_FEATURES] = set_feature,
        [NVME_ADMIN_GET_FEATURES] = get_feature,
    };
    const uint8_t opcode = c->sqe.opcode;
    if (opcode >= sizeof verb / sizeof verb[0] || verb[opcode] == NULL)
        return NVME_INVALID_OPCODE;
    return verb[opcode](n, c, now);
}
