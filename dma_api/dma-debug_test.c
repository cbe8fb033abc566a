/* SPDX-License-Identifier: Apache-2.0 */
/* Every mistake that dma_debug knows, planted once, and drivers that make none. */
#include "dma_api/dma-debug.h"

#include <string.h>

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

#define MEM  UINT64_C(0x40000000)
#define HERE "dma_api/dma-debug_test.c:"

int driver_shapes_all(struct device *dev, phys_addr_t memory, phys_addr_t bar);

static uint64_t expected; /* Findings so far. */

/* One more finding since the last, with these parts in its line. */
static void expect_finding(struct kernel_rig *r, const char *part)
{
    expected++;
    EXPECT_EQUAL(r->kernel.stats.finding, expected);
    EXPECT_HAS(dma_debug_finding(&r->kernel), HERE);
    EXPECT_HAS(dma_debug_finding(&r->kernel), ": dma_debug: device: ");
    EXPECT_HAS(dma_debug_finding(&r->kernel), part);
}

static void expect_none(struct kernel_rig *r)
{
    EXPECT_EQUAL(r->kernel.stats.finding, expected);
}

static void run(enum kernel_rig_hardware hardware, bool noncoherent, kernel_program *body)
{
    struct kernel_rig *r      = kernel_rig_new(hardware);
    r->linux_config.dma_debug = 1;
    r->noncoherent            = noncoherent;
    expected                  = 0;
    kernel_rig_run(r, body, NULL);
    EXPECT_EQUAL(r->kernel.stats.finding, expected);
    kernel_rig_free(r);
}

static dma_addr_t map(struct device *dev, phys_addr_t phys, size_t size,
                      enum dma_data_direction dir)
{
    const dma_addr_t addr = dma_map_phys(dev, phys, size, dir, 0);
    EXPECT_EQUAL(dma_mapping_error(dev, addr), 0);
    return addr;
}

/* ---- Single ranges ------------------------------------------------------------------- */

static void singles(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    dma_addr_t addr    = map(dev, MEM, 4096, DMA_TO_DEVICE);
    (void)state;
    dma_unmap_phys(dev, addr, 4096, DMA_TO_DEVICE, 0);
    expect_none(r);
    dma_unmap_phys(dev, addr, 4096, DMA_TO_DEVICE, 0);
    expect_finding(r, "which has been given back at " HERE);
    dma_unmap_page(dev, MEM - 4096, 4096, DMA_TO_DEVICE);
    expect_finding(r, "unmaps 0x3ffff000, which was never mapped");
    dma_unmap_page(dev, DMA_MAPPING_ERROR, 4096, DMA_TO_DEVICE);
    expect_finding(r, "unmaps the result of a mapping that failed");

    addr = map(dev, MEM, 8192, DMA_TO_DEVICE);
    dma_unmap_phys(dev, addr, 4096, DMA_TO_DEVICE, 0);
    expect_finding(r, "unmaps 4096 bytes at ");
    EXPECT_HAS(dma_debug_finding(&r->kernel), ", which are 8192, mapped at " HERE);

    addr = map(dev, MEM, 4096, DMA_TO_DEVICE);
    dma_unmap_phys(dev, addr, 4096, DMA_FROM_DEVICE, 0);
    expect_finding(r, " as DMA_FROM_DEVICE, which is DMA_TO_DEVICE, mapped at " HERE);

    addr = dma_map_single(dev, phys_to_virt(MEM), 64, DMA_TO_DEVICE);
    dma_unmap_single(dev, addr, 64, DMA_TO_DEVICE);
    expect_finding(r, "of which dma_mapping_error was not asked");
}

TEST_CASE(dma_debug, mistakes_with_single_ranges_are_found)
{
    run(RIG_FAKE, false, singles);
    run(RIG_VTD, false, singles);
    run(RIG_DIRECT, true, singles);
}

