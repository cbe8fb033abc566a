/* SPDX-License-Identifier: Apache-2.0 */
/* Queues: wrapping, full ones, arbitration, bounds and back-pressure. */
#include "sim/test/shim.h"
#include "workloads/nvme_bench.h"

enum { PAGE = NVME_PAGE_BYTES };

static const struct nvme_sqe flush = { .opcode = NVME_FLUSH, .nsid = 1 };

static void put_many(struct bench *b, uint32_t queue, const struct nvme_sqe *sqe,
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        bench_put(b, queue, sqe);
    bench_ring(b, queue);
}

/* The queue whose entries record i fetched, or 0. */
static uint32_t fetched_queue(const struct bench *b, uint32_t i)
{
    const struct bench_record *r = &b->record[i];
    if (r->kind != PORT_READ || r->iova < BENCH_SQ || r->iova >= BENCH_CQ)
        return 0;
    return (uint32_t)((r->iova - BENCH_SQ) / BENCH_STRIDE);
}

/* ---- Around the queue ---------------------------------------------------------------- */

TEST_CASE(nvme_queue, commands_go_around_the_queue_many_times)
{
    struct bench *b = bench_with_queues(1, 5);
    for (uint32_t i = 0; i < 50; i++) {
        EXPECT_EQUAL(bench_execute(b, 1, &flush), NVME_SUCCESS);
        EXPECT_EQUAL(b->queue[1].sq_head, (i + 1) % 5);
    }
    bench_free(b);
}

TEST_CASE(nvme_queue, full_queues_wrap_and_change_their_phase)
{
    struct bench *b = bench_with_queues(1, 8);
    struct nvme_cqe cqe;
    for (uint32_t round = 0; round < 20; round++) {
        put_many(b, 1, &flush, 7);
        bench_run(b);
        for (uint32_t i = 0; i < 7; i++) {
            EXPECT(bench_get(b, 1, &cqe));
            EXPECT_EQUAL(cqe.cid, (uint16_t)(b->next_cid - 7 + i));
        }
        EXPECT(!bench_get(b, 1, &cqe)); /* An old entry has the old phase. */
        EXPECT_EQUAL(b->queue[1].sq_head, b->queue[1].tail);
        bench_done(b, 1);
    }
    bench_free(b);
}

TEST_CASE(nvme_queue, completions_wait_while_their_queue_is_full)
{
    struct bench *b = bench_with_queues(2, 8);
    struct nvme_cqe cqe;
    put_many(b, 1, &flush, 7);
    bench_run(b);
    put_many(b, 1, &flush, 5);
    put_many(b, 2, &flush, 3);
    bench_run(b);
    EXPECT_EQUAL(bench_count(b, PORT_WRITE, BENCH_CQ + BENCH_STRIDE,
                             BENCH_CQ + 2 * BENCH_STRIDE - 1),
                 7);
    EXPECT_EQUAL(b->n.stats.queue_full, 5);
    EXPECT_EQUAL(b->messages[2], 3); /* Other queues go on. */
    EXPECT(!nvme_ctrl_idle(&b->n));
    for (uint32_t i = 0; i < 2; i++)
        EXPECT(bench_get(b, 1, &cqe));
    bench_done(b, 1); /* Room for two of the five. */
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 9);
    for (uint32_t i = 0; i < 7; i++)
        EXPECT(bench_get(b, 1, &cqe));
    EXPECT(!bench_get(b, 1, &cqe));
    bench_done(b, 1);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 12);
    EXPECT(nvme_ctrl_idle(&b->n));
    bench_free(b);
}

TEST_CASE(nvme_queue, two_submission_queues_may_share_a_completion_queue)
{
    struct bench *b   = bench_with_queues(1, 16);
    struct nvme_sqe c = { .opcode   = NVME_ADMIN_CREATE_SQ,
                          .data.prp = { BENCH_SQ + 2 * BENCH_STRIDE },
                          .cdw      = { 2 | 7 << 16, NVME_QUEUE_CONTIGUOUS | 1 << 16 } };
    struct nvme_cqe cqe;
    uint32_t of[3] = { 0 };
    EXPECT_EQUAL(bench_execute(b, 0, &c), NVME_SUCCESS);
    b->queue[2].entries = 8;
    put_many(b, 1, &flush, 4);
    put_many(b, 2, &flush, 6);
    bench_run(b);
    while (bench_get(b, 1, &cqe)) {
        REQUIRE(cqe.sq_id == 1 || cqe.sq_id == 2);
        of[cqe.sq_id]++;
    }
    EXPECT_EQUAL(of[1], 4);
    EXPECT_EQUAL(of[2], 6);
    bench_free(b);
}

