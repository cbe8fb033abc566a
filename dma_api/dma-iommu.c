/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-iommu - mapping through a domain: single ranges, coherent memory, the IOVA API.
 *
 * Follows drivers/iommu/dma-iommu.c of Linux 6.12 to 7.3. What dma_iova_destroy does
 * depends on the release: up to 6.18 it goes through the flush policy like any unmap;
 * in 7.3 it unlinks, which always invalidates at once, and frees.
 */
#include "dma_api/dma-iommu.h"

#include "dma_api/dma-bounce.h"
#include "dma_api/dma-debug.h"
#include "dma_api/dma-sync.h"
#include "dma_api/dma-watch.h"
#include "sim/base/lg2.h"

/* Both of the device and of the bus that it is on. */
static uint64_t reachable(const struct device *dev, uint64_t mask)
{
    return dev->bus_dma_limit != 0 && dev->bus_dma_limit < mask ? dev->bus_dma_limit : mask;
}

static dma_addr_t find_addresses(struct dma_domain *d, struct device *dev, uint64_t bytes,
                                 uint64_t mask)
{
    dma_addr_t iova = 0;
    if (d->policy->address != NULL)
        iova = d->policy->address(d, d->policy_state, dev, bytes, reachable(dev, mask));
    if (iova == 0)
        iova = iova_alloc_for(&d->iova, dev, bytes, mask, d->aperture_last);
    if (iova == 0 && domain_make_room(d))
        iova = iova_alloc_for(&d->iova, dev, bytes, mask, d->aperture_last);
    return iova;
}

dma_addr_t dma_iova_get(struct device *dev, uint64_t bytes, uint64_t mask)
{
    struct cpu *cpu            = cpu_this();
    struct dma_domain *d       = dev->domain;
    const enum cpu_owner owner = cpu_own(cpu, OWNER_iova_alloc);
    const dma_addr_t iova      = find_addresses(d, dev, bytes, mask);
    const struct observer *o   = &d->kernel->observer;
    if (iova != 0 && o->handed_out != NULL)
        o->handed_out(o->self, d->id, iova, bytes, cpu->time);
    batch_reused(d->batch);
    cpu_own(cpu, owner);
    return iova;
}

/* The addresses were never visible to the device, or are not any more: no policy is asked.
 */
static void free_iova(struct dma_domain *d, dma_addr_t iova, uint64_t bytes)
{
    struct flush_range range = { .iova = iova, .bytes = bytes };
    domain_release(d, &range);
}

/* The whole granules that hold so many bytes from there on; 0: none do, or more than there
 * are addresses. */
static uint64_t whole_granules(const struct dma_domain *d, uint64_t from, uint64_t size)
{
    const uint64_t mask   = domain_granule_mask(d);
    const uint64_t offset = from & mask;
    return size > UINT64_MAX - mask - offset ? 0 : (size + offset + mask) & ~mask;
}

/* ---- Single ranges
 * -------------------------------------------------------------------------- */

/* Whether the policy keeps mappings of this size itself. */
static bool policy_serves(const struct dma_domain *d, uint64_t bytes, unsigned long attrs)
{
    if (d->policy->bounces && attrs & DMA_ATTRS_IN_PLACE)
        return false;
    return d->policy->serves != NULL && d->policy->serves(d->policy_state, bytes);
}

static dma_addr_t map_by_policy(struct device *dev, phys_addr_t phys, size_t size,
                                unsigned prot)
{
    struct dma_domain *d         = dev->domain;
    const uint64_t offset        = phys & domain_granule_mask(d);
    const struct flush_mapping m = {
        .dev   = dev,
        .phys  = phys - offset,
        .bytes = whole_granules(d, phys, size),
        .prot  = prot,
        .mask  = reachable(dev, *dev->dma_mask),
    };
    const dma_addr_t iova = d->policy->map(d, d->policy_state, &m);
    if (iova == 0)
        return 0;
    domain_lend(d, iova + offset, size);
    return iova + offset;
}

