/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a mapping that stays: every byte is where the whole has it. */
#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"
#include "workloads/blk_dma.h"

enum { PAGES = 12, SECTOR = 512 };
#define MEM UINT64_C(0x40000000)

/* The address of each sector of the whole buffer. */
static void list_sectors(const struct blk_mapping *m, uint64_t *at)
{
    for (uint32_t i = 0, n = 0; i < m->ranges; i++)
        for (uint32_t k = 0; k < m->range[i].bytes; k += SECTOR)
            at[n++] = m->range[i].addr + k;
}

static void expect_part(const struct blk_mapping *part, const uint64_t *at, uint32_t offset,
                        uint32_t bytes)
{
    uint32_t n = offset / SECTOR;
    EXPECT_EQUAL(part->kind, BLK_PREMAPPED);
    EXPECT_EQUAL(part->bytes, bytes);
    for (uint32_t i = 0; i < part->ranges; i++)
        for (uint32_t k = 0; k < part->range[i].bytes; k += SECTOR)
            EXPECT_EQUAL(part->range[i].addr + k, at[n++]);
    EXPECT_EQUAL(n, (offset + bytes) / SECTOR);
}

/* Every part of every cut of some pages, by each API. */
static void every_part(struct kernel_rig *r, void *state)
{
    const struct blk_config config = { .buffer_cycles = 1 };
    struct blk_range range[2][PAGES];
    struct scatterlist sgl[PAGES];
    struct blk_segment run[PAGES], segment[PAGES];
    struct rng rng = rng_make(11, "borrow");
    (void)state;
    for (unsigned turn = 0; turn < 6; turn++) {
        uint64_t at[PAGES * 8];
        struct blk_mapping whole = { .range = range[0], .sgl = sgl, .run = run };
        struct blk_mapping part  = { .range = range[1] };
        uint32_t segments        = 0;
        for (uint32_t page = 0; page < PAGES; segments++) {
            const uint32_t most  = PAGES - page;
            const uint32_t pages = 1 + rng_below(&rng, most < 4 ? most : 4);
            segment[segments] =
                (struct blk_segment){ MEM + (page + 100 * rng_below(&rng, 50)) * PAGE_SIZE,
                                      (uint32_t)(pages * PAGE_SIZE) };
            page += pages;
        }
        EXPECT_EQUAL(blk_map(&r->device, &config, (enum blk_api)(turn % BLK_API_COUNT),
                             segment, segments, DMA_BIDIRECTIONAL, &whole),
                     0);
        list_sectors(&whole, at);
        const uint64_t unmaps = r->kernel.stats.unmap;
        for (uint32_t from = 0; from < PAGES * 8; from += 1 + rng_below(&rng, 3))
            for (uint32_t to = from + 1; to <= PAGES * 8; to++) {
                const uint32_t bytes = (to - from) * SECTOR;
                blk_borrow(&r->device, &config, &whole, from * SECTOR, bytes, segments,
                           DMA_TO_DEVICE, &part);
                expect_part(&part, at, from * SECTOR, bytes);
                EXPECT_EQUAL(blk_address_bytes(&part), 0);
                blk_unmap(&r->device, &part);
            }
        EXPECT_EQUAL(r->kernel.stats.unmap, unmaps);
        blk_unmap(&r->device, &whole);
    }
}

TEST_CASE(blk_borrow, every_part_lies_where_the_whole_has_it)
{
    kernel_rig_once(RIG_DIRECT, every_part);
    kernel_rig_once(RIG_VTD, every_part);
    kernel_rig_once(RIG_RISCV, every_part);
}

/* A device that is not coherent is handed every use of it, and hands it back. */
static void handed_over(struct kernel_rig *r, void *state)
{
    const struct blk_config config     = { .buffer_cycles = 1 };
    const struct blk_segment segment[] = { { MEM, 8192 } };
    struct blk_range range[2];
    struct blk_mapping whole = { .range = &range[0] }, part = { .range = &range[1] };
    (void)state;
    EXPECT_EQUAL(
        blk_map(&r->device, &config, BLK_iova, segment, 1, DMA_BIDIRECTIONAL, &whole), 0);
    const uint64_t syncs = r->kernel.stats.sync;
    blk_borrow(&r->device, &config, &whole, 512, 4096, 1, DMA_FROM_DEVICE, &part);
    EXPECT_EQUAL(r->kernel.stats.sync, syncs + 1);
    blk_unmap(&r->device, &part);
    EXPECT_EQUAL(r->kernel.stats.sync, syncs + 2);
    blk_unmap(&r->device, &whole);
}

TEST_CASE(blk_borrow, a_device_that_is_not_coherent_is_handed_each_part)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    r->noncoherent       = true;
    kernel_rig_run(r, handed_over, NULL);
    kernel_rig_free(r);
}
