/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/vfio_type1.h"

/* Unmapped, but not invalidated: still pinned. */
struct region {
    dma_addr_t iova;
    size_t size;
    struct region *next;
};

struct unmapping {
    struct iommu_iotlb_gather gather;
    struct region *regions, **end;
    unsigned count;
};

void vfio_iommu_init(struct vfio_iommu *iommu, struct kernel *k,
                     struct iommu_domain *domain)
{
    *iommu = (struct vfio_iommu){ .kernel       = k,
                                  .domain       = domain,
                                  .dma_avail    = VFIO_DMA_ENTRIES_MAX,
                                  .locked_limit = SIZE_MAX };
}

/* ---- Unmap ----------------------------------------------------------------------------
 */

static void unpin(struct vfio_iommu *iommu, dma_addr_t iova, size_t size)
{
    CHECK(iommu->pinned >= size >> PAGE_SHIFT);
    iommu->pinned -= size >> PAGE_SHIFT;
    iommu_unpinned(iommu->domain, iova, size);
}

static void sync_and_unpin(struct vfio_iommu *iommu, struct unmapping *u)
{
    if (u->count == 0)
        return;
    iommu_iotlb_sync(iommu->domain, &u->gather);
    iommu->syncs++;
    while (u->regions != NULL) {
        struct region *region = u->regions;
        u->regions            = region->next;
        unpin(iommu, region->iova, region->size);
        kernel_host_free(iommu->kernel, region);
    }
    u->end   = &u->regions;
    u->count = 0;
}

/* As far as memory is physically contiguous, so that few calls are made. */
static size_t run_at(struct vfio_iommu *iommu, dma_addr_t iova, phys_addr_t phys,
                     size_t most)
{
    size_t size = PAGE_SIZE;
    while (size < most && iommu_iova_to_phys(iommu->domain, iova + size) == phys + size)
        size += PAGE_SIZE;
    return size;
}

/* 0: no memory to remember the region by, or nothing was mapped there. */
static size_t unmap_fast(struct vfio_iommu *iommu, struct unmapping *u, dma_addr_t iova,
                         size_t size)
{
    struct region *region = kernel_host_try(iommu->kernel, 1, sizeof *region);
    size_t unmapped       = 0;
    if (region != NULL) {
        unmapped = iommu_unmap_fast(iommu->domain, iova, size, &u->gather);
        *region  = (struct region){ iova, unmapped, NULL };
        if (unmapped == 0) {
            kernel_host_free(iommu->kernel, region);
        } else {
            *u->end = region;
            u->end  = &region->next;
            u->count++;
        }
    }
    if (u->count >= VFIO_SYNC_REGIONS || unmapped == 0)
        sync_and_unpin(iommu, u);
    return unmapped;
}

static size_t unmap_slow(struct vfio_iommu *iommu, dma_addr_t iova, size_t size)
{
    const size_t unmapped = iommu_unmap(iommu->domain, iova, size);
    iommu->syncs++;
    if (unmapped > 0)
        unpin(iommu, iova, unmapped);
    return unmapped;
}

static void unmap_unpin(struct vfio_iommu *iommu, dma_addr_t iova, size_t size)
{
    struct unmapping u = { .count = 0 };
    iommu_iotlb_gather_init(&u.gather);
    u.end = &u.regions;
    for (size_t done = 0, unmapped; done < size; done += unmapped) {
        const phys_addr_t phys = iommu_iova_to_phys(iommu->domain, iova + done);
        CHECK(phys != 0); /* Whatever was mapped has stayed so. */
        const size_t run = run_at(iommu, iova + done, phys, size - done);
        unmapped         = unmap_fast(iommu, &u, iova + done, run);
        if (unmapped == 0)
            unmapped = unmap_slow(iommu, iova + done, run);
        CHECK(unmapped > 0);
    }
    sync_and_unpin(iommu, &u);
}

/* ---- Map ------------------------------------------------------------------------------
 */

/* Pages that are pinned and not yet mapped: page[from] .. page[to - 1]. */
struct batch {
    size_t from, to;
};

/* The next ones, if there are any left. */
static int pin_batch(struct vfio_iommu *iommu, struct batch *b, size_t npages)
{
    size_t n = npages - b->to;
    n        = n < VFIO_BATCH_PAGES ? n : VFIO_BATCH_PAGES;
    if (iommu->locked_limit - iommu->pinned < n)
        return -ENOMEM;
    iommu->pinned += n;
    iommu->batches += n != 0;
    b->to += n;
    return 0;
}

