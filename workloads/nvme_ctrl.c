/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvme_ctrl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/nvme_core.h"

#define PARAM_OWNER struct nvme_config
static const struct param_def nvme_params[] = { NVME_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table nvme_param_table   = {
      .prefix = "nvme",
      .text   = "An NVMe controller and its medium",
      .def    = nvme_params,
      .bytes  = sizeof(struct nvme_config),
};

#define STAT_OWNER struct nvme_stats
static const struct stat_def nvme_counters[] = { NVME_STATS(STAT_ROW) STAT_END };
const struct stat_table nvme_stat_table      = {
         .prefix = "nvme",
         .text   = "What NVMe controllers did",
         .def    = nvme_counters,
         .bytes  = sizeof(struct nvme_stats),
};

/* ---- Transactions -------------------------------------------------------------------- */

static bool is_read(enum nvme_tx_kind kind)
{
    return kind <= NVME_TX_DATA_READ;
}

struct nvme_tx *nvme_tx_take(struct nvme_ctrl *n, enum nvme_tx_kind kind)
{
    struct nvme_tx *tx = nvme_tx_fifo_pop(&n->tx_free);
    CHECK(!tx->busy);
    tx->kind     = (uint8_t)kind;
    tx->busy     = true;
    tx->identify = false;
    tx->command  = NULL;
    return tx;
}

void nvme_tx_submit(struct nvme_ctrl *n, struct nvme_tx *tx, uint64_t iova, uint32_t bytes,
                    void *data, sim_time_t now)
{
    const bool read                = is_read(tx->kind);
    const struct port_request port = {
        .iova      = iova,
        .bytes     = bytes,
        .tag       = (uint32_t)(tx - n->tx),
        .requester = n->requester,
        .kind      = read ? PORT_READ : PORT_WRITE,
        .data      = data,
        .flow      = n->watcher != NULL ? n->watcher->submitting(n->watcher->self, tx) : 0,
    };
    CHECK(tx->busy);
    tx->bytes = bytes;
    n->reads_out += read;
    n->writes_out += !read;
    CHECK(n->reads_out <= n->config.reads);
    CHECK(n->writes_out <= n->config.writes);
    n->stats.transaction++;
    port_submit(n->port, &port, now);
}

static void count_fault(struct nvme_stats *s, enum nvme_tx_kind kind)
{
    s->fault++;
    switch (kind) {
    case NVME_TX_FETCH:
        s->fault_fetch++;
        return;
    case NVME_TX_LIST:
        s->fault_list++;
        return;
    case NVME_TX_DATA_READ:
        s->fault_data_read++;
        return;
    case NVME_TX_DATA_WRITTEN:
        s->fault_data_written++;
        return;
    case NVME_TX_COMPLETION:
        s->fault_completion++;
        return;
    case NVME_TX_INTERRUPT:
        s->fault_interrupt++;
        return;
    }
    UNREACHABLE("a transaction is of one of six kinds");
}

/* Without the completion queue, software would wait forever; a lost message is only lost.
 */
static void completion_respond(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault,
                               sim_time_t now)
{
    (void)now;
    if (fault && tx->kind == NVME_TX_COMPLETION)
        nvme_fail(n);
}

static void (*const tx_respond[])(struct nvme_ctrl *n, struct nvme_tx *tx, bool fault,
                                  sim_time_t now) = {
    [NVME_TX_FETCH]        = nvme_fetch_respond,
    [NVME_TX_LIST]         = nvme_list_respond,
    [NVME_TX_DATA_READ]    = nvme_data_read_respond,
    [NVME_TX_DATA_WRITTEN] = nvme_data_written_respond,
    [NVME_TX_COMPLETION]   = completion_respond,
    [NVME_TX_INTERRUPT]    = completion_respond,
};

static void take_response(struct nvme_ctrl *n, const struct port_response *r,
                          sim_time_t now)
{
    CHECK(r->tag < n->config.reads + n->config.writes);
    struct nvme_tx *tx = &n->tx[r->tag];
    const bool read    = is_read(tx->kind);
    CHECK(tx->busy);
    CHECK(r->kind == (read ? PORT_READ : PORT_WRITE));
    histogram_record(read ? &n->read_latency_ps : &n->write_latency_ps, now - r->submitted);
    n->reads_out -= read;
    n->writes_out -= !read;
    if (r->status != PORT_OK)
        count_fault(&n->stats, tx->kind);
    if (n->state == NVME_STATE_READY) /* Else whatever it was for is no more. */
        tx_respond[tx->kind](n, tx, r->status != PORT_OK, now);
    tx->busy = false;
    nvme_tx_fifo_push(&n->tx_free, tx);
}

/* ---- States (7.3, 7.6) --------------------------------------------------------------- */

static uint64_t ready_ps(const struct nvme_ctrl *n)
{
    return n->config.ready_us * TIME_US;
}

void nvme_fail(struct nvme_ctrl *n)
{
    n->state = NVME_STATE_FAILED;
    n->csts |= NVME_CSTS_CFS;
}

/* Only what CAP offers: the NVM command set, 4 KiB pages, round robin. */
static bool can_run(const struct nvme_ctrl *n)
{
    const uint32_t others =
        7u << NVME_CC_CSS_SHIFT | 15u << NVME_CC_MPS_SHIFT | 7u << NVME_CC_AMS_SHIFT;
    return (n->cc & others) == 0 && bits_get(n->aqa, 11, 0) >= 1
           && bits_get(n->aqa, 27, 16) >= 1;
}

void nvme_enable(struct nvme_ctrl *n, sim_time_t now)
{
    CHECK(n->state == NVME_STATE_OFF);
    n->state = NVME_STATE_ENABLING;
    dueheap_put(&n->timers, NVME_DUE_READY, now + ready_ps(n));
    nvme_kick(n, now);
}

static void get_ready(struct nvme_ctrl *n)
{
    CHECK(n->state == NVME_STATE_ENABLING);
    if (!can_run(n)) {
        nvme_fail(n);
        return;
    }
    nvme_cq_create(n, 0, n->acq, (uint32_t)bits_get(n->aqa, 27, 16) + 1);
    nvme_sq_create(n, 0, &n->cq[0], n->asq, (uint32_t)bits_get(n->aqa, 11, 0) + 1);
    n->cq[0].interrupts = true;
    n->state            = NVME_STATE_READY;
    n->csts |= NVME_CSTS_RDY;
}

/* What was submitted cannot be called back: the reset ends when the last response is in. */
void nvme_disable(struct nvme_ctrl *n, sim_time_t now)
{
    n->state = NVME_STATE_RESETTING;
    n->stats.reset++;
    nvme_kick(n, now);
}

void nvme_shut_down(struct nvme_ctrl *n, sim_time_t now)
{
    n->csts = (n->csts & ~(uint32_t)NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_RUNNING;
    dueheap_put(&n->timers, NVME_DUE_SHUTDOWN, now + ready_ps(n));
    nvme_kick(n, now);
}

static void finish_shutdown(struct nvme_ctrl *n)
{
    n->csts = (n->csts & ~(uint32_t)NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_COMPLETE;
}

static void clear_commands(struct nvme_ctrl *n)
{
    n->decode = n->command_free = n->identify_wait = (struct nvme_command_fifo){ 0 };
    n->mover[0] = n->mover[1] = (struct nvme_transfer_fifo){ 0 };
    n->list_wanted            = (struct nvme_list_fifo){ 0 };
    n->medium_wait            = (struct nvme_medium_fifo){ 0 };
    n->commands_free          = n->config.commands;
    for (uint32_t i = 0; i < n->config.commands; i++) {
        nvme_command_reset(&n->command[i], 0);
        nvme_command_fifo_push(&n->command_free, &n->command[i]);
    }
    n->identify_now    = NULL;
    n->identify_writes = 0;
}

static void clear_queues(struct nvme_ctrl *n)
{
    n->sq_turn    = (struct nvme_sq_fifo){ 0 };
    n->cq_turn    = (struct nvme_cq_fifo){ 0 };
    n->fetch_free = (struct nvme_fetch_fifo){ 0 };
    for (uint32_t i = 0; i <= n->config.queues; i++) {
        n->sq[i] = (struct nvme_sq){ .id = (uint16_t)i };
        n->cq[i] = (struct nvme_cq){ .id = (uint16_t)i };
    }
    for (uint32_t i = 0; i < n->config.fetches; i++)
        nvme_fetch_fifo_push(&n->fetch_free, &n->fetch[i]);
}

/* The MSI-X table is no part of what a controller reset resets. */
static void clear_interrupts(struct nvme_ctrl *n)
{
    n->interrupts = (struct nvme_vector_fifo){ 0 };
    for (uint32_t i = 0; i < n->config.vectors; i++) {
        const struct nvme_msix_entry entry = n->vector[i].entry;
        n->vector[i]                       = (struct nvme_vector){ .entry = entry };
    }
}

static void clear_channels(struct nvme_ctrl *n)
{
    n->channel_free = (struct nvme_channel_fifo){ 0 };
    for (uint32_t i = 0; i < n->config.channels; i++)
        nvme_channel_fifo_push(&n->channel_free, &n->channel[i]);
}

/* Everything but registers, MSI-X table and transactions goes back to its first state. */
static void clear(struct nvme_ctrl *n)
{
    CHECK(n->reads_out == 0);
    CHECK(n->writes_out == 0);
    dueheap_clear(&n->timers);
    clear_commands(n);
    clear_queues(n);
    clear_interrupts(n);
    clear_channels(n);
    n->burst        = n->config.burst;
    n->burst_left   = n->burst;
    n->turn_left[0] = n->turn_left[1] = n->config.turn_bytes;
    n->coalesce_entries               = n->config.coalesce_entries;
    n->coalesce_ps                    = n->config.coalesce_100us * 100 * TIME_US;
    n->csts                           = 0;
    n->state                          = NVME_STATE_OFF;
}

static void finish_reset(struct nvme_ctrl *n, sim_time_t now)
{
    if (n->reads_out + n->writes_out > 0)
        return;
    clear(n);
    if (n->cc & NVME_CC_EN) /* Software did not wait for CSTS.RDY to go. */
        nvme_enable(n, now);
}

/* ---- The step ------------------------------------------------------------------------ */

static void run_timer(struct nvme_ctrl *n, uint32_t item, sim_time_t now)
{
    const uint32_t channels = NVME_DUE_VECTORS + n->config.vectors;
    if (item == NVME_DUE_SHUTDOWN)
        finish_shutdown(n);
    else if (item == NVME_DUE_READY)
        get_ready(n);
    else if (n->state != NVME_STATE_READY)
        return; /* The reset that must follow clears everything. */
    else if (item < channels)
        nvme_interrupt_expire(n, item - NVME_DUE_VECTORS);
    else
        nvme_medium_expire(n, item - channels, now);
}

static bool can_write(struct nvme_ctrl *n)
{
    return n->writes_out < n->config.writes && port_ready(n->port, PORT_WRITE);
}

static bool can_read(struct nvme_ctrl *n)
{
    return n->reads_out < n->config.reads && port_ready(n->port, PORT_READ);
}

/* Completions first: they free what the others wait for. */
static bool issue_writes(struct nvme_ctrl *n, sim_time_t now)
{
    bool progress = false;
    for (;; progress = true) {
        const bool interrupt  = !nvme_vector_fifo_empty(&n->interrupts);
        const bool completion = !nvme_cq_fifo_empty(&n->cq_turn);
        const bool data       = !nvme_transfer_fifo_empty(&n->mover[NVME_FLOW_TO_HOST]);
        if (!(interrupt || completion || data) || !can_write(n))
            return progress;
        if (interrupt)
            nvme_interrupt_send(n, now);
        else if (completion)
            nvme_cq_send(n, now);
        else
            nvme_data_send(n, NVME_FLOW_TO_HOST, now);
    }
}

/* Data last: what the others bring keeps the pipeline full. */
static bool issue_reads(struct nvme_ctrl *n, sim_time_t now)
{
    bool progress = false;
    for (;; progress = true) {
        const bool list  = !nvme_list_fifo_empty(&n->list_wanted);
        const bool fetch = nvme_fetch_wanted(n);
        const bool data  = !nvme_transfer_fifo_empty(&n->mover[NVME_FLOW_FROM_HOST]);
        if (!(list || fetch || data) || !can_read(n))
            return progress;
        if (list)
            nvme_list_send(n, now);
        else if (fetch)
            nvme_fetch_send(n, now);
        else
            nvme_data_send(n, NVME_FLOW_FROM_HOST, now);
    }
}

static void start_decoded(struct nvme_ctrl *n, sim_time_t now)
{
    while (!nvme_command_fifo_empty(&n->decode) && n->decode.first->start_at <= now)
        nvme_command_start(n, nvme_command_fifo_pop(&n->decode), now);
}

/* A write may free a command for a fetch, a read that is given up may complete one. */
static void issue(struct nvme_ctrl *n, sim_time_t now)
{
    bool progress = true;
    while (progress) {
        progress = issue_writes(n, now);
        progress |= issue_reads(n, now);
        progress |= nvme_identify_pump(n);
    }
}

static void nvme_step(void *self, sim_time_t now)
{
    struct nvme_ctrl *n = self;
    struct port_response response;
    uint32_t item;

    *n->due = TIME_NEVER; /* First: the port's verbs may set it again. */
    while (port_take(n->port, &response, now))
        take_response(n, &response, now);
    while ((item = dueheap_take(&n->timers, now)) != DUEHEAP_NONE)
        run_timer(n, item, now);
    sim_time_t due = TIME_NEVER;
    if (n->state == NVME_STATE_READY) {
        start_decoded(n, now);
        issue(n, now);
        if (!nvme_command_fifo_empty(&n->decode))
            due = n->decode.first->start_at;
    } else if (n->state == NVME_STATE_RESETTING) {
        finish_reset(n, now);
    }
    *n->due = time_min(*n->due, time_min(due, dueheap_due(&n->timers)));
}

/* ---- Construction -------------------------------------------------------------------- */

static void *allocate(uint32_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    CHECK(memory != NULL);
    return memory;
}

static void allocate_parts(struct nvme_ctrl *n)
{
    const struct nvme_config *c = &n->config;
    n->tx                       = allocate(c->reads + c->writes, sizeof *n->tx);
    n->sq                       = allocate(c->queues + 1, sizeof *n->sq);
    n->cq                       = allocate(c->queues + 1, sizeof *n->cq);
    n->fetch                    = allocate(c->fetches, sizeof *n->fetch);
    n->command                  = allocate(c->commands, sizeof *n->command);
    n->channel                  = allocate(c->channels, sizeof *n->channel);
    n->vector                   = allocate(c->vectors, sizeof *n->vector);
    dueheap_init(&n->timers, NVME_DUE_VECTORS + c->vectors + c->channels);
}

static void share_out_buffers(struct nvme_ctrl *n)
{
    /* A descriptor may begin at the end of one piece of a list and end in the next. */
    const uint32_t list_bytes = n->config.list_read_bytes + sizeof(struct nvme_sgl);
    uint8_t *lists            = allocate(2 * n->config.commands, list_bytes);
    for (uint32_t i = 0; i < n->config.commands; i++) {
        n->command[i].data.list.buffer     = lists + (size_t)(2 * i) * list_bytes;
        n->command[i].metadata.list.buffer = lists + (size_t)(2 * i + 1) * list_bytes;
    }

    const uint32_t entries   = n->config.fetch_entries;
    struct nvme_sqe *fetches = allocate(n->config.fetches * entries, sizeof *fetches);
    for (uint32_t i = 0; i < n->config.fetches; i++)
        n->fetch[i].entry = fetches + (size_t)i * entries;
}

void nvme_ctrl_init(struct nvme_ctrl *n, struct engine *engine, struct port *port,
                    const struct nvme_config *config, uint16_t requester, uint64_t seed)
{
    memset(n, 0, sizeof *n);
    CHECK(is_pow2(config->max_payload_bytes));
    CHECK(is_pow2(config->max_read_bytes));
    CHECK(is_pow2(config->list_read_bytes));
    CHECK(is_pow2(config->burst));
    CHECK(is_pow2(config->block_bytes));
    n->config    = *config;
    n->port      = port;
    n->requester = requester;
    n->jitter    = rng_make(seed, "nvme.jitter");
    allocate_parts(n);
    share_out_buffers(n);
    for (uint32_t i = 0; i < config->reads + config->writes; i++)
        nvme_tx_fifo_push(&n->tx_free, &n->tx[i]);
    for (uint32_t i = 0; i < config->vectors; i++)
        n->vector[i].entry.control = NVME_MSIX_MASKED;
    clear(n);
    n->due           = engine_add_block(engine, "nvme", nvme_step, n);
    port->device_due = n->due;
}

void nvme_ctrl_free(struct nvme_ctrl *n)
{
    free(n->command[0].data.list.buffer);
    free(n->fetch[0].entry);
    free(n->tx);
    free(n->sq);
    free(n->cq);
    free(n->fetch);
    free(n->command);
    free(n->channel);
    free(n->vector);
    dueheap_free(&n->timers);
}

/* ---- Audit --------------------------------------------------------------------------- */

bool nvme_ctrl_idle(const struct nvme_ctrl *n)
{
    return n->reads_out + n->writes_out == 0 && n->commands_free == n->config.commands;
}

static bool counted(struct error *error, const char *what, uint64_t got, uint64_t want)
{
    return got == want
           || error_set(error, "nvme: %s: counted %" PRIu64 ", expected %" PRIu64, what,
                        got, want);
}

bool nvme_ctrl_check(const struct nvme_ctrl *n, struct error *error)
{
    const struct nvme_stats *s = &n->stats;
    uint64_t free_commands = 0, busy = 0, reserved = 0;

    for (const struct nvme_command *c = n->command_free.first; c != NULL; c = c->next)
        free_commands++;
    for (uint32_t i = 0; i < n->config.reads + n->config.writes; i++)
        busy += n->tx[i].busy;
    for (uint32_t q = 0; q <= n->config.queues; q++)
        for (const struct nvme_fetch *f = n->sq[q].fetches.first; f != NULL; f = f->next)
            reserved += f->count;
    return counted(error, "free commands", free_commands, n->commands_free + reserved)
           && counted(error, "transactions in flight", busy, n->reads_out + n->writes_out)
           && counted(error, "responses",
                      n->read_latency_ps.count + n->write_latency_ps.count,
                      s->transaction - busy)
           && counted(error, "completions written", s->completion,
                      s->transaction_completion)
           && stat_check(&nvme_stat_table, s, error);
}
