/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-bounce.h"

#include "dma_api/dma-sync.h"
#include "sim/base/lg2.h"

/* ---- Who bounces --------------------------------------------------------------------- */

enum { DMA_MINALIGN = 128, CACHE_LINE = 64 };

/* What kmalloc makes of a small request. */
static size_t kmalloc_bucket(size_t size)
{
    if (size > 64 && size <= 96)
        return 96;
    if (size > 128 && size <= 192)
        return 192;
    return (size_t)1 << lg2_ceil(size < 8 ? 8 : size);
}

/* Whether the buffer may share a cache line with something that the CPU writes meanwhile.
 */
static bool shares_line(size_t size)
{
    return size < (size_t)2 * DMA_MINALIGN && kmalloc_bucket(size) % CACHE_LINE != 0;
}

static bool writes_around_caches(const struct device *dev, enum dma_data_direction dir)
{
    return dev->noncoherent && dir != DMA_TO_DEVICE;
}

/* The flush policy has bounce buffers mapped for good, and moves all data through them. */
static bool policy_bounces(const struct device *dev, size_t size)
{
    const struct dma_domain *d = dev->domain;
    return d->policy->bounces && d->policy->serves(d->policy_state, size);
}

/* Linux has a reason, whatever the policy. */
static bool machine_bounces(const struct device *dev, size_t size,
                            enum dma_data_direction dir)
{
    return dev->untrusted || (writes_around_caches(dev, dir) && shares_line(size));
}

bool dma_may_bounce(const struct device *dev, size_t size, enum dma_data_direction dir)
{
    return machine_bounces(dev, size, dir) || policy_bounces(dev, size);
}

bool dma_must_bounce(const struct device *dev, phys_addr_t phys, size_t size,
                     enum dma_data_direction dir, unsigned long attrs)
{
    if (!(attrs & DMA_ATTRS_IN_PLACE) && policy_bounces(dev, size))
        return true;
    return machine_bounces(dev, size, dir)
           && ((phys | size) & domain_granule_mask(dev->domain)) != 0;
}

bool dma_sg_may_bounce(const struct device *dev, struct scatterlist *sgl, int nents,
                       enum dma_data_direction dir)
{
    struct scatterlist *sg;
    int i;
    if (dev->untrusted || dev->domain->policy->serves != NULL)
        return true;
    if (!writes_around_caches(dev, dir))
        return false;
    for_each_sg(sgl, sg, nents, i)
    {
        if (shares_line(sg->length))
            return true;
    }
    return false;
}

/* ---- One buffer ---------------------------------------------------------------------- */

phys_addr_t dma_bounce_map(struct device *dev, phys_addr_t phys, size_t size,
                           unsigned long attrs)
{
    struct kernel *k    = dev->kernel;
    const uint64_t mask = domain_granule_mask(dev->domain);
    if (k->swiotlb == NULL) {
        kernel_warn_once(k, "swiotlb: there are no bounce buffers");
        return DMA_MAPPING_ERROR;
    }
    const phys_addr_t slot = swiotlb_map(dev, phys, size, mask, attrs);
    if (slot == DMA_MAPPING_ERROR || !dev->untrusted)
        return slot;
    const phys_addr_t end = slot + size;
    if (slot & mask)
        swiotlb_clear(k, slot & ~mask, slot & mask);
    if (end & mask)
        swiotlb_clear(k, end, mask + 1 - (end & mask));
    return slot;
}

/* ---- The IOVA API -------------------------------------------------------------------- */

/* One granule, of which inside bytes come before the data. */
static int link_bounced(struct device *dev, struct dma_iova_state *state, dma_addr_t addr,
                        phys_addr_t phys, size_t size, uint64_t inside,
                        enum dma_data_direction dir, unsigned long attrs)
{
    const phys_addr_t slot = dma_bounce_map(dev, phys, size, attrs);
    if (slot == DMA_MAPPING_ERROR)
        return -ENOMEM;
    const int error =
        iommu_dma_link(dev, addr - inside, slot - inside, size + inside, dir, attrs);
    if (error != 0)
        swiotlb_unmap(dev, slot, size, dir, attrs);
    else
        state->__size |= DMA_IOVA_USE_SWIOTLB;
    return error;
}

