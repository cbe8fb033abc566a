/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_errors - every refusal of Linux's DMA API on an IOMMU, and where it is tested.
 *
 * What is refused                                             Tested by
 * ----------------------------------------------------------- ----------------------------
 * dma_iova_try_alloc
 *   state zeroed; no size, size with bit 63: WARN once, false
 * dma_iommu.try_alloc_refuses_*, dma_errors.a_one_time_* no IOMMU, an older release: false
 * dma_iommu.try_alloc_needs_* no addresses below the mask: false
 * dma_iommu.try_alloc_refuses_* dma_iova_link unaligned behind the first: WARN once, -EIO
 * dma_iommu.a_link_that_fails_*, dma_errors.a_one_time_* bounced already, REQUIRE_COHERENT:
 * WARN once, -EOPNOTSUPP dma_bounce.each_reason_* not coherent, REQUIRE_COHERENT:
 * -EOPNOTSUPP               dma_sync.attributes_skip_* to bounce, MMIO or REQUIRE_COHERENT:
 * -EPERM               dma_bounce.each_reason_* crooked offset -ENXIO, overlap -EADDRINUSE,
 * no size -EINVAL, beyond the output -ERANGE; partly mapped: undone
 * dma_iommu.a_link_that_fails_* no direction: WARN, -EINVAL
 * dma_errors.without_a_direction_* no pool: WARN once, -ENOMEM dma_errors.a_link_without_*
 *   pool full at the tail: -ENOMEM, head and middle undone    dma_errors.a_full_pool_*
 *   slot cannot be linked: slot freed, the link's errno dma_bounce.a_link_that_fails_* the
 * undo begins at the link's own offset                  dma_bounce.a_link_that_fails_*,
 *                                                             dma_errors.a_full_pool_*
 * dma_iova_unlink, dma_iova_destroy
 *   nothing is linked, bounced: WARN, stop, unmap dma_bounce.a_link_that_fails_* nothing is
 * linked, not coherent: the same                 dma_errors.an_unlink_of_nothing_* another
 * amount was mapped: WARN, go on                    dma_errors.an_unmap_of_more_*
 * dma_map_phys and its shapes
 *   no direction: BUG                                         dma_mapping.a_map_without_*
 *   no mask pointer: WARN once, cookie                        dma_mapping.errors_are_*,
 *                                                             dma_errors.a_one_time_*
 *   REQUIRE_COHERENT, not coherent: cookie                    dma_sync.attributes_skip_*
 *   CC_SHARED: cookie, and unmap does nothing dma_bounce.a_map_that_may_not_* MMIO for a
 * page: cookie; the cookie is -ENOMEM            dma_mapping.errors_are_* to bounce, MMIO
 * or REQUIRE_COHERENT: cookie               dma_bounce.a_map_that_may_not_* longer than a
 * segment, pool full: cookie, WARN unless NO_WARN dma_bounce.a_map_that_may_not_*,
 *                                                             swiotlb.a_full_pool_*
 *   min_align_mask beyond the granule: WARN once, cookie;
 *     the slot goes back dma_bounce.a_map_that_may_not_*, dma_errors.a_one_time_* no
 * addresses: cookie                                      dma_iommu.a_map_without_room_* not
 * mapped: addresses go back at once in every mode       dma_iommu.the_addresses_of_*
 * dma_unmap_phys
 *   nothing is mapped: WARN, nothing is done                  dma_iommu.unmapping_what_*,
 *                                                             dma_errors.a_warning_that_*
 *   another amount: WARN, flushed and freed all the same      dma_errors.an_unmap_of_more_*
 *   MMIO, REQUIRE_COHERENT: nothing is looked up              dma_iommu.unmapping_what_*
 * dma_map_sg, dma_map_sgtable
 *   element refused, bounced: earlier ones undone, not copied
 *     back, -EIO                                              dma_bounce.the_elements_of_*
 *   no addresses -ENOMEM; an errno of the table -EINVAL; the
 *     list as it was; dma_map_sg 0                            dma_sg.a_list_that_cannot_*
 *   REQUIRE_COHERENT, not coherent: -EOPNOTSUPP               dma_sync.attributes_skip_*
 * dma_sync_*
 *   outside of a slot, beyond its end: WARN once, cut         swiotlb.nothing_outside_*,
 *                                                             dma_errors.a_one_time_*
 * dma_alloc_*
 *   no coherent mask, compound pages, zones, attributes:
 *     WARN once; interrupts off at a free: WARN dma_alloc.what_cannot_be_had_* pages,
 * addresses, tables, vmap missing; undone            dma_alloc.no_memory_at_any_* Addresses
 *   too large below 4 GiB: refused at once until a release iova.a_size_refused_below_4g_*
 *   none below 4 GiB: the device's flag is cleared            iova.addresses_above_4g_*
 *   none: all magazines are emptied, one more try             iova_cache.without_room_*,
 *                                                             iova_pressure.*
 *   no node: no addresses; no magazine: the tree takes it     iova_cache.without_memory_*
 * Flush queues
 *   full; full and younger than the flush under way           flush_lazy.the_256th_*,
 *                                                             flush_lazy.a_ring_younger_*
 *   no memory for one: strict                                 dma_failure.a_domain_at_*
 *   an untrusted device: strict                               dma_bounce.an_untrusted_*
 * Invalidation queue
 *   refused descriptor, time-out of a device that is there or
 *     gone, completion error, a full queue                    backend_vtd_queue.*
 * Tables
 *   -EINVAL, -ERANGE, -EOVERFLOW, -ENXIO, -EADDRINUSE         pagetable.each_refusal_*
 *   a prefix stays mapped and is reported                     pagetable.each_refusal_*
 *   a large leaf over empty tables, over a leaf               pagetable.a_large_leaf_*
 *   an unmap at a hole, inside a leaf, ending inside one      pagetable.an_unmap_stops_*
 * No memory at each single allocation of each call            dma_failure.*
 *
 * Not there to be refused: attaching late after a crash kernel, elements of a list that are
 * bus addresses, and setting up an allocator a second time with another granule (-EFAULT).
 */
