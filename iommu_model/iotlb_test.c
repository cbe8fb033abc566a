/* SPDX-License-Identifier: Apache-2.0 */
/* The IOTLB against a list that is searched from end to end, at tiny geometry. */
#include "iommu_model/iotlb.h"

#include <string.h>

#include "sim/test/shim.h"

/* ---- The oracle: what a set-associative array under LRU must hold ---------------------
 */

enum { KNOWN_MAX = 16, KB4 = 12, MB2 = 21, GB1 = 30 };

struct known {
    unsigned domain, process, page_lg2;
    uint64_t first, last, pa, used;
};

struct oracle {
    struct known known[KNOWN_MAX];
    unsigned count, sets, ways;
    uint64_t clock, filled, evicted, invalidated, hits, lookups;
};

static unsigned oracle_set(const struct oracle *o, uint64_t first, unsigned page_lg2)
{
    return (unsigned)((first >> page_lg2) % o->sets);
}

static void oracle_forget(struct oracle *o, unsigned index)
{
    o->known[index] = o->known[--o->count];
}

/* The smallest page that holds iova, or NULL. */
static struct known *oracle_find(struct oracle *o, unsigned domain, unsigned process,
                                 uint64_t iova)
{
    struct known *best = NULL;
    for (unsigned i = 0; i < o->count; i++) {
        struct known *k = &o->known[i];
        if (k->domain == domain && k->process == process && iova >= k->first
            && iova <= k->last && (best == NULL || k->page_lg2 < best->page_lg2))
            best = k;
    }
    return best;
}

static void oracle_make_room(struct oracle *o, unsigned set)
{
    unsigned oldest = KNOWN_MAX, filled = 0;
    for (unsigned i = 0; i < o->count; i++) {
        if (oracle_set(o, o->known[i].first, o->known[i].page_lg2) != set)
            continue;
        filled++;
        if (oldest == KNOWN_MAX || o->known[i].used < o->known[oldest].used)
            oldest = i;
    }
    if (filled < o->ways)
        return;
    oracle_forget(o, oldest);
    o->evicted++;
}

static void oracle_fill(struct oracle *o, const struct known *fresh)
{
    o->filled++;
    for (unsigned i = 0; i < o->count; i++) {
        struct known *k = &o->known[i];
        if (k->domain == fresh->domain && k->process == fresh->process
            && k->first == fresh->first && k->page_lg2 == fresh->page_lg2) {
            *k      = *fresh;
            k->used = ++o->clock;
            return;
        }
    }
    oracle_make_room(o, oracle_set(o, fresh->first, fresh->page_lg2));
    CHECK(o->count < KNOWN_MAX);
    o->known[o->count]        = *fresh;
    o->known[o->count++].used = ++o->clock;
}

/* domain 0 and process -1 select every one. */
static unsigned oracle_invalidate(struct oracle *o, unsigned domain, int process,
                                  uint64_t first, uint64_t last)
{
    unsigned count = 0;
    for (unsigned i = o->count; i-- > 0;) {
        const struct known *k = &o->known[i];
        if ((domain != 0 && k->domain != domain)
            || (process >= 0 && k->process != (unsigned)process) || k->last < first
            || k->first > last)
            continue;
        oracle_forget(o, i);
        count++;
    }
    o->invalidated += count;
    return count;
}

/* ---- Both at once ---------------------------------------------------------------------
 */

static struct iotlb tlb;
static struct oracle oracle;

static void make(unsigned sets, unsigned ways)
{
    struct iotlb_config c;
    param_reset(&iotlb_param_table, &c);
    c.sets = sets;
    c.ways = ways;
    iotlb_init(&tlb, &c, rng_make(1, "iotlb"));
    oracle = (struct oracle){ .sets = sets, .ways = ways };
}

static space_t space_of(unsigned domain, unsigned process)
{
    return space_make(domain, process, process == 0 ? STAGE_2 : STAGE_1 | STAGE_2);
}

