/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/iova.h"

#include <string.h>

#include "sim/base/lg2.h"
#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { LIMIT = 0xfffff, M = IOVA_MAGAZINE };

static struct iova_domain d;
static bool cached;

static void begin(struct kernel_rig *r, unsigned granule_lg2)
{
    iova_init(&d, &r->kernel, granule_lg2, 0);
}

static void end(void)
{
    struct error error = { "" };
    iova_audit(&d);
    EXPECT(stat_check(&iova_stat_table, &d.stats, &error));
    EXPECT_TEXT(error.text, "");
    iova_free_domain(&d);
}

static uint64_t take(uint64_t granules)
{
    return iova_alloc_fast(&d, granules, LIMIT, false, &cached);
}

/* ---- Magazines -------------------------------------------------------------------------
 */

static void lifo(struct kernel_rig *r, void *state)
{
    uint64_t pfn[2 * M + 2];
    (void)state;
    begin(r, 12);
    for (unsigned i = 0; i < 2 * M + 1; i++)
        pfn[i] = take(1);
    EXPECT_EQUAL(d.stats.allocation_tree, 2 * M + 1);
    for (unsigned i = 0; i < 2 * M; i++)
        iova_free_fast(&d, pfn[i], 1);
    EXPECT_EQUAL(d.stats.depot_push, 0); /* Both magazines are full, exactly. */
    iova_free_fast(&d, pfn[2 * M], 1);
    EXPECT_EQUAL(d.stats.depot_push, 1);
    EXPECT_EQUAL(d.cache[0].depot_size, 1);

    /* The newest; then the older magazine, which stood by; then the one of the depot. */
    EXPECT_EQUAL(take(1), pfn[2 * M]);
    for (unsigned i = M; i-- > 0;)
        EXPECT_EQUAL(take(1), pfn[i]);
    EXPECT_EQUAL(d.stats.depot_pop, 0);
    for (unsigned i = 2 * M; i-- > M;)
        EXPECT_EQUAL(take(1), pfn[i]);
    EXPECT_EQUAL(d.stats.depot_pop, 1);
    EXPECT_EQUAL(d.stats.allocation_cached, 2 * M + 1);
    pfn[2 * M + 1] = take(1);
    EXPECT(!cached);
    for (unsigned i = 0; i < 2 * M + 2; i++)
        iova_free_fast(&d, pfn[i], 1);
    end();
}

TEST_CASE(iova_cache, two_magazines_of_127_and_the_depot_give_back_last_in_first_out)
{
    kernel_rig_once(RIG_DIRECT, lifo);
}

static void orders(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, 12);
    for (uint64_t size = 1; size <= 32; size++) {
        const uint64_t whole = UINT64_C(1) << lg2_ceil(size), pfn = take(size);
        EXPECT_EQUAL(cached, size != whole / 2 + 1 && size > 2); /* The first of each. */
        iova_free_fast(&d, pfn, size);
        EXPECT_EQUAL(take(whole), pfn);
        EXPECT(cached);
        iova_free_fast(&d, pfn, whole);
    }
    for (unsigned order = 0; order < IOVA_ORDERS; order++)
        EXPECT_EQUAL(d.cache[order].cpu[0].loaded->count, 1);
    iova_free_fast(&d, take(33), 33);
    EXPECT_EQUAL(d.stats.release_tree, 1);
    end();
}

TEST_CASE(iova_cache, sizes_up_to_32_are_rounded_up_and_cached_by_their_power_of_two)
{
    kernel_rig_once(RIG_DIRECT, orders);
}

/* Only the loaded magazine is looked through, from its newest address on. */
static void limits(struct kernel_rig *r, void *state)
{
    uint64_t pfn[M + 2];
    (void)state;
    begin(r, 12);
    for (unsigned i = 0; i < M + 2; i++)
        pfn[i] = take(1);
    for (unsigned i = M + 2; i-- > 0;)
        iova_free_fast(&d, pfn[i], 1); /* Loaded: pfn[1], pfn[0]. The other: the rest. */
    EXPECT_EQUAL(iova_alloc_fast(&d, 1, pfn[0] - 1, false, &cached), pfn[1]);
    EXPECT(cached);
    const uint64_t below = iova_alloc_fast(&d, 1, pfn[0] - 1, false, &cached);
    EXPECT_EQUAL(below, pfn[M + 1] - 1); /* The standby's 127 would all have done. */
    EXPECT(!cached);
    EXPECT_EQUAL(take(1), pfn[0]);
    EXPECT(cached);
    iova_free_fast(&d, pfn[0], 1);
    iova_free_fast(&d, pfn[1], 1);
    iova_free_fast(&d, below, 1);
    end();
}

