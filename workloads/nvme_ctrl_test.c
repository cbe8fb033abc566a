/* SPDX-License-Identifier: Apache-2.0 */
/* Registers, resets, doorbells and interrupts. */
#include "workloads/nvme_ctrl.h"

#include <inttypes.h>

#include "sim/base/lg2.h"
#include "sim/base/rng.h"
#include "sim/test/shim.h"
#include "workloads/nvme_bench.h"

enum { ENABLE = NVME_CC_EN | NVME_SQE_LG2 << 16 | NVME_CQE_LG2 << 20 };

static struct nvme_sqe flush(void)
{
    const struct nvme_sqe sqe = { .opcode = NVME_FLUSH, .nsid = 1 };
    return sqe;
}

TEST_CASE(nvme_ctrl, every_default_is_a_value_that_may_be_set)
{
    struct nvme_config config;
    param_reset(&nvme_param_table, &config);
    for (const struct param_def *def = nvme_param_table.def; def->name != NULL; def++) {
        struct error error;
        char text[32];
        snprintf(text, sizeof text, "%" PRIu64, param_number(def, &config));
        EXPECT(param_set(&nvme_param_table, def, &config, text, &error));
        EXPECT(def->text[0] != '\0');
        EXPECT(def->source[0] != '\0');
    }
}

/* ---- Registers and states ------------------------------------------------------------ */

TEST_CASE(nvme_ctrl, capabilities_follow_the_parameters)
{
    struct bench *b           = bench_new();
    b->config.queue_entries   = 300;
    b->config.doorbell_stride = 2;
    b->config.ready_us        = 600000;
    bench_start(b);
    const uint32_t low = bench_read32(b, NVME_CAP), high = bench_read32(b, NVME_CAP + 4);
    EXPECT_EQUAL(bits_get(low, 15, 0), 299);
    EXPECT_EQUAL(bits_get(low, 16, 16), 1);
    EXPECT_EQUAL(bits_get(low, 31, 24), 2); /* 1 s, in halves. */
    EXPECT_EQUAL(bits_get(high, 3, 0), 2);
    EXPECT_EQUAL(bits_get(high, 12, 5), 1);  /* The NVM command set. */
    EXPECT_EQUAL(bits_get(high, 23, 16), 0); /* Pages of 4 KiB and no others. */
    EXPECT_EQUAL(bench_read32(b, NVME_VS), 0x10400);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, it_is_ready_ready_us_after_enabling)
{
    struct bench *b    = bench_new();
    b->config.ready_us = 7;
    bench_start(b);
    bench_write32(b, NVME_AQA, 7 | 7 << 16);
    bench_run_until(b, 1000);
    bench_write32(b, NVME_CC, ENABLE);
    bench_run_until(b, 1000 + 7 * TIME_US - 1);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), 0);
    bench_run_until(b, 1000 + 7 * TIME_US);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), NVME_CSTS_RDY);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, wide_registers_can_be_written_whole_or_by_halves)
{
    struct bench *b = bench_new();
    bench_start(b);
    bench_write64(b, NVME_ASQ, UINT64_C(0x123456789abcd000));
    bench_write32(b, NVME_ACQ + 4, 0x11111111);
    bench_write32(b, NVME_ACQ, 0x22222fff);
    EXPECT_EQUAL(bench_read32(b, NVME_ASQ), 0x9abcd000);
    EXPECT_EQUAL(bench_read32(b, NVME_ASQ + 4), 0x12345678);
    EXPECT_EQUAL(bench_read32(b, NVME_ACQ), 0x22222000); /* Queues begin at pages. */
    EXPECT_EQUAL(bench_read32(b, NVME_ACQ + 4), 0x11111111);
    bench_write32(b, NVME_VS, 0xffffffff);
    EXPECT_EQUAL(bench_read32(b, NVME_VS), 0x10400);
    bench_write32(b, NVME_INTMS, 5);
    bench_write32(b, NVME_INTMC, 1);
    EXPECT_EQUAL(bench_read32(b, NVME_INTMS), 4);
    bench_free(b);
}

