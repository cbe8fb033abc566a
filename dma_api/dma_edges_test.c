/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_edges - sizes of nothing and of everything, and maps that fail in the middle of a
 * leaf of several entries.
 */
#include "dma_api/dma-mapping.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, LARGE_LG2 = 16 };
#define MEM UINT64_C(0x40000000)

static const char *const policies[] = { "strict", "lazy",      "pooled-bounce",
                                        "shadow", "premapped", "damn" };
enum { POLICIES = sizeof policies / sizeof policies[0] };

static unsigned leaves(struct kernel_rig *r)
{
    unsigned n = 0;
    for (unsigned lg2 = 12; lg2 <= 30; lg2 += 9)
        n += kernel_rig_leaves(r, &r->domain->table, lg2);
    return n;
}

static void run(const char *policy, bool untrusted, kernel_program *program)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, policy);
    r->untrusted = untrusted;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

static void each_policy(kernel_program *program)
{
    for (unsigned i = 0; i < POLICIES; i++)
        run(policies[i], false, program);
    run("strict", true, program);
}

/* ---- Nothing ---------------------------------------------------------------------------
 */

static void maps_nothing(struct kernel_rig *r, void *state)
{
    struct device *dev    = &r->device;
    const uint64_t live   = r->domain->iova.live;
    const unsigned before = leaves(r);
    (void)state;
    EXPECT_EQUAL(dma_map_phys(dev, MEM, 0, DMA_BIDIRECTIONAL, 0), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(dma_map_resource(dev, MEM, 0, DMA_BIDIRECTIONAL, 0), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->domain->iova.live, live);
    EXPECT_EQUAL(leaves(r), before);
}

TEST_CASE(dma_edges, a_map_of_no_bytes_is_an_error)
{
    each_policy(maps_nothing);
}

static void unlinks_nothing(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    struct device *dev = &r->device;
    (void)state;
    if (!dma_iova_try_alloc(dev, &s, 0, 4 * PAGE))
        return;
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 0, PAGE, DMA_BIDIRECTIONAL, 0), 0);
    const unsigned linked = leaves(r);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + PAGE, PAGE, 0, DMA_BIDIRECTIONAL, 0),
                 -EINVAL);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + PAGE, PAGE, SIZE_MAX, DMA_BIDIRECTIONAL, 0),
                 -EINVAL);
    EXPECT_EQUAL(dma_iova_sync(dev, &s, 0, 0), 0);
    dma_iova_unlink(dev, &s, 0, 0, DMA_BIDIRECTIONAL, 0);
    EXPECT_EQUAL(leaves(r), linked);
    dma_iova_destroy(dev, &s, PAGE, DMA_BIDIRECTIONAL, 0);
}

TEST_CASE(dma_edges, an_unlink_of_no_bytes_leaves_what_is_linked)
{
    each_policy(unlinks_nothing);
}

static void unmaps_nothing(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    const dma_addr_t a      = dma_map_phys(dev, MEM, PAGE, DMA_BIDIRECTIONAL, 0);
    const uint64_t live     = r->domain->iova.live;
    const unsigned before   = leaves(r);
    const uint64_t warnings = r->kernel.stats.warning;
    REQUIRE(a != DMA_MAPPING_ERROR);
    dma_unmap_phys(dev, a, 0, DMA_BIDIRECTIONAL, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, warnings + 1);
    EXPECT_EQUAL(r->domain->iova.live, live);
    EXPECT_EQUAL(leaves(r), before);
    dma_unmap_phys(dev, a, PAGE, DMA_BIDIRECTIONAL, 0);
}

TEST_CASE(dma_edges, an_unmap_of_no_bytes_warns_and_leaves_what_is_mapped)
{
    each_policy(unmaps_nothing);
}

static void allocates_nothing(struct kernel_rig *r, void *state)
{
    dma_addr_t handle;
    struct device *dev = &r->device;
    (void)state;
    static const size_t size[] = { 0, SIZE_MAX, SIZE_MAX / 2 + 1, (size_t)1 << 60,
                                   (size_t)1 << 40 };
    for (unsigned i = 0; i < sizeof size / sizeof size[0]; i++) {
        EXPECT(dma_alloc_coherent(dev, size[i], &handle, GFP_KERNEL) == NULL);
        EXPECT(dma_alloc_pages(dev, size[i], &handle, DMA_BIDIRECTIONAL, GFP_KERNEL)
               == NULL);
    }
    EXPECT(dma_alloc_noncontiguous(dev, 0, DMA_BIDIRECTIONAL, GFP_KERNEL, 0) == NULL);
}