TEST_CASE(iova_cache, an_address_above_the_limit_stays_in_its_magazine)
{
    kernel_rig_once(RIG_DIRECT, limits);
}

/* The newest of all takes the place of one that was taken from further down. */
static void limit_order(struct kernel_rig *r, void *state)
{
    uint64_t pfn[4];
    (void)state;
    begin(r, 12);
    for (unsigned i = 0; i < 4; i++)
        pfn[i] = take(1);
    for (unsigned i = 4; i-- > 0;)
        iova_free_fast(&d, pfn[i], 1); /* In the magazine: 3, 2, 1, 0. */
    EXPECT_EQUAL(iova_alloc_fast(&d, 1, pfn[2], false, &cached), pfn[2]);
    EXPECT_EQUAL(take(1), pfn[1]); /* 3, 0, 1 */
    EXPECT_EQUAL(take(1), pfn[0]);
    EXPECT_EQUAL(take(1), pfn[3]);
    for (unsigned i = 0; i < 4; i++)
        iova_free_fast(&d, pfn[i], 1);
    end();
}

TEST_CASE(iova_cache, taking_from_the_middle_of_a_magazine_changes_the_order_as_linux_does)
{
    kernel_rig_once(RIG_DIRECT, limit_order);
}

/* The size counts: a range must end at the limit, not begin there. */
static void limit_of_whole_range(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, 12);
    const uint64_t pfn = take(4);
    iova_free_fast(&d, pfn, 4);
    EXPECT_EQUAL(iova_alloc_fast(&d, 4, pfn + 2, false, &cached), pfn - 4);
    EXPECT(!cached);
    EXPECT_EQUAL(iova_alloc_fast(&d, 4, pfn + 3, false, &cached), pfn);
    EXPECT(cached);
    iova_free_fast(&d, pfn, 4);
    iova_free_fast(&d, pfn - 4, 4);
    end();
}

TEST_CASE(iova_cache, a_cached_range_ends_at_the_limit)
{
    kernel_rig_once(RIG_DIRECT, limit_of_whole_range);
}

/* ---- Trimming --------------------------------------------------------------------------
 */

static void fill_depot(unsigned magazines)
{
    static uint64_t pfn[16 * M];
    const unsigned count = (magazines + 2) * M;
    CHECK(count < 16 * M);
    for (unsigned i = 0; i <= count; i++)
        pfn[i] = take(1);
    for (unsigned i = 0; i <= count; i++)
        iova_free_fast(&d, pfn[i], 1);
}

static void trims(struct kernel_rig *r, void *state)
{
    const sim_time_t period = IOVA_TRIM_PERIOD_MS * TIME_MS;
    (void)state;
    begin(r, 12);
    fill_depot(4); /* 5, by the last release. */
    EXPECT_EQUAL(d.cache[0].depot_size, 5);
    EXPECT(d.cache[0].trim_armed);
    for (unsigned left = 5; left > 2; left--) { /* 2 CPUs: 2 magazines may stay. */
        const sim_time_t due = d.cache[0].trim.due;
        kernel_rig_sleep_until(due - 1);
        EXPECT_EQUAL(d.cache[0].depot_size, left);
        kernel_rig_sleep_until(due);
        EXPECT_EQUAL(d.cache[0].depot_size, left - 1);
        EXPECT(d.cache[0].trim.due >= due + period);
    }
    kernel_rig_sleep_until(d.cache[0].trim.due);
    EXPECT_EQUAL(d.cache[0].depot_size, 2);
    EXPECT(!d.cache[0].trim_armed); /* It had nothing to do. */
    EXPECT_EQUAL(d.stats.depot_trim, 3);
    EXPECT_EQUAL(r->cpu[0].cycles[PHASE_other][OWNER_iova_free], 0);
    EXPECT(r->cpu[0].cycles[PHASE_deferred][OWNER_iova_free] > 0);
    end();
}

