/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_pool - small blocks of coherent memory for a driver's descriptors (linux/dmapool.h).
 *
 * Pages are taken from dma_alloc_coherent when the free blocks run out and stay mapped
 * until the pool is destroyed.
 */
#ifndef WORKLOADS_DMA_POOL_H
#define WORKLOADS_DMA_POOL_H

#include "dma_api/dma-mapping.h"

struct dma_block {
    void *cpu_addr;
    dma_addr_t dma;
    struct dma_block *next;
};

struct dma_pool_page {
    void *cpu_addr;
    dma_addr_t dma;
    struct dma_pool_page *next;
};

struct dma_pool {
    struct device *dev;
    size_t block_bytes; /* Divides a page. */
    struct dma_block *free;
    struct dma_pool_page *pages;
    uint32_t out; /* Blocks that are handed out. */
};

void dma_pool_init(struct dma_pool *p, struct device *dev, size_t block_bytes);
void dma_pool_destroy(struct dma_pool *p);            /* Every block must have come back. */
struct dma_block *dma_pool_alloc(struct dma_pool *p); /* NULL: no memory */
void dma_pool_free(struct dma_pool *p, struct dma_block *block);

#endif
