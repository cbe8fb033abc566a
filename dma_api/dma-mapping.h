/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-mapping - the Linux DMA-mapping APIs, for driver code that runs on a simulated CPU.
 *
 * Names, signatures and semantics are those of Linux (linux/dma-mapping.h and
 * linux/scatterlist.h, releases 6.12 to 7.3), so that a driver's mapping code compiles
 * against this one header. The CPU on which a call runs is the one whose coroutine is
 * running.
 *
 * Memory is simulated: a phys_addr_t is a simulated physical address. A struct page pointer
 * and a kernel virtual address only stand for one (pfn_to_page, phys_to_virt); nothing on
 * the host may follow them. Driver code reads and writes simulated memory with the
 * primitives of sim/base/cpu.h.
 */
#ifndef DMA_API_DMA_MAPPING_H
#define DMA_API_DMA_MAPPING_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t dma_addr_t;
typedef uint64_t phys_addr_t;
typedef unsigned int gfp_t;

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1UL << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define GFP_KERNEL    0xcc0u
#define GFP_ATOMIC    0x820u
#define GFP_NOWAIT    0x800u
#define __GFP_DMA     0x1u
#define __GFP_HIGHMEM 0x2u
#define __GFP_DMA32   0x4u
#define __GFP_NOWARN  0x2000u
#define __GFP_COMP    0x40000u

#define DMA_BIT_MASK(n)   (((n) == 64) ? ~0ULL : ((1ULL << (n)) - 1))
#define DMA_MAPPING_ERROR (~(dma_addr_t)0)

enum dma_data_direction {
    DMA_BIDIRECTIONAL = 0,
    DMA_TO_DEVICE     = 1, /* The device reads. */
    DMA_FROM_DEVICE   = 2, /* The device writes. */
    DMA_NONE          = 3,
};

/* Attributes, a bit mask (Documentation/core-api/dma-attributes). */
#define DMA_ATTR_WEAK_ORDERING (1UL << 1) /* Nothing behind an IOMMU asks for it. */
#define DMA_ATTR_WRITE_COMBINE (1UL << 2) /* Of a CPU's mapping; as above. */
#define DMA_ATTR_NO_KERNEL_MAPPING                                                         \
    (1UL << 4)                               /* Without an IOMMU: the page is returned.    \
                                              */
#define DMA_ATTR_SKIP_CPU_SYNC    (1UL << 5) /* No cache maintenance, no copy back. */
#define DMA_ATTR_FORCE_CONTIGUOUS (1UL << 6) /* Contiguous memory, which it always is. */
#define DMA_ATTR_ALLOC_SINGLE_PAGES                                                        \
    (1UL << 7) /* dma_alloc_noncontiguous: no large ones.                                  \
                */
#define DMA_ATTR_NO_WARN                     (1UL << 8) /* Says nothing when memory runs out. */
#define DMA_ATTR_PRIVILEGED                  (1UL << 9) /* No format here has such a permission. */
#define DMA_ATTR_MMIO                        (1UL << 10) /* Registers: no cache, never bounced. */
#define DMA_ATTR_DEBUGGING_IGNORE_CACHELINES (1UL << 11) /* For a checker only. */
#define DMA_ATTR_REQUIRE_COHERENT            (1UL << 12) /* Fails rather than sync or bounce. */
#define DMA_ATTR_CC_SHARED                   (1UL << 13) /* Refused behind an IOMMU. */

/* ---- Devices and pages ----------------------------------------------------------------
 */

struct dma_domain;
struct kernel;

struct device_dma_parameters {
    unsigned int max_segment_size; /* 0: 64 KiB */
    unsigned int min_align_mask;
    unsigned long segment_boundary_mask; /* 0: none */
};

/* What the DMA API knows of a device. kernel_add_device fills it; untrusted, noncoherent
 * and the DMA range are set after it, before a domain is attached. */