static uint32_t status_with(uint32_t cc, uint32_t aqa)
{
    struct bench *b = bench_new();
    bench_start(b);
    bench_write32(b, NVME_AQA, aqa);
    bench_write32(b, NVME_CC, cc);
    bench_run(b);
    const uint32_t csts = bench_read32(b, NVME_CSTS);
    bench_free(b);
    return csts;
}

TEST_CASE(nvme_ctrl, what_it_does_not_offer_is_fatal_when_enabled)
{
    const uint32_t good = 1 | 1 << 16;
    EXPECT_EQUAL(status_with(ENABLE, good), NVME_CSTS_RDY);
    EXPECT_EQUAL(status_with(ENABLE | 1 << NVME_CC_MPS_SHIFT, good), NVME_CSTS_CFS);
    EXPECT_EQUAL(status_with(ENABLE | 6 << NVME_CC_CSS_SHIFT, good), NVME_CSTS_CFS);
    EXPECT_EQUAL(status_with(ENABLE | 1 << NVME_CC_AMS_SHIFT, good), NVME_CSTS_CFS);
    EXPECT_EQUAL(status_with(ENABLE, 1), NVME_CSTS_CFS);
    EXPECT_EQUAL(status_with(ENABLE, 1 << 16), NVME_CSTS_CFS);
}

TEST_CASE(nvme_ctrl, a_shutdown_takes_ready_us)
{
    struct bench *b        = bench_with_queues(1, 8);
    const sim_time_t start = b->engine.now;
    bench_write32(b, NVME_CC, ENABLE | 1 << NVME_CC_SHN_SHIFT);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), NVME_CSTS_RDY | NVME_CSTS_SHST_RUNNING);
    bench_run_until(b, start + 100 * TIME_US - 1);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), NVME_CSTS_RDY | NVME_CSTS_SHST_RUNNING);
    bench_run_until(b, start + 100 * TIME_US);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), NVME_CSTS_RDY | NVME_CSTS_SHST_COMPLETE);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, a_reset_waits_for_the_responses_and_forgets_the_rest)
{
    struct bench *b          = bench_with_queues(2, 16);
    const struct nvme_sqe io = bench_prp_io(b, NVME_WRITE, 65536, 512, 0);
    for (uint32_t i = 0; i < 10; i++)
        bench_put(b, 1, &io);
    bench_ring(b, 1);
    bench_run_until(b, b->engine.now + 1500 * TIME_NS); /* In the middle of it. */
    EXPECT(b->in_flight[PORT_READ] > 0);
    bench_write32(b, NVME_CC, ENABLE & ~NVME_CC_EN);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), NVME_CSTS_RDY);
    bench_run(b);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), 0);
    EXPECT_EQUAL(b->in_flight[PORT_READ], 0);
    EXPECT(nvme_ctrl_idle(&b->n));
    EXPECT_EQUAL(b->n.stats.reset, 1);

    memory_clear_page(&b->memory, BENCH_CQ); /* And it can be brought up again. */
    b->queue[0] = (struct bench_queue){ 32, 32, 0, 0, 1, 0 };
    bench_write32(b, NVME_CC, ENABLE);
    bench_run(b);
    memory_clear_page(&b->memory, BENCH_CQ + BENCH_STRIDE);
    b->queue[1] = (struct bench_queue){ 16, 16, 0, 0, 1, 0 };
    bench_make_queues(b, 1, 16);
    EXPECT_EQUAL(bench_execute(b, 1, &io), NVME_SUCCESS);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, enabling_again_before_the_reset_is_over_works)
{
    struct bench *b          = bench_with_queues(1, 16);
    const struct nvme_sqe io = bench_prp_io(b, NVME_WRITE, 4096, 0, 0);
    bench_put(b, 1, &io);
    bench_ring(b, 1);
    bench_run_until(b, b->engine.now + 1000);
    bench_write32(b, NVME_CC, ENABLE & ~NVME_CC_EN);
    bench_write32(b, NVME_CC, ENABLE);
    bench_run(b);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), NVME_CSTS_RDY);
    bench_free(b);
}

