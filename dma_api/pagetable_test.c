/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/pagetable.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/lg2.h"
#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { K4 = 12, M2 = 21, G1 = 30, RW = PT_READ | PT_WRITE };
#define PAGE4K (UINT64_C(1) << K4)
#define PAGE2M (UINT64_C(1) << M2)
#define PAGE1G (UINT64_C(1) << G1)
#define ALL    (PAGE4K | PAGE2M | PAGE1G)

static struct pagetable t;
static uint64_t mapped;

static void begin(struct kernel_rig *r, unsigned levels, uint64_t leaf_sizes)
{
    EXPECT(pagetable_init(&t, &r->kernel, ptfmt_find("vtdss"), levels, leaf_sizes));
}

static unsigned drop(struct kernel_rig *r, struct table_list *list)
{
    unsigned count = 0;
    for (const struct table_page *page = list->first; page != NULL; page = page->next)
        count++;
    table_list_free(&r->kernel, list);
    return count;
}

static int map(uint64_t iova, phys_addr_t phys, uint64_t bytes)
{
    struct table_list freed = { NULL, NULL };
    const int error         = pagetable_map(&t, iova, phys, bytes, RW, &mapped, &freed);
    EXPECT(freed.first == NULL);
    return error;
}

/* How much was unmapped; *tables: how many tables came out. */
static uint64_t unmap(struct kernel_rig *r, uint64_t iova, uint64_t bytes, unsigned *tables)
{
    struct table_list freed = { NULL, NULL };
    const uint64_t done     = pagetable_unmap(&t, iova, bytes, &freed, NULL);
    *tables                 = drop(r, &freed);
    return done;
}

static void expect_translates(struct kernel_rig *r, uint64_t iova, phys_addr_t phys)
{
    uint64_t pa = 0;
    EXPECT_EQUAL(pagetable_lookup(&t, iova), phys);
    EXPECT_EQUAL(kernel_rig_lookup(r, &t, iova, &pa), phys == 0 ? 0 : RW);
    EXPECT_EQUAL(pa, phys);
}

/* ---- Against a naive map ---------------------------------------------------------------
 */

enum { WINDOW_PAGES = 1 << 20, OPS = 34000 };

/* What lies in a window of 4 GiB, page by page, and which tables there must be. */
static struct {
    uint64_t base;
    unsigned levels;
    uint8_t lg2[WINDOW_PAGES]; /* Of the leaf that maps the page; 0: none. */
    uint64_t pa[WINDOW_PAGES];
    bool table[4][WINDOW_PAGES >> 9];
    unsigned tables;
} want;

static uint64_t table_index(unsigned level, uint64_t iova)
{
    const unsigned span = K4 + 9 * (level + 1);
    return (iova >> span) - (want.base >> span);
}

static void want_table(unsigned level, uint64_t iova, bool there)
{
    bool *table = &want.table[level][table_index(level, iova)];
    want.tables = want.tables - *table + there;
    *table      = there;
}

/* Every table that lies within is gone. */
static void want_no_tables(uint64_t iova, uint64_t bytes)
{
    for (unsigned level = 0; level + 1 < want.levels; level++) {
        const unsigned span = K4 + 9 * (level + 1);
        for (uint64_t at = align_up(iova, span); at + (UINT64_C(1) << span) <= iova + bytes;
             at += UINT64_C(1) << span)
            want_table(level, at, false);
    }
}

static uint64_t page_of(uint64_t iova)
{
    return (iova - want.base) >> K4;
}

static bool want_nothing(uint64_t iova, unsigned lg2)
{
    for (uint64_t i = 0; i < UINT64_C(1) << (lg2 - K4); i++)
        if (want.lg2[page_of(iova) + i] != 0)
            return false;
    return true;
}

static unsigned largest_leaf(uint64_t iova, uint64_t phys, uint64_t left)
{
    for (unsigned lg2 = G1; lg2 > K4; lg2 -= 9)
        if (((iova | phys) & mask_lg2(lg2)) == 0 && left >= UINT64_C(1) << lg2)
            return lg2;
    return K4;
}

