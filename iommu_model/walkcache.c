/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/walkcache.h"

#include <stdlib.h>
#include <string.h>

static bool walkcache_config_check(const void *config, struct error *error)
{
    const struct walkcache_config *c = config;
    const struct {
        const char *name;
        uint32_t entries;
    } level[WALKCACHE_LEVELS] = { { "level0_entries", c->level0_entries },
                                  { "level1_entries", c->level1_entries },
                                  { "level2_entries", c->level2_entries },
                                  { "level3_entries", c->level3_entries } };
    for (unsigned i = 0; i < WALKCACHE_LEVELS; i++) {
        const uint32_t n    = level[i].entries;
        const uint32_t ways = n < c->ways ? n : c->ways;
        if (n > 0 && (n % ways != 0 || !is_pow2(n / ways)))
            return error_set(error,
                             "walkcache.%s: expected walkcache.ways (%u) times a power of "
                             "two, got %u",
                             level[i].name, c->ways, n);
        if (n > 0 && repl_find(c->replacement)->ways_pow2 && !is_pow2(ways))
            return error_set(error,
                             "walkcache.ways: expected a power of two with "
                             "walkcache.replacement=%s, got %u",
                             c->replacement, ways);
    }
    return true;
}

#define PARAM_OWNER struct walkcache_config
#define STAT_OWNER  struct walkcache_stats
static const struct param_def walkcache_params[] = { WALKCACHE_PARAMS(PARAM_ROW)
                                                         PARAM_END };
static const struct stat_def walkcache_stats[]   = { WALKCACHE_STATS(STAT_ROW) STAT_END };

const struct param_table walkcache_param_table = {
    "walkcache", "The caches of table pointers", walkcache_params,
    sizeof(struct walkcache_config), walkcache_config_check
};
const struct stat_table walkcache_stat_table = { "walkcache",
                                                 "The caches of table pointers",
                                                 walkcache_stats,
                                                 sizeof(struct walkcache_stats) };

void walkcache_init(struct walkcache *w, const struct walkcache_config *c, uint64_t seed)
{
    const uint32_t entries[WALKCACHE_LEVELS] = { c->level0_entries, c->level1_entries,
                                                 c->level2_entries, c->level3_entries };
    memset(w, 0, sizeof *w);
    for (unsigned i = 0; i < WALKCACHE_LEVELS; i++) {
        if (entries[i] == 0)
            continue;
        const uint32_t ways               = entries[i] < c->ways ? entries[i] : c->ways;
        const struct setassoc_shape shape = { entries[i] / ways, ways,
                                              repl_find(c->replacement), true, true };
        char name[16]                     = { 'w', 'a', 'l', 'k', (char)('0' + i), '\0' };
        walkcache_array_init(&w->level[i], &shape, rng_make(seed, name));
        w->present[i]  = true;
        w->entry_pa[i] = calloc(entries[i], sizeof *w->entry_pa[i]);
        CHECK(w->entry_pa[i] != NULL);
    }
}

void walkcache_free(struct walkcache *w)
{
    for (unsigned i = 0; i < WALKCACHE_LEVELS; i++)
        if (w->present[i]) {
            walkcache_array_free(&w->level[i]);
            free(w->entry_pa[i]);
        }
}

/* What all addresses below one table of this level have in common. */
static uint64_t prefix_of(const struct pt_format *f, uint64_t address, unsigned level)
{
    return address >> pt_span_lg2(f, level + 1);
}

static uint32_t set_of(const struct walkcache_array *a, uint64_t prefix)
{
    return (uint32_t)prefix & (a->shape.sets - 1);
}

static struct walkcache_entry *find(const struct walkcache_array *a, space_t space,
                                    uint64_t prefix)
{
    struct walkcache_entry *e = walkcache_array_set(a, set_of(a, prefix));
    for (uint32_t way = 0; way < a->shape.ways; way++)
        if (e[way].valid && e[way].prefix == prefix && e[way].space == space)
            return &e[way];
    return NULL;
}