static void kinds(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct scatterlist sg[1];
    dma_addr_t addr, handle;
    void *memory = dma_alloc_coherent(dev, 4096, &handle, GFP_KERNEL);
    (void)state;
    REQUIRE(memory != NULL);
    dma_unmap_single(dev, handle, 4096, DMA_BIDIRECTIONAL);
    expect_finding(r, " as a single range, which is coherent memory, mapped at " HERE);
    dma_free_coherent(dev, 4096, phys_to_virt(virt_to_phys(memory) + 4096), handle);
    expect_finding(r, "frees memory at ");
    dma_free_coherent(dev, 8192, memory, handle);
    expect_finding(r, "unmaps 8192 bytes at ");
    dma_free_coherent(dev, 4096, memory, handle);
    expect_finding(r, "given back at " HERE);

    addr = map(dev, MEM, 4096, DMA_TO_DEVICE);
    sg_init_table(sg, 1);
    sg_set_page(sg, phys_to_page(MEM), 4096, 0);
    sg->dma_address = addr;
    sg->dma_length  = 4096;
    dma_unmap_sg(dev, sg, 1, DMA_TO_DEVICE);
    expect_finding(r, " as a scatter list, which is a single range, mapped at " HERE);
    dma_unmap_phys(dev, addr, 4096, DMA_TO_DEVICE, 0);

    struct page *page = dma_alloc_pages(dev, 4096, &handle, DMA_FROM_DEVICE, GFP_KERNEL);
    dma_free_coherent(dev, 4096, phys_to_virt(page_to_phys(page)), handle);
    expect_finding(r, " as coherent memory, which is pages, mapped at " HERE);
    dma_free_pages(dev, 4096, page, handle, DMA_FROM_DEVICE);
    struct sg_table *sgt = dma_alloc_noncontiguous(dev, 8192, DMA_TO_DEVICE, GFP_KERNEL, 0);
    dma_unmap_page(dev, sgt->sgl->dma_address, 8192, DMA_TO_DEVICE);
    expect_finding(r, " as a single range, which is noncontiguous memory");
    dma_sync_sgtable_for_cpu(dev, sgt, DMA_TO_DEVICE);
    dma_free_noncontiguous(dev, 8192, sgt, DMA_TO_DEVICE);
    expect_none(r);
}

TEST_CASE(dma_debug, one_kind_of_mapping_undone_as_another_is_found)
{
    run(RIG_FAKE, false, kinds);
    run(RIG_DIRECT, true, kinds);
}

static void syncs(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    dma_addr_t addr    = map(dev, MEM, 4096, DMA_FROM_DEVICE);
    (void)state;
    dma_sync_single_for_cpu(dev, addr, 4096, DMA_FROM_DEVICE);
    dma_sync_single_range_for_device(dev, addr, 4000, 96, DMA_FROM_DEVICE);
    expect_none(r);
    dma_sync_single_range_for_cpu(dev, addr, 4000, 97, DMA_FROM_DEVICE);
    expect_finding(r, "syncs 97 bytes at ");
    dma_sync_single_for_cpu(dev, addr, 4097, DMA_FROM_DEVICE);
    expect_finding(r, ", beyond the 4096 at ");
    dma_sync_single_for_device(dev, addr, 64, DMA_TO_DEVICE);
    expect_finding(r, " as DMA_TO_DEVICE, which is DMA_FROM_DEVICE");
    dma_unmap_phys(dev, addr, 4096, DMA_FROM_DEVICE, 0);
    dma_sync_single_for_device(dev, MEM + 0x100000, 64, DMA_TO_DEVICE);
    expect_finding(r, ", which was never mapped");
    addr = dma_map_phys(dev, MEM, 4096, DMA_BIDIRECTIONAL, 0);
    dma_sync_single_for_cpu(dev, addr, 64, DMA_FROM_DEVICE); /* Both ways fit. */
    expect_finding(r, "of which dma_mapping_error was not asked");
    dma_unmap_phys(dev, addr, 4096, DMA_BIDIRECTIONAL, 0);
}

TEST_CASE(dma_debug, syncs_outside_of_a_mapping_or_its_direction_are_found)
{
    run(RIG_FAKE, true, syncs);
    run(RIG_FAKE, false, syncs);
    run(RIG_DIRECT, true, syncs);
}

