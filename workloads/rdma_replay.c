/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/rdma_plan.h"

static const char *const placements[]    = { "scattered", "contiguous", "huge", NULL };
static const char *const registrations[] = { "pinned", "demand", "each", NULL };

const char *fabric_placement_member(unsigned index)
{
    return placements[index];
}

const char *fabric_registration_member(unsigned index)
{
    return registrations[index];
}

#define PARAM_OWNER struct fabric_config
#define STAT_OWNER  struct fabric_stats
static const struct param_def fabric_params[]  = { FABRIC_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def fabric_counters[] = { FABRIC_STATS(STAT_ROW) STAT_END };

const struct param_table fabric_param_table = {
    .prefix = "fabric",
    .text   = "How an RDMA trace is replayed",
    .def    = fabric_params,
    .bytes  = sizeof(struct fabric_config),
};
const struct stat_table fabric_stat_table = {
    .prefix = "fabric",
    .text   = "The replay of an RDMA trace",
    .def    = fabric_counters,
    .bytes  = sizeof(struct fabric_stats),
};

enum {
    FLIGHTS    = 2048,
    HUGE_LG2   = 21,
    CQ_ENTRIES = 8192, /* Two for each flight, and those of regions. */
    CHECKS     = 2000, /* Times that placement is looked at before it is a mismatch, */
};
#define CHECK_EVERY TIME_US /* apart by so much: 2 ms in all. */

static const uint32_t rights =
    RDMA_LOCAL_WRITE | RDMA_REMOTE_WRITE | RDMA_REMOTE_READ | RDMA_REMOTE_ATOMIC;

/* ---- Life
 * -------------------------------------------------------------------------------- */

static phys_addr_t page_of(void *self, uint64_t address)
{
    struct rdma_replay_host *h = self;
    return rdma_frames_of(&h->frames, address);
}

static void init_host(struct rdma_replay *r, unsigned id,
                      const struct rdma_replay_machine *machine)
{
    struct rdma_replay_host *h = &r->host[id];
    h->replay                  = r;
    h->id                      = id;
    h->verbs                   = machine->verbs;
    h->memory                  = machine->memory;
    h->space                   = (struct umem_space){ page_of, h };
    h->next_buffer             = UINT64_C(1) << 46;
    rdma_frames_init(&h->frames,
                     r->config.placement == placements[2] ? HUGE_LG2 : PAGE_SHIFT,
                     r->config.placement != placements[1]);
    for (unsigned i = 0; i < r->cpus; i++) {
        h->cpu[i] = (struct rdma_replay_cpu){
            .replay = r, .host = h, .cpu = machine->cpu[i], .id = i
        };
        rdma_step_ring_init(&h->cpu[i].waiting, r->config.window);
    }
}

void rdma_replay_init(struct rdma_replay *r, const struct fabric_config *config,
                      const struct rdma_replay_machine *machine,
                      const struct replay_source *source, unsigned sources, uint64_t limit,
                      uint64_t seed, unsigned cpus)
{
    memset(r, 0, sizeof *r);
    r->config  = *config;
    r->source  = source;
    r->sources = sources;
    r->limit   = limit;
    r->seed    = seed;
    r->cpus    = cpus;
    r->turns   = sources > 0 && trace_takes_turns(trace_about(source[0].reader));
    r->end_of  = calloc(RDMA_BUCKETS, sizeof(struct rdma_end *));
    r->key_of  = calloc(RDMA_BUCKETS, sizeof(struct rdma_key *));
    r->flight  = calloc(FLIGHTS, sizeof *r->flight);
    CHECK(r->end_of != NULL);
    CHECK(r->key_of != NULL);
    CHECK(r->flight != NULL);
    for (uint32_t i = FLIGHTS; i-- > 0;) {
        r->flight[i].next = r->free_flight;
        r->free_flight    = &r->flight[i];
    }
    for (unsigned i = 0; i < config->hosts; i++)
        init_host(r, i, &machine[i]);
}

void rdma_replay_free(struct rdma_replay *r)
{
    rdma_plan_free(r);
    for (unsigned i = 0; i < r->config.hosts; i++) {
        for (unsigned k = 0; k < r->cpus; k++)
            rdma_step_ring_free(&r->host[i].cpu[k].waiting);
        rdma_frames_free(&r->host[i].frames);
    }
    free(r->flight);
    free(r->end_of);
    free(r->key_of);
}

/* ---- Waiting
 * -------------------------------------------------------------------------------- */

static bool stopped(const struct rdma_replay *r)
{
    return r->broken;
}

typedef bool awaits_fn(const struct rdma_replay_cpu *c, const void *of);

/* The next receive of an end may be posted: there is room, and its memory is registered. */
static bool may_receive(const struct rdma_end *e)
{
    return e->receive_first != NULL && !rdma_receives_full(e) && e->connected
           && e->receive_first->remote.region->posted;
}

static bool has_receives(const struct rdma_replay_cpu *c)
{
    const struct rdma_end *e = c->receiving;
    while (e != NULL && !may_receive(e))
        e = e->next_receiving;
    return e != NULL;
}

static bool has_work(const struct rdma_replay_cpu *c)
{
    return c->done > 0 || c->release != NULL || c->expected > 0 || stopped(c->replay)
           || has_receives(c) || (c->awaits != NULL && c->awaits(c, c->of));
}

/* Something has changed that somebody may wait for: nobody is woken for nothing, which
 * would cost it time. */
static void changed(struct rdma_replay *r)
{
    const sim_time_t now = cpu_this()->time;
    for (unsigned i = 0; i < r->config.hosts; i++)
        for (unsigned k = 0; k < r->cpus; k++) {
            struct rdma_replay_cpu *c = &r->host[i].cpu[k];
            if (!c->blocked || !has_work(c))
                continue;
            c->blocked = false;
            cpu_wake(c->cpu, now);
        }
}

static void release_now(struct rdma_replay_cpu *c);
static bool post_receives(struct rdma_replay_cpu *c);
static bool reap(struct rdma_replay_cpu *c);
static void spin(struct rdma_replay_cpu *c);

/* Page faults are served, and regions that nobody uses any more let go, meanwhile. */
static void pause_until(struct rdma_replay_cpu *c, sim_time_t until)
{
    c->blocked = c->expected == 0;
    if (c->blocked)
        cpu_wait(c->cpu, until);
    else
        spin(c);
    c->blocked = false;
    verbs_serve(c->host->verbs);
    release_now(c);
    (void)post_receives(c);
}

/* Until it is true, or the replay is given up. What others may wait for goes before. */
static void wait_for(struct rdma_replay_cpu *c, awaits_fn *awaits, const void *of)
{
    while (!stopped(c->replay) && !awaits(c, of)) {
        if (reap(c) || post_receives(c))
            continue;
        c->awaits = awaits;
        c->of     = of;
        pause_until(c, TIME_NEVER);
    }
    c->awaits = NULL;
}

/* ---- Data in checking mode
 * --------------------------------------------------------------------- */

static void pattern(const struct rdma_flight *f, uint64_t first, uint8_t *data,
                    uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        const uint64_t x = (f->index * UINT64_C(0x9e3779b97f4a7c15)) ^ (first + i);
        data[i]          = (uint8_t)((x * UINT64_C(0xbf58476d1ce4e5b9)) >> 56);
    }
    if (f->turn != 0 && first + bytes == f->bytes)
        data[bytes - 1] = rdma_turn_mark(f);
}