struct device {
    const char *name;
    struct kernel *kernel;
    uint16_t requester; /* Bus, device, function. */
    uint64_t dma_mask_bits, *dma_mask, coherent_dma_mask, bus_dma_limit;
    struct device_dma_parameters dma_parms;
    uint64_t dma_range_first, dma_range_last; /* All that its bus passes on; last 0: any. */
    bool attach_deferred; /* The IOMMU does not know it before it maps something. */
    bool dma_iommu;       /* Its DMA goes through a translating domain. */
    bool dac_first;       /* 32-bit addresses ran out: it starts with the full mask. */
    bool ats;             /* It asks for translations ahead and keeps them (PCIe ATS). */
    struct dma_domain *domain;
    struct device *next_attached; /* Behind the same IOMMU; its driver's. */
    bool gone;                    /* Unplugged: nothing of it answers any more. */
    bool untrusted; /* Behind an external port: strict, and never a page beside its data. */
    bool noncoherent; /* Its accesses pass the CPUs' caches by. */
    bool bounced;     /* A bounce buffer was used: from then on syncs have work to do. */
};

struct page; /* Never defined: a pointer to one stands for a page frame number. */

static inline struct page *pfn_to_page(unsigned long pfn)
{
    return (struct page *)(uintptr_t)(pfn << 6 | 1UL << 63);
}
static inline unsigned long page_to_pfn(const struct page *page)
{
    return ((unsigned long)(uintptr_t)page & ~(1UL << 63)) >> 6;
}
static inline phys_addr_t page_to_phys(const struct page *page)
{
    return (phys_addr_t)page_to_pfn(page) << PAGE_SHIFT;
}
static inline struct page *phys_to_page(phys_addr_t phys)
{
    return pfn_to_page((unsigned long)(phys >> PAGE_SHIFT));
}

#define PAGE_OFFSET 0xff00000000000000UL
static inline void *phys_to_virt(phys_addr_t phys)
{
    return (void *)(uintptr_t)(phys | PAGE_OFFSET);
}
static inline phys_addr_t virt_to_phys(const void *address)
{
    return (phys_addr_t)((uintptr_t)address & ~PAGE_OFFSET);
}

/* What vmap returned stands for pages that are not contiguous: only this names them. */
bool is_vmalloc_addr(const void *address);
struct page *vmalloc_to_page(const void *address);

/* ---- What a device can address ------------------------------------------------------- */

/* The addresses that the device can drive. 0, or -EIO when it has no mask to set or cannot
 * work with this one (below 24 bits, without an IOMMU). Until then: 32 bits. */
int dma_set_mask(struct device *dev, uint64_t mask);
int dma_set_coherent_mask(struct device *dev, uint64_t mask); /* Of dma_alloc_*. */
int dma_set_mask_and_coherent(struct device *dev, uint64_t mask);
/* The same, for a device whose mask was not set up: the coherent mask's place is used. */
int dma_coerce_mask_and_coherent(struct device *dev, uint64_t mask);
static inline uint64_t dma_get_mask(struct device *dev)
{
    return dev->dma_mask != NULL && *dev->dma_mask != 0 ? *dev->dma_mask : DMA_BIT_MASK(32);
}
/* The mask with which every mapping succeeds: all of memory; 32 bits behind an IOMMU. */
uint64_t dma_get_required_mask(struct device *dev);
/* Whether the masks leave out some of that. */
bool dma_addressing_limited(struct device *dev);
bool dma_pci_p2pdma_supported(struct device *dev);

/* The most bytes in one segment of a scatter list; 64 KiB unless set. */
void dma_set_max_seg_size(struct device *dev, unsigned int size);
unsigned int dma_get_max_seg_size(struct device *dev);
/* Bytes - 1 of the blocks whose borders no segment may cross; all ones unless set. */
void dma_set_seg_boundary(struct device *dev, unsigned long mask);
unsigned long dma_get_seg_boundary(struct device *dev);
unsigned long dma_get_seg_boundary_nr_pages(struct device *dev, unsigned int page_shift);
/* Address bits that a bounce buffer must have in common with what it stands for. */
void dma_set_min_align_mask(struct device *dev, unsigned int mask);
unsigned int dma_get_min_align_mask(struct device *dev);

