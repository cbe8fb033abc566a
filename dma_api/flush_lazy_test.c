/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { RING = 255 }; /* Ranges that fit: one of the 256 slots stays empty. */
#define TIMEOUT (10 * TIME_MS)

static dma_addr_t map(struct kernel_rig *r)
{
    return dma_map_phys(&r->device, 0x40000000, 4096, DMA_TO_DEVICE, 0);
}

static void unmap(struct kernel_rig *r, dma_addr_t iova)
{
    dma_unmap_phys(&r->device, iova, 4096, DMA_TO_DEVICE, 0);
}

static void churn(struct kernel_rig *r, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        unmap(r, map(r));
}

static uint64_t released(struct kernel_rig *r)
{
    return r->domain->iova.stats.release;
}

static unsigned flushes(struct kernel_rig *r)
{
    return kernel_rig_count(r, EVENT_FLUSH_ALL, 0);
}

/*
 * An address may come again only when a flush has ended that began after its unmap. The
 * events are in the order of simulated time. Returns how many came again.
 */
static unsigned expect_no_early_reuse(const struct kernel_rig *r)
{
    static unsigned back[1 << 20]; /* When a page was last given back, counted from 1. */
    unsigned began[RIG_CPUS_MAX] = { 0 }, covered = 0, early = 0, again = 0;
    EXPECT(r->events < RIG_EVENTS_MAX);
    memset(back, 0, sizeof back);
    for (unsigned i = 0; i < r->events; i++) {
        const struct kernel_event *e = &r->event[i];
        if (e->kind == EVENT_FLUSH_ALL)
            began[e->cpu] = i + 1;
        else if (e->kind == EVENT_FLUSHED && began[e->cpu] > covered)
            covered = began[e->cpu];
        for (uint64_t pfn = e->first >> 12; pfn <= e->last >> 12; pfn++) {
            if (e->kind == EVENT_GIVEN_BACK)
                back[pfn] = i + 1;
            early += e->kind == EVENT_HANDED_OUT && back[pfn] > covered;
            again += e->kind == EVENT_HANDED_OUT && back[pfn] != 0;
            if (e->kind != EVENT_GIVEN_BACK && e->kind != EVENT_HANDED_OUT)
                break;
        }
    }
    EXPECT_EQUAL(early, 0);
    return again;
}

/* Time passes only where the test lets it. */
static struct kernel_rig *timeless(unsigned cpus)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, "lazy");
    memset(&r->cpu_config, 0, sizeof r->cpu_config);
    memset(&r->cost, 0, sizeof r->cost);
    r->cpu_config.period_ps = 1;
    r->cpus                 = cpus;
    return r;
}

static void run(struct kernel_rig *r, kernel_program *program)
{
    kernel_rig_run(r, program, NULL);
    expect_no_early_reuse(r);
    kernel_rig_free(r);
}

/* ---- The ring --------------------------------------------------------------------------
 */

static void overflow(struct kernel_rig *r, void *state)
{
    (void)state;
    churn(r, RING);
    EXPECT_EQUAL(flushes(r), 0);
    EXPECT_EQUAL(released(r), 0);
    const dma_addr_t last = map(r);
    EXPECT_EQUAL(last, (UINT64_C(1) << 32) - 4096 * (RING + 1)); /* None came again. */
    unmap(r, last);
    EXPECT_EQUAL(flushes(r), 1);
    EXPECT_EQUAL(released(r), RING);
    EXPECT_EQUAL(r->kernel.stats.flush_full, 1);
    EXPECT_EQUAL(r->kernel.stats.deferred, RING + 1);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_ALL, 0, 0);
    EXPECT_EQUAL(e->released, 0);
    churn(r, RING - 1); /* One lay in the ring already. */
    EXPECT_EQUAL(flushes(r), 1);
    churn(r, 1);
    EXPECT_EQUAL(flushes(r), 2);
    EXPECT_EQUAL(released(r), 2 * RING);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 0);
}

