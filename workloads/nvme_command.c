/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_command - the life of a command: what it is, when it is through.
 *
 * I/O commands are those of the NVM command set (6); the admin queue's are in nvme_admin.c.
 */
#include "workloads/nvme_core.h"

/* ---- The end ------------------------------------------------------------------------- */

static bool is_still(const struct nvme_transfer *t)
{
    return !t->in_mover && !t->in_list;
}

static bool is_moved(const struct nvme_transfer *t)
{
    return t->moved == t->bytes;
}

static bool is_quiet(const struct nvme_command *c)
{
    return c->reads_out == 0 && c->units_busy == 0 && !c->in_medium && is_still(&c->data)
           && is_still(&c->metadata);
}

/* A command that failed is done when it is quiet, any other when it has also done all. */
static bool is_finished(const struct nvme_command *c)
{
    if (!is_quiet(c))
        return false;
    if (c->status != NVME_SUCCESS)
        return true;
    return c->flow == NVME_FLOW_TO_HOST ? is_moved(&c->data) && is_moved(&c->metadata)
                                        : c->medium_done;
}

void nvme_command_reset(struct nvme_command *c, uint32_t serial)
{
    uint8_t *const data = c->data.list.buffer, *const metadata = c->metadata.list.buffer;
    *c = (struct nvme_command){
        .serial   = serial,
        .data     = { .command = c, .list.buffer = data },
        .metadata = { .command = c, .list.buffer = metadata },
    };
}

void nvme_command_finish(struct nvme_ctrl *n, struct nvme_command *c)
{
    CHECK(!c->done);
    CHECK(is_quiet(c));
    c->done = true;
    if (n->watcher != NULL)
        n->watcher->done(n->watcher->self, c);
    if (n->identify_now == c)
        n->identify_now = NULL;
    nvme_cq_enqueue(n, c);
}

void nvme_command_settle(struct nvme_ctrl *n, struct nvme_command *c)
{
    if (!c->done && is_finished(c))
        nvme_command_finish(n, c);
}

/* Whatever is wrong with a command is wrong again next time, except a transfer that failed.
 */
void nvme_command_fail(struct nvme_ctrl *n, struct nvme_command *c, uint16_t status)
{
    CHECK(status != NVME_SUCCESS);
    if (c->status == NVME_SUCCESS)
        c->status =
            status == NVME_DATA_TRANSFER_ERROR ? status : status | NVME_STATUS_DO_NOT_RETRY;
    nvme_command_settle(n, c);
}

/* ---- I/O commands -------------------------------------------------------------------- */

static uint16_t check_namespace(const struct nvme_command *c, bool all_allowed)
{
    const bool all = c->sqe.nsid == (uint32_t)NVME_NSID_ALL && all_allowed;
    return c->sqe.nsid == 1 || all ? NVME_SUCCESS : NVME_INVALID_NAMESPACE;
}

static uint32_t block_count(const struct nvme_command *c)
{
    return (uint32_t)bits_get(c->sqe.cdw[2], 15, 0) + 1;
}

static uint16_t check_blocks(const struct nvme_ctrl *n, const struct nvme_command *c)
{
    const uint64_t first  = c->sqe.cdw[0] | (uint64_t)c->sqe.cdw[1] << 32;
    const uint64_t count  = block_count(c);
    const uint64_t blocks = nvme_blocks(n);
    if (count > blocks || first > blocks - count)
        return NVME_LBA_OUT_OF_RANGE;
    return check_namespace(c, false);
}

/* Namespace, then size, then range. */
static uint16_t check_transfer(const struct nvme_ctrl *n, const struct nvme_command *c)
{
    const uint64_t limit  = (uint64_t)NVME_PAGE_BYTES << n->config.transfer_pages_lg2;
    const uint16_t status = check_namespace(c, false);
    if (status != NVME_SUCCESS)
        return status;
    if ((uint64_t)block_count(c) * n->config.block_bytes > limit)
        return NVME_INVALID_FIELD;
    return check_blocks(n, c);
}

