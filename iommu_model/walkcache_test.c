/* SPDX-License-Identifier: Apache-2.0 */
/* The caches of table pointers, level by level, and what invalidations leave of them. */
#include "iommu_model/walkcache.h"

#include "sim/test/rig.h"
#include "sim/test/shim.h"

static struct walkcache cache;
static const struct pt_format *format;

static void make(const uint32_t entries[WALKCACHE_LEVELS], uint32_t ways)
{
    struct walkcache_config c;
    param_reset(&walkcache_param_table, &c);
    c.level0_entries = entries[0];
    c.level1_entries = entries[1];
    c.level2_entries = entries[2];
    c.level3_entries = entries[3];
    c.ways           = ways;
    format           = ptfmt_find("vtdss");
    walkcache_init(&cache, &c, 1);
}

static const uint32_t four_each[WALKCACHE_LEVELS] = { 4, 4, 4, 4 };
static const space_t home                         = SPACE_STAGE_2 | 1;

static void fill(uint64_t iova, unsigned level, uint64_t table)
{
    walkcache_fill(&cache, format, home, iova, level, table, PT_READ | PT_WRITE, 0);
}

/* The level and, in *table, the table that a walk of so many levels begins with. */
static unsigned begins(space_t space, uint64_t iova, unsigned levels, uint64_t *table)
{
    uint8_t prot = PT_ALL;
    *table       = 0;
    return walkcache_lookup(&cache, format, space, iova, levels - 1, table, &prot);
}

static uint32_t drop(space_t mask, space_t value, uint64_t first, uint64_t last)
{
    const struct inv_selector s = { mask, value, first, last, false, false, false, false };
    return walkcache_invalidate(&cache, &s);
}

/* ---- Levels
 * ------------------------------------------------------------------------------ */

TEST_CASE(walkcache, a_look_up_begins_at_the_deepest_table_it_knows)
{
    uint64_t table;
    make(four_each, 4);
    EXPECT_EQUAL(begins(home, 0x40201000, 5, &table), 4);
    for (unsigned level = WALKCACHE_LEVELS; level-- > 0;) {
        fill(0x40201000, level, 0x1000 * (level + 1));
        EXPECT_EQUAL(begins(home, 0x40201000, 5, &table), level);
        EXPECT_EQUAL(table, 0x1000 * (level + 1));
    }
    EXPECT_EQUAL(cache.stats.lookup, 5);
    EXPECT_EQUAL(cache.stats.lookup_missed, 1);
    EXPECT_EQUAL(cache.stats.lookup_level0 + cache.stats.lookup_level1, 2);
    EXPECT_EQUAL(cache.stats.lookup_level2 + cache.stats.lookup_level3, 2);
    EXPECT_EQUAL(cache.stats.entry_filled, 4);
    walkcache_free(&cache);
}

/* Each level's pointer reaches as far as its table translates, and not a byte further. */
TEST_CASE(walkcache, a_pointer_serves_exactly_the_span_of_its_table)
{
    uint64_t table;
    for (unsigned level = 0; level < WALKCACHE_LEVELS; level++) {
        const uint64_t span = UINT64_C(1) << (21 + 9 * level);
        make(four_each, 4);
        fill(span, level, 0x5000);
        EXPECT_EQUAL(begins(home, span - 1, 5, &table), 4);
        EXPECT_EQUAL(begins(home, span, 5, &table), level);
        EXPECT_EQUAL(begins(home, 2 * span - 1, 5, &table), level);
        EXPECT_EQUAL(begins(home, 2 * span, 5, &table), 4);
        walkcache_free(&cache);
    }
}

/* The root is known from the context: it never comes from a cache. */
TEST_CASE(walkcache, the_level_of_the_root_is_not_asked)
{
    uint64_t table;
    make(four_each, 4);
    fill(0, 3, 0x3000);
    fill(0, 2, 0x2000);
    EXPECT_EQUAL(begins(home, 0, 3, &table), 2);
    EXPECT_EQUAL(table, 0); /* Left alone. */
    EXPECT_EQUAL(begins(home, 0, 4, &table), 2);
    EXPECT_EQUAL(table, 0x2000);
    EXPECT_EQUAL(cache.stats.lookup_missed, 1);
    EXPECT_EQUAL(cache.stats.lookup_level2, 1);
    walkcache_free(&cache);
}