static void fill(unsigned domain, unsigned process, uint64_t iova, unsigned page_lg2,
                 uint64_t number)
{
    const uint64_t first         = iova >> page_lg2 << page_lg2;
    const struct known k         = { domain,
                                     process,
                                     page_lg2,
                                     first,
                                     first + (UINT64_C(1) << page_lg2) - 1,
                                     number << page_lg2,
                                     0 };
    const struct iotlb_entry e   = { .page        = iova >> page_lg2,
                                     .space       = space_of(domain, process),
                                     .pa          = k.pa,
                                     .stale_since = TIME_NEVER,
                                     .page_lg2    = (uint8_t)page_lg2,
                                     .stage1_lg2  = (uint8_t)page_lg2,
                                     .prot1       = PT_ALL,
                                     .prot2       = PT_READ | PT_WRITE };
    const struct iotlb_entry *at = iotlb_fill(&tlb, &e);
    EXPECT(at->valid && at->pa == k.pa);
    oracle_fill(&oracle, &k);
}

static bool same(const struct iotlb_entry *e, const struct known *k)
{
    if (e == NULL || k == NULL)
        return e == NULL && k == NULL;
    return e->pa == k->pa && e->page_lg2 == k->page_lg2
           && e->page << e->page_lg2 == k->first;
}

static bool lookup(unsigned domain, unsigned process, uint64_t iova)
{
    struct known *k             = oracle_find(&oracle, domain, process, iova);
    const struct iotlb_entry *e = iotlb_lookup(&tlb, space_of(domain, process), iova);
    oracle.lookups++;
    oracle.hits += k != NULL;
    if (k != NULL)
        k->used = ++oracle.clock;
    return EXPECT(same(e, k));
}

static bool invalidate(unsigned domain, int process, uint64_t first, uint64_t last)
{
    struct inv_selector s = { .first = first, .last = last };
    if (domain != 0) {
        s.mask  = SPACE_DOMAIN_MASK;
        s.value = domain;
    }
    if (process >= 0) {
        s.mask |= SPACE_PROCESS_MASK;
        s.value |= (space_t)(unsigned)process << 20;
    }
    const unsigned want = oracle_invalidate(&oracle, domain, process, first, last);
    return EXPECT_EQUAL(iotlb_invalidate(&tlb, &s), want);
}

static void finish(void)
{
    iotlb_audit(&tlb);
    EXPECT_EQUAL(tlb.stats.lookup, oracle.lookups);
    EXPECT_EQUAL(tlb.stats.lookup_hit, oracle.hits);
    EXPECT_EQUAL(tlb.stats.lookup_missed, oracle.lookups - oracle.hits);
    EXPECT_EQUAL(tlb.stats.entry_filled, oracle.filled);
    EXPECT_EQUAL(tlb.stats.entry_evicted, oracle.evicted);
    EXPECT_EQUAL(tlb.stats.entry_invalidated, oracle.invalidated);
    iotlb_free(&tlb);
}

/* ---- Long random sequences --------------------------------------------------------------
 */

static const unsigned sizes[]   = { KB4, MB2, GB1 };
static const unsigned tags[][2] = { { 1, 0 }, { 2, 0 }, { 1, 5 }, { 2, 5 }, { 0xffff, 0 } };
static const uint64_t indices[3] = { 0, 1, 511 };

/* A few pages of each size that overlap and fall into each other's sets. */
static uint64_t some_iova(struct rng *rng)
{
    return indices[rng_below(rng, 3)] << GB1 | indices[rng_below(rng, 3)] << MB2
           | indices[rng_below(rng, 3)] << KB4 | (rng_below(rng, 2) ? 0xfff : 0);
}

/* Aligned to an address mask as software would write it, or any range at all. */
static void some_range(struct rng *rng, uint64_t *first, uint64_t *last)
{
    const uint64_t a = some_iova(rng), b = some_iova(rng);
    const unsigned lg2 = 12 + rng_below(rng, 28);
    if (rng_below(rng, 2)) {
        *first = a >> lg2 << lg2;
        *last  = *first + (UINT64_C(1) << lg2) - 1;
    } else {
        *first = a < b ? a : b;
        *last  = a < b ? b : a;
    }
}

static bool random_invalidation(struct rng *rng)
{
    const unsigned *tag = tags[rng_below(rng, 5)];
    uint64_t first, last;
    some_range(rng, &first, &last);
    switch (rng_below(rng, 8)) {
    case 0:
        return invalidate(0, -1, 0, UINT64_MAX);
    case 1:
        return invalidate(tag[0], -1, 0, UINT64_MAX);
    case 2:
        return invalidate(tag[0], (int)tag[1], 0, UINT64_MAX);
    case 3:
        return invalidate(0, -1, first, last);
    case 4:
        return invalidate(tag[0], (int)tag[1], first, last);
    default:
        return invalidate(tag[0], -1, first, last);
    }
}

