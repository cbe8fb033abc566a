/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-bounce - which mappings behind an IOMMU go through bounce buffers, and how.
 *
 * An untrusted device must not see what lies beside a buffer in its first and last granule;
 * one that is not coherent must not share a cache line with the CPU. Follows
 * drivers/iommu/dma-iommu.c and include/linux/dma-map-ops.h of Linux 6.18 to 7.3.
 */
#ifndef DMA_API_DMA_BOUNCE_H
#define DMA_API_DMA_BOUNCE_H

#include "dma_api/dma-iommu.h"
#include "dma_api/swiotlb.h"

/* What both sides use at once. It does not go through a policy's bounce buffers, but is
 * mapped like what does not fit into them; where the machine has to bounce, it fails. */
#define DMA_ATTRS_IN_PLACE (DMA_ATTR_MMIO | DMA_ATTR_REQUIRE_COHERENT)

/* Whether the device's mappings bounce where they are not aligned. */
bool dma_may_bounce(const struct device *dev, size_t size, enum dma_data_direction dir);
bool dma_must_bounce(const struct device *dev, phys_addr_t phys, size_t size,
                     enum dma_data_direction dir, unsigned long attrs);

/* A bounce buffer for all of it; an untrusted device sees zeroes beside the data.
 * DMA_MAPPING_ERROR after a one-time warning: there is no pool, or it is full. */
phys_addr_t dma_bounce_map(struct device *dev, phys_addr_t phys, size_t size,
                           unsigned long attrs);

/* dma_iova_link of a range that bounces: its first and last granule where they are partly
 * used, never what is between. Leaves nothing linked on error. */
int dma_bounce_link(struct device *dev, struct dma_iova_state *state, phys_addr_t phys,
                    size_t offset, size_t size, enum dma_data_direction dir,
                    unsigned long attrs);

/* What dma_iova_unlink does before it clears the entries. */
void dma_bounce_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                       size_t size, enum dma_data_direction dir, unsigned long attrs);

/* A list whose elements are mapped one by one: nents, or -EIO with nothing mapped. */
bool dma_sg_may_bounce(const struct device *dev, struct scatterlist *sgl, int nents,
                       enum dma_data_direction dir);
int dma_bounce_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
                      enum dma_data_direction dir, unsigned long attrs);
void dma_bounce_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents,
                         enum dma_data_direction dir, unsigned long attrs);

#endif
