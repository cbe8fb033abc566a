/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-iommu.h"

#include <string.h>

#include "sim/test/failing.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, BOTH = PT_READ | PT_WRITE };
#define MEM    UINT64_C(0x40000000)
#define TOP    (UINT64_C(1) << 32)
#define FORGET (MEM + UINT64_C(0x100000000)) /* A wrong answer that nothing else gives. */

static unsigned lookup(struct kernel_rig *r, dma_addr_t iova, uint64_t *pa)
{
    *pa = FORGET;
    return kernel_rig_lookup(r, &r->domain->table, iova, pa);
}

static void expect_maps(struct kernel_rig *r, dma_addr_t iova, phys_addr_t phys)
{
    uint64_t pa;
    EXPECT_EQUAL(lookup(r, iova, &pa), PT_READ);
    EXPECT_EQUAL(pa, phys);
}

static void expect_nothing(struct kernel_rig *r, dma_addr_t iova)
{
    uint64_t pa;
    EXPECT_EQUAL(lookup(r, iova, &pa), 0);
}

static void expect_empty(struct kernel_rig *r)
{
    EXPECT_EQUAL(r->domain->iova.live, 0);
    for (unsigned lg2 = 12; lg2 <= 30; lg2 += 9)
        EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, lg2), 0);
}

static int link(struct kernel_rig *r, struct dma_iova_state *s, phys_addr_t phys,
                size_t offset, size_t size)
{
    return dma_iova_link(&r->device, s, phys, offset, size, DMA_TO_DEVICE, 0);
}

static void destroy(struct kernel_rig *r, struct dma_iova_state *s, size_t size)
{
    dma_iova_destroy(&r->device, s, size, DMA_TO_DEVICE, 0);
}

static void unlink_range(struct kernel_rig *r, struct dma_iova_state *s, size_t offset,
                         size_t size)
{
    dma_iova_unlink(&r->device, s, offset, size, DMA_TO_DEVICE, 0);
}