TEST_CASE(flush_lazy, the_256th_range_flushes_and_releases_the_255_before_it)
{
    run(timeless(1), overflow);
}

static void small(struct kernel_rig *r, void *state)
{
    (void)state;
    churn(r, 3);
    EXPECT_EQUAL(flushes(r), 0);
    churn(r, 1);
    EXPECT_EQUAL(flushes(r), 1);
    const sim_time_t due = cpu_this()->time + 7 * TIME_US;
    kernel_rig_sleep_until(due - 1);
    EXPECT_EQUAL(r->kernel.stats.flush_timer, 0);
    kernel_rig_sleep_until(due);
    EXPECT_EQUAL(r->kernel.stats.flush_timer, 1);
}

TEST_CASE(flush_lazy, ring_and_timeout_are_parameters)
{
    struct kernel_rig *r = timeless(1);
    kernel_rig_policy_set(r, "ring_entries", "4");
    kernel_rig_policy_set(r, "timeout_us", "7");
    run(r, small);
}

/* ---- The timer -------------------------------------------------------------------------
 */

static void timer(struct kernel_rig *r, void *state)
{
    const sim_time_t first = cpu_this()->time;
    (void)state;
    churn(r, 1);
    kernel_rig_sleep_until(first + TIMEOUT - 2);
    churn(r, 1); /* Goes with the first one. */
    kernel_rig_sleep_until(first + TIMEOUT - 1);
    EXPECT_EQUAL(flushes(r), 0);
    kernel_rig_sleep_until(first + TIMEOUT);
    EXPECT_EQUAL(flushes(r), 1);
    EXPECT_EQUAL(released(r), 2);
    EXPECT_EQUAL(kernel_rig_event(r, EVENT_FLUSH_ALL, 0, 0)->time, first + TIMEOUT);

    kernel_rig_sleep_until(first + 3 * TIMEOUT);
    EXPECT_EQUAL(flushes(r), 1); /* Nothing is queued: it is off. */
    const sim_time_t second = cpu_this()->time;
    churn(r, 1);
    kernel_rig_sleep_until(second + TIMEOUT - 1);
    EXPECT_EQUAL(flushes(r), 1);
    kernel_rig_sleep_until(second + TIMEOUT);
    EXPECT_EQUAL(flushes(r), 2);
    EXPECT_EQUAL(r->kernel.stats.flush_timer, 2);
}

TEST_CASE(flush_lazy, the_timer_fires_10_ms_after_the_first_range_to_the_picosecond)
{
    run(timeless(1), timer);
}

static void stays_armed(struct kernel_rig *r, void *state)
{
    const sim_time_t first = cpu_this()->time;
    (void)state;
    churn(r, 1);
    kernel_rig_sleep_until(first + TIMEOUT / 2);
    churn(r, RING); /* Overflows; a younger range remains. */
    EXPECT_EQUAL(flushes(r), 1);
    kernel_rig_sleep_until(first + TIMEOUT);
    EXPECT_EQUAL(flushes(r), 2); /* An overflow does not put the timer back. */
    EXPECT_EQUAL(released(r), RING + 1);
}

TEST_CASE(flush_lazy, an_overflow_leaves_the_timer_as_it_is)
{
    run(timeless(1), stays_armed);
}

static void accounts(struct kernel_rig *r, void *state)
{
    (void)state;
    churn(r, 20);
    EXPECT_EQUAL(r->cpu[0].cycles[PHASE_deferred][OWNER_flush_queue], 0);
    EXPECT(r->cpu[0].cycles[PHASE_unmap][OWNER_flush_queue] > 0);
    const uint64_t before = r->cpu[0].cycles[PHASE_deferred][OWNER_inval_submit];
    kernel_rig_sleep_until(cpu_this()->time + 2 * TIMEOUT);
    EXPECT(r->cpu[0].cycles[PHASE_deferred][OWNER_flush_queue] > 0);
    EXPECT(r->cpu[0].cycles[PHASE_deferred][OWNER_iova_free] > 0);
    EXPECT_EQUAL(r->cpu[0].cycles[PHASE_deferred][OWNER_inval_submit] - before, 1000);
    EXPECT_EQUAL(r->cpu[0].cycles[PHASE_other][OWNER_iova_free], 0);
}