static dma_addr_t map(struct device *dev, phys_addr_t phys, size_t size, unsigned prot,
                      uint64_t mask)
{
    struct dma_domain *d  = dev->domain;
    const uint64_t offset = phys & domain_granule_mask(d);
    const uint64_t bytes  = whole_granules(d, phys, size);
    if (domain_attach_deferred(dev) != 0)
        return DMA_MAPPING_ERROR;
    if (dev->dma_parms.min_align_mask > domain_granule_mask(d)) {
        kernel_warn_once(d->kernel, "map: min_align_mask beyond the granule");
        return DMA_MAPPING_ERROR;
    }
    const dma_addr_t iova = dma_iova_get(dev, bytes, mask);
    if (iova == 0)
        return DMA_MAPPING_ERROR;
    if (domain_map(d, iova, phys - offset, bytes, prot) != 0) {
        free_iova(d, iova, bytes);
        return DMA_MAPPING_ERROR;
    }
    domain_map_sync(d, iova, bytes);
    domain_lend(d, iova + offset, size);
    return iova + offset;
}

dma_addr_t iommu_dma_map_phys(struct device *dev, phys_addr_t phys, size_t size,
                              enum dma_data_direction dir, unsigned long attrs)
{
    const bool in_place = attrs & DMA_ATTRS_IN_PLACE;
    if (whole_granules(dev->domain, phys, size) == 0)
        return DMA_MAPPING_ERROR; /* Linux looks for addresses first, and maps nothing. */
    if (dma_must_bounce(dev, phys, size, dir, attrs)) {
        phys = in_place ? DMA_MAPPING_ERROR : dma_bounce_map(dev, phys, size, attrs);
        if (phys == DMA_MAPPING_ERROR)
            return DMA_MAPPING_ERROR;
    }
    if (!(attrs & (DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_MMIO))) {
        dma_cache_for_device(dev, phys, size);
        dma_cache_barrier(dev);
    }
    dma_addr_t addr = 0;
    if (policy_serves(dev->domain, size, attrs) && domain_attach_deferred(dev) == 0)
        addr = map_by_policy(dev, phys, size, dma_prot(dir));
    if (addr == 0)
        addr = map(dev, phys, size, dma_prot(dir), *dev->dma_mask);
    if (addr == DMA_MAPPING_ERROR && !in_place)
        swiotlb_unmap(dev, phys, size, dir, attrs);
    return addr;
}

phys_addr_t iommu_dma_lookup(struct dma_domain *d, dma_addr_t addr)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_pt_unmap);
    const phys_addr_t phys     = pagetable_lookup(&d->table, addr);
    cpu_own(cpu, owner);
    return phys;
}

void dma_range_unmap(struct dma_domain *d, dma_addr_t addr, size_t size)
{
    const uint64_t offset    = addr & domain_granule_mask(d);
    struct flush_range range = { .iova  = addr - offset,
                                 .bytes = whole_granules(d, addr, size) };
    if (d->policy->owns != NULL
        && d->policy->owns(d, d->policy_state, range.iova, range.bytes)) {
        domain_give_back(d, &range);
        return;
    }
    domain_unmap(d, &range);
    domain_retire(d, &range);
}

void iommu_dma_unmap_phys(struct device *dev, dma_addr_t addr, size_t size,
                          enum dma_data_direction dir, unsigned long attrs)
{
    struct dma_domain *d = dev->domain;
    phys_addr_t phys     = 0;
    if (whole_granules(d, addr, size) == 0) {
        /* Linux gives the first address back, and leaves what is mapped there. */
        kernel_warn(d->kernel, "unmap: a range of no bytes");
        return;
    }
    if (!(attrs & DMA_ATTRS_IN_PLACE)) {
        /* For bounce buffers and cache maintenance, whether there are any or not. */
        phys = iommu_dma_lookup(d, addr);
        if (phys == 0) {
            kernel_warn(d->kernel, "unmap: nothing is mapped there");
            return;
        }
        if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
            dma_cache_for_cpu(dev, phys, size, dir);
    }
    dma_range_unmap(d, addr, size);
    swiotlb_unmap(dev, phys, size, dir, attrs);
}

void *iommu_dma_alloc(struct device *dev, size_t size, dma_addr_t *handle)
{
    struct kernel *k       = dev->kernel;
    const uint64_t bytes   = align_up(size, PAGE_SHIFT);
    const unsigned order   = lg2_ceil(bytes >> PAGE_SHIFT);
    const phys_addr_t phys = kernel_pages_get_zeroed(k, order);
    if (phys == 0)
        return NULL;
    *handle = map(dev, phys, bytes, PT_READ | PT_WRITE, dev->coherent_dma_mask);
    if (*handle != DMA_MAPPING_ERROR)
        return phys_to_virt(phys);
    kernel_pages_put(k, phys, order);
    return NULL;
}

