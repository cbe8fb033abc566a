/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/rdma_rw.h"

#include "sim/test/failing.h"
#include "sim/test/shim.h"

#define MEM    UINT64_C(0x40000000)
#define REMOTE UINT64_C(0x7000)
enum { BVECS = 9, SGES = 4 };

static void run(enum kernel_rig_hardware hardware, const char *release, const char *policy,
                kernel_program *body)
{
    struct kernel_rig *r      = kernel_rig_new(hardware);
    r->linux_config.release   = release;
    r->linux_config.dma_debug = 1;
    kernel_rig_policy(r, policy);
    kernel_rig_run(r, body, NULL);
    EXPECT_EQUAL(r->kernel.stats.finding, 0);
    kernel_rig_free(r);
}

/* Pages apart from each other; the first begins and the last ends inside its page. */
static void fill(struct bio_vec *bv)
{
    for (unsigned i = 0; i < BVECS; i++)
        bv[i] = (struct bio_vec){ phys_to_page(MEM + 3 * i * PAGE_SIZE), PAGE_SIZE, 0 };
    bv[0].bv_offset = 512;
    bv[0].bv_len -= 512;
    bv[BVECS - 1].bv_len = 100;
}

/* The device's way through the work requests meets every byte of the bvecs in order. */
static void expect_same_bytes(struct kernel_rig *r, const struct ib_rdma_wr *wrs,
                              unsigned count, const struct bio_vec *bv, unsigned bvecs)
{
    uint64_t remote = REMOTE;
    unsigned b = 0, inside = 0;
    for (unsigned w = 0; w < count; w++) {
        EXPECT_EQUAL(wrs[w].remote_addr, remote);
        for (unsigned s = 0; s < wrs[w].num_sge; s++)
            for (uint32_t at = 0; at < wrs[w].sg_list[s].length; at++, remote++) {
                const dma_addr_t addr = wrs[w].sg_list[s].addr + at;
                uint64_t pa           = addr;
                REQUIRE(b < bvecs);
                if (r->domain != NULL)
                    REQUIRE(kernel_rig_lookup(r, &r->domain->table, addr, &pa) != 0);
                REQUIRE(pa == page_to_phys(bv[b].bv_page) + bv[b].bv_offset + inside);
                if (++inside == bv[b].bv_len) {
                    inside = 0;
                    b++;
                }
            }
    }
    EXPECT_EQUAL(b, bvecs);
}

static void transfers(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct bio_vec bv[BVECS];
    struct rdma_rw_ctx ctx;
    (void)state;
    fill(bv);
    const bool range   = r->domain != NULL && r->kernel.release >= LINUX_6_18;
    const unsigned ops = range ? 1 : (BVECS + SGES - 1) / SGES;
    EXPECT_EQUAL(rdma_rw_ctx_init_bvec(&ctx, dev, SGES, bv, BVECS, REMOTE, DMA_FROM_DEVICE),
                 ops);
    EXPECT_EQUAL(ctx.nr_ops, ops);
    EXPECT_EQUAL(ctx.type, range ? RDMA_RW_IOVA : RDMA_RW_MULTI_WR);
    expect_same_bytes(r, range ? &ctx.single_wr : ctx.wrs, ops, bv, BVECS);
    rdma_rw_ctx_destroy_bvec(&ctx, dev, bv, BVECS, DMA_FROM_DEVICE);
    EXPECT_EQUAL(rdma_rw_ctx_init_bvec(&ctx, dev, SGES, bv, 1, REMOTE, DMA_TO_DEVICE), 1);
    EXPECT_EQUAL(ctx.type, RDMA_RW_SINGLE_WR);
    expect_same_bytes(r, &ctx.single_wr, 1, bv, 1);
    rdma_rw_ctx_destroy_bvec(&ctx, dev, bv, 1, DMA_TO_DEVICE);
    EXPECT_EQUAL(rdma_rw_ctx_init_bvec(&ctx, dev, SGES, bv, 0, REMOTE, DMA_TO_DEVICE),
                 -EINVAL);
    bv[3].bv_len = 0;
    EXPECT_EQUAL(rdma_rw_ctx_init_bvec(&ctx, dev, SGES, bv, BVECS, REMOTE, DMA_TO_DEVICE),
                 -EINVAL);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(rdma_rw, several_bvecs_are_one_request_where_there_is_a_range_for_them)
{
    run(RIG_FAKE, "7.3", "strict", transfers);
    run(RIG_FAKE, "6.12", "lazy", transfers);
    run(RIG_VTD, "7.3", "lazy", transfers);
    run(RIG_DIRECT, "7.3", "strict", transfers);
}

/* O(n) invalidations without a range, one with it. */
static void counts(struct kernel_rig *r, void *state)
{
    const unsigned flushes = r->kernel.release < LINUX_6_18 ? BVECS : 1;
    struct bio_vec bv[BVECS];
    struct rdma_rw_ctx ctx;
    (void)state;
    fill(bv);
    const unsigned from = r->events;
    EXPECT(rdma_rw_ctx_init_bvec(&ctx, &r->device, SGES, bv, BVECS, REMOTE, DMA_TO_DEVICE)
           > 0);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_MAP_SYNC, from), flushes);
    rdma_rw_ctx_destroy_bvec(&ctx, &r->device, bv, BVECS, DMA_TO_DEVICE);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), flushes);
}