static bool random_step(struct rng *rng, unsigned n)
{
    const unsigned *tag = tags[rng_below(rng, 5)];
    const unsigned what = rng_below(rng, 10);
    if (what < 4) {
        fill(tag[0], tag[1], some_iova(rng), sizes[rng_below(rng, 3)], n + 1);
        return true;
    }
    return what < 9 ? lookup(tag[0], tag[1], some_iova(rng)) : random_invalidation(rng);
}

/* Everything at once, without a trace in the statistics or the ages. */
static bool hold_the_same(void)
{
    for (unsigned t = 0; t < 5; t++)
        for (unsigned i = 0; i < 27; i++) {
            const uint64_t iova =
                indices[i / 9] << GB1 | indices[i / 3 % 3] << MB2 | indices[i % 3] << KB4;
            if (!EXPECT(same(iotlb_probe(&tlb, space_of(tags[t][0], tags[t][1]), iova),
                             oracle_find(&oracle, tags[t][0], tags[t][1], iova))))
                return false;
        }
    return true;
}

TEST_CASE(iotlb, equals_a_naive_list_over_random_operations)
{
    for (unsigned sets = 1; sets <= 4; sets *= 2)
        for (unsigned ways = 1; ways <= 4; ways++) {
            struct rng rng = rng_make(sets * 10 + ways, "iotlb test");
            bool good      = true;
            make(sets, ways);
            for (unsigned n = 0; good && n < 6000; n++) {
                good = random_step(&rng, n);
                if (n % 16 == 0) {
                    good = good && hold_the_same();
                    iotlb_audit(&tlb);
                }
            }
            finish();
        }
}

/* ---- Every short sequence ---------------------------------------------------------------
 */

enum { ALPHABET = 9, LENGTH = 5 };

static bool letter(unsigned what, unsigned n)
{
    switch (what) {
    case 0:
    case 1:
    case 2: /* Three 4 KiB pages: two of one set when there are two. */
        fill(1, 0, (uint64_t)what << KB4, KB4, n + 1);
        return true;
    case 3: /* The large page above them. */
        fill(1, 0, 0x1000, MB2, n + 1);
        return true;
    case 4:
        fill(2, 0, 0, KB4, n + 1);
        return true;
    case 5:
        return lookup(1, 0, 0);
    case 6:
        return lookup(1, 0, 0x2000);
    case 7:
        return invalidate(1, -1, 0x1000, 0x1fff);
    default:
        return invalidate(2, -1, 0, UINT64_MAX);
    }
}

static bool end_agrees(void)
{
    return lookup(1, 0, 0) && lookup(1, 0, 0x1000) && lookup(1, 0, 0x2000)
           && lookup(1, 0, 0x3000) && lookup(2, 0, 0) && lookup(2, 0, 0x1000);
}

static bool run_sequence(unsigned sets, unsigned ways, unsigned sequence)
{
    bool good = true;
    make(sets, ways);
    for (unsigned n = 0; good && n < LENGTH; n++) {
        good = letter(sequence % ALPHABET, n);
        sequence /= ALPHABET;
    }
    good = good && end_agrees();
    finish();
    return good;
}

TEST_CASE(iotlb, equals_a_naive_list_over_every_sequence_of_five)
{
    unsigned sequences = 1;
    for (unsigned n = 0; n < LENGTH; n++)
        sequences *= ALPHABET;
    for (unsigned sets = 1; sets <= 2; sets++)
        for (unsigned ways = 1; ways <= 2; ways++)
            for (unsigned s = 0; s < sequences; s++)
                if (!run_sequence(sets, ways, s))
                    return;
}

/* ---- By hand ----------------------------------------------------------------------------
 */

/* A fill must make its entry the youngest, whether it was there or not. If it does not, a
 * page that is walked twice looks as if nobody had used it since the first time. */
TEST_CASE(iotlb, a_fill_where_the_page_lies_makes_it_the_youngest)
{
    make(1, 2);
    fill(1, 0, 0x1000, KB4, 1);
    fill(1, 0, 0x2000, KB4, 2);
    fill(1, 0, 0x1000, KB4, 3);
    fill(1, 0, 0x3000, KB4, 4);
    lookup(1, 0, 0x1000);
    lookup(1, 0, 0x2000);
    lookup(1, 0, 0x3000);
    EXPECT_EQUAL(tlb.stats.entry_evicted, 1);
    finish();
}

