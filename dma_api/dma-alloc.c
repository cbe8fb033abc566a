/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-alloc - memory for devices: coherent, by pages, and noncontiguous.
 *
 * Follows kernel/dma/mapping.c and drivers/iommu/dma-iommu.c of Linux 6.12 to 7.3.
 *
 * Inaccuracies: coherent memory behind an IOMMU is contiguous also where Linux would take
 * scattered pages and vmap them, so that virt_to_phys holds for it. The atomic pool of
 * devices that are not coherent is ordinary memory.
 */
#include "dma_api/dma-debug.h"
#include "dma_api/dma-iommu.h"
#include "dma_api/dma-watch.h"
#include "dma_api/vmap.h"
#include "sim/base/lg2.h"

/* What the checker is told of memory: what the CPU has is a page where memory is one. */
static struct dma_debug_mapping debugged(enum dma_debug_kind kind, dma_addr_t addr,
                                         size_t size, enum dma_data_direction dir,
                                         phys_addr_t phys)
{
    return (struct dma_debug_mapping){ kind, addr, size, dir, phys, 0 };
}

static phys_addr_t phys_of(const struct device *dev, const void *memory,
                           unsigned long attrs)
{
    return attrs & DMA_ATTR_NO_KERNEL_MAPPING && !dev->dma_iommu
               ? page_to_phys((const struct page *)memory)
               : virt_to_phys(memory);
}

/* Neither nothing nor more than any memory has. */
static bool is_size(size_t size)
{
    return size - 1 < SIZE_MAX / 2;
}

static unsigned order_of(size_t size)
{
    return lg2_ceil(align_up(size, PAGE_SHIFT) >> PAGE_SHIFT);
}

/* ---- Coherent memory ----------------------------------------------------------------- */

static void *direct_alloc(struct device *dev, size_t size, dma_addr_t *handle,
                          unsigned long attrs)
{
    const phys_addr_t phys = kernel_pages_get_zeroed(dev->kernel, order_of(size));
    if (phys == 0)
        return NULL;
    *handle = phys;
    return attrs & DMA_ATTR_NO_KERNEL_MAPPING ? (void *)phys_to_page(phys)
                                              : phys_to_virt(phys);
}

void *dma_alloc_attrs(struct device *dev, size_t size, dma_addr_t *handle, gfp_t gfp,
                      unsigned long attrs)
{
    struct kernel *k = dev->kernel;
    if (dev->coherent_dma_mask == 0)
        kernel_warn_once(k, "dma_alloc_attrs: the device has no coherent DMA mask");
    if (gfp & __GFP_COMP) {
        kernel_warn_once(k, "dma_alloc_attrs: compound pages cannot be had");
        return NULL;
    }
    if (!is_size(size))
        return NULL;
    const struct dma_call call = dma_call_enter(k, PHASE_map);
    void *memory               = dev->dma_iommu ? iommu_dma_alloc(dev, size, handle)
                                                : direct_alloc(dev, size, handle, attrs);
    if (memory != NULL && dma_debug_on(dev)) {
        const struct dma_debug_mapping m =
            debugged(DMA_DEBUG_COHERENT, *handle, size, DMA_BIDIRECTIONAL,
                     phys_of(dev, memory, attrs));
        dma_debug_map(dev, &m);
    }
    if (memory != NULL)
        dma_watch(dev, DMA_WATCH_COHERENT, *handle, size, 0);
    dma_call_leave(call);
    return memory;
}

static void direct_free(struct device *dev, size_t size, void *cpu_addr,
                        unsigned long attrs)
{
    kernel_pages_put(dev->kernel, phys_of(dev, cpu_addr, attrs), order_of(size));
}

void dma_free_attrs(struct device *dev, size_t size, void *cpu_addr, dma_addr_t handle,
                    unsigned long attrs)
{
    if (cpu_this()->irq_off != 0)
        kernel_warn(dev->kernel, "dma_free_attrs: interrupts are off");
    if (cpu_addr == NULL)
        return;
    if (dma_debug_on(dev)) {
        struct dma_debug_mapping m =
            debugged(DMA_DEBUG_COHERENT, handle, size, DMA_BIDIRECTIONAL,
                     phys_of(dev, cpu_addr, attrs));
        if (!dma_debug_unmap(dev, &m))
            return;
        size = m.size;
    }
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    if (dev->dma_iommu)
        iommu_dma_free(dev, size, cpu_addr, handle);
    else
        direct_free(dev, size, cpu_addr, attrs);
    dma_call_leave(call);
}

