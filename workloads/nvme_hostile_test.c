/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that does everything wrong: no entry, list, register write or fault may make the
 * model do more than report an error. Meant for the sanitizers, harmless without them.
 */
#include <string.h>

#include "sim/base/mmio.h"
#include "sim/test/shim.h"
#include "workloads/nvme_bench.h"
#include "workloads/nvme_parts.h"

enum { QUEUES = 4, ENTRIES = 64 };

/* An address that is sometimes right, sometimes nearly, and sometimes nonsense. */
static uint64_t some_address(struct rng *rng)
{
    const uint64_t chance = rng_next(rng);
    switch (rng_below(rng, 8)) {
    case 0:
        return chance;
    case 1:
        return BENCH_DATA + (chance & 0x3ffff);
    case 2:
        return BENCH_DATA + (chance & 0x3fff8);
    case 3:
        return UINT64_MAX - (chance & 0xffff);
    default:
        return BENCH_DATA + (chance & 0x3f000);
    }
}

static uint32_t some_bytes(struct rng *rng)
{
    switch (rng_below(rng, 4)) {
    case 0:
        return (uint32_t)rng_next(rng);
    case 1:
        return 16 * rng_below(rng, 64);
    default:
        return rng_below(rng, 9000);
    }
}

static struct nvme_sgl some_descriptor(struct rng *rng)
{
    static const uint8_t type[] = { NVME_SGL_DATA, NVME_SGL_DATA, NVME_SGL_DATA,
                                    NVME_SGL_SEGMENT, NVME_SGL_LAST_SEGMENT };
    struct nvme_sgl d           = { .iova  = some_address(rng),
                                    .bytes = some_bytes(rng),
                                    .type  = type[rng_below(rng, sizeof type)] };
    if (rng_below(rng, 20) == 0)
        d.type = (uint8_t)rng_next(rng);
    return d;
}

static struct nvme_sqe some_command(struct rng *rng, bool admin)
{
    static const uint8_t io[] = { 0, 1, 1, 1, 2, 2, 2, 8, 9, 5, 0xff };
    static const uint8_t to[] = { 0, 1, 1, 4, 5, 5, 6, 6, 9, 10, 2 };
    uint64_t words[sizeof(struct nvme_sqe) / 8];
    struct nvme_sqe c;
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++)
        words[i] = rng_next(rng);
    memcpy(&c, words, sizeof c);
    if (rng_below(rng, 50) == 0)
        return c; /* Nothing but chance. */
    c.opcode = admin ? to[rng_below(rng, sizeof to)] : io[rng_below(rng, sizeof io)];
    c.flags  = !admin && rng_below(rng, 2) ? NVME_FLAGS_SGL : 0;
    if (c.flags != 0 && rng_below(rng, 3) == 0)
        c.flags = NVME_FLAGS_SGL_METADATA;
    c.metadata = some_address(rng);
    c.nsid     = rng_below(rng, 10) ? 1 : c.nsid;
    for (uint32_t i = 0; i < 6; i++)
        if (rng_below(rng, 8))
            c.cdw[i] &= 0x001f001f;
    c.data.prp[0] = some_address(rng);
    c.data.prp[1] = some_address(rng);
    if (rng_below(rng, 8))
        c.cdw[1] = 0; /* Else the block is far beyond the last. */
    if (c.flags != 0)
        c.data.sgl = some_descriptor(rng);
    if (c.flags != 0 && rng_below(rng, 2))
        c.data.sgl.bytes = ((c.cdw[2] & 0xffff) + 1) << NVME_SECTOR_LG2;
    return c;
}

/* Lists of either kind where addresses of commands and lists point. */
static void write_lists(struct bench *b, struct rng *rng)
{
    uint64_t page = BENCH_DATA + (rng_next(rng) & 0x3f000);
    for (uint32_t i = 0; i < 256; i++) {
        const struct nvme_sgl d = some_descriptor(rng);
        const uint64_t prp      = some_address(rng);
        if (rng_below(rng, 2))
            memory_write(&b->memory, page + 16 * i, &d, sizeof d);
        else
            memory_write64(&b->memory, page + 16 * i, prp);
    }
}

static void submit_some(struct bench *b, struct rng *rng)
{
    const uint32_t queue = rng_below(rng, QUEUES + 1);
    const uint32_t count = 1 + rng_below(rng, 20);
    for (uint32_t i = 0; i < count; i++) {
        const struct nvme_sqe c = some_command(rng, queue == 0);
        bench_put(b, queue, &c);
    }
    if (rng_below(rng, 10) == 0)
        b->queue[queue].tail = rng_below(rng, 70000);
    bench_ring(b, queue);
    b->queue[queue].tail %= b->queue[queue].entries;
}

/* Takes all completions of a queue without looking at them. */
static void take_all(struct bench *b, uint32_t queue)
{
    b->queue[queue].head = b->n.cq[queue].tail;
    bench_done(b, queue);
}

static void poke(struct bench *b, struct rng *rng)
{
    uint32_t offset = rng_below(rng, NVME_WINDOW_BYTES) & ~7u;
    if (rng_below(rng, 2))
        offset &= 0x1fff;
    if (offset == (NVME_CC & ~7u) && rng_below(rng, 20))
        return;
    nvme_mmio_ops.read(&b->n, offset, 8, b->engine.now);
    if (rng_below(rng, 2))
        bench_write32(b, offset + 4 * rng_below(rng, 2), (uint32_t)rng_next(rng));
    else
        bench_write64(b, offset, rng_next(rng));
}