/* How many pages follow each other from the batch's first on; pins on while they do. */
static int contiguous(struct vfio_iommu *iommu, struct batch *b, struct page *const *page,
                      size_t npages, size_t *run)
{
    const phys_addr_t first = page_to_phys(page[b->from]);
    for (*run = 0; b->from + *run < npages; (*run)++) {
        if (page_to_phys(page[b->from + *run]) != first + (*run << PAGE_SHIFT))
            return 0;
        if (b->from + *run == b->to && pin_batch(iommu, b, npages) != 0)
            return -ENOMEM;
    }
    return 0;
}

static int map_pinned(struct vfio_iommu *iommu, struct vfio_dma *dma,
                      struct page *const *page, size_t npages, int prot)
{
    struct batch b = { 0, 0 };
    int error      = 0;
    while (error == 0 && b.from < npages) {
        size_t run;
        error = contiguous(iommu, &b, page, npages, &run);
        if (error == 0)
            error = iommu_map(iommu->domain, dma->iova + dma->size,
                              page_to_phys(page[b.from]), run << PAGE_SHIFT, prot);
        if (error != 0)
            break;
        iommu->runs++;
        dma->size += run << PAGE_SHIFT;
        b.from += run;
    }
    iommu->pinned -= b.to - b.from; /* Pinned, and not to be mapped any more. */
    return error;
}

static bool overlaps(const struct vfio_dma *dma, dma_addr_t iova, size_t size)
{
    return dma->iova <= iova + size - 1 && iova <= dma->iova + dma->size - 1;
}

static int may_map(const struct vfio_iommu *iommu, dma_addr_t iova, size_t npages, int prot)
{
    const size_t size = npages << PAGE_SHIFT;
    if (npages == 0 || size >> PAGE_SHIFT != npages || (iova & ~PAGE_MASK) != 0
        || iova + size - 1 < iova || !(prot & (IOMMU_READ | IOMMU_WRITE)))
        return -EINVAL;
    for (const struct vfio_dma *dma = iommu->list; dma != NULL; dma = dma->next)
        if (overlaps(dma, iova, size))
            return -EEXIST;
    return iommu->dma_avail == 0 ? -ENOSPC : 0;
}

int vfio_dma_do_map(struct vfio_iommu *iommu, dma_addr_t iova, struct page *const *page,
                    size_t npages, int prot)
{
    int error = may_map(iommu, iova, npages, prot);
    if (error != 0)
        return error;
    struct vfio_dma *dma = kernel_host_try(iommu->kernel, 1, sizeof *dma);
    if (dma == NULL)
        return -ENOMEM;
    *dma  = (struct vfio_dma){ .iova = iova };
    error = map_pinned(iommu, dma, page, npages, prot);
    if (error != 0) {
        unmap_unpin(iommu, iova, dma->size);
        kernel_host_free(iommu->kernel, dma);
        return error;
    }
    dma->next   = iommu->list;
    iommu->list = dma;
    iommu->dma_avail--;
    return 0;
}

static bool within(const struct vfio_dma *dma, dma_addr_t iova, size_t size)
{
    return dma->iova >= iova && dma->iova + dma->size - 1 <= iova + size - 1;
}

int vfio_dma_do_unmap(struct vfio_iommu *iommu, dma_addr_t iova, size_t size,
                      size_t *unmapped)
{
    *unmapped = 0;
    if (size == 0 || ((iova | size) & ~PAGE_MASK) != 0 || iova + size - 1 < iova)
        return -EINVAL;
    for (const struct vfio_dma *dma = iommu->list; dma != NULL; dma = dma->next)
        if (overlaps(dma, iova, size) && !within(dma, iova, size))
            return -EINVAL;
    for (struct vfio_dma **at = &iommu->list; *at != NULL;) {
        struct vfio_dma *dma = *at;
        if (!overlaps(dma, iova, size)) {
            at = &dma->next;
            continue;
        }
        *at = dma->next;
        unmap_unpin(iommu, dma->iova, dma->size);
        *unmapped += dma->size;
        iommu->dma_avail++;
        kernel_host_free(iommu->kernel, dma);
    }
    return 0;
}