static void overlaps(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    const dma_addr_t a = map(dev, MEM, 4096, DMA_FROM_DEVICE);
    (void)state;
    const dma_addr_t b = map(dev, MEM + 64, 4096, DMA_FROM_DEVICE);
    const dma_addr_t c = map(dev, MEM + 32, 16, DMA_TO_DEVICE); /* It only reads. */
    expect_none(r);
    const dma_addr_t d = map(dev, MEM + 63, 1, DMA_BIDIRECTIONAL);
    if (r->noncoherent)
        expect_finding(r, "maps memory at 0x4000003f that is mapped, while the device may "
                          "write it, mapped at " HERE);
    const dma_addr_t e =
        dma_map_phys(dev, MEM, 64, DMA_FROM_DEVICE, DMA_ATTR_DEBUGGING_IGNORE_CACHELINES);
    EXPECT_EQUAL(dma_mapping_error(dev, e), 0);
    expect_none(r);
    dma_unmap_phys(dev, a, 4096, DMA_FROM_DEVICE, 0);
    dma_unmap_phys(dev, b, 4096, DMA_FROM_DEVICE, 0);
    dma_unmap_phys(dev, c, 16, DMA_TO_DEVICE, 0);
    dma_unmap_phys(dev, d, 1, DMA_BIDIRECTIONAL, 0);
    dma_unmap_phys(dev, e, 64, DMA_FROM_DEVICE, 0);
}

TEST_CASE(dma_debug, a_cache_line_that_is_mapped_twice_is_found_where_it_does_harm)
{
    run(RIG_FAKE, true, overlaps);
    run(RIG_FAKE, false, overlaps);
    run(RIG_DIRECT, true, overlaps);
}

/* ---- Scatter lists ------------------------------------------------------------------- */

static void fill(struct scatterlist *sg, unsigned count)
{
    sg_init_table(sg, count);
    for (unsigned i = 0; i < count; i++)
        sg_set_page(&sg[i], phys_to_page(MEM + 2 * i * PAGE_SIZE), PAGE_SIZE, 0);
}

static void lists(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct scatterlist sg[4];
    (void)state;
    fill(sg, 4);
    const unsigned mapped = dma_map_sg(dev, sg, 4, DMA_TO_DEVICE);
    EXPECT_EQUAL(mapped, dev->dma_iommu ? 1 : 4);
    dma_sync_sg_for_device(dev, sg, 4, DMA_TO_DEVICE);
    expect_none(r);
    dma_sync_sg_for_device(dev, sg, 3, DMA_TO_DEVICE);
    expect_finding(r, "syncs a list of 4 elements as one of 3, mapped at " HERE);
    dma_sync_sg_for_cpu(dev, sg, 4, DMA_FROM_DEVICE);
    expect_finding(r, " as DMA_FROM_DEVICE, which is DMA_TO_DEVICE");
    dma_unmap_page(dev, sg_dma_address(sg), sg_dma_len(sg), DMA_TO_DEVICE);
    expect_finding(r, " as a single range, which is a scatter list");
    if (mapped > 1) {
        dma_unmap_sg(dev, sg + 1, 3, DMA_TO_DEVICE);
        expect_finding(r, "unmaps a list from its segment 1 on");
    }
    dma_unmap_sg(dev, sg, 2, DMA_TO_DEVICE);
    expect_finding(r, "unmaps a list of 4 elements as one of 2, mapped at " HERE);
    dma_unmap_sg(dev, sg, 4, DMA_TO_DEVICE);
    expect_finding(r, "which has been given back at " HERE);
}

TEST_CASE(dma_debug, a_list_undone_with_another_count_is_found)
{
    run(RIG_FAKE, false, lists);
    run(RIG_DIRECT, true, lists);
}

/* ---- The IOVA API -------------------------------------------------------------------- */

static int link(struct device *dev, struct dma_iova_state *s, size_t offset, size_t size)
{
    return dma_iova_link(dev, s, MEM + offset, offset, size, DMA_TO_DEVICE, 0);
}