static void on_first(struct kernel_rig *r, void *state)
{
    kernel_program *const *body = state;
    if (cpu_this()->id == 0)
        (*body)(r, NULL);
}

static void run_on_first_of(unsigned cpus, kernel_program *body)
{
    struct kernel_rig *r      = kernel_rig_new(RIG_DIRECT);
    r->cpus                   = cpus;
    r->cpu_config.period_ps   = 1; /* Every ps is an edge. */
    r->cpu_config.wake_cycles = 0;
    kernel_rig_run(r, on_first, &body);
    kernel_rig_free(r);
}

TEST_CASE(iova_cache, every_100_ms_one_magazine_beyond_the_number_of_cpus_goes_back)
{
    run_on_first_of(2, trims);
}

/* ---- Several CPUs ----------------------------------------------------------------------
 */

static void wanders(struct kernel_rig *r, void *state)
{
    static uint64_t pfn[3 * M];
    const unsigned me = cpu_this()->id;
    (void)state;
    if (me == 0) {
        begin(r, 12);
        for (unsigned i = 0; i < 3 * M; i++)
            pfn[i] = take(1);
    }
    kernel_rig_meet(r);
    if (me == 1)
        for (unsigned i = 0; i < 3 * M; i++)
            iova_free_fast(&d, pfn[i], 1); /* 2 magazines here, 1 in the depot. */
    kernel_rig_meet(r);
    if (me == 0) {
        EXPECT_EQUAL(d.stats.depot_push, 1);
        for (unsigned i = 2 * M;
             i-- > M;) /* The one that was pushed when both were full. */
            EXPECT_EQUAL(take(1), pfn[i]);
        EXPECT_EQUAL(d.stats.depot_pop, 1);
        pfn[0] = take(1);
        EXPECT(!cached); /* What CPU 1 holds is out of reach. */
        EXPECT(pfn[0] < pfn[3 * M - 1]);
        for (unsigned i = 2 * M; i-- > M;)
            iova_free_fast(&d, pfn[i], 1);
        iova_free_fast(&d, pfn[0], 1);
        end();
    }
}

TEST_CASE(iova_cache, full_magazines_wander_between_cpus_through_the_depot_only)
{
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    r->cpus              = 2;
    kernel_rig_run(r, wanders, NULL);
    kernel_rig_free(r);
}

enum { STRESS_PFNS = 512, STRESS_HELD = 24 };

static uint8_t owner[STRESS_PFNS + 1];

static void mark(uint64_t pfn, uint64_t size, uint8_t from, uint8_t to)
{
    EXPECT(pfn + size <= STRESS_PFNS + 1);
    for (uint64_t i = pfn; i < pfn + size && i <= STRESS_PFNS; i++) {
        EXPECT_EQUAL(owner[i], from);
        owner[i] = to;
    }
}

static struct {
    uint64_t pfn, size;
} held[STRESS_HELD];

static void hold(unsigned k, uint64_t pfn, uint64_t size)
{
    mark(pfn, size, 0, 1);
    EXPECT_EQUAL(pfn & mask_lg2(lg2_ceil(size)), 0);
    if (held[k].pfn == 0) {
        held[k].pfn  = pfn;
        held[k].size = size;
        return;
    }
    mark(pfn, size, 1, 0); /* Somebody was faster. */
    iova_free_fast(&d, pfn, size);
}

static void let_go(unsigned k)
{
    const uint64_t pfn = held[k].pfn, size = held[k].size;
    held[k].pfn = 0; /* Ours, before anything that takes time. */
    if (pfn == 0)
        return;
    mark(pfn, size, 1, 0);
    iova_free_fast(&d, pfn, size);
}