/* Calls with each piece that lies in one page. */
static bool each_page(struct rdma_replay_host *h, const struct rdma_flight *f,
                      uint64_t address, bool put)
{
    uint8_t want[PAGE_SIZE], got[PAGE_SIZE];
    for (uint64_t at = 0; at < f->bytes;) {
        const uint64_t room  = PAGE_SIZE - ((address + at) & ~PAGE_MASK);
        const uint64_t left  = f->bytes - at;
        const uint32_t bytes = (uint32_t)(left < room ? left : room);
        const uint64_t phys  = rdma_frames_of(&h->frames, address + at);
        pattern(f, at, want, bytes);
        if (put) {
            memory_write(h->memory, phys, want, bytes);
        } else {
            memory_read(h->memory, phys, got, bytes);
            if (memcmp(want, got, bytes) != 0)
                return false;
        }
        at += bytes;
    }
    return true;
}

static bool moves(const struct rdma_flight *f)
{
    return f->op != TRACE_RDMA_ATOMIC && f->bytes > 0;
}

/* From where and to where. */
static struct rdma_place source_of(const struct rdma_flight *f)
{
    return f->op == TRACE_RDMA_READ ? f->remote : f->local;
}

static struct rdma_place target_of(const struct rdma_flight *f)
{
    return f->op == TRACE_RDMA_READ ? f->local : f->remote;
}