/* Returns how much could be mapped, and counts the leaves. */
static uint64_t want_map(uint64_t iova, uint64_t phys, uint64_t bytes, unsigned *leaves)
{
    uint64_t done = 0;
    *leaves       = 0;
    while (done < bytes) {
        const unsigned lg2 = largest_leaf(iova + done, phys + done, bytes - done);
        if (!want_nothing(iova + done, lg2))
            break;
        want_no_tables(iova + done, UINT64_C(1) << lg2); /* Empty ones are replaced. */
        for (unsigned level = (lg2 - K4) / 9; level + 1 < want.levels; level++)
            want_table(level, iova + done, true);
        for (uint64_t i = 0; i < UINT64_C(1) << (lg2 - K4); i++) {
            want.lg2[page_of(iova + done) + i] = (uint8_t)lg2;
            want.pa[page_of(iova + done) + i]  = phys + done + (i << K4);
        }
        done += UINT64_C(1) << lg2;
        ++*leaves;
    }
    return done;
}

static unsigned want_unmap(uint64_t iova, uint64_t bytes)
{
    const unsigned before = want.tables;
    memset(&want.lg2[page_of(iova)], 0, bytes >> K4);
    want_no_tables(iova, bytes);
    return before - want.tables;
}

static uint64_t random_bytes(struct rng *rng, uint64_t iova)
{
    const uint64_t room  = want.base + ((uint64_t)WINDOW_PAGES << K4) - iova;
    const uint32_t kind  = rng_below(rng, 256);
    const uint64_t small = (uint64_t)(1 + rng_below(rng, 24)) << K4;
    uint64_t bytes       = small;
    if (kind < 24)
        bytes = (uint64_t)(1 + rng_below(rng, 4)) << M2;
    else if (kind < 32)
        bytes = ((uint64_t)(1 + rng_below(rng, 4)) << M2) + small;
    else if (kind == 255)
        bytes = ((uint64_t)(1 + rng_below(rng, 2)) << G1) + small;
    return bytes < room ? bytes : room;
}

static uint64_t random_iova(struct rng *rng)
{
    static const unsigned lg2[] = { K4, K4, M2, M2, M2, G1 };
    const uint64_t page         = rng_below(rng, WINDOW_PAGES);
    return want.base + align_down(page << K4, lg2[rng_below(rng, 6)]);
}

static void random_map(struct kernel_rig *r, struct rng *rng, uint64_t iova)
{
    static const unsigned congruent[] = { K4, M2, G1, G1 };
    struct table_list freed           = { NULL, NULL };
    const unsigned lg2                = congruent[rng_below(rng, 4)];
    const uint64_t bytes              = random_bytes(rng, iova);
    const uint64_t phys               = ((uint64_t)(1 + rng_below(rng, 256)) << G1)
                          + (iova & mask_lg2(lg2) & ~mask_lg2(K4));
    const uint64_t changed = r->cpu[0].time;
    unsigned leaves;
    const uint64_t done = want_map(iova, phys, bytes, &leaves);
    const int error     = pagetable_map(&t, iova, phys, bytes, RW, &mapped, &freed);
    EXPECT_EQUAL(error, done < bytes ? -EADDRINUSE : 0);
    EXPECT_EQUAL(mapped, done);
    /* A refusal looks at the entry in its way, unless a larger leaf is above it. */
    EXPECT(r->cpu[0].time - changed - leaves <= (error != 0));
    drop(r, &freed);
    EXPECT_EQUAL(r->kernel.stats.table_allocated - r->kernel.stats.table_freed,
                 want.tables + 1);
    if (error != 0 && done > 0) {
        unsigned tables;
        EXPECT_EQUAL(unmap(r, iova, done, &tables), done);
        EXPECT_EQUAL(tables, want_unmap(iova, done));
    }
}