/* Bytes - 1 of the granule up to which mappings can be merged; 0 without an IOMMU. */
unsigned long dma_get_merge_boundary(struct device *dev);
/* The most bytes of a mapping whose addresses are still cached; SIZE_MAX without one. */
size_t dma_opt_mapping_size(struct device *dev);
/* The most bytes of one mapping: what a bounce buffer can hold, for untrusted devices. */
size_t dma_max_mapping_size(struct device *dev);
/* Whether dma_unmap_* has anything to do, so that the driver must keep what it takes. */
bool dma_need_unmap(struct device *dev);

/*
 * Not of Linux: the driver has ended a batch of unmaps on this CPU, e.g. at the end of an
 * interrupt that completed several requests. Free, except under flush policies that wait
 * for it (`iovasim policies`, xsmmu).
 */
void dma_unmap_batch_end(struct device *dev);
/* Whether dma_sync_* of this mapping has anything to do. */
bool dma_need_sync(struct device *dev, dma_addr_t addr);

/* What an unmap needs, in a driver's own structure. */
#define DEFINE_DMA_UNMAP_ADDR(NAME)        dma_addr_t NAME
#define DEFINE_DMA_UNMAP_LEN(NAME)         uint32_t NAME
#define dma_unmap_addr(PTR, NAME)          ((PTR)->NAME)
#define dma_unmap_addr_set(PTR, NAME, VAL) (((PTR)->NAME) = (VAL))
#define dma_unmap_len(PTR, NAME)           ((PTR)->NAME)
#define dma_unmap_len_set(PTR, NAME, VAL)  (((PTR)->NAME) = (VAL))

/* ---- The streaming API -----------------------------------------------------------------
 */

/* Each returns a DMA address, or DMA_MAPPING_ERROR: no addresses, table page or bounce
 * buffer; beyond the mask, without an IOMMU; or an attribute that cannot be honoured.
 * dma_map_resource is for registers (DMA_ATTR_MMIO), which dma_map_page refuses. */
dma_addr_t dma_map_phys(struct device *dev, phys_addr_t phys, size_t size,
                        enum dma_data_direction dir, unsigned long attrs);
void dma_unmap_phys(struct device *dev, dma_addr_t addr, size_t size,
                    enum dma_data_direction dir, unsigned long attrs);
dma_addr_t dma_map_page_attrs(struct device *dev, struct page *page, size_t offset,
                              size_t size, enum dma_data_direction dir,
                              unsigned long attrs);
void dma_unmap_page_attrs(struct device *dev, dma_addr_t addr, size_t size,
                          enum dma_data_direction dir, unsigned long attrs);
dma_addr_t dma_map_single_attrs(struct device *dev, void *ptr, size_t size,
                                enum dma_data_direction dir, unsigned long attrs);
void dma_unmap_single_attrs(struct device *dev, dma_addr_t addr, size_t size,
                            enum dma_data_direction dir, unsigned long attrs);
dma_addr_t dma_map_resource(struct device *dev, phys_addr_t phys, size_t size,
                            enum dma_data_direction dir, unsigned long attrs);
void dma_unmap_resource(struct device *dev, dma_addr_t addr, size_t size,
                        enum dma_data_direction dir, unsigned long attrs);

#define dma_map_page(d, p, o, s, r)  dma_map_page_attrs(d, p, o, s, r, 0)
#define dma_unmap_page(d, a, s, r)   dma_unmap_page_attrs(d, a, s, r, 0)
#define dma_map_single(d, p, s, r)   dma_map_single_attrs(d, p, s, r, 0)
#define dma_unmap_single(d, a, s, r) dma_unmap_single_attrs(d, a, s, r, 0)

