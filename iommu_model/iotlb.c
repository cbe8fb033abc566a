/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/iotlb.h"

#include <stdlib.h>
#include <string.h>

static bool iotlb_config_check(const void *config, struct error *error)
{
    const struct iotlb_config *c = config;
    if (repl_find(c->replacement)->ways_pow2 && !is_pow2(c->ways))
        return error_set(error,
                         "iotlb.ways: expected a power of two with iotlb.replacement=%s, "
                         "got %u",
                         c->replacement, c->ways);
    return true;
}

#define PARAM_OWNER struct iotlb_config
#define STAT_OWNER  struct iotlb_stats
static const struct param_def iotlb_params[] = { IOTLB_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def iotlb_stats[]   = { IOTLB_STATS(STAT_ROW) STAT_END };

const struct param_table iotlb_param_table = { "iotlb", "The cache of translations",
                                               iotlb_params, sizeof(struct iotlb_config),
                                               iotlb_config_check };
const struct stat_table iotlb_stat_table   = { "iotlb", "The cache of translations",
                                               iotlb_stats, sizeof(struct iotlb_stats) };

void iotlb_init(struct iotlb *t, const struct iotlb_config *config, struct rng rng)
{
    const struct setassoc_shape shape = { config->sets, config->ways,
                                          repl_find(config->replacement),
                                          config->prefer_invalid, config->touch_on_fill };
    memset(t, 0, sizeof *t);
    iotlb_array_init(&t->array, &shape, rng);
    t->leaf_pa = calloc(iotlb_array_entries(&t->array), sizeof *t->leaf_pa);
    CHECK(t->leaf_pa != NULL);
}

void iotlb_free(struct iotlb *t)
{
    iotlb_array_free(&t->array);
    free(t->leaf_pa);
}

/* The one place where a set is chosen: look-up, fill and invalidation agree. */
static uint32_t set_of(const struct iotlb *t, uint64_t page)
{
    return (uint32_t)page & (t->array.shape.sets - 1);
}

static bool same_space(const struct iotlb_entry *e, space_t space)
{
    const space_t differ = e->space ^ space;
    return differ == 0 || (e->global && (differ & ~SPACE_PROCESS_MASK) == 0);
}

static struct iotlb_entry *find(const struct iotlb *t, space_t space, uint64_t page,
                                unsigned page_lg2)
{
    struct iotlb_entry *e = iotlb_array_set(&t->array, set_of(t, page));
    for (uint32_t way = 0; way < t->array.shape.ways; way++)
        if (e[way].page == page && e[way].valid && e[way].page_lg2 == page_lg2
            && same_space(&e[way], space))
            return &e[way];
    return NULL;
}

struct iotlb_entry *iotlb_probe(const struct iotlb *t, space_t space, uint64_t iova)
{
    for (uint64_t sizes = t->sizes; sizes != 0; sizes &= sizes - 1) {
        const unsigned page_lg2 = (unsigned)__builtin_ctzll(sizes);
        struct iotlb_entry *e   = find(t, space, iova >> page_lg2, page_lg2);
        if (e != NULL)
            return e;
    }
    return NULL;
}

void iotlb_use(struct iotlb *t, const struct iotlb_entry *e)
{
    iotlb_array_hit(&t->array, set_of(t, e->page), e);
}

struct iotlb_entry *iotlb_lookup(struct iotlb *t, space_t space, uint64_t iova)
{
    struct iotlb_entry *e = iotlb_probe(t, space, iova);
    t->stats.lookup++;
    t->stats.lookup_hit += e != NULL;
    t->stats.lookup_missed += e == NULL;
    if (e != NULL)
        iotlb_use(t, e);
    return e;
}

static void leave(struct iotlb *t, const struct iotlb_entry *e)
{
    CHECK(t->size_count[e->page_lg2] > 0);
    if (--t->size_count[e->page_lg2] == 0)
        t->sizes &= ~(UINT64_C(1) << e->page_lg2);
    if (e->stale_since != TIME_NEVER && t->stale_gone != NULL)
        t->stale_gone(t->hook_self, e);
}

struct iotlb_entry *iotlb_fill(struct iotlb *t, const struct iotlb_entry *fresh)
{
    CHECK(fresh->page_lg2 < 64);
    CHECK((fresh->pa & mask_lg2(fresh->page_lg2)) == 0);
    struct iotlb_entry *e = find(t, fresh->space, fresh->page, fresh->page_lg2);
    if (e == NULL) {
        e = iotlb_array_place(&t->array, set_of(t, fresh->page));
        t->stats.entry_evicted += e->valid;
    } else {
        iotlb_array_filled(&t->array, set_of(t, fresh->page), e);
    }
    if (e->valid)
        leave(t, e);
    *e       = *fresh;
    e->valid = true;
    t->sizes |= UINT64_C(1) << e->page_lg2;
    t->size_count[e->page_lg2]++;
    t->stats.entry_filled++;
    t->leaf_pa[e - t->array.entry] = 0;
    if (e->stale_since != TIME_NEVER && t->stale_filled != NULL)
        t->stale_filled(t->hook_self, e);
    if (t->filled != NULL)
        t->filled(t->filled_self, e);
    return e;
}

static bool overlaps(uint64_t start, unsigned lg2, const struct inv_selector *s)
{
    const uint64_t first = align_down(start, lg2);
    return first <= s->last && (first | mask_lg2(lg2)) >= s->first;
}

static bool selects(const struct inv_selector *s, const struct iotlb_entry *e)
{
    if (!e->valid || !inv_selects_space(s, e->space) || (s->keep_global && e->global))
        return false;
    if (s->by_guest)
        return overlaps(e->guest, e->stage2_lg2, s);
    return overlaps(e->page << e->page_lg2, s->at_first_stage ? e->stage1_lg2 : e->page_lg2,
                    s);
}

static void visit_all(struct iotlb *t, const struct inv_selector *s,
                      void (*visit)(void *self, struct iotlb_entry *entry), void *self)
{
    for (uint32_t i = 0; i < iotlb_array_entries(&t->array); i++)
        if (selects(s, &t->array.entry[i]))
            visit(self, &t->array.entry[i]);
}

/* The sets that hold pages of one size in the range: fewer than all of them. */
static void visit_sets(struct iotlb *t, const struct inv_selector *s, unsigned page_lg2,
                       void (*visit)(void *self, struct iotlb_entry *entry), void *self)
{
    for (uint64_t page = s->first >> page_lg2; page <= s->last >> page_lg2; page++) {
        struct iotlb_entry *e = iotlb_array_set(&t->array, set_of(t, page));
        for (uint32_t way = 0; way < t->array.shape.ways; way++)
            if (e[way].page_lg2 == page_lg2 && e[way].page == page && selects(s, &e[way]))
                visit(self, &e[way]);
    }
}

void iotlb_visit(struct iotlb *t, const struct inv_selector *s,
                 void (*visit)(void *self, struct iotlb_entry *entry), void *self)
{
    CHECK(s->first <= s->last);
    const uint64_t sizes = t->sizes; /* visit may drop entries. */
    if (s->by_guest || s->at_first_stage
        || (sizes != 0
            && ((s->last - s->first) >> __builtin_ctzll(sizes)) + 2
                   > t->array.shape.sets)) {
        visit_all(t, s, visit, self);
        return;
    }
    for (uint64_t left = sizes; left != 0; left &= left - 1)
        visit_sets(t, s, (unsigned)__builtin_ctzll(left), visit, self);
}

struct dropping {
    struct iotlb *t;
    uint32_t count;
};

static void drop(void *self, struct iotlb_entry *e)
{
    struct dropping *d = self;
    if (d->t->dropped != NULL)
        d->t->dropped(d->t->hook_self, e, d->t->leaf_pa[e - d->t->array.entry]);
    leave(d->t, e);
    iotlb_array_drop(&d->t->array, e);
    d->t->stats.entry_invalidated++;
    d->count++;
}

static void count_one(void *self, struct iotlb_entry *entry)
{
    (void)entry;
    ++*(uint32_t *)self;
}

bool iotlb_is_deaf(struct iotlb *t, const struct inv_selector *s)
{
    uint32_t count = 0;
    if (t->plant_deaf == 0)
        return false;
    iotlb_visit(t, s, count_one, &count);
    return count > 0 && --t->plant_deaf == 0;
}

uint32_t iotlb_invalidate(struct iotlb *t, const struct inv_selector *s)
{
    struct dropping d = { .t = t };
    iotlb_visit(t, s, drop, &d);
    return d.count;
}

void iotlb_audit(const struct iotlb *t)
{
    uint32_t count[64] = { 0 };
    uint64_t valid     = 0;
    for (uint32_t i = 0; i < iotlb_array_entries(&t->array); i++) {
        const struct iotlb_entry *e = &t->array.entry[i];
        if (!e->valid)
            continue;
        valid++;
        count[e->page_lg2]++;
        CHECK(i / t->array.shape.ways == set_of(t, e->page));
        CHECK(find(t, e->space, e->page, e->page_lg2) != NULL);
    }
    for (unsigned lg2 = 0; lg2 < 64; lg2++) {
        CHECK(count[lg2] == t->size_count[lg2]);
        CHECK((count[lg2] != 0) == (t->sizes >> lg2 & 1));
    }
    CHECK(t->stats.lookup == t->stats.lookup_hit + t->stats.lookup_missed);
    CHECK(t->stats.entry_filled >= valid);
}