/* ---- Doorbells ----------------------------------------------------------------------- */

static void expect_doorbell(struct bench *b, uint32_t offset, uint32_t value, bool accepted)
{
    const uint64_t before = b->n.stats.doorbell_accepted;
    bench_write32(b, offset, value);
    EXPECT_EQUAL(b->n.stats.doorbell_accepted - before, accepted);
}

TEST_CASE(nvme_ctrl, impossible_doorbell_values_are_counted_and_ignored)
{
    struct bench *b   = bench_with_queues(1, 8);
    const uint32_t sq = nvme_sq_doorbell(1, 0), cq = nvme_cq_doorbell(1, 0);
    const uint64_t ignored = b->n.stats.doorbell_ignored;
    b->closed[PORT_READ]   = true;    /* Nothing is consumed. */
    expect_doorbell(b, sq, 8, false); /* Outside of the queue. */
    expect_doorbell(b, sq, 0, false); /* The same again. */
    expect_doorbell(b, sq, 5, true);
    expect_doorbell(b, sq, 3, false); /* Backwards. */
    expect_doorbell(b, sq, 0, false); /* One more than fit. */
    expect_doorbell(b, sq, 7, true);
    expect_doorbell(b, cq, 1, false);                     /* Nothing was completed. */
    expect_doorbell(b, nvme_sq_doorbell(2, 0), 1, false); /* No such queue yet, */
    expect_doorbell(b, nvme_cq_doorbell(2, 0), 1, false);
    expect_doorbell(b, nvme_sq_doorbell(65, 0), 1, false); /* nor ever. */
    EXPECT_EQUAL(b->n.stats.doorbell_ignored - ignored, 8);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, doorbells_are_as_far_apart_as_capabilities_say)
{
    struct bench *b           = bench_new();
    b->config.doorbell_stride = 4;
    bench_bring_up(b, 8);
    bench_make_queues(b, 3, 8);
    const struct nvme_sqe f = flush();
    EXPECT_EQUAL(bench_execute(b, 3, &f), NVME_SUCCESS);
    EXPECT_EQUAL(b->n.stats.doorbell_ignored, 0);
    bench_write32(b, nvme_sq_doorbell(3, 4) + 4, 2); /* Between two doorbells. */
    EXPECT_EQUAL(b->n.stats.doorbell_ignored, 0);
    bench_free(b);
}

/* ---- Interrupts ---------------------------------------------------------------------- */

static void put_flushes(struct bench *b, uint32_t queue, uint32_t count)
{
    const struct nvme_sqe f = flush();
    for (uint32_t i = 0; i < count; i++)
        bench_put(b, queue, &f);
    bench_ring(b, queue);
}