static bool meet(const struct rdma_place *a, const struct rdma_place *b, uint64_t a_bytes,
                 uint64_t b_bytes)
{
    return a->end->host == b->end->host && a->address < b->address + b_bytes
           && b->address < a->address + a_bytes;
}

/* Between two processes of one host a message may lie on itself: what arrives then depends
 * on the order of its pieces. */
static bool is_compared(const struct rdma_flight *f)
{
    const struct rdma_place from = source_of(f), to = target_of(f);
    return moves(f) && !meet(&from, &to, f->bytes, f->bytes);
}

/* What one of them writes, the other uses. */
static bool overlaps(const struct rdma_flight *f, const struct rdma_flight *g)
{
    const struct rdma_place fs = source_of(f), ft = target_of(f);
    const struct rdma_place gs = source_of(g), gt = target_of(g);
    return meet(&ft, &gt, f->bytes, g->bytes) || meet(&ft, &gs, f->bytes, g->bytes)
           || meet(&fs, &gt, f->bytes, g->bytes) || meet(&fs, &gs, f->bytes, g->bytes);
}

/* An atomic is not compared, but it writes: its operand there, what it found here. */
static bool not_held(const struct rdma_replay_cpu *c, const void *of)
{
    const struct rdma_flight *f = of;
    for (const struct rdma_flight *g = c->replay->flying; g != NULL; g = g->next)
        if (g != f && g->begun && g->bytes > 0 && (moves(f) || moves(g)) && overlaps(f, g))
            return false;
    return true;
}

static void prepare(struct rdma_replay *r, struct rdma_replay_cpu *c, struct rdma_flight *f)
{
    if (!r->config.check || f->bytes == 0)
        return;
    r->stats.held += !not_held(c, f);
    wait_for(c, not_held, f);
    const struct rdma_place from = source_of(f);
    if (moves(f))
        each_page(from.end->host, f, from.address, true);
}

/* The peer's last writes may still be on their way to its memory. */
static void compare(struct rdma_replay *r, struct rdma_replay_cpu *c, struct rdma_flight *f)
{
    const struct rdma_place to = target_of(f);
    bool same                  = each_page(to.end->host, f, to.address, false);
    for (unsigned i = 0; !same && i < CHECKS; i++) {
        const sim_time_t until = c->cpu->time + CHECK_EVERY;
        while (c->cpu->time < until)
            pause_until(c, until);
        same = each_page(to.end->host, f, to.address, false);
    }
    r->stats.compared += f->bytes;
    r->stats.mismatched += !same;
    if (same || r->broken)
        return;
    r->broken = r->faulty = true;
    error_set(&r->error,
              "record %" PRIu64 ": what was sent has not arrived at 0x%" PRIx64
              " of host %u",
              f->index, to.address, to.end->host->id);
}

