/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata buffers: one for each bio, apart from each other, and all of them come back. */
#include "workloads/blk_integrity.h"

#include "sim/base/rng.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { PIECES = 64 };
static const struct integrity_format small = { 512, 8 }, large = { 4096, 64 };

static void run(kernel_program *body)
{
    kernel_rig_once(RIG_DIRECT, body);
}

TEST_CASE(blk_integrity, bytes_are_those_of_whole_blocks)
{
    EXPECT_EQUAL(integrity_bytes(&small, 512), 8);
    EXPECT_EQUAL(integrity_bytes(&small, 1 << 20), 16384);
    EXPECT_EQUAL(integrity_bytes(&small, 513), 16);
    EXPECT_EQUAL(integrity_bytes(&large, 4096), 64);
    EXPECT_EQUAL(integrity_bytes(&large, 4608), 128);
}

static void one_for_each_bio(struct kernel_rig *r, void *state)
{
    struct integrity_pool p;
    struct blk_segment s[PIECES];
    (void)state;
    integrity_pool_init(&p, &r->kernel);
    EXPECT_EQUAL(integrity_get(&p, &small, 131072, 0, false, s, 1), 1);
    EXPECT_EQUAL(s[0].bytes, 2048);
    EXPECT_EQUAL(s[0].phys % 2048, 0);
    integrity_put(&p, s, 1);
    EXPECT_EQUAL(integrity_get(&p, &small, 131072, 131072, false, s, 1), 1);
    integrity_put(&p, s, 1);
    EXPECT_EQUAL(integrity_get(&p, &small, 131072 + 512, 16384, false, s, 9), 9);
    for (unsigned i = 0; i < 8; i++)
        EXPECT_EQUAL(s[i].bytes, 256);
    EXPECT_EQUAL(s[8].bytes, 8);
    integrity_put(&p, s, 9);
    EXPECT_EQUAL(integrity_get(&p, &small, 8 << 20, 0, false, s, 1), 1);
    EXPECT_EQUAL(s[0].bytes, 131072); /* In one piece, as kmalloc would give it. */
    EXPECT_EQUAL(s[0].phys % PAGE_SIZE, 0);
    integrity_put(&p, s, 1);
    integrity_pool_free(&p);
    EXPECT_EQUAL(r->kernel.stats.warning, 0);
}

TEST_CASE(blk_integrity, each_bio_has_a_buffer_of_its_own)
{
    run(one_for_each_bio);
}

static void expect_apart(const struct blk_segment *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < i; k++)
            EXPECT(s[i].phys + s[i].bytes <= s[k].phys
                   || s[k].phys + s[k].bytes <= s[i].phys);
}

/* Any order of sizes, ways and returns. */
static void any_order(struct kernel_rig *r, void *state)
{
    struct integrity_pool p;
    struct blk_segment s[PIECES];
    struct rng rng = rng_make(3, "integrity");
    unsigned held  = 0;
    (void)state;
    integrity_pool_init(&p, &r->kernel);
    for (unsigned turn = 0; turn < 2000; turn++) {
        const uint32_t bytes = 512u << rng_below(&rng, 11);
        if (held < PIECES && rng_below(&rng, 3) > 0) {
            EXPECT_EQUAL(
                integrity_get(&p, &small, bytes, 0, rng_below(&rng, 2), &s[held], 1), 1);
            held++;
            expect_apart(s, held);
        } else if (held > 0) {
            const unsigned which = rng_below(&rng, held);
            integrity_put(&p, &s[which], 1);
            s[which] = s[--held];
        }
        EXPECT_EQUAL(p.out, held);
    }
    integrity_put(&p, s, held);
    integrity_pool_free(&p);
}

TEST_CASE(blk_integrity, no_two_that_are_out_overlap)
{
    run(any_order);
}

/* A page holds two of the largest that are cut, and they are used again. */
static void share_a_page(struct kernel_rig *r, void *state)
{
    struct integrity_pool p;
    struct blk_segment s[3];
    (void)state;
    integrity_pool_init(&p, &r->kernel);
    const uint64_t before = r->kernel.pages.out;
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQUAL(integrity_get(&p, &small, 131072, 0, false, &s[i], 1), 1);
    EXPECT_EQUAL(s[1].phys, s[0].phys + 2048);
    EXPECT_EQUAL(r->kernel.pages.out, before + 2);
    integrity_put(&p, &s[1], 1);
    const phys_addr_t second = s[1].phys;
    EXPECT_EQUAL(integrity_get(&p, &small, 131072, 0, false, &s[1], 1), 1);
    EXPECT_EQUAL(s[1].phys, second);
    integrity_put(&p, s, 3);
    integrity_pool_free(&p);
    EXPECT_EQUAL(r->kernel.pages.out, before);
}

TEST_CASE(blk_integrity, small_buffers_share_pages_and_are_used_again)
{
    run(share_a_page);
}

/* What a device is going to read is cleared: nothing of the buffer's last use goes out. */
static void cleared(struct kernel_rig *r, void *state)
{
    struct integrity_pool p;
    struct blk_segment s[1];
    (void)state;
    integrity_pool_init(&p, &r->kernel);
    for (unsigned write = 0; write < 2; write++) {
        EXPECT_EQUAL(integrity_get(&p, &small, 7 * 512, 0, write, s, 1), 1);
        for (unsigned i = 0; i < 7; i++) {
            const uint64_t word = memory_read64(&r->memory, s[0].phys + 8 * i);
            EXPECT(write ? word == 0 : true);
            memory_write64(&r->memory, s[0].phys + 8 * i, UINT64_MAX);
        }
        integrity_put(&p, s, 1);
    }
    struct cpu *cpu         = cpu_this();
    const sim_time_t before = cpu->time;
    EXPECT_EQUAL(integrity_get(&p, &small, 131072, 0, true, s, 1), 1);
    EXPECT(cpu->time - before
           > 32 * (uint64_t)cpu->config->hit_cycles * cpu->config->period_ps);
    integrity_put(&p, s, 1);
    integrity_pool_free(&p);
}

TEST_CASE(blk_integrity, what_is_written_is_cleared_first)
{
    run(cleared);
}