static void run(const char *policy, const char *release, kernel_program *program)
{
    struct kernel_rig *r = kernel_rig_new(RIG_FAKE);
    kernel_rig_policy(r, policy);
    r->linux_config.release = release;
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

/* ---- dma_iova_try_alloc ----------------------------------------------------------------
 */

static void allocates(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s = { 7, 7 };
    (void)state;
    const uint64_t tables = r->kernel.stats.table_allocated;
    EXPECT(dma_iova_try_alloc(&r->device, &s, MEM + 0xe00, 0x1201));
    EXPECT(dma_use_iova(&s));
    EXPECT_EQUAL(dma_iova_size(&s), 0x1201);
    EXPECT_EQUAL(s.addr, TOP - 4 * PAGE + 0xe00); /* Three pages, aligned to four. */
    EXPECT_EQUAL(kernel_rig_event(r, EVENT_HANDED_OUT, 0, 0)->last, TOP - PAGE - 1);
    EXPECT_EQUAL(r->kernel.stats.table_allocated, tables); /* Addresses only. */
    EXPECT_EQUAL(r->kernel.stats.map_iova, 1);
    EXPECT_EQUAL(r->events, 1);
    dma_iova_free(&r->device, &s);
    EXPECT_EQUAL(r->domain->iova.cache[2].cpu[0].loaded->count, 1);
    EXPECT(dma_use_iova(&s)); /* The state is the driver's to clear. */
    expect_empty(r);
}

TEST_CASE(dma_iommu, try_alloc_takes_whole_granules_and_maps_nothing)
{
    kernel_rig_once(RIG_FAKE, allocates);
}

static void refuses(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s = { 7, 7 };
    (void)state;
    EXPECT(!dma_iova_try_alloc(&r->device, &s, MEM, 0));
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(s.addr, 0); /* Zeroed whatever comes. */
    EXPECT_EQUAL(s.__size, 0);
    EXPECT(!dma_iova_try_alloc(&r->device, &s, MEM, DMA_IOVA_USE_SWIOTLB | PAGE));
    EXPECT_EQUAL(r->kernel.stats.warning, 2);
    EXPECT_EQUAL(dma_set_mask(&r->device, DMA_BIT_MASK(24)), 0);
    s = (struct dma_iova_state){ 7, 7 };
    EXPECT(!dma_iova_try_alloc(&r->device, &s, MEM, 1 << 24)); /* Page 0 is missing. */
    EXPECT(!dma_use_iova(&s));
    EXPECT(dma_iova_try_alloc(&r->device, &s, MEM, (1 << 23)));
    EXPECT_EQUAL(s.addr, 1 << 23);
    dma_iova_free(&r->device, &s);
    EXPECT_EQUAL(r->kernel.stats.warning, 2);
    EXPECT_EQUAL(r->kernel.stats.map, 1);
}

TEST_CASE(dma_iommu, try_alloc_refuses_without_size_or_room_and_zeroes_the_state)
{
    kernel_rig_once(RIG_FAKE, refuses);
}

static void unavailable(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s = { 7, 7 };
    (void)state;
    EXPECT(!dma_iova_try_alloc(&r->device, &s, MEM, PAGE));
    EXPECT_EQUAL(s.addr | s.__size, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(dma_iommu, try_alloc_needs_a_domain_and_linux_6_18)
{
    kernel_rig_once(RIG_DIRECT, unavailable);
    run("strict", "6.12", unavailable);
    run("strict", "6.18", allocates);
}

/* ---- dma_iova_link ---------------------------------------------------------------------
 */

static void links(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, MEM + 0x200, 5 * PAGE - 0x200));
    EXPECT_EQUAL(link(r, &s, MEM + 8 * PAGE, 3 * PAGE - 0x200, 2 * PAGE), 0); /* Last. */
    EXPECT_EQUAL(link(r, &s, MEM + 0x200, 0, PAGE - 0x200), 0);               /* First. */
    const dma_addr_t base = s.addr - 0x200;
    expect_maps(r, s.addr, MEM + 0x200);
    expect_nothing(r, base + PAGE); /* The gap stays one. */
    expect_nothing(r, base + 2 * PAGE);
    expect_maps(r, base + 3 * PAGE + 8, MEM + 8 * PAGE + 8);
    expect_maps(r, base + 4 * PAGE, MEM + 9 * PAGE);
    EXPECT_EQUAL(r->kernel.stats.link, 2);
    EXPECT_EQUAL(r->events, 1); /* No link tells the hardware anything. */
    EXPECT_EQUAL(dma_iova_sync(&r->device, &s, 0, 5 * PAGE - 0x200), 0);
    EXPECT_EQUAL(dma_iova_sync(&r->device, &s, PAGE - 0x200 + 1, 10), 0);
    EXPECT_EQUAL(kernel_rig_event(r, EVENT_MAP_SYNC, 0, 0)->first, base);
    EXPECT_EQUAL(kernel_rig_event(r, EVENT_MAP_SYNC, 0, 0)->last, base + 5 * PAGE - 1);
    EXPECT_EQUAL(kernel_rig_event(r, EVENT_MAP_SYNC, 0, 1)->first, base + PAGE);
    EXPECT_EQUAL(kernel_rig_event(r, EVENT_MAP_SYNC, 0, 1)->last, base + 2 * PAGE - 1);
    unlink_range(r, &s, 0, PAGE - 0x200);
    unlink_range(r, &s, 3 * PAGE - 0x200, 2 * PAGE);
    dma_iova_free(&r->device, &s);
    expect_empty(r);
}

TEST_CASE(dma_iommu, pieces_link_in_any_order_with_gaps_and_only_sync_tells_the_hardware)
{
    kernel_rig_once(RIG_FAKE, links);
}

/* Several CPUs fill one range at the same time, across the border of two tables. */
static void links_together(struct kernel_rig *r, void *state)
{
    static struct dma_iova_state s;
    const unsigned me = cpu_this()->id, pieces = 128;
    (void)state;
    if (me == 0)
        EXPECT(dma_iova_try_alloc(&r->device, &s, 0, 4 << 20));
    kernel_rig_meet(r);
    const size_t middle = (2 << 20) - pieces / 2 * PAGE;
    for (unsigned i = me; i < pieces; i += r->cpus)
        EXPECT_EQUAL(link(r, &s, MEM + 2 * i * PAGE, middle + i * PAGE, PAGE), 0);
    kernel_rig_meet(r);
    for (unsigned i = 0; me == 0 && i < pieces; i++)
        expect_maps(r, s.addr + middle + i * PAGE, MEM + 2 * i * PAGE);
    kernel_rig_meet(r);
    for (unsigned i = me; i < pieces; i += r->cpus)
        unlink_range(r, &s, middle + i * PAGE, PAGE);
    kernel_rig_meet(r);
    if (me != 0)
        return;
    EXPECT_EQUAL(kernel_rig_tables(r, &r->domain->table), 4);
    EXPECT_EQUAL(r->kernel.stats.link, pieces);
    EXPECT_EQUAL(r->kernel.stats.unlink, pieces);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    dma_iova_free(&r->device, &s);
    expect_empty(r);
}

TEST_CASE(dma_iommu, cpus_may_link_disjoint_pieces_of_one_range_at_the_same_time)
{
    struct kernel_rig *r      = kernel_rig_new(RIG_FAKE);
    r->cpus                   = 4;
    r->cpu_config.wake_cycles = 0; /* All at once. */
    kernel_rig_run(r, links_together, NULL);
    kernel_rig_free(r);
}

static void link_errors(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, MEM, 8 * PAGE));
    EXPECT_EQUAL(link(r, &s, MEM + 0x200, PAGE, 512), -EIO); /* Only a first piece may. */
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(link(r, &s, MEM, 512, 512), -ENXIO); /* No page fits a crooked address. */
    EXPECT_EQUAL(link(r, &s, MEM, 0, 0), -EINVAL);
    EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM, 0, PAGE, DMA_NONE, 0), -EINVAL);
    EXPECT_EQUAL(r->kernel.stats.warning, 2); /* That, and the unaligned piece. */
    EXPECT_EQUAL(link(r, &s, UINT64_C(1) << 52, 0, PAGE), -ERANGE);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
    EXPECT_EQUAL(link(r, &s, MEM, 2 * PAGE, PAGE), 0);
    EXPECT_EQUAL(link(r, &s, MEM, 2 * PAGE, PAGE), -EADDRINUSE);
    const unsigned from = r->events;
    EXPECT_EQUAL(link(r, &s, MEM, 0, 4 * PAGE), -EADDRINUSE); /* Two pages were mapped. */
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 0);
    EXPECT_EQUAL(e->first, s.addr);
    EXPECT_EQUAL(e->last, s.addr + 2 * PAGE - 1);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 1); /* The earlier link. */
    expect_maps(r, s.addr + 2 * PAGE, MEM);
    EXPECT_EQUAL(r->kernel.stats.link, 1);
    EXPECT_EQUAL(r->kernel.stats.warning, 2);
    unlink_range(r, &s, 2 * PAGE, PAGE);
    destroy(r, &s, 0); /* Nothing is linked: only the addresses go. */
    expect_empty(r);
}

