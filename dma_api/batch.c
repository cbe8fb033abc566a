/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch - rings of ranges that wait for a flush.
 *
 * Inaccuracies: the timer is exact; Linux rounds it up to a jiffy. A ring that is full of
 * ranges which a flush under way elsewhere began too early to cover waits for that flush;
 * Linux loses them.
 */
#include "dma_api/batch.h"

#include "dma_api/domain.h"
#include "sim/base/lg2.h"

struct waiting {
    struct flush_range range;
    uint64_t stamp;
    struct line line;
};

struct waiting_ring {
    struct lock lock;
    uint32_t head, tail;
    uint64_t bytes; /* Of the ranges in it. */
    struct waiting *entry;
};

/* A range whose flush was posted. */
struct posted {
    struct flush_range range;
    uint64_t ticket;
};

/* Parked for good: nothing is flushed until addresses run out. */
struct parked {
    struct flush_range range;
    struct parked *next;
};

struct batch {
    struct flush_rules rules;
    struct dma_domain *domain;
    struct waiting_ring *ring;
    unsigned rings;
    uint64_t started, finished;
    struct line counters, timer_line;
    bool timer_on;
    struct cpu_timer timer;

    struct lock post_lock;
    struct posted posted[BATCH_POSTED_MAX];
    uint32_t posted_first, posted_count;

    struct lock park_lock;
    struct parked *parked;
    bool recycled; /* Addresses were released without a flush. */
};

enum { POST_TIMEOUT_US = 50 }; /* When nobody unmaps, somebody must see that it is over. */

/* ---- The ring ------------------------------------------------------------------------ */

static uint32_t after(const struct batch *b, uint32_t index)
{
    return (index + 1) & (b->rules.ring_entries - 1);
}

static bool full(const struct batch *b, const struct waiting_ring *ring)
{
    return after(b, ring->tail) == ring->head;
}

static uint32_t ranges_in(const struct batch *b, const struct waiting_ring *ring)
{
    return (ring->tail - ring->head) & (b->rules.ring_entries - 1);
}

static void release(struct batch *b, struct flush_range *range)
{
    if (b->rules.hold)
        domain_reusable(b->domain, range);
    domain_release(b->domain, range);
}

static void pop(struct batch *b, struct waiting_ring *ring)
{
    struct cpu *cpu   = cpu_this();
    struct waiting *w = &ring->entry[ring->head];
    cpu_load(cpu, &w->line);
    cpu_spend(cpu, b->domain->kernel->cost.flush_queue_cycles);
    ring->bytes -= w->range.bytes;
    release(b, &w->range);
    ring->head = after(b, ring->head);
}

/* Releases what an earlier flush has covered. The ring is locked. */
static void release_covered(struct batch *b, struct waiting_ring *ring)
{
    struct cpu *cpu = cpu_this();
    cpu_load(cpu, &b->counters);
    const uint64_t finished = b->finished;
    while (ring->head != ring->tail && ring->entry[ring->head].stamp < finished)
        pop(b, ring);
}

/* ---- Flushes ------------------------------------------------------------------------- */

/* One flush covers everything that waits. */
static bool covers_all(const struct batch *b)
{
    return b->rules.grain == GRAIN_domain || b->rules.grain == GRAIN_global;
}

static void flush_everything(struct batch *b)
{
    struct cpu *cpu = cpu_this();
    cpu_atomic(cpu, &b->counters);
    b->started++;
    domain_flush_all(b->domain);
    cpu_atomic(cpu, &b->counters);
    b->finished++;
}

/* Invalidates exactly what waits in the ring, which is locked, and releases it. */
static void flush_listed(struct batch *b, struct waiting_ring *ring)
{
    while (ring->head != ring->tail) {
        struct flush_span span[FLUSH_SPANS_MAX];
        bool tables   = false;
        unsigned n    = 0;
        uint32_t next = ring->head;
        for (; next != ring->tail && n < FLUSH_SPANS_MAX; next = after(b, next)) {
            const struct flush_range *r = &ring->entry[next].range;
            span[n++] = (struct flush_span){ r->iova, r->iova + r->bytes - 1, r->leaf_lg2 };
            tables |= r->tables.first != NULL;
        }
        domain_flush_spans(b->domain, span, n, tables);
        while (n-- > 0)
            pop(b, ring);
    }
}

