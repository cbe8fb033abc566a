/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iotlb - cached translations of all page sizes in one set-associative array.
 *
 * A page's size changes the set it lies in, so a look-up probes once for each size that is
 * present; hardware does the same in parallel, so the latency is that of one probe. If
 * software leaves overlapping pages behind, the smallest wins.
 *
 * An entry whose page the software has given back is marked (iotlb_mark_stale). The mark
 * changes nothing that the model does; it is how exposure is measured.
 */
#ifndef IOMMU_MODEL_IOTLB_H
#define IOMMU_MODEL_IOTLB_H

#include "iommu_model/ptfmt.h"
#include "iommu_model/space.h"
#include "sim/base/param.h"
#include "sim/base/simtime.h"
#include "sim/base/stat.h"

struct iotlb_entry {
    uint64_t page; /* iova >> page_lg2 */
    space_t space;
    uint64_t pa;            /* Of the page. */
    uint64_t guest;         /* What the second stage translates for it, when that is on. */
    sim_time_t stale_since; /* TIME_NEVER while the page is the device's to use. */
    uint8_t page_lg2, stage1_lg2, stage2_lg2;
    uint8_t prot1, prot2; /* What each stage allows; a stage that is off allows all. */
    uint8_t denied; /* Not a translation but a refusal of STAGE_2: an arch_denial + 1. */
    bool valid, global, redirected; /* redirected: it is an interrupt file. */
};

#define SETASSOC_NAME  iotlb_array
#define SETASSOC_ENTRY struct iotlb_entry
#include "iommu_model/setassoc.h"

/* clang-format off */
#define IOTLB_PARAMS(P)                                                                             \
    P(u32,  sets,            16, 1, 65536, POW2, "sets",   "Sets in the array",                     \
      "pcie-bench: 64 to 128 pages of reach on five server parts")                                  \
    P(u32,  ways,             6, 1,   256, ANY,  "ways",   "Ways in each set",                      \
      "96 in all: 73 to 113 effective entries in the same curves")                                  \
    P(name, replacement,    lru, repl_member, 0, ANY, "policy", "Replacement policy",               \
      "not published")                                                                              \
    P(flag, prefer_invalid,   1, 0, 1, ANY, "",    "A fill takes an invalid way first",             \
      "usual design")                                                                               \
    P(flag, touch_on_fill,    1, 0, 1, ANY, "",    "A fill counts as a use",                        \
      "usual design")

#define IOTLB_STATS(S)                                                                              \
    S(lookup,            lookup,       "lookups", "Look-ups presented")                             \
    S(lookup_hit,        lookup,       "lookups", "Look-ups that found their page")                 \
    S(lookup_missed,     lookup,       "lookups", "Look-ups that did not")                          \
    S(entry_filled,      entry_filled, "entries", "Entries installed")                              \
    S(entry_evicted,     entry_filled, "entries", "Entries displaced by a fill")                    \
    S(entry_invalidated, entry_filled, "entries", "Entries removed by software")
/* clang-format on */

struct iotlb_config {
    IOTLB_PARAMS(PARAM_FIELD)
};
struct iotlb_stats {
    IOTLB_STATS(STAT_FIELD)
};
extern const struct param_table iotlb_param_table;
extern const struct stat_table iotlb_stat_table;

struct iotlb {
    struct iotlb_array array;
    uint64_t sizes; /* Bit n: at least one entry of 2^n bytes is valid. */
    uint32_t size_count[64];
    struct iotlb_stats stats;
    /* Told about every stale entry when it leaves the array, or enters it; NULL: nobody
     * cares. */
    void (*stale_gone)(void *self, const struct iotlb_entry *entry);
    void (*stale_filled)(void *self, const struct iotlb_entry *entry);
    /* Told about every entry that an invalidation drops, and where the table entry lies
     * that it was made from (0: not known). */
    void (*dropped)(void *self, const struct iotlb_entry *entry, uint64_t leaf_pa);
    void *hook_self;
    uint64_t *leaf_pa; /* Of each entry of the array. */
    /* Told about every entry that is installed; NULL: nobody cares. */
    void (*filled)(void *self, const struct iotlb_entry *entry);
    void *filled_self;
    /* Tests plant a fault: so many invalidations that would drop something from now, one
     * has no effect; 0: none. */
    uint64_t plant_deaf;
};

void iotlb_init(struct iotlb *t, const struct iotlb_config *config, struct rng rng);
void iotlb_free(struct iotlb *t);

/* The entry that translates iova in this space, or NULL; counts, and tells the policy. */
struct iotlb_entry *iotlb_lookup(struct iotlb *t, space_t space, uint64_t iova);

/* The same without any effect. */
struct iotlb_entry *iotlb_probe(const struct iotlb *t, space_t space, uint64_t iova);

/* Tells the policy that a probed entry has been used. */
void iotlb_use(struct iotlb *t, const struct iotlb_entry *entry);

/* What the second stage translates for iova. */
static inline uint64_t iotlb_guest(const struct iotlb_entry *e, uint64_t iova)
{
    return e->guest | (iova & mask_lg2(e->page_lg2));
}

/* Installs a translation: page, space, sizes, prot, pa, global of *fresh count. Replaces an
 * entry for the same page; returns where it lies now. */
struct iotlb_entry *iotlb_fill(struct iotlb *t, const struct iotlb_entry *fresh);

/* For the hooks: the table entry that this one was made from lies there. */
static inline void iotlb_note_leaf(struct iotlb *t, const struct iotlb_entry *entry,
                                   uint64_t pa)
{
    t->leaf_pa[entry - t->array.entry] = pa;
}

/* Whether the planted fault's turn has come, in who is about to invalidate. */
bool iotlb_is_deaf(struct iotlb *t, const struct inv_selector *selector);

/* Drops what the selector says; returns how many entries went. */
uint32_t iotlb_invalidate(struct iotlb *t, const struct inv_selector *selector);

/* Calls visit for every entry that the selector says; visit must not install any. */
void iotlb_visit(struct iotlb *t, const struct inv_selector *selector,
                 void (*visit)(void *self, struct iotlb_entry *entry), void *self);

/* Recounts the structures; a violation when they disagree. For tests and slow checks. */
void iotlb_audit(const struct iotlb *t);

#endif
