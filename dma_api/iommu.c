/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iommu - unmanaged domains over domain.h. Follows drivers/iommu/iommu.c and generic_pt.
 */
#include "dma_api/iommu.h"

#include "dma_api/domain.h"

/* The policy is never asked: no address of this domain comes from its allocator. */
struct iommu_domain {
    struct dma_domain *d;
    struct dma_domain *home[DOMAIN_DEVICES_MAX]; /* Of the devices, in d's order. */
};

void iommu_iotlb_gather_init(struct iommu_iotlb_gather *gather)
{
    *gather = (struct iommu_iotlb_gather){ .start = UINT64_MAX };
}

struct iommu_domain *iommu_paging_domain_alloc(struct device *dev)
{
    struct kernel *k = dev->kernel;
    if (dev->domain == NULL)
        return NULL;
    struct iommu_domain *domain = kernel_host_try(k, 1, sizeof *domain);
    if (domain == NULL)
        return NULL;
    domain->d = domain_new(k, dev->domain->backend, dev->domain->backend_state,
                           &flush_strict, NULL);
    if (domain->d == NULL) {
        kernel_host_free(k, domain);
        return NULL;
    }
    domain->d->unmanaged = true;
    return domain;
}

void iommu_domain_free(struct iommu_domain *domain)
{
    struct kernel *k = domain->d->kernel;
    domain_free(domain->d);
    kernel_host_free(k, domain);
}

int iommu_attach_device(struct iommu_domain *domain, struct device *dev)
{
    struct dma_domain *home = dev->domain, *d = domain->d;
    if (home == NULL || home->unmanaged)
        return -EBUSY;
    if (home->backend_state != d->backend_state || d->devices == DOMAIN_DEVICES_MAX)
        return -EINVAL;
    domain_detach(home, dev);
    if (!domain_attach(d, dev)) {
        CHECK(domain_attach(home, dev)); /* It was there a moment ago. */
        return -EINVAL;
    }
    domain->home[d->devices - 1] = home;
    return 0;
}

void iommu_detach_device(struct iommu_domain *domain, struct device *dev)
{
    struct dma_domain *d = domain->d;
    unsigned at          = 0;
    CHECK(dev->domain == d);
    while (d->device[at] != dev)
        at++;
    struct dma_domain *home = domain->home[at];
    for (; at + 1 < d->devices; at++)
        domain->home[at] = domain->home[at + 1];
    domain_detach(d, dev);
    CHECK(domain_attach(home, dev));
}

static enum cpu_owner enter(struct iommu_domain *domain)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_dma_api);
    cpu_spend(cpu, domain->d->kernel->cost.call_cycles);
    return owner;
}

int iommu_map(struct iommu_domain *domain, dma_addr_t iova, phys_addr_t paddr, size_t size,
              int prot)
{
    const enum cpu_owner owner = enter(domain);
    const unsigned pt =
        (prot & IOMMU_READ ? PT_READ : 0u) | (prot & IOMMU_WRITE ? PT_WRITE : 0u);
    const int error = domain_map(domain->d, iova, paddr, size, pt);
    if (error == 0) {
        domain_map_sync(domain->d, iova, size);
        domain_lend(domain->d, iova, size);
    }
    cpu_own(cpu_this(), owner);
    return error;
}

static void widen(struct iommu_iotlb_gather *gather, dma_addr_t first, dma_addr_t last,
                  unsigned leaf_lg2)
{
    if (first < gather->start)
        gather->start = first;
    if (last > gather->end)
        gather->end = last;
    if (gather->leaf_lg2 == 0 || (leaf_lg2 != 0 && leaf_lg2 < gather->leaf_lg2))
        gather->leaf_lg2 = leaf_lg2;
}

size_t iommu_unmap_fast(struct iommu_domain *domain, dma_addr_t iova, size_t size,
                        struct iommu_iotlb_gather *gather)
{
    const enum cpu_owner owner = enter(domain);
    struct table_list tables   = { gather->freelist.first, gather->freelist.last };
    unsigned leaf_lg2          = 0;
    uint64_t unmapped          = 0;
    cpu_own(cpu_this(), OWNER_pt_unmap);
    if (size != 0 && ((iova | size) & domain_granule_mask(domain->d)) == 0)
        unmapped = pagetable_unmap(&domain->d->table, iova, size, &tables, &leaf_lg2);
    gather->freelist.first = tables.first;
    gather->freelist.last  = tables.last;
    if (unmapped != 0)
        widen(gather, iova, iova + unmapped - 1, leaf_lg2);
    cpu_own(cpu_this(), owner);
    return unmapped;
}

void iommu_iotlb_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
    if (gather->start < gather->end) {
        struct flush_range range = { .iova     = gather->start,
                                     .bytes    = gather->end - gather->start + 1,
                                     .leaf_lg2 = gather->leaf_lg2 };
        range.tables.first       = gather->freelist.first;
        range.tables.last        = gather->freelist.last;
        domain_flush_range(domain->d, &range);
    }
    iommu_iotlb_gather_init(gather);
}

size_t iommu_unmap(struct iommu_domain *domain, dma_addr_t iova, size_t size)
{
    struct iommu_iotlb_gather gather;
    iommu_iotlb_gather_init(&gather);
    const size_t unmapped = iommu_unmap_fast(domain, iova, size, &gather);
    iommu_iotlb_sync(domain, &gather);
    return unmapped;
}

phys_addr_t iommu_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_pt_unmap);
    const phys_addr_t phys     = pagetable_lookup(&domain->d->table, iova);
    cpu_own(cpu, owner);
    return phys;
}

void iommu_unpinned(struct iommu_domain *domain, dma_addr_t iova, size_t size)
{
    const struct flush_range range = { .iova = iova, .bytes = size };
    domain_give_back(domain->d, &range);
}