#include "dma_api/dma-mapping.h"
#include "dma_api/swiotlb.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, SEGMENT = 256 << 10 };
#define MEM UINT64_C(0x40000000)

static void expect_empty(struct kernel_rig *r)
{
    EXPECT_EQUAL(r->domain->iova.live, 0);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

static void expect_warnings(const struct kernel_rig *r, uint64_t given, uint64_t repeated)
{
    EXPECT_EQUAL(r->kernel.stats.warning, given);
    EXPECT_EQUAL(r->kernel.stats.warning_repeated, repeated);
}

/* ---- Once, and each time ---------------------------------------------------------------
 */

static void unaligned_link(struct kernel_rig *r)
{
    struct dma_iova_state s;
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, 2 * PAGE));
    EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM + 8, PAGE, 8, DMA_TO_DEVICE, 0), -EIO);
    dma_iova_free(&r->device, &s);
}

static void no_size(struct kernel_rig *r)
{
    struct dma_iova_state s;
    EXPECT(!dma_iova_try_alloc(&r->device, &s, 0, 0));
}

static void bit_63(struct kernel_rig *r)
{
    struct dma_iova_state s;
    EXPECT(!dma_iova_try_alloc(&r->device, &s, 0, DMA_IOVA_USE_SWIOTLB + 1));
}

