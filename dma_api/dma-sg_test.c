/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PAGE = 4096, NENTS_MAX = 8, PAGES_MAX = 1024 };
#define MEM UINT64_C(0x40000000)

/*
 * What Linux makes of a list, told page by page: the backing of the addresses, and where
 * output segments begin and end. Offsets are from the first address.
 */
struct expected {
    uint64_t page[PAGES_MAX];
    unsigned pages, segments;
    uint64_t start[NENTS_MAX], length[NENTS_MAX];
};

static void back(struct expected *e, uint64_t phys, unsigned pages)
{
    CHECK(e->pages + pages <= PAGES_MAX);
    for (unsigned i = 0; i < pages; i++)
        e->page[e->pages++] = phys + (uint64_t)i * PAGE;
}

/* Up to the boundary, if the element would cross it, what follows the one before. */
static bool pad(struct expected *e, uint64_t boundary, unsigned pages)
{
    const uint64_t at = (uint64_t)e->pages * PAGE, left = (boundary - at + 1) & boundary;
    if (e->pages == 0 || left == 0 || left >= (uint64_t)pages * PAGE - 1)
        return false;
    back(e, e->page[e->pages - 1] + PAGE, (unsigned)(left / PAGE));
    return true;
}

static void expect_list(struct expected *e, const struct scatterlist *list, unsigned nents,
                        uint64_t boundary, uint64_t longest, dma_addr_t base)
{
    bool open = false; /* The last segment may grow. */
    memset(e, 0, sizeof *e);
    for (unsigned i = 0; i < nents; i++) {
        const uint64_t first = sg_phys(&list[i]), length = list[i].length;
        const uint64_t offset = first % PAGE;
        const unsigned pages  = (unsigned)((offset + length + PAGE - 1) / PAGE);
        if (pad(e, boundary, pages))
            open = false;
        const uint64_t at = (uint64_t)e->pages * PAGE;
        if (open && offset == 0 && ((base + at) & boundary) != 0
            && e->length[e->segments - 1] + length <= longest) {
            e->length[e->segments - 1] += length;
        } else {
            e->start[e->segments]    = at + offset;
            e->length[e->segments++] = length;
        }
        back(e, first - offset, pages);
        open = (offset + length) % PAGE == 0;
    }
}

static void compare(struct kernel_rig *r, const struct expected *e,
                    const struct scatterlist *list, unsigned nents, dma_addr_t base)
{
    for (unsigned i = 0; i < nents; i++) {
        const bool used = i < e->segments;
        EXPECT_EQUAL(list[i].dma_address, used ? base + e->start[i] : DMA_MAPPING_ERROR);
        EXPECT_EQUAL(list[i].dma_length, used ? e->length[i] : 0);
    }
    for (unsigned i = 0; i < e->pages; i++) {
        uint64_t pa = 0;
        EXPECT_EQUAL(
            kernel_rig_lookup(r, &r->domain->table, base + (uint64_t)i * PAGE, &pa),
            PT_WRITE);
        EXPECT_EQUAL(pa, e->page[i]);
    }
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), e->pages);
}

/* The bytes of the segments, one after the other, are those of the list. */
static void compare_bytes(struct kernel_rig *r, const struct scatterlist *list,
                          unsigned nents)
{
    unsigned out = 0;
    uint64_t in  = 0; /* In the output segment. */
    for (unsigned i = 0; i < nents; i++)
        for (uint64_t done = 0; done < list[i].length; done += 512, in += 512) {
            uint64_t pa = 0;
            if (in == list[out].dma_length) {
                out++;
                in = 0;
            }
            kernel_rig_lookup(r, &r->domain->table, list[out].dma_address + in, &pa);
            EXPECT_EQUAL(pa, sg_phys(&list[i]) + done);
        }
    EXPECT_EQUAL(in, list[out].dma_length);
}

static void check_limits(const struct scatterlist *list, unsigned count, uint64_t boundary,
                         uint64_t longest)
{
    for (unsigned i = 0; i < count; i++) {
        const dma_addr_t first = list[i].dma_address, last = first + list[i].dma_length - 1;
        EXPECT(list[i].dma_length <= longest);
        if (longest + PAGE <= boundary) /* No single element reaches across it. */
            EXPECT_EQUAL(first & ~boundary, last & ~boundary);
    }
}

