/* SPDX-License-Identifier: Apache-2.0 */
/* dma-iommu - the DMA API's calls for a device behind a translating domain. */
#ifndef DMA_API_DMA_IOMMU_H
#define DMA_API_DMA_IOMMU_H

#include "dma_api/domain.h"

/* Every public call goes through these: its price, and the account of its phase. */
struct dma_call {
    enum cpu_phase phase;
    enum cpu_owner owner;
};
struct dma_call dma_call_enter(struct kernel *k, enum cpu_phase phase);
void dma_call_leave(struct dma_call call);

/* Addresses for so many bytes, not above mask; 0 when there are none. */
dma_addr_t dma_iova_get(struct device *dev, uint64_t bytes, uint64_t mask);

/* Maps at addresses that are reserved, whole granules around; errno as dma_iova_link. */
int iommu_dma_link(struct device *dev, dma_addr_t addr, phys_addr_t phys, size_t size,
                   enum dma_data_direction dir, unsigned long attrs);
void iommu_dma_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                      size_t size, enum dma_data_direction dir, unsigned long attrs);

/* What the tables have at addr; 0: nothing. */
phys_addr_t iommu_dma_lookup(struct dma_domain *d, dma_addr_t addr);

/* Clears the range's entries; the flush policy sees to caches and addresses. */
void dma_range_unmap(struct dma_domain *d, dma_addr_t addr, size_t size);

dma_addr_t iommu_dma_map_phys(struct device *dev, phys_addr_t phys, size_t size,
                              enum dma_data_direction dir, unsigned long attrs);
void iommu_dma_unmap_phys(struct device *dev, dma_addr_t addr, size_t size,
                          enum dma_data_direction dir, unsigned long attrs);
/* Of a list's element: marks it when it is reached by bus address, which is filled in then;
 * adds DMA_ATTR_MMIO when it is another device's behind the host bridge. 0 or -EREMOTEIO.
 */
int dma_sg_peer(struct device *dev, struct scatterlist *sg, unsigned long *attrs);
static inline bool dma_sg_by_bus(const struct scatterlist *sg)
{
    return sg->dma_flags & SG_DMA_BUS_ADDRESS;
}
/* The number of output segments, or a negative errno: -ENOMEM, -EINVAL, -EREMOTEIO. */
int iommu_dma_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
                     enum dma_data_direction dir, unsigned long attrs);
void iommu_dma_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents,
                        enum dma_data_direction dir, unsigned long attrs);
void *iommu_dma_alloc(struct device *dev, size_t size, dma_addr_t *handle);
void iommu_dma_free(struct device *dev, size_t size, void *cpu_addr, dma_addr_t handle);

#endif