static void no_mask(struct kernel_rig *r)
{
    uint64_t *mask     = r->device.dma_mask;
    r->device.dma_mask = NULL;
    EXPECT_EQUAL(dma_map_phys(&r->device, MEM, 8, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
    r->device.dma_mask = mask;
}

static void list_without_mask(struct kernel_rig *r)
{
    struct scatterlist list;
    uint64_t *mask = r->device.dma_mask;
    sg_init_table(&list, 1);
    sg_set_page(&list, phys_to_page(MEM), PAGE, 0);
    r->device.dma_mask = NULL;
    EXPECT_EQUAL(dma_map_sg(&r->device, &list, 1, DMA_TO_DEVICE), 0);
    r->device.dma_mask = mask;
}

static void wide_alignment(struct kernel_rig *r)
{
    dma_set_min_align_mask(&r->device, 2 * PAGE - 1);
    EXPECT_EQUAL(dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
    dma_set_min_align_mask(&r->device, 0);
}

/* Whichever came before: each has its own warning, and has it once. */
static void once(struct kernel_rig *r, void *state)
{
    static void (*const mistake[])(struct kernel_rig *) = {
        no_size, bit_63, unaligned_link, no_mask, list_without_mask, wide_alignment,
    };
    enum { MISTAKES = sizeof mistake / sizeof mistake[0] };
    (void)state;
    for (unsigned i = 0; i < MISTAKES; i++) {
        mistake[i](r);
        expect_warnings(r, i + 1, i);
        mistake[i](r);
        expect_warnings(r, i + 1, i + 1);
    }
    for (unsigned i = 0; i < MISTAKES; i++)
        mistake[i](r);
    expect_warnings(r, MISTAKES, 2 * MISTAKES);
    expect_empty(r);
}

TEST_CASE(dma_errors, a_one_time_warning_is_given_once_for_each_place)
{
    kernel_rig_once(RIG_FAKE, once);
}

/* Syncs of 16 bytes in which 8 bytes are mapped, and beside them. */
static void sync_outside(struct kernel_rig *r, void *state)
{
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, MEM, 8, DMA_FROM_DEVICE, 0);
    for (unsigned i = 0; i < 3; i++) {
        dma_sync_single_for_cpu(&r->device, a, 16, DMA_FROM_DEVICE);
        dma_sync_single_for_cpu(&r->device, a + 64, 8, DMA_FROM_DEVICE);
    }
    expect_warnings(r, 2, 4);
    dma_unmap_phys(&r->device, a, 8, DMA_FROM_DEVICE, 0);
    expect_empty(r);
}

static void each_time(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned i = 1; i < 4; i++) {
        dma_unmap_phys(&r->device, 0x1000, PAGE, DMA_TO_DEVICE, 0);
        expect_warnings(r, i, 0);
    }
    expect_empty(r);
}

static void without_direction(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, PAGE));
    for (unsigned i = 1; i < 3; i++) {
        EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM, 0, PAGE, DMA_NONE, 0), -EINVAL);
        expect_warnings(r, i, 0);
        EXPECT_TEXT(r->kernel.last_warning, "map: neither read nor write");
    }
    dma_iova_free(&r->device, &s);
    expect_empty(r);
}

static void run(uint32_t swiotlb_mib, bool untrusted, bool noncoherent,
                kernel_program *program)
{
    struct kernel_rig *r        = kernel_rig_new(RIG_FAKE);
    r->linux_config.swiotlb_mib = swiotlb_mib;
    r->untrusted                = untrusted;
    r->noncoherent              = noncoherent;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

TEST_CASE(dma_errors, a_one_time_warning_of_a_sync_is_given_once_too)
{
    run(1, true, false, sync_outside);
}

TEST_CASE(dma_errors, a_warning_that_is_not_one_time_is_given_each_time)
{
    kernel_rig_once(RIG_FAKE, each_time);
}

TEST_CASE(dma_errors, without_a_direction_a_link_warns_and_is_invalid)
{
    kernel_rig_once(RIG_FAKE, without_direction);
}

/* ---- Bounce buffers --------------------------------------------------------------------
 */

static void no_pool(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, 3 * PAGE));
    EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM, 0, PAGE, DMA_TO_DEVICE, 0), 0);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM, PAGE, PAGE + 8, DMA_TO_DEVICE, 0),
                     -ENOMEM);
    expect_warnings(r, 1, 1);
    EXPECT_EQUAL(s.__size, 3 * PAGE); /* Nothing of it has bounced. */
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 1);
    dma_iova_destroy(&r->device, &s, PAGE, DMA_TO_DEVICE, 0);
    expect_empty(r);
}

TEST_CASE(dma_errors, a_link_without_bounce_buffers_leaves_only_earlier_links)
{
    run(0, true, false, no_pool);
}

