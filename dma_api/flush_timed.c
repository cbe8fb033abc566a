/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_timed - cached translations expire; nobody ever invalidates one.
 *
 * An unmap only waits, with its addresses, until whatever the IOMMU may have cached of it
 * is over. A translation that is still needed when it expires is walked for again. Page
 * tables stay, as nothing would drop the pointers to them.
 */
#include "dma_api/domain.h"
#include "dma_api/extension.h"

struct timed_range {
    struct flush_range range;
    sim_time_t due;
    struct line line;
};

struct timed {
    struct dma_domain *domain;
    sim_time_t wait; /* From the unmap until nothing of it is cached. */
    struct lock lock;
    struct timed_range *ring;
    uint32_t head, tail;
    bool timer_on;
    struct cpu_timer timer;
};

enum {
    TIMED_RING  = 1 << 16,
    TIMED_GRACE = 20, /* us: walks and DMA that were under way at the unmap. */
};

static void timed_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->keep_tables = true;
}

/* Releases what is due; the lock is held. */
static void release_due(struct timed *s)
{
    struct cpu *cpu = cpu_this();
    while (s->head != s->tail && s->ring[s->head % TIMED_RING].due <= cpu->time) {
        struct timed_range *r = &s->ring[s->head % TIMED_RING];
        cpu_load(cpu, &r->line);
        cpu_spend(cpu, s->domain->kernel->cost.flush_queue_cycles);
        domain_release(s->domain, &r->range);
        s->head++;
    }
}

/* The lock is held. */
static void arm(struct timed *s)
{
    struct cpu *cpu = cpu_this();
    if (s->timer_on || s->head == s->tail)
        return;
    const sim_time_t due = s->ring[s->head % TIMED_RING].due;
    s->timer_on          = true;
    cpu_timer_arm(cpu, &s->timer, due > cpu->time ? due : cpu->time);
}

static void timer_fired(void *arg)
{
    struct timed *s            = arg;
    struct cpu *cpu            = cpu_this();
    const enum cpu_phase phase = cpu_enter_phase(cpu, PHASE_deferred);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    lock_take(cpu, &s->lock);
    s->timer_on = false;
    release_due(s);
    arm(s);
    lock_release(cpu, &s->lock);
    cpu_own(cpu, owner);
    cpu_enter_phase(cpu, phase);
}

static void timed_init(struct dma_domain *d, void *state, const void *config)
{
    struct timed *s         = state;
    const uint64_t lifetime = ext_cap_lifetime(extension_capabilities(d->kernel));
    (void)config;
    CHECK(lifetime > 0);
    s->domain = d;
    s->wait   = lifetime * TIME_NS + TIMED_GRACE * TIME_US;
    s->timer  = (struct cpu_timer){ .fire = timer_fired, .arg = s };
    s->ring   = kernel_host_alloc(d->kernel, TIMED_RING, sizeof *s->ring);
}

static void timed_exit(struct dma_domain *d, void *state)
{
    struct timed *s = state;
    struct cpu *cpu = cpu_this();
    lock_take(cpu, &s->lock); /* The timer may be at work on another CPU. */
    cpu_timer_cancel(&s->timer);
    if (s->head != s->tail)
        domain_flush_all(d); /* Nobody waits for the end of time. */
    for (; s->head != s->tail; s->head++)
        domain_release(d, &s->ring[s->head % TIMED_RING].range);
    lock_release(cpu, &s->lock);
    kernel_host_free(d->kernel, s->ring);
}

static void timed_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    struct timed *s            = state;
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    lock_take(cpu, &s->lock);
    release_due(s);
    if (s->tail - s->head == TIMED_RING) {
        lock_release(cpu, &s->lock);
        batch_flush_now(d->batch, range);
        cpu_own(cpu, owner);
        return;
    }
    struct timed_range *r = &s->ring[s->tail % TIMED_RING];
    cpu_store(cpu, &r->line);
    cpu_spend(cpu, d->kernel->cost.flush_queue_cycles);
    r->range = *range;
    domain_give_back(d, range);
    r->due = cpu->time + s->wait;
    s->tail++;
    d->kernel->stats.deferred++;
    arm(s);
    lock_release(cpu, &s->lock);
    cpu_own(cpu, owner);
}

const struct flush_policy flush_timed = {
    .name        = "timed",
    .summary     = "Cached translations expire after a fixed time; no invalidation at all",
    .source      = "self-invalidating mappings (catalogue 38)",
    .promise     = PROMISE_BOUNDED_TIME,
    .needs       = EXT_CAP_LIFETIME,
    .translates  = true,
    .state_bytes = sizeof(struct timed),
    .init        = timed_init,
    .exit        = timed_exit,
    .rules       = timed_rules,
    .unmap       = timed_unmap,
};
