/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-watch - who looks on at the calls of the DMA API, in the order in which they are
 * made.
 *
 * Each call that succeeded is told, on the CPU that made it, behind the work of a call that
 * maps and in front of that of one that unmaps. A watcher must not change anything.
 */
#ifndef DMA_API_DMA_WATCH_H
#define DMA_API_DMA_WATCH_H

#include "dma_api/kernel.h"

enum dma_watch_kind {
    DMA_WATCH_MAP, /* dma_map_phys and its shapes */
    DMA_WATCH_UNMAP,
    DMA_WATCH_MAP_SG, /* sgl and nents as mapped, mapped: elements with addresses */
    DMA_WATCH_UNMAP_SG,
    DMA_WATCH_TRY_ALLOC, /* dma_iova_try_alloc; addr 0: there were no addresses */
    DMA_WATCH_LINK,      /* addr: of the piece */
    DMA_WATCH_UNLINK,
    DMA_WATCH_DESTROY,  /* dma_iova_destroy, and dma_iova_free with size 0 */
    DMA_WATCH_COHERENT, /* dma_alloc_attrs */
};

struct dma_watched {
    enum dma_watch_kind kind;
    dma_addr_t addr;
    phys_addr_t phys;
    size_t size;
    const struct scatterlist *sgl;
    int nents, mapped;
};

struct dma_watcher {
    void (*called)(void *self, const struct device *dev, const struct dma_watched *call);
    void *self;
};

static inline void dma_watch(const struct device *dev, enum dma_watch_kind kind,
                             dma_addr_t addr, size_t size, phys_addr_t phys)
{
    const struct dma_watcher *w = dev->kernel->watcher;
    if (w == NULL)
        return;
    const struct dma_watched call = { .kind   = kind,
                                      .addr   = addr,
                                      .phys   = phys,
                                      .size   = size,
                                      .sgl    = NULL,
                                      .nents  = 0,
                                      .mapped = 0 };
    w->called(w->self, dev, &call);
}

static inline void dma_watch_sg(const struct device *dev, enum dma_watch_kind kind,
                                const struct scatterlist *sgl, int nents, int mapped)
{
    const struct dma_watcher *w = dev->kernel->watcher;
    if (w == NULL)
        return;
    const struct dma_watched call = { .kind   = kind,
                                      .addr   = sgl->dma_address,
                                      .phys   = 0,
                                      .size   = 0,
                                      .sgl    = sgl,
                                      .nents  = nents,
                                      .mapped = mapped };
    w->called(w->self, dev, &call);
}

#endif