static void count_outcome(struct walkcache_stats *s, unsigned level)
{
    uint64_t *const outcome[] = { &s->lookup_level0, &s->lookup_level1, &s->lookup_level2,
                                  &s->lookup_level3 };
    s->lookup++;
    if (level < WALKCACHE_LEVELS)
        ++*outcome[level];
    else
        s->lookup_missed++;
}

unsigned walkcache_lookup(struct walkcache *w, const struct pt_format *f, space_t space,
                          uint64_t address, unsigned top, uint64_t *table, uint8_t *prot)
{
    for (unsigned level = 0; level < top && level < WALKCACHE_LEVELS; level++) {
        if (!w->present[level])
            continue;
        const uint64_t prefix     = prefix_of(f, address, level);
        struct walkcache_entry *e = find(&w->level[level], space, prefix);
        if (e == NULL)
            continue;
        walkcache_array_hit(&w->level[level], set_of(&w->level[level], prefix), e);
        *table = e->table;
        *prot  = e->prot;
        count_outcome(&w->stats, level);
        return level;
    }
    count_outcome(&w->stats, WALKCACHE_LEVELS);
    return top;
}

const struct walkcache_entry *walkcache_fill(struct walkcache *w, const struct pt_format *f,
                                             space_t space, uint64_t address,
                                             unsigned level, uint64_t table, uint8_t prot,
                                             uint64_t entry_pa)
{
    if (level >= WALKCACHE_LEVELS || !w->present[level])
        return NULL;
    struct walkcache_array *a = &w->level[level];
    const uint64_t prefix     = prefix_of(f, address, level);
    struct walkcache_entry *e = find(a, space, prefix);
    if (e == NULL) {
        e = walkcache_array_place(a, set_of(a, prefix));
        w->stats.entry_evicted += e->valid;
    } else {
        walkcache_array_filled(a, set_of(a, prefix), e);
    }
    *e = (struct walkcache_entry){ .prefix   = prefix,
                                   .space    = space,
                                   .table    = table,
                                   .span_lg2 = (uint8_t)pt_span_lg2(f, level + 1),
                                   .prot     = prot,
                                   .valid    = true };
    w->stats.entry_filled++;
    w->entry_pa[level][e - a->entry] = entry_pa;
    return e;
}

/* By which guest-physical addresses the tables of both stages were found, an entry does not
 * know: any may be meant. */
static bool selects(const struct inv_selector *s, const struct walkcache_entry *e)
{
    const uint64_t first = e->span_lg2 >= 64 ? 0 : e->prefix << e->span_lg2;
    if (!e->valid || !inv_selects_space(s, e->space))
        return false;
    if (s->by_guest && (e->space & SPACE_STAGES_MASK) != SPACE_STAGE_2)
        return true;
    return first <= s->last && (first | mask_lg2(e->span_lg2)) >= s->first;
}

uint32_t walkcache_invalidate(struct walkcache *w, const struct inv_selector *s)
{
    uint32_t count = 0;
    for (unsigned level = 0; level < WALKCACHE_LEVELS; level++) {
        struct walkcache_array *a = &w->level[level];
        for (uint32_t i = 0; w->present[level] && i < walkcache_array_entries(a); i++)
            if (selects(s, &a->entry[i])) {
                if (w->dropped != NULL)
                    w->dropped(w->hook_self, &a->entry[i], w->entry_pa[level][i]);
                walkcache_array_drop(a, &a->entry[i]);
                count++;
            }
    }
    w->stats.entry_invalidated += count;
    return count;
}

bool walkcache_holds(const struct walkcache *w, uint64_t pa)
{
    for (unsigned level = 0; level < WALKCACHE_LEVELS; level++)
        for (uint32_t i = 0;
             w->present[level] && i < walkcache_array_entries(&w->level[level]); i++)
            if (w->level[level].entry[i].valid && w->level[level].entry[i].table == pa)
                return true;
    return false;
}