TEST_CASE(nvme_ctrl, each_completion_is_followed_by_its_message)
{
    struct bench *b = bench_with_queues(2, 16);
    put_flushes(b, 2, 5);
    bench_run(b);
    EXPECT_EQUAL(b->messages[2], 5);
    EXPECT_EQUAL(b->messages[1], 0);
    uint32_t entries = 0, messages = 0;
    for (uint32_t i = 0; i < b->records; i++) {
        entries += b->record[i].bytes == 16;
        messages += b->record[i].iova == BENCH_MSI + 2 * 16;
        EXPECT(messages <= entries);
    }
    EXPECT_EQUAL(entries, 5);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, a_queue_without_interrupts_sends_none)
{
    struct bench *b   = bench_with_queues(1, 16);
    struct nvme_sqe c = { .opcode   = NVME_ADMIN_CREATE_CQ,
                          .data.prp = { BENCH_CQ + 2 * BENCH_STRIDE },
                          .cdw      = { 2 | 7 << 16, NVME_QUEUE_CONTIGUOUS | 3 << 16 } };
    EXPECT_EQUAL(bench_execute(b, 0, &c), NVME_SUCCESS);
    c.opcode      = NVME_ADMIN_CREATE_SQ;
    c.data.prp[0] = BENCH_SQ + 2 * BENCH_STRIDE;
    c.cdw[1]      = NVME_QUEUE_CONTIGUOUS | 2 << 16;
    EXPECT_EQUAL(bench_execute(b, 0, &c), NVME_SUCCESS);
    b->queue[2].entries = b->queue[2].cq_entries = 8;
    put_flushes(b, 2, 3);
    bench_run(b);
    EXPECT_EQUAL(b->messages[3], 0);
    EXPECT_EQUAL(b->queue[2].head, 0);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, a_masked_vector_pends_until_it_is_unmasked)
{
    struct bench *b      = bench_with_queues(1, 16);
    const uint32_t entry = NVME_MSIX_TABLE + 16;
    bench_write32(b, entry + 12, NVME_MSIX_MASKED);
    put_flushes(b, 1, 3);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 0);
    EXPECT_EQUAL(bench_read32(b, NVME_MSIX_PENDING), 1 << 1);
    EXPECT_EQUAL(b->n.stats.interrupt_masked, 3);
    bench_write32(b, entry + 12, 0);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 1); /* However many it was for. */
    EXPECT_EQUAL(bench_read32(b, NVME_MSIX_PENDING), 0);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, a_vector_masked_while_its_message_waits_pends)
{
    struct bench *b = bench_with_queues(1, 16);
    put_flushes(b, 1, 2);
    b->room[PORT_WRITE] = 1; /* The first entry leaves, its message waits. */
    bench_run_until(b, b->engine.now + 5800 * TIME_NS);
    REQUIRE(bench_count(b, PORT_WRITE, 0, UINT64_MAX) == 1);
    bench_write32(b, NVME_MSIX_TABLE + 16 + 12, NVME_MSIX_MASKED);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 0);
    EXPECT_EQUAL(bench_read32(b, NVME_MSIX_PENDING), 1 << 1);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, vectors_are_masked_after_power_on_and_keep_their_entries_in_a_reset)
{
    struct bench *b = bench_new();
    bench_start(b);
    EXPECT_EQUAL(bench_read32(b, NVME_MSIX_TABLE + 12), NVME_MSIX_MASKED);
    bench_write64(b, NVME_MSIX_TABLE, UINT64_C(0x1122334455667788));
    bench_write32(b, NVME_MSIX_TABLE + 8, 99);
    bench_write32(b, NVME_CC, ENABLE);
    bench_run(b);
    bench_write32(b, NVME_CC, 0);
    bench_run(b);
    EXPECT_EQUAL(bench_read32(b, NVME_MSIX_TABLE), 0x55667788);
    EXPECT_EQUAL(bench_read32(b, NVME_MSIX_TABLE + 4), 0x11223344);
    EXPECT_EQUAL(bench_read32(b, NVME_MSIX_TABLE + 8), 99);
    bench_write32(b, NVME_MSIX_TABLE + 16 * b->config.vectors, 1); /* Behind the last. */
    EXPECT_EQUAL(bench_read32(b, NVME_MSIX_TABLE + 16 * b->config.vectors), 0);
    bench_free(b);
}

static struct bench *coalescing_bench(void)
{
    struct bench *b            = bench_new();
    b->config.coalesce_entries = 4;
    b->config.coalesce_100us   = 3;
    bench_bring_up(b, 32);
    bench_make_queues(b, 2, 64);
    return b;
}