/* From the first page of the leaf at iova, some leaves further or a little into them. */
static void random_unmap(struct kernel_rig *r, struct rng *rng, uint64_t iova)
{
    uint64_t first = page_of(align_down(iova, want.lg2[page_of(iova)])), last = first;
    unsigned leaves = 0, tables;
    for (uint32_t left = 1 + rng_below(rng, 1 + rng_below(rng, 4000)); left > 0; left--) {
        if (last == WINDOW_PAGES || want.lg2[last] == 0)
            break;
        last += UINT64_C(1) << (want.lg2[last] - K4);
        leaves++;
    }
    const uint64_t start = want.base + (first << K4), bytes = (last - first) << K4;
    const uint64_t changed = r->cpu[0].time;
    EXPECT_EQUAL(unmap(r, start, bytes, &tables), bytes);
    EXPECT_EQUAL(r->cpu[0].time - changed, leaves);
    EXPECT_EQUAL(tables, want_unmap(start, bytes));
}

static void expect_pages(struct kernel_rig *r, uint64_t first, uint64_t count,
                         uint64_t step)
{
    for (uint64_t i = first; i < first + count && i < WINDOW_PAGES; i += step) {
        const uint64_t inside = i * 8 % PAGE4K;
        expect_translates(r, want.base + (i << K4) + inside,
                          want.lg2[i] == 0 ? 0 : want.pa[i] + inside);
    }
}

static void random_ops(struct kernel_rig *r, void *state)
{
    struct rng rng  = rng_make(want.levels, "pagetable");
    unsigned unmaps = 0;
    (void)state;
    begin(r, want.levels, ALL);
    for (unsigned i = 0; i < OPS; i++) {
        const uint64_t iova = random_iova(&rng), page = page_of(iova);
        if (want.lg2[page] != 0) {
            random_unmap(r, &rng, iova);
            unmaps++;
        } else {
            random_map(r, &rng, iova);
        }
        expect_pages(r, page, 3, 1);
        if (i % 4096 == 0)
            EXPECT_EQUAL(kernel_rig_tables(r, &t), want.tables);
    }
    expect_pages(r, 0, WINDOW_PAGES, 5);
    EXPECT(unmaps > OPS / 8);
    EXPECT_EQUAL(kernel_rig_tables(r, &t), want.tables);
    pagetable_free(&t);
}

/* Only a changed entry has a price: a cycle of 1 ps. */
static void price_entries_only(struct kernel_rig *r)
{
    memset(&r->cpu_config, 0, sizeof r->cpu_config);
    memset(&r->cost, 0, sizeof r->cost);
    r->cpu_config.period_ps    = 1;
    r->cost.map_entry_cycles   = 1;
    r->cost.unmap_entry_cycles = 1;
}

static void run_random_ops(unsigned levels, uint64_t base)
{
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    memset(&want, 0, sizeof want);
    want.levels = levels;
    want.base   = base;
    price_entries_only(r);
    kernel_rig_run(r, random_ops, NULL);
    kernel_rig_free(r);
}

TEST_CASE(pagetable, random_maps_and_unmaps_are_those_of_a_naive_map_with_3_levels)
{
    run_random_ops(3, (UINT64_C(1) << 39) - 4 * PAGE1G); /* Up to the last address. */
}

TEST_CASE(pagetable, random_maps_and_unmaps_are_those_of_a_naive_map_with_4_levels)
{
    run_random_ops(4,
                   (UINT64_C(1) << 39) - 2 * PAGE1G); /* Across two third-level tables. */
}

TEST_CASE(pagetable, random_maps_and_unmaps_are_those_of_a_naive_map_with_5_levels)
{
    run_random_ops(5, (UINT64_C(1) << 48) - 2 * PAGE1G);
}

/* ---- The price of a run ---------------------------------------------------------------
 */

/* Lines of entries between two of them, both included. */
static uint64_t lines_of(uint64_t first, uint64_t count)
{
    return ((first + count - 1) >> 3) - (first >> 3) + 1;
}

/*
 * Runs of every length up to five lines from every place in a line, beside others of the
 * same table: a cycle for each access to a line, of which the way down takes some.
 */