TEST_CASE(dma_iommu, a_link_that_fails_says_why_and_leaves_only_earlier_links)
{
    kernel_rig_once(RIG_FAKE, link_errors);
}

static void directions(struct kernel_rig *r, void *state)
{
    static const unsigned prot[] = { BOTH, PT_READ, PT_WRITE };
    struct dma_iova_state s;
    uint64_t pa;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, 3 * PAGE));
    for (unsigned dir = 0; dir < 3; dir++) {
        EXPECT_EQUAL(dma_iova_link(&r->device, &s, MEM, dir * PAGE, PAGE,
                                   (enum dma_data_direction)dir, DMA_ATTR_MMIO),
                     0);
        EXPECT_EQUAL(lookup(r, s.addr + dir * PAGE, &pa), prot[dir]);
        const dma_addr_t one =
            dma_map_phys(&r->device, MEM, 1, (enum dma_data_direction)dir, 0);
        EXPECT_EQUAL(lookup(r, one, &pa), prot[dir]);
        dma_unmap_phys(&r->device, one, 1, (enum dma_data_direction)dir, 0);
    }
    destroy(r, &s, 3 * PAGE);
    expect_empty(r);
}

TEST_CASE(dma_iommu, the_direction_is_what_the_device_may_do)
{
    kernel_rig_once(RIG_FAKE, directions);
}

