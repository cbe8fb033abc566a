/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/swiotlb.h"

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, SLOT = 2048, SEGMENT = 256 << 10 };
#define MEM UINT64_C(0x40000000)

static void run(uint32_t mib, unsigned cpus, kernel_program *program)
{
    struct kernel_rig *r        = kernel_rig_new(RIG_FAKE);
    r->untrusted                = true;
    r->cpus                     = cpus;
    r->linux_config.swiotlb_mib = mib;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

static phys_addr_t take(struct kernel_rig *r, phys_addr_t original, size_t size,
                        uint64_t align_mask)
{
    return swiotlb_map(&r->device, original, size, align_mask, 0);
}

static void give(struct kernel_rig *r, phys_addr_t phys, size_t size)
{
    swiotlb_unmap(&r->device, phys, size, DMA_TO_DEVICE, 0);
}

/* ---- Where a buffer lies ---------------------------------------------------------------
 */

static void places(struct kernel_rig *r, void *state)
{
    (void)state;
    const phys_addr_t a =
        take(r, MEM + 0x123, 100, 0); /* No bit is kept, none asked for. */
    EXPECT_EQUAL(a % SLOT, 0);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 1);
    const phys_addr_t b = take(r, MEM + 0x123, SLOT + 1, 0);
    EXPECT_EQUAL(b, a + SLOT); /* From where the last search ended. */
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 3);
    const phys_addr_t c = take(r, MEM + 0x123, PAGE, 0); /* A page and more is aligned. */
    EXPECT_EQUAL(c, a + 2 * PAGE);
    const phys_addr_t d = take(r, MEM + 0x923, 100, PAGE - 1);
    EXPECT_EQUAL(d, a + 3 * PAGE); /* Whole aligned pages, the data at their begin. */
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 7);
    EXPECT(swiotlb_holds(&r->kernel, d));
    EXPECT(!swiotlb_holds(&r->kernel, MEM));
    give(r, b, SLOT + 1);
    give(r, a, 100);
    give(r, c, PAGE);
    give(r, d, 100);
    give(r, MEM, 100); /* Not of the pool: nothing. */
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 0);
    EXPECT_EQUAL(r->kernel.stats.bounce, 4);
}

TEST_CASE(swiotlb, a_buffer_is_whole_slots_from_where_the_last_search_ended)
{
    run(1, 1, places);
}

static void keeps_bits(struct kernel_rig *r, void *state)
{
    (void)state;
    dma_set_min_align_mask(&r->device, PAGE - 1);
    const phys_addr_t a = take(r, MEM + 0x923, 100, PAGE - 1);
    EXPECT_EQUAL(a % PAGE, 0x923); /* The second slot of an aligned page. */
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 2);
    const phys_addr_t b = take(r, MEM + 0x923, 100, 0); /* No alignment: the bits stay. */
    EXPECT_EQUAL(b % PAGE, 0x923);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 3);
    swiotlb_unmap(&r->device, a + 8, 92, DMA_TO_DEVICE, 0); /* By any of its bytes. */
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 1);
    give(r, b, 100);
}

TEST_CASE(swiotlb, a_buffer_keeps_the_address_bits_of_min_align_mask)
{
    run(1, 1, keeps_bits);
}

static void boundary(struct kernel_rig *r, void *state)
{
    (void)state;
    dma_set_seg_boundary(&r->device, 2 * PAGE - 1);
    dma_set_min_align_mask(&r->device, 511); /* So that pages need not be aligned. */
    const phys_addr_t a = take(r, MEM, 3 * SLOT, 0);
    const phys_addr_t b = take(r, MEM, 3 * SLOT, 0);
    EXPECT_EQUAL(b, a + 2 * PAGE); /* Two slots further on it would cross. */
    give(r, a, 3 * SLOT);
    give(r, b, 3 * SLOT);
}

TEST_CASE(swiotlb, a_buffer_does_not_cross_the_segment_boundary_of_the_device)
{
    run(1, 1, boundary);
}

/* ---- Its end ---------------------------------------------------------------------------
 */