TEST_CASE(iotlb, the_smallest_of_overlapping_pages_answers)
{
    make(2, 4);
    fill(1, 0, 0x40000000, GB1, 1);
    EXPECT_EQUAL(iotlb_probe(&tlb, space_of(1, 0), 0x40201000)->page_lg2, GB1);
    fill(1, 0, 0x40201000, KB4, 2);
    fill(1, 0, 0x40201000, MB2, 3);
    EXPECT_EQUAL(iotlb_probe(&tlb, space_of(1, 0), 0x40201fff)->page_lg2, KB4);
    EXPECT_EQUAL(iotlb_probe(&tlb, space_of(1, 0), 0x40202000)->page_lg2, MB2);
    EXPECT_EQUAL(iotlb_probe(&tlb, space_of(1, 0), 0x40400000)->page_lg2, GB1);
    EXPECT(iotlb_probe(&tlb, space_of(1, 0), 0x80000000) == NULL);
    finish();
}

TEST_CASE(iotlb, any_4k_of_a_large_page_drops_all_of_it_and_its_neighbours_do_not)
{
    for (unsigned i = 1; i < 3; i++) {
        const uint64_t span = UINT64_C(1) << sizes[i];
        make(4, 2);
        fill(1, 0, span, sizes[i], 1);
        invalidate(1, -1, span - 0x1000, span - 1);
        invalidate(1, -1, 2 * span, 2 * span + 0xfff);
        invalidate(2, -1, span, span + 0xfff);
        EXPECT(iotlb_probe(&tlb, space_of(1, 0), span) != NULL);
        invalidate(1, -1, 2 * span - 0x1000, 2 * span - 1);
        EXPECT(iotlb_probe(&tlb, space_of(1, 0), span) == NULL);
        EXPECT_EQUAL(tlb.sizes, 0);
        finish();
    }
}

/* VT-d's address mask: 2^am pages from an aligned address on, no more and no fewer. */
TEST_CASE(iotlb, an_address_mask_drops_exactly_its_pages)
{
    for (unsigned am = 0; am <= 4; am++) {
        const uint64_t base = 0x100000, pages = UINT64_C(1) << am;
        make(4, 64);
        for (uint64_t p = 0; p < 48; p++) {
            const struct iotlb_entry e = { .page        = (base >> 12) - 16 + p,
                                           .space       = space_of(1, 0),
                                           .pa          = (p + 1) << 12,
                                           .stale_since = TIME_NEVER,
                                           .page_lg2    = KB4 };
            iotlb_fill(&tlb, &e);
        }
        const struct inv_selector s = { .mask  = SPACE_DOMAIN_MASK,
                                        .value = 1,
                                        .first = base,
                                        .last  = base + (pages << 12) - 1 };
        EXPECT_EQUAL(iotlb_invalidate(&tlb, &s), pages);
        for (uint64_t p = 0; p < 48; p++)
            EXPECT((iotlb_probe(&tlb, space_of(1, 0), base + (p << 12) - 0x10000) == NULL)
                   == (p >= 16 && p < 16 + pages));
        iotlb_audit(&tlb);
        iotlb_free(&tlb);
    }
}

TEST_CASE(iotlb, the_last_page_of_the_address_space_is_a_page_like_others)
{
    const uint64_t top = ~UINT64_C(0xfff);
    make(2, 2);
    fill(1, 0, top, KB4, 1);
    fill(1, 0, top, MB2, 2);
    invalidate(1, -1, 0, top - 1); /* Reaches into the large one alone. */
    EXPECT_EQUAL(iotlb_probe(&tlb, space_of(1, 0), UINT64_MAX)->page_lg2, KB4);
    invalidate(1, -1, top, UINT64_MAX);
    EXPECT(iotlb_probe(&tlb, space_of(1, 0), UINT64_MAX) == NULL);
    finish();
}

/* ---- Global entries and the two stages
 * --------------------------------------------------- */

static const struct iotlb_entry *fill_entry(struct iotlb_entry e)
{
    e.stale_since = TIME_NEVER;
    return iotlb_fill(&tlb, &e);
}

