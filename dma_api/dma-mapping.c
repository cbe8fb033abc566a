/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-mapping - the calls of the DMA API: dispatch between direct mapping and a domain.
 *
 * Follows kernel/dma/mapping.c of Linux 6.12 to 7.3.
 *
 * Inaccuracies: without an IOMMU nothing bounces. What a device's mask does not reach is an
 * error; bus_dma_limit, below which Linux would bounce everything, is not looked at.
 */
#include "dma_api/dma-iommu.h"

#include <limits.h>

#include "dma_api/dma-debug.h"
#include "dma_api/dma-sync.h"
#include "dma_api/dma-watch.h"
#include "dma_api/swiotlb.h"
#include "sim/base/lg2.h"

struct dma_call dma_call_enter(struct kernel *k, enum cpu_phase phase)
{
    struct cpu *cpu            = cpu_this();
    const struct dma_call call = { cpu_enter_phase(cpu, phase),
                                   cpu_own(cpu, OWNER_dma_api) };
    cpu_spend(cpu, k->cost.call_cycles);
    return call;
}

void dma_call_leave(struct dma_call call)
{
    struct cpu *cpu = cpu_this();
    cpu_enter_phase(cpu, call.phase);
    cpu_own(cpu, call.owner);
}

/* ---- Masks and limits
 * ------------------------------------------------------------------------ */

/* A domain takes any mask; what does not fit into it fails when it is mapped. */
static bool supported(const struct device *dev, uint64_t mask)
{
    return dev->dma_iommu || mask >= DMA_BIT_MASK(24);
}

int dma_set_mask(struct device *dev, uint64_t mask)
{
    if (dev->dma_mask == NULL || !supported(dev, mask))
        return -EIO;
    *dev->dma_mask = mask;
    return 0;
}

int dma_set_coherent_mask(struct device *dev, uint64_t mask)
{
    if (!supported(dev, mask))
        return -EIO;
    dev->coherent_dma_mask = mask;
    return 0;
}

int dma_set_mask_and_coherent(struct device *dev, uint64_t mask)
{
    const int error = dma_set_mask(dev, mask);
    return error != 0 ? error : dma_set_coherent_mask(dev, mask);
}

int dma_coerce_mask_and_coherent(struct device *dev, uint64_t mask)
{
    dev->dma_mask = &dev->coherent_dma_mask;
    return dma_set_mask_and_coherent(dev, mask);
}

uint64_t dma_get_required_mask(struct device *dev)
{
    return dev->dma_iommu ? DMA_BIT_MASK(32) : DMA_BIT_MASK(MEM_PA_LG2);
}

bool dma_addressing_limited(struct device *dev)
{
    uint64_t mask = dma_get_mask(dev);
    if (dev->bus_dma_limit != 0 && dev->bus_dma_limit < mask)
        mask = dev->bus_dma_limit;
    return mask < dma_get_required_mask(dev);
}

/* Nothing between the API and the device translates for it in a way of its own. */
bool dma_pci_p2pdma_supported(struct device *dev)
{
    (void)dev;
    return true;
}

void dma_set_max_seg_size(struct device *dev, unsigned int size)
{
    dev->dma_parms.max_segment_size = size;
}

void dma_set_seg_boundary(struct device *dev, unsigned long mask)
{
    dev->dma_parms.segment_boundary_mask = mask;
}

unsigned long dma_get_seg_boundary(struct device *dev)
{
    const unsigned long mask = dev->dma_parms.segment_boundary_mask;
    return mask == 0 ? ULONG_MAX : mask;
}

unsigned long dma_get_seg_boundary_nr_pages(struct device *dev, unsigned int page_shift)
{
    const unsigned long mask = dev == NULL ? UINT32_MAX : dma_get_seg_boundary(dev);
    return (mask >> page_shift) + 1;
}

void dma_set_min_align_mask(struct device *dev, unsigned int mask)
{
    dev->dma_parms.min_align_mask = mask;
}

unsigned int dma_get_max_seg_size(struct device *dev)
{
    return dev->dma_parms.max_segment_size != 0 ? dev->dma_parms.max_segment_size : 65536;
}

unsigned int dma_get_min_align_mask(struct device *dev)
{
    return dev->dma_parms.min_align_mask;
}

unsigned long dma_get_merge_boundary(struct device *dev)
{
    return dev->dma_iommu ? domain_granule_mask(dev->domain) : 0;
}

size_t dma_opt_mapping_size(struct device *dev)
{
    const size_t most   = dma_max_mapping_size(dev);
    const size_t cached = dev->dma_iommu ? PAGE_SIZE << (IOVA_ORDERS - 1) : SIZE_MAX;
    return cached < most ? cached : most;
}

size_t dma_max_mapping_size(struct device *dev)
{
    return dev->dma_iommu && dev->untrusted ? swiotlb_max_mapping_size(dev) : SIZE_MAX;
}

bool dma_need_unmap(struct device *dev)
{
    return dev->dma_iommu || !dma_skips_sync(dev);
}

void dma_unmap_batch_end(struct device *dev)
{
    if (dev->dma_iommu)
        batch_driver_done(dev->domain->batch);
}

