/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_rw.h"

#include "dma_api/kernel.h"

static phys_addr_t bvec_phys(const struct bio_vec *bv)
{
    return page_to_phys(bv->bv_page) + bv->bv_offset;
}

static dma_addr_t map_bvec(struct device *dev, const struct bio_vec *bv,
                           enum dma_data_direction dir)
{
    return dma_map_phys(dev, bvec_phys(bv), bv->bv_len, dir, 0);
}

static int init_single(struct rdma_rw_ctx *ctx, struct device *dev,
                       const struct bio_vec *bv, uint64_t remote_addr,
                       enum dma_data_direction dir)
{
    const dma_addr_t addr = map_bvec(dev, bv, dir);
    if (dma_mapping_error(dev, addr))
        return -ENOMEM;
    ctx->type       = RDMA_RW_SINGLE_WR;
    ctx->nr_ops     = 1;
    ctx->single_sge = (struct ib_sge){ addr, bv->bv_len };
    ctx->single_wr  = (struct ib_rdma_wr){ &ctx->single_sge, 1, remote_addr };
    return 1;
}

/* All of them at one range. -EOPNOTSUPP: the device has none for them. */
static int init_iova(struct rdma_rw_ctx *ctx, struct device *dev,
                     const struct bio_vec *bvecs, unsigned int nr_bvec,
                     uint64_t remote_addr, enum dma_data_direction dir)
{
    size_t total = 0;
    int ret      = 0;
    for (unsigned int i = 0; i < nr_bvec; i++)
        total += bvecs[i].bv_len;
    if (total > UINT32_MAX /* of one entry */
        || !dma_iova_try_alloc(dev, &ctx->state, bvec_phys(&bvecs[0]), total))
        return -EOPNOTSUPP;
    ctx->mapped_len = 0;
    for (unsigned int i = 0; ret == 0 && i < nr_bvec; i++) {
        ret = dma_iova_link(dev, &ctx->state, bvec_phys(&bvecs[i]), ctx->mapped_len,
                            bvecs[i].bv_len, dir, 0);
        if (ret == 0)
            ctx->mapped_len += bvecs[i].bv_len;
    }
    if (ret == 0)
        ret = dma_iova_sync(dev, &ctx->state, 0, ctx->mapped_len);
    if (ret != 0) {
        dma_iova_destroy(dev, &ctx->state, ctx->mapped_len, dir, 0);
        return ret;
    }
    ctx->type       = RDMA_RW_IOVA;
    ctx->nr_ops     = 1;
    ctx->single_sge = (struct ib_sge){ ctx->state.addr, (uint32_t)total };
    ctx->single_wr  = (struct ib_rdma_wr){ &ctx->single_sge, 1, remote_addr };
    return 1;
}

static void unmap_sges(struct rdma_rw_ctx *ctx, struct device *dev, unsigned int count,
                       enum dma_data_direction dir)
{
    for (unsigned int i = 0; i < count; i++)
        dma_unmap_phys(dev, ctx->sges[i].addr, ctx->sges[i].length, dir, 0);
    kernel_host_free(dev->kernel, ctx->sges);
    kernel_host_free(dev->kernel, ctx->wrs);
}

static int init_multi(struct rdma_rw_ctx *ctx, struct device *dev, unsigned int max_sge,
                      const struct bio_vec *bvecs, unsigned int nr_bvec,
                      uint64_t remote_addr, enum dma_data_direction dir)
{
    struct kernel *k = dev->kernel;
    ctx->type        = RDMA_RW_MULTI_WR;
    ctx->nr_ops      = (nr_bvec + max_sge - 1) / max_sge;
    ctx->sges        = kernel_host_alloc(k, nr_bvec, sizeof ctx->sges[0]);
    ctx->wrs         = kernel_host_alloc(k, ctx->nr_ops, sizeof ctx->wrs[0]);
    cpu_spend(cpu_this(), 2 * k->cost.slab_cycles);
    for (unsigned int i = 0; i < nr_bvec; i++) {
        struct ib_rdma_wr *wr = &ctx->wrs[i / max_sge];
        ctx->sges[i] = (struct ib_sge){ map_bvec(dev, &bvecs[i], dir), bvecs[i].bv_len };
        if (dma_mapping_error(dev, ctx->sges[i].addr)) {
            unmap_sges(ctx, dev, i, dir);
            return -ENOMEM;
        }
        if (i % max_sge == 0)
            *wr = (struct ib_rdma_wr){ &ctx->sges[i], 0, remote_addr };
        wr->num_sge++;
        remote_addr += bvecs[i].bv_len;
    }
    return (int)ctx->nr_ops;
}

int rdma_rw_ctx_init_bvec(struct rdma_rw_ctx *ctx, struct device *dev, unsigned int max_sge,
                          const struct bio_vec *bvecs, unsigned int nr_bvec,
                          uint64_t remote_addr, enum dma_data_direction dir)
{
    CHECK(max_sge > 0);
    *ctx = (struct rdma_rw_ctx){ .nr_ops = 0 };
    for (unsigned int i = 0; i < nr_bvec; i++)
        if (bvecs[i].bv_len == 0)
            return -EINVAL;
    if (nr_bvec == 0)
        return -EINVAL;
    if (nr_bvec == 1)
        return init_single(ctx, dev, bvecs, remote_addr, dir);
    const int ret = init_iova(ctx, dev, bvecs, nr_bvec, remote_addr, dir);
    if (ret != -EOPNOTSUPP)
        return ret;
    return init_multi(ctx, dev, max_sge, bvecs, nr_bvec, remote_addr, dir);
}

void rdma_rw_ctx_destroy_bvec(struct rdma_rw_ctx *ctx, struct device *dev,
                              const struct bio_vec *bvecs, unsigned int nr_bvec,
                              enum dma_data_direction dir)
{
    switch (ctx->type) {
    case RDMA_RW_SINGLE_WR:
        dma_unmap_phys(dev, ctx->single_sge.addr, bvecs[0].bv_len, dir, 0);
        break;
    case RDMA_RW_MULTI_WR:
        unmap_sges(ctx, dev, nr_bvec, dir);
        break;
    case RDMA_RW_IOVA:
        dma_iova_destroy(dev, &ctx->state, ctx->mapped_len, dir, 0);
        break;
    }
}
