/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/vfio_type1.h"

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, PAGES = 1300, BOTH = IOMMU_READ | IOMMU_WRITE };
#define MEM  UINT64_C(0x40000000)
#define IOVA UINT64_C(0x10000000)

static struct page *page[PAGES];

/* Runs of so many pages, none beside another, all over memory. */
static void scatter(size_t run)
{
    for (size_t i = 0; i < PAGES; i++)
        page[i] = phys_to_page(MEM + ((i / run) * (run + 1) + i % run) * PAGE);
}

static struct vfio_iommu begin(struct kernel_rig *r)
{
    struct vfio_iommu v;
    struct iommu_domain *domain = iommu_paging_domain_alloc(&r->device);
    CHECK(domain != NULL);
    EXPECT_EQUAL(iommu_attach_device(domain, &r->device), 0);
    vfio_iommu_init(&v, &r->kernel, domain);
    return v;
}

static void end(struct kernel_rig *r, struct vfio_iommu *v)
{
    EXPECT_EQUAL(v->pinned, 0);
    EXPECT(v->list == NULL);
    EXPECT_EQUAL(v->dma_avail, VFIO_DMA_ENTRIES_MAX);
    EXPECT_EQUAL(iommu_iova_to_phys(v->domain, IOVA), 0);
    iommu_detach_device(v->domain, &r->device);
    iommu_domain_free(v->domain);
    const dma_addr_t a = dma_map_phys(&r->device, MEM, PAGE, DMA_TO_DEVICE, 0); /* Home. */
    EXPECT_EQUAL(dma_mapping_error(&r->device, a), 0);
    dma_unmap_phys(&r->device, a, PAGE, DMA_TO_DEVICE, 0);
}

static void expect_pages(struct vfio_iommu *v, size_t npages)
{
    for (size_t i = 0; i < npages; i++)
        EXPECT_EQUAL(iommu_iova_to_phys(v->domain, IOVA + i * PAGE), page_to_phys(page[i]));
    EXPECT_EQUAL(iommu_iova_to_phys(v->domain, IOVA + npages * PAGE), 0);
    EXPECT_EQUAL(v->pinned, npages);
}

/* ---- Batches ---------------------------------------------------------------------------
 */

static void round_trip(struct kernel_rig *r, size_t run, size_t syncs)
{
    struct vfio_iommu v = begin(r);
    size_t unmapped;
    scatter(run);
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA, page, PAGES, BOTH), 0);
    expect_pages(&v, PAGES);
    EXPECT_EQUAL(v.batches, 3); /* 512, 512, 276. */
    EXPECT_EQUAL(v.runs, (PAGES + run - 1) / run);
    const unsigned from = r->events;
    EXPECT_EQUAL(vfio_dma_do_unmap(&v, IOVA, PAGES * PAGE, &unmapped), 0);
    EXPECT_EQUAL(unmapped, PAGES * PAGE);
    EXPECT_EQUAL(v.syncs, syncs);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), syncs);
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 0);
    const size_t first = run * VFIO_SYNC_REGIONS < PAGES ? run * VFIO_SYNC_REGIONS : PAGES;
    EXPECT_EQUAL(e->first, IOVA);
    EXPECT_EQUAL(e->last, IOVA + first * PAGE - 1);
    EXPECT(kernel_rig_event(r, EVENT_GIVEN_BACK, from, 0) > e); /* Unpinned after it. */
    end(r, &v);
}

static void batches(struct kernel_rig *r, void *state)
{
    (void)state;
    round_trip(r, 1, 3);     /* 512 regions, twice, and the rest. */
    round_trip(r, 3, 1);     /* 434 regions. */
    round_trip(r, 600, 1);   /* Runs reach over the ends of batches. */
    round_trip(r, PAGES, 1); /* And one over all of them. */
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(vfio_type1, runs_are_mapped_at_once_and_512_regions_share_an_invalidation)
{
    kernel_rig_once(RIG_FAKE, batches);
}

/* The device reaches what was unmapped until the sync, and nothing after it. */
static void reaches(struct kernel_rig *r, void *state)
{
    struct iommu_iotlb_gather gather;
    struct vfio_iommu v = begin(r);
    size_t unmapped;
    uint64_t pa;
    (void)state;
    scatter(2);
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA, page, 20, IOMMU_READ), 0);
    for (unsigned i = 0; i < 20; i++) {
        EXPECT(kernel_rig_reach(r, IOVA + i * PAGE, PT_READ, &pa));
        EXPECT_EQUAL(pa, page_to_phys(page[i]));
    }
    EXPECT(!kernel_rig_reach(r, IOVA, PT_WRITE, &pa));
    EXPECT_EQUAL(vfio_dma_do_unmap(&v, IOVA, 20 * PAGE, &unmapped), 0);
    for (unsigned i = 0; i < 20; i++)
        EXPECT(!kernel_rig_reach(r, IOVA + i * PAGE, PT_READ, &pa));
    EXPECT_EQUAL(iommu_map(v.domain, IOVA, MEM, PAGE, IOMMU_READ), 0);
    EXPECT(kernel_rig_reach(r, IOVA, PT_READ, &pa));
    iommu_iotlb_gather_init(&gather);
    EXPECT_EQUAL(iommu_unmap_fast(v.domain, IOVA, PAGE, &gather), PAGE);
    EXPECT(kernel_rig_reach(r, IOVA, PT_READ, &pa)); /* From the IOTLB. */
    iommu_iotlb_sync(v.domain, &gather);
    EXPECT(!kernel_rig_reach(r, IOVA, PT_READ, &pa));
    iommu_unpinned(v.domain, IOVA, PAGE);
    end(r, &v);
}