/* ---- Fetching ------------------------------------------------------------------------ */

TEST_CASE(nvme_queue, entries_are_fetched_together_where_they_lie_together)
{
    struct bench *b         = bench_new();
    b->config.fetch_entries = 4;
    b->config.burst         = 64;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 20);
    put_many(b, 1, &flush, 14); /* 4, 4, 4, 2. */
    bench_run(b);
    EXPECT_EQUAL(bench_count(b, PORT_READ, BENCH_SQ, BENCH_CQ), 4);
    bench_forget(b);
    for (struct nvme_cqe cqe; bench_get(b, 1, &cqe);)
        continue;
    bench_done(b, 1);
    put_many(b, 1, &flush, 12); /* To the 512-byte boundary, the end, and around. */
    bench_run(b);
    const uint32_t counts[] = { 2, 4, 4, 2 };
    const uint32_t first[]  = { 14, 16, 0, 4 };
    for (uint32_t i = 0, n = 0; i < b->records; i++)
        if (fetched_queue(b, i) == 1) {
            REQUIRE(n < 4);
            EXPECT_EQUAL(b->record[i].bytes, counts[n] * 64);
            EXPECT_EQUAL(b->record[i].iova, BENCH_SQ + BENCH_STRIDE + first[n] * 64);
            n++;
        }
    bench_free(b);
}

TEST_CASE(nvme_queue, reads_never_pass_the_largest_request)
{
    struct bench *b          = bench_new();
    b->config.fetch_entries  = 64;
    b->config.max_read_bytes = 128;
    b->config.burst          = 64;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 64);
    put_many(b, 1, &flush, 33);
    bench_run(b); /* The bench checks every transaction. */
    EXPECT_EQUAL(bench_count(b, PORT_READ, BENCH_SQ, BENCH_CQ), 17);
    bench_free(b);
}

TEST_CASE(nvme_queue, fetches_answered_out_of_order_are_consumed_in_order)
{
    struct bench *b          = bench_new();
    b->config.fetch_entries  = 2;
    b->config.command_gap_ns = 0;
    b->reorder_ps            = 3000000;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 64);
    struct nvme_cqe cqe;
    put_many(b, 1, &flush, 60);
    bench_run(b);
    for (uint32_t i = 0; i < 60; i++) {
        EXPECT(bench_get(b, 1, &cqe));
        EXPECT_EQUAL(cqe.cid, (uint16_t)(b->next_cid - 60 + i));
        EXPECT(cqe.sq_head > i); /* Its own entry is consumed. */
    }
    bench_free(b);
}

/* Entries fetched less completions written, at its highest. */
static uint32_t most_under_way(const struct bench *b)
{
    uint32_t fetched = 0, completed = 0, most = 0;
    for (uint32_t i = 0; i < b->records; i++) {
        fetched += fetched_queue(b, i) != 0 ? b->record[i].bytes / 64 : 0;
        completed += b->record[i].kind == PORT_WRITE && b->record[i].bytes == 16;
        most = fetched - completed > most ? fetched - completed : most;
    }
    return most;
}

TEST_CASE(nvme_queue, commands_in_flight_are_bounded)
{
    struct bench *b    = bench_new();
    b->config.commands = 5;
    bench_bring_up(b, 8);
    bench_make_queues(b, 2, 64);
    put_many(b, 1, &flush, 40);
    put_many(b, 2, &flush, 40);
    bench_run(b);
    EXPECT_EQUAL(b->n.stats.command_flush, 80);
    EXPECT_EQUAL(most_under_way(b), 5);
    bench_free(b);
}