static void lines_are_paid_once(struct kernel_rig *r, unsigned page_lg2, unsigned down)
{
    const uint64_t base = UINT64_C(1) << 36;
    begin(r, 4, ALL);
    EXPECT_EQUAL(map(base, base, UINT64_C(1) << page_lg2), 0); /* All tables are there. */
    for (uint64_t first = 8; first < 16; first++)
        for (uint64_t count = 1; count <= 40; count++) {
            const uint64_t iova = base + (first << page_lg2), bytes = count << page_lg2;
            uint64_t from = r->cpu[0].time;
            unsigned tables;
            EXPECT_EQUAL(map(iova, iova, bytes), 0);
            EXPECT_EQUAL(r->cpu[0].time - from, down + lines_of(first, count));
            from = r->cpu[0].time;
            EXPECT_EQUAL(unmap(r, iova, bytes, &tables), bytes);
            EXPECT_EQUAL(r->cpu[0].time - from, down + lines_of(first, count));
            EXPECT_EQUAL(tables, 0);
        }
    pagetable_free(&t);
}

static void small_lines(struct kernel_rig *r, void *state)
{
    (void)state;
    lines_are_paid_once(r, K4, 3);
}

static void large_lines(struct kernel_rig *r, void *state)
{
    (void)state;
    lines_are_paid_once(r, M2, 2);
}

static void price_lines(kernel_program *program)
{
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    memset(&r->cpu_config, 0, sizeof r->cpu_config);
    memset(&r->cost, 0, sizeof r->cost);
    r->cpu_config.period_ps   = 1;
    r->cpu_config.hit_cycles  = 1;
    r->cpu_config.cold_cycles = 1;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

TEST_CASE(pagetable, a_run_of_small_leaves_pays_for_each_line_once)
{
    price_lines(small_lines);
}

TEST_CASE(pagetable, a_run_of_large_leaves_pays_for_each_line_once)
{
    price_lines(large_lines);
}

/* ---- Known cases -----------------------------------------------------------------------
 */

/* Two of the kernel's own tests of its page tables. */
static void known(struct kernel_rig *r, void *state)
{
    const uint64_t first = UINT64_C(0x3fe400) << K4, last = UINT64_C(0x4c0600) << K4;
    unsigned tables;
    (void)state;
    begin(r, 4, ALL);
    EXPECT_EQUAL(map(first, first, last - first), 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &t, M2), 17);
    EXPECT_EQUAL(kernel_rig_leaves(r, &t, G1), 3);
    EXPECT_EQUAL(kernel_rig_leaves(r, &t, K4), 0);
    EXPECT_EQUAL(map(0xfef80000, 0x208b95d000, 0x20000), 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &t, K4), 32); /* Never congruent. */
    expect_translates(r, 0xfef9ffff & ~7u, 0x208b97cff8);
    EXPECT_EQUAL(unmap(r, first, last - first, &tables), last - first);
    EXPECT_EQUAL(tables, 0); /* Neither table of 2 MiB leaves was covered. */
    EXPECT_EQUAL(r->kernel.stats.page_mapped, ((last - first) >> K4) + 32);
    EXPECT_EQUAL(r->kernel.stats.page_unmapped, (last - first) >> K4);
    EXPECT_EQUAL(r->kernel.stats.range_mapped, 2);
    pagetable_free(&t);
}

TEST_CASE(pagetable, leaves_are_chosen_as_in_the_kernels_own_tests)
{
    kernel_rig_once(RIG_DIRECT, known);
}

static void subsets(struct kernel_rig *r, void *state)
{
    (void)state;
    begin(r, 4, PAGE4K);
    EXPECT_EQUAL(map(PAGE2M, PAGE2M, PAGE2M), 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &t, K4), 512);
    pagetable_free(&t);
    begin(r, 4, PAGE4K | PAGE1G);
    EXPECT_EQUAL(map(PAGE1G - PAGE2M, PAGE1G - PAGE2M, PAGE2M + PAGE1G), 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &t, K4), 512);
    EXPECT_EQUAL(kernel_rig_leaves(r, &t, M2), 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &t, G1), 1);
    pagetable_free(&t);
}