TEST_CASE(vfio_type1, a_device_reaches_what_is_mapped_and_nothing_after_the_sync)
{
    kernel_rig_once(RIG_VTD, reaches);
    kernel_rig_once(RIG_RISCV, reaches);
}

/* ---- Failures --------------------------------------------------------------------------
 */

static void refuses(struct kernel_rig *r, void *state)
{
    struct vfio_iommu v = begin(r);
    size_t unmapped;
    (void)state;
    scatter(1);
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA, page, 0, BOTH), -EINVAL);
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA, page, 1, 0), -EINVAL);
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA + 8, page, 1, BOTH), -EINVAL);
    EXPECT_EQUAL(vfio_dma_do_map(&v, UINT64_MAX - PAGE + 1, page, 2, BOTH), -EINVAL);
    EXPECT_EQUAL(vfio_dma_do_map(&v, UINT64_C(1) << 60, page, 2, BOTH), -ERANGE);
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA, page, 10, BOTH), 0);
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA + 9 * PAGE, page, 2, BOTH), -EEXIST);
    v.locked_limit = 10 + VFIO_BATCH_PAGES;
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA + 10 * PAGE, page, PAGES, BOTH), -ENOMEM);
    expect_pages(&v, 10);
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA + 10 * PAGE, page, VFIO_BATCH_PAGES, BOTH), 0);
    v.dma_avail -= VFIO_DMA_ENTRIES_MAX - 2; /* As after so many calls. */
    EXPECT_EQUAL(vfio_dma_do_map(&v, 0, page, 1, BOTH), -ENOSPC);
    v.dma_avail += VFIO_DMA_ENTRIES_MAX - 2;
    EXPECT_EQUAL(vfio_dma_do_unmap(&v, IOVA, 9 * PAGE, &unmapped), -EINVAL); /* It cuts. */
    EXPECT_EQUAL(vfio_dma_do_unmap(&v, IOVA, 0, &unmapped), -EINVAL);
    EXPECT_EQUAL(unmapped, 0);
    EXPECT_EQUAL(vfio_dma_do_unmap(&v, 0, IOVA, &unmapped), 0); /* Nothing is there. */
    EXPECT_EQUAL(unmapped, 0);
    EXPECT_EQUAL(vfio_dma_do_unmap(&v, 0, 2 * IOVA, &unmapped), 0);
    EXPECT_EQUAL(unmapped, (10 + VFIO_BATCH_PAGES) * PAGE);
    end(r, &v);
}

TEST_CASE(vfio_type1, each_refusal_has_its_errno_and_leaves_nothing_pinned)
{
    kernel_rig_once(RIG_FAKE, refuses);
}

/* Something else of the domain's lies in the way of page 700: all 700 come out again. */
static void collides(struct kernel_rig *r, void *state)
{
    struct vfio_iommu v = begin(r);
    (void)state;
    scatter(1);
    EXPECT_EQUAL(iommu_map(v.domain, IOVA + 700 * PAGE, MEM, PAGE, BOTH), 0);
    const unsigned from = r->events;
    EXPECT_EQUAL(vfio_dma_do_map(&v, IOVA, page, PAGES, BOTH), -EADDRINUSE);
    EXPECT_EQUAL(v.pinned, 0);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), 2);
    EXPECT_EQUAL(iommu_iova_to_phys(v.domain, IOVA + 699 * PAGE), 0);
    EXPECT_EQUAL(iommu_iova_to_phys(v.domain, IOVA + 700 * PAGE + 5), MEM + 5);
    EXPECT_EQUAL(iommu_unmap(v.domain, IOVA + 700 * PAGE, PAGE), PAGE);
    iommu_unpinned(v.domain, IOVA + 700 * PAGE, PAGE);
    end(r, &v);
}

TEST_CASE(vfio_type1, a_map_that_collides_is_taken_back_in_batches)
{
    kernel_rig_once(RIG_FAKE, collides);
}

