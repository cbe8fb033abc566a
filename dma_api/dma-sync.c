/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-sync - the dma_sync_* calls, behind an IOMMU and without one.
 *
 * Follows kernel/dma/mapping.c and drivers/iommu/dma-iommu.c of Linux 6.12 to 7.3.
 */
#include "dma_api/dma-sync.h"

#include "dma_api/dma-bounce.h"
#include "dma_api/dma-debug.h"
#include "sim/base/lg2.h"

/* ---- Caches -------------------------------------------------------------------------- */

/* Cleans or invalidates: either way the CPUs do not hold the lines afterwards. */
static void drop_lines(struct device *dev, phys_addr_t phys, size_t size)
{
    struct kernel *k = dev->kernel;
    struct cpu *cpu  = cpu_this();
    cpu_sync(cpu);
    for (phys_addr_t at = align_down(phys, MEM_LINE_LG2); at < phys + size;
         at += 1U << MEM_LINE_LG2) {
        cpu_spend(cpu, k->cost.cache_line_cycles);
        if (memory_page(k->memory, at) != NULL)
            *memory_line(k->memory, at) = (struct line){ 0, LINE_COLD };
    }
}

void dma_cache_for_device(struct device *dev, phys_addr_t phys, size_t size)
{
    if (dev->noncoherent)
        drop_lines(dev, phys, size);
}

void dma_cache_for_cpu(struct device *dev, phys_addr_t phys, size_t size,
                       enum dma_data_direction dir)
{
    if (dev->noncoherent && dir != DMA_TO_DEVICE)
        drop_lines(dev, phys, size);
}

void dma_cache_barrier(struct device *dev)
{
    if (dev->noncoherent)
        cpu_barrier(cpu_this());
}

bool dma_need_sync(struct device *dev, dma_addr_t addr)
{
    (void)
        addr; /* Without an IOMMU nothing bounces; behind one Linux does not look either. */
    return dev->noncoherent || (dev->bounced && dev->dma_iommu);
}

/* ---- One range ----------------------------------------------------------------------- */

/* The memory behind an address for the device; 0: there is none, or nothing to do. */
static phys_addr_t memory_to_sync(struct device *dev, dma_addr_t addr, size_t size,
                                  enum dma_data_direction dir)
{
    if (!dev->dma_iommu)
        return addr;
    if (!dev->noncoherent && !dma_may_bounce(dev, size, dir))
        return 0;
    return iommu_dma_lookup(dev->domain, addr);
}

static void single_for_cpu(struct device *dev, dma_addr_t addr, size_t size,
                           enum dma_data_direction dir)
{
    const phys_addr_t phys = memory_to_sync(dev, addr, size, dir);
    if (phys == 0)
        return;
    dma_cache_for_cpu(dev, phys, size, dir);
    swiotlb_sync_for_cpu(dev, phys, size, dir);
}

static void single_for_device(struct device *dev, dma_addr_t addr, size_t size,
                              enum dma_data_direction dir)
{
    const phys_addr_t phys = memory_to_sync(dev, addr, size, dir);
    if (phys == 0)
        return;
    swiotlb_sync_for_device(dev, phys, size, dir);
    dma_cache_for_device(dev, phys, size);
}

static struct dma_call sync_enter(struct device *dev, enum dma_data_direction dir)
{
    CHECK(dir == DMA_TO_DEVICE || dir == DMA_FROM_DEVICE || dir == DMA_BIDIRECTIONAL);
    dev->kernel->stats.sync++;
    return dma_call_enter(dev->kernel, PHASE_other);
}

static void sync_leave(struct device *dev, struct dma_call call)
{
    dma_cache_barrier(dev);
    dma_call_leave(call);
}

void dma_sync_single_for_cpu(struct device *dev, dma_addr_t addr, size_t size,
                             enum dma_data_direction dir)
{
    if (dma_debug_on(dev))
        dma_debug_sync(dev, addr, size, dir);
    if (dma_skips_sync(dev))
        return;
    const struct dma_call call = sync_enter(dev, dir);
    single_for_cpu(dev, addr, size, dir);
    sync_leave(dev, call);
}

void dma_sync_single_for_device(struct device *dev, dma_addr_t addr, size_t size,
                                enum dma_data_direction dir)
{
    if (dma_debug_on(dev))
        dma_debug_sync(dev, addr, size, dir);
    if (dma_skips_sync(dev))
        return;
    const struct dma_call call = sync_enter(dev, dir);
    single_for_device(dev, addr, size, dir);
    sync_leave(dev, call);
}

/* ---- Scatter lists ------------------------------------------------------------------- */

void dma_sync_sg_for_cpu(struct device *dev, struct scatterlist *sgl, int nents,
                         enum dma_data_direction dir)
{
    struct scatterlist *sg;
    int i;
    if (dma_debug_on(dev))
        dma_debug_sync_sg(dev, sgl, nents, dir);
    if (dma_skips_sync(dev))
        return;
    const struct dma_call call = sync_enter(dev, dir);
    for_each_sg(sgl, sg, nents, i)
    {
        if (!(sgl->dma_flags & SG_DMA_SWIOTLB))
            dma_cache_for_cpu(dev, sg_phys(sg), sg->length, dir);
        else if (!dma_sg_by_bus(sg))
            single_for_cpu(dev, sg->dma_address, sg->length, dir);
    }
    sync_leave(dev, call);
}

void dma_sync_sg_for_device(struct device *dev, struct scatterlist *sgl, int nents,
                            enum dma_data_direction dir)
{
    struct scatterlist *sg;
    int i;
    if (dma_debug_on(dev))
        dma_debug_sync_sg(dev, sgl, nents, dir);
    if (dma_skips_sync(dev))
        return;
    const struct dma_call call = sync_enter(dev, dir);
    for_each_sg(sgl, sg, nents, i)
    {
        if (!(sgl->dma_flags & SG_DMA_SWIOTLB))
            dma_cache_for_device(dev, sg_phys(sg), sg->length);
        else if (!dma_sg_by_bus(sg))
            single_for_device(dev, sg->dma_address, sg->length, dir);
    }
    sync_leave(dev, call);
}
