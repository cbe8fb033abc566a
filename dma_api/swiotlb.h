/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swiotlb - bounce buffers: memory that stands in for a buffer that a device may not see.
 *
 * The pool is cut into slots of 2 KiB and segments of 128 slots; a buffer lies within one
 * segment. Areas with a lock each spread the CPUs over the pool: a CPU searches its own
 * first, from where the last search ended, and then the others. Follows
 * kernel/dma/swiotlb.c of Linux 6.12 to 7.3.
 *
 * Inaccuracies: the pool lies above every address of a recorded buffer, so that a device
 * without IOMMU whose mask is too narrow gets an error instead of a bounce buffer. It does
 * not grow (CONFIG_SWIOTLB_DYNAMIC is off), and it exists only while a device is attached
 * that may need it.
 */
#ifndef DMA_API_SWIOTLB_H
#define DMA_API_SWIOTLB_H

#include "dma_api/kernel.h"

enum { SWIOTLB_SLOT_LG2 = 11, SWIOTLB_SEGMENT_SLOTS = 128 };

/* A device that may need bounce buffers comes, and goes again. */
void swiotlb_user_add(struct kernel *k);
void swiotlb_user_remove(struct kernel *k);

/* Where the pool lies; false: there is none. */
bool swiotlb_pool(const struct kernel *k, phys_addr_t *start, uint64_t *bytes);

/* Whether the address is in a bounce buffer. */
bool swiotlb_holds(const struct kernel *k, phys_addr_t phys);

/*
 * A bounce buffer for size bytes at original, with their copy in it; DMA_MAPPING_ERROR: all
 * are in use (a warning, unless DMA_ATTR_NO_WARN). It begins at a multiple of
 * align_mask + 1, apart from the bits of original below it that the device's
 * min_align_mask has.
 */
phys_addr_t swiotlb_map(struct device *dev, phys_addr_t original, size_t size,
                        uint64_t align_mask, unsigned long attrs);

/* Copies back what the device wrote, unless DMA_ATTR_SKIP_CPU_SYNC, and gives the slots
 * back. An address outside of the pool is nothing. */
void swiotlb_unmap(struct device *dev, phys_addr_t phys, size_t size,
                   enum dma_data_direction dir, unsigned long attrs);

/* Copies one way, for the part of the buffer at phys, if the direction has that way. */
void swiotlb_sync_for_cpu(struct device *dev, phys_addr_t phys, size_t size,
                          enum dma_data_direction dir);
void swiotlb_sync_for_device(struct device *dev, phys_addr_t phys, size_t size,
                             enum dma_data_direction dir);

/* Clears memory of a bounce buffer beside the data. */
void swiotlb_clear(struct kernel *k, phys_addr_t phys, size_t size);

/* The most bytes that fit into a buffer for this device. */
size_t swiotlb_max_mapping_size(struct device *dev);

#endif
