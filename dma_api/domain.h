/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain - one address space of devices: tables, allocator, flush policy.
 *
 * What Linux keeps in an iommu_domain and its DMA cookie. The functions here are the steps
 * that the DMA API and the flush policies are made of.
 */
#ifndef DMA_API_DOMAIN_H
#define DMA_API_DOMAIN_H

#include "dma_api/backend.h"
#include "dma_api/batch.h"
#include "dma_api/flush.h"
#include "dma_api/iova.h"

enum { DOMAIN_DEVICES_MAX = 16 };

struct dma_domain {
    struct kernel *kernel;
    const struct backend *backend;
    void *backend_state;
    const struct flush_policy *policy;
    void *policy_state;
    struct flush_rules rules; /* The policy's, moved along kernel.policy. */
    struct batch *batch;
    uint32_t id; /* In the IOMMU's tags and in the observer's space. */
    struct pagetable table;
    struct iova_domain iova;
    uint64_t aperture_last;
    struct lock tag_lock; /* Held over a flush, as Linux's cache_lock. */
    bool ranged;          /* What the first device's bus does not pass on is reserved. */
    bool drained;         /* The policy has given up all it held. */
    bool unmanaged;       /* Its addresses are the caller's (dma_api/iommu.h). */
    struct device *device[DOMAIN_DEVICES_MAX];
    unsigned devices;
};

static inline uint64_t domain_granule_mask(const struct dma_domain *d)
{
    return mask_lg2(d->table.format->page_lg2);
}

/* What a page mapped for this direction allows; nothing for DMA_NONE. */
static inline unsigned dma_prot(enum dma_data_direction dir)
{
    if (dir == DMA_TO_DEVICE)
        return PT_READ;
    if (dir == DMA_FROM_DEVICE)
        return PT_WRITE;
    return dir == DMA_BIDIRECTIONAL ? PT_READ + PT_WRITE : 0;
}

/* An empty domain with this policy, configured by policy_config. NULL: no memory or no id.
 */
struct dma_domain *domain_new(struct kernel *k, const struct backend *backend,
                              void *backend_state, const struct flush_policy *policy,
                              const void *policy_config);

/* Flushes whatever the policy still holds; returns how many ranges of addresses were never
 * unmapped. No device may be attached, and from now on only domain_free follows. */
uint64_t domain_drain(struct dma_domain *d);

/* The same if it has not been done, then frees. Every range must have come back. */
void domain_free(struct dma_domain *d);

/* False: no room in the hardware, or an untrusted device in a domain whose policy may leave
 * something stale. */
bool domain_attach(struct dma_domain *d, struct device *dev);
void domain_detach(struct dma_domain *d, struct device *dev);

/* Of a crash kernel (linux.kdump): before a device's first mapping, tells the IOMMU of it.
 * 0, or -ENOMEM when there is no room for it in the hardware. */
int domain_attach_deferred(struct device *dev);

/* Identity: the device's DMA addresses are physical. False also for an untrusted device. */
bool domain_attach_identity(const struct backend *backend, void *backend_state,
                            struct device *dev);
void domain_detach_identity(const struct backend *backend, void *backend_state,
                            struct device *dev);

/* Maps or leaves nothing mapped; errno as pagetable_map. Does not tell the hardware. */
int domain_map(struct dma_domain *d, dma_addr_t iova, phys_addr_t phys, uint64_t bytes,
               unsigned prot);
void domain_map_sync(struct dma_domain *d, dma_addr_t iova, uint64_t bytes);

/* Clears the range's entries; false, after a warning, when not exactly they were mapped. */
bool domain_unmap(struct dma_domain *d, struct flush_range *range);

/* The range is unmapped; the policy sees to caches and addresses. */
void domain_retire(struct dma_domain *d, struct flush_range *range);

/* Invalidates the range everywhere and frees its tables: the strict way. */
void domain_flush_range(struct dma_domain *d, struct flush_range *range);
void domain_flush_all(struct dma_domain *d);
/* Several spans; tables: some of their tables were taken out. */
void domain_flush_spans(struct dma_domain *d, const struct flush_span *span, unsigned spans,
                        bool tables);
/* The range, without a wait; a ticket for backend.posted_done. Its tables are the
 * caller's. */
uint64_t domain_post(struct dma_domain *d, const struct flush_range *range);

/* Before an allocation that failed is given up: true if it may succeed now. */
bool domain_make_room(struct dma_domain *d);

/* A stage of the policy's timer, in place of the timer itself (batch_expire). */
void domain_expire(struct dma_domain *d, enum flush_stage stage);

/* What the observer is told. give_back: from now on the memory behind the range is no
 * longer the device's, and may hold other data. give_back_held: it is software's, but keeps
 * its data until domain_reusable. lend: a mapping lets the device at exactly these bytes.
 * pool: these addresses stay mapped from now on, whoever uses them; or no longer. */
void domain_give_back(struct dma_domain *d, const struct flush_range *range);
void domain_give_back_held(struct dma_domain *d, const struct flush_range *range);
void domain_reusable(struct dma_domain *d, const struct flush_range *range);
void domain_lend(struct dma_domain *d, dma_addr_t addr, uint64_t bytes);
void domain_pool(struct dma_domain *d, dma_addr_t iova, uint64_t bytes, bool grows);

/* Nothing holds the range any more: tables and addresses are free. */
void domain_release(struct dma_domain *d, struct flush_range *range);

#endif