TEST_CASE(rdma_rw, a_range_takes_one_sync_and_one_invalidation_for_all_bvecs)
{
    run(RIG_FAKE, "7.3", "strict", counts);
    run(RIG_FAKE, "6.12", "strict", counts);
}

/* A bvec in the middle that begins inside its page: an error, not a reason to fall back. */
static void unaligned(struct kernel_rig *r, void *state)
{
    const bool range = r->kernel.release >= LINUX_6_18;
    struct bio_vec bv[BVECS];
    struct rdma_rw_ctx ctx;
    (void)state;
    fill(bv);
    bv[4].bv_offset = 64;
    bv[4].bv_len    = 128;
    const int ret =
        rdma_rw_ctx_init_bvec(&ctx, &r->device, SGES, bv, BVECS, REMOTE, DMA_TO_DEVICE);
    EXPECT_EQUAL(ret, range ? -EIO : 3);
    EXPECT_EQUAL(r->kernel.stats.warning, range);
    if (ret > 0) {
        expect_same_bytes(r, ctx.wrs, ctx.nr_ops, bv, BVECS);
        rdma_rw_ctx_destroy_bvec(&ctx, &r->device, bv, BVECS, DMA_TO_DEVICE);
    }
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

TEST_CASE(rdma_rw, a_bvec_that_begins_inside_a_page_fails_the_transfer_with_eio)
{
    run(RIG_FAKE, "7.3", "strict", unaligned);
    run(RIG_FAKE, "6.12", "strict", unaligned);
}

static void unwinds(struct kernel_rig *r, void *state)
{
    struct bio_vec bv[BVECS];
    struct rdma_rw_ctx ctx;
    struct failing *f = state;
    fill(bv);
    kernel_rig_fail_at(r, f->nth);
    const int ret =
        rdma_rw_ctx_init_bvec(&ctx, &r->device, SGES, bv, BVECS, REMOTE, DMA_TO_DEVICE);
    EXPECT(ret > 0 || ret == -ENOMEM);
    f->failures += ret < 0;
    if (ret > 0)
        rdma_rw_ctx_destroy_bvec(&ctx, &r->device, bv, BVECS, DMA_TO_DEVICE);
    f->reached = kernel_rig_failed(r);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

TEST_CASE(rdma_rw, every_failed_allocation_leaves_nothing_mapped)
{
    EXPECT(failing_each("7.3", "strict", unwinds) > 0);
    EXPECT(failing_each("6.12", "strict", unwinds) > 0);
    EXPECT(failing_each("6.12", "lazy", unwinds) > 0);
}
