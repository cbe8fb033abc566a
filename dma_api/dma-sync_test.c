/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-sync.h"

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096 };
#define MEM UINT64_C(0x40000000)

static void run(enum kernel_rig_hardware hardware, bool untrusted, bool noncoherent,
                kernel_program *program)
{
    struct kernel_rig *r = kernel_rig_new(hardware);
    r->untrusted         = untrusted;
    r->noncoherent       = noncoherent;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

static uint64_t behind(struct kernel_rig *r, dma_addr_t addr)
{
    uint64_t pa = 0;
    EXPECT(kernel_rig_lookup(r, &r->domain->table, addr, &pa) != 0);
    return pa;
}

static uint64_t cycles(struct kernel_rig *r)
{
    return cpu_this()->time / r->cpu_config.period_ps;
}

/* ---- Coherent --------------------------------------------------------------------------
 */

static void skipped(struct kernel_rig *r, void *state)
{
    struct scatterlist list;
    struct device *dev = &r->device;
    (void)state;
    sg_init_table(&list, 1);
    sg_set_page(&list, phys_to_page(MEM), PAGE, 0);
    EXPECT_EQUAL(dma_map_sg(dev, &list, 1, DMA_FROM_DEVICE), 1);
    const dma_addr_t a    = list.dma_address;
    const uint64_t before = cycles(r);
    dma_sync_single_for_cpu(dev, a, 8, DMA_FROM_DEVICE);
    dma_sync_single_for_device(dev, a, 8, DMA_FROM_DEVICE);
    dma_sync_sg_for_cpu(dev, &list, 1, DMA_FROM_DEVICE);
    dma_sync_sg_for_device(dev, &list, 1, DMA_FROM_DEVICE);
    EXPECT_EQUAL(cycles(r), before); /* Not even a call. */
    EXPECT_EQUAL(r->kernel.stats.sync, 0);
    EXPECT(!dma_need_sync(dev, a));
    EXPECT_EQUAL(dma_need_unmap(dev), dev->dma_iommu);
    dma_unmap_sg(dev, &list, 1, DMA_FROM_DEVICE);
}

TEST_CASE(dma_sync, a_coherent_device_that_never_bounced_has_nothing_to_sync)
{
    run(RIG_FAKE, false, false, skipped);
    run(RIG_FAKE, true, false, skipped);
    run(RIG_DIRECT, false, false, skipped);
}

/* ---- Bounced ---------------------------------------------------------------------------
 */

static void bounced(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct memory *m   = &r->memory;
    (void)state;
    const dma_addr_t a  = dma_map_single(dev, phys_to_virt(MEM), 64, DMA_BIDIRECTIONAL);
    const uint64_t slot = behind(r, a);
    const unsigned from = r->events;
    memory_write64(m, slot + 16, 5);
    memory_write64(m, slot + 24, 6);
    dma_sync_single_range_for_cpu(dev, a, 16, 8, DMA_BIDIRECTIONAL);
    EXPECT_EQUAL(memory_read64(m, MEM + 16), 5);
    EXPECT_EQUAL(memory_read64(m, MEM + 24), 0); /* Only what was named. */
    memory_write64(m, MEM + 16, 7);
    dma_sync_single_range_for_device(dev, a, 16, 8, DMA_BIDIRECTIONAL);
    EXPECT_EQUAL(memory_read64(m, slot + 16), 7);
    memory_write64(m, slot + 16, 8);
    dma_sync_single_for_cpu(dev, a, 64, DMA_TO_DEVICE);
    EXPECT_EQUAL(memory_read64(m, MEM + 16), 7); /* The device wrote nothing. */
    dma_sync_single_for_device(dev, a, 64, DMA_FROM_DEVICE);
    EXPECT_EQUAL(memory_read64(m, slot + 16), 8); /* The CPU wrote nothing. */
    EXPECT_EQUAL(r->kernel.stats.sync, 4);
    EXPECT_EQUAL(r->events, from); /* No sync invalidates anything. */
    dma_sync_single_for_cpu(dev, a + PAGE, 8, DMA_BIDIRECTIONAL); /* Nothing mapped. */
    dma_unmap_single(dev, a, 64, DMA_BIDIRECTIONAL);
    EXPECT_EQUAL(memory_read64(m, MEM + 24), 6);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(dma_sync, a_bounced_buffer_is_copied_part_by_part_in_its_direction)
{
    run(RIG_FAKE, true, false, bounced);
}

/* ---- Not coherent ----------------------------------------------------------------------
 */

static void caches(struct kernel_rig *r, void *state)
{
    struct device *dev  = &r->device;
    const uint64_t line = r->cost.cache_line_cycles, call = r->cost.call_cycles,
                   barrier = r->cpu_config.barrier_cycles;
    (void)state;
    const dma_addr_t a = dma_map_phys(dev, MEM, PAGE, DMA_FROM_DEVICE, 0);
    const uint64_t walk =
        !dev->dma_iommu ? 0 : 4 * (r->cost.table_level_cycles + r->cpu_config.hit_cycles);
    EXPECT(dma_need_sync(dev, a));
    EXPECT(dma_need_unmap(dev));
    cpu_write64(cpu_this(), MEM, 1);
    cpu_write64(cpu_this(), MEM + 64, 1);
    uint64_t before = cycles(r);
    dma_sync_single_for_cpu(dev, a + 60, 8, DMA_FROM_DEVICE);
    EXPECT_EQUAL(cycles(r) - before, call + walk + 2 * line + barrier);
    EXPECT_EQUAL(memory_line(&r->memory, MEM)->holders, 0); /* It must miss now. */
    before = cycles(r);
    dma_sync_single_for_cpu(dev, a, PAGE, DMA_TO_DEVICE); /* It did not write. */
    EXPECT_EQUAL(cycles(r) - before, call + walk + barrier);
    before = cycles(r);
    dma_sync_single_for_device(dev, a, PAGE, DMA_TO_DEVICE);
    EXPECT_EQUAL(cycles(r) - before, call + walk + 64 * line + barrier);
    dma_unmap_phys(dev, a, PAGE, DMA_FROM_DEVICE, DMA_ATTR_SKIP_CPU_SYNC);
    EXPECT_EQUAL(r->kernel.stats.bounce, 0);
}

TEST_CASE(dma_sync, memory_of_a_device_that_is_not_coherent_leaves_the_caches)
{
    run(RIG_FAKE, false, true, caches);
    run(RIG_DIRECT, false, true, caches);
}

static uint64_t price(struct kernel_rig *r, unsigned long attrs)
{
    struct device *dev    = &r->device;
    const uint64_t before = cycles(r);
    const dma_addr_t a    = dma_map_phys(dev, MEM, PAGE, DMA_FROM_DEVICE, attrs);
    EXPECT_EQUAL(dma_mapping_error(dev, a), 0);
    dma_unmap_phys(dev, a, PAGE, DMA_FROM_DEVICE, attrs);
    return cycles(r) - before;
}

static void attributes(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    struct dma_iova_state s;
    (void)state;
    price(r, 0); /* Warm. */
    price(r, DMA_ATTR_SKIP_CPU_SYNC);
    EXPECT(price(r, 0) - price(r, DMA_ATTR_SKIP_CPU_SYNC)
           >= 2 * 64 * r->cost.cache_line_cycles);
    EXPECT(price(r, DMA_ATTR_MMIO) <= price(r, DMA_ATTR_SKIP_CPU_SYNC));
    EXPECT_EQUAL(dma_map_phys(dev, MEM, PAGE, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT),
                 DMA_MAPPING_ERROR);
    struct scatterlist list;
    struct sg_table table = { &list, 0, 1 };
    sg_init_table(&list, 1);
    sg_set_page(&list, phys_to_page(MEM), PAGE, 0);
    EXPECT_EQUAL(dma_map_sgtable(dev, &table, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT),
                 -EOPNOTSUPP);
    EXPECT(dma_iova_try_alloc(dev, &s, 0, PAGE));
    EXPECT_EQUAL(
        dma_iova_link(dev, &s, MEM, 0, PAGE, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT),
        -EOPNOTSUPP);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    dma_iova_free(dev, &s);
}

TEST_CASE(dma_sync, attributes_skip_the_maintenance_or_refuse_the_device)
{
    run(RIG_FAKE, false, true, attributes);
}

static void iova_caches(struct kernel_rig *r, void *state)
{
    struct device *dev  = &r->device;
    const uint64_t line = r->cost.cache_line_cycles;
    struct dma_iova_state s;
    uint64_t spent[2];
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const unsigned long attrs = i % 2 != 0 ? DMA_ATTR_SKIP_CPU_SYNC : 0;
        const uint64_t before     = cycles(r);
        EXPECT(dma_iova_try_alloc(dev, &s, 0, PAGE));
        EXPECT_EQUAL(dma_iova_link(dev, &s, MEM, 0, PAGE, DMA_FROM_DEVICE, attrs), 0);
        EXPECT_EQUAL(dma_iova_sync(dev, &s, 0, PAGE), 0);
        dma_iova_destroy(dev, &s, PAGE, DMA_FROM_DEVICE, attrs);
        spent[i % 2] = cycles(r) - before;
    }
    EXPECT(spent[0] - spent[1] >= 2 * 64 * line);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(dma_sync, links_of_a_device_that_is_not_coherent_are_maintained_too)
{
    run(RIG_FAKE, false, true, iova_caches);
}

/* ---- Buffers that share a cache line ---------------------------------------------------
 */

static void shared_lines(struct kernel_rig *r, void *state)
{
    static const struct {
        unsigned size;
        enum dma_data_direction dir;
        unsigned bounced;
    } some[]           = { { 8, DMA_FROM_DEVICE, 1 },    { 8, DMA_TO_DEVICE, 0 },
                           { 40, DMA_FROM_DEVICE, 0 },   { 64, DMA_FROM_DEVICE, 0 },
                           { 70, DMA_BIDIRECTIONAL, 1 }, { 100, DMA_FROM_DEVICE, 0 },
                           { 130, DMA_FROM_DEVICE, 0 },  { 300, DMA_FROM_DEVICE, 0 } };
    struct device *dev = &r->device;
    (void)state;
    for (unsigned i = 0; i < sizeof some / sizeof some[0]; i++) {
        const uint64_t before = r->kernel.stats.bounce;
        const dma_addr_t a    = dma_map_phys(dev, MEM, some[i].size, some[i].dir, 0);
        EXPECT_EQUAL(r->kernel.stats.bounce - before, some[i].bounced);
        dma_unmap_phys(dev, a, some[i].size, some[i].dir, 0);
    }
    struct scatterlist list[2];
    sg_init_table(list, 2);
    sg_set_page(&list[0], phys_to_page(MEM), PAGE, 0);
    sg_set_page(&list[1], phys_to_page(MEM + PAGE), 8, 0);
    EXPECT_EQUAL(dma_map_sg(dev, list, 2, DMA_FROM_DEVICE), 2);
    EXPECT_EQUAL(list[0].dma_flags, SG_DMA_SWIOTLB);
    dma_unmap_sg(dev, list, 2, DMA_FROM_DEVICE);
    EXPECT_EQUAL(dma_map_sg(dev, list, 2, DMA_TO_DEVICE), 1); /* Merged. */
    EXPECT_EQUAL(list[0].dma_flags, 0);
    dma_sync_sg_for_cpu(dev, list, 2, DMA_TO_DEVICE);
    dma_sync_sg_for_device(dev, list, 2, DMA_TO_DEVICE);
    dma_unmap_sg(dev, list, 2, DMA_TO_DEVICE);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(dma_sync, small_buffers_bounce_that_share_a_line_with_what_the_cpu_writes)
{
    run(RIG_FAKE, false, true, shared_lines);
}
