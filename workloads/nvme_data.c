/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_data - moves commands' data, a transaction at a time, in turns of turn_bytes.
 *
 * A transaction ends at the next multiple of its largest size, as a PCI Express function
 * cuts its requests, or at the end of an extent.
 */
#include "workloads/nvme_core.h"

static uint32_t next_bytes(const struct nvme_ctrl *n, const struct nvme_command *c)
{
    const uint32_t most = c->flow == NVME_FLOW_TO_HOST ? n->config.max_payload_bytes
                                                       : n->config.max_read_bytes;
    return nvme_min(c->extent_bytes, most - (uint32_t)(c->extent_iova & (most - 1)));
}

/* What goes to the host must have come from the medium, all of the transaction. */
static bool can_send(const struct nvme_ctrl *n, const struct nvme_command *c)
{
    if (c->extent_bytes == 0)
        return false;
    return c->flow == NVME_FLOW_FROM_HOST || c->moved + next_bytes(n, c) <= c->arrived;
}

/* Puts the command into the lists of those that have something to do. */
static void queue_up(struct nvme_ctrl *n, struct nvme_command *c)
{
    if (nvme_list_hungry(c)) {
        c->in_list = true;
        nvme_list_fifo_push(&n->list_wanted, c);
    }
    if (!c->in_mover && can_send(n, c)) {
        c->in_mover = true;
        nvme_command_fifo_push(&n->mover[c->flow], c);
    }
}

void nvme_data_wake(struct nvme_ctrl *n, struct nvme_command *c)
{
    if (c->status != NVME_SUCCESS)
        return;
    const uint16_t status = nvme_list_advance(n, c);
    if (status == NVME_SUCCESS)
        queue_up(n, c);
    else
        nvme_command_fail(n, c, status);
}

uint16_t nvme_data_start(struct nvme_ctrl *n, struct nvme_command *c, enum nvme_flow flow,
                         uint32_t bytes)
{
    CHECK(bytes > 0);
    c->flow               = (uint8_t)flow;
    c->bytes              = bytes;
    const uint16_t status = nvme_list_start(n, c);
    if (status != NVME_SUCCESS)
        return status;
    queue_up(n, c);
    return NVME_UNFINISHED;
}

/* ---- Sending ------------------------------------------------------------------------- */

static void submit(struct nvme_ctrl *n, struct nvme_command *c, uint32_t bytes,
                   sim_time_t now)
{
    const bool read    = c->flow == NVME_FLOW_FROM_HOST;
    struct nvme_tx *tx = nvme_tx_take(n, read ? NVME_TX_DATA_READ : NVME_TX_DATA_WRITTEN);
    void *data         = c->payload == NULL ? NULL : c->payload + c->moved;
    tx->command        = c;
    tx->serial         = c->serial;
    tx->identify       = c->payload != NULL;
    if (read) {
        c->reads_out++;
        n->stats.transaction_data_read++;
        n->stats.data_read_bytes += bytes;
    } else {
        n->identify_writes += tx->identify;
        n->stats.transaction_data_written++;
        n->stats.data_written_bytes += bytes;
    }
    nvme_tx_submit(n, tx, c->extent_iova, bytes, data, now);
    if (n->data_moved != NULL && data == NULL)
        n->data_moved(n->data_moved_self, c->extent_iova, bytes);
    c->moved += bytes;
    c->extent_iova += bytes;
    c->extent_bytes -= bytes;
}

static void leave(struct nvme_ctrl *n, struct nvme_command *c)
{
    struct nvme_command *first = nvme_command_fifo_pop(&n->mover[c->flow]);
    CHECK(first == c);
    c->in_mover           = false;
    n->turn_left[c->flow] = n->config.turn_bytes;
}

/* Lets the command stay, go to the end of the line, or go. */
static void end_turn(struct nvme_ctrl *n, struct nvme_command *c, uint32_t bytes)
{
    if (c->status != NVME_SUCCESS || !can_send(n, c)) {
        leave(n, c);
        nvme_command_settle(n, c);
    } else if (n->turn_left[c->flow] <= bytes) {
        nvme_command_fifo_rotate(&n->mover[c->flow]);
        n->turn_left[c->flow] = n->config.turn_bytes;
    } else {
        n->turn_left[c->flow] -= bytes;
    }
}

void nvme_data_send(struct nvme_ctrl *n, enum nvme_flow flow, sim_time_t now)
{
    struct nvme_command *c = n->mover[flow].first;
    uint32_t bytes         = 0;
    CHECK(c->in_mover);
    CHECK(!c->done);
    if (c->status == NVME_SUCCESS) {
        bytes = next_bytes(n, c);
        submit(n, c, bytes, now);
        if (c->extent_bytes == 0)
            nvme_data_wake(n, c);
    }
    end_turn(n, c, bytes);
}

/* ---- Responses ----------------------------------------------------------------------- */

void nvme_list_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault, sim_time_t now)
{
    struct nvme_command *c = tx->command;
    (void)now;
    CHECK(c->list_out);
    c->list_out = false;
    c->reads_out--;
    if (fault) {
        nvme_command_fail(n, c, NVME_DATA_TRANSFER_ERROR);
        return;
    }
    nvme_list_feed(&c->list, tx->bytes);
    nvme_data_wake(n, c);
    nvme_command_settle(n, c);
}

void nvme_data_read_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault,
                            sim_time_t now)
{
    struct nvme_command *c = tx->command;
    CHECK(c->serial == tx->serial); /* A command waits for its reads. */
    CHECK(c->reads_out > 0);
    c->reads_out--;
    c->arrived += tx->bytes;
    if (fault)
        nvme_command_fail(n, c, NVME_DATA_TRANSFER_ERROR);
    else if (c->status != NVME_SUCCESS)
        nvme_command_settle(n, c);
    else if (c->arrived == c->bytes)
        nvme_medium_start(n, c, c->sqe.opcode == NVME_WRITE ? c->bytes : 0, now);
}

/* A command does not wait for its writes: often it is gone by now. */
void nvme_data_written_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault,
                               sim_time_t now)
{
    struct nvme_command *c = tx->command;
    (void)now;
    n->identify_writes -= tx->identify;
    if (!fault)
        return;
    if (c->serial == tx->serial)
        nvme_command_fail(n, c, NVME_DATA_TRANSFER_ERROR);
    else
        n->stats.late_fault++;
}