/* The rest of a range whose first done bytes are linked: whole granules, then the tail. */
static int link_rest(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                     size_t offset, size_t size, size_t *done, enum dma_data_direction dir,
                     unsigned long attrs)
{
    const size_t tail   = (phys + size) & domain_granule_mask(dev->domain);
    const size_t middle = size - *done - tail;
    int error           = 0;
    if (middle > 0)
        error = iommu_dma_link(dev, state->addr + offset + *done, phys + *done, middle, dir,
                               attrs);
    if (error != 0 || tail == 0)
        return error;
    *done += middle;
    return link_bounced(dev, state, state->addr + offset + *done, phys + *done, tail, 0,
                        dir, attrs);
}

int dma_bounce_link(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                    size_t offset, size_t size, enum dma_data_direction dir,
                    unsigned long attrs)
{
    const uint64_t mask   = domain_granule_mask(dev->domain);
    const uint64_t inside = phys & mask;
    size_t done           = 0;
    int error             = 0;
    if (inside != 0) {
        done = size < mask + 1 - inside ? size : mask + 1 - inside;
        error =
            link_bounced(dev, state, state->addr + offset, phys, done, inside, dir, attrs);
        if (error != 0 || done == size)
            return error;
    }
    error = link_rest(dev, state, phys, offset, size, &done, dir, attrs);
    if (error != 0 && done > 0)
        iommu_dma_unlink(dev, state, offset, done, dir, attrs);
    return error;
}

void dma_bounce_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                       size_t size, enum dma_data_direction dir, unsigned long attrs)
{
    const uint64_t granule = domain_granule_mask(dev->domain) + 1;
    const bool uncached =
        dev->noncoherent && !(attrs & (DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_MMIO));
    if (!(state->__size & DMA_IOVA_USE_SWIOTLB) && !uncached)
        return;
    size_t done = 0, n;
    do {
        const dma_addr_t addr  = state->addr + offset + done;
        const uint64_t room    = granule - (addr & (granule - 1));
        const phys_addr_t phys = iommu_dma_lookup(dev->domain, addr);
        if (phys == 0) {
            kernel_warn(dev->kernel, "dma_iova_unlink: nothing is linked there");
            return;
        }
        n = size - done < room ? size - done : room;
        if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
            dma_cache_for_cpu(dev, phys, n, dir);
        swiotlb_unmap(dev, phys, n, dir, attrs);
        done += n;
    } while (done < size);
}

/* ---- Scatter lists ------------------------------------------------------------------- */

void dma_bounce_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents,
                         enum dma_data_direction dir, unsigned long attrs)
{
    struct scatterlist *sg;
    int i;
    for_each_sg(sgl, sg, nents, i)
    {
        if (!dma_sg_by_bus(sg))
            iommu_dma_unmap_phys(dev, sg->dma_address, sg->dma_length, dir, attrs);
        sg->dma_flags &= ~SG_DMA_BUS_ADDRESS;
    }
    sgl->dma_flags &= ~SG_DMA_SWIOTLB;
}

/* Linux does not ask for peers' memory where it bounces; a policy that keeps mappings is no
 * reason not to. */
static int map_element(struct device *dev, struct scatterlist *sg,
                       enum dma_data_direction dir, unsigned long attrs)
{
    const bool asks = !dev->untrusted && dev->domain->policy->serves != NULL;
    const int error = asks ? dma_sg_peer(dev, sg, &attrs) : 0;
    if (error != 0 || dma_sg_by_bus(sg))
        return error;
    sg->dma_address = iommu_dma_map_phys(dev, sg_phys(sg), sg->length, dir, attrs);
    sg->dma_length  = sg->length;
    return sg->dma_address == DMA_MAPPING_ERROR ? -EIO : 0;
}

int dma_bounce_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
                      enum dma_data_direction dir, unsigned long attrs)
{
    struct scatterlist *sg;
    int i;
    sgl->dma_flags |= SG_DMA_SWIOTLB;
    for_each_sg(sgl, sg, nents, i)
    {
        cpu_spend(cpu_this(), dev->kernel->cost.segment_cycles);
        const int error = map_element(dev, sg, dir, attrs);
        if (error != 0) {
            dma_bounce_unmap_sg(dev, sgl, i, dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
            return error;
        }
    }
    return nents;
}