TEST_CASE(flush_lazy, what_the_timer_does_is_on_the_account_of_earlier_unmaps)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, "lazy");
    r->fake_flush_cycles = 1000;
    run(r, accounts);
}

/* ---- Several CPUs ----------------------------------------------------------------------
 */

static void rings_in_order(struct kernel_rig *r, void *state)
{
    static dma_addr_t iova[3];
    const unsigned me      = cpu_this()->id;
    const sim_time_t first = cpu_this()->time;
    (void)state;
    iova[me] = map(r);
    kernel_rig_meet(r);
    if (me == 2)
        unmap(r, iova[2]); /* Its timer. */
    kernel_rig_sleep_until(first + TIME_US);
    if (me != 2)
        unmap(r, iova[me]);
    kernel_rig_sleep_until(first + 2 * TIMEOUT);
    kernel_rig_meet(r);
    EXPECT_EQUAL(flushes(r), 1);
    EXPECT_EQUAL(kernel_rig_event(r, EVENT_FLUSH_ALL, 0, 0)->cpu, 2);
    const struct iova_cpu_cache *c = &r->domain->iova.cache[0].cpu[me];
    EXPECT_EQUAL(c->loaded->count, me == 2 ? 3 : 0); /* All in the magazine of its CPU. */
    for (unsigned i = 0; me == 2 && i < 3; i++)
        EXPECT_EQUAL(c->loaded->pfn[i], iova[i] >> 12);
}

TEST_CASE(flush_lazy, the_timer_releases_the_rings_of_all_cpus_in_their_order)
{
    run(timeless(3), rings_in_order);
}

static void others_later(struct kernel_rig *r, void *state)
{
    const unsigned me = cpu_this()->id;
    (void)state;
    if (me == 0)
        churn(r, 5);
    kernel_rig_meet(r);
    if (me == 1)
        churn(r, RING + 1); /* Flushes the domain, but releases its own ring only. */
    kernel_rig_meet(r);
    EXPECT_EQUAL(released(r), RING);
    kernel_rig_meet(r);
    if (me == 0) {
        const dma_addr_t iova = map(r);
        unmap(r, iova); /* Looks through its ring before it queues. */
        EXPECT_EQUAL(released(r), RING + 5);
        EXPECT_EQUAL(flushes(r), 1);
    }
    kernel_rig_meet(r);
}

TEST_CASE(flush_lazy, a_ring_notices_the_flush_of_another_cpu_when_it_is_used_next)
{
    run(timeless(2), others_later);
}

/* CPU 0's timer flushes for 1 ms; in the middle of it CPU 1 queues a range. */
static void during_flush(struct kernel_rig *r, void *state)
{
    const sim_time_t first = cpu_this()->time;
    const unsigned me      = cpu_this()->id;
    (void)state;
    const dma_addr_t iova = map(r);
    if (me == 0)
        unmap(r, iova);
    kernel_rig_sleep_until(first + TIMEOUT + TIME_US * 500);
    if (me == 1) {
        EXPECT_EQUAL(flushes(r), 1);
        EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSHED, 0), 0);
        unmap(r, iova);
    }
    kernel_rig_sleep_until(first + TIMEOUT + 2 * TIME_MS);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSHED, 0), 1);
    EXPECT_EQUAL(released(r), 1); /* It may have missed the second range. */
    kernel_rig_sleep_until(first + 2 * TIMEOUT + TIME_US * 500 - 1);
    EXPECT_EQUAL(flushes(r), 1);
    kernel_rig_sleep_until(first + 2 * TIMEOUT + 3 * TIME_MS);
    EXPECT_EQUAL(flushes(r), 2); /* It had armed the timer again. */
    EXPECT_EQUAL(released(r), 2);
    kernel_rig_meet(r);
}