/* ---- dma_iova_unlink, _free, _destroy --------------------------------------------------
 */

static void unlinks(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, MEM + 0x800, 4 * PAGE - 0x800));
    EXPECT_EQUAL(link(r, &s, MEM + 0x800, 0, 4 * PAGE - 0x800), 0);
    const unsigned from = r->events;
    unlink_range(r, &s, 2 * PAGE - 0x800, PAGE);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 0);
    REQUIRE(e != NULL); /* At once under every policy: the addresses stay. */
    EXPECT_EQUAL(e->first, s.addr - 0x800 + 2 * PAGE);
    EXPECT_EQUAL(e->last, s.addr - 0x800 + 3 * PAGE - 1);
    EXPECT(!e->mapped);
    EXPECT(kernel_rig_event(r, EVENT_GIVEN_BACK, from, 0) > e);
    EXPECT_EQUAL(r->domain->iova.stats.release, 0);
    EXPECT_EQUAL(link(r, &s, MEM + 9 * PAGE, 2 * PAGE - 0x800, PAGE), 0); /* Again. */
    expect_maps(r, s.addr - 0x800 + 2 * PAGE, MEM + 9 * PAGE);
    unlink_range(r, &s, 0, 4 * PAGE - 0x800);
    EXPECT_EQUAL(kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 1)->first, s.addr - 0x800);
    EXPECT_EQUAL(r->kernel.stats.unlink, 2);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), 2);
    dma_iova_free(&r->device, &s);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), 2);
    EXPECT_EQUAL(r->domain->iova.stats.release, 1); /* At once, not by a flush queue. */
    EXPECT_EQUAL(r->kernel.stats.deferred, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    expect_empty(r);
}

TEST_CASE(dma_iommu, unlink_invalidates_at_once_under_every_policy_and_keeps_the_addresses)
{
    run("strict", "7.3", unlinks);
    run("lazy", "7.3", unlinks);
    run("lazy", "6.18", unlinks);
}

static void three_of_eight(struct kernel_rig *r, struct dma_iova_state *s)
{
    EXPECT(dma_iova_try_alloc(&r->device, s, MEM + 0x800, 8 * PAGE - 0x800));
    EXPECT_EQUAL(link(r, s, MEM + 0x800, 0, 2 * PAGE - 0x800), 0);
    EXPECT_EQUAL(link(r, s, MEM + 5 * PAGE, 2 * PAGE - 0x800, PAGE), 0);
    destroy(r, s, 3 * PAGE - 0x800);
    EXPECT_EQUAL(r->kernel.stats.unmap_iova, 1);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

static void destroys_now(struct kernel_rig *r, void *state)
{
    const unsigned order = r->kernel.release >= LINUX_7_3 ? 3 : 2;
    struct dma_iova_state s;
    (void)state;
    three_of_eight(r, &s);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, 0, 0);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 1); /* One for all links. */
    EXPECT_EQUAL(e->first, s.addr - 0x800);
    EXPECT_EQUAL(e->last, s.addr - 0x800 + 3 * PAGE - 1);
    EXPECT_EQUAL(e->released, 0);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_GIVEN_BACK, 0), 1);
    EXPECT_EQUAL(r->kernel.stats.deferred, 0);
    /* Up to 6.18 what was mapped is given back, which files the range too small. */
    EXPECT_EQUAL(r->domain->iova.cache[order].cpu[0].loaded->count, 1);
    expect_empty(r);
}

