/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walkcache - cached pointers to page tables, one array for each level.
 *
 * Level n holds pointers to tables of level n: level 0 those to leaf tables, each of which
 * saves all reads of a walk but one. Vendors call them paging-structure caches, page-walk
 * caches or PDE caches.
 */
#ifndef IOMMU_MODEL_WALKCACHE_H
#define IOMMU_MODEL_WALKCACHE_H

#include "iommu_model/ptfmt.h"
#include "iommu_model/space.h"
#include "sim/base/param.h"
#include "sim/base/stat.h"

struct walkcache_entry {
    uint64_t prefix; /* The input address above the span of the table. */
    space_t space;
    uint64_t table;   /* Physical address of the table. */
    uint8_t span_lg2; /* Of the addresses that the table translates. */
    uint8_t prot;     /* What the entries above it allow. */
    bool valid;
};

#define SETASSOC_NAME  walkcache_array
#define SETASSOC_ENTRY struct walkcache_entry
#include "iommu_model/setassoc.h"

enum { WALKCACHE_LEVELS = 4 };

/* A walk through the second stage alone is kept apart from one through both. */
#define SPACE_GUEST_WALK (UINT64_C(1) << 42)

/* clang-format off */
#define WALKCACHE_PARAMS(P)                                                                         \
    P(u32,  level0_entries,  64, 0, 65536, ANY, "entries", "Pointers to leaf tables (2 MiB reach)", \
      "Fast & Safe (SOSP'24) infers 64 to 128")                                                     \
    P(u32,  level1_entries,  32, 0, 65536, ANY, "entries", "Pointers one level up (1 GiB reach)",   \
      "not published")                                                                              \
    P(u32,  level2_entries,  16, 0, 65536, ANY, "entries", "Pointers two levels up",                \
      "not published")                                                                              \
    P(u32,  level3_entries,   4, 0, 65536, ANY, "entries", "Pointers three levels up",              \
      "not published")                                                                              \
    P(u32,  ways,             4, 1,   256, ANY, "ways",    "Ways in each set; fewer entries: all",  \
      "not published")                                                                              \
    P(name, replacement,    lru, repl_member, 0, ANY, "policy", "Replacement policy",               \
      "not published")

#define WALKCACHE_STATS(S)                                                                          \
    S(lookup,            lookup,       "lookups", "Walks that asked the walk caches")               \
    S(lookup_level0,     lookup,       "lookups", "Walks that began at a leaf table")               \
    S(lookup_level1,     lookup,       "lookups", "Walks that began one level up")                  \
    S(lookup_level2,     lookup,       "lookups", "Walks that began two levels up")                 \
    S(lookup_level3,     lookup,       "lookups", "Walks that began three levels up")               \
    S(lookup_missed,     lookup,       "lookups", "Walks that began at the root")                   \
    S(entry_filled,      entry_filled, "entries", "Pointers installed")                             \
    S(entry_evicted,     entry_filled, "entries", "Pointers displaced by a fill")                   \
    S(entry_invalidated, entry_filled, "entries", "Pointers removed by software")
/* clang-format on */

struct walkcache_config {
    WALKCACHE_PARAMS(PARAM_FIELD)
};
struct walkcache_stats {
    WALKCACHE_STATS(STAT_FIELD)
};
extern const struct param_table walkcache_param_table;
extern const struct stat_table walkcache_stat_table;

struct walkcache {
    struct walkcache_array level[WALKCACHE_LEVELS];
    bool present[WALKCACHE_LEVELS];
    struct walkcache_stats stats;
    /* Told about every entry that an invalidation drops, and where the table entry lies
     * that it is a copy of (0: not known); NULL: nobody cares. */
    void (*dropped)(void *self, const struct walkcache_entry *entry, uint64_t entry_pa);
    void *hook_self;
    uint64_t *entry_pa[WALKCACHE_LEVELS]; /* Of each entry of the arrays. */
};

void walkcache_init(struct walkcache *w, const struct walkcache_config *config,
                    uint64_t seed);
void walkcache_free(struct walkcache *w);

/*
 * The deepest cached table on the way to address in a table of format f whose root is of
 * level top. Returns its level and sets *table and *prot; returns top, leaving them alone,
 * when the walk has to begin at the root.
 */
unsigned walkcache_lookup(struct walkcache *w, const struct pt_format *f, space_t space,
                          uint64_t address, unsigned top, uint64_t *table, uint8_t *prot);

/* Remembers where the table of this level on the way to address lies. entry_pa, for the
 * hooks: where the entry that says so does; 0: not known. Returns the entry, NULL when the
 * level is not cached. */
const struct walkcache_entry *walkcache_fill(struct walkcache *w, const struct pt_format *f,
                                             space_t space, uint64_t address,
                                             unsigned level, uint64_t table, uint8_t prot,
                                             uint64_t entry_pa);

/* Drops what lies in the selected space and on the way to the selected addresses. */
uint32_t walkcache_invalidate(struct walkcache *w, const struct inv_selector *selector);

/* Whether any entry points to the table at pa: it must not be given back yet. */
bool walkcache_holds(const struct walkcache *w, uint64_t pa);

#endif
