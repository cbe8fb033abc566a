/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iova_pressure - the allocator at its ends: magazines that are trimmed while every CPU
 * allocates and frees, and an address space that is full while magazines and a flush queue
 * hold what there is.
 */
#include <string.h>

#include "dma_api/iova.h"
#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { M = IOVA_MAGAZINE, PAGE = 4096 };

/* ---- Trimming under way ----------------------------------------------------------------
 */

enum {
    CPUS    = 4,
    FILL    = 6 * M, /* Of each CPU: 2 magazines stay with it, 4 go into the depot. */
    BURST   = 3 * M, /* Beyond both magazines: takes from the depot and puts back. */
    ROUNDS  = 6,
    LIMIT   = 0xfffff,
    HIGHEST = CPUS * FILL + 1,
};

static struct {
    struct iova_domain d;
    bool out[HIGHEST];  /* From the top of the address space on. */
    unsigned meanwhile; /* Calls during which a trim was under way. */
} pressure;

static bool *place_of(uint64_t pfn)
{
    CHECK(LIMIT - pfn < HIGHEST);
    return &pressure.out[LIMIT - pfn];
}

/* While the depot is too large the timer is armed but when it does its work. */
static bool is_trimming(void)
{
    return pressure.d.stats.depot_push > 0 && !pressure.d.cache[0].trim_armed;
}

static uint64_t take(void)
{
    bool cached;
    const uint64_t pfn = iova_alloc_fast(&pressure.d, 1, LIMIT, true, &cached);
    CHECK(pfn != 0);
    EXPECT(!*place_of(pfn));
    *place_of(pfn) = true;
    pressure.meanwhile += is_trimming();
    return pfn;
}

static void give(uint64_t pfn)
{
    EXPECT(*place_of(pfn));
    *place_of(pfn) = false;
    iova_free_fast(&pressure.d, pfn, 1);
    pressure.meanwhile += is_trimming();
}

/* Holds at least count addresses once, in random turns, and gives all back. */
static void turn_over(struct rng *rng, uint64_t *pfn, unsigned count)
{
    unsigned held = 0, taken = 0;
    while (taken < count || held > 0) {
        if (taken < count && (held == 0 || rng_below(rng, 8) != 0)) {
            pfn[held++] = take();
            taken++;
        } else {
            const unsigned i   = rng_below(rng, held);
            const uint64_t one = pfn[i];
            pfn[i]             = pfn[--held];
            give(one);
        }
    }
}

static void churn(struct kernel_rig *r, void *state)
{
    static uint64_t pfn[CPUS][FILL];
    uint64_t *mine = pfn[cpu_this()->id];
    char name[2]   = { (char)('0' + cpu_this()->id), '\0' };
    struct rng rng = rng_make(5, name);
    (void)state;
    if (cpu_this()->id == 0)
        iova_init(&pressure.d, &r->kernel, 12, 0);
    kernel_rig_meet(r);
    for (unsigned i = 0; i < FILL; i++)
        mine[i] = take();
    kernel_rig_meet(r);
    for (unsigned i = 0; i < FILL; i++)
        give(mine[i]);
    kernel_rig_meet(r);
    EXPECT(pressure.d.cache[0].depot_size > CPUS + ROUNDS / 2);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const sim_time_t due = pressure.d.cache[0].trim.due;
        kernel_rig_meet(r);
        kernel_rig_sleep_until(due - 2 * TIME_US);
        while (cpu_this()->time < due + 20 * TIME_US)
            turn_over(&rng, mine, BURST);
        kernel_rig_meet(r);
    }
    if (cpu_this()->id == 0) {
        EXPECT_EQUAL(pressure.d.live, 0);
        EXPECT_EQUAL(pressure.d.stats.release, pressure.d.stats.allocation);
        EXPECT(pressure.d.stats.depot_trim >= ROUNDS / 2);
        EXPECT(pressure.d.stats.depot_pop > CPUS);
        iova_audit(&pressure.d);
        iova_free_domain(
            &pressure.d); /* Whatever is not back in the tree is a violation. */
    }
}

TEST_CASE(iova_pressure, magazines_are_trimmed_while_four_cpus_take_and_give_back)
{
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    memset(&pressure, 0, sizeof pressure);
    r->cpus = CPUS;
    kernel_rig_run(r, churn, NULL);
    EXPECT(pressure.meanwhile > ROUNDS);
    kernel_rig_free(r);
}

/* ---- A full address space --------------------------------------------------------------
 */

enum { PAGES = 511, UNMAPPED = 500, RING = 255 };
#define MEM UINT64_C(0x40000000)

static dma_addr_t map_pages(struct kernel_rig *r, unsigned pages)
{
    return dma_map_phys(&r->device, MEM, pages * PAGE, DMA_TO_DEVICE, 0);
}

