/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/blk-mq-dma.h"

#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

#define MEM UINT64_C(0x40000000)
enum { SEGMENTS = 8 };

static void run(enum kernel_rig_hardware hardware, const char *release,
                kernel_program *body)
{
    struct kernel_rig *r      = kernel_rig_new(hardware);
    r->linux_config.release   = release;
    r->linux_config.dma_debug = 1;
    kernel_rig_run(r, body, NULL);
    EXPECT_EQUAL(r->kernel.stats.finding, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    kernel_rig_free(r);
}

/* Pages apart; the first begins and the last ends inside its page. gap: also the third. */
static struct blk_dma_request fill(struct blk_segment *segment, phys_addr_t at, bool gap)
{
    struct blk_dma_request req = { segment, SEGMENTS, 0, DMA_FROM_DEVICE, NULL, 0 };
    for (uint32_t i = 0; i < SEGMENTS; i++)
        segment[i] = (struct blk_segment){ at + 2 * i * PAGE_SIZE, PAGE_SIZE };
    segment[0].phys += 512;
    segment[0].bytes -= 512;
    segment[SEGMENTS - 1].bytes = 1024;
    if (gap)
        segment[3].bytes -= 512;
    for (uint32_t i = 0; i < SEGMENTS; i++)
        req.bytes += segment[i].bytes;
    return req;
}

/* Every byte of the range is where the request's bytes from *at on are. */
static void expect_range(struct kernel_rig *r, const struct blk_dma_request *req,
                         uint32_t *at, dma_addr_t addr, uint32_t len)
{
    for (uint32_t end = *at + len; *at < end; (*at)++, addr++) {
        uint32_t inside = *at, i = 0;
        uint64_t pa = addr;
        while (inside >= req->segment[i].bytes)
            inside -= req->segment[i++].bytes;
        if (r->domain != NULL)
            REQUIRE(kernel_rig_lookup(r, &r->domain->table, addr, &pa) == PT_WRITE);
        REQUIRE(pa == req->segment[i].phys + inside);
    }
}

static void maps(struct kernel_rig *r, bool gap)
{
    const bool one     = !gap && r->domain != NULL && r->kernel.release >= LINUX_6_18;
    struct device *dev = &r->device;
    struct blk_segment segment[SEGMENTS];
    const struct blk_dma_request req = fill(segment, MEM, gap);
    struct dma_iova_state state      = { 1, 1 };
    dma_addr_t addr[SEGMENTS];
    uint32_t len[SEGMENTS], ranges = 0, at = 0;
    struct blk_dma_iter iter;
    REQUIRE(blk_rq_dma_map_iter_start(&req, dev, &state, &iter));
    do {
        addr[ranges]  = iter.addr;
        len[ranges++] = iter.len;
        expect_range(r, &req, &at, iter.addr, iter.len);
    } while (ranges < SEGMENTS && blk_rq_dma_map_iter_next(&req, dev, &state, &iter));
    EXPECT(!blk_rq_dma_map_iter_next(&req, dev, &state, &iter));
    EXPECT_EQUAL(iter.status, BLK_STS_OK);
    EXPECT_EQUAL(at, req.bytes);
    EXPECT_EQUAL(ranges, one ? 1 : SEGMENTS);
    EXPECT_EQUAL(blk_rq_dma_map_coalesced(&state), one);
    const bool done = blk_rq_dma_unmap(&req, dev, &state, req.bytes, iter.p2pdma.map);
    EXPECT_EQUAL(done, one || !dma_need_unmap(dev));
    for (uint32_t i = 0; !done && i < ranges; i++)
        dma_unmap_phys(dev, addr[i], len[i], req.dir, 0);
}

static void maps_both(struct kernel_rig *r, void *state)
{
    (void)state;
    maps(r, false);
    maps(r, true);
}

TEST_CASE(blk_mq_dma, a_request_is_one_range_without_gaps_and_its_segments_otherwise)
{
    run(RIG_FAKE, "7.3", maps_both);
    run(RIG_FAKE, "6.18", maps_both);
    run(RIG_FAKE, "6.12", maps_both);
    run(RIG_VTD, "7.3", maps_both);
    run(RIG_DIRECT, "7.3", maps_both);
}

/* Held against one pair of neighbours and one address bit at a time. */
TEST_CASE(blk_mq_dma, the_gap_mask_begins_at_the_lowest_bit_at_which_segments_do_not_meet)
{
    struct rng rng = rng_make(5, "gap mask");
    for (unsigned round = 0; round < 3000; round++) {
        struct blk_segment s[4];
        const uint32_t count = 1 + rng_below(&rng, 4), lg2 = 1 + rng_below(&rng, 16);
        unsigned lowest = 64;
        for (uint32_t i = 0; i < count; i++)
            s[i] = (struct blk_segment){ (phys_addr_t)rng_below(&rng, 1U << 15) << lg2,
                                         (1 + rng_below(&rng, 1U << 8)) << lg2 };
        for (uint32_t i = 0; i + 1 < count; i++)
            for (unsigned bit = 0; bit < lowest; bit++)
                if (((s[i].phys + s[i].bytes) >> bit & 1) || (s[i + 1].phys >> bit & 1))
                    lowest = bit;
        const unsigned long mask = lowest == 64 ? 0 : ~0UL << lowest;
        EXPECT_EQUAL(blk_req_gap_mask(s, count), mask);
    }
}

static void peers(struct kernel_rig *r, void *state)
{
    static const struct p2pdma_window window[] = {
        { 0xd0000000, 0xd00fffff, PCI_P2PDMA_MAP_BUS_ADDR, 0x1000000000 },
        { 0xd0100000, 0xd01fffff, PCI_P2PDMA_MAP_THRU_HOST_BRIDGE, 0 },
        { 0xd0200000, 0xd02fffff, PCI_P2PDMA_MAP_NOT_SUPPORTED, 0 },
    };
    struct device *dev = &r->device;
    struct blk_segment segment[SEGMENTS];
    struct dma_iova_state iova;
    struct blk_dma_iter iter;
    uint32_t ranges = 1, at = 0;
    (void)state;
    struct blk_dma_request req = fill(segment, 0xd0000000, false);
    const uint64_t mapped      = r->kernel.stats.page_mapped;
    req.peer                   = window;
    req.peers                  = 3;
    EXPECT(blk_rq_dma_map_iter_start(&req, dev, &iova, &iter));
    EXPECT_EQUAL(iter.addr, 0x10d0000200);
    for (; blk_rq_dma_map_iter_next(&req, dev, &iova, &iter); ranges++)
        EXPECT_EQUAL(iter.addr, segment[ranges].phys + 0x1000000000);
    EXPECT_EQUAL(ranges, SEGMENTS);
    EXPECT(blk_rq_dma_unmap(&req, dev, &iova, req.bytes, iter.p2pdma.map));
    EXPECT_EQUAL(r->kernel.stats.page_mapped, mapped);

    req       = fill(segment, 0xd0100000, false);
    req.peer  = window;
    req.peers = 3;
    EXPECT(blk_rq_dma_map_iter_start(&req, dev, &iova, &iter));
    EXPECT_EQUAL(iter.p2pdma.map, PCI_P2PDMA_MAP_THRU_HOST_BRIDGE);
    EXPECT(blk_rq_dma_map_coalesced(&iova));
    expect_range(r, &req, &at, iter.addr, iter.len);
    EXPECT(blk_rq_dma_unmap(&req, dev, &iova, req.bytes, iter.p2pdma.map));

    req       = fill(segment, 0xd0200000, false);
    req.peer  = window;
    req.peers = 3;
    EXPECT(!blk_rq_dma_map_iter_start(&req, dev, &iova, &iter));
    EXPECT_EQUAL(iter.status, BLK_STS_INVAL);
    EXPECT(!dma_use_iova(&iova));
}

TEST_CASE(blk_mq_dma, memory_of_a_peer_goes_by_bus_address_or_through_the_iommu_or_not)
{
    run(RIG_FAKE, "7.3", peers);
}

/* ---- Failures: the machine runs out of memory from the nth allocation on ---------------
 */

struct failing {
    unsigned failures;
    uint64_t nth, asked;
    bool failed, over;
};

static bool runs_out(void *self, const char *what)
{
    (void)what;
    struct failing *f = self;
    return ++f->asked >= f->nth && !f->over;
}

static void unwinds(struct kernel_rig *r, void *state)
{
    struct failing *f  = state;
    struct device *dev = &r->device;
    struct blk_segment segment[SEGMENTS];
    struct dma_iova_state iova;
    struct blk_dma_iter iter;
    dma_addr_t addr[SEGMENTS];
    uint32_t ranges                  = 0;
    const struct blk_dma_request req = fill(segment, MEM, f->nth % 2 == 0);
    r->kernel.fails = runs_out;
    r->kernel.fails_self = f;
    bool more = blk_rq_dma_map_iter_start(&req, dev, &iova, &iter);
    while (more) {
        addr[ranges++] = iter.addr;
        more           = blk_rq_dma_map_iter_next(&req, dev, &iova, &iter);
    }
    f->over   = true;
    f->failed = iter.status != BLK_STS_OK;
    f->failures += f->failed;
    EXPECT(!f->failed || iter.status == BLK_STS_RESOURCE);
    EXPECT(!f->failed || !dma_use_iova(&iova) || ranges == 0);
    if (ranges > 0 && !blk_rq_dma_unmap(&req, dev, &iova, req.bytes, iter.p2pdma.map))
        while (ranges-- > 0)
            dma_unmap_phys(dev, addr[ranges], segment[ranges].bytes, req.dir, 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

TEST_CASE(blk_mq_dma, what_cannot_be_mapped_is_to_be_tried_again_and_leaves_nothing)
{
    struct failing f = { .failed = true };
    unsigned fine    = 0;
    for (f.nth = 1; fine < 2; f.nth++) {
        struct kernel_rig *r      = kernel_rig_new(RIG_FAKE);
        r->linux_config.dma_debug = 1;
        f.asked                   = 0;
        f.over                    = false;
        kernel_rig_run(r, unwinds, &f);
        EXPECT_EQUAL(r->kernel.stats.finding, 0);
        fine = f.failed ? 0 : fine + 1;
        kernel_rig_free(r);
    }
    EXPECT(f.failures >= 6);
}