int dma_mapping_error(struct device *dev, dma_addr_t addr)
{
    if (dev != NULL && dma_debug_on(dev))
        dma_debug_ask_error(dev, addr);
    return addr == DMA_MAPPING_ERROR ? -ENOMEM : 0;
}

/* ---- Single ranges
 * ---------------------------------------------------------------------------- */

static dma_addr_t direct_map(struct device *dev, phys_addr_t phys, size_t size,
                             unsigned long attrs)
{
    const uint64_t last = *dev->dma_mask;
    if (size != 0 && (phys > last || size - 1 > last - phys))
        return DMA_MAPPING_ERROR;
    if (!(attrs & (DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_MMIO))) {
        dma_cache_for_device(dev, phys, size);
        dma_cache_barrier(dev);
    }
    return phys;
}

static void direct_unmap(struct device *dev, phys_addr_t phys, size_t size,
                         enum dma_data_direction dir, unsigned long attrs)
{
    if (attrs & (DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_MMIO))
        return;
    dma_cache_for_cpu(dev, phys, size, dir);
    dma_cache_barrier(dev);
}

static bool refuses(const struct device *dev, unsigned long attrs)
{
    return (attrs & DMA_ATTR_REQUIRE_COHERENT && dev->noncoherent)
           || (attrs & DMA_ATTR_CC_SHARED && dev->dma_iommu);
}

static dma_addr_t map_phys(struct device *dev, phys_addr_t phys, size_t size,
                           enum dma_data_direction dir, unsigned long attrs)
{
    if (refuses(dev, attrs))
        return DMA_MAPPING_ERROR;
    return dev->dma_iommu ? iommu_dma_map_phys(dev, phys, size, dir, attrs)
                          : direct_map(dev, phys, size, attrs);
}

dma_addr_t dma_map_phys(struct device *dev, phys_addr_t phys, size_t size,
                        enum dma_data_direction dir, unsigned long attrs)
{
    struct kernel *k = dev->kernel;
    CHECK(dir == DMA_TO_DEVICE || dir == DMA_FROM_DEVICE || dir == DMA_BIDIRECTIONAL);
    if (dev->dma_mask == NULL) {
        kernel_warn_once(k, "dma_map_phys: the device has no DMA mask");
        return DMA_MAPPING_ERROR;
    }
    const struct dma_call call = dma_call_enter(k, PHASE_map);
    const dma_addr_t addr      = map_phys(dev, phys, size, dir, attrs);
    if (addr == DMA_MAPPING_ERROR) {
        k->stats.map_failed++;
    } else {
        k->stats.map++;
        k->stats.map_single++;
        if (dma_debug_on(dev))
            dma_debug_map(dev, &(struct dma_debug_mapping){ DMA_DEBUG_SINGLE, addr, size,
                                                            dir, phys, attrs });
        dma_watch(dev, DMA_WATCH_MAP, addr, size, phys);
    }
    dma_call_leave(call);
    return addr;
}

void dma_unmap_phys(struct device *dev, dma_addr_t addr, size_t size,
                    enum dma_data_direction dir, unsigned long attrs)
{
    if (attrs & DMA_ATTR_CC_SHARED && dev->dma_iommu)
        return; /* It was never mapped. */
    if (dma_debug_on(dev)) {
        struct dma_debug_mapping m = { DMA_DEBUG_SINGLE, addr, size, dir, 0, attrs };
        if (!dma_debug_unmap(dev, &m))
            return;
        size = m.size;
    }
    dma_watch(dev, DMA_WATCH_UNMAP, addr, size, 0);
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    if (dev->dma_iommu)
        iommu_dma_unmap_phys(dev, addr, size, dir, attrs);
    else
        direct_unmap(dev, addr, size, dir, attrs);
    dev->kernel->stats.unmap++;
    dev->kernel->stats.unmap_single++;
    dma_call_leave(call);
}

dma_addr_t dma_map_page_attrs(struct device *dev, struct page *page, size_t offset,
                              size_t size, enum dma_data_direction dir, unsigned long attrs)
{
    if (attrs & DMA_ATTR_MMIO)
        return DMA_MAPPING_ERROR;
    return dma_map_phys(dev, page_to_phys(page) + offset, size, dir, attrs);
}

void dma_unmap_page_attrs(struct device *dev, dma_addr_t addr, size_t size,
                          enum dma_data_direction dir, unsigned long attrs)
{
    dma_unmap_phys(dev, addr, size, dir, attrs);
}

dma_addr_t dma_map_single_attrs(struct device *dev, void *ptr, size_t size,
                                enum dma_data_direction dir, unsigned long attrs)
{
    if (is_vmalloc_addr(ptr)) { /* Its pages are not contiguous. */
        kernel_warn_once(dev->kernel, "dma_map_single: vmalloc memory cannot be mapped");
        return DMA_MAPPING_ERROR;
    }
    return dma_map_phys(dev, virt_to_phys(ptr), size, dir, attrs);
}

void dma_unmap_single_attrs(struct device *dev, dma_addr_t addr, size_t size,
                            enum dma_data_direction dir, unsigned long attrs)
{
    dma_unmap_phys(dev, addr, size, dir, attrs);
}