TEST_CASE(pagetable, only_leaf_sizes_that_the_hardware_has_are_used)
{
    kernel_rig_once(RIG_DIRECT, subsets);
}

static void covered(struct kernel_rig *r, void *state)
{
    const uint64_t at = 4 * PAGE1G;
    unsigned tables;
    (void)state;
    begin(r, 4, PAGE4K);
    EXPECT_EQUAL(map(at, PAGE1G, PAGE2M), 0);
    EXPECT_EQUAL(kernel_rig_tables(r, &t), 3);
    EXPECT_EQUAL(unmap(r, at, PAGE2M - PAGE4K, &tables), PAGE2M - PAGE4K);
    EXPECT_EQUAL(tables, 0);
    EXPECT_EQUAL(unmap(r, at + PAGE2M - PAGE4K, PAGE4K, &tables), PAGE4K);
    EXPECT_EQUAL(tables, 0); /* Empty, but this unmap did not cover it. */
    EXPECT_EQUAL(map(at, PAGE1G, PAGE1G), 0);
    EXPECT_EQUAL(kernel_rig_tables(r, &t), 2 + 512);
    EXPECT_EQUAL(unmap(r, at, PAGE2M, &tables), PAGE2M);
    EXPECT_EQUAL(tables, 1);
    EXPECT_EQUAL(map(at, PAGE1G, PAGE2M), 0);
    EXPECT_EQUAL(unmap(r, at, PAGE1G, &tables), PAGE1G);
    EXPECT_EQUAL(tables, 513); /* The one above them, too. */
    EXPECT_EQUAL(kernel_rig_tables(r, &t), 1);
    pagetable_free(&t);
}

TEST_CASE(pagetable, a_table_comes_out_with_an_unmap_that_covers_all_it_spans)
{
    kernel_rig_once(RIG_DIRECT, covered);
}

static void oddities(struct kernel_rig *r, void *state)
{
    unsigned tables;
    (void)state;
    begin(r, 4, ALL);
    EXPECT_EQUAL(map(PAGE2M, PAGE2M, 2 * PAGE2M), 0);
    EXPECT_EQUAL(map(5 * PAGE2M, 0, 8 * PAGE4K), 0);
    EXPECT_EQUAL(unmap(r, PAGE2M + PAGE4K, PAGE4K, &tables), 0); /* Begins inside. */
    EXPECT_EQUAL(unmap(r, PAGE2M, PAGE4K, &tables), PAGE2M);     /* Ends inside. */
    expect_translates(r, PAGE2M, 0);
    expect_translates(r, 2 * PAGE2M, 2 * PAGE2M);       /* The neighbour stays. */
    EXPECT_EQUAL(unmap(r, PAGE2M, PAGE2M, &tables), 0); /* Nothing is there. */
    EXPECT_EQUAL(unmap(r, 2 * PAGE2M, 8 * PAGE2M, &tables), PAGE2M); /* Then a hole. */
    EXPECT_EQUAL(unmap(r, 5 * PAGE2M, 9 * PAGE4K, &tables), 8 * PAGE4K);
    EXPECT_EQUAL(unmap(r, UINT64_C(1) << 48, PAGE4K, &tables), 0); /* Beyond the table. */
    EXPECT_EQUAL(pagetable_lookup(&t, UINT64_C(1) << 48), 0);
    EXPECT_EQUAL(tables, 0);
    pagetable_free(&t);
}

TEST_CASE(pagetable, an_unmap_stops_at_holes_and_never_splits_a_leaf)
{
    kernel_rig_once(RIG_DIRECT, oddities);
}

static int map_with(uint64_t iova, phys_addr_t phys, uint64_t bytes, unsigned prot)
{
    struct table_list freed = { NULL, NULL };
    return pagetable_map(&t, iova, phys, bytes, prot, &mapped, &freed);
}