/* Whatever waits in this ring goes; it is locked. */
static void flush_ring(struct batch *b, struct waiting_ring *ring)
{
    if (!covers_all(b)) {
        flush_listed(b, ring);
        return;
    }
    flush_everything(b);
    release_covered(b, ring);
}

/* ---- The timer ----------------------------------------------------------------------- */

static void release_all(struct batch *b)
{
    struct cpu *cpu = cpu_this();
    for (unsigned i = 0; i < b->rings; i++) {
        lock_take(cpu, &b->ring[i].lock);
        if (covers_all(b))
            release_covered(b, &b->ring[i]);
        else
            flush_listed(b, &b->ring[i]);
        lock_release(cpu, &b->ring[i].lock);
    }
}

static void expire(struct batch *b, enum flush_stage stage)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_phase phase = cpu_enter_phase(cpu, PHASE_deferred);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    if (stage == FLUSH_INVALIDATE) {
        cpu_store(cpu, &b->timer_line);
        b->timer_on = false;
        b->domain->kernel->stats.flush_timer++;
        if (covers_all(b))
            flush_everything(b);
    } else {
        release_all(b);
    }
    cpu_own(cpu, owner);
    cpu_enter_phase(cpu, phase);
}

static void arm_timer(struct batch *b, sim_time_t in)
{
    struct cpu *cpu = cpu_this();
    cpu_load(cpu, &b->timer_line);
    if (b->timer_on)
        return;
    cpu_atomic(cpu, &b->timer_line);
    if (b->timer_on) /* Another CPU was faster. */
        return;
    b->timer_on = true;
    cpu_timer_arm(cpu, &b->timer, cpu->time + in);
}

/* ---- Posted flushes ------------------------------------------------------------------ */

/* Releases those that are over, oldest first; the list is locked. */
static void harvest(struct batch *b)
{
    const struct dma_domain *d = b->domain;
    while (b->posted_count > 0) {
        struct posted *p = &b->posted[b->posted_first];
        if (!d->backend->posted_done(d->backend_state, p->ticket))
            return;
        b->posted_first = (b->posted_first + 1) % BATCH_POSTED_MAX;
        b->posted_count--;
        release(b, &p->range);
    }
}

static void post(struct batch *b, struct flush_range *range)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    lock_take(cpu, &b->post_lock);
    harvest(b);
    while (b->posted_count == BATCH_POSTED_MAX) {
        cpu_relax(cpu);
        harvest(b);
    }
    const unsigned last = (b->posted_first + b->posted_count) % BATCH_POSTED_MAX;
    b->posted[last]     = (struct posted){ *range, domain_post(b->domain, range) };
    b->posted_count++;
    domain_give_back_held(b->domain, range);
    b->domain->kernel->stats.deferred++;
    lock_release(cpu, &b->post_lock);
    arm_timer(b, POST_TIMEOUT_US * TIME_US);
    cpu_own(cpu, owner);
}

static void harvest_late(struct batch *b)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_phase phase = cpu_enter_phase(cpu, PHASE_deferred);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    cpu_store(cpu, &b->timer_line);
    b->timer_on = false;
    lock_take(cpu, &b->post_lock);
    harvest(b);
    const bool more = b->posted_count > 0;
    lock_release(cpu, &b->post_lock);
    if (more)
        arm_timer(b, POST_TIMEOUT_US * TIME_US);
    cpu_own(cpu, owner);
    cpu_enter_phase(cpu, phase);
}

static void timer_fired(void *arg)
{
    struct batch *b = arg;
    if (b->rules.post) {
        harvest_late(b);
        return;
    }
    expire(b, FLUSH_INVALIDATE);
    expire(b, FLUSH_RELEASE);
}

/* ---- Never --------------------------------------------------------------------------- */