/* The largest transfer limits the data; each block brings its metadata along. */
static uint16_t start_transfer(struct nvme_ctrl *n, struct nvme_command *c,
                               enum nvme_flow flow)
{
    const uint16_t status = check_transfer(n, c);
    const uint32_t blocks = block_count(c);
    return status != NVME_SUCCESS
               ? status
               : nvme_data_start(n, c, flow, blocks * n->config.block_bytes,
                                 blocks * n->config.metadata_bytes);
}

static uint16_t run_read(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const uint16_t status = start_transfer(n, c, NVME_FLOW_TO_HOST);
    if (status == NVME_UNFINISHED)
        nvme_medium_start(n, c, c->data.bytes, now);
    return status;
}

static uint16_t run_write(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    (void)now;
    return start_transfer(n, c, NVME_FLOW_FROM_HOST);
}

static uint16_t run_dataset(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const uint32_t ranges = (uint32_t)bits_get(c->sqe.cdw[0], 7, 0) + 1;
    const uint16_t status = check_namespace(c, false);
    (void)now;
    if (status != NVME_SUCCESS)
        return status;
    return nvme_data_start(n, c, NVME_FLOW_FROM_HOST, ranges * NVME_RANGE_BYTES, 0);
}

static uint16_t run_without_data(struct nvme_ctrl *n, struct nvme_command *c,
                                 uint16_t status, sim_time_t now)
{
    if (status != NVME_SUCCESS)
        return status;
    c->flow = NVME_FLOW_NONE;
    nvme_medium_start(n, c, 0, now);
    return NVME_UNFINISHED;
}

static uint16_t run_zeroes(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    return run_without_data(n, c, check_blocks(n, c), now);
}

static uint16_t run_flush(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    return run_without_data(n, c, check_namespace(c, true), now);
}

static uint16_t run_unknown(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    (void)n;
    (void)c;
    (void)now;
    return NVME_INVALID_OPCODE;
}

/* What to do for an opcode of the I/O queues, and which statistic counts it. */
static nvme_run_fn *verb_of(struct nvme_stats *s, uint8_t opcode, uint64_t **counter)
{
    switch (opcode) {
    case NVME_READ:
        *counter = &s->command_read;
        return run_read;
    case NVME_WRITE:
        *counter = &s->command_write;
        return run_write;
    case NVME_FLUSH:
        *counter = &s->command_flush;
        return run_flush;
    case NVME_WRITE_ZEROES:
        *counter = &s->command_zeroes;
        return run_zeroes;
    case NVME_DATASET:
        *counter = &s->command_dataset;
        return run_dataset;
    default:
        *counter = &s->command_unknown;
        return run_unknown;
    }
}

/* No fused operations, and SGLs only where they are offered: never for admin commands,
 * whose data pointers over PCI Express are PRPs (4.2). */
static bool flags_allowed(const struct nvme_ctrl *n, const struct nvme_command *c)
{
    const bool sgl = n->config.sgl && c->sq->id != 0;
    if (c->sqe.flags & NVME_FLAGS_FUSE)
        return false;
    switch (c->sqe.flags & NVME_FLAGS_PSDT) {
    case 0:
        return true;
    case NVME_FLAGS_SGL:
        return sgl;
    case NVME_FLAGS_SGL_METADATA:
        return sgl && nvme_metadata_sgl(n);
    default:
        return false;
    }
}

void nvme_command_start(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    const bool admin  = c->sq->id == 0;
    uint64_t *counter = &n->stats.command_admin;
    nvme_run_fn *run = admin ? nvme_admin_run : verb_of(&n->stats, c->sqe.opcode, &counter);
    uint16_t status  = NVME_INVALID_FIELD;
    n->stats.command++;
    (*counter)++;
    if (n->watcher != NULL)
        n->watcher->begun(n->watcher->self, c, now);
    c->data.sgl     = (c->sqe.flags & NVME_FLAGS_PSDT) != 0;
    c->metadata.sgl = (c->sqe.flags & NVME_FLAGS_PSDT) == NVME_FLAGS_SGL_METADATA;
    if (flags_allowed(n, c))
        status = run(n, c, now);
    if (status == NVME_SUCCESS)
        nvme_command_finish(n, c);
    else if (status != NVME_UNFINISHED)
        nvme_command_fail(n, c, status);
}