void iommu_dma_free(struct device *dev, size_t size, void *cpu_addr, dma_addr_t handle)
{
    const uint64_t bytes = align_up(size, PAGE_SHIFT);
    dma_range_unmap(dev->domain, handle, bytes);
    kernel_pages_put(dev->kernel, virt_to_phys(cpu_addr), lg2_ceil(bytes >> PAGE_SHIFT));
}

/* ---- The IOVA API
 * --------------------------------------------------------------------------- */

static bool try_alloc(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                      size_t size)
{
    struct kernel *k = dev->kernel;
    if (!dev->dma_iommu || k->release < LINUX_6_18 || policy_serves(dev->domain, size, 0))
        return false;
    if (domain_attach_deferred(dev) != 0)
        return false;
    if (size == 0) {
        kernel_warn_once(k, "dma_iova_try_alloc: no size");
        return false;
    }
    if (size & DMA_IOVA_USE_SWIOTLB) {
        kernel_warn_once(k, "dma_iova_try_alloc: the size is too large");
        return false;
    }
    const uint64_t offset = phys & domain_granule_mask(dev->domain);
    const uint64_t bytes  = whole_granules(dev->domain, phys, size);
    const dma_addr_t iova = dma_iova_get(dev, bytes, *dev->dma_mask);
    if (iova == 0)
        return false;
    state->addr   = iova + offset;
    state->__size = size;
    k->stats.map++;
    k->stats.map_iova++;
    return true;
}

bool dma_iova_try_alloc(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                        size_t size)
{
    *state                     = (struct dma_iova_state){ 0, 0 };
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_map);
    const bool done            = try_alloc(dev, state, phys, size);
    if (dma_debug_on(dev))
        dma_debug_alloc(dev, state);
    dma_watch(dev, DMA_WATCH_TRY_ALLOC, state->addr, size, phys);
    dma_call_leave(call);
    return done;
}

static void free_whole(struct dma_domain *d, const struct dma_iova_state *state)
{
    const uint64_t offset = state->addr & domain_granule_mask(d);
    const uint64_t size   = state->__size & ~DMA_IOVA_USE_SWIOTLB;
    free_iova(d, state->addr - offset, whole_granules(d, state->addr, size));
}

void dma_iova_free(struct device *dev, struct dma_iova_state *state)
{
    if (dma_debug_on(dev) && !dma_debug_free_range(dev, state))
        return;
    dma_watch(dev, DMA_WATCH_DESTROY, state->addr, 0, 0);
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    free_whole(dev->domain, state);
    dev->kernel->stats.unmap++;
    dev->kernel->stats.unmap_iova++;
    dma_call_leave(call);
}

int iommu_dma_link(struct device *dev, dma_addr_t addr, phys_addr_t phys, size_t size,
                   enum dma_data_direction dir, unsigned long attrs)
{
    const uint64_t mask   = domain_granule_mask(dev->domain);
    const uint64_t inside = phys & mask;
    if (!(attrs & (DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_MMIO)))
        dma_cache_for_device(dev, phys, size);
    const int error = domain_map(dev->domain, addr - inside, phys - inside,
                                 (size + inside + mask) & ~mask, dma_prot(dir));
    if (error == 0)
        domain_lend(dev->domain, addr, size);
    return error;
}

static int link(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                size_t offset, size_t size, enum dma_data_direction dir,
                unsigned long attrs)
{
    struct kernel *k = dev->kernel;
    if ((phys & domain_granule_mask(dev->domain)) != 0 && offset > 0) {
        kernel_warn_once(k, "dma_iova_link: only the first piece may begin unaligned");
        return -EIO;
    }
    if (attrs & DMA_ATTR_REQUIRE_COHERENT && state->__size & DMA_IOVA_USE_SWIOTLB) {
        kernel_warn_once(k, "dma_iova_link: the range has bounced already");
        return -EOPNOTSUPP;
    }
    if (attrs & DMA_ATTR_REQUIRE_COHERENT && dev->noncoherent)
        return -EOPNOTSUPP;
    if (whole_granules(dev->domain, phys, size) == 0)
        return -EINVAL;
    if (!dma_must_bounce(dev, phys, size, dir, attrs))
        return iommu_dma_link(dev, state->addr + offset, phys, size, dir, attrs);
    if (attrs & DMA_ATTRS_IN_PLACE)
        return -EPERM;
    return dma_bounce_link(dev, state, phys, offset, size, dir, attrs);
}