TEST_CASE(dma_iommu, destroy_unmaps_all_links_with_one_invalidation)
{
    run("strict", "7.3", destroys_now);
    run("strict", "6.18", destroys_now);
    run("lazy", "7.3", destroys_now); /* 7.3 defers none of them. */
}

static void destroys_later(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    three_of_eight(r, &s);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 0);
    EXPECT_EQUAL(r->kernel.stats.deferred, 1);
    EXPECT_EQUAL(r->domain->iova.live, 1);
    kernel_rig_sleep_until(cpu_this()->time + 11 * TIME_MS);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_ALL, 0), 1);
    expect_empty(r);
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, PAGE));
    destroy(r, &s, 0); /* Nothing was linked: nothing to wait for. */
    EXPECT_EQUAL(r->kernel.stats.deferred, 1);
    expect_empty(r);
}

TEST_CASE(dma_iommu, linux_6_18_defers_a_destroy_like_any_unmap)
{
    run("lazy", "6.18", destroys_later);
}

/* ---- Single ranges ---------------------------------------------------------------------
 */

static void singles(struct kernel_rig *r, void *state)
{
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, MEM + 0xfff, 2, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(a, TOP - 2 * PAGE + 0xfff);
    expect_maps(r, a, MEM + 0xfff);
    expect_maps(r, a + 1, MEM + 0x1000);
    expect_maps(r, a - 0xfff, MEM); /* The rest of both pages is reachable, too. */
    const struct kernel_event *sync = kernel_rig_event(r, EVENT_MAP_SYNC, 0, 0);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_MAP_SYNC, 0), 1);
    EXPECT_EQUAL(sync->first, TOP - 2 * PAGE);
    EXPECT_EQUAL(sync->last, TOP - 1);
    EXPECT(sync->mapped);
    dma_unmap_phys(&r->device, a, 2, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->kernel.stats.page_unmapped, 2);
    expect_empty(r);
}

TEST_CASE(dma_iommu, a_single_range_maps_every_page_that_it_touches)
{
    kernel_rig_once(RIG_FAKE, singles);
}

static void large(struct kernel_rig *r, void *state)
{
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, MEM, 4 << 20, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(a & ((4 << 20) - 1), 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 21), 2);
    dma_unmap_phys(&r->device, a, 4 << 20, DMA_TO_DEVICE, 0);
    EXPECT(!kernel_rig_event(r, EVENT_FLUSH_RANGE, 0, 0)->tables);
    expect_empty(r);
}

TEST_CASE(dma_iommu, a_large_range_is_aligned_for_large_leaves)
{
    kernel_rig_once(RIG_FAKE, large);
}

static void replaces_table(struct kernel_rig *r, void *state)
{
    struct dma_iova_state s;
    (void)state;
    EXPECT(dma_iova_try_alloc(&r->device, &s, 0, 2 << 20));
    for (unsigned i = 0; i < 512; i++)
        EXPECT_EQUAL(link(r, &s, MEM + 2 * i * PAGE, i * PAGE, PAGE), 0);
    for (unsigned i = 0; i < 512; i++)
        unlink_range(r, &s, i * PAGE, PAGE); /* The table stays, empty. */
    const unsigned from = r->events;
    EXPECT_EQUAL(link(r, &s, MEM, 0, 2 << 20), 0);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 0);
    REQUIRE(e != NULL); /* A map that flushes: a walk may be in the table. */
    EXPECT(e->tables);
    EXPECT(e->mapped); /* The large leaf is there before. */
    EXPECT_EQUAL(e->first, s.addr);
    EXPECT_EQUAL(e->last, s.addr + (2 << 20) - 1);
    EXPECT(kernel_rig_event(r, EVENT_TABLE_FREED, from, 0)
           > kernel_rig_event(r, EVENT_FLUSHED, from, 0));
    destroy(r, &s, 2 << 20);
    expect_empty(r);
}