/* -ENOMEM when addr is the error cookie, else 0. */
int dma_mapping_error(struct device *dev, dma_addr_t addr);

/* Hands a mapped buffer, or part of it, to the CPU or back to the device. Cache maintenance
 * for a device that is not coherent, copies where it is bounced; never an invalidation. */
void dma_sync_single_for_cpu(struct device *dev, dma_addr_t addr, size_t size,
                             enum dma_data_direction dir);
void dma_sync_single_for_device(struct device *dev, dma_addr_t addr, size_t size,
                                enum dma_data_direction dir);
static inline void dma_sync_single_range_for_cpu(struct device *dev, dma_addr_t addr,
                                                 unsigned long offset, size_t size,
                                                 enum dma_data_direction dir)
{
    dma_sync_single_for_cpu(dev, addr + offset, size, dir);
}
static inline void dma_sync_single_range_for_device(struct device *dev, dma_addr_t addr,
                                                    unsigned long offset, size_t size,
                                                    enum dma_data_direction dir)
{
    dma_sync_single_for_device(dev, addr + offset, size, dir);
}

/* ---- Scatter lists ----------------------------------------------------------------------
 */

struct scatterlist {
    unsigned long page_link; /* The page; bit 1: the last of the list. */
    unsigned int offset, length;
    dma_addr_t dma_address;
    unsigned int dma_length, dma_flags;
};

struct sg_table {
    struct scatterlist *sgl;
    unsigned int nents;      /* Mapped by the device. */
    unsigned int orig_nents; /* Of the list. */
};

void sg_init_table(struct scatterlist *sgl, unsigned int nents);
void sg_mark_end(struct scatterlist *sg);
struct scatterlist *sg_next(struct scatterlist *sg);
void sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len,
                 unsigned int offset);

static inline struct page *sg_page(const struct scatterlist *sg)
{
    return (struct page *)(uintptr_t)(sg->page_link & ~3UL);
}
static inline void *sg_virt(struct scatterlist *sg)
{
    return (char *)phys_to_virt(page_to_phys(sg_page(sg))) + sg->offset;
}
/* buf is of memory that is mapped for the CPU as it lies. */
static inline void sg_set_buf(struct scatterlist *sg, const void *buf, unsigned int buflen)
{
    const phys_addr_t phys = virt_to_phys(buf);
    sg_set_page(sg, phys_to_page(phys), buflen, (unsigned int)(phys & ~PAGE_MASK));
}
static inline phys_addr_t sg_phys(const struct scatterlist *sg)
{
    return page_to_phys(sg_page(sg)) + sg->offset;
}
#define SG_DMA_BUS_ADDRESS (1U << 0) /* Of a segment: it is reached past the IOMMU. */
#define SG_DMA_SWIOTLB     (1U << 1) /* Of the first: its elements were mapped one by one. */
#define sg_dma_address(sg) ((sg)->dma_address)
#define sg_dma_len(sg)     ((sg)->dma_length)
#define for_each_sg(sgl, sg, nr, i)                                                        \
    for ((i) = 0, (sg) = (sgl); (i) < (nr); (i)++, (sg) = sg_next(sg))
/* The elements as the CPU has them, and the segments as the device does. */
#define for_each_sgtable_sg(sgt, sg, i)     for_each_sg((sgt)->sgl, sg, (sgt)->orig_nents, i)
#define for_each_sgtable_dma_sg(sgt, sg, i) for_each_sg((sgt)->sgl, sg, (sgt)->nents, i)

/* The number of mapped segments, 0 on any error. */
unsigned int dma_map_sg_attrs(struct device *dev, struct scatterlist *sgl, int nents,
                              enum dma_data_direction dir, unsigned long attrs);
void dma_unmap_sg_attrs(struct device *dev, struct scatterlist *sgl, int nents,
                        enum dma_data_direction dir, unsigned long attrs);