static void unmap_pages(struct kernel_rig *r, dma_addr_t addr, unsigned pages)
{
    dma_unmap_phys(&r->device, addr, pages * PAGE, DMA_TO_DEVICE, 0);
}

/* CPU 1 maps everything that the mask reaches and gives most of it back; CPU 0 wants more
 * than any magazine has. */
static void fill_and_give_back(struct kernel_rig *r, dma_addr_t *a)
{
    for (unsigned i = 0; i < PAGES; i++) {
        a[i] = map_pages(r, 1);
        EXPECT_EQUAL(a[i], (uint64_t)(PAGES - i) * PAGE);
    }
    EXPECT_EQUAL(map_pages(r, 1), DMA_MAPPING_ERROR); /* Page 0 is never used. */
    for (unsigned i = 0; i < UNMAPPED; i++)
        unmap_pages(r, a[i], 1);
}

static void expect_strict(struct kernel_rig *r)
{
    EXPECT_EQUAL(r->domain->iova.cache[0].depot_size, 2);
    const uint64_t flushed = r->domain->iova.stats.flushed;
    const dma_addr_t all   = map_pages(r, 256);
    EXPECT_EQUAL(all, 256 * PAGE); /* From the magazines of CPU 1 and the depot. */
    EXPECT_EQUAL(r->domain->iova.stats.flushed, flushed + 1);
    EXPECT_EQUAL(map_pages(r, 256), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->domain->iova.stats.flushed, flushed + 2);
    unmap_pages(r, all, 256);
}

/* What waits in a flush queue stays there however badly addresses are needed. */
static void expect_lazy(struct kernel_rig *r)
{
    struct iova_domain *d = &r->domain->iova;
    const sim_time_t now  = cpu_this()->time;
    EXPECT_EQUAL(d->stats.release, RING);
    EXPECT_EQUAL(d->live, PAGES - RING);
    const dma_addr_t some = map_pages(r, 64);
    EXPECT_EQUAL(some, 448 * PAGE);
    EXPECT_EQUAL(map_pages(r, 128), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->kernel.stats.flush_full, 1);
    EXPECT_EQUAL(d->stats.release, RING);
    EXPECT(cpu_this()->time - now < 5 * TIME_MS);
    kernel_rig_sleep_until(now + 11 * TIME_MS);
    EXPECT_EQUAL(d->stats.release, UNMAPPED);
    const dma_addr_t more = map_pages(r, 128); /* The timer has filled magazines with it. */
    EXPECT_EQUAL(more, 256 * PAGE);
    unmap_pages(r, some, 64);
    unmap_pages(r, more, 128);
}

/* 512 pages: that is all that the mask leaves, or a window that reserves the rest of it. */
struct shortage {
    bool lazy, window;
};

static void exhausts(struct kernel_rig *r, void *state)
{
    static dma_addr_t a[PAGES];
    const unsigned me         = cpu_this()->id;
    const struct shortage *of = state;
    if (me == 0)
        EXPECT_EQUAL(dma_set_mask(&r->device, DMA_BIT_MASK(of->window ? 32 : 21)), 0);
    kernel_rig_meet(r);
    if (me == 1)
        fill_and_give_back(r, a);
    kernel_rig_meet(r);
    if (me == 0 && of->lazy)
        expect_lazy(r);
    else if (me == 0)
        expect_strict(r);
    kernel_rig_meet(r);
    for (unsigned i = UNMAPPED; me == 1 && i < PAGES; i++)
        unmap_pages(r, a[i], 1);
    kernel_rig_sleep_until(cpu_this()->time + 11 * TIME_MS);
    kernel_rig_meet(r);
    EXPECT_EQUAL(r->domain->iova.live, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    iova_audit(&r->domain->iova);
}

/* Without an IOMMU's model, behind legacy mode, and behind first-stage tables. */
static void exhaust(const char *policy, bool lazy)
{
    for (unsigned i = 0; i < 6; i++) {
        struct kernel_rig *r = kernel_rig_new(i % 3 == 0 ? RIG_FAKE : RIG_VTD);
        struct shortage of   = { lazy, i >= 3 };
        r->vtd.scalable      = i % 3 == 2;
        if (of.window) {
            r->linux_config.msi_first = (PAGES + 1) * PAGE;
            r->linux_config.msi_last  = UINT32_MAX;
        }
        kernel_rig_policy(r, policy);
        r->cpus = 2;
        kernel_rig_run(r, exhausts, &of);
        kernel_rig_free(r);
    }
}

TEST_CASE(iova_pressure, a_full_address_space_gets_what_magazines_and_depot_hold)
{
    exhaust("strict", false);
}

TEST_CASE(iova_pressure, a_full_address_space_does_not_get_what_a_flush_queue_holds)
{
    exhaust("lazy", true);
}
