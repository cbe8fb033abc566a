/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_umem - a process's memory, mapped for an RDMA NIC.
 *
 * Pinned: all pages at once, as drivers/infiniband/core/umem.c does, through one of the
 * ways of blk_dma.h: one dma_map_sgtable over the pinned pages (what Linux does),
 * dma_map_phys for each run of them, or one range of the IOVA API. On demand: page by page,
 * as umem_odp.c does with the helpers of hmm_dma.h where the API is iova, with dma_map_phys
 * elsewhere.
 */
#ifndef WORKLOADS_RDMA_UMEM_H
#define WORKLOADS_RDMA_UMEM_H

#include "sim/base/param.h"
#include "workloads/blk_dma.h"
#include "workloads/hmm_dma.h"

/* clang-format off */
#define UMEM_PARAMS(P)                                                                              \
    P(u32, pin_cycles,        90, 0, 100000, ANY, "cycles", "Pinning one page, and letting it go",  \
      "pin_user_pages_fast and unpin_user_page: about 30 ns a page in all on server cores")         \
    P(u32, fault_cycles,     300, 0, 100000, ANY, "cycles", "hmm_range_fault of one page that is there", \
      "walk of the process's tables and the notifier's sequence: about 100 ns")                     \
    P(u32, segment_cycles,    25, 0, 100000, ANY, "cycles", "One run of pages put into a list",     \
      "as blk.segment_cycles")                                                                      \
    P(u32, page_lg2_max,      31, 12,    40, ANY, "lg2",    "Largest page of a region that the NIC takes", \
      "mlx5: 2^31 bytes")
/* clang-format on */

struct umem_config {
    UMEM_PARAMS(PARAM_FIELD)
};
extern const struct param_table umem_param_table;

/* A process's address space, as far as anybody wants to know: which frame a page is. */
struct umem_space {
    phys_addr_t (*page)(void *self, uint64_t address);
    void *self;
};

struct rdma_umem {
    struct device *dev;
    const struct umem_config *config;
    enum blk_api api;
    uint64_t first; /* Of the first page. */
    uint64_t pages;
    bool on_demand;
    /* Pinned: */
    enum blk_kind kind;
    struct dma_iova_state state;
    struct scatterlist *sgl;
    uint32_t segments, ranges;
    struct blk_range *range; /* What the NIC sees, in order of addresses. */
    /* On demand: */
    struct hmm_dma_map hmm;
    dma_addr_t *page_address; /* Where there is no hmm map; DMA_MAPPING_ERROR: none. */
};

/* Maps the pages that address .. address + bytes - 1 lie in. 0, -ENOMEM or -EIO. pinned:
 * they are a user's; else the kernel's, which need not be pinned. */
int rdma_umem_map(struct rdma_umem *u, struct device *dev, const struct umem_config *config,
                  enum blk_api api, const struct umem_space *space, uint64_t address,
                  uint64_t bytes, bool pinned);
void rdma_umem_unmap(struct rdma_umem *u, bool pinned);

/* The largest pages that the NIC may see a pinned region at address in: their lg2. */
unsigned rdma_umem_page_lg2(const struct rdma_umem *u, uint64_t address, uint64_t bytes);

/* Calls put for each of these pages with its DMA address, in order. */
void rdma_umem_pages(const struct rdma_umem *u, unsigned page_lg2,
                     void (*put)(void *self, uint64_t index, dma_addr_t addr), void *self);

/* On demand: nothing is mapped at first. 0; -EOPNOTSUPP when the device has to sync. */
int rdma_umem_reserve(struct rdma_umem *u, struct device *dev,
                      const struct umem_config *config, enum blk_api api, uint64_t address,
                      uint64_t bytes);
bool rdma_umem_has(const struct rdma_umem *u, uint64_t index); /* Whether it is mapped. */
/* A page that is not mapped, or is (its address as before); DMA_MAPPING_ERROR. */
dma_addr_t rdma_umem_fault(struct rdma_umem *u, uint64_t index, phys_addr_t phys);
/* The page goes; false: it was not mapped. */
bool rdma_umem_drop(struct rdma_umem *u, uint64_t index);
void rdma_umem_release(struct rdma_umem *u); /* All pages have been dropped. */

#endif
