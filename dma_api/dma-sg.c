/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-sg - scatter lists: one range of addresses for the whole list, merged as far as the
 * device allows.
 *
 * Follows iommu_dma_map_sg and finalise_sg of drivers/iommu/dma-iommu.c, Linux 6.12 to 7.3.
 */
#include "dma_api/dma-bounce.h"
#include "dma_api/dma-sync.h"
#include "dma_api/pci-p2pdma.h"
#include "sim/base/lg2.h"

#define SG_END 2UL

void sg_init_table(struct scatterlist *sgl, unsigned int nents)
{
    for (unsigned int i = 0; i < nents; i++)
        sgl[i] = (struct scatterlist){ .page_link = i + 1 == nents ? SG_END : 0 };
}

void sg_mark_end(struct scatterlist *sg)
{
    sg->page_link |= SG_END;
}

struct scatterlist *sg_next(struct scatterlist *sg)
{
    return sg->page_link & SG_END ? NULL : sg + 1;
}

void sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len,
                 unsigned int offset)
{
    sg->page_link = (sg->page_link & SG_END) | (unsigned long)(uintptr_t)page;
    sg->offset    = offset;
    sg->length    = len;
}

/* Where an element lies once its addresses are granule-aligned. */
struct placed {
    uint64_t offset; /* Of the data in its first granule. */
    uint64_t bytes;  /* Whole granules. */
    uint64_t pad;    /* Granules that the element before it grows by. */
};

/*
 * A segment must not cross the boundary: if this element would, the one before it grows up
 * to the boundary, so that the addresses stay backed without a gap.
 */
static struct placed place(struct device *dev, const struct scatterlist *sg,
                           uint64_t so_far)
{
    const uint64_t mask     = domain_granule_mask(dev->domain);
    const uint64_t boundary = dma_get_seg_boundary(dev);
    struct placed p         = { .offset = sg_phys(sg) & mask };
    p.bytes                 = (sg->length + p.offset + mask) & ~mask;
    const uint64_t pad      = (boundary - so_far + 1) & boundary;
    p.pad                   = so_far != 0 && pad != 0 && pad < p.bytes - 1 ? pad : 0;
    return p;
}

/* Marks an element that is reached by bus address; 0 or -EREMOTEIO. */
int dma_sg_peer(struct device *dev, struct scatterlist *sg, unsigned long *attrs)
{
    struct pci_p2pdma_map_state state = { .windows = NULL };
    sg->dma_flags &= ~SG_DMA_BUS_ADDRESS;
    switch (pci_p2pdma_state(&state, dev, sg_page(sg))) {
    case PCI_P2PDMA_MAP_BUS_ADDR:
        sg->dma_flags |= SG_DMA_BUS_ADDRESS;
        sg->dma_address = pci_p2pdma_bus_addr_map(&state, sg_phys(sg));
        sg->dma_length  = sg->length;
        return 0;
    case PCI_P2PDMA_MAP_NOT_SUPPORTED:
        return -EREMOTEIO;
    case PCI_P2PDMA_MAP_THRU_HOST_BRIDGE:
        *attrs |= DMA_ATTR_MMIO;
        return 0;
    default:
        return 0;
    }
}

/* The addresses that the list takes; elements that are reached by bus address none. */
static int bytes_of_list(struct device *dev, struct scatterlist *sgl, int nents,
                         uint64_t *bytes)
{
    struct scatterlist *sg;
    int i, error = 0;
    *bytes = 0;
    for_each_sg(sgl, sg, nents, i)
    {
        unsigned long attrs = 0;
        cpu_spend(cpu_this(), dev->kernel->cost.segment_cycles);
        error = dma_sg_peer(dev, sg, &attrs);
        if (error != 0)
            return error;
        if (dma_sg_by_bus(sg))
            continue;
        const struct placed p = place(dev, sg, *bytes);
        *bytes += p.pad + p.bytes;
    }
    return 0;
}

/* A physically contiguous run that grows element by element and is then mapped at once. */
struct run {
    phys_addr_t phys;
    uint64_t bytes, at; /* at: where in the list's addresses it begins. */
};

static int map_run(struct dma_domain *d, dma_addr_t base, const struct run *run,
                   unsigned prot)
{
    return run->bytes == 0 ? 0 : domain_map(d, base + run->at, run->phys, run->bytes, prot);
}

/* Maps the list's runs; *mapped is how far it came. */
static int map_list(struct device *dev, struct scatterlist *sgl, int nents, dma_addr_t base,
                    unsigned prot, uint64_t *mapped)
{
    struct scatterlist *sg;
    struct run run = { 0, 0, 0 };
    int i, error = 0;
    *mapped = 0;
    for_each_sg(sgl, sg, nents, i)
    {
        cpu_spend(cpu_this(), dev->kernel->cost.segment_cycles);
        if (dma_sg_by_bus(sg))
            continue;
        const struct placed p  = place(dev, sg, run.at + run.bytes);
        const phys_addr_t phys = sg_phys(sg) - p.offset;
        run.bytes += p.pad;
        if (run.bytes != 0 && run.phys + run.bytes == phys) {
            run.bytes += p.bytes;
            continue;
        }
        error = map_run(dev->domain, base, &run, prot);
        if (error != 0)
            return error;
        *mapped = run.at + run.bytes;
        run     = (struct run){ phys, p.bytes, *mapped };
    }
    error = map_run(dev->domain, base, &run, prot);
    if (error == 0)
        *mapped = run.at + run.bytes;
    return error;
}