/* ---- Pages --------------------------------------------------------------------------- */

/* Contiguous pages at *handle; 0: none, or no addresses for them. */
static phys_addr_t get_pages(struct device *dev, size_t size, dma_addr_t *handle,
                             enum dma_data_direction dir)
{
    const phys_addr_t phys = kernel_pages_get_zeroed(dev->kernel, order_of(size));
    if (phys == 0)
        return 0;
    *handle = phys;
    if (dev->dma_iommu)
        *handle = iommu_dma_map_phys(dev, phys, align_up(size, PAGE_SHIFT), dir,
                                     DMA_ATTR_SKIP_CPU_SYNC);
    if (*handle != DMA_MAPPING_ERROR)
        return phys;
    kernel_pages_put(dev->kernel, phys, order_of(size));
    return 0;
}

static void put_pages(struct device *dev, size_t size, phys_addr_t phys, dma_addr_t handle,
                      enum dma_data_direction dir)
{
    if (dev->dma_iommu)
        iommu_dma_unmap_phys(dev, handle, align_up(size, PAGE_SHIFT), dir,
                             DMA_ATTR_SKIP_CPU_SYNC);
    kernel_pages_put(dev->kernel, phys, order_of(size));
}

struct page *dma_alloc_pages(struct device *dev, size_t size, dma_addr_t *handle,
                             enum dma_data_direction dir, gfp_t gfp)
{
    struct kernel *k = dev->kernel;
    if (dev->coherent_dma_mask == 0)
        kernel_warn_once(k, "dma_alloc_pages: the device has no coherent DMA mask");
    if (gfp & (__GFP_DMA | __GFP_DMA32 | __GFP_HIGHMEM)) {
        kernel_warn_once(k, "dma_alloc_pages: the zone follows from the mask");
        return NULL;
    }
    if (gfp & __GFP_COMP) {
        kernel_warn_once(k, "dma_alloc_pages: compound pages cannot be had");
        return NULL;
    }
    if (!is_size(size))
        return NULL;
    const struct dma_call call = dma_call_enter(k, PHASE_map);
    const phys_addr_t phys     = get_pages(dev, size, handle, dir);
    if (phys != 0 && dma_debug_on(dev)) {
        const struct dma_debug_mapping m =
            debugged(DMA_DEBUG_PAGES, *handle, size, dir, phys);
        dma_debug_map(dev, &m);
    }
    dma_call_leave(call);
    return phys == 0 ? NULL : phys_to_page(phys);
}

void dma_free_pages(struct device *dev, size_t size, struct page *page, dma_addr_t handle,
                    enum dma_data_direction dir)
{
    if (dma_debug_on(dev)) {
        struct dma_debug_mapping m =
            debugged(DMA_DEBUG_PAGES, handle, size, dir, page_to_phys(page));
        if (!dma_debug_unmap(dev, &m))
            return;
        size = m.size;
    }
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    put_pages(dev, size, page_to_phys(page), handle, dir);
    dma_call_leave(call);
}

void *dma_alloc_noncoherent(struct device *dev, size_t size, dma_addr_t *handle,
                            enum dma_data_direction dir, gfp_t gfp)
{
    const struct page *page = dma_alloc_pages(dev, size, handle, dir, gfp);
    return page == NULL ? NULL : phys_to_virt(page_to_phys(page));
}

void dma_free_noncoherent(struct device *dev, size_t size, void *cpu_addr,
                          dma_addr_t handle, enum dma_data_direction dir)
{
    dma_free_pages(dev, size, phys_to_page(virt_to_phys(cpu_addr)), handle, dir);
}

/* ---- Noncontiguous memory ------------------------------------------------------------ */

/* What is behind a struct sg_table that dma_alloc_noncontiguous returned. */
struct noncontiguous {
    struct sg_table table; /* First: the driver holds a pointer to it. */
    unsigned chunks;       /* As they came from the page allocator. */
    struct chunk {
        phys_addr_t phys;
        unsigned order;
    } * chunk;
};

