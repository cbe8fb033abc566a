/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk-mq-dma - the block layer's iterator over the DMA ranges of a request.
 *
 * The shape of linux/blk-mq-dma.h and block/blk-mq-dma.c (Linux 6.17 to 7.3): where the
 * gaps between the segments allow it and the device has addresses, the whole request is
 * linked into one range by start; else start and next map a segment each.
 *
 *     if (!blk_rq_dma_map_iter_start(rq, dev, &state, &iter))
 *         return iter.status;
 *     do {
 *         (a descriptor for iter.len bytes at iter.addr; what the unmap needs)
 *     } while (blk_rq_dma_map_iter_next(rq, dev, &state, &iter));
 *     if (iter.status != BLK_STS_OK)
 *         (unmap what was mapped)
 */
#ifndef WORKLOADS_BLK_MQ_DMA_H
#define WORKLOADS_BLK_MQ_DMA_H

#include "dma_api/pci-p2pdma.h"

typedef uint8_t blk_status_t;
enum {
    BLK_STS_OK,
    BLK_STS_IOERR,
    BLK_STS_RESOURCE, /* No memory or addresses: to be tried again. */
    BLK_STS_INVAL,    /* Memory that the device cannot reach. */
};

/* A physically contiguous piece of a request, in order. */
struct blk_segment {
    phys_addr_t phys;
    uint32_t bytes;
};

/* What the iterator asks of a request. */
struct blk_dma_request {
    const struct blk_segment *segment;
    uint32_t segments, bytes;
    enum dma_data_direction dir;
    const struct p2pdma_window *peer; /* Of other devices; NULL: none. */
    unsigned peers;
};

struct blk_dma_iter {
    dma_addr_t addr;
    uint32_t len;
    blk_status_t status;
    struct pci_p2pdma_map_state p2pdma; /* Of the first segment, and so of all. */
    uint32_t next;                      /* The segment that comes next. */
};

/* Address bits below which two neighbouring segments do not meet: all from the lowest such
 * bit on, so that the test against a boundary is an AND. 0: there is no gap. */
unsigned long blk_req_gap_mask(const struct blk_segment *segment, uint32_t segments);

/* The first range; false: none, and status says why. state: filled, or zeroed. */
bool blk_rq_dma_map_iter_start(const struct blk_dma_request *req, struct device *dev,
                               struct dma_iova_state *state, struct blk_dma_iter *iter);
/* The next one; false: there is none more (BLK_STS_OK), or it could not be mapped. */
bool blk_rq_dma_map_iter_next(const struct blk_dma_request *req, struct device *dev,
                              struct dma_iova_state *state, struct blk_dma_iter *iter);

/* One range for all of it: nothing else has to be kept to unmap. */
static inline bool blk_rq_dma_map_coalesced(struct dma_iova_state *state)
{
    return dma_use_iova(state);
}

/* False: the driver has to unmap every range that it was given. */
bool blk_rq_dma_unmap(const struct blk_dma_request *req, struct device *dev,
                      struct dma_iova_state *state, size_t mapped_len,
                      enum pci_p2pdma_map_type map);

#endif