static void exhausts(struct kernel_rig *r, void *state)
{
    phys_addr_t a[4];
    (void)state;
    EXPECT_EQUAL(take(r, MEM, SEGMENT + 1, 0), DMA_MAPPING_ERROR); /* None is so long. */
    EXPECT_TEXT(r->kernel.last_warning, "swiotlb: no bounce buffer is free");
    for (unsigned i = 0; i < 4; i++)
        a[i] = take(r, MEM, SEGMENT, 0);
    EXPECT_EQUAL(a[3] - a[0], 3 * SEGMENT);
    EXPECT_EQUAL(take(r, MEM, 1, 0), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->kernel.stats.warning, 2);
    EXPECT_EQUAL(swiotlb_map(&r->device, MEM, 1, 0, DMA_ATTR_NO_WARN), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->kernel.stats.warning, 2);
    EXPECT_EQUAL(r->kernel.stats.bounce_full, 3);
    give(r, a[2], SEGMENT);
    const phys_addr_t b = take(r, MEM, 1, 0); /* In the middle of the others. */
    EXPECT_EQUAL(b, a[2]);
    EXPECT_EQUAL(take(r, MEM, SEGMENT, 0), DMA_MAPPING_ERROR); /* Not in one piece. */
    give(r, b, 1);
    give(r, a[0], SEGMENT);
    give(r, a[1], SEGMENT);
    give(r, a[3], SEGMENT);
}

TEST_CASE(swiotlb, a_full_pool_says_so_and_gives_an_error)
{
    run(1, 1, exhausts);
}

