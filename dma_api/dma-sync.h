/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-sync - whose a mapped buffer is at the moment: cache maintenance for devices that are
 * not coherent.
 *
 * Inaccuracies: simulated memory has one content, so that a device which is not coherent
 * never sees an old one; only the time of the maintenance and of the misses after it is
 * there.
 */
#ifndef DMA_API_DMA_SYNC_H
#define DMA_API_DMA_SYNC_H

#include "dma_api/kernel.h"

/* Nothing for a coherent device. Before the device uses memory, and before the CPU does. */
void dma_cache_for_device(struct device *dev, phys_addr_t phys, size_t size);
void dma_cache_for_cpu(struct device *dev, phys_addr_t phys, size_t size,
                       enum dma_data_direction dir);
/* Waits until the maintenance before it is done. */
void dma_cache_barrier(struct device *dev);

/* Whether dma_sync_* are skipped as a whole: coherent, and never yet bounced. */
static inline bool dma_skips_sync(const struct device *dev)
{
    return !dev->noncoherent && !dev->bounced;
}

#endif
