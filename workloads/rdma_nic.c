/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_nic.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/mmio.h"
#include "workloads/rdma_core.h"

#define PARAM_OWNER struct rdma_config
#define STAT_OWNER  struct rdma_stats
static const struct param_def rdma_params[]  = { RDMA_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def rdma_counters[] = { RDMA_STATS(STAT_ROW) STAT_END };

static bool check_config(const void *config, struct error *error)
{
    const struct rdma_config *c = config;
    if (c->fetch_entries > c->window)
        return error_set(error,
                         "rdma.fetch_entries: expected at most rdma.window (%u), got %u",
                         c->window, c->fetch_entries);
    return true;
}

const struct param_table rdma_param_table = {
    .prefix = "rdma",
    .text   = "An RDMA NIC",
    .def    = rdma_params,
    .bytes  = sizeof(struct rdma_config),
    .check  = check_config,
};
const struct stat_table rdma_stat_table = {
    .prefix = "rdma",
    .text   = "What RDMA NICs did",
    .def    = rdma_counters,
    .bytes  = sizeof(struct rdma_stats),
};

enum { CQES = 8192, TABLES = 1024 };

/* ---- Transactions -------------------------------------------------------------------- */

static bool is_read(uint8_t kind)
{
    return kind <= RNIC_IO_ATOMIC_READ;
}

bool rnic_can_read(struct rdma_nic *n)
{
    return n->reads_out < n->config.reads && port_ready(n->port, PORT_READ);
}

bool rnic_can_write(struct rdma_nic *n)
{
    return n->writes_out < n->config.writes && port_ready(n->port, PORT_WRITE);
}

struct rnic_io *rnic_io_take(struct rdma_nic *n, enum rnic_io_kind kind)
{
    struct rnic_io *io = rnic_io_fifo_pop(&n->io_free);
    CHECK(!io->busy);
    io->kind = (uint8_t)kind;
    io->flow = 0;
    io->busy = true;
    return io;
}

static bool is_data(uint8_t kind)
{
    return kind == RNIC_IO_GATHER || kind == RNIC_IO_SCATTER || kind == RNIC_IO_ATOMIC_READ
           || kind == RNIC_IO_ATOMIC_WRITE;
}

static void count(struct rdma_stats *s, uint8_t kind)
{
    uint64_t *const of[] = {
        [RNIC_IO_FETCH]         = &s->transaction_fetch,
        [RNIC_IO_RECEIVE_FETCH] = &s->transaction_fetch,
        [RNIC_IO_RECORD]        = &s->transaction_record,
        [RNIC_IO_MAILBOX]       = &s->transaction_record,
        [RNIC_IO_MPT]           = &s->transaction_mpt,
        [RNIC_IO_MTT]           = &s->transaction_mtt,
        [RNIC_IO_GATHER]        = &s->transaction_gather,
        [RNIC_IO_ATOMIC_READ]   = &s->transaction_atomic,
        [RNIC_IO_SCATTER]       = &s->transaction_scatter,
        [RNIC_IO_ATOMIC_WRITE]  = &s->transaction_atomic,
        [RNIC_IO_CQE]           = &s->transaction_completion,
        [RNIC_IO_EQE]           = &s->transaction_event,
        [RNIC_IO_INTERRUPT]     = &s->transaction_interrupt,
        [RNIC_IO_TABLE]         = &s->transaction_table,
        [RNIC_IO_STATUS]        = &s->transaction_table,
    };
    s->transaction++;
    (*of[kind])++;
}

void rnic_io_submit(struct rdma_nic *n, struct rnic_io *io, uint64_t iova, uint32_t bytes,
                    void *data, sim_time_t now)
{
    const bool read                = is_read(io->kind);
    const struct port_request port = {
        .iova      = iova,
        .bytes     = bytes,
        .tag       = (uint32_t)(io - n->io),
        .requester = n->requester,
        .kind      = read ? PORT_READ : PORT_WRITE,
        .flow = n->watcher != NULL ? n->watcher->submitting(n->watcher->self, io, now) : 0,
        .data = data,
    };
    CHECK(io->busy);
    if (n->data_moved != NULL && is_data(io->kind))
        n->data_moved(n->data_moved_self, iova, bytes);
    io->bytes  = bytes;
    io->serial = ++n->serial;
    n->reads_out += read;
    n->writes_out += !read;
    count(&n->stats, io->kind);
    port_submit(n->port, &port, now);
}

bool rnic_reads_before(const struct rdma_nic *n, uint64_t serial)
{
    if (n->atomic != NULL && n->atomic_serial <= serial)
        return true;
    for (uint32_t i = 0; i < n->config.reads + n->config.writes; i++)
        if (n->io[i].busy && n->io[i].serial <= serial
            && (n->io[i].kind == RNIC_IO_GATHER || n->io[i].kind == RNIC_IO_MTT
                || n->io[i].kind == RNIC_IO_MPT))
            return true;
    return false;
}

uint32_t rnic_piece(uint64_t iova, uint64_t left, uint32_t most)
{
    const uint64_t block = most - (iova & (most - 1));
    return (uint32_t)rnic_min64(left, block);
}

static void respond(struct rdma_nic *n, struct rnic_io *io, bool fault, sim_time_t now)
{
    switch (io->kind) {
    case RNIC_IO_FETCH:
        rnic_fetch_respond(n, io, fault, now);
        return;
    case RNIC_IO_RECEIVE_FETCH:
        rnic_receive_respond(n, io, fault);
        return;
    case RNIC_IO_RECORD:
        rnic_record_respond(n, io, fault);
        return;
    case RNIC_IO_MAILBOX:
        rnic_mailbox_respond(n, fault, now);
        return;
    case RNIC_IO_MPT:
    case RNIC_IO_MTT:
        rnic_fill_respond(n, io, fault);
        return;
    case RNIC_IO_GATHER:
        rnic_gather_respond(n, io, fault);
        return;
    case RNIC_IO_ATOMIC_READ:
        rnic_atomic_respond(n, io, fault);
        return;
    case RNIC_IO_SCATTER:
    case RNIC_IO_ATOMIC_WRITE:
        rnic_scatter_respond(n, io, now);
        return;
    default:
        return; /* Posted: software sees for itself. */
    }
}

static void take_response(struct rdma_nic *n, const struct port_response *r, sim_time_t now)
{
    CHECK(r->tag < n->config.reads + n->config.writes);
    struct rnic_io *io = &n->io[r->tag];
    CHECK(io->busy);
    CHECK(r->kind == (is_read(io->kind) ? PORT_READ : PORT_WRITE));
    n->reads_out -= is_read(io->kind);
    n->writes_out -= !is_read(io->kind);
    n->stats.fault += r->status != PORT_OK;
    io->busy = false;
    respond(n, io, r->status != PORT_OK, now);
    rnic_io_fifo_push(&n->io_free, io);
}

/* ---- The step ------------------------------------------------------------------------ */

/* What the parts want from memory is asked for last, when all of them have spoken; of that,
 * completions first: they free what the others wait for. */
static bool work(struct rdma_nic *n, sim_time_t now)
{
    bool progress = rnic_receive_work(n, now);
    progress |= rnic_local_work(n, now);
    progress |= rnic_send_work(n, now);
    progress |= rnic_flush_work(n, now);
    progress |= rnic_command_work(n, now);
    progress |= rnic_queue_writes(n, now);
    progress |= rnic_table_work(n, now);
    return rnic_queue_reads(n, now) || progress;
}

static sim_time_t receive_due(const struct rdma_nic *n)
{
    const sim_time_t due = rdma_wire_due(n->wire, n->id);
    if (due == TIME_NEVER || rnic_rx_fifo_empty(&n->rx_free))
        return TIME_NEVER;
    return due + n->config.receive_ns * TIME_NS;
}

static void nic_step(void *self, sim_time_t now)
{
    struct rdma_nic *n = self;
    struct port_response response;
    uint32_t item;

    n->now        = now;
    n->again_soon = false;
    *n->due       = TIME_NEVER; /* First: the port's verbs may set it again. */
    while (port_take(n->port, &response, now))
        take_response(n, &response, now);
    while ((item = dueheap_take(&n->timers, now)) != DUEHEAP_NONE)
        if (item < 2 * n->config.qps)
            rnic_timer_expire(n, item, now);
    while (work(n, now))
        ;
    sim_time_t due = time_min(dueheap_due(&n->timers), receive_due(n));
    due            = time_min(due, rnic_send_due(n, now));
    if (n->again_soon)
        due = time_min(due, now + 1);
    *n->due = time_min(*n->due, due);
}

/* ---- Registers ----------------------------------------------------------------------- */

static unsigned lg2_of(uint32_t pow2)
{
    return (unsigned)__builtin_ctz(pow2);
}

static void nic_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                      sim_time_t now)
{
    struct rdma_nic *n = self;
    (void)bytes;
    n->now = now;
    switch (offset) {
    case RDMA_REG_MAILBOX:
        n->command.mailbox = value;
        return;
    case RDMA_REG_COMMAND:
        rnic_command_begin(n);
        break;
    case RDMA_REG_SEND:
        rnic_doorbell(n, (uint32_t)(value >> 32), (uint32_t)value);
        break;
    case RDMA_REG_ARM:
        rnic_arm_cq(n, (uint32_t)(value >> 32), (uint32_t)value);
        break;
    case RDMA_REG_TAKEN:
        rnic_taken_cq(n, (uint32_t)(value >> 32), (uint32_t)value);
        return;
    case RDMA_REG_EVENT:
        rnic_arm_eq(n, (uint32_t)(value >> 32), (uint32_t)value);
        break;
    default:
        return;
    }
    rnic_kick(n, now);
}