static void park(struct batch *b, const struct flush_range *range)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    struct parked *p           = kernel_host_alloc(b->domain->kernel, 1, sizeof *p);
    lock_take(cpu, &b->park_lock);
    cpu_spend(cpu, b->domain->kernel->cost.flush_queue_cycles);
    *p        = (struct parked){ *range, b->parked };
    b->parked = p;
    domain_give_back(b->domain, range);
    b->domain->kernel->stats.deferred++;
    lock_release(cpu, &b->park_lock);
    cpu_own(cpu, owner);
}

bool batch_make_room(struct batch *b)
{
    struct cpu *cpu = cpu_this();
    lock_take(cpu, &b->park_lock);
    struct parked *list = b->parked;
    b->parked           = NULL;
    b->recycled |= list != NULL;
    lock_release(cpu, &b->park_lock);
    const bool some = list != NULL;
    while (list != NULL) {
        struct parked *p = list;
        list             = p->next;
        domain_release(b->domain, &p->range);
        kernel_host_free(b->domain->kernel, p);
    }
    return some;
}

void batch_reused(struct batch *b)
{
    if (!b->recycled)
        return;
    b->recycled = false;
    domain_flush_all(b->domain);
}

/* ---- Unmap --------------------------------------------------------------------------- */

static void append(struct batch *b, struct waiting_ring *ring,
                   const struct flush_range *range)
{
    struct cpu *cpu   = cpu_this();
    struct waiting *w = &ring->entry[ring->tail];
    cpu_store(cpu, &w->line);
    cpu_spend(cpu, b->domain->kernel->cost.flush_queue_cycles);
    w->range   = *range;
    w->stamp   = b->started;
    ring->tail = after(b, ring->tail);
    ring->bytes += range->bytes;
}

static bool at_limit(const struct batch *b, const struct waiting_ring *ring)
{
    return (b->rules.every != 0 && ranges_in(b, ring) >= b->rules.every)
           || (b->rules.bytes != 0 && ring->bytes >= b->rules.bytes);
}

/* With the range there would be more bytes in the ring than there may be. */
static bool would_exceed(const struct batch *b, const struct waiting_ring *ring,
                         const struct flush_range *range)
{
    return b->rules.bytes != 0 && ring->bytes != 0
           && ring->bytes + range->bytes > b->rules.bytes;
}

static struct waiting_ring *ring_of_cpu(struct batch *b)
{
    return &b->ring[b->rings == 1 ? 0 : cpu_this()->id];
}

static void wait_in_ring(struct batch *b, struct flush_range *range)
{
    struct dma_domain *d       = b->domain;
    struct cpu *cpu            = cpu_this();
    struct waiting_ring *ring  = ring_of_cpu(b);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    cpu_barrier(cpu); /* The cleared entries before the counter. */
    lock_take(cpu, &ring->lock);
    release_covered(b, ring);
    while (full(b, ring) || would_exceed(b, ring, range)) {
        d->kernel->stats.flush_full++;
        flush_ring(b, ring);
    }
    append(b, ring, range);
    if (b->rules.hold)
        domain_give_back_held(d, range);
    else
        domain_give_back(d, range); /* Nobody can release it while the ring is locked. */
    d->kernel->stats.deferred++;
    if (at_limit(b, ring)) {
        d->kernel->stats.flush_full++;
        flush_ring(b, ring);
    }
    lock_release(cpu, &ring->lock);
    if (b->rules.timeout_ps != 0)
        arm_timer(b, b->rules.timeout_ps);
    cpu_own(cpu, owner);
}

void batch_flush_now(struct batch *b, struct flush_range *range)
{
    domain_flush_range(b->domain,
                       range); /* Before the release: a reused address must miss. */
    domain_give_back(b->domain, range);
    domain_release(b->domain, range);
}

void batch_unmap(struct batch *b, struct flush_range *range)
{
    switch (b->rules.batch) {
    case BATCH_each:
        if (b->rules.post)
            post(b, range);
        else
            batch_flush_now(b, range);
        return;
    case BATCH_never:
        park(b, range);
        return;
    case BATCH_cpu:
    case BATCH_domain:
    case BATCH_driver:
        wait_in_ring(b, range);
        return;
    case BATCHES:
        break;
    }
    UNREACHABLE("ranges are flushed in one of these ways");
}