/* ---- Completions
 * ------------------------------------------------------------------------------------ */

static void queue_release(struct rdma_region *region)
{
    struct rdma_replay_cpu *c = region->cpu;
    region->leaving           = true;
    region->next_release      = c->release;
    c->release                = region;
}

static void unuse(struct rdma_replay *r, struct rdma_region *region)
{
    if (region == NULL)
        return;
    CHECK(region->users > 0);
    region->users--;
    if (region->users == 0 && region->once)
        queue_release(region);
    (void)r;
}

/* Two completions make a send: its own and the receive's. */
static void flight_part_done(struct rdma_replay *r, struct rdma_flight *f, uint8_t status)
{
    f->failed |= status != RDMA_SUCCESS;
    if (f->failed && !r->broken) { /* What comes behind it is of no use any more. */
        r->broken = r->faulty = true;
        error_set(&r->error, "record %" PRIu64 ": %s ended with status %u", f->index,
                  trace_op_name(f->op), status);
    }
    if (--f->parts > 0)
        return;
    f->done = true;
    f->cpu->done++;
    rdma_turn_over(r, f->local.end, f->turn, false);
    if (f->turn == 0)
        histogram_record(&r->latency_ns, (cpu_this()->time - f->posted_at) / TIME_NS);
    changed(r);
}

/* There is room for one more. */
static void received(struct rdma_replay *r, struct rdma_flight *f)
{
    struct rdma_end *e = f->remote.end;
    e->receives_done++;
    rdma_plan_receiving(e);
    rdma_turn_over(r, e, f->turn, true);
}

static void on_completion(void *self, const struct verbs_wc *wc)
{
    struct rdma_replay *r = self;
    const uint64_t tag    = wc->context;
    void *of              = (void *)(uintptr_t)(tag & ~UINT64_C(7));
    switch (tag & 7) {
    case RDMA_TAG_FLIGHT:
        if (wc->opcode == RDMA_RECEIVE)
            received(r, of);
        flight_part_done(r, of, wc->status);
        return;
    case RDMA_TAG_REGISTERED:
        ((struct rdma_region *)of)->ready = true;
        break;
    default:
        rdma_plan_invalidated(r, of);
    }
    if (wc->status != RDMA_SUCCESS && !r->broken) {
        r->broken = r->faulty = true;
        error_set(&r->error, "a region could not be registered or invalidated: status %u",
                  wc->status);
    }
    changed(r);
}

/* Something was posted that will complete to the queue of the end's CPU. */
static void expect_completion(struct rdma_replay *r, const struct rdma_end *e)
{
    e->cpu->expected += r->turns;
}

/* One look at the completion queue. */
static void spin(struct rdma_replay_cpu *c)
{
    struct verbs_wc wc;
    if (!verbs_poll_cq(c->host->cq[c->id], &wc)) {
        cpu_relax(c->cpu);
        return;
    }
    c->expected--;
    on_completion(c->replay, &wc);
    (void)post_receives(c);
}

/* Completions are lost: whoever waits for them would do so forever. */
static void on_error(void *self, uint32_t event, uint32_t number)
{
    struct rdma_replay *r = self;
    if (event != RDMA_EVENT_CQ_ERROR || r->broken)
        return;
    r->broken = r->faulty = true;
    error_set(&r->error, "completion queue %u overflowed", number);
    changed(r);
}

/* Takes the flight apart, on the CPU that posted it. */
static void flight_over(struct rdma_replay_cpu *c, struct rdma_flight *f)
{
    struct rdma_replay *r = c->replay;
    if (r->config.check && is_compared(f) && !f->failed)
        compare(r, c, f);
    struct rdma_flight **link = &r->flying;
    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
    r->flying_count--;
    r->stats.record++;
    r->stats.message++;
    r->stats.failed += f->failed;
    r->stats.bytes += f->failed ? 0 : f->bytes;
    unuse(r, f->local.region);
    unuse(r, f->remote.region);
    c->outstanding--;
    f->next        = r->free_flight;
    r->free_flight = f;
    changed(r);
}

