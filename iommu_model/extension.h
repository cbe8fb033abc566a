/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extension - hardware that proposals add to an IOMMU: generation numbers, a filter of
 * pending unmaps, entries that expire, that can be used once, or that rings displace, and a
 * queue of invalidations for each CPU (extension_spec.h).
 *
 * A block of its own beside the IOMMU, with its own registers; everything is off unless a
 * parameter or the flush policy asks for it.
 *
 * Inaccuracies: what a generation number or the filter hides leaves the IOTLB at once,
 * where hardware would keep it in its way until it is displaced; a queue's reads and writes
 * take a fixed time and no bandwidth; one-shot pages count bytes of the whole page,
 * whatever part was lent.
 */
#ifndef IOMMU_MODEL_EXTENSION_H
#define IOMMU_MODEL_EXTENSION_H

#include "iommu_model/extension_spec.h"
#include "iommu_model/rootport.h"

/* clang-format off */
#define EXTENSION_PARAMS(P)                                                                         \
    P(flag, versions,        0, 0, 1, ANY, "", "Generation numbers of domains",                     \
      "catalogue 36; brought along by policies that need it")                                       \
    P(flag, filter,          0, 0, 1, ANY, "", "A filter of pending unmaps",                        \
      "catalogue 40; as versions")                                                                  \
    P(flag, lifetime,        0, 0, 1, ANY, "", "Cached translations expire",                        \
      "catalogue 38; as versions")                                                                  \
    P(flag, oneshot,         0, 0, 1, ANY, "", "Cached translations end with the last byte",        \
      "catalogue 37; as versions")                                                                  \
    P(flag, rings,           0, 0, 1, ANY, "", "Rings of addresses with few cached translations each", \
      "catalogue 22; as versions")                                                                  \
    P(flag, queues,          0, 0, 1, ANY, "", "A queue of invalidations, of any ranges, for each CPU", \
      "catalogue 8 and 33; as versions")                                                            \
    P(u32, filter_ranges,   64, 1, 65535, ANY, "ranges", "Ranges that the filter holds",            \
      "a small CAM; not published")                                                                 \
    P(u32, lifetime_ns, 100000, 100, 4000000000, ANY, "ns", "From a fill until the translation expires", \
      "lifetimes of milliseconds were proposed; shorter here to be comparable with window")         \
    P(u32, ring_entries,     2, 1, 64, ANY, "pages", "Cached translations of a ring: the present one and the next", \
      "rIOMMU, ASPLOS 2015: one, and one prefetched")                                               \
    P(u32, operation_ns,    10, 0, 100000, ANY, "ns", "From an operation's arrival to its effect",  \
      "a few cycles of the IOMMU")                                                                  \
    P(u32, fetch_ns,       100, 0, 100000, ANY, "ns", "From a queue's tail to the command's arrival", \
      "one memory access")                                                                          \
    P(u32, execute_ns,      16, 0, 100000, ANY, "ns", "To carry a queue's command out",             \
      "as invq.execute_cycles")                                                                     \
    P(u32, status_ns,       90, 0, 100000, ANY, "ns", "From a command's end until its word is in memory", \
      "one memory access")

#define EXTENSION_STATS(S)                                                                          \
    S(version,       version,   "operations", "Generations begun")                                  \
    S(hidden,        hidden,    "ranges",     "Ranges put into the filter")                         \
    S(shown,         shown,     "operations", "Filters emptied")                                    \
    S(command,       command,   "commands",   "Commands of the queues")                             \
    S(expired,       expired,   "entries",    "Cached translations that expired")                   \
    S(used_up,       used_up,   "entries",    "... that ended with their last byte")                \
    S(displaced,     displaced, "entries",    "... that newer ones of their ring displaced")
/* clang-format on */

struct extension_config {
    EXTENSION_PARAMS(PARAM_FIELD)
};
struct extension_stats {
    EXTENSION_STATS(STAT_FIELD)
};
extern const struct param_table extension_param_table;
extern const struct stat_table extension_stat_table;

enum ext_step { EXT_IDLE, EXT_FETCH, EXT_EXECUTE, EXT_DRAIN, EXT_STATUS };

struct ext_bank {
    uint64_t first, last, control;
    sim_time_t effect_at; /* Of an operation that has arrived; TIME_NEVER: none. */
    bool draining;
    uint32_t drain_epoch;
    /* The queue. */
    uint64_t base;
    uint32_t mask, head, tail;
    uint8_t step;
    sim_time_t due;
    uint64_t command[4];
};

/* What the extension knows of the entry at the same place of the IOTLB. */
struct ext_entry {
    uint64_t fill; /* Which fill it was, counted from 1. */
    uint64_t used; /* Bytes. */
};

struct ext_expiry {
    sim_time_t at;
    uint64_t fill;
    uint32_t place;
};
#define RING_NAME ext_expiry_ring
#define RING_ITEM struct ext_expiry
#include "sim/base/ring.h"

enum { EXT_RINGS_MAX = 64, EXT_RING_ENTRIES_MAX = 64 };

/* The pages of a ring that are cached, oldest first. */
struct ext_ring {
    struct {
        uint32_t place;
        uint64_t fill;
    } entry[EXT_RING_ENTRIES_MAX];
    uint32_t first, count;
};

struct extension {
    struct extension_config config;
    struct iommu *iommu;
    struct memory *memory;
    sim_time_t *due;
    sim_time_t now;
    uint64_t cap;
    uint64_t ring_base;
    uint32_t ring_lg2;
    uint64_t fills;
    struct ext_entry *entry;
    struct ext_expiry_ring expiry;
    struct ext_bank bank[EXT_BANKS_MAX];
    struct ext_ring ring[EXT_RINGS_MAX];
    struct extension_stats stats;
};

extern const struct mmio_ops extension_mmio_ops;

/* A block of engine. needs: capabilities (EXT_CAP_*) beside those that config has on. */
void extension_init(struct extension *e, const struct extension_config *config,
                    uint64_t needs, struct iommu *iommu, struct memory *memory,
                    struct engine *engine);
void extension_free(struct extension *e);
/* Tells it of the DMA that this port carries out. */
void extension_watch(struct extension *e, struct rootport *port);
/* Whether nothing is under way. */
bool extension_idle(const struct extension *e);

#endif