/* Back to a controller with queues, unless it faults on the way. */
static void revive(struct bench *b)
{
    bench_write32(b, NVME_CC, 0);
    bench_run(b);
    EXPECT(nvme_ctrl_idle(&b->n));
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), 0);
    bench_write32(b, NVME_AQA, (ENTRIES - 1) | (ENTRIES - 1) << 16);
    bench_write64(b, NVME_ASQ, BENCH_SQ);
    bench_write64(b, NVME_ACQ, BENCH_CQ);
    bench_write32(b, NVME_CC, NVME_CC_EN | NVME_SQE_LG2 << 16 | NVME_CQE_LG2 << 20);
    bench_run(b);
    for (uint32_t q = 0; q <= QUEUES; q++)
        b->queue[q] = (struct bench_queue){ ENTRIES, ENTRIES, 0, 0, 1, 0 };
    for (uint32_t q = 1; q <= QUEUES; q++) {
        struct nvme_sqe c = { .opcode   = NVME_ADMIN_CREATE_CQ,
                              .data.prp = { BENCH_CQ + q * BENCH_STRIDE },
                              .cdw      = { q | (ENTRIES - 1) << 16, 3 | q << 16 } };
        bench_put(b, 0, &c);
        c.opcode      = NVME_ADMIN_CREATE_SQ;
        c.data.prp[0] = BENCH_SQ + q * BENCH_STRIDE;
        bench_put(b, 0, &c);
    }
    bench_ring(b, 0);
    bench_run(b);
    take_all(b, 0);
}

static void do_something(struct bench *b, struct rng *rng)
{
    switch (rng_below(rng, 8)) {
    case 0:
        write_lists(b, rng);
        return;
    case 1:
        poke(b, rng);
        return;
    case 2:
    case 3:
        bench_run_until(b, b->engine.now + rng_below(rng, 20000000));
        return;
    case 4:
        for (uint32_t q = 0; q <= QUEUES; q++)
            take_all(b, q);
        return;
    default:
        submit_some(b, rng);
    }
}

static struct bench *hostile_bench(uint64_t seed)
{
    struct bench *b              = bench_new();
    b->config.queues             = 6;
    b->config.vectors            = 9;
    b->config.commands           = 40;
    b->config.descriptors_max    = 200;
    b->config.transfer_pages_lg2 = 9;
    b->config.command_gap_ns     = 50;
    b->config.read_ns            = 900;
    b->config.write_ns           = 900;
    b->config.jitter_ns          = 300;
    b->config.reads              = 30;
    b->config.writes             = 20;
    b->config.list_read_bytes    = 128;
    b->config.metadata_bytes     = seed % 2 == 0 ? 8 : 0;
    b->config.block_bytes        = seed % 4 < 2 ? 512 : 1024;
    b->reorder_ps                = 300000;
    bench_start(b);
    revive(b);
    return b;
}

static bool is_dead(struct bench *b)
{
    const uint32_t csts = bench_read32(b, NVME_CSTS);
    return csts & NVME_CSTS_CFS || !(csts & NVME_CSTS_RDY);
}

static void run_hostile(uint64_t seed, uint32_t one_in, uint32_t steps)
{
    struct bench *b    = hostile_bench(seed);
    struct rng rng     = rng_make(seed, "hostile");
    struct error error = { "" };
    for (uint32_t i = 0; i < steps; i++) {
        b->fault_one_in = one_in;
        do_something(b, &rng);
        b->fault_one_in = 0;
        EXPECT(nvme_ctrl_check(&b->n, &error));
        EXPECT_TEXT(error.text, "");
        if (is_dead(b) || i % 500 == 499)
            revive(b);
    }
    EXPECT(b->n.stats.command > steps);
    EXPECT(b->n.stats.completion_failed > steps / 4);
    EXPECT(b->n.stats.completion_succeeded > steps / 16);
    EXPECT(b->n.stats.transaction_list > steps / 4);
    EXPECT(b->n.stats.data_written_bytes > 1000000);
    EXPECT(b->n.stats.data_read_bytes > 1000000);
    revive(b);
    bench_free(b);
}

TEST_CASE(nvme_hostile, garbage_commands_and_lists_only_ever_fail)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        run_hostile(seed, 0, 2500);
}

TEST_CASE(nvme_hostile, faults_anywhere_at_any_time_only_ever_fail)
{
    for (uint64_t seed = 11; seed <= 14; seed++)
        run_hostile(seed, 2000, 2500);
}

/* Every read returns chance: entries and lists alike. */
TEST_CASE(nvme_hostile, a_memory_of_pure_chance_is_survived)
{
    struct bench *b = hostile_bench(22);
    struct rng rng  = rng_make(21, "hostile");
    b->garbage      = true;
    for (uint32_t i = 0; i < 3000; i++) {
        do_something(b, &rng);
        if (is_dead(b) || i % 500 == 499)
            revive(b);
    }
    EXPECT(b->n.stats.completion_failed > 500);
    b->garbage = false;
    revive(b);
    bench_free(b);
}