static bool reap(struct rdma_replay_cpu *c)
{
    bool any = false;
    while (c->done > 0) {
        struct rdma_flight *f = c->replay->flying;
        while (!f->done || f->cpu != c || f->reaped)
            f = f->next;
        f->reaped = true;
        c->done--;
        flight_over(c, f);
        any = true;
    }
    return any;
}

/* ---- Steps
 * --------------------------------------------------------------------------------------------
 */

static void create(struct rdma_replay_cpu *c, struct rdma_end *e)
{
    struct verbs_device *d = c->host->verbs;
    struct verbs_cq *cq    = c->host->cq[c->id];
    e->cpu                 = c;
    e->qp                  = verbs_create_qp(d, RDMA_RC, c->host->pd, cq, cq, NULL);
    if (e->qp == NULL && !c->replay->broken) {
        c->replay->broken = true;
        error_set(&c->replay->error,
                  "rdma.qps, rdma.cqs: expected more than the trace has queue pairs on a "
                  "host");
    }
}

static bool is_created(const struct rdma_replay_cpu *c, const void *of)
{
    const struct rdma_end *e = of;
    (void)c;
    return e->qp != NULL;
}

static bool is_connected(const struct rdma_replay_cpu *c, const void *of)
{
    const struct rdma_end *e = of;
    (void)c;
    return e->connected;
}

/* The send queue has room: all that was posted to it has completed, at the latest. */
static bool has_room(const struct rdma_replay_cpu *c, const void *of)
{
    const struct rdma_end *e = of;
    (void)c;
    return e->qp->ring.posted - e->qp->ring.completed < e->qp->ring.entries;
}

static void connect_end(struct rdma_replay_cpu *c, struct rdma_end *e)
{
    wait_for(c, is_created, e->peer);
    if (stopped(c->replay))
        return;
    const uint32_t error = verbs_connect_qp(e->qp, e->peer->host->id, e->peer->qp->id, 0);
    CHECK(error == RDMA_CMD_OK);
    e->connected = true;
}

static void no_region(struct rdma_replay *r, int error)
{
    if (!r->broken && error == -ENOSPC)
        error_set(&r->error,
                  "a region could not be registered: expected at most %u at a time on a "
                  "host (verbs.keys_lg2, rdma.mpt_lg2)",
                  verbs_keys(r->host[0].verbs));
    else if (!r->broken && error == -ENOMEM)
        error_set(&r->error,
                  "a region could not be registered: no more addresses or memory");
    else if (!r->broken)
        error_set(&r->error, "a region could not be mapped: error %d", -error);
    r->broken = true;
}

/* By work request: the page list is written, then the NIC told in the order of the queue.
 */
static void register_fast(struct rdma_replay_cpu *c, struct rdma_region *g)
{
    struct rdma_replay *r = c->replay;
    wait_for(c, is_connected, g->end);
    if (stopped(r))
        return;
    int error = 0;
    g->mr     = rdma_plan_take_mr(c->host, g->bytes, &error);
    if (g->mr != NULL)
        error = verbs_map_fast(g->mr, &c->host->space, g->address, g->bytes, rights);
    if (error != 0) {
        no_region(r, error);
        return;
    }
    const struct verbs_wr wr = { .opcode  = RDMA_REG_MR,
                                 .flags   = RDMA_FLAG_SIGNALED,
                                 .context = (uintptr_t)g | RDMA_TAG_REGISTERED,
                                 .region  = g->mr };
    while (verbs_post_send(g->end->qp, &wr) != 0 && !stopped(r))
        wait_for(c, has_room, g->end);
    expect_completion(r, g->end);
    g->posted = true;
}

