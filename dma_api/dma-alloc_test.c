/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-mapping.h"

#include "sim/test/failing.h"
#include "sim/test/shim.h"

enum { PAGE = 4096 };
#define TOP (UINT64_C(1) << 32)

static unsigned behind(struct kernel_rig *r, dma_addr_t addr, uint64_t *pa)
{
    *pa = addr;
    return r->domain == NULL ? PT_READ | PT_WRITE
                             : kernel_rig_lookup(r, &r->domain->table, addr, pa);
}

static void expect_empty(struct kernel_rig *r)
{
    if (r->domain == NULL)
        return;
    EXPECT_EQUAL(r->domain->iova.live, 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 21), 0);
}

/* ---- Pages -----------------------------------------------------------------------------
 */

static void pages(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    dma_addr_t handle;
    uint64_t pa;
    (void)state;
    struct page *page =
        dma_alloc_pages(dev, PAGE + 1, &handle, DMA_FROM_DEVICE, GFP_KERNEL);
    REQUIRE(page != NULL);
    EXPECT(behind(r, handle + PAGE, &pa) & PT_WRITE);
    EXPECT_EQUAL(pa, page_to_phys(page) + PAGE);
    if (r->domain != NULL)
        EXPECT_EQUAL(behind(r, handle, &pa), PT_WRITE); /* The direction counts. */
    memory_write64(&r->memory, page_to_phys(page), 5);
    dma_free_pages(dev, PAGE + 1, page, handle, DMA_FROM_DEVICE);
    char *memory =
        (char *)dma_alloc_noncoherent(dev, 2 * PAGE, &handle, DMA_TO_DEVICE, GFP_KERNEL);
    REQUIRE(memory != NULL);
    EXPECT_EQUAL(memory_read64(&r->memory, virt_to_phys(memory)), 0); /* Cleared. */
    behind(r, handle, &pa);
    EXPECT_EQUAL(pa, virt_to_phys(memory));
    dma_free_noncoherent(dev, 2 * PAGE, memory, handle, DMA_TO_DEVICE);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    expect_empty(r);
}

TEST_CASE(dma_alloc, pages_are_cleared_contiguous_and_mapped_for_their_direction)
{
    kernel_rig_once(RIG_FAKE, pages);
    kernel_rig_once(RIG_DIRECT, pages);
}

static void coherent(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    dma_addr_t handle;
    uint64_t pa;
    (void)state;
    void *memory = dma_alloc_wc(dev, 3 * PAGE, &handle, GFP_KERNEL | __GFP_NOWARN);
    REQUIRE(memory != NULL);
    EXPECT_EQUAL(behind(r, handle, &pa), PT_READ | PT_WRITE);
    dma_free_wc(dev, 3 * PAGE, memory, handle);
    memory = dma_alloc_attrs(dev, PAGE, &handle, GFP_KERNEL, DMA_ATTR_NO_KERNEL_MAPPING);
    REQUIRE(memory != NULL);
    behind(r, handle, &pa);
    EXPECT_EQUAL(
        r->domain == NULL ? page_to_phys((struct page *)memory) : virt_to_phys(memory), pa);
    dma_free_attrs(dev, PAGE, memory, handle, DMA_ATTR_NO_KERNEL_MAPPING);
    dma_free_coherent(dev, PAGE, NULL, 0); /* Nothing. */
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    expect_empty(r);
}

TEST_CASE(dma_alloc, coherent_memory_has_the_shape_that_its_attributes_say)
{
    kernel_rig_once(RIG_FAKE, coherent);
    kernel_rig_once(RIG_DIRECT, coherent);
}

static void warnings(struct kernel_rig *r, void *state)
{
    static const gfp_t zones[] = { __GFP_DMA, __GFP_DMA32, __GFP_HIGHMEM, __GFP_COMP };
    struct device *dev         = &r->device;
    dma_addr_t h;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        EXPECT(dma_alloc_pages(dev, PAGE, &h, DMA_TO_DEVICE, zones[i]) == NULL);
    EXPECT(dma_alloc_noncoherent(dev, PAGE, &h, DMA_TO_DEVICE, __GFP_COMP) == NULL);
    EXPECT(dma_alloc_coherent(dev, PAGE, &h, __GFP_COMP) == NULL);
    EXPECT(dma_alloc_noncontiguous(dev, PAGE, DMA_TO_DEVICE, __GFP_COMP, 0) == NULL);
    EXPECT(dma_alloc_noncontiguous(dev, PAGE, DMA_TO_DEVICE, GFP_KERNEL, DMA_ATTR_NO_WARN)
           == NULL);
    EXPECT_EQUAL(r->kernel.stats.warning, 5); /* One for all zones, one for both shapes. */
    EXPECT_EQUAL(r->kernel.stats.warning_repeated, 3);
    void *memory = dma_alloc_coherent(dev, PAGE, &h, GFP_KERNEL);
    cpu_irq_disable(cpu_this());
    dma_free_coherent(dev, PAGE, memory, h);
    cpu_irq_enable(cpu_this());
    EXPECT_TEXT(r->kernel.last_warning, "dma_free_attrs: interrupts are off");
    dev->coherent_dma_mask = 0;
    memory                 = dma_alloc_coherent(dev, PAGE, &h, GFP_KERNEL);
    EXPECT_TEXT(r->kernel.last_warning,
                "dma_alloc_attrs: the device has no coherent DMA mask");
    if (memory != NULL)
        dma_free_coherent(dev, PAGE, memory, h);
    EXPECT_EQUAL(r->kernel.stats.warning, 7);
    expect_empty(r);
}

