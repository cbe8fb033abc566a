/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-mapping.h"

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096 };
#define MEM UINT64_C(0x40000000)

/* ---- Names for memory ------------------------------------------------------------------
 */

TEST_CASE(dma_mapping, pages_and_addresses_stand_for_physical_memory)
{
    static const phys_addr_t some[] = { 0, PAGE, MEM, (UINT64_C(1) << 52) - PAGE };
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQUAL(page_to_phys(phys_to_page(some[i])), some[i]);
        EXPECT_EQUAL(page_to_phys(phys_to_page(some[i] + 77)), some[i]);
        EXPECT_EQUAL(page_to_pfn(pfn_to_page(some[i] >> PAGE_SHIFT)), some[i] >> 12);
        EXPECT_EQUAL(virt_to_phys(phys_to_virt(some[i] + 77)), some[i] + 77);
        EXPECT(phys_to_virt(some[i]) != NULL);
        EXPECT(phys_to_page(some[i]) != NULL);
    }
    EXPECT_EQUAL(DMA_BIT_MASK(64), UINT64_MAX);
    EXPECT_EQUAL(DMA_BIT_MASK(32), 0xffffffff);
}

TEST_CASE(dma_mapping, a_scatter_list_ends_where_it_was_said_to)
{
    struct scatterlist list[3], *sg;
    int i, seen = 0;
    sg_init_table(list, 3);
    for (i = 0; i < 3; i++)
        sg_set_page(&list[i], pfn_to_page(7 + (unsigned)i), 100, 9);
    for_each_sg(list, sg, 3, i)
    {
        EXPECT_EQUAL(sg_phys(sg), (phys_addr_t)(7 + i) * PAGE + 9);
        seen++;
    }
    EXPECT_EQUAL(seen, 3);
    EXPECT(sg_next(&list[1]) == &list[2]);
    EXPECT(sg_next(&list[2]) == NULL);
}

/* ---- Questions -------------------------------------------------------------------------
 */

static void behind_iommu(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    EXPECT_EQUAL(dma_get_merge_boundary(dev), PAGE - 1);
    EXPECT_EQUAL(dma_opt_mapping_size(dev), 128 * 1024);
    EXPECT_EQUAL(dma_max_mapping_size(dev), SIZE_MAX);
    EXPECT(dma_need_unmap(dev));
    EXPECT_EQUAL(dma_get_required_mask(dev), DMA_BIT_MASK(32));
}

static void without_iommu(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    EXPECT_EQUAL(dma_get_merge_boundary(dev), 0);
    EXPECT_EQUAL(dma_opt_mapping_size(dev), SIZE_MAX);
    EXPECT_EQUAL(dma_max_mapping_size(dev), SIZE_MAX);
    EXPECT(!dma_need_unmap(dev));
}

TEST_CASE(dma_mapping, a_device_is_told_what_its_iommu_makes_of_its_mappings)
{
    kernel_rig_once(RIG_FAKE, behind_iommu);
    kernel_rig_once(RIG_DIRECT, without_iommu);
}

static void settings(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    EXPECT_EQUAL(*dev->dma_mask, DMA_BIT_MASK(32)); /* Until it says otherwise. */
    EXPECT_EQUAL(dma_get_max_seg_size(dev), 65536);
    EXPECT_EQUAL(dma_get_min_align_mask(dev), 0);
    dma_set_max_seg_size(dev, 0xffffffff);
    dma_set_min_align_mask(dev, 4095);
    dma_set_seg_boundary(dev, 0xffff);
    EXPECT_EQUAL(dma_get_max_seg_size(dev), 0xffffffff);
    EXPECT_EQUAL(dma_get_min_align_mask(dev), 4095);
    EXPECT_EQUAL(dev->dma_parms.segment_boundary_mask, 0xffff);

    EXPECT_EQUAL(dma_set_mask(dev, DMA_BIT_MASK(48)), 0);
    EXPECT_EQUAL(dev->coherent_dma_mask, DMA_BIT_MASK(32));
    EXPECT_EQUAL(dma_set_coherent_mask(dev, DMA_BIT_MASK(40)), 0);
    EXPECT_EQUAL(dma_set_mask(dev, DMA_BIT_MASK(20)), -EIO);
    EXPECT_EQUAL(dma_set_coherent_mask(dev, DMA_BIT_MASK(20)), -EIO);
    EXPECT_EQUAL(*dev->dma_mask, DMA_BIT_MASK(48)); /* A refused mask changes nothing. */
    EXPECT_EQUAL(dev->coherent_dma_mask, DMA_BIT_MASK(40));
    EXPECT_EQUAL(dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64)), 0);
    EXPECT_EQUAL(*dev->dma_mask & dev->coherent_dma_mask, UINT64_MAX);
    dev->dma_mask = NULL;
    EXPECT_EQUAL(dma_set_mask_and_coherent(dev, DMA_BIT_MASK(32)), -EIO);
    EXPECT_EQUAL(dev->coherent_dma_mask, UINT64_MAX);
}

