/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iova - the allocator of I/O virtual addresses of one domain.
 *
 * Two layers, as Linux has them (drivers/iommu/iova.c): a tree of allocated ranges,
 * searched from the top for the highest gap that fits, under one lock; and in front of it,
 * for sizes of up to 32 granules, per-CPU magazines of recently freed addresses with a
 * shared depot of full magazines behind them. Addresses are in granules (page frame
 * numbers); 0 is never handed out and stands for failure.
 */
#ifndef DMA_API_IOVA_H
#define DMA_API_IOVA_H

#include <bsd/sys/tree.h>

#include "dma_api/kernel.h"

enum {
    IOVA_ORDERS         = 6, /* Sizes of 1 .. 32 granules, rounded up to a power of two. */
    IOVA_MAGAZINE       = 127,
    IOVA_TRIM_PERIOD_MS = 100,
};

/* clang-format off */
#define IOVA_STATS(S)                                                                               \
    S(allocation,          allocation, "ranges", "Ranges asked for")                                \
    S(allocation_cached,   allocation, "ranges", "From a magazine of this CPU")                     \
    S(allocation_tree,     allocation, "ranges", "From the tree")                                   \
    S(allocation_failed,   allocation, "ranges", "No room")                                         \
    S(release,             release,    "ranges", "Ranges given back")                               \
    S(release_cached,      release,    "ranges", "Into a magazine of this CPU")                     \
    S(release_tree,        release,    "ranges", "Into the tree")                                   \
    S(tree_step,           tree_step,  "steps",  "Nodes visited in the tree")                       \
    S(depot_push,          depot_push, "magazines", "Full magazines put into the depot")            \
    S(depot_pop,           depot_pop,  "magazines", "Full magazines taken from the depot")          \
    S(depot_trim,          depot_trim, "magazines", "Magazines emptied into the tree by trimming")  \
    S(flushed,             flushed,    "flushes", "Emptied all magazines because there was no room")
/* clang-format on */

struct iova_stats {
    IOVA_STATS(STAT_FIELD)
};
extern const struct stat_table iova_stat_table;

struct iova_node {
    RB_ENTRY(iova_node) entry;
    uint64_t first, last; /* Granules, inclusive. */
    struct line line;
};
RB_HEAD(iova_tree, iova_node);

struct iova_magazine {
    struct iova_magazine *next; /* In the depot. */
    uint32_t count;
    uint64_t pfn[IOVA_MAGAZINE];
    struct line line[16]; /* Of 64 bytes: the count and 7 addresses, then 8 in each. */
};

struct iova_cpu_cache {
    struct lock lock;
    struct iova_magazine *loaded, *previous;
};

struct iova_cache {
    struct iova_domain *domain;
    unsigned order;
    struct iova_cpu_cache *cpu; /* One for each CPU. */
    struct lock lock;           /* Of the depot. */
    struct iova_magazine *depot;
    uint32_t depot_size;
    bool trim_armed;
    struct cpu_timer trim;
};

struct iova_domain;

/*
 * Who holds the allocator to a recording (sim/linux): told of every request, answer and
 * release. answered returns the address that the caller gets; to give out another than pfn,
 * it has put pfn back and taken the other with the verbs below. pfn is 0 when there was no
 * room.
 */
struct iova_watch {
    void *self;
    void (*asked)(void *self, struct iova_domain *d, uint64_t granules, uint64_t limit);
    uint64_t (*answered)(void *self, struct iova_domain *d, uint64_t granules, uint64_t pfn,
                         bool cached);
    void (*released)(void *self, struct iova_domain *d, uint64_t pfn, uint64_t granules);
};