TEST_CASE(dma_alloc, what_cannot_be_had_is_said_once_and_refused)
{
    kernel_rig_once(RIG_FAKE, warnings);
    kernel_rig_once(RIG_DIRECT, warnings);
}

/* ---- Noncontiguous ---------------------------------------------------------------------
 */

static void expect_bytes(struct kernel_rig *r, struct sg_table *sgt, size_t size)
{
    struct scatterlist *sg;
    uint64_t at = 0, pa;
    unsigned i;
    EXPECT_EQUAL(sgt->nents, 1);
    EXPECT_EQUAL(sg_dma_len(sgt->sgl), size);
    for_each_sg(sgt->sgl, sg, sgt->orig_nents, i)
    {
        for (uint64_t in = 0; in < sg->length; in += PAGE, at += PAGE) {
            EXPECT_EQUAL(behind(r, sg_dma_address(sgt->sgl) + at, &pa), PT_READ | PT_WRITE);
            EXPECT_EQUAL(pa, sg_phys(sg) + in);
            EXPECT_EQUAL(memory_read64(&r->memory, pa), 0);
        }
    }
    EXPECT_EQUAL(at, size);
}

static void expect_view(struct kernel_rig *r, struct sg_table *sgt, char *view, size_t size)
{
    uint64_t pa;
    for (size_t at = 0; at < size; at += PAGE) {
        behind(r, sg_dma_address(sgt->sgl) + at, &pa);
        const phys_addr_t phys = is_vmalloc_addr(view + at)
                                     ? page_to_phys(vmalloc_to_page(view + at + 9))
                                     : virt_to_phys(view + at);
        EXPECT_EQUAL(phys, pa);
    }
}

static void noncontiguous(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    (void)state;
    const phys_addr_t odd  = kernel_pages_get(&r->kernel, 0); /* So that pages scatter. */
    const phys_addr_t hole = kernel_pages_get(&r->kernel, 0);
    kernel_pages_put(&r->kernel, odd, 0);
    struct sg_table *sgt =
        dma_alloc_noncontiguous(dev, 5 * PAGE - 1, DMA_FROM_DEVICE, GFP_KERNEL, 0);
    REQUIRE(sgt != NULL);
    EXPECT_EQUAL(sgt->orig_nents, r->domain == NULL ? 1 : 2);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_MAP_SYNC, 0), r->domain != NULL);
    expect_bytes(r, sgt, 5 * PAGE);
    EXPECT(sg_next(&sgt->sgl[sgt->orig_nents - 1]) == NULL);
    char *a = (char *)dma_vmap_noncontiguous(dev, 5 * PAGE, sgt);
    char *b = (char *)dma_vmap_noncontiguous(dev, 5 * PAGE, sgt);
    REQUIRE(a != NULL && b != NULL);
    EXPECT_EQUAL(a != b, r->domain != NULL);
    expect_view(r, sgt, a, 5 * PAGE);
    expect_view(r, sgt, b, 5 * PAGE);
    if (r->domain != NULL)
        EXPECT_EQUAL(dma_map_single(dev, a, 64, DMA_TO_DEVICE), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->kernel.stats.warning, r->domain != NULL);
    dma_vunmap_noncontiguous(dev, a);
    EXPECT(r->domain == NULL || vmalloc_to_page(a) == NULL);
    expect_view(r, sgt, b, 5 * PAGE);
    dma_vunmap_noncontiguous(dev, b);
    dma_free_noncontiguous(dev, 5 * PAGE - 1, sgt, DMA_FROM_DEVICE);
    kernel_pages_put(&r->kernel, hole, 0);
    expect_empty(r);
}

TEST_CASE(dma_alloc, noncontiguous_memory_is_one_range_for_the_device_and_for_the_cpu)
{
    kernel_rig_once(RIG_FAKE, noncontiguous);
    kernel_rig_once(RIG_DIRECT, noncontiguous);
}

