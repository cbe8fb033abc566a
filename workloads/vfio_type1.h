/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfio_type1 - the memory of a guest or of a user's process, mapped as it asks for it.
 *
 * The shape of drivers/vfio/vfio_iommu_type1.c: pages are pinned in batches of 512, and
 * physically contiguous runs of them, over the ends of batches too, are mapped at once; a
 * run is unmapped at once, up to 512 of them before one invalidation, and only then
 * unpinned. Pinning itself costs nothing here.
 */
#ifndef WORKLOADS_VFIO_TYPE1_H
#define WORKLOADS_VFIO_TYPE1_H

#include "dma_api/iommu.h"
#include "dma_api/kernel.h"

enum {
    VFIO_BATCH_PAGES     = 512,
    VFIO_SYNC_REGIONS    = 512,
    VFIO_DMA_ENTRIES_MAX = 65535,
};

/* What was mapped by one call. */
struct vfio_dma {
    struct vfio_dma *next;
    dma_addr_t iova;
    size_t size; /* Bytes. */
};

struct vfio_iommu {
    struct kernel *kernel;
    struct iommu_domain *domain;
    struct vfio_dma *list;
    unsigned dma_avail;   /* Calls that may still be made. */
    size_t pinned;        /* Pages. */
    size_t locked_limit;  /* Pages that may be pinned (RLIMIT_MEMLOCK). */
    size_t batches, runs; /* That were pinned, and mapped, since the beginning. */
    size_t syncs;         /* Invalidations since the beginning. */
};

void vfio_iommu_init(struct vfio_iommu *iommu, struct kernel *k,
                     struct iommu_domain *domain);

/* Maps npages of the user's memory at iova, for IOMMU_READ and IOMMU_WRITE: page i of it is
 * page[i]. 0, or with nothing mapped -EINVAL (no page; neither; iova inside a page, or
 * beyond the last address), -EEXIST (overlaps an earlier call's), -ENOSPC (too many calls),
 * -ENOMEM (too many pages, or no memory), or what iommu_map returned. */
int vfio_dma_do_map(struct vfio_iommu *iommu, dma_addr_t iova, struct page *const *page,
                    size_t npages, int prot);
/* Undoes every call that lies within the range, and says how many bytes that were. A call
 * that it cuts: -EINVAL, and nothing is undone. */
int vfio_dma_do_unmap(struct vfio_iommu *iommu, dma_addr_t iova, size_t size,
                      size_t *unmapped);

#endif