static void refusals(struct kernel_rig *r, void *state)
{
    const uint64_t top = UINT64_C(1) << 39, end = UINT64_C(1) << 52;
    unsigned tables;
    (void)state;
    begin(r, 3, ALL);
    EXPECT_EQUAL(map(PAGE4K, 0, 0), -EINVAL);
    EXPECT_EQUAL(map_with(PAGE4K, 0, PAGE4K, 0), -EINVAL);
    EXPECT_EQUAL(map(UINT64_MAX & ~mask_lg2(K4), 0, 2 * PAGE4K), -EOVERFLOW);
    EXPECT_EQUAL(map(top - PAGE4K, 0, 2 * PAGE4K), -ERANGE);
    EXPECT_EQUAL(map(PAGE4K, end - PAGE4K, 2 * PAGE4K), -ERANGE);
    EXPECT_EQUAL(map(PAGE4K + 512, 0, PAGE4K), -ENXIO);
    EXPECT_EQUAL(map(PAGE4K, 512, PAGE4K), -ENXIO);
    EXPECT_EQUAL(mapped, 0);
    EXPECT_EQUAL(r->kernel.stats.table_allocated, 1);
    EXPECT_EQUAL(map(top - PAGE4K, end - PAGE4K, PAGE4K), 0); /* The very last of both. */
    expect_translates(r, top - 8, end - 8);
    EXPECT_EQUAL(map(top - PAGE4K, 0, PAGE4K), -EADDRINUSE);
    EXPECT_EQUAL(map(top - PAGE2M, 0, PAGE2M), -EADDRINUSE); /* 2 MiB over 4 KiB. */
    EXPECT_EQUAL(mapped, 0);
    EXPECT_EQUAL(map(top - 3 * PAGE4K, 0, 3 * PAGE4K), -EADDRINUSE);
    EXPECT_EQUAL(mapped, 2 * PAGE4K); /* The caller takes these back. */
    EXPECT_EQUAL(unmap(r, top - 3 * PAGE4K, 3 * PAGE4K, &tables), 3 * PAGE4K);
    EXPECT_EQUAL(r->kernel.stats.range_mapped, 1);
    pagetable_free(&t);
}

TEST_CASE(pagetable, each_refusal_has_its_errno_and_says_how_far_it_came)
{
    kernel_rig_once(RIG_DIRECT, refusals);
}

static void permissions(struct kernel_rig *r, void *state)
{
    uint64_t pa;
    (void)state;
    begin(r, 4, ALL);
    for (unsigned prot = PT_READ; prot <= RW; prot++) {
        EXPECT_EQUAL(map_with(prot * PAGE4K, PAGE2M, PAGE4K, prot), 0);
        EXPECT_EQUAL(map_with(prot * PAGE2M, PAGE2M, PAGE2M, prot), 0);
        EXPECT_EQUAL(kernel_rig_lookup(r, &t, prot * PAGE4K, &pa), prot);
        EXPECT_EQUAL(kernel_rig_lookup(r, &t, prot * PAGE2M, &pa), prot);
    }
    pagetable_free(&t);
}

TEST_CASE(pagetable, read_and_write_are_allowed_apart)
{
    kernel_rig_once(RIG_DIRECT, permissions);
}

/* A large leaf over tables without leaves: they come out, with all below them. */
static void replaced(struct kernel_rig *r, void *state)
{
    struct table_list freed = { NULL, NULL };
    unsigned tables;
    (void)state;
    begin(r, 4, ALL);
    EXPECT_EQUAL(map(0, PAGE4K, PAGE4K), 0);
    EXPECT_EQUAL(map(PAGE2M, PAGE4K, PAGE4K), 0);
    EXPECT_EQUAL(unmap(r, PAGE2M, PAGE4K, &tables), PAGE4K);
    EXPECT_EQUAL(pagetable_map(&t, 0, 0, PAGE1G, RW, &mapped, &freed), -EADDRINUSE);
    EXPECT(freed.first == NULL);
    EXPECT_EQUAL(unmap(r, 0, PAGE4K, &tables), PAGE4K);
    EXPECT_EQUAL(kernel_rig_tables(r, &t), 4);
    EXPECT_EQUAL(pagetable_map(&t, 0, 0, PAGE1G, RW, &mapped, &freed), 0);
    EXPECT_EQUAL(drop(r, &freed), 3);
    EXPECT_EQUAL(kernel_rig_tables(r, &t), 1);
    expect_translates(r, PAGE2M + 8, PAGE2M + 8);
    pagetable_free(&t);
}