TEST_CASE(nvme_ctrl, coalescing_sends_one_message_for_a_threshold_of_completions)
{
    struct bench *b = coalescing_bench();
    put_flushes(b, 1, 8);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 2);
    EXPECT_EQUAL(b->n.stats.completion - b->n.stats.command_admin, 8);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, coalescing_waits_for_its_time_and_no_longer)
{
    struct bench *b = coalescing_bench();
    put_flushes(b, 1, 6);
    bench_run_until(b, b->engine.now + 100 * TIME_US);
    EXPECT_EQUAL(b->messages[1], 1);
    /* The fifth completion started the clock. */
    sim_time_t fifth = 0;
    uint32_t entries = 0;
    for (uint32_t i = 0; i < b->records && entries < 5; i++)
        if (b->record[i].bytes == 16 && ++entries == 5)
            fifth = b->record[i].time;
    const sim_time_t message = fifth + 300 * TIME_US + b->latency_ps[PORT_WRITE];
    bench_run_until(b, message - 1);
    EXPECT_EQUAL(b->messages[1], 1);
    bench_run_until(b, message);
    EXPECT_EQUAL(b->messages[1], 2);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 2);
    bench_free(b);
}

/* ---- Counting anew when software takes completions ---- */

static struct bench *restarting_bench(void)
{
    struct bench *b            = bench_new();
    b->config.coalesce_entries = 4;
    b->config.coalesce_100us   = 3;
    b->config.coalesce_restart = 1;
    bench_bring_up(b, 32);
    bench_make_queues(b, 2, 64);
    return b;
}

static void take(struct bench *b, uint32_t queue, uint32_t count)
{
    struct nvme_cqe cqe;
    for (uint32_t i = 0; i < count; i++)
        REQUIRE(bench_get(b, queue, &cqe));
    bench_done(b, queue);
}

TEST_CASE(nvme_ctrl, a_taken_queue_asks_for_no_interrupt)
{
    struct bench *b = restarting_bench();
    put_flushes(b, 1, 3);
    bench_run_until(b, b->engine.now + 100 * TIME_US);
    EXPECT_EQUAL(b->messages[1], 0);
    take(b, 1, 3);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 0);
    /* The count began anew, too. */
    put_flushes(b, 1, 3);
    bench_run_until(b, b->engine.now + 100 * TIME_US);
    EXPECT_EQUAL(b->messages[1], 0);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 1);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, what_is_left_waits_for_a_time_of_its_own_and_no_longer)
{
    struct bench *b = restarting_bench();
    put_flushes(b, 1, 3);
    bench_run_until(b, b->engine.now + 200 * TIME_US);
    const sim_time_t taken   = b->engine.now;
    const sim_time_t message = taken + 300 * TIME_US + b->latency_ps[PORT_WRITE];
    take(b, 1, 2);
    bench_run_until(b, message - 1);
    EXPECT_EQUAL(b->messages[1], 0);
    bench_run_until(b, message);
    EXPECT_EQUAL(b->messages[1], 1);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 1);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, what_is_left_counts_towards_the_threshold)
{
    struct bench *b = restarting_bench();
    put_flushes(b, 1, 3);
    bench_run_until(b, b->engine.now + 100 * TIME_US);
    take(b, 1, 1); /* Two are left, */
    put_flushes(b, 1, 1);
    bench_run_until(b, b->engine.now + 100 * TIME_US);
    EXPECT_EQUAL(b->messages[1], 0);
    put_flushes(b, 1, 1); /* and these make four. */
    bench_run_until(b, b->engine.now + 100 * TIME_US);
    EXPECT_EQUAL(b->messages[1], 1);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 1);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, without_the_parameter_taking_changes_nothing)
{
    struct bench *b = coalescing_bench();
    put_flushes(b, 1, 3);
    bench_run_until(b, b->engine.now + 100 * TIME_US);
    take(b, 1, 3);
    bench_run(b);
    EXPECT_EQUAL(b->messages[1], 1); /* For nothing. */
    bench_free(b);
}

