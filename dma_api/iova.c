/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iova - the tree of allocated ranges, and the way through magazines and tree.
 *
 * Follows drivers/iommu/iova.c and iommu_dma_alloc_iova of Linux 6.12 to 7.3.
 * Inaccuracies: the depth of the descent that links a new node is one price, not simulated.
 */
#include "dma_api/iova.h"

#include <string.h>

#include "sim/base/lg2.h"

#define STAT_OWNER struct iova_stats
static const struct stat_def iova_stats[] = { IOVA_STATS(STAT_ROW) STAT_END };
const struct stat_table iova_stat_table   = { "iova",
                                              "The allocator of I/O virtual addresses",
                                              iova_stats, sizeof(struct iova_stats) };

static int compare(const struct iova_node *a, const struct iova_node *b)
{
    return a->first < b->first ? -1 : a->first > b->first;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"
RB_PROTOTYPE_INTERNAL(iova_tree, iova_node, entry, compare, static)
RB_GENERATE_INTERNAL(iova_tree, iova_node, entry, compare, static)
#pragma GCC diagnostic pop

/* ---- Nodes
 * --------------------------------------------------------------------------------- */

static struct iova_node *node_get(struct iova_domain *d)
{
    struct iova_node *node = d->spare;
    cpu_spend(cpu_this(), d->kernel->cost.slab_cycles);
    if (kernel_no_memory(d->kernel, "address node"))
        return NULL;
    if (node != NULL)
        d->spare = RB_LEFT(node, entry);
    else
        node = kernel_host_alloc(d->kernel, 1, sizeof *node);
    return node;
}

static void node_put(struct iova_domain *d, struct iova_node *node)
{
    cpu_spend(cpu_this(), d->kernel->cost.slab_cycles);
    RB_LEFT(node, entry) = d->spare;
    d->spare             = node;
}

static void visit(struct iova_domain *d, struct iova_node *node)
{
    struct cpu *cpu = cpu_this();
    d->stats.tree_step++;
    cpu_load(cpu, &node->line);
    cpu_spend(cpu, d->kernel->cost.tree_step_cycles);
}

/* ---- Set-up
 * -------------------------------------------------------------------------------- */

bool iova_init(struct iova_domain *d, struct kernel *k, unsigned granule_lg2,
               uint64_t start)
{
    memset(d, 0, sizeof *d);
    if (kernel_no_memory(k, "magazines of a domain"))
        return false;
    RB_INIT(&d->tree);
    d->kernel       = k;
    d->granule_lg2  = granule_lg2;
    d->start        = start == 0 ? 1 : start;
    d->end32        = UINT64_C(1) << (32 - granule_lg2);
    d->too_large32  = d->end32;
    d->anchor.first = d->anchor.last = UINT64_MAX;
    d->hint = d->hint32 = &d->anchor;
    RB_INSERT(iova_tree, &d->tree, &d->anchor);
    iova_caches_init(d);
    return true;
}

void iova_free_domain(struct iova_domain *d)
{
    struct iova_node *node, *next;
    iova_caches_empty(d);
    CHECK(d->live == 0);
    for (node = RB_MIN(iova_tree, &d->tree); node != NULL; node = next) {
        next = RB_NEXT(iova_tree, &d->tree, node);
        RB_REMOVE(iova_tree, &d->tree, node);
        if (node != &d->anchor)
            kernel_host_free(d->kernel, node);
    }
    while (d->spare != NULL) {
        node     = d->spare;
        d->spare = RB_LEFT(node, entry);
        kernel_host_free(d->kernel, node);
    }
    iova_caches_free(d);
}

static void reserve_gap(struct iova_domain *d, uint64_t first, uint64_t last)
{
    struct iova_node *node = kernel_host_alloc(d->kernel, 1, sizeof *node);
    node->first            = first;
    node->last             = last;
    CHECK(RB_INSERT(iova_tree, &d->tree, node) == NULL);
}

void iova_reserve(struct iova_domain *d, uint64_t first, uint64_t last)
{
    CHECK(first <= last);
    for (struct iova_node *n = RB_MIN(iova_tree, &d->tree); first <= last;
         n                   = RB_NEXT(iova_tree, &d->tree, n)) {
        CHECK(n != NULL); /* The anchor lies above everything. */
        if (n->last < first)
            continue;
        if (first < n->first)
            reserve_gap(d, first, last < n->first ? last : n->first - 1);
        first = n->last < last ? n->last + 1 : last + 1;
    }
}

/* ---- Search
 * -------------------------------------------------------------------------------- */

/* The hints: the lowest range below each limit, as far as anybody knows. */
static struct iova_node *hint_for(struct iova_domain *d, uint64_t limit_end)
{
    cpu_load(cpu_this(), &d->hints);
    return limit_end <= d->end32 ? d->hint32 : d->hint;
}

static void hint_inserted(struct iova_domain *d, struct iova_node *node)
{
    cpu_store(cpu_this(), &d->hints);
    if (node->last < d->end32)
        d->hint32 = node;
    else
        d->hint = node;
}

static void hint_removed(struct iova_domain *d, struct iova_node *node)
{
    cpu_store(cpu_this(), &d->hints);
    if (node == d->hint32 || (node->last < d->end32 && node->first >= d->hint32->first))
        d->hint32 = RB_NEXT(iova_tree, &d->tree, node);
    if (node->first < d->end32)
        d->too_large32 = d->end32;
    if (node->first >= d->hint->first)
        d->hint = RB_NEXT(iova_tree, &d->tree, node);
}

/* The lowest node that lies at or above the limit: where a search from the top begins. */
static struct iova_node *node_above(struct iova_domain *d, uint64_t limit_end)
{
    struct iova_node *found = &d->anchor;
    if (limit_end > d->end32)
        return found; /* Linux does not descend for these. */
    for (struct iova_node *n = RB_ROOT(&d->tree); n != NULL;) {
        visit(d, n);
        if (n->first >= limit_end) {
            found = n;
            n     = RB_LEFT(n, entry);
        } else {
            n = RB_RIGHT(n, entry);
        }
    }
    return found;
}

/*
 * Walks down from the node above the gap until a gap below end, above every lower range
 * and at least at low, holds so many granules. 0: none.
 */
static uint64_t gap_below(struct iova_domain *d, struct iova_node *above, uint64_t granules,
                          uint64_t end, uint64_t low)
{
    const uint64_t alignment = lg2_ceil(granules);
    for (;;) {
        end                     = end < above->first ? end : above->first;
        struct iova_node *below = RB_PREV(iova_tree, &d->tree, above);
        if (end < granules)
            return 0;
        const uint64_t candidate = align_down(end - granules, (unsigned)alignment);
        if (below != NULL)
            visit(d, below);
        if (candidate < low)
            return 0;
        if (below == NULL || candidate > below->last)
            return candidate;
        above = below;
    }
}

static uint64_t find_gap(struct iova_domain *d, uint64_t granules, uint64_t limit_end)
{
    struct iova_node *hint = hint_for(d, limit_end);
    const uint64_t from    = hint->last;
    visit(d, hint);
    uint64_t pfn = gap_below(d, hint, granules, limit_end, d->start);
    /* What lies above the hint may have been freed: once more, from the limit down to it.
     */
    if (pfn == 0 && from < limit_end)
        pfn = gap_below(d, node_above(d, limit_end), granules, limit_end, from + 1);
    return pfn;
}

static void insert(struct iova_domain *d, struct iova_node *node, uint64_t pfn,
                   uint64_t granules)
{
    struct cpu *cpu = cpu_this();
    node->first     = pfn;
    node->last      = pfn + granules - 1;
    cpu_store(cpu, &node->line);
    cpu_spend(cpu, d->kernel->cost.tree_insert_cycles);
    CHECK(RB_INSERT(iova_tree, &d->tree, node) == NULL);
    hint_inserted(d, node);
}

uint64_t iova_tree_alloc(struct iova_domain *d, uint64_t granules, uint64_t limit)
{
    struct cpu *cpu          = cpu_this();
    const uint64_t limit_end = limit + 1;
    struct iova_node *node   = node_get(d);
    if (node == NULL)
        return 0;
    lock_take(cpu, &d->lock);
    const bool below32 = limit_end <= d->end32;
    const uint64_t pfn =
        below32 && granules >= d->too_large32 ? 0 : find_gap(d, granules, limit_end);
    if (pfn != 0)
        insert(d, node, pfn, granules);
    else if (!(below32 && granules >= d->too_large32))
        d->too_large32 = granules; /* As Linux: whatever the limit was. */
    lock_release(cpu, &d->lock);
    if (pfn == 0)
        node_put(d, node);
    return pfn;
}

static struct iova_node *node_of(struct iova_domain *d, uint64_t pfn)
{
    for (struct iova_node *n = RB_ROOT(&d->tree); n != NULL;) {
        visit(d, n);
        if (pfn < n->first)
            n = RB_LEFT(n, entry);
        else if (pfn > n->last)
            n = RB_RIGHT(n, entry);
        else
            return n;
    }
    return NULL;
}

static void remove_node(struct iova_domain *d, uint64_t pfn)
{
    struct iova_node *node = node_of(d, pfn);
    CHECK(node != NULL); /* Given back twice, or never handed out. */
    hint_removed(d, node);
    cpu_spend(cpu_this(), d->kernel->cost.tree_insert_cycles);
    RB_REMOVE(iova_tree, &d->tree, node);
    node_put(d, node);
}

void iova_tree_free(struct iova_domain *d, const uint64_t *pfn, uint32_t count)
{
    struct cpu *cpu = cpu_this();
    lock_take(cpu, &d->lock);
    for (uint32_t i = 0; i < count; i++)
        remove_node(d, pfn[i]);
    lock_release(cpu, &d->lock);
}

/* ---- Held to a recording
 * --------------------------------------------------------------------- */

struct iova_hints iova_tree_hints(const struct iova_domain *d)
{
    return (struct iova_hints){ d->hint, d->hint32, d->too_large32 };
}

static void set_hints(struct iova_domain *d, struct iova_hints hints)
{
    d->hint        = hints.any;
    d->hint32      = hints.below32;
    d->too_large32 = hints.too_large32;
}

void iova_tree_withdraw(struct iova_domain *d, uint64_t pfn, struct iova_hints hints)
{
    if (pfn != 0)
        remove_node(d, pfn);
    set_hints(d, hints);
}

bool iova_tree_claim(struct iova_domain *d, uint64_t pfn, uint64_t granules)
{
    const struct iova_hints hints = iova_tree_hints(d);
    for (uint64_t i = 0; i < granules; i++)
        if (node_of(d, pfn + i) != NULL)
            return false;
    struct iova_node *node = node_get(d);
    if (node == NULL)
        return false;
    insert(d, node, pfn, granules);
    set_hints(d, hints);
    return true;
}

/* ---- Through magazines and tree
 * -------------------------------------------------------------- */

static bool cacheable(uint64_t granules)
{
    return lg2_ceil(granules) < IOVA_ORDERS;
}

static uint64_t from_tree(struct iova_domain *d, uint64_t granules, uint64_t limit,
                          bool flush)
{
    uint64_t pfn = iova_tree_alloc(d, granules, limit);
    if (pfn == 0 && flush) {
        iova_caches_empty(d);
        d->stats.flushed++;
        pfn = iova_tree_alloc(d, granules, limit);
    }
    return pfn;
}

uint64_t iova_alloc_fast(struct iova_domain *d, uint64_t granules, uint64_t limit,
                         bool flush, bool *cached)
{
    const uint64_t asked = granules;
    uint64_t pfn         = 0;
    CHECK(granules > 0);
    d->stats.allocation++;
    if (d->watch != NULL)
        d->watch->asked(d->watch->self, d, asked, limit);
    if (cacheable(granules)) {
        granules = UINT64_C(1) << lg2_ceil(granules);
        pfn      = iova_cache_get(d, lg2_floor(granules), limit + 1 - granules);
    }
    *cached = pfn != 0;
    if (pfn == 0)
        pfn = from_tree(d, granules, limit, flush);
    if (d->watch != NULL)
        pfn = d->watch->answered(d->watch->self, d, asked, pfn, *cached);
    d->stats.allocation_cached += *cached;
    d->stats.allocation_tree += pfn != 0 && !*cached;
    d->stats.allocation_failed += pfn == 0;
    d->live += pfn != 0;
    return pfn;
}

void iova_free_fast(struct iova_domain *d, uint64_t pfn, uint64_t granules)
{
    CHECK(d->live > 0);
    d->live--;
    d->stats.release++;
    if (d->watch != NULL)
        d->watch->released(d->watch->self, d, pfn, granules);
    if (cacheable(granules) && iova_cache_put(d, lg2_ceil(granules), pfn)) {
        d->stats.release_cached++;
        return;
    }
    d->stats.release_tree++;
    iova_tree_free(d, &pfn, 1);
}

dma_addr_t iova_alloc_for(struct iova_domain *d, struct device *dev, uint64_t bytes,
                          uint64_t mask, uint64_t aperture_last)
{
    const unsigned lg2      = d->granule_lg2;
    const uint64_t granules = align_up(bytes, lg2) >> lg2;
    bool cached;
    if (dev->bus_dma_limit != 0 && dev->bus_dma_limit < mask)
        mask = dev->bus_dma_limit;
    if (aperture_last < mask)
        mask = aperture_last;
    if (mask > DMA_BIT_MASK(32) && !dev->dac_first) {
        const uint64_t pfn =
            iova_alloc_fast(d, granules, DMA_BIT_MASK(32) >> lg2, false, &cached);
        if (pfn != 0)
            return pfn << lg2;
        dev->dac_first = true; /* For good: 32-bit addresses have become scarce. */
    }
    return iova_alloc_fast(d, granules, mask >> lg2, true, &cached) << lg2;
}

void iova_audit(const struct iova_domain *d)
{
    const struct iova_node *before = NULL;
    struct iova_node *node;
    struct iova_tree tree = d->tree;
    RB_FOREACH(node, iova_tree, &tree)
    {
        CHECK(node->first <= node->last);
        CHECK(before == NULL || before->last < node->first);
        before = node;
    }
    CHECK(before == &d->anchor);
}