struct iova_domain {
    struct kernel *kernel;
    unsigned granule_lg2;
    struct lock lock; /* Of the tree and the hints. */
    struct iova_tree tree;
    struct iova_node *hint, *hint32; /* Where the next search begins: any, below 4 GiB. */
    struct line hints;
    uint64_t start;          /* The first granule that may be handed out. */
    uint64_t end32;          /* The first granule at or above 4 GiB. */
    uint64_t too_large32;    /* Requests of so many granules do not fit below 4 GiB. */
    struct iova_node anchor; /* At the very top: the tree is never empty. */
    struct iova_node *spare; /* Nodes to use again. */
    struct iova_magazine *spare_magazine;
    struct iova_cache cache[IOVA_ORDERS];
    uint64_t live; /* Ranges handed out and not given back. */
    struct iova_stats stats;
    const struct iova_watch *watch; /* NULL: nobody. */
};

/* False: no memory for the magazines. */
bool iova_init(struct iova_domain *d, struct kernel *k, unsigned granule_lg2,
               uint64_t start);

/* Empties all magazines, then the tree. Every range must have been given back. */
void iova_free_domain(struct iova_domain *d);

/* first .. last are never handed out; parts of it may have been reserved already. Before
 * any allocation. */
void iova_reserve(struct iova_domain *d, uint64_t first, uint64_t last);

/*
 * A range of so many granules, aligned to the power of two that holds it, not above limit;
 * 0 when there is none. cached is set when a magazine had it. With flush, all magazines are
 * emptied before giving up.
 */
uint64_t iova_alloc_fast(struct iova_domain *d, uint64_t granules, uint64_t limit,
                         bool flush, bool *cached);
void iova_free_fast(struct iova_domain *d, uint64_t pfn, uint64_t granules);

/* As iommu_dma_alloc_iova: 32-bit addresses first, for a device that has not given up on
 * them. Bytes in, an address out; 0 when there is none. */
dma_addr_t iova_alloc_for(struct iova_domain *d, struct device *dev, uint64_t bytes,
                          uint64_t mask, uint64_t aperture_last);

/* ---- To re-synchronise with a recording -------------------------------------------------
 */

/* What one CPU's magazines of one size hold, and how the depot stood. */
struct iova_image {
    uint32_t count[2]; /* Loaded, previous. */
    uint64_t pfn[2][IOVA_MAGAZINE];
    uint32_t depot;
    uint64_t depot_pushed, depot_popped; /* In all, by whomever. */
};
void iova_cache_image(const struct iova_domain *d, unsigned order, unsigned cpu,
                      struct iova_image *image);
/* Back to the image; the magazines that this CPU has put into the depot since are dropped.
 * A violation when the depot has become smaller. */
void iova_cache_restore(struct iova_domain *d, unsigned order, unsigned cpu,
                        const struct iova_image *image);
/* Takes the address out of whichever magazine holds it, this CPU's first; the others keep
 * their order. False: none does. */
bool iova_cache_take(struct iova_domain *d, unsigned order, uint64_t pfn);

struct iova_hints {
    struct iova_node *any, *below32;
    uint64_t too_large32;
};
struct iova_hints iova_tree_hints(const struct iova_domain *d);
/* Undoes the latest allocation from the tree, 0: it found none; hints are those before it.
 */
void iova_tree_withdraw(struct iova_domain *d, uint64_t pfn, struct iova_hints hints);
/* Takes exactly this range; the hints stay. False: some of it is taken. */
bool iova_tree_claim(struct iova_domain *d, uint64_t pfn, uint64_t granules);

/* Walks the whole tree; a violation when it is out of order or overlapping. */
void iova_audit(const struct iova_domain *d);

/* ---- The layers, for each other --------------------------------------------------------
 */

uint64_t iova_tree_alloc(struct iova_domain *d, uint64_t granules, uint64_t limit);
/* Several at once, in this order, under one hold of the lock. */
void iova_tree_free(struct iova_domain *d, const uint64_t *pfn, uint32_t count);
void iova_caches_init(struct iova_domain *d);
void iova_caches_free(struct iova_domain *d);
uint64_t iova_cache_get(struct iova_domain *d, unsigned order, uint64_t limit);
bool iova_cache_put(struct iova_domain *d, unsigned order, uint64_t pfn);
/* Everything that the magazines of all CPUs and the depots hold goes back into the tree. */
void iova_caches_empty(struct iova_domain *d);

#endif