/* As many as are there, up to so many. */
static void take_some(struct bench *b, uint32_t queue, uint32_t most)
{
    struct nvme_cqe cqe;
    uint32_t taken = 0;
    while (taken < most && bench_get(b, queue, &cqe))
        taken++;
    if (taken > 0)
        bench_done(b, queue);
}

/* Any mixture of completions and takes: what is there is told within the time, unless
 * software keeps taking. */
TEST_CASE(nvme_ctrl, no_completion_is_forgotten_however_they_are_taken)
{
    struct rng rng = rng_make(5, "coalescing");
    for (unsigned turn = 0; turn < 40; turn++) {
        struct bench *b            = bench_new();
        b->config.coalesce_entries = 1 + rng_below(&rng, 6);
        b->config.coalesce_100us   = rng_below(&rng, 3);
        b->config.coalesce_restart = rng_below(&rng, 2);
        bench_bring_up(b, 32);
        bench_make_queues(b, 2, 64);
        for (unsigned step = 0; step < 30; step++) {
            const uint32_t queue = 1 + rng_below(&rng, 2);
            put_flushes(b, queue, 1 + rng_below(&rng, 5));
            bench_run_until(b, b->engine.now + rng_below(&rng, 400) * TIME_US);
            take_some(b, queue, rng_below(&rng, 8));
        }
        for (uint32_t queue = 1; queue <= 2; queue++) {
            bench_run(b);
            EXPECT_EQUAL(b->n.vector[queue].waiting, 0);
            take_some(b, queue, 64);
            bench_run(b);
            const uint32_t before = b->messages[queue];
            put_flushes(b, queue, 1);
            bench_run(b);
            EXPECT(b->messages[queue] > before);
            take(b, queue, 1);
        }
        bench_free(b);
    }
}

TEST_CASE(nvme_ctrl, a_vector_without_a_queue_cannot_be_excepted)
{
    struct bench *b = coalescing_bench();
    for (uint32_t vector = 0; vector < 5; vector++) {
        const struct nvme_sqe c = { .opcode = NVME_ADMIN_SET_FEATURES,
                                    .cdw    = { NVME_FEATURE_VECTOR,
                                                vector | NVME_VECTOR_DIRECT } };
        EXPECT_EQUAL(bench_execute(b, 0, &c),
                     vector == 1 || vector == 2
                         ? NVME_SUCCESS
                         : NVME_INVALID_FIELD | NVME_STATUS_DO_NOT_RETRY);
    }
    bench_free(b);
}

TEST_CASE(nvme_ctrl, the_admin_queue_and_exempt_vectors_do_not_coalesce)
{
    struct bench *b              = coalescing_bench();
    const struct nvme_sqe exempt = { .opcode = NVME_ADMIN_SET_FEATURES,
                                     .cdw    = { NVME_FEATURE_VECTOR,
                                                 2 | NVME_VECTOR_DIRECT } };
    const sim_time_t start       = b->engine.now;
    EXPECT_EQUAL(bench_execute(b, 0, &exempt), NVME_SUCCESS);
    EXPECT_EQUAL(b->messages[0], 1);
    EXPECT(b->engine.now - start < 10 * TIME_US);
    put_flushes(b, 2, 3);
    bench_run(b);
    EXPECT_EQUAL(b->messages[2], 3);
    bench_free(b);
}

TEST_CASE(nvme_ctrl, a_message_that_faults_is_lost_and_nothing_else)
{
    struct bench *b         = bench_with_queues(1, 16);
    const struct nvme_sqe f = flush();
    bench_fault_on(b, PORT_WRITE, BENCH_MSI, BENCH_MSI + 0xfff);
    EXPECT_EQUAL(bench_execute(b, 1, &f), NVME_SUCCESS);
    EXPECT_EQUAL(b->n.stats.fault_interrupt, 1);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), NVME_CSTS_RDY);
    bench_free(b);
}
