/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk_dma - mapping the memory of one block request: which API, and what is kept to unmap.
 *
 * The three ways in which Linux drivers have done it. iova: the block layer's iterator
 * (blk_rq_dma_map_iter_*), which coalesces the request into one range of addresses where
 * the gaps allow it. streaming: one dma_map_phys for each physical segment. sg: one
 * dma_map_sgtable over a scatter list, as before 6.17. A request of one segment takes the
 * plain single map in all three, as the NVMe driver does, unless the driver says that it
 * could not describe that to its device.
 *
 * Follows block/blk-mq-dma.c and drivers/nvme/host/pci.c of Linux 6.12 to 7.3.
 */
#ifndef WORKLOADS_BLK_DMA_H
#define WORKLOADS_BLK_DMA_H

#include "sim/base/param.h"
#include "workloads/blk-mq-dma.h"

/* clang-format off */
#define BLK_APIS(A)                                                                       \
    A(iova,      "IOVA API: try_alloc, link, sync, destroy")                              \
    A(streaming, "Streaming API: dma_map_phys for each segment")                          \
    A(sg,        "Streaming API: dma_map_sgtable over a scatter list")

/* Prices of driver code around the DMA API; see also driver.* in nvme_driver.h. */
#define BLK_PARAMS(P)                                                                               \
    P(u32, segment_cycles,     25, 0, 100000, ANY, "cycles", "Finding the next physical segment of a request", \
      "bvec iteration and contiguity test: about 60 instructions")                                  \
    P(u32, scatterlist_cycles, 15, 0, 100000, ANY, "cycles", "Filling in one scatter list entry",   \
      "32 bytes written: about 30 instructions")                                                    \
    P(u32, sg_alloc_cycles,   120, 0, 100000, ANY, "cycles", "Getting and returning a scatter list", \
      "mempool and slab, both ways")                                                                \
    P(u32, vec_cycles,         10, 0, 100000, ANY, "cycles", "Keeping one address and length to unmap", \
      "16 bytes written")                                                                           \
    P(u32, buffer_cycles,      30, 0, 100000, ANY, "cycles", "Finding a premapped buffer and keeping it from going away, beside its addresses' lines", \
      "a percpu reference taken and given back: about 80 instructions")                             \
    P(u32, bio_kib,             0, 0,   8192, POW2, "KiB",   "Bios that a request was merged from: each has a metadata buffer of its own; 0: one", \
      "a choice of the workload; one task's buffered or large direct I/O: 1 MiB")
/* clang-format on */

#define BLK_API(name, text) BLK_##name,
enum blk_api { BLK_APIS(BLK_API) BLK_API_COUNT };
extern const char *const blk_api_name[BLK_API_COUNT], *const blk_api_text[BLK_API_COUNT];

struct blk_config {
    BLK_PARAMS(PARAM_FIELD)
};
extern const struct param_table blk_param_table;

enum { BLK_SEGMENTS_MAX = 2048 };

/* What the device is given: a range of DMA addresses. */
struct blk_range {
    dma_addr_t addr;
    uint32_t bytes;
};

/* How a request was mapped; kept until it is unmapped. */
enum blk_kind {
    BLK_UNMAPPED,
    BLK_SINGLE,
    BLK_COALESCED,
    BLK_PIECES,
    BLK_LIST,
    BLK_PREMAPPED, /* Part of a mapping that stays. */
};

struct blk_mapping {
    enum blk_kind kind;
    enum dma_data_direction dir;
    bool must_unmap; /* The device's addresses are not physical ones. */
    bool general;    /* Set by the driver: no plain single map, also of one segment. */
    uint32_t bytes, ranges;
    struct dma_iova_state state; /* COALESCED */
    struct blk_range *range;     /* What the device sees: room for as many as segments. */
    struct scatterlist *sgl;     /* LIST: room for as many as segments. */
    struct blk_segment *run;     /* Likewise; NULL: neighbours that touch stay apart. */
    uint32_t segments;
};

/* True when two neighbouring segments do not meet at multiples of granule_mask + 1. */
bool blk_has_gap(const struct blk_segment *segment, uint32_t segments,
                 unsigned long granule_mask);

/* Neighbours that touch are mapped as one, but counted as they are: only a request of one
 * segment takes the plain single map. 0, or -ENOMEM when there is no room and the request
 * has to be tried again, or -EIO. */
int blk_map(struct device *dev, const struct blk_config *config, enum blk_api api,
            const struct blk_segment *segment, uint32_t segments,
            enum dma_data_direction dir, struct blk_mapping *m);
void blk_unmap(struct device *dev, struct blk_mapping *m);

/*
 * A part of what whole has mapped, bytes from offset on, as a mapping of its own: there is
 * nothing to map and nothing to unmap, only to hand over where the device is not coherent
 * or memory is bounced. dir: of this use. m has room for as many ranges as the part has
 * segments.
 */
void blk_borrow(struct device *dev, const struct blk_config *config,
                const struct blk_mapping *whole, uint32_t offset, uint32_t bytes,
                uint32_t segments, enum dma_data_direction dir, struct blk_mapping *m);

/* Bytes that the driver keeps until the unmap, beside what the device reads. */
uint32_t blk_address_bytes(const struct blk_mapping *m);

#endif
