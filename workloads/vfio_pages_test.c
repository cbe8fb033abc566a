/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/vfio_pages.h"

#include "sim/test/failing.h"
#include "sim/test/shim.h"

#define MEM UINT64_C(0x40000000)
enum { PAGES = 700 };

static struct page *page_list[PAGES];
static dma_addr_t mtts[PAGES];

static struct vfio_pages list_of(size_t npages)
{
    for (size_t i = 0; i < npages; i++)
        page_list[i] = phys_to_page(MEM + (phys_addr_t)(i * 5 % PAGES) * 2 * PAGE_SIZE);
    return (struct vfio_pages){ page_list, npages, DMA_FROM_DEVICE, { 0, 0 }, mtts };
}

static void run(enum kernel_rig_hardware hardware, const char *release, const char *policy,
                kernel_program *body)
{
    struct kernel_rig *r      = kernel_rig_new(hardware);
    r->linux_config.release   = release;
    r->linux_config.dma_debug = 1;
    kernel_rig_policy(r, policy);
    kernel_rig_run(r, body, NULL);
    EXPECT_EQUAL(r->kernel.stats.finding, 0);
    kernel_rig_free(r);
}

static void registers(struct kernel_rig *r, void *state)
{
    struct vfio_pages p = list_of(PAGES);
    const unsigned from = r->events;
    (void)state;
    dma_set_mask(&r->device, DMA_BIT_MASK(64));
    EXPECT_EQUAL(vfio_register_pages(&r->device, &p), 0);
    const bool range = dma_use_iova(&p.state);
    EXPECT_EQUAL(range, r->domain != NULL && r->kernel.release >= LINUX_6_18);
    for (size_t i = 0; i < PAGES; i++) {
        uint64_t pa = mtts[i];
        if (r->domain != NULL)
            REQUIRE(kernel_rig_lookup(r, &r->domain->table, mtts[i], &pa) == PT_WRITE);
        REQUIRE(pa == page_to_phys(page_list[i]));
        REQUIRE(!range || mtts[i] == p.state.addr + i * PAGE_SIZE);
    }
    vfio_unregister_pages(&r->device, &p);
    if (r->hardware == RIG_FAKE) {
        EXPECT_EQUAL(kernel_rig_count(r, EVENT_MAP_SYNC, from), range ? 1 : PAGES);
        EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), range ? 1 : PAGES);
        EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
    }
}

TEST_CASE(vfio_pages, a_list_of_pages_is_one_range_where_there_is_one)
{
    run(RIG_FAKE, "7.3", "strict", registers);
    run(RIG_FAKE, "6.12", "strict", registers);
    run(RIG_VTD, "7.3", "strict", registers);
    run(RIG_DIRECT, "7.3", "strict", registers);
}

static void unwinds(struct kernel_rig *r, void *state)
{
    struct vfio_pages p = list_of(PAGES); /* Of two leaf tables. */
    struct failing *f   = state;
    kernel_rig_fail_at(r, f->nth);
    const int ret = vfio_register_pages(&r->device, &p);
    EXPECT(ret == 0 || ret == -ENOMEM);
    f->failures += ret != 0;
    if (ret == 0)
        vfio_unregister_pages(&r->device, &p);
    f->reached = kernel_rig_failed(r);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

TEST_CASE(vfio_pages, every_failed_allocation_leaves_nothing_mapped)
{
    EXPECT(failing_each("7.3", "strict", unwinds) > 0);
    EXPECT(failing_each("6.12", "strict", unwinds) > 0);
}