static void register_region(struct rdma_replay_cpu *c, struct rdma_region *g)
{
    const bool demand = c->replay->config.registration == registrations[1];
    int error         = 0;
    if (g->fast) {
        register_fast(c, g);
        return;
    }
    if (demand)
        g->mr = verbs_reg_mr(c->host->verbs, c->host->pd, &c->host->space, g->address,
                             g->bytes, rights | RDMA_ON_DEMAND, &error);
    if (!demand || error == -EOPNOTSUPP) /* As user space does then. */
        g->mr = verbs_reg_mr(c->host->verbs, c->host->pd, &c->host->space, g->address,
                             g->bytes, rights, &error);
    if (g->mr == NULL)
        no_region(c->replay, error);
    g->posted = g->ready = true;
}

static void release_region(struct rdma_replay_cpu *c, struct rdma_region *g)
{
    if (g->mr == NULL) {
        rdma_plan_released(c->replay, g);
        return;
    }
    if (!g->fast) {
        verbs_dereg_mr(g->mr);
        rdma_plan_released(c->replay, g);
        return;
    }
    const struct verbs_wr wr = { .opcode    = RDMA_LOCAL_INV,
                                 .flags     = RDMA_FLAG_SIGNALED,
                                 .context   = (uintptr_t)g | RDMA_TAG_INVALIDATED,
                                 .immediate = g->mr->key };
    while (verbs_post_send(g->end->qp, &wr) != 0 && !stopped(c->replay)) {
        cpu_wait(c->cpu, c->cpu->time + TIME_US); /* A full queue empties by itself. */
        verbs_serve(c->host->verbs);
    }
    expect_completion(c->replay, g->end);
}

static void release_now(struct rdma_replay_cpu *c)
{
    while (c->release != NULL) {
        struct rdma_region *g = c->release;
        c->release            = g->next_release;
        release_region(c, g);
    }
}

static bool is_unused(const struct rdma_replay_cpu *c, const void *of)
{
    const struct rdma_region *g = of;
    (void)c;
    return g->users == 0 && g->ready;
}

static void release(struct rdma_replay_cpu *c, struct rdma_region *g)
{
    wait_for(c, is_unused, g);
    if (!stopped(c->replay))
        release_region(c, g);
}

static void post_receive(struct rdma_replay_cpu *c, struct rdma_end *e)
{
    struct rdma_flight *f     = e->receive_first;
    const struct rdma_sge sge = { (uint32_t)f->bytes, f->remote.region->mr->key,
                                  f->remote.address };
    e->receive_first          = f->next_receive;
    CHECK(verbs_post_receive(e->qp->rq, &sge, 1, (uintptr_t)f | RDMA_TAG_FLIGHT) == 0);
    expect_completion(c->replay, e);
    e->receives_posted++;
}

/* Whatever this CPU's ends may post now; true: something. Interrupts and other CPUs put
 * ends into the list meanwhile, but none twice. */
static bool post_receives(struct rdma_replay_cpu *c)
{
    struct rdma_end *later = NULL;
    bool any               = false;
    while (c->receiving != NULL) {
        struct rdma_end *e = c->receiving;
        c->receiving       = e->next_receiving;
        for (; may_receive(e) && !stopped(c->replay); any = true)
            post_receive(c, e);
        e->receiving = e->receive_first != NULL && !rdma_receives_full(e);
        if (!e->receiving)
            continue;
        e->next_receiving = later;
        later             = e;
    }
    while (later != NULL) {
        struct rdma_end *e = later;
        later              = e->next_receiving;
        e->next_receiving  = c->receiving;
        c->receiving       = e;
    }
    if (any)
        changed(c->replay);
    return any;
}

static bool may_post(const struct rdma_replay_cpu *c, const void *of)
{
    const struct rdma_flight *f = of;
    const struct rdma_end *e    = f->local.end;
    return c->outstanding < f->depth && e->connected && e->peer->connected
           && f->local.region->posted && f->remote.region->ready
           && e->peer->receives_posted >= f->receive_number
           && (f->op != TRACE_RDMA_SEND || e->sends_posted + 1 == f->receive_number);
}

