/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context - what the tables say about a device (and a process), and the cache of that.
 *
 * VT-d calls it a context entry, RISC-V a device or process context, Arm a stream table
 * entry or context descriptor. An architecture's front-end reads it from its own tables
 * into one struct xlate_context, which the rest of the pipeline works with.
 */
#ifndef IOMMU_MODEL_CONTEXT_H
#define IOMMU_MODEL_CONTEXT_H

#include "iommu_model/ptfmt.h"
#include "iommu_model/space.h"
#include "sim/base/param.h"
#include "sim/base/stat.h"

/* One stage of translation. */
struct xlate_stage {
    const struct pt_format *format; /* NULL: the stage is off. */
    uint64_t root;
    uint8_t levels;
    uint64_t leaf_sizes; /* Of the format's, those that the implementation has. */
};

struct xlate_context {
    space_t space;
    struct xlate_stage stage1, stage2;
    bool needs_process; /* stage1 comes from a process context that is still to be read. */
    bool quiet;         /* Faults of this device are not recorded. */
    uint16_t refused;   /* Not a context but what its tables' error is recorded as. */
    uint32_t domain;    /* Of the space, also while no stage is on. */
    uint8_t process_levels; /* Of the process directory, when needs_process; 0: none. */
    uint64_t process_root;
    uint64_t attributes; /* The architecture's own. */
    bool redirects;      /* Interrupt files have tables of their own: */
    uint64_t msi_root, msi_mask, msi_pattern;
};

struct context_entry {
    uint64_t key;
    struct xlate_context context;
    bool valid;
};

#define SETASSOC_NAME  context_array
#define SETASSOC_ENTRY struct context_entry
#include "iommu_model/setassoc.h"

/* clang-format off */
#define CONTEXT_PARAMS(P)                                                                           \
    P(u32,  device_sets,      4, 1, 4096, POW2, "sets",   "Sets of the device-context cache",       \
      "not published")                                                                              \
    P(u32,  device_ways,      4, 1,  256, ANY,  "ways",   "Ways of the device-context cache",       \
      "not published")                                                                              \
    P(u32,  process_sets,     4, 1, 4096, POW2, "sets",   "Sets of the process-context cache",      \
      "not published")                                                                              \
    P(u32,  process_ways,     4, 1,  256, ANY,  "ways",   "Ways of the process-context cache",      \
      "not published")                                                                              \
    P(name, replacement,    lru, repl_member, 0, ANY, "policy", "Replacement policy of both",       \
      "not published")                                                                              \
    P(flag, prefer_invalid,   1, 0, 1, ANY, "",    "A fill takes an invalid way first",             \
      "usual design")                                                                               \
    P(flag, touch_on_fill,    1, 0, 1, ANY, "",    "A fill counts as a use",                        \
      "usual design")                                                                               \
    P(u32,  start_cycles,     1, 1,  500, ANY, "cycles", "From the miss to the first read",         \
      "one pipeline step")                                                                          \
    P(u32,  step_cycles,      1, 1,  500, ANY, "cycles", "From an entry's arrival to the next read",\
      "one pipeline step")                                                                          \
    P(u32,  fill_cycles,      2, 1, 1000, ANY, "cycles", "From the last beat to the next look-up",  \
      "write, then read")                                                                           \
    P(u32,  fault_cycles,     1, 1, 1000, ANY, "cycles", "From a faulty word to the fault; at the earliest with the last word", \
      "one pipeline step")                                                                          \
    P(flag, fill_after_flush, 0, 0, 1, ANY, "",    "A walk under way fills after an invalidation",  \
      "a fault of some implementations")                                                            \
    P(flag, refetch,          0, 0, 1, ANY, "",    "A context dropped under a page walk is read again at once", \
      "usual design: the walk goes by what was true at its beginning")

#define CONTEXT_STATS(S)                                                                            \
    S(lookup,            lookup,       "lookups", "Look-ups of a device's or process's context")    \
    S(lookup_hit,        lookup,       "lookups", "Look-ups that found it")                         \
    S(lookup_missed,     lookup,       "lookups", "Look-ups that did not")                          \
    S(read,              read,         "reads",   "Reads of context tables")                        \
    S(entry_filled,      entry_filled, "entries", "Contexts installed")                             \
    S(entry_evicted,     entry_filled, "entries", "Contexts displaced by a fill")                   \
    S(entry_invalidated, entry_filled, "entries", "Contexts removed by software")
/* clang-format on */

struct context_config {
    CONTEXT_PARAMS(PARAM_FIELD)
};
struct context_stats {
    CONTEXT_STATS(STAT_FIELD)
};
extern const struct param_table context_param_table;
extern const struct stat_table context_stat_table;

/* The key of a device context is the requester; a process context's has the PASID above it.
 */
static inline uint64_t context_key(uint32_t requester, uint32_t pasid)
{
    return requester | (uint64_t)pasid << 32;
}

struct context_cache {
    struct context_array array;
    struct context_stats *stats;  /* Shared by the device and the process cache. */
    struct context_entry *recent; /* Touched last: touching it again changes nothing. */
};

void context_cache_init(struct context_cache *c, const struct setassoc_shape *shape,
                        struct rng rng, struct context_stats *stats);
void context_cache_free(struct context_cache *c);
const struct xlate_context *context_cache_lookup(struct context_cache *c, uint64_t key);
/* The same without any effect. */
const struct xlate_context *context_cache_probe(const struct context_cache *c,
                                                uint64_t key);
void context_cache_fill(struct context_cache *c, uint64_t key,
                        const struct xlate_context *context);

/* Drops the entries for which drop says so. */
uint32_t context_cache_invalidate(struct context_cache *c,
                                  bool (*drop)(const void *arg,
                                               const struct context_entry *entry),
                                  const void *arg);

#endif
