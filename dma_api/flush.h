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
#include "dma_api/rules.h"
#include "iommu_model/extension_spec.h"
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

/* A part of an address space, bytes, inclusive; leaf_lg2 as in struct flush_range. */
struct flush_span {
    uint64_t first, last;
    unsigned leaf_lg2;
};
enum { FLUSH_SPANS_MAX = 16 }; /* In one flush. */

/* What a mapping policy is asked to map: whole granules. */
struct flush_mapping {
    struct device *dev;
    phys_addr_t phys;
    uint64_t bytes;
    unsigned prot; /* PT_READ, PT_WRITE */
    uint64_t mask; /* The device's. */
};

/*
 * A policy is its rules (dma_api/rules.h), which dma_api/batch.c carries out, and those of
 * the verbs below that it needs beside them; each may be NULL. Verbs are called with
 * interrupts in any state, on any CPU, by several CPUs at a time.
 */
struct flush_policy {
    const char *name, *summary, *source;
    enum flush_promise promise;
    /* How far a bounded promise goes, under this configuration: in ps, in unmaps or in
     * bytes. NULL: as far as the rules' does. */
    uint64_t (*bound)(const void *config);
    bool translates; /* False: the device is not behind page tables at all. */
    uint64_t needs;  /* Hardware: EXT_CAP_* of iommu_model/extension_spec.h. */
    bool negative;   /* A negative control: breaks the invariants, and must be caught. */
    /* dma_iova_destroy does what the followed release does; of other policies it is an
     * unmap like any other. */
    bool as_linux;
    const struct param_table *params; /* NULL: none. The prefix is the policy's name. */
    size_t state_bytes; /* 0: what the verbs get as state is the domain's configuration. */

    /* Where on the axes it stands; NULL: in the corner of strict. */
    void (*rules)(const void *config, struct flush_rules *rules);

    /* Called once, when a domain begins to use the policy and when it ends. After exit
     * every range that unmap took has been released. On CPU 0. */
    void (*init)(struct dma_domain *d, void *state, const void *config);
    void (*exit)(struct dma_domain *d, void *state);

    /*
     * The range's addresses come back: sooner or later domain_release must be called for
     * it, once no cache can hold a translation of it. The policy owns range->tables from
     * here on. Before it returns, and before anything can release the range, it calls
     * domain_give_back: from then on the memory belongs to software again. NULL: as the
     * rules say.
     */
    void (*unmap)(struct dma_domain *d, void *state, struct flush_range *range);

    /*
     * Mappings that the policy keeps itself. serves: whether it maps so many bytes; of
     * those dma_iova_try_alloc refuses, and lists are mapped one by one. map: an address
     * for them, or 0: it has none, map as usual. owns: whether the address is of map, and
     * if so the mapping has ended. bounces: what it maps are bounce buffers.
     */
    bool (*serves)(const void *state, uint64_t bytes);
    dma_addr_t (*map)(struct dma_domain *d, void *state, const struct flush_mapping *m);
    bool (*owns)(struct dma_domain *d, void *state, dma_addr_t iova, uint64_t bytes);
    bool bounces;

    /* Addresses of the policy's own choice, in place of the allocator's; 0: ask that.
     * take_back: true if the range's addresses were such. */
    dma_addr_t (*address)(struct dma_domain *d, void *state, struct device *dev,
                          uint64_t bytes, uint64_t mask);
    bool (*take_back)(struct dma_domain *d, void *state, const struct flush_range *range);
};

extern const struct flush_policy flush_strict;
extern const struct flush_policy *const flush_table[];
const struct flush_policy *flush_find(const char *name); /* NULL when there is none. */

/* The policy of a device's domain: what is wanted, but strict if it is untrusted. */
const struct flush_policy *flush_for_device(const struct device *dev,
                                            const struct flush_policy *wanted);
const char *flush_member(unsigned index);

/* Its rules under this configuration, moved along the axes (moves NULL: not). */
struct flush_rules flush_policy_rules(const struct flush_policy *policy, const void *config,
                                      const struct policy_config *moves);

/* What it guarantees with them, and how far: in ps, in unmaps or in bytes. */
enum flush_promise flush_policy_promise(const struct flush_policy *policy,
                                        const void *config,
                                        const struct policy_config *moves, uint64_t *bound);

#endif