TEST_CASE(walkcache, a_level_without_entries_remembers_nothing)
{
    const uint32_t entries[WALKCACHE_LEVELS] = { 0, 4, 0, 1 };
    uint64_t table;
    make(entries, 4);
    for (unsigned level = 0; level < WALKCACHE_LEVELS; level++)
        fill(0, level, 0x1000 * (level + 1));
    EXPECT_EQUAL(cache.stats.entry_filled, 2);
    EXPECT_EQUAL(begins(home, 0, 5, &table), 1);
    EXPECT_EQUAL(begins(home, UINT64_C(1) << 30, 5, &table), 3);
    fill(UINT64_C(1) << 48, 3, 0x9000); /* The only entry of its level. */
    EXPECT_EQUAL(begins(home, UINT64_C(1) << 30, 5, &table), 4);
    EXPECT_EQUAL(cache.stats.entry_evicted, 1);
    fill(0, 4, 0x7000); /* No level of the cache's. */
    EXPECT_EQUAL(cache.stats.entry_filled, 3);
    EXPECT(walkcache_holds(&cache, 0x9000));
    EXPECT(!walkcache_holds(&cache, 0x4000));
    EXPECT(!walkcache_holds(&cache, 0x7000));
    walkcache_free(&cache);
}

TEST_CASE(walkcache, rights_come_back_with_the_pointer)
{
    uint64_t table = 0;
    uint8_t prot   = PT_ALL;
    make(four_each, 4);
    walkcache_fill(&cache, format, home, 0, 1, 0x1000, PT_READ, 0);
    EXPECT_EQUAL(walkcache_lookup(&cache, format, home, 0, 3, &table, &prot), 1);
    EXPECT_EQUAL(prot, PT_READ);
    EXPECT_EQUAL(
        walkcache_lookup(&cache, format, home | SPACE_GUEST_WALK, 0, 3, &table, &prot), 3);
    walkcache_free(&cache);
}

TEST_CASE(walkcache, a_range_drops_a_pointer_from_its_first_byte_to_its_last)
{
    for (unsigned level = 0; level < WALKCACHE_LEVELS; level++) {
        const uint64_t span = UINT64_C(1) << (21 + 9 * level);
        make(four_each, 4);
        fill(span, level, 0x5000);
        EXPECT_EQUAL(drop(0, 0, 0, span - 1), 0);
        EXPECT_EQUAL(drop(0, 0, 2 * span, UINT64_MAX), 0);
        EXPECT_EQUAL(drop(SPACE_DOMAIN_MASK, 2, 0, UINT64_MAX), 0);
        EXPECT_EQUAL(drop(SPACE_DOMAIN_MASK, 1, 0, span), 1);
        fill(span, level, 0x5000);
        EXPECT_EQUAL(drop(0, 0, 2 * span - 1, UINT64_MAX), 1);
        EXPECT(!walkcache_holds(&cache, 0x5000));
        walkcache_free(&cache);
    }
}

/* ---- Against a naive list
 * ----------------------------------------------------------------- */

enum { KNOWN_MAX = 32 };

struct known {
    unsigned level, domain;
    uint64_t first, last, table, used;
};

static struct oracle {
    struct known known[KNOWN_MAX];
    unsigned count, sets, ways;
    uint64_t clock;
} oracle;

static struct known *oracle_find(unsigned level, unsigned domain, uint64_t iova)
{
    for (unsigned i = 0; i < oracle.count; i++) {
        struct known *k = &oracle.known[i];
        if (k->level == level && k->domain == domain && iova >= k->first && iova <= k->last)
            return k;
    }
    return NULL;
}

static unsigned oracle_set(unsigned level, uint64_t iova)
{
    return (unsigned)((iova >> (21 + 9 * level)) % oracle.sets);
}

static struct known *oracle_room(unsigned level, uint64_t iova)
{
    struct known *oldest = NULL;
    unsigned filled      = 0;
    for (unsigned i = 0; i < oracle.count; i++) {
        struct known *k = &oracle.known[i];
        if (k->level != level || oracle_set(level, k->first) != oracle_set(level, iova))
            continue;
        filled++;
        if (oldest == NULL || k->used < oldest->used)
            oldest = k;
    }
    if (filled == oracle.ways)
        return oldest;
    CHECK(oracle.count < KNOWN_MAX);
    return &oracle.known[oracle.count++];
}