/* Every allocation of a map and an unmap fails once; an unmap does without any. */
static void no_memory(struct kernel_rig *r, void *state)
{
    struct vfio_iommu v = begin(r);
    unsigned refused = 0, slow = 0;
    bool failed = true;
    (void)state;
    scatter(1);
    for (unsigned nth = 1; failed && nth < 100; nth++) {
        const size_t syncs = v.syncs;
        size_t unmapped;
        kernel_rig_fail_at(r, nth);
        const int error = vfio_dma_do_map(&v, IOVA, page, 24, BOTH);
        EXPECT(error == 0 || error == -ENOMEM);
        refused += error != 0;
        EXPECT_EQUAL(v.pinned, error == 0 ? 24 : 0);
        EXPECT_EQUAL(vfio_dma_do_unmap(&v, IOVA, 24 * PAGE, &unmapped), 0);
        EXPECT_EQUAL(unmapped, error == 0 ? 24 * PAGE : 0);
        EXPECT_EQUAL(v.pinned, 0);
        failed = kernel_rig_failed(r);
        kernel_rig_fail_at(r, 0);
        slow += error == 0 && v.syncs - syncs > 1;
    }
    EXPECT(!failed);
    EXPECT(refused >= 2); /* What stands for the call, and a table. */
    EXPECT(slow >= 19);   /* A region each: then the others are flushed, and it is too. */
    end(r, &v);
}

TEST_CASE(vfio_type1, no_memory_at_any_place_leaves_nothing_behind)
{
    kernel_rig_once(RIG_FAKE, no_memory);
}

/* ---- The calls themselves --------------------------------------------------------------
 */

static void calls(struct kernel_rig *r, void *state)
{
    struct iommu_iotlb_gather g;
    struct vfio_iommu v    = begin(r);
    struct iommu_domain *d = v.domain;
    (void)state;
    EXPECT_EQUAL(iommu_attach_device(d, &r->device), -EBUSY);
    EXPECT_EQUAL(iommu_map(d, IOVA, MEM, 0, BOTH), -EINVAL);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(iommu_map(d, IOVA, MEM, PAGE, 0), -EINVAL);
    EXPECT_EQUAL(r->kernel.stats.warning, 1);
    EXPECT_EQUAL(iommu_map(d, IOVA, MEM + 8, PAGE, BOTH), -ENXIO);
    EXPECT_EQUAL(iommu_map(d, IOVA, MEM, PAGE + 8, BOTH), -ENXIO);
    EXPECT_EQUAL(iommu_iova_to_phys(d, IOVA), 0); /* The page in front is not left. */
    EXPECT_EQUAL(iommu_map(d, IOVA, MEM, 2 << 20, BOTH), 0);
    EXPECT_EQUAL(iommu_map(d, IOVA + PAGE, MEM, PAGE, BOTH), -EADDRINUSE);
    iommu_iotlb_gather_init(&g);
    unsigned from = r->events;
    iommu_iotlb_sync(d, &g); /* Nothing was gathered. */
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), 0);
    EXPECT_EQUAL(iommu_unmap_fast(d, IOVA + PAGE, PAGE, &g), 0); /* Inside a large page. */
    EXPECT_EQUAL(iommu_unmap_fast(d, IOVA, 8, &g), 0);
    EXPECT(g.start > g.end);
    EXPECT_EQUAL(iommu_unmap_fast(d, IOVA, PAGE, &g), 2 << 20); /* It goes as a whole. */
    EXPECT_EQUAL(g.start, IOVA);
    EXPECT_EQUAL(g.end, IOVA + (2 << 20) - 1);
    EXPECT_EQUAL(iommu_map(d, IOVA + (8 << 20), MEM + PAGE, 2 << 20, BOTH), 0);
    EXPECT_EQUAL(iommu_unmap_fast(d, IOVA + (8 << 20), 2 << 20, &g), 2 << 20);
    EXPECT(g.freelist.first != NULL); /* 512 entries of a table of their own. */
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_TABLE_FREED, from), 0);
    from = r->events;
    iommu_iotlb_sync(d, &g); /* One for both, and for what lies between. */
    const struct kernel_event *e = kernel_rig_event(r, EVENT_FLUSH_RANGE, from, 0);
    REQUIRE(e != NULL);
    EXPECT_EQUAL(e->first, IOVA);
    EXPECT_EQUAL(e->last, IOVA + (10 << 20) - 1);
    EXPECT(e->tables);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, from), 1);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_TABLE_FREED, from), 1);
    EXPECT(g.start > g.end && g.freelist.first == NULL);
    iommu_unpinned(d, IOVA, 2 << 20);
    iommu_unpinned(d, IOVA + (8 << 20), 2 << 20);
    end(r, &v);
}

TEST_CASE(vfio_type1, the_gather_widens_and_a_sync_invalidates_it_once)
{
    kernel_rig_once(RIG_FAKE, calls);
}