TEST_CASE(pagetable, a_large_leaf_replaces_empty_tables_but_no_leaf)
{
    kernel_rig_once(RIG_DIRECT, replaced);
}

/* ---- Several CPUs, and no memory -------------------------------------------------------
 */

static void disjoint(struct kernel_rig *r, void *state)
{
    const unsigned me = cpu_this()->id;
    unsigned tables;
    (void)state;
    if (me == 0)
        begin(r, 4, ALL);
    for (uint64_t round = 0; round < 8; round++) {
        const uint64_t at = round * PAGE1G + me * PAGE4K;
        kernel_rig_meet(r); /* All want the same three tables at the same time. */
        struct table_list freed = { NULL, NULL };
        uint64_t done;
        EXPECT_EQUAL(pagetable_map(&t, at, (me + 1) * PAGE1G, PAGE4K, RW, &done, &freed),
                     0);
        EXPECT_EQUAL(done, PAGE4K);
    }
    kernel_rig_meet(r);
    if (me != 0)
        return;
    EXPECT_EQUAL(kernel_rig_tables(r, &t), 1 + 2 * 8);
    EXPECT(r->kernel.stats.table_freed > 0); /* Those who were slower. */
    for (uint64_t i = 0; i < 8 * r->cpus; i++)
        expect_translates(r, i / r->cpus * PAGE1G + i % r->cpus * PAGE4K,
                          (i % r->cpus + 1) * PAGE1G);
    EXPECT_EQUAL(unmap(r, 0, r->cpus * PAGE4K, &tables), r->cpus * PAGE4K);
    pagetable_free(&t);
}

TEST_CASE(pagetable, cpus_that_need_the_same_table_agree_on_one)
{
    struct kernel_rig *r      = kernel_rig_new(RIG_DIRECT);
    r->cpus                   = 4;
    r->cpu_config.wake_cycles = 0; /* All at once. */
    kernel_rig_run(r, disjoint, NULL);
    kernel_rig_free(r);
}

static void without_pages(struct kernel_rig *r, void *state)
{
    const uint64_t at = PAGE1G - 2 * PAGE4K, bytes = 4 * PAGE4K;
    unsigned tables;
    (void)state;
    for (unsigned nth = 1; nth <= 6; nth++) { /* The root, and 2 + 3 below it. */
        kernel_rig_fail_at(r, nth);
        const bool rooted = pagetable_init(&t, &r->kernel, ptfmt_find("vtdss"), 4, ALL);
        EXPECT_EQUAL(rooted, nth != 1);
        if (!rooted)
            continue;
        EXPECT_EQUAL(map(at, PAGE4K, bytes), -ENOMEM);
        EXPECT(kernel_rig_failed(r));
        EXPECT_EQUAL(mapped, nth < 5 ? 0 : bytes / 2);
        if (mapped > 0)
            EXPECT_EQUAL(unmap(r, at, mapped, &tables), mapped);
        EXPECT_EQUAL(map(at, PAGE4K, bytes), 0); /* Later there is memory again. */
        EXPECT_EQUAL(kernel_rig_tables(r, &t), 5);
        pagetable_free(&t);
        EXPECT_EQUAL(r->kernel.pages.out, 0);
    }
}

TEST_CASE(pagetable, no_page_at_any_of_the_places_that_need_one)
{
    kernel_rig_once(RIG_DIRECT, without_pages);
}