/* 0, or -EINVAL, -ENOMEM, -EIO (without an IOMMU, or bounced), -EOPNOTSUPP, -EREMOTEIO (to
 * the memory of another device there is no way: dma_api/pci-p2pdma.h). */
int dma_map_sgtable(struct device *dev, struct sg_table *sgt, enum dma_data_direction dir,
                    unsigned long attrs);
void dma_unmap_sgtable(struct device *dev, struct sg_table *sgt,
                       enum dma_data_direction dir, unsigned long attrs);

/* Of the whole list: nents is what it was mapped with. */
void dma_sync_sg_for_cpu(struct device *dev, struct scatterlist *sgl, int nents,
                         enum dma_data_direction dir);
void dma_sync_sg_for_device(struct device *dev, struct scatterlist *sgl, int nents,
                            enum dma_data_direction dir);
static inline void dma_sync_sgtable_for_cpu(struct device *dev, struct sg_table *sgt,
                                            enum dma_data_direction dir)
{
    dma_sync_sg_for_cpu(dev, sgt->sgl, (int)sgt->orig_nents, dir);
}
static inline void dma_sync_sgtable_for_device(struct device *dev, struct sg_table *sgt,
                                               enum dma_data_direction dir)
{
    dma_sync_sg_for_device(dev, sgt->sgl, (int)sgt->orig_nents, dir);
}

#define dma_map_sg(d, s, n, r)   dma_map_sg_attrs(d, s, n, r, 0)
#define dma_unmap_sg(d, s, n, r) dma_unmap_sg_attrs(d, s, n, r, 0)

/* ---- Memory for devices ---------------------------------------------------------------
 */

/* Cleared, contiguous memory that CPU and device use at the same time; NULL: no memory, no
 * addresses, or __GFP_COMP. Whole pages. */
void *dma_alloc_attrs(struct device *dev, size_t size, dma_addr_t *handle, gfp_t gfp,
                      unsigned long attrs);
void dma_free_attrs(struct device *dev, size_t size, void *cpu_addr, dma_addr_t handle,
                    unsigned long attrs);
static inline void *dma_alloc_coherent(struct device *dev, size_t size, dma_addr_t *handle,
                                       gfp_t gfp)
{
    return dma_alloc_attrs(dev, size, handle, gfp,
                           gfp & __GFP_NOWARN ? DMA_ATTR_NO_WARN : 0);
}
static inline void dma_free_coherent(struct device *dev, size_t size, void *cpu_addr,
                                     dma_addr_t handle)
{
    dma_free_attrs(dev, size, cpu_addr, handle, 0);
}
static inline void *dma_alloc_wc(struct device *dev, size_t size, dma_addr_t *handle,
                                 gfp_t gfp)
{
    return dma_alloc_attrs(dev, size, handle, gfp,
                           DMA_ATTR_WRITE_COMBINE
                               | (gfp & __GFP_NOWARN ? DMA_ATTR_NO_WARN : 0));
}
static inline void dma_free_wc(struct device *dev, size_t size, void *cpu_addr,
                               dma_addr_t handle)
{
    dma_free_attrs(dev, size, cpu_addr, handle, DMA_ATTR_WRITE_COMBINE);
}

/* Cleared, contiguous pages, mapped for one direction; the driver syncs them. NULL as
 * above, and with __GFP_DMA, __GFP_DMA32 or __GFP_HIGHMEM. */
struct page *dma_alloc_pages(struct device *dev, size_t size, dma_addr_t *handle,
                             enum dma_data_direction dir, gfp_t gfp);
void dma_free_pages(struct device *dev, size_t size, struct page *page, dma_addr_t handle,
                    enum dma_data_direction dir);
void *dma_alloc_noncoherent(struct device *dev, size_t size, dma_addr_t *handle,
                            enum dma_data_direction dir, gfp_t gfp);
void dma_free_noncoherent(struct device *dev, size_t size, void *cpu_addr,
                          dma_addr_t handle, enum dma_data_direction dir);

