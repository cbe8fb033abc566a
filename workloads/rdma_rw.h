/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_rw - an RDMA READ or WRITE of several pieces of memory, and its mapping.
 *
 * The shape of rdma_rw_ctx_init_bvec (drivers/infiniband/core/rw.c, Linux 7.0 and later):
 * several bvecs become one range of addresses and one work request where the IOVA API has
 * one, else as many scatter entries as there are bvecs.
 */
#ifndef WORKLOADS_RDMA_RW_H
#define WORKLOADS_RDMA_RW_H

#include "dma_api/dma-mapping.h"

struct bio_vec {
    struct page *bv_page;
    unsigned int bv_len, bv_offset;
};

struct ib_sge {
    dma_addr_t addr;
    uint32_t length;
};

/* One work request: its scatter entries, and where the peer's part of it begins. */
struct ib_rdma_wr {
    struct ib_sge *sg_list;
    unsigned int num_sge;
    uint64_t remote_addr;
};

enum rdma_rw_type { RDMA_RW_SINGLE_WR, RDMA_RW_MULTI_WR, RDMA_RW_IOVA };

struct rdma_rw_ctx {
    enum rdma_rw_type type;
    unsigned int nr_ops; /* Work requests. */
    struct dma_iova_state state;
    size_t mapped_len; /* IOVA */
    struct ib_sge single_sge, *sges;
    struct ib_rdma_wr single_wr, *wrs;
};

/*
 * max_sge: scatter entries in one work request, at least 1. The number of work requests, or
 * -EINVAL (no bvecs, or one without bytes), -ENOMEM, or what dma_iova_link returned: -EIO
 * when a bvec but the first begins inside a granule. Nothing stays mapped then.
 */
int rdma_rw_ctx_init_bvec(struct rdma_rw_ctx *ctx, struct device *dev, unsigned int max_sge,
                          const struct bio_vec *bvecs, unsigned int nr_bvec,
                          uint64_t remote_addr, enum dma_data_direction dir);
void rdma_rw_ctx_destroy_bvec(struct rdma_rw_ctx *ctx, struct device *dev,
                              const struct bio_vec *bvecs, unsigned int nr_bvec,
                              enum dma_data_direction dir);

#endif