static uint64_t nic_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    const struct rdma_nic *n = self;
    (void)bytes;
    (void)now;
    if (offset != RDMA_REG_CAP)
        return 0;
    return (uint64_t)lg2_of(n->config.qps) << RDMA_CAP_QPS_SHIFT
           | (uint64_t)lg2_of(n->config.cqs) << RDMA_CAP_CQS_SHIFT
           | (uint64_t)n->config.mpt_lg2 << RDMA_CAP_MPT_SHIFT;
}

const struct mmio_ops rdma_nic_mmio_ops = { nic_write, nic_read };

/* ---- Construction -------------------------------------------------------------------- */

static void *allocate(uint32_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    CHECK(memory != NULL);
    return memory;
}

static void cache_init(struct rnic_cache *c, uint32_t sets, uint32_t ways)
{
    *c      = (struct rnic_cache){ .sets = sets, .ways = ways };
    c->line = allocate(sets * ways, sizeof *c->line);
}

static uint32_t at_least(uint32_t count)
{
    uint32_t pow2 = 1;
    while (pow2 < count)
        pow2 *= 2;
    return pow2;
}

static void allocate_parts(struct rdma_nic *n)
{
    const struct rdma_config *c = &n->config;
    n->io                       = allocate(c->reads + c->writes, sizeof *n->io);
    n->qp                       = allocate(c->qps, sizeof *n->qp);
    n->cq                       = allocate(c->cqs, sizeof *n->cq);
    n->rq                       = allocate(c->cqs, sizeof *n->rq);
    n->eq                       = allocate(RNIC_EQS, sizeof *n->eq);
    n->tx                       = allocate(c->tx_slots, sizeof *n->tx);
    n->rx                       = allocate(c->rx_slots, sizeof *n->rx);
    cache_init(&n->mpt, c->mpt_sets, c->mpt_ways);
    cache_init(&n->mtt, c->mtt_sets, c->mtt_ways);
    dueheap_init(&n->timers, 2 * c->qps + 1);
    rnic_cqe_ring_init(&n->cqes, CQES);
    rnic_eqe_ring_init(&n->eqes, at_least(2 * c->cqs + c->qps + RDMA_FAULTS_MAX));
    rnic_table_ring_init(&n->tables, TABLES);
    struct rnic_wqe *wqe = allocate(c->qps * c->window, sizeof *wqe);
    for (uint32_t i = 0; i < c->qps; i++) {
        n->qp[i].id  = i;
        n->qp[i].wqe = wqe + (size_t)i * c->window;
        rnic_answer_ring_init(&n->qp[i].answers, RNIC_ANSWERS);
    }
}

