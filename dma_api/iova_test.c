/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/iova.h"

#include <string.h>

#include "sim/base/lg2.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { LIMIT = 0xfffff };

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

/* ---- The tree, exhaustively ------------------------------------------------------------
 */

enum { TINY_LG2 = 29, TINY_END32 = 8, TINY_PFNS = 16, TINY_OPS = 9, TINY_LENGTH = 6 };

/* The same rules, on an array: each place is tried, from the highest that is allowed. */
struct naive {
    uint64_t size_at[TINY_PFNS]; /* Of the range that begins here. */
    uint64_t hint, hint32, too_large;
};

static bool naive_room(const struct naive *n, uint64_t pfn, uint64_t size)
{
    for (uint64_t at = 0; at < TINY_PFNS; at++)
        if (n->size_at[at] != 0 && at < pfn + size && at + n->size_at[at] > pfn)
            return false;
    return true;
}

static uint64_t naive_search(const struct naive *n, uint64_t size, uint64_t low,
                             uint64_t below)
{
    const uint64_t step = UINT64_C(1) << lg2_ceil(size);
    for (uint64_t pfn = low; pfn < TINY_PFNS; pfn++) {
        const uint64_t from_top = TINY_PFNS - 1 - (pfn - low);
        if (from_top % step == 0 && from_top + size <= below
            && naive_room(n, from_top, size))
            return from_top;
    }
    return 0;
}

static uint64_t naive_alloc(struct naive *n, uint64_t size, uint64_t limit)
{
    const bool below32 = limit + 1 <= TINY_END32;
    if (below32 && size >= n->too_large)
        return 0;
    const uint64_t hint = below32 ? n->hint32 : n->hint;
    uint64_t pfn        = naive_search(n, size, 1, hint < limit + 1 ? hint : limit + 1);
    if (pfn == 0 && hint != UINT64_MAX && hint + n->size_at[hint] - 1 < limit + 1)
        pfn = naive_search(n, size, hint + n->size_at[hint], limit + 1);
    if (pfn == 0) {
        n->too_large = size;
        return 0;
    }
    n->size_at[pfn] = size;
    if (pfn + size <= TINY_END32)
        n->hint32 = pfn;
    else
        n->hint = pfn;
    return pfn;
}

static uint64_t naive_next(const struct naive *n, uint64_t pfn)
{
    while (++pfn < TINY_PFNS)
        if (n->size_at[pfn] != 0)
            return pfn;
    return UINT64_MAX;
}

static void naive_free(struct naive *n, uint64_t pfn)
{
    const uint64_t next = naive_next(n, pfn), last = pfn + n->size_at[pfn] - 1;
    if (pfn == n->hint32 || (last < TINY_END32 && pfn >= n->hint32))
        n->hint32 = next;
    if (pfn < TINY_END32)
        n->too_large = TINY_END32;
    if (pfn >= n->hint)
        n->hint = next;
    n->size_at[pfn] = 0;
}

static void start_over(struct naive *n)
{
    for (uint64_t pfn = 0; pfn < TINY_PFNS; pfn++)
        if (n->size_at[pfn] != 0)
            iova_tree_free(&d, &pfn, 1);
    *n =
        (struct naive){ .hint = UINT64_MAX, .hint32 = UINT64_MAX, .too_large = TINY_END32 };
    d.too_large32 = TINY_END32; /* A refusal outlives an empty tree. */
}

/* The kth range from below goes; false when there are fewer. */
static bool free_kth(struct naive *n, unsigned k)
{
    uint64_t pfn = naive_next(n, 0);
    while (k-- > 0 && pfn != UINT64_MAX)
        pfn = naive_next(n, pfn);
    if (pfn == UINT64_MAX)
        return false;
    naive_free(n, pfn);
    iova_tree_free(&d, &pfn, 1);
    return true;
}

static bool tiny_op(struct naive *n, unsigned op)
{
    static const struct {
        uint64_t size, limit;
    } ask[] = { { 1, 7 }, { 2, 7 }, { 3, 7 }, { 1, 5 }, { 1, 14 }, { 3, 13 } };
    if (op >= 6) {
        free_kth(n, op - 6);
        return true;
    }
    const uint64_t want = naive_alloc(n, ask[op].size, ask[op].limit);
    return EXPECT_EQUAL(iova_tree_alloc(&d, ask[op].size, ask[op].limit), want);
}