/* One granule of buffers is left: the head of the link gets it, the tail finds none. */
static void full_pool(struct kernel_rig *r, void *state)
{
    static const size_t size[4] = { SEGMENT - 8, SEGMENT - 8, SEGMENT - 8,
                                    SEGMENT - PAGE - 8 };
    struct device *dev          = &r->device;
    struct dma_iova_state s;
    dma_addr_t a[4];
    uint64_t pa;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        a[i] = dma_map_phys(dev, MEM, size[i], DMA_TO_DEVICE, 0);
    const uint64_t out = r->kernel.bounce_slots_out;
    dma_set_min_align_mask(dev, PAGE - 1);
    EXPECT_EQUAL(out, 510);
    EXPECT(dma_iova_try_alloc(dev, &s, MEM + 8, 6 * PAGE - 8));
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 4 * PAGE - 8, PAGE, DMA_TO_DEVICE, 0), 0);
    const unsigned from = r->events;
    EXPECT_EQUAL(
        dma_iova_link(dev, &s, MEM + 8, 0, 3 * PAGE, DMA_TO_DEVICE, DMA_ATTR_NO_WARN),
        -ENOMEM);
    EXPECT_EQUAL(r->kernel.bounce_slots_out, out);
    expect_warnings(r, 0, 0);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 0);
    REQUIRE(e != NULL);
    EXPECT_EQUAL(e->first, s.addr - 8); /* Head and middle, at once. */
    EXPECT_EQUAL(e->last, s.addr - 8 + 3 * PAGE - 1);
    EXPECT_EQUAL(kernel_rig_lookup(r, &r->domain->table, s.addr, &pa), 0);
    EXPECT_EQUAL(kernel_rig_lookup(r, &r->domain->table, s.addr + PAGE, &pa), 0);
    EXPECT(kernel_rig_lookup(r, &r->domain->table, s.addr - 8 + 4 * PAGE, &pa) != 0);
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM + 8, 0, PAGE - 8, DMA_TO_DEVICE, 0), 0);
    dma_iova_unlink(dev, &s, 0, PAGE - 8, DMA_TO_DEVICE, 0);
    dma_iova_unlink(dev, &s, 4 * PAGE - 8, PAGE, DMA_TO_DEVICE, 0);
    dma_iova_free(dev, &s);
    for (unsigned i = 0; i < 4; i++)
        dma_unmap_phys(dev, a[i], size[i], DMA_TO_DEVICE, 0);
    expect_warnings(r, 0, 0);
    expect_empty(r);
}

TEST_CASE(dma_errors, a_full_pool_at_the_tail_takes_the_whole_link_back)
{
    run(1, true, false, full_pool);
}

/* ---- Unmaps of something else ----------------------------------------------------------
 */

static void unlinks_nothing(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(dev, &s, 0, 4 * PAGE));
    dma_iova_unlink(dev, &s, 0, PAGE, DMA_FROM_DEVICE, 0);
    expect_warnings(r, 2, 0); /* No memory to maintain, and no entry. */
    dma_iova_unlink(dev, &s, 0, PAGE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
    expect_warnings(r, 3, 0); /* Nobody asks for the memory. */
    EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 0, 2 * PAGE, DMA_FROM_DEVICE, 0), 0);
    dma_iova_unlink(dev, &s, 0, 4 * PAGE, DMA_FROM_DEVICE, 0);
    expect_warnings(r, 5, 0); /* What was there is unlinked. */
    dma_iova_free(dev, &s);
    expect_empty(r);
}

TEST_CASE(dma_errors, an_unlink_of_nothing_warns_and_goes_on)
{
    run(1, false, true, unlinks_nothing);
}

/* Three pages are mapped, four unmapped: of both the addresses are four. */
static void unmaps_more(struct kernel_rig *r, void *state)
{
    (void)state;
    for (unsigned i = 1; i < 3; i++) {
        const dma_addr_t a  = dma_map_phys(&r->device, MEM, 3 * PAGE, DMA_TO_DEVICE, 0);
        const unsigned from = r->events;
        dma_unmap_phys(&r->device, a, 4 * PAGE, DMA_TO_DEVICE, 0);
        expect_warnings(r, i, 0);
        EXPECT_TEXT(r->kernel.last_warning, "unmap: not what was mapped");
        EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), 1);
    }
    expect_empty(r);
}

TEST_CASE(dma_errors, an_unmap_of_more_than_was_mapped_warns_flushes_and_frees)
{
    kernel_rig_once(RIG_FAKE, unmaps_more);
}