static void pieces(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct dma_iova_state s, none = { 0, 0 };
    (void)state;
    EXPECT(dma_iova_try_alloc(dev, &s, 0, 4 * PAGE_SIZE));
    EXPECT_EQUAL(link(dev, &s, 0, 2 * PAGE_SIZE), 0);
    EXPECT_EQUAL(dma_iova_sync(dev, &s, 0, 2 * PAGE_SIZE), 0);
    expect_none(r);
    dma_iova_sync(dev, &s, 3 * PAGE_SIZE, PAGE_SIZE);
    expect_finding(r, "syncs 4096 bytes at offset 12288, where nothing is linked");
    EXPECT_EQUAL(link(dev, &s, PAGE_SIZE, PAGE_SIZE), -EADDRINUSE);
    expect_finding(r, ", which is linked, mapped at " HERE);
    dma_iova_free(dev, &s);
    expect_finding(r, " is still linked, mapped at " HERE);
    dma_unmap_phys(dev, s.addr, 2 * PAGE_SIZE, DMA_TO_DEVICE, 0);
    expect_finding(r, " as a single range, which is a linked piece");
    dma_iova_unlink(dev, &s, PAGE_SIZE, 2 * PAGE_SIZE, DMA_TO_DEVICE, 0);
    expect_finding(r, "unlinks 8192 bytes at offset 4096, which are not all linked");
    dma_iova_unlink(dev, &s, PAGE_SIZE, PAGE_SIZE, DMA_TO_DEVICE, 0); /* A half of it. */
    expect_none(r);
    dma_iova_unlink(dev, &s, 0, PAGE_SIZE, DMA_FROM_DEVICE, 0);
    expect_finding(r, "with another direction, mapped at " HERE);
    dma_iova_free(dev, &s);
    expect_none(r);
    dma_iova_free(dev, &s);
    expect_finding(r, "which has been given back at " HERE);
    EXPECT_EQUAL(link(dev, &s, 0, PAGE_SIZE), -EINVAL);
    expect_finding(r, "links into 0x");
    EXPECT_EQUAL(link(dev, &none, 0, PAGE_SIZE), -EINVAL);
    expect_finding(r, "links into a state without addresses");
    dma_iova_destroy(dev, &none, PAGE_SIZE, DMA_TO_DEVICE, 0);
    expect_finding(r, "destroys a state without addresses");
}

TEST_CASE(dma_debug, pieces_undone_where_none_are_linked_are_found)
{
    run(RIG_FAKE, false, pieces);
    run(RIG_VTD, false, pieces);
}

static void ranges(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct dma_iova_state s, copy;
    (void)state;
    EXPECT(dma_iova_try_alloc(dev, &s, 0, 3 * PAGE_SIZE));
    EXPECT_EQUAL(link(dev, &s, 0, PAGE_SIZE), 0);
    EXPECT_EQUAL(link(dev, &s, PAGE_SIZE, 3 * PAGE_SIZE), 0); /* Of four granules' room. */
    expect_finding(r,
                   "links 12288 bytes at offset 4096, beyond the 12288 of the range at ");
    dma_iova_destroy(dev, &s, 2 * PAGE_SIZE, DMA_TO_DEVICE, 0);
    expect_finding(r, " as 8192 bytes, of which 16384 are linked, allocated at " HERE);
    dma_iova_destroy(dev, &s, 3 * PAGE_SIZE, DMA_TO_DEVICE, 0);
    expect_finding(r, "which has been given back at " HERE);

    EXPECT(dma_iova_try_alloc(dev, &s, 0, 3 * PAGE_SIZE));
    EXPECT_EQUAL(link(dev, &s, 0, PAGE_SIZE), 0);
    EXPECT_EQUAL(link(dev, &s, 2 * PAGE_SIZE, PAGE_SIZE), 0);
    dma_iova_destroy(dev, &s, 3 * PAGE_SIZE, DMA_TO_DEVICE, 0);
    expect_finding(r, "of which 4096 are linked, and more behind a gap, mapped at " HERE);
    dma_iova_unlink(dev, &s, 2 * PAGE_SIZE, PAGE_SIZE, DMA_TO_DEVICE, 0);
    copy = s; /* A state may move. */
    EXPECT(dma_iova_try_alloc(dev, &s, 0, PAGE_SIZE));
    dma_iova_free(dev, &s);
    dma_iova_destroy(dev, &copy, PAGE_SIZE, DMA_TO_DEVICE, 0);
    expect_none(r);
}

