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

#define GFP_KERNEL 0xcc0u
#define GFP_ATOMIC 0x820u
#define GFP_NOWAIT 0x800u

#define DMA_BIT_MASK(n)   (((n) == 64) ? ~0ULL : ((1ULL << (n)) - 1))
#define DMA_MAPPING_ERROR (~(dma_addr_t)0)

enum dma_data_direction {
    DMA_BIDIRECTIONAL = 0,
    DMA_TO_DEVICE     = 1, /* The device reads. */
    DMA_FROM_DEVICE   = 2, /* The device writes. */
    DMA_NONE          = 3,
};

/* Attributes, a bit mask (Documentation/core-api/dma-attributes). */
#define DMA_ATTR_WEAK_ORDERING      (1UL << 1)
#define DMA_ATTR_WRITE_COMBINE      (1UL << 2)
#define DMA_ATTR_NO_KERNEL_MAPPING  (1UL << 4)
#define DMA_ATTR_SKIP_CPU_SYNC      (1UL << 5)
#define DMA_ATTR_FORCE_CONTIGUOUS   (1UL << 6)
#define DMA_ATTR_ALLOC_SINGLE_PAGES (1UL << 7)
#define DMA_ATTR_NO_WARN            (1UL << 8)
#define DMA_ATTR_PRIVILEGED         (1UL << 9)
#define DMA_ATTR_MMIO               (1UL << 10)

/* ---- Devices and pages ----------------------------------------------------------------
 */

struct dma_domain;
struct kernel;

struct device_dma_parameters {
    unsigned int max_segment_size; /* 0: 64 KiB */
    unsigned int min_align_mask;
    unsigned long segment_boundary_mask; /* 0: none */
};

/* What the DMA API knows of a device. kernel_add_device fills it. */
struct device {
    const char *name;
    struct kernel *kernel;
    uint16_t requester; /* Bus, device, function. */
    uint64_t dma_mask_bits, *dma_mask, coherent_dma_mask, bus_dma_limit;
    struct device_dma_parameters dma_parms;
    bool dma_iommu; /* Its DMA goes through a translating domain. */
    bool dac_first; /* 32-bit addresses ran out: it starts with the full mask. */
    bool ats;       /* It asks for translations ahead and keeps them (PCIe ATS). */
    struct dma_domain *domain;
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

int dma_set_mask(struct device *dev, uint64_t mask);
int dma_set_coherent_mask(struct device *dev, uint64_t mask);
int dma_set_mask_and_coherent(struct device *dev, uint64_t mask);
uint64_t dma_get_required_mask(struct device *dev);
void dma_set_max_seg_size(struct device *dev, unsigned int size);
void dma_set_seg_boundary(struct device *dev, unsigned long mask);
void dma_set_min_align_mask(struct device *dev, unsigned int mask);
unsigned int dma_get_max_seg_size(struct device *dev);
unsigned int dma_get_min_align_mask(struct device *dev);
/* Bytes - 1 of the granule up to which mappings can be merged; 0 without an IOMMU. */
unsigned long dma_get_merge_boundary(struct device *dev);
size_t dma_opt_mapping_size(struct device *dev);
size_t dma_max_mapping_size(struct device *dev);
bool dma_need_unmap(struct device *dev);

/* ---- The streaming API -----------------------------------------------------------------
 */

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
struct scatterlist *sg_next(struct scatterlist *sg);
void sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len,
                 unsigned int offset);

static inline struct page *sg_page(const struct scatterlist *sg)
{
    return (struct page *)(uintptr_t)(sg->page_link & ~3UL);
}
static inline phys_addr_t sg_phys(const struct scatterlist *sg)
{
    return page_to_phys(sg_page(sg)) + sg->offset;
}
#define sg_dma_address(sg) ((sg)->dma_address)
#define sg_dma_len(sg)     ((sg)->dma_length)
#define for_each_sg(sgl, sg, nr, i)                                                        \
    for ((i) = 0, (sg) = (sgl); (i) < (nr); (i)++, (sg) = sg_next(sg))

/* The number of mapped segments, 0 on any error. */
unsigned int dma_map_sg_attrs(struct device *dev, struct scatterlist *sgl, int nents,
                              enum dma_data_direction dir, unsigned long attrs);
void dma_unmap_sg_attrs(struct device *dev, struct scatterlist *sgl, int nents,
                        enum dma_data_direction dir, unsigned long attrs);
/* 0, or -EINVAL, -ENOMEM, -EIO, -EREMOTEIO. */
int dma_map_sgtable(struct device *dev, struct sg_table *sgt, enum dma_data_direction dir,
                    unsigned long attrs);
void dma_unmap_sgtable(struct device *dev, struct sg_table *sgt,
                       enum dma_data_direction dir, unsigned long attrs);

#define dma_map_sg(d, s, n, r)   dma_map_sg_attrs(d, s, n, r, 0)
#define dma_unmap_sg(d, s, n, r) dma_unmap_sg_attrs(d, s, n, r, 0)

/* ---- Coherent memory
 * --------------------------------------------------------------------- */

void *dma_alloc_coherent(struct device *dev, size_t size, dma_addr_t *handle, gfp_t gfp);
void dma_free_coherent(struct device *dev, size_t size, void *cpu_addr, dma_addr_t handle);

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
void dma_iova_free(struct device *dev, struct dma_iova_state *state);
/* 0, or -EIO, -EINVAL, -ENOMEM, -EADDRINUSE, -EPERM, -EOPNOTSUPP. */
int dma_iova_link(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                  size_t offset, size_t size, enum dma_data_direction dir,
                  unsigned long attrs);
/* Once after the last link, before the device may use the range. */
int dma_iova_sync(struct device *dev, struct dma_iova_state *state, size_t offset,
                  size_t size);
void dma_iova_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                     size_t size, enum dma_data_direction dir, unsigned long attrs);
/* Unlinks [0, mapped_len) and frees the range. */
void dma_iova_destroy(struct device *dev, struct dma_iova_state *state, size_t mapped_len,
                      enum dma_data_direction dir, unsigned long attrs);

#ifdef __cplusplus
}
#endif

#endif
