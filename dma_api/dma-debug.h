/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-debug - a checker of what drivers ask of the DMA API (linux.dma_debug).
 *
 * In the spirit of kernel/dma/debug.c: it keeps a record of each mapping, piece and range
 * of addresses that is out, holds every call against them, and tells what does not fit,
 * with the place of the call and of the mapping. It costs no simulated time.
 *
 * A call that nothing fits is not carried out. One whose size or count is wrong is carried
 * out with what was mapped, so that the run comes to its end and all findings are seen.
 *
 * The hooks stand in the public functions: those that tell behind the work, those that ask
 * (bool) in front of it. Off, each is one test.
 */
#ifndef DMA_API_DMA_DEBUG_H
#define DMA_API_DMA_DEBUG_H

#include "dma_api/kernel.h"

enum dma_debug_kind {
    DMA_DEBUG_SINGLE,
    DMA_DEBUG_LIST,
    DMA_DEBUG_COHERENT,
    DMA_DEBUG_PAGES,
    DMA_DEBUG_NONCONTIGUOUS,
    DMA_DEBUG_LINK,  /* A piece that is linked. */
    DMA_DEBUG_RANGE, /* Of dma_iova_try_alloc. */
};

struct dma_debug_mapping {
    enum dma_debug_kind kind;
    dma_addr_t addr;
    size_t size;
    enum dma_data_direction dir;
    phys_addr_t phys; /* 0 at an unmap that does not name it. */
    unsigned long attrs;
};

struct dma_debug *dma_debug_new(struct kernel *k);
void dma_debug_free(struct dma_debug *d);

/* The newest finding, "" when there is none. The numbers are in kernel_stats.finding. */
const char *dma_debug_finding(const struct kernel *k);

static inline bool dma_debug_on(const struct device *dev)
{
    return dev->kernel->debug != NULL;
}

/* The device leaves: what it still has mapped is a leak. */
void dma_debug_release(struct device *dev);

void dma_debug_map(struct device *dev, const struct dma_debug_mapping *m);
bool dma_debug_unmap(struct device *dev, struct dma_debug_mapping *m);
void dma_debug_ask_error(struct device *dev, dma_addr_t addr);
void dma_debug_sync(struct device *dev, dma_addr_t addr, size_t size,
                    enum dma_data_direction dir);

void dma_debug_map_sg(struct device *dev, struct scatterlist *sgl, int nents, int mapped,
                      enum dma_data_direction dir, unsigned long attrs);
bool dma_debug_unmap_sg(struct device *dev, struct scatterlist *sgl, int *nents,
                        enum dma_data_direction dir);
void dma_debug_sync_sg(struct device *dev, struct scatterlist *sgl, int nents,
                       enum dma_data_direction dir);

void dma_debug_alloc(struct device *dev, struct dma_iova_state *state);
bool dma_debug_link(struct device *dev, struct dma_iova_state *state, size_t offset,
                    size_t size);
void dma_debug_linked(struct device *dev, struct dma_iova_state *state, size_t offset,
                      size_t size, enum dma_data_direction dir);
void dma_debug_sync_links(struct device *dev, struct dma_iova_state *state, size_t offset,
                          size_t size);
bool dma_debug_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                      size_t size, enum dma_data_direction dir);
bool dma_debug_free_range(struct device *dev, struct dma_iova_state *state);
bool dma_debug_destroy(struct device *dev, struct dma_iova_state *state, size_t *mapped_len,
                       enum dma_data_direction dir);

#endif