/* No element is longer than a segment may be: Linux relies on that. */
static void make_list(struct rng *rng, struct scatterlist *list, unsigned nents,
                      uint64_t longest)
{
    static const unsigned sizes[] = {
        512, 1536, PAGE, PAGE, PAGE, 2 * PAGE, 5 * PAGE, 65536
    };
    uint64_t next = MEM;
    sg_init_table(list, nents);
    for (unsigned i = 0; i < nents; i++) {
        if (rng_below(rng, 2) != 0) /* Or right behind the one before. */
            next = MEM + (uint64_t)rng_below(rng, 4096) * PAGE
                   + (rng_below(rng, 4) == 0 ? 512 * rng_below(rng, 8) : 0);
        const unsigned any    = sizes[rng_below(rng, 8)];
        const unsigned length = any < longest ? any : (unsigned)longest;
        sg_set_page(&list[i], phys_to_page(next), length, (unsigned)(next % PAGE));
        next += length;
    }
}

/* Maps a list, holds everything that can be seen against the expectation, and unmaps it;
 * returns how many segments it had. */
static unsigned one_list(struct kernel_rig *r, struct scatterlist *list, unsigned nents,
                         bool every_page)
{
    static struct expected e;
    const uint64_t mask     = r->device.dma_parms.segment_boundary_mask;
    const uint64_t boundary = mask == 0 ? UINT64_MAX : mask;
    const uint64_t longest  = dma_get_max_seg_size(&r->device);
    r->events               = 0;
    const unsigned count    = dma_map_sg(&r->device, list, (int)nents, DMA_FROM_DEVICE);
    const struct kernel_event *sync = kernel_rig_event(r, EVENT_MAP_SYNC, 0, 0);
    CHECK(sync != NULL);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_MAP_SYNC, 0), 1); /* One for all. */
    const dma_addr_t base = sync->first;
    expect_list(&e, list, nents, boundary, longest, base);
    EXPECT_EQUAL(count, e.segments);
    EXPECT_EQUAL(sync->last - base + 1, (uint64_t)e.pages * PAGE);
    if (every_page)
        compare(r, &e, list, nents, base);
    compare_bytes(r, list, nents);
    check_limits(list, count, boundary, longest);
    dma_unmap_sg(&r->device, list, (int)nents, DMA_FROM_DEVICE);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 1);
    EXPECT_EQUAL(r->domain->iova.live, 0);
    return count;
}

static void random_lists(struct kernel_rig *r, void *state)
{
    static const unsigned long boundaries[] = { 0, 0xfff, 0x1fff, 0xffff, 0xffffffff };
    static const unsigned longest[]         = { 0, PAGE, 2 * PAGE, 3 * PAGE, 1 << 20 };
    struct rng rng                          = rng_make(1, "sg");
    unsigned merged                         = 0;
    (void)state;
    for (unsigned i = 0; i < 4000; i++) {
        struct scatterlist list[NENTS_MAX];
        const unsigned nents = 1 + rng_below(&rng, NENTS_MAX);
        dma_set_seg_boundary(&r->device, boundaries[rng_below(&rng, 5)]);
        dma_set_max_seg_size(&r->device, longest[rng_below(&rng, 5)]);
        make_list(&rng, list, nents, dma_get_max_seg_size(&r->device));
        merged += one_list(r, list, nents, i % 8 == 0) < nents;
    }
    EXPECT(merged > 500);
    EXPECT_EQUAL(r->kernel.stats.page_mapped, r->kernel.stats.page_unmapped);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(kernel_rig_leaves(r, &r->domain->table, 12), 0);
}

TEST_CASE(dma_sg, random_lists_are_laid_out_and_merged_as_linux_does)
{
    kernel_rig_once(RIG_FAKE, random_lists);
}

/* ---- Known cases -----------------------------------------------------------------------
 */

struct piece {
    phys_addr_t phys;
    unsigned length;
};

