/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_data - moves commands' data and metadata, a transaction at a time, in turns of
 * turn_bytes.
 *
 * A transaction ends at the next multiple of its largest size, as a PCI Express function
 * cuts its requests, or at the end of an extent.
 */
#include "workloads/nvme_core.h"

static uint32_t next_bytes(const struct nvme_ctrl *n, const struct nvme_transfer *t)
{
    const uint32_t most = t->command->flow == NVME_FLOW_TO_HOST
                              ? n->config.max_payload_bytes
                              : n->config.max_read_bytes;
    return nvme_min(t->extent_bytes, most - (uint32_t)(t->extent_iova & (most - 1)));
}

/* What goes to the host must have come from the medium, all of the transaction. */
static bool can_send(const struct nvme_ctrl *n, const struct nvme_transfer *t)
{
    if (t->extent_bytes == 0)
        return false;
    return t->command->flow == NVME_FLOW_FROM_HOST
           || t->moved + next_bytes(n, t) <= t->arrived;
}

/* Puts the transfer into the lists of those that have something to do. */
static void queue_up(struct nvme_ctrl *n, struct nvme_transfer *t)
{
    if (nvme_list_hungry(t)) {
        t->in_list = true;
        nvme_list_fifo_push(&n->list_wanted, t);
    }
    if (!t->in_mover && can_send(n, t)) {
        t->in_mover = true;
        nvme_transfer_fifo_push(&n->mover[t->command->flow], t);
    }
}

void nvme_data_wake(struct nvme_ctrl *n, struct nvme_transfer *t)
{
    if (t->command->status != NVME_SUCCESS)
        return;
    const uint16_t status = nvme_list_advance(n, t);
    if (status == NVME_SUCCESS)
        queue_up(n, t);
    else
        nvme_command_fail(n, t->command, status);
}

/* Both are looked at before either moves. */
uint16_t nvme_data_start(struct nvme_ctrl *n, struct nvme_command *c, enum nvme_flow flow,
                         uint32_t bytes, uint32_t metadata_bytes)
{
    CHECK(bytes > 0);
    c->flow           = (uint8_t)flow;
    c->data.bytes     = bytes;
    c->metadata.bytes = metadata_bytes;
    uint16_t status   = nvme_list_start(n, &c->data);
    if (status == NVME_SUCCESS && metadata_bytes > 0)
        status = nvme_list_start(n, &c->metadata);
    if (status != NVME_SUCCESS)
        return status;
    queue_up(n, &c->data);
    if (metadata_bytes > 0)
        queue_up(n, &c->metadata);
    return NVME_UNFINISHED;
}

/* ---- Sending ------------------------------------------------------------------------- */

static bool is_metadata(const struct nvme_transfer *t)
{
    return t == &t->command->metadata;
}

static void count(struct nvme_stats *s, const struct nvme_transfer *t, bool read,
                  uint32_t bytes)
{
    if (read) {
        s->transaction_data_read++;
        s->data_read_bytes += bytes;
        s->metadata_read_bytes += is_metadata(t) ? bytes : 0;
    } else {
        s->transaction_data_written++;
        s->data_written_bytes += bytes;
        s->metadata_written_bytes += is_metadata(t) ? bytes : 0;
    }
}

/* Where the transfer's next byte comes from or goes to; NULL: nowhere. Metadata has no
 * contents. */
static void *contents_of(const struct nvme_ctrl *n, const struct nvme_transfer *t)
{
    const struct nvme_command *c = t->command;
    const bool blocks    = c->sqe.opcode == NVME_READ || c->sqe.opcode == NVME_WRITE;
    const uint64_t first = c->sqe.cdw[0] | (uint64_t)c->sqe.cdw[1] << 32;
    if (c->payload != NULL)
        return c->payload + t->moved;
    if (n->medium == NULL || c->sq->id == 0 || !blocks || is_metadata(t))
        return NULL;
    return n->medium + first * n->config.block_bytes + t->moved;
}

