/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bouncepool - bounce buffers that are mapped once and for good.
 *
 * The slots of swiotlb.h, all mapped at one run of addresses from their first use on: a
 * mapping is a copy, an unmap is a copy back, and nothing is ever invalidated.
 */
#ifndef DMA_API_BOUNCEPOOL_H
#define DMA_API_BOUNCEPOOL_H

#include "dma_api/flush.h"
#include "sim/base/lock.h"

struct bouncepool {
    struct dma_domain *domain;
    struct lock lock;
    dma_addr_t iova; /* Of the first slot; 0: not mapped yet. */
    phys_addr_t start;
    uint64_t bytes;
};

/* The most bytes that always fit into a run of slots, wherever a buffer begins in its page.
 */
enum { BOUNCEPOOL_BUFFER_MAX = 252 << 10 };

void bouncepool_init(struct bouncepool *p, struct dma_domain *d);
void bouncepool_free(struct bouncepool *p);

/* The address of memory in a slot; 0: it is in none, or the pool cannot be mapped. */
dma_addr_t bouncepool_map(struct bouncepool *p, const struct flush_mapping *m);
bool bouncepool_owns(const struct bouncepool *p, dma_addr_t iova);

#endif