int dma_iova_link(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                  size_t offset, size_t size, enum dma_data_direction dir,
                  unsigned long attrs)
{
    if (dma_debug_on(dev) && !dma_debug_link(dev, state, offset, size))
        return -EINVAL;
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_map);
    const int error            = link(dev, state, phys, offset, size, dir, attrs);
    dev->kernel->stats.link += error == 0;
    if (error == 0 && dma_debug_on(dev))
        dma_debug_linked(dev, state, offset, size, dir);
    if (error == 0)
        dma_watch(dev, DMA_WATCH_LINK, state->addr + offset, size, phys);
    dma_call_leave(call);
    return error;
}

int dma_iova_sync(struct device *dev, struct dma_iova_state *state, size_t offset,
                  size_t size)
{
    if (dma_debug_on(dev))
        dma_debug_sync_links(dev, state, offset, size);
    struct dma_domain *d       = dev->domain;
    const uint64_t first       = (state->addr + offset) & ~domain_granule_mask(d);
    const uint64_t last        = (state->addr + offset + size - 1) | domain_granule_mask(d);
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_map);
    dma_cache_barrier(dev);
    domain_map_sync(d, first, last - first + 1);
    dma_call_leave(call);
    return 0;
}

/* Clears and invalidates; the addresses stay reserved, so no policy may defer it. */
void iommu_dma_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                      size_t size, enum dma_data_direction dir, unsigned long attrs)
{
    struct dma_domain *d     = dev->domain;
    const dma_addr_t addr    = state->addr + offset;
    const uint64_t inside    = addr & domain_granule_mask(d);
    struct flush_range range = { .iova  = addr - inside,
                                 .bytes = whole_granules(d, addr, size) };
    if (range.bytes == 0)
        return;
    dma_bounce_unlink(dev, state, offset, size, dir, attrs);
    domain_unmap(d, &range);
    domain_flush_range(d, &range);
    domain_give_back(d, &range);
}

void dma_iova_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                     size_t size, enum dma_data_direction dir, unsigned long attrs)
{
    if (dma_debug_on(dev) && !dma_debug_unlink(dev, state, offset, size, dir))
        return;
    dma_watch(dev, DMA_WATCH_UNLINK, state->addr + offset, size, 0);
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    iommu_dma_unlink(dev, state, offset, size, dir, attrs);
    dev->kernel->stats.unlink++;
    dma_call_leave(call);
}

static void destroy(struct device *dev, struct dma_iova_state *state, size_t mapped_len,
                    enum dma_data_direction dir, unsigned long attrs)
{
    struct dma_domain *d = dev->domain;
    if (mapped_len == 0) {
        free_whole(d, state);
    } else if (d->kernel->release >= LINUX_7_3 && d->policy->as_linux) {
        iommu_dma_unlink(dev, state, 0, mapped_len, dir, attrs);
        free_whole(d, state);
    } else {
        dma_bounce_unlink(dev, state, 0, mapped_len, dir, attrs);
        dma_range_unmap(d, state->addr, mapped_len);
    }
}

void dma_iova_destroy(struct device *dev, struct dma_iova_state *state, size_t mapped_len,
                      enum dma_data_direction dir, unsigned long attrs)
{
    if (dma_debug_on(dev) && !dma_debug_destroy(dev, state, &mapped_len, dir))
        return;
    dma_watch(dev, DMA_WATCH_DESTROY, state->addr, mapped_len, 0);
    const struct dma_call call = dma_call_enter(dev->kernel, PHASE_unmap);
    destroy(dev, state, mapped_len, dir, attrs);
    dev->kernel->stats.unmap++;
    dev->kernel->stats.unmap_iova++;
    dma_call_leave(call);
}