static void both_fill(unsigned domain, uint64_t iova, unsigned level, uint64_t table)
{
    const unsigned lg2   = 21 + 9 * level;
    const uint64_t first = iova >> lg2 << lg2;
    struct known *k      = oracle_find(level, domain, iova);
    if (k == NULL)
        k = oracle_room(level, iova);
    *k = (struct known){ level, domain,        first, first + ((UINT64_C(1) << lg2) - 1),
                         table, ++oracle.clock };
    walkcache_fill(&cache, format, space_make(domain, 0, STAGE_2), iova, level, table,
                   PT_READ, 0);
}

static bool both_look_up(unsigned domain, uint64_t iova, unsigned levels)
{
    uint64_t table, want = 0;
    unsigned level = 0;
    for (; level + 1 < levels && level < WALKCACHE_LEVELS; level++) {
        struct known *k = oracle_find(level, domain, iova);
        if (k == NULL)
            continue;
        k->used = ++oracle.clock;
        want    = k->table;
        break;
    }
    return EXPECT_EQUAL(begins(space_make(domain, 0, STAGE_2), iova, levels, &table), level)
           && EXPECT_EQUAL(table, want);
}

static bool both_drop(unsigned domain, uint64_t first, uint64_t last)
{
    unsigned count = 0;
    for (unsigned i = oracle.count; i-- > 0;) {
        const struct known *k = &oracle.known[i];
        if ((domain != 0 && k->domain != domain) || k->last < first || k->first > last)
            continue;
        oracle.known[i] = oracle.known[--oracle.count];
        count++;
    }
    return EXPECT_EQUAL(drop(domain != 0 ? SPACE_DOMAIN_MASK : 0, domain, first, last),
                        count);
}

static uint64_t some_iova(struct rng *rng)
{
    uint64_t iova = 0;
    for (unsigned level = 0; level < 5; level++) {
        static const uint64_t index[3] = { 0, 1, 511 };
        iova |= index[rng_below(rng, 3)] << (12 + 9 * level);
    }
    return iova;
}

static bool random_step(struct rng *rng, uint64_t n)
{
    const unsigned domain = 1 + rng_below(rng, 2), what = rng_below(rng, 12);
    const unsigned lg2  = 12 + rng_below(rng, 46);
    const uint64_t iova = some_iova(rng), first = iova >> lg2 << lg2;
    if (what < 5)
        both_fill(domain, iova, rng_below(rng, 4), (n + 1) << 12);
    else if (what < 10)
        return both_look_up(domain, iova, 3 + rng_below(rng, 3));
    else if (what == 10)
        return both_drop(domain, first, first + (UINT64_C(1) << lg2) - 1);
    else
        return both_drop(rng_below(rng, 4) == 0 ? 0 : domain, 0, UINT64_MAX);
    return true;
}

TEST_CASE(walkcache, equals_a_naive_list_over_random_operations)
{
    for (unsigned sets = 1; sets <= 2; sets++)
        for (unsigned ways = 1; ways <= 2; ways++) {
            const uint32_t each                      = sets * ways;
            const uint32_t entries[WALKCACHE_LEVELS] = { each, each, each, each };
            struct rng rng                           = rng_make(each, "walkcache test");
            make(entries, ways);
            oracle = (struct oracle){ .sets = sets, .ways = ways };
            for (uint64_t n = 0; n < 20000 && random_step(&rng, n); n++)
                ;
            EXPECT(cache.stats.entry_evicted > 100);
            EXPECT(cache.stats.entry_invalidated > 100);
            walkcache_free(&cache);
        }
}

/* ---- What commands leave of it
 * -------------------------------------------------------------- */

enum { DEVICE = 0x28, DOMAIN = 4, OTHER_DEVICE = 0x30, OTHER_DOMAIN = 5, LEVELS = 4 };

static struct rig rig;
static struct iommu_response answer;
static uint64_t root;

/* Two neighbours of one leaf table, one page a table further, and another domain. */
static void start_warm(void)
{
    rig_defaults(&rig);
    rig_start(&rig);
    root                 = rig_attach(&rig, DEVICE, DOMAIN, LEVELS);
    const uint64_t other = rig_attach(&rig, OTHER_DEVICE, OTHER_DOMAIN, LEVELS);
    rig_map(&rig, root, LEVELS, 0x1000, 0x10000, 12, PT_READ);
    rig_map(&rig, root, LEVELS, 0x2000, 0x20000, 12, PT_READ);
    rig_map(&rig, root, LEVELS, 0x201000, 0x30000, 12, PT_READ);
    rig_map(&rig, root, LEVELS, 0x400000, 0x800000, 21, PT_READ);
    rig_map(&rig, other, LEVELS, 0x1000, 0x40000, 12, PT_READ);
    rig_translate(&rig, DEVICE, 0x1000, PT_READ, &answer);
    rig_translate(&rig, DEVICE, 0x201000, PT_READ, &answer);
    rig_translate(&rig, DEVICE, 0x400000, PT_READ, &answer);
    rig_translate(&rig, OTHER_DEVICE, 0x1000, PT_READ, &answer);
}