static unsigned map_pieces(struct kernel_rig *r, struct scatterlist *list,
                           const struct piece *piece, unsigned nents)
{
    sg_init_table(list, nents);
    for (unsigned i = 0; i < nents; i++)
        sg_set_page(&list[i], phys_to_page(piece[i].phys), piece[i].length,
                    (unsigned)(piece[i].phys % PAGE));
    return dma_map_sg(&r->device, list, (int)nents, DMA_FROM_DEVICE);
}

static void unmap_pieces(struct kernel_rig *r, struct scatterlist *list, unsigned nents)
{
    dma_unmap_sg(&r->device, list, (int)nents, DMA_FROM_DEVICE);
    EXPECT_EQUAL(r->domain->iova.live, 0);
}

static void merges(struct kernel_rig *r, void *state)
{
    static const struct piece whole[]  = { { MEM, PAGE },
                                           { MEM + 9 * PAGE, 2 * PAGE },
                                           { MEM + 5 * PAGE, 100 } };
    static const struct piece inside[] = { { MEM, PAGE - 1 }, { MEM + PAGE, PAGE } };
    static const struct piece late[]   = { { MEM, PAGE }, { MEM + PAGE + 8, 64 } };
    struct scatterlist list[3];
    (void)state;
    EXPECT_EQUAL(map_pieces(r, list, whole, 3), 1); /* Scattered pages, one segment. */
    EXPECT_EQUAL(sg_dma_len(&list[0]), 3 * PAGE + 100);
    EXPECT_EQUAL(sg_dma_address(&list[0]), (UINT64_C(1) << 32) - 4 * PAGE);
    EXPECT_EQUAL(r->kernel.stats.range_mapped, 3); /* One for each contiguous run. */
    unmap_pieces(r, list, 3);
    EXPECT_EQUAL(map_pieces(r, list, inside, 2), 2); /* Ends inside a page. */
    EXPECT_EQUAL(sg_dma_address(&list[1]), sg_dma_address(&list[0]) + PAGE);
    EXPECT_EQUAL(r->kernel.stats.range_mapped, 4); /* But it is one run. */
    unmap_pieces(r, list, 2);
    EXPECT_EQUAL(map_pieces(r, list, late, 2), 2); /* Begins inside a page. */
    EXPECT_EQUAL(sg_dma_address(&list[1]), sg_dma_address(&list[0]) + PAGE + 8);
    unmap_pieces(r, list, 2);
    EXPECT_EQUAL(r->kernel.stats.map_sg, 3);
    EXPECT_EQUAL(r->kernel.stats.unmap_sg, 3);
}

TEST_CASE(dma_sg, whole_granules_merge_whatever_lies_behind_them)
{
    kernel_rig_once(RIG_FAKE, merges);
}

static void limited(struct kernel_rig *r, void *state)
{
    static const struct piece six[] = { { MEM, 24576 },
                                        { MEM + 24576, 24576 },
                                        { MEM + 49152, 16384 },
                                        { MEM + 65536, PAGE } };
    struct scatterlist list[4];
    (void)state;
    EXPECT_EQUAL(map_pieces(r, list, six, 4), 2); /* 64 KiB unless it is said otherwise. */
    EXPECT_EQUAL(sg_dma_len(&list[0]), 65536);
    EXPECT_EQUAL(sg_dma_len(&list[1]), PAGE);
    EXPECT_EQUAL(r->kernel.stats.range_mapped, 1);
    unmap_pieces(r, list, 4);
    dma_set_max_seg_size(&r->device, 24576 + PAGE);
    EXPECT_EQUAL(map_pieces(r, list, six, 4), 3);
    EXPECT_EQUAL(sg_dma_len(&list[2]), 16384 + PAGE);
    EXPECT_EQUAL(sg_dma_len(&list[3]), 0);
    EXPECT_EQUAL(sg_dma_address(&list[3]), DMA_MAPPING_ERROR);
    unmap_pieces(r, list, 4);
}

TEST_CASE(dma_sg, a_segment_grows_up_to_the_longest_that_the_device_takes)
{
    kernel_rig_once(RIG_FAKE, limited);
}