/* A segment of its own, as long as the element. */
static struct scatterlist *put_by_bus(struct scatterlist *out, dma_addr_t bus,
                                      unsigned int length)
{
    out->dma_flags |= SG_DMA_BUS_ADDRESS;
    out->dma_address = bus;
    out->dma_length  = length;
    return out;
}

static void clear(struct scatterlist *sg)
{
    sg->dma_flags &= ~SG_DMA_BUS_ADDRESS;
    sg->dma_address = DMA_MAPPING_ERROR;
    sg->dma_length  = 0;
}

/* Writes the output segments, merged where the device allows; returns how many. */
static int finalise(struct device *dev, struct scatterlist *sgl, int nents, dma_addr_t base)
{
    const uint64_t boundary = dma_get_seg_boundary(dev);
    const uint64_t longest  = dma_get_max_seg_size(dev);
    struct scatterlist *out = sgl, *sg;
    uint64_t at             = 0,
             filled = 0; /* filled: of the present output segment, while it is open. */
    int count       = 0, i;
    for_each_sg(sgl, sg, nents, i)
    {
        cpu_spend(cpu_this(), dev->kernel->cost.segment_cycles);
        if (dma_sg_by_bus(sg)) {
            const dma_addr_t bus = sg->dma_address;
            clear(sg);
            out    = put_by_bus(count++ == 0 ? sgl : sg_next(out), bus, sg->length);
            filled = 0;
            continue;
        }
        const struct placed p    = place(dev, sg, at);
        const dma_addr_t address = base + at + p.pad;
        const bool merges        = filled > 0 && p.pad == 0 && p.offset == 0
                            && (address & boundary) != 0 && longest - filled >= sg->length;
        clear(sg);
        if (!merges) {
            out              = count++ == 0 ? sgl : sg_next(out);
            out->dma_address = address + p.offset;
            filled           = 0;
        }
        filled += sg->length;
        out->dma_length = (unsigned int)filled;
        domain_lend(dev->domain, address + p.offset, sg->length);
        if (p.offset + sg->length < p.bytes)
            filled = 0; /* Ends inside a granule: nothing can follow. */
        at += p.pad + p.bytes;
    }
    return count;
}

static int map_sg(struct device *dev, struct scatterlist *sgl, int nents, unsigned prot)
{
    struct dma_domain *d = dev->domain;
    uint64_t bytes, mapped;
    int error = bytes_of_list(dev, sgl, nents, &bytes);
    if (error != 0 || bytes == 0)
        return error != 0 ? error : finalise(dev, sgl, nents, 0);
    const dma_addr_t iova = dma_iova_get(dev, bytes, *dev->dma_mask);
    if (iova == 0)
        return -ENOMEM;
    error = map_list(dev, sgl, nents, iova, prot, &mapped);
    if (error != 0) {
        struct flush_range range = { .iova = iova, .bytes = bytes };
        if (mapped > 0) {
            struct flush_range part = { .iova = iova, .bytes = mapped };
            domain_unmap(d, &part);
            domain_flush_range(d, &part);
        }
        domain_release(d, &range);
        return error == -ENOMEM ? -ENOMEM : -EINVAL;
    }
    domain_map_sync(d, iova, bytes);
    return finalise(dev, sgl, nents, iova);
}

/* The list was not mapped. */
static void restore(struct scatterlist *sgl, int nents)
{
    struct scatterlist *sg;
    int i;
    for_each_sg(sgl, sg, nents, i)
    {
        clear(sg);
    }
}

int iommu_dma_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
                     enum dma_data_direction dir, unsigned long attrs)
{
    struct scatterlist *sg;
    int i;
    if (domain_attach_deferred(dev) != 0)
        return -ENOMEM;
    if (dma_sg_may_bounce(dev, sgl, nents, dir))
        return dma_bounce_map_sg(dev, sgl, nents, dir, attrs);
    for_each_sg(sgl, sg, nents, i)
    {
        if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
            dma_cache_for_device(dev, sg_phys(sg), sg->length);
    }
    dma_cache_barrier(dev);
    const int mapped = map_sg(dev, sgl, nents, dma_prot(dir));
    if (mapped < 0)
        restore(sgl, nents);
    return mapped;
}

static void unmap_sg(struct device *dev, struct scatterlist *sgl, int nents)
{
    dma_addr_t start = 0, end = 0;
    struct scatterlist *sg;
    int i;
    for_each_sg(sgl, sg, nents, i)
    {
        if (sg->dma_length == 0)
            break;
        cpu_spend(cpu_this(), dev->kernel->cost.segment_cycles);
        if (dma_sg_by_bus(sg)) {
            sg->dma_flags &= ~SG_DMA_BUS_ADDRESS;
            continue;
        }
        start = end == 0 ? sg->dma_address : start;
        end   = sg->dma_address + sg->dma_length;
    }
    if (end > start)
        dma_range_unmap(dev->domain, start, end - start);
}

void iommu_dma_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents,
                        enum dma_data_direction dir, unsigned long attrs)
{
    struct scatterlist *sg;
    int i;
    if (sgl->dma_flags & SG_DMA_SWIOTLB) {
        dma_bounce_unmap_sg(dev, sgl, nents, dir, attrs);
        return;
    }
    for_each_sg(sgl, sg, nents, i)
    {
        if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
            dma_cache_for_cpu(dev, sg_phys(sg), sg->length, dir);
    }
    unmap_sg(dev, sgl, nents);
}