static void submit(struct nvme_ctrl *n, struct nvme_transfer *t, uint32_t bytes,
                   sim_time_t now)
{
    struct nvme_command *c = t->command;
    const bool read        = c->flow == NVME_FLOW_FROM_HOST;
    struct nvme_tx *tx = nvme_tx_take(n, read ? NVME_TX_DATA_READ : NVME_TX_DATA_WRITTEN);
    void *data         = contents_of(n, t);
    tx->command        = c;
    tx->transfer       = t;
    tx->serial         = c->serial;
    tx->identify       = c->payload != NULL;
    c->reads_out += read;
    n->identify_writes += !read && tx->identify;
    count(&n->stats, t, read, bytes);
    nvme_tx_submit(n, tx, t->extent_iova, bytes, data, now);
    if (n->data_moved != NULL && c->payload == NULL)
        n->data_moved(n->data_moved_self, t->extent_iova, bytes);
    t->moved += bytes;
    t->extent_iova += bytes;
    t->extent_bytes -= bytes;
}

static void leave(struct nvme_ctrl *n, struct nvme_transfer *t)
{
    const uint8_t flow          = t->command->flow;
    struct nvme_transfer *first = nvme_transfer_fifo_pop(&n->mover[flow]);
    CHECK(first == t);
    t->in_mover        = false;
    n->turn_left[flow] = n->config.turn_bytes;
}

/* Lets the transfer stay, go to the end of the line, or go. */
static void end_turn(struct nvme_ctrl *n, struct nvme_transfer *t, uint32_t bytes)
{
    struct nvme_command *c = t->command;
    if (c->status != NVME_SUCCESS || !can_send(n, t)) {
        leave(n, t);
        nvme_command_settle(n, c);
    } else if (n->turn_left[c->flow] <= bytes) {
        nvme_transfer_fifo_rotate(&n->mover[c->flow]);
        n->turn_left[c->flow] = n->config.turn_bytes;
    } else {
        n->turn_left[c->flow] -= bytes;
    }
}

void nvme_data_send(struct nvme_ctrl *n, enum nvme_flow flow, sim_time_t now)
{
    struct nvme_transfer *t = n->mover[flow].first;
    uint32_t bytes          = 0;
    CHECK(t->in_mover);
    CHECK(!t->command->done);
    if (t->command->status == NVME_SUCCESS) {
        bytes = next_bytes(n, t);
        submit(n, t, bytes, now);
        if (t->extent_bytes == 0)
            nvme_data_wake(n, t);
    }
    end_turn(n, t, bytes);
}

/* ---- Responses ----------------------------------------------------------------------- */

void nvme_list_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault, sim_time_t now)
{
    struct nvme_command *c  = tx->command;
    struct nvme_transfer *t = tx->transfer;
    (void)now;
    CHECK(t->list_out);
    t->list_out = false;
    c->reads_out--;
    if (fault) {
        nvme_command_fail(n, c, NVME_DATA_TRANSFER_ERROR);
        return;
    }
    nvme_list_feed(&t->list, tx->bytes);
    nvme_data_wake(n, t);
    nvme_command_settle(n, c);
}

static bool all_arrived(const struct nvme_command *c)
{
    return c->data.arrived == c->data.bytes && c->metadata.arrived == c->metadata.bytes;
}

void nvme_data_read_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault,
                            sim_time_t now)
{
    struct nvme_command *c = tx->command;
    CHECK(c->serial == tx->serial); /* A command waits for its reads. */
    CHECK(c->reads_out > 0);
    c->reads_out--;
    tx->transfer->arrived += tx->bytes;
    if (fault)
        nvme_command_fail(n, c, NVME_DATA_TRANSFER_ERROR);
    else if (c->status != NVME_SUCCESS)
        nvme_command_settle(n, c);
    else if (all_arrived(c))
        nvme_medium_start(n, c, c->sqe.opcode == NVME_WRITE ? c->data.bytes : 0, now);
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
