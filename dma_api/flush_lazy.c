/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_lazy - Linux's flush queue: unmap now, invalidate in bulk later.
 *
 * Each CPU has a ring of ranges whose entries are cleared but which may still be cached. A
 * range is stamped with the number of flushes that have been started and may be released
 * once more than that have finished, so that at least one began after it. A full ring
 * flushes the whole domain on the spot; otherwise a timer does, some time after the first
 * range. Between unmap and flush a device can still reach the pages.
 *
 * Follows queue_iova and fq_flush_timeout of drivers/iommu/dma-iommu.c (iommu.strict=0).
 * Inaccuracies: the timer is exact; Linux rounds it up to a jiffy. A ring that is full of
 * ranges which a flush under way elsewhere began too early to cover waits for that flush;
 * Linux loses them.
 */
#include "dma_api/domain.h"

/* clang-format off */
#define LAZY_PARAMS(P)                                                                              \
    P(u32, ring_entries,   256, 2,  65536, POW2, "ranges", "Ring of each CPU; one slot stays empty", \
      "IOVA_DEFAULT_FQ_SIZE, drivers/iommu/dma-iommu.c")                                            \
    P(u32, timeout_us,   10000, 1, 10000000, ANY, "us",    "From the first range to the timer",     \
      "IOVA_DEFAULT_FQ_TIMEOUT, drivers/iommu/dma-iommu.c")
/* clang-format on */

struct lazy_config {
    LAZY_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct lazy_config
static const struct param_def lazy_params[]      = { LAZY_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table lazy_param_table = { "lazy", "The flush queue", lazy_params,
                                                     sizeof(struct lazy_config), NULL };

struct lazy_entry {
    struct flush_range range;
    uint64_t stamp;
    struct line line;
};

struct lazy_ring {
    struct lock lock;
    uint32_t head, tail;
    struct lazy_entry *entry;
};

struct lazy {
    struct lazy_config config;
    struct dma_domain *domain;
    struct lazy_ring *ring; /* One for each CPU. */
    uint64_t started, finished;
    struct line counters, timer_line;
    bool timer_on;
    struct cpu_timer timer;
};

static uint32_t after(const struct lazy *q, uint32_t index)
{
    return (index + 1) & (q->config.ring_entries - 1);
}

static bool full(const struct lazy *q, const struct lazy_ring *ring)
{
    return after(q, ring->tail) == ring->head;
}

/* Releases what an earlier flush has covered. The ring is locked. */
static void release_covered(struct lazy *q, struct lazy_ring *ring)
{
    struct cpu *cpu = cpu_this();
    cpu_load(cpu, &q->counters);
    const uint64_t finished = q->finished;
    while (ring->head != ring->tail && ring->entry[ring->head].stamp < finished) {
        struct lazy_entry *e = &ring->entry[ring->head];
        cpu_load(cpu, &e->line);
        cpu_spend(cpu, q->domain->kernel->cost.flush_queue_cycles);
        domain_release(q->domain, &e->range);
        ring->head = after(q, ring->head);
    }
}

static void flush(struct lazy *q)
{
    struct cpu *cpu = cpu_this();
    cpu_atomic(cpu, &q->counters);
    q->started++;
    domain_flush_all(q->domain);
    cpu_atomic(cpu, &q->counters);
    q->finished++;
}

static void expire(struct lazy *q, enum flush_stage stage)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_phase phase = cpu_enter_phase(cpu, PHASE_deferred);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    if (stage == FLUSH_INVALIDATE) {
        cpu_store(cpu, &q->timer_line);
        q->timer_on = false;
        q->domain->kernel->stats.flush_timer++;
        flush(q);
    }
    for (unsigned i = 0; stage == FLUSH_RELEASE && i < q->domain->kernel->cpus; i++) {
        lock_take(cpu, &q->ring[i].lock);
        release_covered(q, &q->ring[i]);
        lock_release(cpu, &q->ring[i].lock);
    }
    cpu_own(cpu, owner);
    cpu_enter_phase(cpu, phase);
}

static void timer_fired(void *arg)
{
    expire(arg, FLUSH_INVALIDATE);
    expire(arg, FLUSH_RELEASE);
}

static void lazy_expire(struct dma_domain *d, void *state, enum flush_stage stage)
{
    struct lazy *q  = state;
    struct cpu *cpu = cpu_this();
    (void)d;
    cpu_irq_disable(cpu); /* As in the timer's interrupt. */
    if (stage == FLUSH_INVALIDATE)
        cpu_timer_cancel(&q->timer);
    expire(q, stage);
    cpu_irq_enable(cpu);
}

static void arm_timer(struct lazy *q)
{
    struct cpu *cpu = cpu_this();
    cpu_load(cpu, &q->timer_line);
    if (q->timer_on)
        return;
    cpu_atomic(cpu, &q->timer_line);
    if (q->timer_on) /* Another CPU was faster. */
        return;
    q->timer_on = true;
    cpu_timer_arm(cpu, &q->timer, cpu->time + q->config.timeout_us * TIME_US);
}

static void append(struct lazy *q, struct lazy_ring *ring, const struct flush_range *range)
{
    struct cpu *cpu      = cpu_this();
    struct lazy_entry *e = &ring->entry[ring->tail];
    cpu_store(cpu, &e->line);
    cpu_spend(cpu, q->domain->kernel->cost.flush_queue_cycles);
    e->range   = *range;
    e->stamp   = q->started;
    ring->tail = after(q, ring->tail);
}

static void lazy_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    struct lazy *q             = state;
    struct cpu *cpu            = cpu_this();
    struct lazy_ring *ring     = &q->ring[cpu->id];
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    cpu_barrier(cpu); /* The cleared entries before the counter. */
    lock_take(cpu, &ring->lock);
    release_covered(q, ring);
    while (full(q, ring)) {
        d->kernel->stats.flush_full++;
        flush(q);
        release_covered(q, ring);
    }
    append(q, ring, range);
    domain_give_back(d, range); /* Nobody can release it while the ring is locked. */
    d->kernel->stats.deferred++;
    lock_release(cpu, &ring->lock);
    arm_timer(q);
    cpu_own(cpu, owner);
}