void batch_driver_done(struct batch *b)
{
    struct cpu *cpu = cpu_this();
    if (b->rules.batch != BATCH_driver)
        return;
    struct waiting_ring *ring  = ring_of_cpu(b);
    const enum cpu_phase phase = cpu_enter_phase(cpu, PHASE_unmap);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    lock_take(cpu, &ring->lock);
    if (ring->head != ring->tail)
        flush_ring(b, ring);
    lock_release(cpu, &ring->lock);
    cpu_own(cpu, owner);
    cpu_enter_phase(cpu, phase);
}

void batch_expire(struct batch *b, enum flush_stage stage)
{
    struct cpu *cpu = cpu_this();
    if (b->ring == NULL)
        return;
    cpu_irq_disable(cpu); /* As in the timer's interrupt. */
    if (stage == FLUSH_INVALIDATE)
        cpu_timer_cancel(&b->timer);
    expire(b, stage);
    cpu_irq_enable(cpu);
}

bool batch_ring_is_locked(const struct batch *b, unsigned cpu)
{
    return b->ring != NULL && b->ring[b->rings == 1 ? 0 : cpu].lock.holder != NULL;
}

/* ---- Life ---------------------------------------------------------------------------- */

static bool has_rings(const struct flush_rules *rules)
{
    return rules->batch == BATCH_cpu || rules->batch == BATCH_domain
           || rules->batch == BATCH_driver;
}

struct batch *batch_new(struct dma_domain *d, const struct flush_rules *rules)
{
    struct kernel *k = d->kernel;
    struct batch *b  = kernel_host_alloc(k, 1, sizeof *b);
    b->rules         = *rules;
    b->domain        = d;
    b->timer         = (struct cpu_timer){ .fire = timer_fired, .arg = b };
    b->rules.post &= d->backend->post != NULL;
    if (!has_rings(rules))
        return b;
    CHECK(is_pow2(rules->ring_entries) && rules->ring_entries > 1);
    b->rings = rules->batch == BATCH_domain ? 1 : k->cpus;
    b->ring  = kernel_host_alloc(k, b->rings, sizeof *b->ring);
    for (unsigned i = 0; i < b->rings; i++)
        b->ring[i].entry =
            kernel_host_alloc(k, rules->ring_entries, sizeof *b->ring[i].entry);
    return b;
}

static void free_rings(struct batch *b)
{
    if (covers_all(b))
        flush_everything(b);
    release_all(b);
    for (unsigned i = 0; i < b->rings; i++) {
        CHECK(b->ring[i].head == b->ring[i].tail);
        kernel_host_free(b->domain->kernel, b->ring[i].entry);
    }
    kernel_host_free(b->domain->kernel, b->ring);
}

void batch_free(struct batch *b)
{
    struct cpu *cpu = cpu_this();
    cpu_timer_cancel(&b->timer);
    if (b->parked != NULL)
        domain_flush_all(b->domain);
    batch_make_room(b);
    lock_take(cpu, &b->post_lock);
    while (b->posted_count > 0) {
        harvest(b);
        cpu_relax(cpu);
    }
    lock_release(cpu, &b->post_lock);
    if (b->ring != NULL)
        free_rings(b);
    kernel_host_free(b->domain->kernel, b);
}

/* ---- What it promises ---------------------------------------------------------------- */

enum flush_promise flush_rules_promise(const struct flush_rules *r, uint64_t *bound)
{
    *bound = 0;
    if (r->batch == BATCH_never)
        return PROMISE_NONE;
    if (r->batch == BATCH_each) {
        *bound = r->post ? BATCH_POSTED_MAX : 0;
        return r->post ? PROMISE_BOUNDED_COUNT : PROMISE_NOTHING_STALE;
    }
    if (r->timeout_ps != 0) {
        *bound = r->timeout_ps;
        return PROMISE_BOUNDED_TIME;
    }
    /* Of a ring: who counts by CPU counts what one ring holds at most. */
    if (r->bytes != 0) {
        *bound = r->bytes;
        return PROMISE_BOUNDED_BYTES;
    }
    *bound = r->every != 0 ? r->every : r->ring_entries - 1;
    return PROMISE_BOUNDED_COUNT;
}