TEST_CASE(dma_iommu, a_large_leaf_over_an_empty_table_flushes_before_the_table_is_freed)
{
    kernel_rig_once(RIG_FAKE, replaces_table);
}

static void exhausted(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(dma_set_mask(&r->device, DMA_BIT_MASK(24)), 0);
    const dma_addr_t a = dma_map_phys(&r->device, MEM, 1 << 23, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(a, 1 << 23);
    EXPECT_EQUAL(dma_map_phys(&r->device, MEM, 1 << 23, DMA_TO_DEVICE, 0),
                 DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->kernel.stats.map_failed, 1);
    EXPECT_EQUAL(r->domain->iova.stats.flushed, 1);
    EXPECT_EQUAL(r->domain->iova.live, 1);
    dma_unmap_phys(&r->device, a, 1 << 23, DMA_TO_DEVICE, 0);
    r->device.dma_parms.min_align_mask = 0xfff;
    EXPECT_EQUAL(dma_map_phys(&r->device, MEM, 1 << 23, DMA_TO_DEVICE, 0), 1 << 23);
    dma_unmap_phys(&r->device, a, 1 << 23, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    r->device.dma_parms.min_align_mask = 0x1fff;
    EXPECT_EQUAL(dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0), DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(dma_map_phys(&r->device, UINT64_C(1) << 52, 1, DMA_TO_DEVICE, 0),
                 DMA_MAPPING_ERROR);
    expect_empty(r);
}

TEST_CASE(dma_iommu, a_map_without_room_or_with_too_wide_an_alignment_is_an_error)
{
    kernel_rig_once(RIG_FAKE, exhausted);
}

static void bad_physical(struct kernel_rig *r, void *state)
{
    (void)state;
    EXPECT_EQUAL(dma_map_phys(&r->device, UINT64_C(1) << 52, 1, DMA_TO_DEVICE, 0),
                 DMA_MAPPING_ERROR);
    EXPECT_EQUAL(r->domain->iova.stats.release, 1); /* At once: it was never visible. */
    EXPECT_EQUAL(r->kernel.stats.deferred, 0);
    expect_empty(r);
}

TEST_CASE(dma_iommu, the_addresses_of_a_failed_map_never_go_to_a_flush_queue)
{
    run("lazy", "7.3", bad_physical);
}

static void nothing_there(struct kernel_rig *r, void *state)
{
    (void)state;
    const dma_addr_t a = dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0);
    dma_unmap_phys(&r->device, a - PAGE, PAGE, DMA_TO_DEVICE, 0);
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(r->domain->iova.live, 1); /* Linux returns without doing anything. */
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 0);
    dma_unmap_phys(&r->device, a, PAGE, DMA_TO_DEVICE, DMA_ATTR_MMIO); /* Asks nothing. */
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    expect_empty(r);
}

TEST_CASE(dma_iommu, unmapping_what_is_not_mapped_warns_and_does_nothing)
{
    kernel_rig_once(RIG_FAKE, nothing_there);
}

/* ---- Coherent memory -------------------------------------------------------------------
 */

static void coherent(struct kernel_rig *r, void *state)
{
    dma_addr_t handle;
    uint64_t pa;
    (void)state;
    EXPECT_EQUAL(dma_set_mask(&r->device, DMA_BIT_MASK(64)), 0);
    EXPECT_EQUAL(dma_set_coherent_mask(&r->device, DMA_BIT_MASK(31)), 0);
    const uint64_t out = r->kernel.pages.out;
    void *memory       = dma_alloc_coherent(&r->device, 2 * PAGE + 1, &handle, GFP_KERNEL);
    REQUIRE(memory != NULL);
    EXPECT_EQUAL(handle, (UINT64_C(1) << 31) - 4 * PAGE); /* The coherent mask's. */
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQUAL(lookup(r, handle + i * PAGE, &pa), BOTH);
        EXPECT_EQUAL(pa, virt_to_phys(memory) + i * PAGE);
    }
    expect_nothing(r, handle + 3 * PAGE);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_MAP_SYNC, 0), 1);
    dma_free_coherent(&r->device, 2 * PAGE + 1, memory, handle);
    EXPECT(r->kernel.pages.out <= out + 3); /* Tables; the memory is back already. */
    EXPECT_EQUAL(r->kernel.stats.deferred, 1);
    EXPECT_EQUAL(r->domain->iova.live, 1);
}