static void chunks_free(struct kernel *k, struct noncontiguous *n)
{
    for (unsigned i = 0; i < n->chunks; i++)
        kernel_pages_put(k, n->chunk[i].phys, n->chunk[i].order);
    kernel_host_free(k, n->table.sgl);
    kernel_host_free(k, n->chunk);
    kernel_host_free(k, n);
}

/* The largest pages of the domain that fit and are to be had; sizes: of those allowed. */
static phys_addr_t chunk_get(struct kernel *k, uint64_t sizes, uint64_t pages,
                             unsigned *order)
{
    phys_addr_t phys = 0;
    sizes &= mask_lg2(lg2_floor(pages << PAGE_SHIFT) + 1);
    while (phys == 0 && sizes != 0) {
        const unsigned lg2 = lg2_floor(sizes);
        *order             = lg2 - PAGE_SHIFT;
        phys               = kernel_pages_get_zeroed(k, *order);
        sizes &= mask_lg2(lg2);
    }
    return phys;
}

static bool chunks_get(struct kernel *k, struct noncontiguous *n, uint64_t sizes,
                       uint64_t pages)
{
    while (pages > 0) {
        struct chunk *c = &n->chunk[n->chunks];
        c->phys         = chunk_get(k, sizes, pages, &c->order);
        if (c->phys == 0)
            return false;
        n->chunks++;
        pages -= UINT64_C(1) << c->order;
    }
    return true;
}

/* One element for each contiguous run of chunks. False: no memory for the list. */
static bool list_chunks(struct kernel *k, struct noncontiguous *n)
{
    struct scatterlist *sgl = kernel_host_try(k, n->chunks, sizeof *sgl);
    unsigned used           = 0;
    if (sgl == NULL)
        return false;
    sg_init_table(sgl, n->chunks);
    for (unsigned i = 0; i < n->chunks; i++) {
        const unsigned bytes   = 1U << (n->chunk[i].order + PAGE_SHIFT);
        struct scatterlist *at = used == 0 ? NULL : &sgl[used - 1];
        if (at != NULL && sg_phys(at) + at->length == n->chunk[i].phys
            && at->length <= UINT32_MAX - bytes)
            at->length += bytes;
        else
            sg_set_page(&sgl[used++], phys_to_page(n->chunk[i].phys), bytes, 0);
    }
    sg_mark_end(&sgl[used - 1]);
    n->table = (struct sg_table){ sgl, 1, used };
    return true;
}

/* Maps every element, one behind the other, or nothing. */
static bool map_list(struct dma_domain *d, dma_addr_t iova, const struct sg_table *table)
{
    struct flush_range done = { .iova = iova };
    struct scatterlist *sg;
    unsigned i;
    for_each_sg(table->sgl, sg, table->orig_nents, i)
    {
        cpu_spend(cpu_this(), d->kernel->cost.segment_cycles);
        if (domain_map(d, iova + done.bytes, sg_phys(sg), sg->length, PT_READ | PT_WRITE)
            != 0)
            break;
        done.bytes += sg->length;
    }
    if (i < table->orig_nents && done.bytes > 0) {
        domain_unmap(d, &done);
        domain_flush_range(d, &done);
    }
    return i == table->orig_nents;
}

static bool map_chunks(struct device *dev, struct noncontiguous *n, uint64_t bytes)
{
    struct dma_domain *d    = dev->domain;
    struct flush_range none = { .bytes = bytes };
    none.iova               = dma_iova_get(dev, bytes, dev->coherent_dma_mask);
    if (none.iova == 0)
        return false;
    if (!list_chunks(dev->kernel, n) || !map_list(d, none.iova, &n->table)) {
        domain_release(d, &none);
        return false;
    }
    domain_map_sync(d, none.iova, bytes);
    n->table.sgl->dma_address = none.iova;
    n->table.sgl->dma_length  = (unsigned)bytes;
    return true;
}

