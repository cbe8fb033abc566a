/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iommu - domains whose addresses the caller chooses: the API of include/linux/iommu.h.
 *
 * What VFIO and iommufd use in place of the DMA API (an IOMMU_DOMAIN_UNMANAGED). Nothing is
 * flushed but by iommu_iotlb_sync: between it and iommu_unmap_fast the device may still
 * reach what was mapped, and the caller keeps the pages. Calls block and cost on the
 * simulated CPU that makes them.
 */
#ifndef DMA_API_IOMMU_H
#define DMA_API_IOMMU_H

#include "dma_api/dma-mapping.h"

#ifdef __cplusplus
extern "C" {
#endif

struct iommu_domain;
struct table_page;

enum { IOMMU_READ = 1, IOMMU_WRITE = 2 };

/* What was unmapped and not yet invalidated: the span from start to end (inclusive) around
 * it, and the table pages that it emptied. Nothing when start > end. */
struct iommu_iotlb_gather {
    dma_addr_t start, end;
    unsigned leaf_lg2; /* The smallest entries in it, as a power of two; 0: none. */
    struct {
        struct table_page *first, *last;
    } freelist;
};
void iommu_iotlb_gather_init(struct iommu_iotlb_gather *gather);

/* An empty domain for the device's IOMMU; NULL: no IOMMU, memory or id. */
struct iommu_domain *iommu_paging_domain_alloc(struct device *dev);
/* No device may be attached any more. What is mapped is forgotten. */
void iommu_domain_free(struct iommu_domain *domain);

/* In place of the domain of the DMA API, which the device must not use until it is detached
 * again. 0, or -EBUSY (it has left that domain already) or -EINVAL (another IOMMU's, or no
 * room in the hardware; then it is where it was). */
int iommu_attach_device(struct iommu_domain *domain, struct device *dev);
void iommu_detach_device(struct iommu_domain *domain, struct device *dev);

/* Maps size bytes, multiples of the smallest page, for IOMMU_READ and IOMMU_WRITE, and
 * tells hardware that asks for it. 0, or with nothing mapped -EINVAL (no size; neither,
 * after a warning), -ENXIO (misaligned), -ERANGE, -EOVERFLOW, -EADDRINUSE, -ENOMEM. */
int iommu_map(struct iommu_domain *domain, dma_addr_t iova, phys_addr_t paddr, size_t size,
              int prot);
/* Returns how many bytes were unmapped: it stops at a hole or when iova is inside a large
 * page, and takes a large page whole when the range ends inside it. */
size_t iommu_unmap_fast(struct iommu_domain *domain, dma_addr_t iova, size_t size,
                        struct iommu_iotlb_gather *gather);
/* Invalidates what was gathered, gives its table pages back and begins anew. */
void iommu_iotlb_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather);
/* Both. */
size_t iommu_unmap(struct iommu_domain *domain, dma_addr_t iova, size_t size);
/* 0: nothing is mapped there. */
phys_addr_t iommu_iova_to_phys(struct iommu_domain *domain, dma_addr_t iova);

/* Not of Linux: tells observers that the pages behind a range are not the device's any
 * more, as where they are unpinned. */
void iommu_unpinned(struct iommu_domain *domain, dma_addr_t iova, size_t size);

#ifdef __cplusplus
}
#endif

#endif