/* Everybody allocates and frees; what one CPU allocated any other may free. */
static void stress(struct kernel_rig *r, void *state)
{
    char name[2]   = { (char)('0' + cpu_this()->id), '\0' };
    struct rng rng = rng_make(3, name);
    (void)state;
    if (cpu_this()->id == 0)
        begin(r, 12);
    kernel_rig_meet(r);
    for (unsigned i = 0; i < 12000; i++) {
        const unsigned k    = rng_below(&rng, STRESS_HELD);
        const uint64_t size = 1 + rng_below(&rng, rng_below(&rng, 8) == 0 ? 50 : 4);
        bool hit;
        const uint64_t pfn =
            held[k].pfn == 0 ? iova_alloc_fast(&d, size, STRESS_PFNS, true, &hit) : 0;
        if (pfn != 0)
            hold(k, pfn, size);
        else
            let_go(k);
    }
    kernel_rig_meet(r);
    if (cpu_this()->id != 0)
        return;
    for (unsigned k = 0; k < STRESS_HELD; k++)
        let_go(k);
    EXPECT(d.stats.flushed > 0);
    EXPECT(d.stats.allocation_cached > 1000);
    end();
}

TEST_CASE(iova_cache, no_address_is_out_twice_whatever_four_cpus_do)
{
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    memset(owner, 0, sizeof owner);
    r->cpus = 4;
    kernel_rig_run(r, stress, NULL);
    kernel_rig_free(r);
}

/* ---- No room ---------------------------------------------------------------------------
 */

static void exhaustion(struct kernel_rig *r, void *state)
{
    const unsigned me = cpu_this()->id;
    (void)state;
    if (me == 0) {
        begin(r, 12);
        for (unsigned i = 0; i < 8; i++)
            EXPECT_EQUAL(iova_alloc_fast(&d, 1, 8, false, &cached), 8 - i);
        EXPECT_EQUAL(iova_alloc_fast(&d, 1, 8, true, &cached), 0); /* 0 is never used. */
        EXPECT_EQUAL(d.stats.flushed, 1);
    }
    kernel_rig_meet(r);
    if (me == 1)
        for (uint64_t pfn = 4; pfn <= 5; pfn++)
            iova_free_fast(&d, pfn, 1);
    kernel_rig_meet(r);
    if (me == 0) {
        EXPECT_EQUAL(iova_alloc_fast(&d, 1, 8, false, &cached), 0);
        EXPECT_EQUAL(iova_alloc_fast(&d, 2, 8, true, &cached), 4); /* Both, side by side. */
        EXPECT(!cached);
        EXPECT_EQUAL(d.stats.flushed, 2);
        EXPECT_EQUAL(d.stats.allocation_failed, 2);
        iova_free_fast(&d, 4, 2);
        for (uint64_t pfn = 1; pfn <= 8; pfn++)
            if (pfn < 4 || pfn > 5)
                iova_free_fast(&d, pfn, 1);
        end();
    }
}

TEST_CASE(iova_cache, without_room_it_is_0_and_a_retry_empties_the_magazines_of_every_cpu)
{
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    r->cpus              = 2;
    kernel_rig_run(r, exhaustion, NULL);
    kernel_rig_free(r);
}

static bool fail_next(void *self, const char *what)
{
    (void)what;
    unsigned *left = self;
    return (*left)-- == 0;
}

static void no_memory(struct kernel_rig *r, void *state)
{
    uint64_t pfn[2 * M + 1];
    unsigned left = 0;
    (void)state;
    begin(r, 12);
    r->kernel.fails_self = &left;
    r->kernel.fails      = fail_next;
    EXPECT_EQUAL(take(1), 0); /* No node. */
    r->kernel.fails = NULL;
    for (unsigned i = 0; i < 2 * M + 1; i++)
        pfn[i] = take(1);
    EXPECT_EQUAL(pfn[0], LIMIT);
    for (unsigned i = 0; i < 2 * M; i++)
        iova_free_fast(&d, pfn[i], 1);
    left            = 0;
    r->kernel.fails = fail_next;
    iova_free_fast(&d, pfn[2 * M], 1); /* No magazine: the address goes to the tree. */
    r->kernel.fails = NULL;
    EXPECT_EQUAL(d.stats.release_tree, 1);
    EXPECT_EQUAL(d.stats.depot_push, 0);
    EXPECT_EQUAL(d.stats.allocation_failed, 1);
    end();
}

TEST_CASE(iova_cache, without_memory_an_allocation_fails_and_a_release_goes_to_the_tree)
{
    kernel_rig_once(RIG_DIRECT, no_memory);
}