/* Until it is this message's turn. The pages that it needs are served meanwhile. */
static void await_turn(struct rdma_replay_cpu *c, const struct rdma_flight *f)
{
    while (!stopped(c->replay) && !rdma_turn_has_come(c, f))
        if (!reap(c) && !verbs_serve(c->host->verbs))
            spin(c);
}

static struct verbs_wr request_of(const struct rdma_flight *f, const struct rdma_sge *sge)
{
    static const uint8_t opcode[] = { [TRACE_RDMA_SEND]   = RDMA_SEND,
                                      [TRACE_RDMA_WRITE]  = RDMA_WRITE,
                                      [TRACE_RDMA_READ]   = RDMA_READ,
                                      [TRACE_RDMA_ATOMIC] = RDMA_FETCH_ADD };
    return (struct verbs_wr){ .opcode   = opcode[f->op],
                              .flags    = RDMA_FLAG_SIGNALED,
                              .context  = (uintptr_t)f | RDMA_TAG_FLIGHT,
                              .sge      = sge,
                              .sges     = f->bytes > 0,
                              .address  = f->remote.address,
                              .key      = f->remote.region->mr->key,
                              .swap_add = 1 };
}

static void post(struct rdma_replay_cpu *c, struct rdma_flight *f)
{
    struct rdma_replay *r = c->replay;
    uint8_t data[RDMA_WQE_BYTES];
    wait_for(c, may_post, f);
    await_turn(c, f);
    prepare(r, c, f);
    if (stopped(r))
        return;
    rdma_turn_write_mark(c, f);
    const struct rdma_sge sge = { (uint32_t)f->bytes, f->local.region->mr->key,
                                  f->local.address };
    struct verbs_wr wr        = request_of(f, &sge);
    if (rdma_turn_inline(c, f, data)) {
        wr.flags |= RDMA_FLAG_INLINE;
        wr.sges  = 0;
        wr.data  = data;
        wr.bytes = (uint32_t)f->bytes;
    }
    f->local.end->turn_posted_at = c->cpu->time;
    f->cpu                       = c;
    f->posted_at                 = c->cpu->time;
    f->begun                     = true;
    c->outstanding++;
    while (verbs_post_send(f->local.end->qp, &wr) != 0 && !stopped(r))
        wait_for(c, has_room, f->local.end);
    expect_completion(r, f->local.end);
    f->local.end->sends_posted += f->op == TRACE_RDMA_SEND;
}

static void perform(struct rdma_replay_cpu *c, const struct rdma_step *s)
{
    switch (s->kind) {
    case RDMA_STEP_CREATE:
        create(c, s->end);
        break;
    case RDMA_STEP_CONNECT:
        connect_end(c, s->end);
        break;
    case RDMA_STEP_REGISTER:
        register_region(c, s->region);
        break;
    case RDMA_STEP_RELEASE:
        release(c, s->region);
        break;
    default:
        post(c, s->flight);
    }
    cpu_sync(c->cpu);
    changed(c->replay);
    (void)post_receives(c);
}

/* ---- The program
 * -----------------------------------------------------------------------------------------
 */

static bool room_for_a_record(const struct rdma_replay_cpu *of, const void *none)
{
    const struct rdma_replay *r = of->replay;
    (void)none;
    for (unsigned i = 0; i < r->config.hosts; i++)
        for (unsigned k = 0; k < r->cpus; k++)
            if (rdma_step_ring_count(&r->host[i].cpu[k].waiting) + RDMA_STEPS_MAX
                > r->config.window)
                return false;
    return r->free_flight != NULL;
}