/* Cleared pages from anywhere in one range of DMA addresses: one segment for the device
 * (nents), orig_nents pieces for the CPU. NULL as above, and, after a warning, with any
 * attribute but DMA_ATTR_ALLOC_SINGLE_PAGES. Behind no IOMMU they are contiguous. */
struct sg_table *dma_alloc_noncontiguous(struct device *dev, size_t size,
                                         enum dma_data_direction dir, gfp_t gfp,
                                         unsigned long attrs);
void dma_free_noncontiguous(struct device *dev, size_t size, struct sg_table *sgt,
                            enum dma_data_direction dir);
/* Contiguous addresses for the CPU (see vmalloc_to_page); NULL: no memory. */
void *dma_vmap_noncontiguous(struct device *dev, size_t size, struct sg_table *sgt);
void dma_vunmap_noncontiguous(struct device *dev, void *vaddr);

/* ---- Pools of small blocks (linux/dmapool.h)
 * ------------------------------------------------------------------------ */

struct dma_pool;

/* Coherent blocks of size bytes at multiples of align (a power of two; 0: any), none across
 * a multiple of boundary (a power of two, at least size; 0: it does not matter). NULL: not
 * these, or no memory. */
struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size,
                                 size_t align, size_t boundary);
/* Every block must have come back. NULL is nothing. */
void dma_pool_destroy(struct dma_pool *pool);
void *dma_pool_alloc(struct dma_pool *pool, gfp_t gfp, dma_addr_t *handle);  /* Or NULL. */
void *dma_pool_zalloc(struct dma_pool *pool, gfp_t gfp, dma_addr_t *handle); /* Cleared. */
void dma_pool_free(struct dma_pool *pool, void *vaddr, dma_addr_t addr);

/* ---- The IOVA API
 * ------------------------------------------------------------------------ */

/* One contiguous range of I/O virtual addresses, filled piece by piece (6.16 and later). */
struct dma_iova_state {
    dma_addr_t addr;
    uint64_t __size;
};

#define DMA_IOVA_USE_SWIOTLB (1ULL << 63)

static inline bool dma_use_iova(struct dma_iova_state *state)
{
    return state->__size != 0;
}
static inline uint64_t dma_iova_size(struct dma_iova_state *state)
{
    return state->__size & ~DMA_IOVA_USE_SWIOTLB;
}

/* False, with the state zeroed, when the device cannot use it: the caller then maps piece
 * by piece with the streaming API. phys matters only for its offset in the granule. */
bool dma_iova_try_alloc(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                        size_t size);
/* Nothing may be linked any more: the addresses are free at once under every policy. */
void dma_iova_free(struct device *dev, struct dma_iova_state *state);
/* Maps phys at offset. Only the first piece may begin, only the last may end inside a
 * granule (where an untrusted device gets a bounce buffer). 0, or -EIO (begins inside one),
 * -EINVAL (no size or direction), -ENXIO (offset inside one), -ERANGE, -EADDRINUSE, -ENOMEM
 * (table page, bounce buffer), -EPERM (to be bounced, but MMIO or REQUIRE_COHERENT),
 * -EOPNOTSUPP (REQUIRE_COHERENT for a range that bounced or a device not coherent). */
int dma_iova_link(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                  size_t offset, size_t size, enum dma_data_direction dir,
                  unsigned long attrs);
/* Once after the last link, before the device may use the range. 0, always. */
int dma_iova_sync(struct device *dev, struct dma_iova_state *state, size_t offset,
                  size_t size);
/* On return the device does not reach the piece any more; its addresses stay reserved. */
void dma_iova_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                     size_t size, enum dma_data_direction dir, unsigned long attrs);
/* Unlinks [0, mapped_len) and frees the range. */
void dma_iova_destroy(struct device *dev, struct dma_iova_state *state, size_t mapped_len,
                      enum dma_data_direction dir, unsigned long attrs);

#ifdef __cplusplus
}
#endif

#include "dma_api/dma-sites.h"

#endif