static void large(struct kernel_rig *r, void *state)
{
    struct device *dev = &r->device;
    const size_t size  = (4 << 20) + 3 * PAGE;
    (void)state;
    struct sg_table *sgt = dma_alloc_noncontiguous(dev, size, DMA_TO_DEVICE, GFP_KERNEL, 0);
    REQUIRE(sgt != NULL);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 21), 2);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 3);
    expect_bytes(r, sgt, size);
    dma_free_noncontiguous(dev, size, sgt, DMA_TO_DEVICE);
    expect_empty(r);
    kernel_rig_fail_at(r, 3); /* Behind the lists. No large page: small ones do. */
    sgt = dma_alloc_noncontiguous(dev, 2 << 20, DMA_TO_DEVICE, GFP_KERNEL, 0);
    REQUIRE(sgt != NULL);
    EXPECT(r->allocations > 512);
    dma_free_noncontiguous(dev, 2 << 20, sgt, DMA_TO_DEVICE);
    kernel_rig_fail_at(r, 0);
    sgt = dma_alloc_noncontiguous(dev, 2 << 20, DMA_TO_DEVICE, GFP_KERNEL,
                                  DMA_ATTR_ALLOC_SINGLE_PAGES);
    REQUIRE(sgt != NULL);
    EXPECT(r->allocations > 512);
    dma_free_noncontiguous(dev, 2 << 20, sgt, DMA_TO_DEVICE);
    EXPECT(dma_alloc_noncontiguous(dev, 0, DMA_TO_DEVICE, GFP_KERNEL, 0) == NULL);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    expect_empty(r);
}

TEST_CASE(dma_alloc, noncontiguous_memory_takes_the_largest_pages_that_it_can_have)
{
    kernel_rig_once(RIG_FAKE, large);
}

/* Two elements in tables of their own, and no page for the second's table. */
static void half_mapped(struct kernel_rig *r, void *state)
{
    (void)state;
    kernel_pages_put(&r->kernel, kernel_pages_get(&r->kernel, 0),
                     0); /* Far from the rest. */
    const dma_addr_t iova = TOP - (4 << 20);
    kernel_rig_fail_at(r, 9); /* Behind lists, both pages, the address node, two tables. */
    EXPECT(
        dma_alloc_noncontiguous(&r->device, (2 << 20) + PAGE, DMA_TO_DEVICE, GFP_KERNEL, 0)
        == NULL);
    EXPECT(kernel_rig_failed(r));
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 1);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, 0, 0);
    REQUIRE(e != NULL);
    EXPECT_EQUAL(e->first, iova);
    EXPECT_EQUAL(e->last, iova + (2 << 20) - 1);
    EXPECT(!e->mapped);
    expect_empty(r);
}

TEST_CASE(dma_alloc, what_was_mapped_before_a_failure_is_invalidated)
{
    kernel_rig_once(RIG_FAKE, half_mapped);
}

/* ---- Failing allocations ---------------------------------------------------------------
 */

static bool try_pages(struct kernel_rig *r)
{
    dma_addr_t handle;
    void *memory =
        dma_alloc_noncoherent(&r->device, 3 * PAGE, &handle, DMA_BIDIRECTIONAL, GFP_KERNEL);
    if (memory != NULL)
        dma_free_noncoherent(&r->device, 3 * PAGE, memory, handle, DMA_BIDIRECTIONAL);
    return memory != NULL;
}

static bool try_noncontiguous(struct kernel_rig *r)
{
    const size_t size = 5 * PAGE;
    struct sg_table *sgt =
        dma_alloc_noncontiguous(&r->device, size, DMA_BIDIRECTIONAL, GFP_KERNEL, 0);
    if (sgt == NULL)
        return false;
    void *view = dma_vmap_noncontiguous(&r->device, size, sgt);
    if (view != NULL)
        dma_vunmap_noncontiguous(&r->device, view);
    dma_free_noncontiguous(&r->device, size, sgt, DMA_BIDIRECTIONAL);
    return view != NULL;
}

static unsigned fail_each(enum kernel_rig_hardware hardware,
                          bool (*try)(struct kernel_rig *r))
{
    const struct failing_calls how = { hardware, .expect_empty = expect_empty };
    return failing_calls(&how, try, NULL);
}

TEST_CASE(dma_alloc, no_memory_at_any_place_leaves_nothing_behind)
{
    EXPECT_EQUAL(fail_each(RIG_FAKE, try_pages), 4); /* The memory, and three tables. */
    /* Five pages, three tables, three lists, and vmap. */
    EXPECT_EQUAL(fail_each(RIG_FAKE, try_noncontiguous), 12);
    EXPECT_EQUAL(fail_each(RIG_DIRECT, try_pages), 1);
    EXPECT_EQUAL(fail_each(RIG_DIRECT, try_noncontiguous), 3);
}
