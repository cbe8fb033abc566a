/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_medium - the time that a medium takes: parallel channels behind one data path.
 *
 * A command's blocks are served in units, each by the first channel that is free; commands
 * that wait for channels take turns, a unit at a time. To read, a channel takes read_ns and
 * then its turn on the path to the controller; to write, its turn on the path and then
 * write_ns. It is busy all the while. Metadata comes and goes with its block and takes no
 * time of its own.
 */
#include "workloads/nvme_core.h"

static bool reads_medium(const struct nvme_command *c)
{
    return c->flow == NVME_FLOW_TO_HOST;
}

/* When the bytes have passed over the path, in its order; 1 MB/s is 1 byte in 1000000 ps.
 */
static sim_time_t transfer(struct nvme_ctrl *n, uint32_t bytes, uint32_t mb_per_s,
                           sim_time_t now)
{
    const uint64_t ps = ((uint64_t)bytes * 1000000 + mb_per_s - 1) / mb_per_s;
    n->medium_free_at = time_max(now, n->medium_free_at) + ps;
    return n->medium_free_at;
}

static uint64_t latency(struct nvme_ctrl *n, uint32_t ns)
{
    const uint64_t ps     = ns * TIME_NS;
    const uint32_t jitter = n->config.jitter_ns;
    return jitter == 0 ? ps : ps + rng_below(&n->jitter, jitter + 1) * TIME_NS;
}

static void occupy(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    struct nvme_channel *channel = nvme_channel_fifo_pop(&n->channel_free);
    const uint32_t index         = (uint32_t)(channel - n->channel);
    sim_time_t due               = now;
    CHECK(c->units_left > 0);
    channel->command     = c;
    channel->bytes       = nvme_min(c->medium_bytes, n->config.unit_bytes);
    channel->to_transfer = reads_medium(c);
    c->medium_bytes -= channel->bytes;
    c->units_left--;
    c->units_busy++;
    if (channel->to_transfer)
        due += latency(n, n->config.read_ns);
    else
        due = transfer(n, channel->bytes, n->config.write_mb_per_s, now)
              + latency(n, n->config.write_ns);
    dueheap_put(&n->timers, NVME_DUE_VECTORS + n->config.vectors + index, due);
}

static void leave(struct nvme_ctrl *n, struct nvme_command *c)
{
    nvme_medium_fifo_pop(&n->medium_wait);
    c->in_medium = false;
}

static void occupy_free_channels(struct nvme_ctrl *n, sim_time_t now)
{
    while (!nvme_medium_fifo_empty(&n->medium_wait)
           && !nvme_channel_fifo_empty(&n->channel_free)) {
        struct nvme_command *c = n->medium_wait.first;
        if (c->status != NVME_SUCCESS) {
            leave(n, c);
            nvme_command_settle(n, c);
            continue;
        }
        occupy(n, c, now);
        if (c->units_left == 0)
            leave(n, c);
        else
            nvme_medium_fifo_rotate(&n->medium_wait);
    }
}

void nvme_medium_start(struct nvme_ctrl *n, struct nvme_command *c, uint32_t bytes,
                       sim_time_t now)
{
    const uint32_t unit = n->config.unit_bytes;
    CHECK(!c->in_medium);
    CHECK(c->units_busy == 0);
    c->medium_bytes = bytes;
    c->units_left   = bytes == 0 ? 1 : (bytes + unit - 1) / unit;
    c->in_medium    = true;
    nvme_medium_fifo_push(&n->medium_wait, c);
    occupy_free_channels(n, now);
}

/* With the last byte of each block. */
static void bring_metadata(struct nvme_ctrl *n, struct nvme_command *c)
{
    const uint32_t blocks = c->data.arrived / n->config.block_bytes;
    if (c->metadata.bytes == 0)
        return;
    c->metadata.arrived = blocks * n->config.metadata_bytes;
    nvme_data_wake(n, &c->metadata);
}

static void finish_unit(struct nvme_ctrl *n, struct nvme_channel *channel)
{
    struct nvme_command *c = channel->command;
    CHECK(c->units_busy > 0);
    c->units_busy--;
    c->medium_done = c->units_busy == 0 && c->units_left == 0;
    if (reads_medium(c)) {
        c->data.arrived += channel->bytes;
        nvme_data_wake(n, &c->data);
        bring_metadata(n, c);
    }
    nvme_channel_fifo_push(&n->channel_free, channel);
    nvme_command_settle(n, c);
}

void nvme_medium_expire(struct nvme_ctrl *n, uint32_t index, sim_time_t now)
{
    CHECK(index < n->config.channels);
    struct nvme_channel *channel = &n->channel[index];
    if (channel->to_transfer) {
        channel->to_transfer = false;
        dueheap_put(&n->timers, NVME_DUE_VECTORS + n->config.vectors + index,
                    transfer(n, channel->bytes, n->config.read_mb_per_s, now));
        return;
    }
    finish_unit(n, channel);
    occupy_free_channels(n, now);
}
