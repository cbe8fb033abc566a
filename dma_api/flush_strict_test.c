/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-mapping.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

static void one_of_each(struct kernel_rig *r, void *state)
{
    const dma_addr_t iova =
        dma_map_phys(&r->device, 0x40000e00, 0x1400, DMA_BIDIRECTIONAL, 0);
    (void)state;
    dma_unmap_phys(&r->device, iova, 0x1400, DMA_BIDIRECTIONAL, 0);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, 0, 0);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 1);
    EXPECT_EQUAL(e->first, iova - 0xe00); /* Whole pages, and only those. */
    EXPECT_EQUAL(e->last, iova - 0xe00 + 0x2fff);
    EXPECT(!e->mapped); /* The entries were cleared before it. */
    EXPECT(!e->tables);
    const struct kernel_event *back = kernel_rig_event(r, EVENT_GIVEN_BACK, 0, 0);
    EXPECT(back > kernel_rig_event(r, EVENT_FLUSHED, 0, 0));
    EXPECT_EQUAL(back->first, e->first);
    EXPECT_EQUAL(back->last, e->last);
    EXPECT_EQUAL(back->released, 0); /* The addresses come back last. */
    EXPECT_EQUAL(r->domain->iova.stats.release, 1);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_ALL, 0), 0);
    EXPECT_EQUAL(dma_map_phys(&r->device, 4096, 0x2400, DMA_TO_DEVICE, 0), e->first);
    dma_unmap_phys(&r->device, e->first, 0x2400, DMA_TO_DEVICE, 0);
}

TEST_CASE(flush_strict, clear_flush_give_back_release_in_this_order_once_for_each_unmap)
{
    kernel_rig_once(RIG_FAKE, one_of_each);
}

static void tables(struct kernel_rig *r, void *state)
{
    const size_t bytes    = 2 << 20;
    const dma_addr_t iova = dma_map_phys(&r->device, 0x40001000, bytes, DMA_TO_DEVICE, 0);
    (void)state;
    const unsigned from = r->events;
    dma_unmap_phys(&r->device, iova, bytes, DMA_TO_DEVICE, 0);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 0);
    EXPECT(e->tables);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_TABLE_FREED, from), 1);
    const struct kernel_event *freed = kernel_rig_event(r, EVENT_TABLE_FREED, from, 0);
    EXPECT(freed > kernel_rig_event(r, EVENT_FLUSHED, from, 0)); /* No walk is in it. */
    EXPECT_EQUAL(freed->released, 0);
}

TEST_CASE(flush_strict, table_pages_are_freed_after_a_flush_that_was_told_of_them)
{
    kernel_rig_once(RIG_FAKE, tables);
}

static void reached(struct kernel_rig *r, void *state)
{
    uint64_t pa;
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        const dma_addr_t iova =
            dma_map_phys(&r->device, 0x40000000 + i * 4096, 4096, DMA_TO_DEVICE, 0);
        EXPECT(kernel_rig_reach(r, iova, PT_READ, &pa));
        EXPECT_EQUAL(pa, 0x40000000 + i * 4096);
        dma_unmap_phys(&r->device, iova, 4096, DMA_TO_DEVICE, 0);
        EXPECT(!kernel_rig_reach(r, iova, PT_READ, &pa));
    }
    EXPECT_EQUAL(r->audit.stats.exposed_page_ps, 0);
}

TEST_CASE(flush_strict, once_an_unmap_has_returned_the_device_reaches_nothing)
{
    kernel_rig_once(RIG_VTD, reached);
}