static void tiny(struct kernel_rig *r, void *state)
{
    struct naive n     = { { 0 }, 0, 0, 0 };
    unsigned sequences = 1;
    (void)state;
    begin(r, TINY_LG2);
    for (unsigned i = 0; i < TINY_LENGTH; i++)
        sequences *= TINY_OPS;
    for (unsigned sequence = 0; sequence < sequences; sequence++) {
        unsigned rest = sequence;
        start_over(&n);
        for (unsigned i = 0; i < TINY_LENGTH; i++, rest /= TINY_OPS)
            if (!tiny_op(&n, rest % TINY_OPS)) {
                EXPECT_EQUAL(sequence, UINT32_MAX); /* Says which. */
                sequence = sequences;
                break;
            }
        CHECK_SLOW((iova_audit(&d), true));
    }
    start_over(&n);
    end();
}

TEST_CASE(iova, every_short_sequence_gives_what_a_naive_search_gives)
{
    kernel_rig_once(RIG_DIRECT, tiny);
}

static void aligned_downwards(struct kernel_rig *r, void *state)
{
    uint64_t pfn[80];
    (void)state;
    begin(r, 12);
    uint64_t below = LIMIT + 1;
    for (uint64_t size = 1; size <= 80; size++) {
        const uint64_t whole = size > 32 ? size : UINT64_C(1) << lg2_ceil(size);
        pfn[size - 1]        = take(size);
        EXPECT(!cached);
        EXPECT_EQUAL(pfn[size - 1], align_down(below - whole, lg2_ceil(size)));
        below = pfn[size - 1];
    }
    EXPECT_EQUAL(d.stats.allocation_tree, 80);
    for (uint64_t size = 1; size <= 80; size++)
        iova_free_fast(&d, pfn[size - 1], size);
    EXPECT_EQUAL(d.stats.release_cached, 32);
    EXPECT_EQUAL(d.stats.release_tree, 48); /* Beyond 32 pages nothing is cached. */
    end();
}

TEST_CASE(iova, ranges_follow_each_other_downwards_each_aligned_to_its_size)
{
    kernel_rig_once(RIG_DIRECT, aligned_downwards);
}

static void refusals(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, TINY_LG2);
    const uint64_t a = iova_tree_alloc(&d, 4, 7); /* 4 .. 7; 1 .. 3 remain. */
    EXPECT_EQUAL(a, 4);
    EXPECT_EQUAL(iova_tree_alloc(&d, 3, 7), 0); /* Aligned to 4: there is no place. */
    const uint64_t steps = d.stats.tree_step;
    EXPECT_EQUAL(iova_tree_alloc(&d, 3, 7), 0);
    EXPECT_EQUAL(iova_tree_alloc(&d, 5, 7), 0);
    EXPECT_EQUAL(d.stats.tree_step, steps); /* Known: nobody searched. */
    EXPECT_EQUAL(iova_tree_alloc(&d, 3, 15), 12);
    EXPECT_EQUAL(iova_tree_alloc(&d, 2, 7), 2); /* Smaller ones are still tried. */
    iova_tree_free(&d, &(uint64_t){ 12 }, 1);
    EXPECT_EQUAL(iova_tree_alloc(&d, 3, 7), 0);
    iova_tree_free(&d, &a, 1);
    EXPECT_EQUAL(iova_tree_alloc(&d, 3, 7), 4); /* Something below 4 GiB came back. */
    iova_tree_free(&d, (uint64_t[]){ 2, 4 }, 2);
    end();
}

TEST_CASE(iova, a_size_refused_below_4g_is_refused_at_once_until_something_comes_back)
{
    kernel_rig_once(RIG_DIRECT, refusals);
}

/* ---- 32 bits first ---------------------------------------------------------------------
 */

enum { BIG_LG2 = 29 }; /* 8 granules below 4 GiB, of which the lowest is never used. */
#define BIG      (UINT64_C(1) << BIG_LG2)
#define MASK64   DMA_BIT_MASK(64)
#define APERTURE (16 * BIG - 1)

static dma_addr_t take_for(struct kernel_rig *r, uint64_t granules, uint64_t mask)
{
    return iova_alloc_for(&d, &r->device, granules * BIG, mask, APERTURE);
}