void rdma_nic_init(struct rdma_nic *n, struct engine *engine, struct port *port,
                   const struct rdma_config *config, uint16_t requester,
                   struct rdma_wire *wire, unsigned id, bool carries)
{
    memset(n, 0, sizeof *n);
    n->config    = *config;
    n->port      = port;
    n->requester = requester;
    n->wire      = wire;
    n->id        = id;
    n->carries   = carries;
    allocate_parts(n);
    for (uint32_t i = 0; i < config->reads + config->writes; i++)
        rnic_io_fifo_push(&n->io_free, &n->io[i]);
    for (uint32_t i = 0; i < config->tx_slots; i++)
        rnic_tx_fifo_push(&n->tx_free, &n->tx[i]);
    for (uint32_t i = 0; i < config->rx_slots; i++)
        rnic_rx_fifo_push(&n->rx_free, &n->rx[i]);
    n->due           = engine_add_block(engine, "rdma", nic_step, n);
    port->device_due = n->due;
    rdma_wire_attach(wire, id, n->due);
}

void rdma_nic_free(struct rdma_nic *n)
{
    free(n->qp[0].wqe);
    for (uint32_t i = 0; i < n->config.qps; i++)
        rnic_answer_ring_free(&n->qp[i].answers);
    rnic_cqe_ring_free(&n->cqes);
    rnic_eqe_ring_free(&n->eqes);
    rnic_table_ring_free(&n->tables);
    dueheap_free(&n->timers);
    free(n->mpt.line);
    free(n->mtt.line);
    free(n->io);
    free(n->qp);
    free(n->cq);
    free(n->rq);
    free(n->eq);
    free(n->tx);
    free(n->rx);
}