static struct sg_table *iommu_alloc(struct device *dev, uint64_t bytes, unsigned long attrs)
{
    struct kernel *k        = dev->kernel;
    struct noncontiguous *n = kernel_host_try(k, 1, sizeof *n);
    const uint64_t sizes =
        attrs & DMA_ATTR_ALLOC_SINGLE_PAGES ? PAGE_SIZE : dev->domain->table.leaf_sizes;
    if (n == NULL)
        return NULL;
    if (domain_attach_deferred(dev) != 0) {
        kernel_host_free(k, n);
        return NULL;
    }
    n->chunk = kernel_host_try(k, bytes >> PAGE_SHIFT, sizeof *n->chunk);
    if (n->chunk != NULL && chunks_get(k, n, sizes, bytes >> PAGE_SHIFT)
        && map_chunks(dev, n, bytes))
        return &n->table;
    chunks_free(k, n);
    return NULL;
}

/* One piece that dma_alloc_pages could have returned. */
static struct sg_table *single_alloc(struct device *dev, uint64_t bytes,
                                     enum dma_data_direction dir)
{
    dma_addr_t handle;
    struct kernel *k        = dev->kernel;
    struct noncontiguous *n = kernel_host_try(k, 1, sizeof *n);
    struct scatterlist *sgl = n == NULL ? NULL : kernel_host_try(k, 1, sizeof *sgl);
    const phys_addr_t phys  = sgl == NULL ? 0 : get_pages(dev, bytes, &handle, dir);
    if (phys == 0) {
        kernel_host_free(k, sgl);
        kernel_host_free(k, n);
        return NULL;
    }
    sg_init_table(sgl, 1);
    sg_set_page(sgl, phys_to_page(phys), (unsigned)bytes, 0);
    sgl->dma_address = handle;
    sgl->dma_length  = (unsigned)bytes;
    n->table         = (struct sg_table){ sgl, 1, 1 };
    return &n->table;
}

struct sg_table *dma_alloc_noncontiguous(struct device *dev, size_t size,
                                         enum dma_data_direction dir, gfp_t gfp,
                                         unsigned long attrs)
{
    struct kernel *k     = dev->kernel;
    const uint64_t bytes = align_up(size, PAGE_SHIFT);
    if (attrs & ~DMA_ATTR_ALLOC_SINGLE_PAGES) {
        kernel_warn_once(k, "dma_alloc_noncontiguous: an attribute that it does not have");
        return NULL;
    }
    if (gfp & __GFP_COMP) {
        kernel_warn_once(k, "dma_alloc_noncontiguous: compound pages cannot be had");
        return NULL;
    }
    if (bytes == 0)
        return NULL;
    const struct dma_call call = dma_call_enter(k, PHASE_map);
    struct sg_table *sgt =
        dev->dma_iommu ? iommu_alloc(dev, bytes, attrs) : single_alloc(dev, bytes, dir);
    if (sgt != NULL && dma_debug_on(dev)) {
        const struct dma_debug_mapping m = debugged(
            DMA_DEBUG_NONCONTIGUOUS, sgt->sgl->dma_address, size, dir, sg_phys(sgt->sgl));
        dma_debug_map(dev, &m);
    }
    dma_call_leave(call);
    return sgt;
}

void dma_free_noncontiguous(struct device *dev, size_t size, struct sg_table *sgt,
                            enum dma_data_direction dir)
{
    if (dma_debug_on(dev)) {
        struct dma_debug_mapping m = debugged(
            DMA_DEBUG_NONCONTIGUOUS, sgt->sgl->dma_address, size, dir, sg_phys(sgt->sgl));
        if (!dma_debug_unmap(dev, &m))
            return;
        size = m.size;
    }
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    struct noncontiguous *n    = (struct noncontiguous *)(void *)sgt;
    if (dev->dma_iommu)
        dma_range_unmap(dev->domain, sgt->sgl->dma_address, align_up(size, PAGE_SHIFT));
    else
        put_pages(dev, size, sg_phys(sgt->sgl), sgt->sgl->dma_address, dir);
    chunks_free(dev->kernel, n);
    dma_call_leave(call);
}

void *dma_vmap_noncontiguous(struct device *dev, size_t size, struct sg_table *sgt)
{
    (void)size;
    if (!dev->dma_iommu)
        return phys_to_virt(sg_phys(sgt->sgl));
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_map);
    void *memory               = vmap_list(dev->kernel, sgt->sgl, sgt->orig_nents);
    dma_call_leave(call);
    return memory;
}

void dma_vunmap_noncontiguous(struct device *dev, void *vaddr)
{
    if (!dev->dma_iommu)
        return;
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    vmap_remove(dev->kernel, vaddr);
    dma_call_leave(call);
}