static void below_4g_first(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, BIG_LG2);
    for (uint64_t i = 7; i > 0; i--)
        EXPECT_EQUAL(take_for(r, 1, MASK64), i * BIG);
    EXPECT(!r->device.dac_first);
    iova_free_fast(&d, 3, 1);
    EXPECT_EQUAL(take_for(r, 2, MASK64), 14 * BIG);
    EXPECT(r->device.dac_first);      /* From now on, although 3 is free below 4 GiB. */
    EXPECT_EQUAL(d.stats.flushed, 0); /* Nobody emptied magazines for it. */
    iova_free_fast(&d, 14, 2);
    EXPECT_EQUAL(take_for(r, 2, MASK64), 14 * BIG);
    iova_free_fast(&d, 4, 1);
    EXPECT_EQUAL(take_for(r, 1, MASK64), 4 * BIG); /* Its magazine does not know. */
    EXPECT_EQUAL(take_for(r, 1, DMA_BIT_MASK(32)), 3 * BIG);
    EXPECT_EQUAL(take_for(r, 1, MASK64), 13 * BIG);
    EXPECT_EQUAL(take_for(r, 1, DMA_BIT_MASK(32)), 0);
    EXPECT_EQUAL(d.stats.flushed, 1);
    for (uint64_t pfn = 1; pfn <= 7; pfn++)
        iova_free_fast(&d, pfn, 1);
    iova_free_fast(&d, 13, 1);
    iova_free_fast(&d, 14, 2);
    end();
}

TEST_CASE(iova, addresses_above_4g_come_once_there_is_no_room_below_and_then_always)
{
    kernel_rig_once(RIG_DIRECT, below_4g_first);
}

static void masks(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, BIG_LG2);
    EXPECT_EQUAL(take_for(r, 1, DMA_BIT_MASK(31)), 3 * BIG);
    EXPECT(!r->device.dac_first);
    r->device.dac_first = true;                     /* As with iommu.forcedac. */
    EXPECT_EQUAL(take_for(r, 1, MASK64), 15 * BIG); /* The aperture's last. */
    EXPECT_EQUAL(take_for(r, 1, 10 * BIG - 1), 9 * BIG);
    r->device.bus_dma_limit = 9 * BIG - 1;
    EXPECT_EQUAL(take_for(r, 1, MASK64), 8 * BIG);
    r->device.bus_dma_limit = 0;
    /* Rounded up to two, and on downwards from the newest. */
    EXPECT_EQUAL(iova_alloc_for(&d, &r->device, BIG + 1, MASK64, APERTURE), 6 * BIG);
    iova_free_fast(&d, 3, 1);
    iova_free_fast(&d, 15, 1);
    iova_free_fast(&d, 9, 1);
    iova_free_fast(&d, 8, 1);
    iova_free_fast(&d, 6, 2);
    end();
}

TEST_CASE(iova, masks_bus_limits_and_the_aperture_bound_every_address)
{
    kernel_rig_once(RIG_DIRECT, masks);
}

static void forcedac(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT(r->device.dac_first);
}

TEST_CASE(iova, forcedac_makes_a_device_start_with_its_whole_mask)
{
    struct kernel_rig *r     = kernel_rig_new(RIG_DIRECT);
    r->linux_config.forcedac = true;
    kernel_rig_run(r, forcedac, NULL);
    kernel_rig_free(r);
}

/* ---- Reserved windows and misuse --------------------------------------------------------
 */

static void reserved(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, 12);
    iova_reserve(&d, 0xfff00, 0xffffe);
    iova_reserve(&d, 0xffe00, 0xffefe);
    EXPECT_EQUAL(take(1), 0xfffff);
    EXPECT_EQUAL(take(1), 0xffeff);
    EXPECT_EQUAL(take(1), 0xffdff);
    iova_free_fast(&d, 0xfffff, 1);
    iova_free_fast(&d, 0xffeff, 1);
    iova_free_fast(&d, 0xffdff, 1);
    end();
}

TEST_CASE(iova, reserved_windows_are_never_handed_out)
{
    kernel_rig_once(RIG_DIRECT, reserved);
}

static void frees_twice(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, 12);
    const uint64_t a = take(40), b = take(40);
    iova_free_fast(&d, a, 40);
    iova_free_fast(&d, a, 40);
    iova_free_fast(&d, b, 40);
}

static void run_frees_twice(void *arg)
{
    (void)arg;
    kernel_rig_once(RIG_DIRECT, frees_twice);
}

TEST_CASE(iova, giving_a_range_back_twice_is_a_violation)
{
    EXPECT_DIES(run_frees_twice, NULL, "node != NULL");
}