TEST_CASE(dma_mapping, masks_and_limits_keep_what_they_are_set_to)
{
    kernel_rig_once(RIG_DIRECT, settings);
}

static void narrow(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    EXPECT_EQUAL(dma_set_mask_and_coherent(dev, DMA_BIT_MASK(20)), 0); /* A domain can. */
    EXPECT(dma_addressing_limited(dev));
    const dma_addr_t a = dma_map_phys(dev, MEM, 64, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(a, (1 << 20) - PAGE);
    dma_unmap_phys(dev, a, 64, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(dma_set_mask(dev, DMA_BIT_MASK(32)), 0);
    EXPECT(!dma_addressing_limited(dev));
    dev->bus_dma_limit = DMA_BIT_MASK(31);
    EXPECT(dma_addressing_limited(dev));
}

TEST_CASE(dma_mapping, behind_an_iommu_any_mask_will_do)
{
    kernel_rig_once(RIG_FAKE, narrow);
}

static void more_settings(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    uint64_t *mask     = dev->dma_mask;
    (void)state;
    EXPECT_EQUAL(dma_get_required_mask(dev), DMA_BIT_MASK(52));
    EXPECT(dma_addressing_limited(dev)); /* 32 bits until it says otherwise. */
    EXPECT_EQUAL(dma_get_seg_boundary(dev), UINT64_MAX);
    EXPECT_EQUAL(dma_get_seg_boundary_nr_pages(NULL, 12), 1 << 20);
    dma_set_seg_boundary(dev, 0xffff);
    EXPECT_EQUAL(dma_get_seg_boundary(dev), 0xffff);
    EXPECT_EQUAL(dma_get_seg_boundary_nr_pages(dev, 12), 16);
    EXPECT(dma_pci_p2pdma_supported(dev));
    *dev->dma_mask = 0;
    EXPECT_EQUAL(dma_get_mask(dev), DMA_BIT_MASK(32));
    dev->dma_mask = NULL;
    EXPECT_EQUAL(dma_get_mask(dev), DMA_BIT_MASK(32));
    EXPECT_EQUAL(dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64)), 0);
    EXPECT(dev->dma_mask == &dev->coherent_dma_mask);
    EXPECT_EQUAL(dma_get_mask(dev), UINT64_MAX);
    EXPECT(!dma_addressing_limited(dev));
    EXPECT_EQUAL(dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(20)), -EIO);
    dev->dma_mask      = mask;
    const dma_addr_t a = dma_map_phys(dev, MEM, 64, DMA_TO_DEVICE, DMA_ATTR_CC_SHARED);
    EXPECT_EQUAL(a, DMA_MAPPING_ERROR); /* The mask is 0 here: no address at all. */
    *mask = DMA_BIT_MASK(64);
    EXPECT_EQUAL(dma_map_phys(dev, MEM, 64, DMA_TO_DEVICE, DMA_ATTR_CC_SHARED), MEM);
    dma_unmap_phys(dev, MEM, 64, DMA_TO_DEVICE, DMA_ATTR_CC_SHARED);
}

TEST_CASE(dma_mapping, a_device_without_an_iommu_is_told_what_memory_asks_for)
{
    kernel_rig_once(RIG_DIRECT, more_settings);
}