TEST_CASE(nvme_queue, fetches_in_flight_are_bounded)
{
    struct bench *b   = bench_new();
    b->config.fetches = 2;
    bench_bring_up(b, 8);
    bench_make_queues(b, 4, 64);
    for (uint32_t q = 1; q <= 4; q++)
        put_many(b, q, &flush, 60);
    bench_run(b);
    EXPECT_EQUAL(b->n.stats.command_flush, 240);
    EXPECT_EQUAL(b->most_in_flight[PORT_READ], 2);
    bench_free(b);
}

/* ---- Arbitration --------------------------------------------------------------------- */

/* The queues in the order in which they had their turns, entry by entry. */
static void expect_turns(const struct bench *b, uint32_t burst, uint32_t queues,
                         uint32_t entries)
{
    uint32_t queue = 1, left = burst, seen = 0;
    for (uint32_t i = 0; i < b->records; i++) {
        if (fetched_queue(b, i) == 0)
            continue;
        for (uint32_t e = 0; e < b->record[i].bytes / 64; e++, seen++) {
            EXPECT_EQUAL(fetched_queue(b, i), queue);
            if (--left == 0) {
                queue = queue % queues + 1;
                left  = burst;
            }
        }
    }
    EXPECT_EQUAL(seen, queues * entries);
}

static void check_turns(uint32_t burst_lg2, uint32_t burst, uint32_t fetch_entries)
{
    struct bench *b         = bench_new();
    b->config.fetch_entries = fetch_entries;
    b->config.fetches       = 1;
    bench_bring_up(b, 8);
    const struct nvme_sqe set = { .opcode = NVME_ADMIN_SET_FEATURES,
                                  .cdw    = { NVME_FEATURE_ARBITRATION, burst_lg2 } };
    EXPECT_EQUAL(bench_execute(b, 0, &set), NVME_SUCCESS);
    bench_make_queues(b, 3, 64);
    for (uint32_t q = 1; q <= 3; q++)
        put_many(b, q, &flush, 32);
    bench_run(b);
    expect_turns(b, burst, 3, 32);
    bench_free(b);
}

TEST_CASE(nvme_queue, submission_queues_take_turns_of_a_burst)
{
    check_turns(0, 1, 8);
    check_turns(2, 4, 8);
    check_turns(3, 8, 3);
    check_turns(NVME_ARBITRATION_FREE, 32, 8); /* All that wait. */
}

TEST_CASE(nvme_queue, the_burst_after_reset_is_the_parameter)
{
    struct bench *b   = bench_new();
    b->config.burst   = 2;
    b->config.fetches = 1;
    bench_bring_up(b, 8);
    bench_make_queues(b, 2, 64);
    put_many(b, 1, &flush, 8);
    put_many(b, 2, &flush, 8);
    bench_run(b);
    expect_turns(b, 2, 2, 8);
    bench_free(b);
}

TEST_CASE(nvme_queue, a_busy_queue_does_not_keep_another_waiting)
{
    struct bench *b    = bench_new();
    b->config.commands = 16;
    bench_bring_up(b, 8);
    bench_make_queues(b, 2, 256);
    put_many(b, 1, &flush, 250);
    bench_run_until(b, b->engine.now + 20 * TIME_US);
    put_many(b, 2, &flush, 1);
    bench_run_until(b, b->engine.now + 25 * TIME_US);
    EXPECT_EQUAL(b->messages[2], 1); /* Long before the other is done. */
    EXPECT(b->messages[1] < 125);
    bench_run(b);
    bench_free(b);
}

/* ---- Data in turns ------------------------------------------------------------------- */

/* How often the data read changed from one command to the other. */
static uint32_t changes_with(uint32_t turn_bytes)
{
    struct bench *b          = bench_new();
    b->config.turn_bytes     = turn_bytes;
    b->config.command_gap_ns = 0;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    b->room[PORT_READ] = 2;
    struct nvme_sqe c  = bench_io(NVME_WRITE, 0, 16384);
    c.flags            = NVME_FLAGS_SGL;
    for (uint32_t i = 0; i < 2; i++) {
        c.data.sgl = (struct nvme_sgl){ .iova = BENCH_DATA + i * 0x100000, .bytes = 16384 };
        bench_put(b, 1, &c);
    }
    bench_ring(b, 1);
    bench_run(b);
    uint32_t changes = 0;
    uint64_t last    = BENCH_DATA;
    for (uint32_t i = 0; i < b->records; i++)
        if (b->record[i].kind == PORT_READ && b->record[i].iova >= BENCH_DATA) {
            changes += (b->record[i].iova ^ last) >> 20 & 1;
            last = b->record[i].iova;
        }
    EXPECT_EQUAL(b->n.stats.data_read_bytes, 32768);
    bench_free(b);
    return changes;
}