static void bounded(struct kernel_rig *r, void *state)
{
    static const struct piece piece[] = { { MEM, 3 * PAGE },
                                          { MEM + (1 << 20), 2 * PAGE } };
    static const struct piece exact[] = { { MEM, 4 * PAGE },
                                          { MEM + (1 << 20), 2 * PAGE } };
    struct scatterlist list[2];
    uint64_t pa;
    (void)state;
    dma_set_seg_boundary(&r->device, 4 * PAGE - 1);
    EXPECT_EQUAL(map_pieces(r, list, piece, 2), 2);
    EXPECT_EQUAL(sg_dma_address(&list[1]), sg_dma_address(&list[0]) + 4 * PAGE);
    EXPECT_EQUAL(sg_dma_len(&list[0]), 3 * PAGE);
    /* The addresses in between belong to the first element: it grew by a page. */
    EXPECT_EQUAL(
        kernel_rig_lookup(r, &r->domain->table, sg_dma_address(&list[0]) + 3 * PAGE, &pa),
        PT_WRITE);
    EXPECT_EQUAL(pa, MEM + 3 * PAGE);
    EXPECT_EQUAL(r->kernel.stats.page_mapped, 6);
    unmap_pieces(r, list, 2);
    EXPECT_EQUAL(r->kernel.stats.page_unmapped, 6);
    EXPECT_EQUAL(map_pieces(r, list, exact, 2), 2); /* At the boundary: nothing grows. */
    EXPECT_EQUAL(r->kernel.stats.page_mapped, 12);
    unmap_pieces(r, list, 2);
}

TEST_CASE(dma_sg, an_element_that_would_cross_the_boundary_begins_at_it)
{
    kernel_rig_once(RIG_FAKE, bounded);
}

/* ---- Errors ----------------------------------------------------------------------------
 */

static void refused(struct kernel_rig *r, void *state)
{
    static const struct piece bad[]   = { { MEM, PAGE }, { UINT64_C(1) << 52, PAGE } };
    static const struct piece large[] = { { MEM, 1 << 23 }, { MEM + (1 << 24), PAGE } };
    struct scatterlist list[2];
    struct sg_table table = { list, 77, 2 };
    (void)state;
    EXPECT_EQUAL(map_pieces(r, list, bad, 2), 0);
    EXPECT_EQUAL(dma_map_sgtable(&r->device, &table, DMA_TO_DEVICE, 0), -EINVAL);
    EXPECT_EQUAL(table.nents, 77);
    EXPECT_EQUAL(r->kernel.stats.page_mapped, 2); /* The first element of each try ... */
    EXPECT_EQUAL(r->kernel.stats.page_unmapped, 2);
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_FLUSH_RANGE, 0), 2); /* ... was taken back. */
    EXPECT_EQUAL(kernel_rig_count(r, EVENT_MAP_SYNC, 0), 0);
    EXPECT_EQUAL(dma_set_mask(&r->device, DMA_BIT_MASK(24)), 0);
    EXPECT_EQUAL(map_pieces(r, list, large, 2), 0); /* No room for both together. */
    EXPECT_EQUAL(dma_map_sgtable(&r->device, &table, DMA_TO_DEVICE, 0), -ENOMEM);
    EXPECT_EQUAL(r->kernel.stats.map_failed, 4);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
    EXPECT_EQUAL(r->domain->iova.live, 0);
    EXPECT_EQUAL(list[0].length, 1 << 23); /* The list is as it was. */
    r->device.dma_mask = NULL;
    EXPECT_EQUAL(map_pieces(r, list, large, 2), 0);
    EXPECT_EQUAL(dma_map_sgtable(&r->device, &table, DMA_TO_DEVICE, 0), -EIO);
    EXPECT_EQUAL(r->kernel.stats.warning, 1); /* Once. */
    EXPECT_EQUAL(r->kernel.stats.warning_repeated, 1);
}

TEST_CASE(dma_sg, a_list_that_cannot_be_mapped_leaves_nothing_and_has_an_errno)
{
    kernel_rig_once(RIG_FAKE, refused);
}