dma_addr_t dma_map_resource(struct device *dev, phys_addr_t phys, size_t size,
                            enum dma_data_direction dir, unsigned long attrs)
{
    return dma_map_phys(dev, phys, size, dir, attrs | DMA_ATTR_MMIO);
}

void dma_unmap_resource(struct device *dev, dma_addr_t addr, size_t size,
                        enum dma_data_direction dir, unsigned long attrs)
{
    dma_unmap_phys(dev, addr, size, dir, attrs | DMA_ATTR_MMIO);
}

/* ---- Scatter lists
 * ------------------------------------------------------------------------------ */

static void direct_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents,
                            enum dma_data_direction dir, unsigned long attrs)
{
    struct scatterlist *sg;
    int i;
    for_each_sg(sgl, sg, nents, i)
    {
        if (!dma_sg_by_bus(sg))
            direct_unmap(dev, sg->dma_address, sg->dma_length, dir, attrs);
        sg->dma_flags &= ~SG_DMA_BUS_ADDRESS;
    }
}

static int direct_map_one(struct device *dev, struct scatterlist *sg, unsigned long attrs)
{
    const int error = dma_sg_peer(dev, sg, &attrs);
    if (error != 0 || dma_sg_by_bus(sg))
        return error;
    sg->dma_address = direct_map(dev, sg_phys(sg), sg->length, attrs);
    sg->dma_length  = sg->length;
    return sg->dma_address == DMA_MAPPING_ERROR ? -EIO : 0;
}

static int direct_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
                         enum dma_data_direction dir, unsigned long attrs)
{
    struct scatterlist *sg;
    int i;
    for_each_sg(sgl, sg, nents, i)
    {
        cpu_spend(cpu_this(), dev->kernel->cost.segment_cycles);
        const int error = direct_map_one(dev, sg, attrs);
        if (error != 0) {
            direct_unmap_sg(dev, sgl, i, dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
            return error;
        }
    }
    return nents;
}

static int any_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
                      enum dma_data_direction dir, unsigned long attrs)
{
    if (refuses(dev, attrs & DMA_ATTR_REQUIRE_COHERENT))
        return -EOPNOTSUPP;
    return dev->dma_iommu ? iommu_dma_map_sg(dev, sgl, nents, dir, attrs)
                          : direct_map_sg(dev, sgl, nents, dir, attrs);
}

static int map_sg(struct device *dev, struct scatterlist *sgl, int nents,
                  enum dma_data_direction dir, unsigned long attrs)
{
    struct kernel *k = dev->kernel;
    CHECK(dir != DMA_NONE);
    CHECK(nents > 0);
    if (dev->dma_mask == NULL) {
        kernel_warn_once(k, "dma_map_sg: the device has no DMA mask");
        return 0;
    }
    const struct dma_call call = dma_call_enter(k, PHASE_map);
    const int mapped           = any_map_sg(dev, sgl, nents, dir, attrs);
    if (mapped <= 0) {
        k->stats.map_failed++;
    } else {
        k->stats.map++;
        k->stats.map_sg++;
        if (dma_debug_on(dev))
            dma_debug_map_sg(dev, sgl, nents, mapped, dir, attrs);
        dma_watch_sg(dev, DMA_WATCH_MAP_SG, sgl, nents, mapped);
    }
    dma_call_leave(call);
    return mapped;
}

unsigned int dma_map_sg_attrs(struct device *dev, struct scatterlist *sgl, int nents,
                              enum dma_data_direction dir, unsigned long attrs)
{
    const int mapped = map_sg(dev, sgl, nents, dir, attrs);
    return mapped < 0 ? 0 : (unsigned int)mapped;
}

int dma_map_sgtable(struct device *dev, struct sg_table *sgt, enum dma_data_direction dir,
                    unsigned long attrs)
{
    const int mapped = map_sg(dev, sgt->sgl, (int)sgt->orig_nents, dir, attrs);
    if (mapped < 0)
        return mapped;
    sgt->nents = (unsigned int)mapped;
    return mapped == 0 ? -EIO : 0;
}

void dma_unmap_sg_attrs(struct device *dev, struct scatterlist *sgl, int nents,
                        enum dma_data_direction dir, unsigned long attrs)
{
    if (dma_debug_on(dev) && !dma_debug_unmap_sg(dev, sgl, &nents, dir))
        return;
    dma_watch_sg(dev, DMA_WATCH_UNMAP_SG, sgl, nents, 0);
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    if (dev->dma_iommu)
        iommu_dma_unmap_sg(dev, sgl, nents, dir, attrs);
    else
        direct_unmap_sg(dev, sgl, nents, dir, attrs);
    dev->kernel->stats.unmap++;
    dev->kernel->stats.unmap_sg++;
    dma_call_leave(call);
}

void dma_unmap_sgtable(struct device *dev, struct sg_table *sgt,
                       enum dma_data_direction dir, unsigned long attrs)
{
    dma_unmap_sg_attrs(dev, sgt->sgl, (int)sgt->orig_nents, dir, attrs);
}