TEST_CASE(nvme_queue, commands_move_their_data_in_turns)
{
    EXPECT_EQUAL(changes_with(512), 63);
    EXPECT_EQUAL(changes_with(4096), 7);
    EXPECT_EQUAL(changes_with(1 << 20), 1);
}

/* ---- Back-pressure ------------------------------------------------------------------- */

static void put_traffic(struct bench *b)
{
    const struct nvme_sqe r = bench_prp_io(b, NVME_READ, 6 * PAGE, 512, 0);
    const struct nvme_sqe w = bench_prp_io(b, NVME_WRITE, 6 * PAGE, 512, 0);
    for (uint32_t i = 0; i < 6; i++)
        put_many(b, 1 + i % 2, i % 3 == 0 ? &r : &w, 1);
}

static void expect_traffic_done(struct bench *b)
{
    EXPECT_EQUAL(b->messages[1] + b->messages[2], 6);
    EXPECT_EQUAL(b->n.stats.completion_failed, 0);
    EXPECT_EQUAL(b->n.stats.data_read_bytes, 4 * 6 * PAGE);
    EXPECT_EQUAL(b->n.stats.data_written_bytes, 2 * 6 * PAGE);
    EXPECT(nvme_ctrl_idle(&b->n));
}

TEST_CASE(nvme_queue, a_port_that_takes_one_at_a_time_is_respected)
{
    struct bench *b    = bench_with_queues(2, 16);
    b->room[PORT_READ] = b->room[PORT_WRITE] = 1;
    put_traffic(b);
    bench_run(b);
    expect_traffic_done(b);
    bench_free(b);
}

TEST_CASE(nvme_queue, transactions_in_flight_are_bounded)
{
    struct bench *b  = bench_new();
    b->config.reads  = 3;
    b->config.writes = 2;
    bench_bring_up(b, 8);
    bench_make_queues(b, 2, 16);
    put_traffic(b);
    bench_run(b);
    expect_traffic_done(b);
    EXPECT_EQUAL(b->most_in_flight[PORT_READ], 3);
    EXPECT_EQUAL(b->most_in_flight[PORT_WRITE], 2);
    bench_free(b);
}

TEST_CASE(nvme_queue, a_port_may_close_and_open_at_any_time)
{
    struct bench *b = bench_with_queues(2, 16);
    struct rng rng  = rng_make(3, "port");
    put_traffic(b);
    for (uint32_t i = 0; i < 400; i++) {
        b->closed[PORT_READ]  = rng_below(&rng, 2);
        b->closed[PORT_WRITE] = rng_below(&rng, 2);
        *b->port.device_due   = b->engine.now; /* As a port does that is ready again. */
        bench_run_until(b, b->engine.now + 1 + rng_below(&rng, 100000));
    }
    b->closed[PORT_READ] = b->closed[PORT_WRITE] = false;
    *b->port.device_due                          = b->engine.now;
    bench_run(b);
    expect_traffic_done(b);
    bench_free(b);
}

/* All of a read's data must be ahead of its completion entry: posted order does the rest.
 */
TEST_CASE(nvme_queue, completions_follow_their_data)
{
    struct bench *b         = bench_with_queues(1, 16);
    const struct nvme_sqe c = bench_prp_io(b, NVME_READ, 8 * PAGE, 100 * 4, 0);
    b->room[PORT_WRITE]     = 5;
    put_many(b, 1, &c, 1);
    bench_run(b);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < b->records; i++) {
        if (b->record[i].kind == PORT_WRITE && b->record[i].bytes == 16
            && b->record[i].iova < BENCH_DATA)
            EXPECT_EQUAL(bytes, 8 * PAGE);
        if (b->record[i].kind == PORT_WRITE && b->record[i].iova >= BENCH_DATA)
            bytes += b->record[i].bytes;
    }
    bench_free(b);
}