/* ---- Audit --------------------------------------------------------------------------- */

bool rdma_nic_idle(const struct rdma_nic *n)
{
    return n->reads_out + n->writes_out == 0 && rnic_tx_fifo_empty(&n->tx_order)
           && rnic_rx_fifo_empty(&n->rx_order) && n->command.step == RNIC_COMMAND_IDLE
           && rnic_cqe_ring_empty(&n->cqes) && rnic_table_ring_empty(&n->tables);
}

static bool counted(const struct rdma_nic *n, struct error *error, const char *what,
                    uint64_t got, uint64_t want)
{
    return got == want
           || error_set(error, "rdma %u: %s: counted %" PRIu64 ", expected %" PRIu64, n->id,
                        what, got, want);
}

bool rdma_nic_check(const struct rdma_nic *n, struct error *error)
{
    uint64_t busy = 0, tx = 0, rx = 0;
    for (uint32_t i = 0; i < n->config.reads + n->config.writes; i++)
        busy += n->io[i].busy;
    for (const struct rnic_tx *t = n->tx_order.first; t != NULL; t = t->next)
        tx++;
    for (const struct rnic_rx *r = n->rx_order.first; r != NULL; r = r->next)
        rx += r->qp != NULL;
    for (uint32_t i = 0; i < n->config.qps; i++) {
        tx -= n->qp[i].tx_out;
        rx -= n->qp[i].rx_out;
    }
    return counted(n, error, "transactions under way", n->reads_out + n->writes_out, busy)
           && counted(n, error, "packets being made, of no queue pair", tx, 0)
           && counted(n, error, "packets received, of no queue pair", rx, 0)
           && stat_check(&rdma_stat_table, &n->stats, error);
}