TEST_CASE(dma_debug, ranges_that_are_overrun_or_destroyed_with_another_length_are_found)
{
    run(RIG_FAKE, false, ranges);
    run(RIG_VTD, false, ranges);
}

/* ---- Leaks --------------------------------------------------------------------------- */

static char leak[4][512];
static unsigned leaks;

static void note_leak(void *self, const char *text)
{
    (void)self;
    snprintf(leak[leaks++ % 4], sizeof leak[0], "%s", text);
}

static void leaves_things(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct dma_iova_state s, kept;
    (void)state;
    const dma_addr_t addr = map(dev, MEM, 100, DMA_TO_DEVICE);
    EXPECT(dma_iova_try_alloc(dev, &s, 0, PAGE_SIZE));
    kept = s;
    EXPECT(dma_iova_try_alloc(dev, &s, 0, PAGE_SIZE));
    dma_iova_free(dev, &s);
    r->kernel.finding = note_leak;
    leaks             = 0;
    kernel_remove_device(dev);
    EXPECT_EQUAL(leaks, 2);
    EXPECT_HAS(leak[1], "dma_debug: device: leaves a single range behind, 100 bytes at 0x");
    EXPECT_HAS(leak[0], "leaves a range of addresses behind, 4096 bytes at 0x");
    EXPECT_HAS(leak[0], "; its state was taken for another range at " HERE);
    expected        = 2;
    r->kernel.debug = (dma_debug_free(r->kernel.debug), NULL); /* To clean up unseen. */
    dma_unmap_phys(dev, addr, 100, DMA_TO_DEVICE, 0);
    dma_iova_free(dev, &kept);
}

TEST_CASE(dma_debug, what_a_device_leaves_behind_is_found)
{
    run(RIG_FAKE, false, leaves_things);
}

/* ---- No false alarms, and no cost ---------------------------------------------------- */

static void drives(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(driver_shapes_all(&r->device, MEM, 0xd0000000), 0);
}

TEST_CASE(dma_debug, a_driver_that_does_it_right_hears_nothing)
{
    for (unsigned i = 0; i < 12; i++) {
        struct kernel_rig *r      = kernel_rig_new((enum kernel_rig_hardware)(i % 3));
        r->linux_config.dma_debug = 1;
        r->untrusted              = i / 3 == 1 && i % 3 != RIG_DIRECT;
        r->noncoherent            = i / 3 == 2;
        kernel_rig_policy(r, i / 3 == 3 ? "lazy" : "strict");
        kernel_rig_run(r, drives, NULL);
        EXPECT_EQUAL(r->kernel.stats.finding, 0);
        kernel_rig_free(r);
    }
}

/* Calls through a pointer, and within the arguments of another call. */
static void through_pointers(struct kernel_rig *r, void *state)
{
    struct device *dev                                                 = &r->device;
    dma_addr_t (*const mapper)(struct device *, phys_addr_t, size_t,
                               enum dma_data_direction, unsigned long) = dma_map_phys;
    void (*const unmapper)(struct device *, dma_addr_t, size_t, enum dma_data_direction,
                           unsigned long)                              = &dma_unmap_phys;
    (void)state;
    unmapper(dev, map(dev, MEM, 4096, DMA_TO_DEVICE), 4096, DMA_TO_DEVICE, 0);
    expect_none(r);
    unmapper(dev, mapper(dev, MEM, 4096, DMA_TO_DEVICE, 0), 4096, DMA_TO_DEVICE, 0);
    expected++;
    EXPECT_HAS(dma_debug_finding(&r->kernel), "an unknown place: dma_debug: ");
    EXPECT_HAS(dma_debug_finding(&r->kernel), "mapped at an unknown place");
    dma_unmap_phys(dev, map(dev, MEM, 8192, DMA_TO_DEVICE), 4096, DMA_TO_DEVICE, 0);
    expect_finding(r, "which are 8192, mapped at " HERE);
}

TEST_CASE(dma_debug, functions_keep_their_addresses_and_calls_nest)
{
    run(RIG_FAKE, false, through_pointers);
}