static void command(struct vtd_descriptor d)
{
    rig_queue(&rig, d);
    CHECK(rig_wait(&rig) != TIME_NEVER);
}

static unsigned reads_of(unsigned device, uint64_t iova)
{
    rig_translate(&rig, device, iova, PT_READ, &answer);
    EXPECT(answer.outcome != XLATE_faulted);
    return answer.reads;
}

TEST_CASE(walkcache, each_pointer_saves_the_reads_above_it)
{
    start_warm();
    EXPECT_EQUAL(reads_of(DEVICE, 0x2000), 1);   /* Its leaf table is known. */
    EXPECT_EQUAL(reads_of(DEVICE, 0x400000), 0); /* Cached itself. */
    command(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x400000, 9, true));
    EXPECT_EQUAL(reads_of(DEVICE, 0x400000), 1); /* The table of its large page is. */
    rig_stop(&rig);
}

TEST_CASE(walkcache, an_invalidation_of_leaves_keeps_the_pointers)
{
    start_warm();
    command(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 0, true));
    EXPECT_EQUAL(rig.iommu.walkcache.stats.entry_invalidated, 0);
    EXPECT_EQUAL(reads_of(DEVICE, 0x1000), 1);
    EXPECT_EQUAL(reads_of(DEVICE, 0x201000), 0);
    rig_stop(&rig);
}

TEST_CASE(walkcache, an_invalidation_of_one_page_drops_the_pointers_on_its_way)
{
    start_warm();
    command(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 0, false));
    EXPECT_EQUAL(rig.iommu.walkcache.stats.entry_invalidated, 3);
    EXPECT_EQUAL(reads_of(OTHER_DEVICE, 0x1000), 0);
    EXPECT_EQUAL(reads_of(DEVICE, 0x201000), 0);
    EXPECT_EQUAL(reads_of(DEVICE, 0x1000), 4);
    rig_stop(&rig);
}

/* The pointer to the neighbour's leaf table is not on the way of the page. */
TEST_CASE(walkcache, an_invalidation_of_one_page_keeps_pointers_beside_its_way)
{
    start_warm();
    command(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 0, false));
    command(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x201000, 0, true));
    EXPECT_EQUAL(reads_of(DEVICE, 0x201000), 1);
    rig_stop(&rig);
}

TEST_CASE(walkcache, a_domain_loses_its_pointers_and_no_one_else_does)
{
    start_warm();
    command(vtd_inv_iotlb(VTD_DOMAIN, DOMAIN, 0, 0, false));
    EXPECT_EQUAL(reads_of(OTHER_DEVICE, 0x1000), 0);
    EXPECT_EQUAL(reads_of(DEVICE, 0x2000), 4);
    command(vtd_inv_iotlb(VTD_GLOBAL, 0, 0, 0, false));
    EXPECT_EQUAL(reads_of(OTHER_DEVICE, 0x1000), 4);
    EXPECT_EQUAL(reads_of(DEVICE, 0x2000), 4);
    rig_stop(&rig);
}

/* A table that software moved: who kept the pointer walks the old one. */
TEST_CASE(walkcache, a_kept_pointer_walks_the_old_table)
{
    start_warm();
    format               = ptfmt_find("vtdss");
    const uint64_t entry = rig_entry(&rig, root, LEVELS, 0x1000, 1);
    const uint64_t table = rig_page(&rig);
    memory_write64(&rig.memory, table + 8, format->encode_leaf(0x99000, 0, 12, PT_READ));
    memory_write64(&rig.memory, entry, format->encode_table(table));
    command(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 0, true));
    reads_of(DEVICE, 0x1000);
    EXPECT_EQUAL(answer.pa, 0x10000);
    command(vtd_inv_iotlb(VTD_PAGE, DOMAIN, 0x1000, 0, false));
    reads_of(DEVICE, 0x1000);
    EXPECT_EQUAL(answer.pa, 0x99000);
    rig_stop(&rig);
}