static void no_pool(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT(r->kernel.swiotlb == NULL);
    EXPECT_EQUAL(dma_map_phys(&r->device, MEM, 9, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
    EXPECT_TEXT(r->kernel.last_warning, "swiotlb: there are no bounce buffers");
    EXPECT_EQUAL(r->kernel.stats.map_failed, 1);
    const dma_addr_t whole = dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(dma_mapping_error(&r->device, whole), 0);
    dma_unmap_phys(&r->device, whole, PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->domain->iova.live, 0);
}

TEST_CASE(swiotlb, without_a_pool_only_whole_granules_are_mapped)
{
    run(0, 1, no_pool);
}

/* ---- Areas -----------------------------------------------------------------------------
 */

static void areas(struct kernel_rig *r, void *state)
{
    static phys_addr_t a[4], b[4];
    const unsigned me = cpu_this()->id;
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        give(r, take(r, MEM, 1 + 100 * i, 0), 1 + 100 * i);
    kernel_rig_meet(r);
    a[me] = take(r, MEM, 5 * SLOT, 0);
    kernel_rig_meet(r);
    for (unsigned i = 0; i < me; i++)
        EXPECT_EQUAL((a[me] - a[i]) / SEGMENT,
                     me - i); /* To each CPU an area of its own. */
    kernel_rig_meet(r);
    if (me == 1)
        give(r, a[0], 5 * SLOT); /* Another CPU may give it back. */
    kernel_rig_meet(r);
    if (me == 0)
        a[0] = take(r, MEM, SEGMENT, 0);
    kernel_rig_meet(r);
    b[me] = me == 0 ? take(r, MEM, SLOT, 0) : 0; /* Its own is full. */
    if (me == 0)
        EXPECT_EQUAL((b[0] - a[0]) / SEGMENT, 1);
    kernel_rig_meet(r);
    give(r, a[me], me == 0 ? SEGMENT : 5 * SLOT);
    if (me == 0)
        give(r, b[me], SLOT);
}

TEST_CASE(swiotlb, a_cpu_takes_from_its_own_area_and_then_from_the_others)
{
    run(1, 4, areas);
}

/* ---- Copies ----------------------------------------------------------------------------
 */

static void copies(struct kernel_rig *r, void *state)
{
    struct memory *m = &r->memory;
    (void)state;
    memory_write64(m, MEM + PAGE - 8, 1); /* Across two pages of the original. */
    memory_write64(m, MEM + PAGE, 2);
    const uint64_t before = cpu_owner_cycles(&r->cpu[0], OWNER_bounce_copy);
    const phys_addr_t a   = take(r, MEM + PAGE - 8, 3 * PAGE, 0);
    EXPECT(cpu_owner_cycles(&r->cpu[0], OWNER_bounce_copy) - before
           >= 193 * r->cost.bounce_line_cycles); /* Lines, of the original. */
    EXPECT_EQUAL(memory_read64(m, a), 1);
    EXPECT_EQUAL(memory_read64(m, a + 8), 2);
    EXPECT_EQUAL(r->kernel.stats.bounce_byte, 3 * PAGE);
    memory_write64(m, a + 8, 3);
    swiotlb_sync_for_cpu(&r->device, a + 8, 8, DMA_TO_DEVICE); /* Not that way. */
    EXPECT_EQUAL(memory_read64(m, MEM + PAGE), 2);
    swiotlb_sync_for_cpu(&r->device, a + 8, 8, DMA_FROM_DEVICE);
    EXPECT_EQUAL(memory_read64(m, MEM + PAGE), 3);
    memory_write64(m, MEM + PAGE - 8, 4);
    swiotlb_sync_for_device(&r->device, a, 8, DMA_FROM_DEVICE);
    EXPECT_EQUAL(memory_read64(m, a), 1);
    swiotlb_sync_for_device(&r->device, a, 8, DMA_BIDIRECTIONAL);
    EXPECT_EQUAL(memory_read64(m, a), 4);
    memory_write64(m, a, 5);
    swiotlb_unmap(&r->device, a, 3 * PAGE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
    EXPECT_EQUAL(memory_read64(m, MEM + PAGE - 8), 4); /* Not copied back. */
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(swiotlb, copies_go_the_way_of_the_direction_for_the_part_that_is_named)
{
    run(1, 1, copies);
}

static void outside(struct kernel_rig *r, void *state)
{
    (void)state;
    dma_set_min_align_mask(&r->device, PAGE - 1);
    const phys_addr_t a = take(r, MEM + 0x100, 16, PAGE - 1);
    memory_write64(&r->memory, a + 8, 7);
    memory_write64(&r->memory, a + 16, 9);
    swiotlb_sync_for_cpu(&r->device, a - 8, 8, DMA_FROM_DEVICE);
    EXPECT_TEXT(r->kernel.last_warning, "swiotlb: access outside of the mapping");
    swiotlb_sync_for_cpu(&r->device, a + 8, 16, DMA_FROM_DEVICE);
    EXPECT_TEXT(r->kernel.last_warning, "swiotlb: access beyond the end of the mapping");
    EXPECT_EQUAL(memory_read64(&r->memory, MEM + 0x108), 7);
    EXPECT_EQUAL(memory_read64(&r->memory, MEM + 0x110), 0); /* Cut off. */
    EXPECT_EQUAL(r->kernel.stats.warning, 2);
    give(r, a, 16);
}

TEST_CASE(swiotlb, nothing_outside_of_the_mapping_is_ever_copied)
{
    run(1, 1, outside);
}

static void absent(struct kernel_rig *r, void *state)
{
    (void)state;
    const uint64_t pages = r->memory.pages;
    give(r, take(r, MEM, 64 * PAGE, 0), 64 * PAGE);
    EXPECT_EQUAL(r->memory.pages, pages); /* Payload that nobody looks at. */
    const phys_addr_t a = take(r, MEM, 8, 0);
    memory_write64(&r->memory, a, 6);
    give(r, a, 8);
    for (unsigned i = 0; i < 512; i++) {
        const phys_addr_t b = take(r, MEM, 8, 0);
        EXPECT_EQUAL(memory_read64(&r->memory, b), 0); /* Old bytes do not show through. */
        give(r, b, 8);
    }
}

TEST_CASE(swiotlb, memory_that_was_never_written_is_copied_as_zeroes)
{
    run(1, 1, absent);
}

static void lost(struct kernel_rig *r, void *state)
{
    (void)state;
    take(r, MEM, 8, 0);
    swiotlb_clear(&r->kernel, MEM, 0);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 1); /* What every run asks at its end. */
    r->kernel.bounce_slots_out = 0;
}

TEST_CASE(swiotlb, a_buffer_that_is_not_given_back_is_counted)
{
    run(1, 1, lost);
}

static void longest(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(dma_max_mapping_size(&r->device), SEGMENT);
    dma_set_min_align_mask(&r->device, PAGE - 1);
    EXPECT_EQUAL(dma_max_mapping_size(&r->device), SEGMENT - PAGE);
    dma_set_min_align_mask(&r->device, 511);
    EXPECT_EQUAL(dma_max_mapping_size(&r->device), SEGMENT - SLOT);
}

TEST_CASE(swiotlb, an_untrusted_device_maps_at_most_a_segment)
{
    run(1, 1, longest);
}