/* ---- Held to a recording ---------------------------------------------------------------
 */

static struct {
    uint64_t asked, answered, released;
} seen;

static void note_asked(void *self, struct iova_domain *of, uint64_t granules,
                       uint64_t limit)
{
    (void)self;
    EXPECT(of == &d);
    EXPECT_EQUAL(limit, 0xfffff);
    seen.asked += granules;
}

/* Hands out another free range instead. */
static uint64_t note_answered(void *self, struct iova_domain *of, uint64_t granules,
                              uint64_t pfn, bool from_cache)
{
    const struct iova_hints *hints = self;
    EXPECT(!from_cache);
    seen.answered++;
    iova_tree_withdraw(of, pfn, *hints);
    EXPECT(iova_tree_claim(of, 0x1000, granules));
    EXPECT(!iova_tree_claim(of, 0x1000, 1)); /* It is taken now. */
    return 0x1000;
}

static void note_released(void *self, struct iova_domain *of, uint64_t pfn,
                          uint64_t granules)
{
    (void)self;
    (void)of;
    EXPECT_EQUAL(pfn, 0x1000);
    seen.released += granules;
}

static void watched(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, 12);
    struct iova_hints hints       = iova_tree_hints(&d);
    const struct iova_watch watch = { &hints, note_asked, note_answered, note_released };
    d.watch                       = &watch;
    EXPECT_EQUAL(take(3), 0x1000);
    EXPECT_EQUAL(seen.asked, 3); /* Before it is rounded. */
    EXPECT_EQUAL(seen.answered, 1);
    d.watch = NULL;
    EXPECT_EQUAL(take(4), LIMIT - 3); /* As if nothing had been asked before. */
    d.watch = &watch;
    iova_free_fast(&d, 0x1000, 3);
    EXPECT_EQUAL(seen.released, 3);
    d.watch = NULL;
    EXPECT_EQUAL(take(3), 0x1000); /* In the magazine. */
    iova_free_fast(&d, 0x1000, 3);
    iova_free_fast(&d, LIMIT - 3, 4);
    end();
}

TEST_CASE(iova, a_watch_may_hand_out_another_range)
{
    memset(&seen, 0, sizeof seen);
    kernel_rig_once(RIG_DIRECT, watched);
}

/* Two full magazines and more: the images reach back across a push into the depot. */
static void images(struct kernel_rig *r, void *state)
{
    static struct iova_image before, after;
    uint64_t pfn[2 * IOVA_MAGAZINE + 2];
    (void)state;
    begin(r, 12);
    for (unsigned i = 0; i < 2 * IOVA_MAGAZINE + 2; i++)
        pfn[i] = take(1);
    for (unsigned i = 0; i < 2 * IOVA_MAGAZINE; i++)
        iova_free_fast(&d, pfn[i], 1);
    iova_cache_image(&d, 0, 0, &before);
    EXPECT_EQUAL(before.count[0] + before.count[1], 2 * IOVA_MAGAZINE);
    EXPECT_EQUAL(before.depot, 0);
    EXPECT(iova_cache_put(&d, 0, pfn[2 * IOVA_MAGAZINE]));
    EXPECT_EQUAL(d.cache[0].depot_size, 1);
    iova_cache_restore(&d, 0, 0, &before);
    EXPECT_EQUAL(d.cache[0].depot_size, 0);
    iova_cache_image(&d, 0, 0, &after);
    EXPECT_EQUAL(after.count[0], before.count[0]);
    EXPECT_EQUAL(
        memcmp(after.pfn[0], before.pfn[0], IOVA_MAGAZINE * sizeof before.pfn[0][0]), 0);
    EXPECT(iova_cache_take(&d, 0, pfn[5])); /* From the middle of either. */
    EXPECT(!iova_cache_take(&d, 0, pfn[5]));
    EXPECT_EQUAL(take(1), pfn[2 * IOVA_MAGAZINE - 1]); /* The order of the others stays. */
    iova_free_fast(&d, pfn[2 * IOVA_MAGAZINE - 1], 1);
    EXPECT(iova_cache_put(&d, 0, pfn[5]));
    iova_free_fast(&d, pfn[2 * IOVA_MAGAZINE], 1);
    iova_free_fast(&d, pfn[2 * IOVA_MAGAZINE + 1], 1);
    end();
}

TEST_CASE(iova, magazines_go_back_to_an_image)
{
    kernel_rig_once(RIG_DIRECT, images);
}