TEST_CASE(flush_lazy, a_flush_under_way_does_not_cover_a_range_that_is_queued_meanwhile)
{
    struct kernel_rig *r = timeless(2);
    r->fake_flush_cycles = TIME_MS;
    run(r, during_flush);
}

/* As above, but CPU 1's whole ring is younger than the flush that is under way. Linux loses
 * the ring here; it must be flushed again instead. */
static void overflow_during_flush(struct kernel_rig *r, void *state)
{
    const sim_time_t first = cpu_this()->time;
    const unsigned me      = cpu_this()->id;
    (void)state;
    if (me == 0)
        churn(r, 1);
    kernel_rig_sleep_until(first + TIMEOUT + 1);
    r->fake_flush_cycles = 0; /* CPU 0 is in a long one; those of CPU 1 are short. */
    if (me == 1) {
        churn(r, RING + 1);
        EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSHED, 0), 2);
        EXPECT_EQUAL(flushes(r), 3);
        EXPECT_EQUAL(r->kernel.stats.flush_full, 2);
        EXPECT_EQUAL(released(r), RING);
    }
    kernel_rig_sleep_until(first + TIMEOUT + 2 * TIME_MS);
    EXPECT_EQUAL(released(r), RING + 1);
    kernel_rig_meet(r);
}

TEST_CASE(flush_lazy, a_ring_younger_than_the_flush_under_way_is_flushed_again_not_lost)
{
    struct kernel_rig *r = timeless(2);
    r->fake_flush_cycles = TIME_MS;
    run(r, overflow_during_flush);
}

/* ---- Tables, the end, and everything at once -------------------------------------------
 */

static void tables(struct kernel_rig *r, void *state)
{
    const size_t bytes     = 2 << 20;
    const sim_time_t first = cpu_this()->time;
    (void)state;
    const dma_addr_t iova = dma_map_phys(&r->device, 0x40001000, bytes, DMA_TO_DEVICE,
                                         0); /* Never congruent. */
    const uint64_t before = r->kernel.stats.table_freed;
    EXPECT_EQUAL(kernel_rig_tables(r, &r->domain->table), 3);
    dma_unmap_phys(&r->device, iova, bytes, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(kernel_rig_tables(r, &r->domain->table), 2);
    kernel_rig_sleep_until(first + TIMEOUT - 1);
    EXPECT_EQUAL(r->kernel.stats.table_freed, before); /* A walk may still be in it. */
    kernel_rig_sleep_until(first + TIMEOUT);
    EXPECT_EQUAL(r->kernel.stats.table_freed, before + 1);
}

TEST_CASE(flush_lazy, a_table_page_waits_for_the_flush_like_its_addresses)
{
    run(timeless(1), tables);
}

static void leave_some(struct kernel_rig *r, void *state)
{
    (void)state;
    churn(r, 10); /* Each CPU. */
}

TEST_CASE(flush_lazy, a_domain_that_ends_flushes_what_is_queued)
{
    struct kernel_rig *r = timeless(4);
    kernel_rig_run(r, leave_some, NULL);
    EXPECT_EQUAL(flushes(r), 1);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_GIVEN_BACK, 0), 40);
    kernel_rig_free(r);
}