TEST_CASE(dma_edges, memory_of_no_bytes_or_of_all_cannot_be_had)
{
    each_policy(allocates_nothing);
    kernel_rig_once(RIG_DIRECT, allocates_nothing);
}

/* ---- Everything ------------------------------------------------------------------------
 */

static void maps_everything(struct kernel_rig *r, void *state)
{
    static const size_t size[] = { SIZE_MAX,     SIZE_MAX - 1,    SIZE_MAX - PAGE,
                                   SIZE_MAX / 2, (size_t)1 << 52, (size_t)1 << 40 };
    struct dma_iova_state s;
    struct device *dev  = &r->device;
    const uint64_t live = r->domain->iova.live;
    (void)state;
    for (unsigned i = 0; i < sizeof size / sizeof size[0]; i++) {
        EXPECT_EQUAL(dma_map_phys(dev, MEM + 8, size[i], DMA_BIDIRECTIONAL, 0),
                     DMA_MAPPING_ERROR);
        EXPECT_EQUAL(dma_map_phys(dev, MEM, size[i], DMA_BIDIRECTIONAL, 0),
                     DMA_MAPPING_ERROR);
        EXPECT(!dma_iova_try_alloc(dev, &s, 0, size[i]));
    }
    EXPECT_EQUAL(r->domain->iova.live, live);
}

TEST_CASE(dma_edges, a_map_of_more_than_there_is_is_an_error)
{
    each_policy(maps_everything);
}

/* ---- Leaves of several entries ---------------------------------------------------------
 */

/* A 64 KiB leaf of 16 entries, of which one is in use. */
static void collides(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    struct device *dev = &r->device;
    (void)state;
    EXPECT_EQUAL(r->domain->table.leaf_sizes >> LARGE_LG2 & 1, 1);
    for (unsigned at = 0; at < 32; at++) {
        EXPECT(dma_iova_try_alloc(dev, &s, 0, 2 << LARGE_LG2));
        EXPECT_EQUAL(
            dma_iova_link(dev, &s, MEM + 0x7000, at * PAGE, PAGE, DMA_BIDIRECTIONAL, 0), 0);
        const unsigned from = r->events;
        EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 0, 2 << LARGE_LG2, DMA_BIDIRECTIONAL, 0),
                     -EADDRINUSE);
        for (unsigned page = 0; page < 32; page++) {
            uint64_t pa;
            EXPECT_EQUAL(kernel_rig_lookup(r, &r->domain->table, s.addr + page * PAGE, &pa)
                             != 0,
                         page == at);
        }
        /* What was mapped for a moment is invalidated. */
        EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from) > 0, at >= 16);
        dma_iova_unlink(dev, &s, at * PAGE, PAGE, DMA_BIDIRECTIONAL, 0);
        dma_iova_free(dev, &s);
    }
    EXPECT_EQUAL(leaves(r), 0);
}

TEST_CASE(dma_edges, a_leaf_of_several_entries_is_mapped_as_a_whole_or_not_at_all)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, "strict");
    r->fake_format     = "rvs1napot";
    r->fake_levels     = 4;
    r->fake_leaf_sizes = ptfmt_find("rvs1napot")->leaf_sizes & mask_lg2(40);
    kernel_rig_run(r, collides, NULL);
    kernel_rig_free(r);
}

/* ---- Without an IOMMU ------------------------------------------------------------------
 */

static void wraps(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    EXPECT_EQUAL(dma_set_mask(dev, DMA_BIT_MASK(40)), 0);
    const size_t most = (UINT64_C(1) << 40) - MEM;
    EXPECT_EQUAL(dma_map_phys(dev, MEM, most, DMA_TO_DEVICE, 0), MEM);
    EXPECT_EQUAL(dma_map_phys(dev, MEM, most + 1, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(dma_map_phys(dev, MEM, SIZE_MAX, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(dma_map_resource(dev, MEM, SIZE_MAX, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
}

TEST_CASE(dma_edges, a_range_that_wraps_around_all_addresses_is_beyond_every_mask)
{
    kernel_rig_once(RIG_DIRECT, wraps);
}
