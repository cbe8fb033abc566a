/* SPDX-License-Identifier: Apache-2.0 */
/* What takes how long, to the picosecond; and that it always does. */
#include <stdlib.h>
#include <string.h>

#include "sim/test/shim.h"
#include "workloads/nvme_bench.h"

enum { PAGE = NVME_PAGE_BYTES };

/* Odd numbers, so that a sum can be right in one way only. */
static struct bench *timing_bench(void)
{
    struct bench *b              = bench_new();
    b->config.decode_ns          = 217;
    b->config.command_gap_ns     = 331;
    b->config.read_ns            = 4567;
    b->config.write_ns           = 3211;
    b->config.read_mb_per_s      = 6999;
    b->config.write_mb_per_s     = 5003;
    b->config.transfer_pages_lg2 = 8;
    b->latency_ps[PORT_READ]     = 512345;
    b->latency_ps[PORT_WRITE]    = 234567;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 128);
    return b;
}

static uint64_t transfer_ps(uint32_t bytes, uint32_t mb_per_s)
{
    return ((uint64_t)bytes * 1000000 + mb_per_s - 1) / mb_per_s;
}

/* Runs what was rung for now and expects the last of count completions then. */
static void expect_done_at(struct bench *b, uint32_t count, sim_time_t after)
{
    const sim_time_t start = b->engine.now;
    struct nvme_cqe cqe    = { 0 };
    uint32_t got           = 0;
    bench_run_until(b, start + after - 1);
    while (bench_get(b, 1, &cqe))
        got++;
    EXPECT_EQUAL(got, count - 1);
    bench_run_until(b, start + after);
    EXPECT(bench_get(b, 1, &cqe));
    bench_run(b);
}

static void ring_for(struct bench *b, uint8_t opcode, uint32_t bytes, uint32_t count)
{
    const struct nvme_sqe c = bench_prp_io(b, opcode, bytes, 0, 0);
    for (uint32_t i = 0; i < count; i++)
        bench_put(b, 1, &c);
    bench_ring(b, 1);
}

/* ---- One command --------------------------------------------------------------------- */

TEST_CASE(nvme_timing, a_read_of_one_page)
{
    struct bench *b = timing_bench();
    ring_for(b, NVME_READ, PAGE, 1);
    expect_done_at(b, 1,
                   512345                        /* The entry is fetched */
                       + 217000                  /* and decoded; */
                       + 4567000                 /* the medium reads */
                       + transfer_ps(PAGE, 6999) /* and hands over; */
                       + 234567);                /* data and completion are written. */
    EXPECT_EQUAL(transfer_ps(PAGE, 6999), 585227);
    EXPECT_EQUAL(b->n.stats.transaction_data_written, 16);
    bench_free(b);
}

TEST_CASE(nvme_timing, a_write_of_one_page)
{
    struct bench *b = timing_bench();
    ring_for(b, NVME_WRITE, PAGE, 1);
    expect_done_at(b, 1,
                   512345                        /* The entry is fetched */
                       + 217000                  /* and decoded; */
                       + 512345                  /* data is read, all at once; */
                       + transfer_ps(PAGE, 5003) /* the medium takes it over */
                       + 3211000                 /* and writes it; */
                       + 234567);                /* the completion is written. */
    EXPECT_EQUAL(transfer_ps(PAGE, 5003), 818709);
    EXPECT_EQUAL(b->n.stats.transaction_data_read, 8);
    bench_free(b);
}

TEST_CASE(nvme_timing, a_write_waits_for_its_list_and_a_read_does_not)
{
    struct bench *b = timing_bench();
    ring_for(b, NVME_WRITE, 3 * PAGE, 1);
    expect_done_at(b, 1,
                   512345 + 217000 + 512345 + 512345 /* One read more: the list. */
                       + 3 * transfer_ps(PAGE, 5003) + 3211000 + 234567);
    bench_forget(b);
    ring_for(b, NVME_READ, 3 * PAGE, 1);
    expect_done_at(b, 1, 512345 + 217000 + 4567000 + 3 * transfer_ps(PAGE, 6999) + 234567);
    bench_free(b);
}

TEST_CASE(nvme_timing, a_flush_takes_a_channel_for_a_writes_time)
{
    struct bench *b         = timing_bench();
    const struct nvme_sqe c = { .opcode = NVME_FLUSH, .nsid = 1 };
    bench_put(b, 1, &c);
    bench_ring(b, 1);
    expect_done_at(b, 1, 512345 + 217000 + 3211000 + 234567);
    bench_free(b);
}

/* ---- Several ------------------------------------------------------------------------- */

TEST_CASE(nvme_timing, commands_start_a_gap_apart)
{
    struct bench *b = timing_bench();
    ring_for(b, NVME_READ, 512, 6);
    expect_done_at(
        b, 6, 512345 + 217000 + 5 * 331000 + 4567000 + transfer_ps(512, 6999) + 234567);
    bench_free(b);
}

TEST_CASE(nvme_timing, channels_bound_what_the_medium_does_at_once)
{
    struct bench *b          = bench_new();
    b->config.channels       = 2;
    b->config.command_gap_ns = 0;
    b->config.decode_ns      = 0;
    b->config.read_ns        = 10000;
    b->config.read_mb_per_s  = 1000000;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 32);
    ring_for(b, NVME_READ, 512, 6); /* Three rounds, each behind the transfer before. */
    expect_done_at(b, 6, 500000 + 3 * 10000000 + 3 * 512 + 512 + 300000);
    bench_free(b);
}