TEST_CASE(iotlb, a_global_entry_serves_every_process_of_its_domain)
{
    const unsigned both = STAGE_1 | STAGE_2;
    make(2, 2);
    fill_entry((struct iotlb_entry){
        .page = 5, .space = space_make(1, 7, both), .page_lg2 = KB4, .global = true });
    EXPECT(iotlb_probe(&tlb, space_make(1, 8, both), 0x5000) != NULL);
    EXPECT(iotlb_probe(&tlb, space_make(2, 7, both), 0x5000) == NULL);
    EXPECT(iotlb_probe(&tlb, space_make(1, 7, STAGE_1), 0x5000) == NULL);

    struct inv_selector s = {
        .mask = SPACE_DOMAIN_MASK, .value = 1, .last = UINT64_MAX, .keep_global = true
    };
    EXPECT_EQUAL(iotlb_invalidate(&tlb, &s), 0);
    s.keep_global = false;
    EXPECT_EQUAL(iotlb_invalidate(&tlb, &s), 1);
    iotlb_free(&tlb);
}

TEST_CASE(iotlb, between_the_stages_guest_addresses_select)
{
    make(4, 2);
    fill_entry((struct iotlb_entry){ .page       = 5,
                                     .space      = space_of(1, 3),
                                     .guest      = 0x700000,
                                     .page_lg2   = KB4,
                                     .stage1_lg2 = MB2,
                                     .stage2_lg2 = KB4 });
    struct inv_selector s = { .first = 0x5000, .last = 0x5fff, .by_guest = true };
    EXPECT_EQUAL(iotlb_invalidate(&tlb, &s), 0);
    s = (struct inv_selector){ .first = 0x1ff000, .last = 0x1fffff };
    EXPECT_EQUAL(iotlb_invalidate(&tlb, &s), 0); /* The entry is of 4 KiB ... */
    s.at_first_stage = true;                     /* ... the first stage's page is not. */
    EXPECT_EQUAL(iotlb_invalidate(&tlb, &s), 1);
    fill_entry((struct iotlb_entry){ .page       = 5,
                                     .space      = space_of(1, 3),
                                     .guest      = 0x700000,
                                     .page_lg2   = KB4,
                                     .stage2_lg2 = KB4 });
    s = (struct inv_selector){ .first = 0x700fff, .last = 0x700fff, .by_guest = true };
    EXPECT_EQUAL(iotlb_invalidate(&tlb, &s), 1);
    iotlb_free(&tlb);
}

/* ---- Marks of what software has given back
 * ------------------------------------------------ */

struct marks {
    unsigned gone, filled;
    uint64_t last_page;
};

static void count_gone(void *self, const struct iotlb_entry *e)
{
    struct marks *m = self;
    m->gone++;
    m->last_page = e->page;
}

static void count_filled(void *self, const struct iotlb_entry *e)
{
    struct marks *m = self;
    m->filled++;
    m->last_page = e->page;
}

static void mark(void *self, struct iotlb_entry *e)
{
    e->stale_since = *(const sim_time_t *)self;
}

TEST_CASE(iotlb, whoever_counts_stale_entries_hears_of_each_way_to_come_and_go)
{
    struct marks marks          = { 0 };
    sim_time_t now              = 99;
    const struct inv_selector s = { .first = 0x1000, .last = 0x2fff };
    make(1, 3);
    tlb.stale_gone   = count_gone;
    tlb.stale_filled = count_filled;
    tlb.hook_self   = &marks;
    fill(1, 0, 0x1000, KB4, 1);
    fill(1, 0, 0x2000, KB4, 2);
    fill(1, 0, 0x3000, KB4, 3);
    iotlb_visit(&tlb, &s, mark, &now);
    EXPECT_EQUAL(marks.gone + marks.filled, 0);
    fill(1, 0, 0x1000, KB4, 4); /* Replaced where it lies. */
    EXPECT_EQUAL(marks.gone, 1);
    EXPECT_EQUAL(marks.last_page, 1);
    invalidate(1, -1, 0x3000, 0x3fff); /* Was not marked. */
    EXPECT_EQUAL(marks.gone, 1);
    fill(1, 0, 0x4000, KB4, 5);
    fill(1, 0, 0x5000, KB4, 6); /* Evicts 2. */
    EXPECT_EQUAL(marks.gone, 2);
    EXPECT_EQUAL(marks.last_page, 2);
    iotlb_fill(&tlb,
               &(struct iotlb_entry){
                   .page = 6, .space = space_of(1, 0), .stale_since = 7, .page_lg2 = KB4 });
    EXPECT_EQUAL(marks.filled, 1);
    invalidate(0, -1, 0, UINT64_MAX);
    EXPECT_EQUAL(marks.gone, 3);
    EXPECT_EQUAL(marks.last_page, 6);
    iotlb_free(&tlb);
}