static bool has_step_or_room(const struct rdma_replay_cpu *c, const void *none)
{
    return !rdma_step_ring_empty(&c->waiting) || room_for_a_record(c, none);
}

/* As far as there have to be receives: those of both ends of one queue pair. */
static void read_ahead(struct rdma_replay_cpu *c)
{
    struct rdma_replay *r = c->replay;
    const uint32_t ring   = c->host->verbs->config.queue_entries;
    const uint32_t ahead =
        r->config.receives_ahead < ring ? r->config.receives_ahead : ring;
    bool any = false;
    while (r->sends && !stopped(r) && r->flying_count < 2 * ahead
           && room_for_a_record(c, NULL) && rdma_plan_read(r))
        any = true;
    if (any)
        changed(r);
}

/* The next step of this CPU; false: there is none any more. */
static bool next_step(struct rdma_replay_cpu *c, struct rdma_step *s)
{
    struct rdma_replay *r = c->replay;
    cpu_sync(c->cpu);
    while (!stopped(r) && rdma_step_ring_empty(&c->waiting)) {
        wait_for(c, has_step_or_room, NULL);
        if (!rdma_step_ring_empty(&c->waiting))
            break;
        if (stopped(r) || !rdma_plan_read(r))
            return false;
        changed(r);
    }
    read_ahead(c);
    if (stopped(r))
        return false;
    *s = *rdma_step_ring_front(&c->waiting);
    rdma_step_ring_pop(&c->waiting);
    return true;
}

static bool all_is_over(const struct rdma_replay_cpu *c, const void *none)
{
    const struct rdma_replay *r = c->replay;
    (void)none;
    return r->flying == NULL && r->finished == r->cpus * r->config.hosts;
}

static bool has_left(const struct rdma_replay_cpu *c, const void *of)
{
    return c->host->regions != of;
}

/* What no record has released. */
static void release_rest(struct rdma_replay_cpu *c)
{
    while (!stopped(c->replay) && c->host->regions != NULL) {
        struct rdma_region *g = c->host->regions;
        if (g->leaving) {
            wait_for(c, has_left, g); /* Its invalidation is under way. */
        } else {
            g->leaving = true;
            release(c, g);
        }
    }
}

void rdma_replay_run(struct rdma_replay *r, unsigned host, unsigned cpu)
{
    struct rdma_replay_cpu *c = &r->host[host].cpu[cpu];
    struct rdma_step s;
    while (next_step(c, &s)) {
        perform(c, &s);
        release_now(c);
    }
    r->finished++;
    changed(r);
    wait_for(c, all_is_over, NULL);
    release_now(c);
    if (cpu == 0)
        release_rest(c);
}

/* ---- Before and after
 * ------------------------------------------------------------------------------------- */

void rdma_replay_set_up(struct rdma_replay *r, unsigned host)
{
    struct rdma_replay_host *h = &r->host[host];
    h->pd                      = verbs_alloc_pd(h->verbs);
    h->verbs->on_error         = on_error;
    h->verbs->on_error_self    = r;
    for (unsigned i = 0; i < r->cpus; i++) {
        h->cq[i] =
            verbs_create_cq(h->verbs, CQ_ENTRIES, i, r->turns ? NULL : on_completion, r);
        if (h->cq[i] != NULL || r->broken)
            continue;
        r->broken = true;
        error_set(&r->error, "rdma.cqs: expected at least %u, one for each CPU of a host",
                  r->cpus);
    }
}

void rdma_replay_take_down(struct rdma_replay *r, unsigned host)
{
    struct rdma_replay_host *h = &r->host[host];
    for (struct rdma_end *e = r->ends; e != NULL; e = e->next)
        if (e->host == h && e->qp != NULL) {
            verbs_destroy_qp(e->qp);
            e->qp = NULL;
        }
    rdma_plan_free_mrs(h);
    for (unsigned i = 0; i < r->cpus; i++)
        verbs_destroy_cq(h->cq[i]);
}