TEST_CASE(nvme_timing, a_command_is_spread_over_channels_by_units)
{
    static const struct {
        uint32_t unit_bytes, rounds;
    } cases[] = { { 4096, 4 }, { 16384, 1 }, { 1 << 20, 1 } };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench *b          = bench_new();
        b->config.unit_bytes     = cases[i].unit_bytes;
        b->config.channels       = 4;
        b->config.write_ns       = 100000;
        b->config.write_mb_per_s = 1000000;
        bench_bring_up(b, 8);
        bench_make_queues(b, 1, 8);
        const sim_time_t start = b->engine.now;
        ring_for(b, NVME_WRITE, 16 * PAGE, 1);
        bench_run(b);
        EXPECT_EQUAL((b->engine.now - start) / (100 * TIME_US), cases[i].rounds);
        bench_free(b);
    }
}

TEST_CASE(nvme_timing, a_small_command_need_not_wait_for_all_units_of_a_large_one)
{
    struct bench *b    = bench_new();
    b->config.channels = 1;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    struct nvme_cqe cqe = { 0 };
    ring_for(b, NVME_READ, 16 * PAGE, 1);
    ring_for(b, NVME_READ, PAGE, 1);
    bench_run(b);
    EXPECT(bench_get(b, 1, &cqe));
    EXPECT_EQUAL(cqe.cid, b->next_cid - 1);
    bench_free(b);
}

/* The path to the medium is the bottleneck: 4 MB at 6999 MB/s, with everything else hidden.
 */
TEST_CASE(nvme_timing, the_mediums_bandwidth_bounds_the_sum)
{
    struct bench *b        = timing_bench();
    const sim_time_t start = b->engine.now;
    ring_for(b, NVME_READ, 32 * PAGE, 32);
    bench_run(b);
    const uint64_t least = 1024 * transfer_ps(PAGE, 6999);
    EXPECT(b->engine.now - start >= least);
    EXPECT(b->engine.now - start < least + 7 * TIME_US);
    EXPECT_EQUAL(b->n.stats.data_written_bytes, 32 * 32 * PAGE);
    bench_free(b);
}

TEST_CASE(nvme_timing, latencies_of_transactions_are_recorded)
{
    struct bench *b = timing_bench();
    ring_for(b, NVME_READ, PAGE, 1);
    ring_for(b, NVME_WRITE, PAGE, 1);
    bench_run(b);
    EXPECT_EQUAL(b->n.read_latency_ps.min, 512345);
    EXPECT_EQUAL(b->n.read_latency_ps.max, 512345);
    EXPECT_EQUAL(b->n.write_latency_ps.min, 234567);
    EXPECT_EQUAL(b->n.write_latency_ps.max, 234567);
    EXPECT_EQUAL(b->n.read_latency_ps.count + b->n.write_latency_ps.count,
                 b->n.stats.transaction);
    bench_free(b);
}

TEST_CASE(nvme_timing, jitter_only_adds_and_stays_below_its_bound)
{
    struct bench *b          = bench_new();
    b->config.jitter_ns      = 1000;
    b->config.command_gap_ns = 100000; /* One at a time. */
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 128);
    const struct nvme_sqe c = { .opcode = NVME_FLUSH, .nsid = 1 };
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < 100; i++) {
        const sim_time_t start = b->engine.now + 100 * TIME_US;
        bench_run_until(b, start);
        bench_execute(b, 1, &c);
        const uint64_t took = b->engine.now - start; /* To the last response. */
        least               = took < least ? took : least;
        most                = took > most ? took : most;
    }
    const uint64_t without = 500000 + 200000 + 5000000 + 300000;
    EXPECT(least >= without);
    EXPECT(least < without + 100000);
    EXPECT(most <= without + 1000000);
    EXPECT(most > without + 900000);
    bench_free(b);
}

/* ---- Determinism --------------------------------------------------------------------- */

/* Everything that chance touches, at once. */
static struct bench *chancy_run(uint64_t seed)
{
    struct bench *b            = bench_new();
    b->seed                    = seed;
    b->config.jitter_ns        = 3000;
    b->config.coalesce_entries = 3;
    b->config.coalesce_100us   = 1;
    b->reorder_ps              = 900000;
    bench_bring_up(b, 8);
    bench_make_queues(b, 4, 64);
    b->room[PORT_WRITE] = 20;
    for (uint32_t i = 0; i < 120; i++) {
        const struct nvme_sqe c = bench_prp_io(b, i % 3 == 0 ? NVME_WRITE : NVME_READ,
                                               (1 + i % 9) * PAGE, (i % 5) * 512, 0);
        bench_put(b, 1 + i % 4, &c);
        if (i % 4 == 3)
            bench_ring(b, 1 + (i / 4) % 4);
    }
    for (uint32_t q = 1; q <= 4; q++)
        bench_ring(b, q);
    bench_run(b);
    return b;
}

TEST_CASE(nvme_timing, the_same_run_gives_the_same_transactions)
{
    struct bench *first = chancy_run(1), *second = chancy_run(1), *other = chancy_run(2);
    EXPECT(first->records > 4000);
    EXPECT_EQUAL(first->records, second->records);
    EXPECT(memcmp(first->record, second->record, first->records * sizeof first->record[0])
           == 0);
    EXPECT(memcmp(first->record, other->record, first->records * sizeof first->record[0])
           != 0);
    EXPECT(memcmp(&first->n.stats, &second->n.stats, sizeof first->n.stats) == 0);
    bench_free(first);
    bench_free(second);
    bench_free(other);
}
