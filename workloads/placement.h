/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement - where the memory of requests lies, as seeded models.
 *
 * What an IOMMU sees of a request is how its memory is cut into physically contiguous runs;
 * a block trace seldom knows. Each model is a kind of memory, and gives the segments as the
 * block layer has them: neighbours may touch, when they belong to different folios, which a
 * driver then maps as one.
 *
 * Where the runs of heap and pagecache come from: the DMA events of recorded kernels (7.3,
 * QEMU). heap: 52 thousand runs of fio's buffers of 128 KiB, from malloc, read and written
 * with O_DIRECT (eight recordings of 250 to 400 requests, on a machine that had been busy
 * or not); 93 % of the runs are single pages, but half of the memory of the freshly booted
 * guest came in whole buffers. pagecache: 276 runs of ext4's buffered writes and reads,
 * where large folios make nearly every request one run.
 *
 * Inaccuracies: recorded requests end at 128 KiB, so that no measured run is longer than 32
 * pages; a longer request gets several. Runs follow each other independently.
 */
#ifndef WORKLOADS_PLACEMENT_H
#define WORKLOADS_PLACEMENT_H

#include "sim/base/param.h"
#include "sim/base/rng.h"
#include "workloads/blk-mq-dma.h"

const char *placement_model_member(unsigned index);

/* clang-format off */
#define PLACEMENT_PARAMS(P)                                                                         \
    P(name, model, captured, placement_model_member, 0, ANY, "model",                               \
      "captured: as the trace has it, else page by page; scattered, contiguous: all so; pagecache, heap: as measured; hugepages; unaligned: heap beside page borders", \
      "a choice of the replay; measured: workloads/placement.h")                                    \
    P(u32, folio_kib, 0, 0, 2048, POW2, "KiB", "Memory is cut where these begin before the block layer counts segments; 0: as the model does", \
      "7.3 keeps pages of different folios apart, 6.12 joins neighbours")                           \
    P(u32, buffers,  64, 1, 65536, ANY, "buffers", "That each CPU uses again and again (heap, unaligned)", \
      "fio: one for each request in flight; two jobs of 32")
/* clang-format on */

struct placement_config {
    PLACEMENT_PARAMS(PARAM_FIELD)
};
extern const struct param_table placement_param_table;

/* Placed memory lies above what a recording may name; there are 16 GiB of it. */
#define PLACEMENT_FIRST (UINT64_C(1) << 50)

struct placement_model;
struct placement {
    struct placement_config config;
    const struct placement_model *model;
    struct rng rng;
    uint64_t seed, pages, requests; /* Placed so far. */
};

/* who tells the placements of one run apart (the CPU, say). */
void placement_init(struct placement *p, const struct placement_config *config,
                    uint64_t seed, unsigned who);

/* Whether memory that the trace knows is used as it is. */
bool placement_keeps(const struct placement *p);

/* Segments for so many bytes, above 0; room for segments_max, which are enough for
 * 4 KiB each or else runs are made longer. Returns how many. */
uint32_t placement_place(struct placement *p, uint32_t bytes, struct blk_segment *segment,
                         uint32_t segments_max);

/* Cuts known memory where folios begin, in place, as long as there is room. */
uint32_t placement_cut(const struct placement *p, struct blk_segment *segment,
                       uint32_t segments, uint32_t segments_max);

#endif