static void free_nothing(struct kernel_rig *r, void *state)
{
    (void)state;
    dma_free_coherent(&r->device, 0, NULL, 0); /* The NVMe driver of 6.12 and 7.3 does. */
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 0);
}

TEST_CASE(dma_iommu, freeing_no_coherent_memory_does_nothing)
{
    kernel_rig_once(RIG_FAKE, free_nothing);
}

TEST_CASE(dma_iommu, coherent_memory_is_mapped_both_ways_below_the_coherent_mask)
{
    run("lazy", "7.3", coherent);
}

/* ---- No memory, at every single place --------------------------------------------------
 */

/* 4 MiB that no large leaf fits: an address node, and page tables on the way. */
enum { MANY = 4 << 20 };

static bool try_map(struct kernel_rig *r)
{
    const dma_addr_t a = dma_map_phys(&r->device, MEM + PAGE, MANY, DMA_TO_DEVICE, 0);
    if (a != DMA_MAPPING_ERROR)
        dma_unmap_phys(&r->device, a, MANY, DMA_TO_DEVICE, 0);
    return a != DMA_MAPPING_ERROR;
}

static bool try_coherent(struct kernel_rig *r)
{
    dma_addr_t handle;
    void *memory = dma_alloc_coherent(&r->device, 3 * PAGE, &handle, GFP_KERNEL);
    if (memory != NULL)
        dma_free_coherent(&r->device, 3 * PAGE, memory, handle);
    return memory != NULL;
}

static bool try_iova(struct kernel_rig *r)
{
    struct dma_iova_state s;
    size_t done = 0;
    if (!dma_iova_try_alloc(&r->device, &s, 0, MANY))
        return false;
    for (; done < MANY; done += MANY / 4) {
        const int error = link(r, &s, MEM + PAGE + 2 * done, done, MANY / 4);
        EXPECT(error == 0 || error == -ENOMEM);
        if (error != 0)
            break;
    }
    destroy(r, &s, done);
    return done == MANY;
}

static bool try_list(struct kernel_rig *r)
{
    struct scatterlist list[4];
    struct sg_table table = { list, 0, 4 };
    sg_init_table(list, 4);
    for (unsigned i = 0; i < 4; i++)
        sg_set_page(&list[i], phys_to_page(MEM + PAGE + 2 * i * MANY), MANY / 4, 0);
    const int error = dma_map_sgtable(&r->device, &table, DMA_TO_DEVICE, 0);
    EXPECT(error == 0 || error == -ENOMEM);
    if (error == 0)
        dma_unmap_sgtable(&r->device, &table, DMA_TO_DEVICE, 0);
    return error == 0;
}

static unsigned fail_each(bool (*try)(struct kernel_rig *r))
{
    static const struct failing_calls how = { RIG_FAKE, .expect_empty = expect_empty };
    unsigned machines;
    const unsigned failures = failing_calls(&how, try, &machines);
    EXPECT_EQUAL(failures + 2, machines); /* Only the address node is asked for twice. */
    return failures;
}

TEST_CASE(dma_iommu, no_memory_at_any_place_leaves_nothing_behind)
{
    EXPECT_EQUAL(fail_each(try_map), 4);      /* Tables: one, one, and two with leaves. */
    EXPECT_EQUAL(fail_each(try_coherent), 4); /* The memory, and 3 tables. */
    EXPECT_EQUAL(fail_each(try_iova), 4);
    EXPECT_EQUAL(fail_each(try_list), 4);
}