/* Maps, unmaps and pauses in random turns; some CPUs unmap what others have mapped. */
static void anything(struct kernel_rig *r, void *state)
{
    static dma_addr_t shared[16];
    char name[2]   = { (char)('0' + cpu_this()->id), '\0' };
    struct rng rng = rng_make(7, name);
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        const unsigned k       = rng_below(&rng, 16);
        const dma_addr_t iova  = shared[k];
        shared[k]              = 0; /* Taken, before anything that takes time. */
        const dma_addr_t fresh = iova == 0 ? map(r) : 0;
        if (iova != 0)
            unmap(r, iova);
        else if (shared[k] == 0)
            shared[k] = fresh;
        else
            unmap(r, fresh); /* Somebody was faster. */
        if (rng_below(&rng, 8) == 0)
            kernel_rig_sleep_until(cpu_this()->time + rng_below(&rng, 400) * TIME_US);
    }
    kernel_rig_meet(r);
    for (unsigned k = cpu_this()->id; k < 16; k += r->cpus)
        if (shared[k] != 0)
            unmap(r, shared[k]);
    kernel_rig_meet(r);
    memset(shared, 0, sizeof shared);
}

TEST_CASE(flush_lazy, no_address_comes_again_before_a_flush_whatever_four_cpus_do)
{
    static const char *const ring[] = { "2", "8", "32" };
    for (unsigned i = 0; i < 3; i++) {
        struct kernel_rig *r = timeless(4);
        kernel_rig_policy_set(r, "ring_entries", ring[i]);
        r->fake_flush_cycles = 200 * TIME_US;
        kernel_rig_run(r, anything, NULL);
        EXPECT(expect_no_early_reuse(r) > 100);
        kernel_rig_free(r);
    }
}

/* The real hardware: the audit asks that no address comes again while a cache holds it. */
static void reached(struct kernel_rig *r, void *state)
{
    const sim_time_t first = cpu_this()->time;
    uint64_t pa;
    (void)state;
    const dma_addr_t iova = map(r);
    EXPECT(kernel_rig_reach(r, iova, PT_READ, &pa));
    unmap(r, iova);
    EXPECT(kernel_rig_reach(r, iova, PT_READ, &pa)); /* The exposure of lazy flushing. */
    EXPECT(r->answer[0].stale);
    EXPECT_EQUAL(pa, 0x40000000);
    kernel_rig_sleep_until(first + TIMEOUT + 100 * TIME_US);
    EXPECT(!kernel_rig_reach(r, iova, PT_READ, &pa));
    EXPECT(r->audit.exposure_ps_max > TIMEOUT);
    EXPECT(r->audit.exposure_ps_max < TIMEOUT + 100 * TIME_US);
}

TEST_CASE(flush_lazy, a_device_reaches_an_unmapped_page_until_the_flush_and_not_after_it)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    kernel_rig_policy(r, "lazy");
    kernel_rig_run(r, reached, NULL);
    kernel_rig_free(r);
}

/* ---- Fired by hand ---------------------------------------------------------------------
 */

static void in_halves(struct kernel_rig *r, void *state)
{
    (void)state;
    const dma_addr_t a = map(r), b = map(r), c = map(r);
    unmap(r, a);
    domain_expire(r->domain, FLUSH_INVALIDATE);
    EXPECT_EQUAL(flushes(r), 1);
    EXPECT_EQUAL(released(r), 0);
    unmap(r, b); /* A call in between finds the first range covered. */
    EXPECT_EQUAL(released(r), 1);
    domain_expire(r->domain, FLUSH_RELEASE);
    EXPECT_EQUAL(released(r), 1); /* The second was queued after the flush. */
    unmap(r, c);
    domain_expire(r->domain, FLUSH_INVALIDATE);
    domain_expire(r->domain, FLUSH_RELEASE);
    EXPECT_EQUAL(released(r), 3);
    EXPECT_EQUAL(flushes(r), 2);
    kernel_rig_sleep_until(cpu_this()->time + 3 * TIMEOUT);
    EXPECT_EQUAL(flushes(r), 2); /* In place of the timer. */
}

TEST_CASE(flush_lazy, a_replay_fires_the_timer_in_halves)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, "lazy");
    run(r, in_halves);
}
