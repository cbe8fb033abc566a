/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush - the family of flush policies: when stale translations are invalidated.
 *
 * dma_api/flush_X.c defines `const struct flush_policy flush_X` whose name is "X". A policy
 * sees a domain and a range whose page-table entries have just been cleared; it decides
 * when the IOMMU's caches are told and when the addresses may be used again. It never sees
 * a cache.
 */
#ifndef DMA_API_FLUSH_H
#define DMA_API_FLUSH_H

#include "dma_api/pagetable.h"
#include "sim/base/param.h"

struct dma_domain;
struct device;

/* What a policy guarantees about the pages of an unmap that has returned. */
enum flush_promise {
    PROMISE_NOTHING_STALE, /* No access through an old translation succeeds. */
    PROMISE_BOUNDED_TIME,  /* None does after a bounded time. */
    PROMISE_BOUNDED_COUNT, /* None does but through those of a bounded number of unmaps. */
    PROMISE_BOUNDED_BYTES, /* None does but to a bounded number of bytes given back. */
    PROMISE_POOL_ONLY,     /* None does but to a pool that stays mapped by design. */
    PROMISE_NONE,          /* Nothing is promised. */
};
const char *flush_promise_text(enum flush_promise promise);

/* A range on its way back: cleared in the tables, perhaps still cached. */
struct flush_range {
    dma_addr_t iova; /* Multiples of the granule. */
    uint64_t bytes;
    struct table_list tables; /* Taken out of the tables by this unmap. */
    unsigned leaf_lg2;        /* The span of the smallest entries that it cleared; or 0. */
};

/* The two halves of what a policy's timer does. */
enum flush_stage { FLUSH_INVALIDATE, FLUSH_RELEASE };

struct flush_policy {
    const char *name, *summary, *source;
    enum flush_promise promise;
    /* How far a bounded promise goes, under this configuration: in ps, in unmaps or in
     * bytes. NULL: the promise has no bound. */
    uint64_t (*bound)(const void *config);
    bool translates; /* False: the device is not behind page tables at all. */
    bool negative;   /* A negative control: breaks the invariants, and must be caught. */
    const struct param_table *params; /* NULL: none. The prefix is the policy's name. */
    size_t state_bytes;

    /* Called once, when a domain begins to use the policy and when it ends. After exit
     * every range that unmap took has been released. On CPU 0. */
    void (*init)(struct dma_domain *d, void *state, const void *config);
    void (*exit)(struct dma_domain *d, void *state);

    /*
     * The range's addresses come back: sooner or later domain_release must be called for
     * it, once no cache can hold a translation of it. The policy owns range->tables from
     * here on. Before it returns, and before anything can release the range, it calls
     * domain_give_back: from then on the memory belongs to software again. Called with
     * interrupts in any state, on any CPU, by several CPUs at a time.
     */
    void (*unmap)(struct dma_domain *d, void *state, struct flush_range *range);

    /* A stage of the policy's timer, now and on this CPU, in place of the timer itself: for
     * replays, whose recordings say when it fired. NULL: there is no timer. */
    void (*expire)(struct dma_domain *d, void *state, enum flush_stage stage);
};

extern const struct flush_policy flush_strict;
extern const struct flush_policy *const flush_table[];
const struct flush_policy *flush_find(const char *name); /* NULL when there is none. */

/* The policy of a device's domain: what is wanted, but strict if it is untrusted. */
const struct flush_policy *flush_for_device(const struct device *dev,
                                            const struct flush_policy *wanted);
const char *flush_member(unsigned index);

#endif