static void lazy_init(struct dma_domain *d, void *state, const void *config)
{
    struct lazy *q = state;
    q->config      = *(const struct lazy_config *)config;
    q->domain      = d;
    q->timer       = (struct cpu_timer){ .fire = timer_fired, .arg = q };
    q->ring        = kernel_host_alloc(d->kernel, d->kernel->cpus, sizeof *q->ring);
    for (unsigned i = 0; i < d->kernel->cpus; i++)
        q->ring[i].entry =
            kernel_host_alloc(d->kernel, q->config.ring_entries, sizeof *q->ring[i].entry);
}

static void lazy_exit(struct dma_domain *d, void *state)
{
    struct lazy *q  = state;
    struct cpu *cpu = cpu_this();
    cpu_timer_cancel(&q->timer);
    flush(q);
    for (unsigned i = 0; i < d->kernel->cpus; i++) {
        lock_take(cpu, &q->ring[i].lock);
        release_covered(q, &q->ring[i]);
        CHECK(q->ring[i].head == q->ring[i].tail);
        lock_release(cpu, &q->ring[i].lock);
        kernel_host_free(d->kernel, q->ring[i].entry);
    }
    kernel_host_free(d->kernel, q->ring);
}

const struct flush_policy flush_lazy = {
    .name = "lazy",
    .summary =
        "Per-CPU flush queue: invalidate the domain when a ring is full or a timer fires",
    .source      = "Linux iommu.strict=0, drivers/iommu/dma-iommu.c",
    .promise     = PROMISE_BOUNDED_TIME,
    .translates  = true,
    .params      = &lazy_param_table,
    .state_bytes = sizeof(struct lazy),
    .init        = lazy_init,
    .exit        = lazy_exit,
    .unmap       = lazy_unmap,
    .expire      = lazy_expire,
};