static void errors(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    EXPECT_EQUAL(dma_mapping_error(dev, DMA_MAPPING_ERROR), -ENOMEM);
    EXPECT_EQUAL(dma_mapping_error(dev, DMA_MAPPING_ERROR - 1), 0);
    EXPECT_EQUAL(dma_mapping_error(dev, 0), 0);
    EXPECT_EQUAL(
        dma_map_page_attrs(dev, phys_to_page(MEM), 0, 64, DMA_TO_DEVICE, DMA_ATTR_MMIO),
        DMA_MAPPING_ERROR); /* A page is no register. */
    EXPECT_EQUAL(r->kernel.stats.map, 0);
    uint64_t *mask = dev->dma_mask;
    dev->dma_mask  = NULL;
    EXPECT_EQUAL(dma_map_phys(dev, MEM, 64, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    dev->dma_mask = mask;
}

TEST_CASE(dma_mapping, errors_are_the_cookie_of_all_ones)
{
    kernel_rig_once(RIG_DIRECT, errors);
    kernel_rig_once(RIG_FAKE, errors);
}

static void no_direction(struct kernel_rig *r, void *state)
{
    (void)state;
    dma_map_phys(&r->device, MEM, 64, DMA_NONE, 0);
}

static void run_no_direction(void *arg)
{
    (void)arg;
    kernel_rig_once(RIG_FAKE, no_direction);
}

TEST_CASE(dma_mapping, a_map_without_a_direction_is_a_violation)
{
    EXPECT_DIES(run_no_direction, NULL, "DMA_TO_DEVICE");
}

/* ---- The shapes of a single map --------------------------------------------------------
 */

static void expect_shape(struct kernel_rig *r, dma_addr_t addr, phys_addr_t phys)
{
    uint64_t pa = 0;
    EXPECT_EQUAL(dma_mapping_error(&r->device, addr), 0);
    if (r->domain == NULL)
        pa = addr;
    else
        EXPECT(kernel_rig_lookup(r, &r->domain->table, addr, &pa) != 0);
    EXPECT_EQUAL(pa, phys);
}

static void shapes(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    const dma_addr_t a = dma_map_page(dev, phys_to_page(MEM), 0x120, 64, DMA_TO_DEVICE);
    const dma_addr_t b = dma_map_single(dev, phys_to_virt(MEM + 9), 64, DMA_FROM_DEVICE);
    const dma_addr_t c = dma_map_resource(dev, 0xd0000000, PAGE, DMA_BIDIRECTIONAL, 0);
    const dma_addr_t d = dma_map_phys(dev, MEM, PAGE, DMA_TO_DEVICE,
                                      DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN);
    (void)state;
    expect_shape(r, a, MEM + 0x120);
    expect_shape(r, b, MEM + 9);
    expect_shape(r, c, 0xd0000000);
    expect_shape(r, d, MEM);
    dma_unmap_page(dev, a, 64, DMA_TO_DEVICE);
    dma_unmap_single(dev, b, 64, DMA_FROM_DEVICE);
    dma_unmap_resource(dev, c, PAGE, DMA_BIDIRECTIONAL, 0);
    dma_unmap_phys(dev, d, PAGE, DMA_TO_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
    EXPECT_EQUAL(r->kernel.stats.map_single, 4);
    EXPECT_EQUAL(r->kernel.stats.unmap_single, 4);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(r->kernel.stats.page_unmapped, r->domain == NULL ? 0 : 4);
}

TEST_CASE(dma_mapping, every_shape_of_a_single_map_maps_the_memory_that_it_names)
{
    kernel_rig_once(RIG_FAKE, shapes);
    kernel_rig_once(RIG_DIRECT, shapes);
}

static void phases(struct kernel_rig *r, void *state)
{
    const struct cpu *cpu = &r->cpu[0];
    (void)state;
    const dma_addr_t a      = dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0);
    const uint64_t *map     = cpu->cycles[PHASE_map];
    const uint64_t *unmap   = cpu->cycles[PHASE_unmap];
    const uint64_t mapped[] = { map[OWNER_dma_api], map[OWNER_iova_alloc],
                                map[OWNER_pt_map] };
    for (unsigned i = 0; i < 3; i++)
        EXPECT(mapped[i] > 0);
    EXPECT_EQUAL(mapped[0], r->cost.call_cycles);
    EXPECT_EQUAL(unmap[OWNER_dma_api], 0);
    dma_unmap_phys(&r->device, a, PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(map[OWNER_dma_api], mapped[0]);
    EXPECT_EQUAL(unmap[OWNER_dma_api], r->cost.call_cycles);
    EXPECT(unmap[OWNER_pt_unmap] > 0);
    EXPECT(unmap[OWNER_iova_free] > 0);
    EXPECT(unmap[OWNER_inval_submit] >= 500);
    EXPECT_EQUAL(cpu->phase, PHASE_other);
    EXPECT_EQUAL(cpu->owner, OWNER_driver);
}

TEST_CASE(dma_mapping, every_cycle_of_a_call_is_on_the_account_of_its_phase)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    r->fake_flush_cycles = 500;
    kernel_rig_run(r, phases, NULL);
    kernel_rig_free(r);
}

/* ---- Without an IOMMU ------------------------------------------------------------------
 */

static void direct(struct kernel_rig *r, void *state)
{
    const uint64_t top = UINT64_C(1) << 32;
    struct scatterlist list[2];
    struct sg_table table = { list, 0, 2 };
    (void)state;
    EXPECT_EQUAL(dma_map_phys(&r->device, top - 64, 64, DMA_TO_DEVICE, 0), top - 64);
    EXPECT_EQUAL(dma_map_phys(&r->device, top - 64, 65, DMA_TO_DEVICE, 0),
                 DMA_MAPPING_ERROR); /* The last byte is beyond the mask. */
    EXPECT_EQUAL(r->kernel.stats.map_failed, 1);
    sg_init_table(list, 2);
    sg_set_page(&list[0], phys_to_page(MEM), 100, 7);
    sg_set_page(&list[1], phys_to_page(MEM + PAGE), PAGE, 0);
    EXPECT_EQUAL(dma_map_sgtable(&r->device, &table, DMA_TO_DEVICE, 0), 0);
    EXPECT_EQUAL(table.nents, 2); /* Nothing merges without an IOMMU. */
    EXPECT_EQUAL(sg_dma_address(&list[0]), MEM + 7);
    EXPECT_EQUAL(sg_dma_len(&list[0]), 100);
    EXPECT_EQUAL(sg_dma_address(&list[1]), MEM + PAGE);
    dma_unmap_sgtable(&r->device, &table, DMA_TO_DEVICE, 0);
    sg_set_page(&list[1], phys_to_page(top), PAGE, 0);
    EXPECT_EQUAL(dma_map_sg(&r->device, list, 2, DMA_TO_DEVICE), 0);
    EXPECT_EQUAL(dma_map_sgtable(&r->device, &table, DMA_TO_DEVICE, 0), -EIO);
    EXPECT_EQUAL(r->kernel.stats.map_failed, 3);
}

TEST_CASE(dma_mapping, direct_mapping_gives_physical_addresses_within_the_mask)
{
    kernel_rig_once(RIG_DIRECT, direct);
}

static void direct_coherent(struct kernel_rig *r, void *state)
{
    dma_addr_t handle = 1;
    (void)state;
    void *memory = dma_alloc_coherent(&r->device, 3 * PAGE, &handle, GFP_KERNEL);
    REQUIRE(memory != NULL);
    EXPECT_EQUAL(handle, virt_to_phys(memory));
    EXPECT_EQUAL(handle & (4 * PAGE - 1), 0); /* Memory comes by powers of two. */
    EXPECT_EQUAL(r->kernel.pages.out, 4);
    memory_write64(&r->memory, handle + 2 * PAGE, 5);
    dma_free_coherent(&r->device, 3 * PAGE, memory, handle);
    memory = dma_alloc_coherent(&r->device, 4 * PAGE, &handle, GFP_KERNEL);
    EXPECT_EQUAL(memory_read64(&r->memory, handle + 2 * PAGE), 0); /* Cleared. */
    dma_free_coherent(&r->device, 4 * PAGE, memory, handle);
    kernel_rig_fail_at(r, 1);
    EXPECT(dma_alloc_coherent(&r->device, PAGE, &handle, GFP_KERNEL) == NULL);
}

TEST_CASE(dma_mapping, coherent_memory_without_an_iommu_is_cleared_and_contiguous)
{
    kernel_rig_once(RIG_DIRECT, direct_coherent);
}
