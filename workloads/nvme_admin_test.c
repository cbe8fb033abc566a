/* SPDX-License-Identifier: Apache-2.0 */
/* Admin commands, every status that they can end with, and the checks of I/O commands. */
#include "sim/test/shim.h"
#include "workloads/nvme_bench.h"

enum { DNR = NVME_STATUS_DO_NOT_RETRY };

static struct bench *admin_bench(void)
{
    struct bench *b    = bench_new();
    b->config.queues   = 4;
    b->config.vectors  = 5;
    b->config.blocks   = 1000;
    b->config.commands = 32;
    bench_bring_up(b, 8);
    return b;
}

static uint32_t admin(struct bench *b, uint8_t opcode, uint32_t cdw10, uint32_t cdw11,
                      uint64_t prp1)
{
    const struct nvme_sqe c = { .opcode   = opcode,
                                .data.prp = { prp1, 0 },
                                .cdw      = { cdw10, cdw11 } };
    return bench_execute(b, 0, &c);
}

static uint32_t create_cq(struct bench *b, uint32_t id, uint32_t entries, uint32_t vector,
                          uint64_t prp1)
{
    return admin(b, NVME_ADMIN_CREATE_CQ, id | (entries - 1) << 16,
                 NVME_QUEUE_CONTIGUOUS | NVME_QUEUE_INTERRUPTS | vector << 16, prp1);
}

static uint32_t create_sq(struct bench *b, uint32_t id, uint32_t entries, uint32_t cq,
                          uint64_t prp1)
{
    return admin(b, NVME_ADMIN_CREATE_SQ, id | (entries - 1) << 16,
                 NVME_QUEUE_CONTIGUOUS | cq << 16, prp1);
}

static uint64_t read_at(struct bench *b, uint64_t page, uint32_t offset, uint32_t bytes)
{
    uint64_t value = 0;
    memory_read(&b->memory, page + offset, &value, bytes);
    return value;
}

/* ---- Identify ------------------------------------------------------------------------ */

static uint32_t identify(struct bench *b, uint32_t structure, uint32_t nsid, uint64_t prp1,
                         uint64_t prp2)
{
    const struct nvme_sqe c = { .opcode   = NVME_ADMIN_IDENTIFY,
                                .nsid     = nsid,
                                .data.prp = { prp1, prp2 },
                                .cdw      = { structure } };
    return bench_execute(b, 0, &c);
}

TEST_CASE(nvme_admin, identify_tells_what_linux_looks_for)
{
    struct bench *b   = admin_bench();
    const uint64_t at = BENCH_DATA;
    char model[8]     = "";
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_CONTROLLER, 0, at, 0), NVME_SUCCESS);
    EXPECT_EQUAL(read_at(b, at, NVME_IDCTRL_MDTS, 1), b->config.transfer_pages_lg2);
    EXPECT_EQUAL(read_at(b, at, NVME_IDCTRL_SGLS, 4), NVME_SGLS_BYTE);
    EXPECT_EQUAL(read_at(b, at, NVME_IDCTRL_NN, 4), 1);
    EXPECT_EQUAL(read_at(b, at, NVME_IDCTRL_SQES, 1), 0x66);
    EXPECT_EQUAL(read_at(b, at, NVME_IDCTRL_CQES, 1), 0x44);
    EXPECT_EQUAL(read_at(b, at, NVME_IDCTRL_VER, 4), 0x10400);
    EXPECT_EQUAL(read_at(b, at, NVME_IDCTRL_MAXCMD, 2), 32);
    memory_read(&b->memory, at + NVME_IDCTRL_MODEL, model, 7);
    EXPECT_TEXT(model, "iovasim");
    EXPECT(bench_covered(b, PORT_WRITE, at, 4096));

    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_NAMESPACE, 1, at, 0), NVME_SUCCESS);
    EXPECT_EQUAL(read_at(b, at, NVME_IDNS_NSZE, 8), 1000);
    EXPECT_EQUAL(read_at(b, at, NVME_IDNS_NLBAF, 1), 0);
    EXPECT_EQUAL(read_at(b, at, NVME_IDNS_FLBAS, 1), 0);
    EXPECT_EQUAL(read_at(b, at, NVME_IDNS_LBAF, 4) >> NVME_LBAF_SHIFT, 9);
    bench_free(b);
}

TEST_CASE(nvme_admin, identify_lists_the_namespaces_above_an_id)
{
    struct bench *b   = admin_bench();
    const uint64_t at = BENCH_DATA;
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_ACTIVE, 0, at, 0), NVME_SUCCESS);
    EXPECT_EQUAL(read_at(b, at, 0, 8), 1);
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_ACTIVE, 1, at, 0), NVME_SUCCESS);
    EXPECT_EQUAL(read_at(b, at, 0, 8), 0);
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_DESCRIPTORS, 1, at, 0), NVME_SUCCESS);
    EXPECT_EQUAL(read_at(b, at, 0, 2), NVME_NIDT_EUI64 | 8 << 8);
    bench_free(b);
}

TEST_CASE(nvme_admin, identify_data_may_lie_across_two_pages)
{
    struct bench *b = admin_bench();
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_CONTROLLER, 0, 0x80000c00, 0x90000000),
                 NVME_SUCCESS);
    EXPECT_EQUAL(read_at(b, 0x80000c00, NVME_IDCTRL_MDTS, 1), 5);
    EXPECT_EQUAL(read_at(b, 0x90000000, 0, 8), 0);
    EXPECT(bench_covered(b, PORT_WRITE, 0x80000c00, 1024));
    EXPECT(bench_covered(b, PORT_WRITE, 0x90000000, 3072));
    bench_free(b);
}

TEST_CASE(nvme_admin, identify_refuses_what_is_not_there)
{
    struct bench *b = admin_bench();
    EXPECT_EQUAL(identify(b, 0x04, 1, BENCH_DATA, 0), NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_NAMESPACE, 0, BENCH_DATA, 0),
                 NVME_INVALID_NAMESPACE | DNR);
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_NAMESPACE, 2, BENCH_DATA, 0),
                 NVME_INVALID_NAMESPACE | DNR);
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_ACTIVE, UINT32_MAX, BENCH_DATA, 0),
                 NVME_INVALID_NAMESPACE | DNR);
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_CONTROLLER, 0, BENCH_DATA + 2, 0),
                 NVME_PRP_OFFSET_INVALID | DNR);
    EXPECT_EQUAL(identify(b, NVME_IDENTIFY_CONTROLLER, 0, BENCH_DATA, 0), NVME_SUCCESS);
    bench_free(b);
}

/* One buffer serves them all: each must see its own structure. */
TEST_CASE(nvme_admin, identify_commands_in_a_row_wait_for_the_buffer)
{
    struct bench *b           = bench_new();
    b->config.command_gap_ns  = 0;
    b->config.blocks          = 1000;
    b->latency_ps[PORT_WRITE] = 2000 * TIME_NS; /* The buffer is in use for that long. */
    bench_bring_up(b, 8);
    struct nvme_cqe cqe;
    for (uint32_t i = 0; i < 6; i++) {
        const struct nvme_sqe c = { .opcode   = NVME_ADMIN_IDENTIFY,
                                    .nsid     = 1,
                                    .data.prp = { bench_page(i), 0 },
                                    .cdw      = { i % 2 } };
        bench_put(b, 0, &c);
    }
    bench_ring(b, 0);
    bench_run(b);
    for (uint32_t i = 0; i < 6; i++) {
        const bool controller = i % 2;
        EXPECT(bench_get(b, 0, &cqe));
        EXPECT_EQUAL(read_at(b, bench_page(i), NVME_IDCTRL_SQES, 1), controller ? 0x66 : 0);
        EXPECT_EQUAL(read_at(b, bench_page(i), NVME_IDNS_NSZE, 2), controller ? 0 : 1000);
    }
    bench_free(b);
}

/* Two that identify different things, put while the port takes no writes. */
static struct bench *two_identifies(void)
{
    struct bench *b           = bench_new();
    b->config.command_gap_ns  = 0;
    b->config.blocks          = 1000;
    b->latency_ps[PORT_WRITE] = 2 * TIME_US;
    bench_bring_up(b, 8);
    b->closed[PORT_WRITE] = true;
    for (uint32_t i = 0; i < 2; i++) {
        const struct nvme_sqe c = { .opcode   = NVME_ADMIN_IDENTIFY,
                                    .nsid     = 1,
                                    .data.prp = { bench_page(i), 0 },
                                    .cdw      = { 1 - i } };
        bench_put(b, 0, &c);
    }
    bench_ring(b, 0);
    bench_run(b);
    return b;
}

static void open_port(struct bench *b, uint32_t room)
{
    b->closed[PORT_WRITE] = false;
    b->room[PORT_WRITE]   = room;
    *b->port.device_due   = b->engine.now;
}

static void expect_two_identified(struct bench *b)
{
    bench_run(b);
    EXPECT_EQUAL(read_at(b, bench_page(0), NVME_IDCTRL_SQES, 1), 0x66);
    EXPECT_EQUAL(read_at(b, bench_page(0), NVME_IDNS_NSZE, 2), 0);
    EXPECT_EQUAL(read_at(b, bench_page(1), NVME_IDCTRL_SQES, 1), 0);
    EXPECT_EQUAL(read_at(b, bench_page(1), NVME_IDNS_NSZE, 2), 1000);
    EXPECT(nvme_ctrl_idle(&b->n));
}

TEST_CASE(nvme_admin, identify_keeps_the_buffer_until_it_is_sent)
{
    struct bench *b = two_identifies();
    open_port(b, 100);
    expect_two_identified(b);
    bench_free(b);
}

TEST_CASE(nvme_admin, identify_keeps_the_buffer_until_its_last_write_is_answered)
{
    struct bench *b = two_identifies();
    open_port(b, 2);
    bench_run_until(b, b->engine.now + TIME_US);
    open_port(b, 100); /* The first two writes are answered 1 us before the others. */
    expect_two_identified(b);
    bench_free(b);
}

/* ---- Queues -------------------------------------------------------------------------- */

TEST_CASE(nvme_admin, creating_completion_queues_is_checked)
{
    struct bench *b   = admin_bench();
    const uint64_t at = BENCH_CQ + BENCH_STRIDE;
    EXPECT_EQUAL(create_cq(b, 0, 8, 0, at), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(create_cq(b, 5, 8, 0, at), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(create_cq(b, 1, 1, 0, at), NVME_QUEUE_SIZE_INVALID | DNR);
    EXPECT_EQUAL(create_cq(b, 1, 1025, 0, at), NVME_QUEUE_SIZE_INVALID | DNR);
    EXPECT_EQUAL(create_cq(b, 1, 8, 5, at), NVME_VECTOR_INVALID | DNR);
    EXPECT_EQUAL(create_cq(b, 1, 8, 0, at + 64), NVME_PRP_OFFSET_INVALID | DNR);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_CREATE_CQ, 1 | 7 << 16, NVME_QUEUE_INTERRUPTS, at),
                 NVME_INVALID_FIELD | DNR); /* Not contiguous. */
    EXPECT_EQUAL(create_cq(b, 1, 1024, 4, at), NVME_SUCCESS);
    EXPECT_EQUAL(create_cq(b, 1, 8, 0, at), NVME_QUEUE_ID_INVALID | DNR);
    bench_free(b);
}

TEST_CASE(nvme_admin, creating_submission_queues_is_checked)
{
    struct bench *b   = admin_bench();
    const uint64_t at = BENCH_SQ + BENCH_STRIDE;
    EXPECT_EQUAL(create_cq(b, 2, 8, 0, BENCH_CQ + BENCH_STRIDE), NVME_SUCCESS);
    EXPECT_EQUAL(create_sq(b, 0, 8, 2, at), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 5, 8, 2, at), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 1, 8, 0, at), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 1, 8, 9, at), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 1, 8, 1, at), NVME_CQ_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 1, 1, 2, at), NVME_QUEUE_SIZE_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 1, 1025, 2, at), NVME_QUEUE_SIZE_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 1, 8, 2, at + 8), NVME_PRP_OFFSET_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 1, 8, 2, at), NVME_SUCCESS);
    EXPECT_EQUAL(create_sq(b, 1, 8, 2, at), NVME_QUEUE_ID_INVALID | DNR);
    bench_free(b);
}

TEST_CASE(nvme_admin, entry_sizes_must_be_set_before_queues_are_made)
{
    struct bench *b = bench_new();
    bench_bring_up(b, 8);
    bench_write32(b, NVME_CC, NVME_CC_EN | 5 << NVME_CC_IOSQES_SHIFT);
    EXPECT_EQUAL(create_cq(b, 1, 8, 0, BENCH_CQ + BENCH_STRIDE),
                 NVME_QUEUE_SIZE_INVALID | DNR);
    bench_write32(b, NVME_CC,
                  NVME_CC_EN | 5 << NVME_CC_IOSQES_SHIFT | 4 << NVME_CC_IOCQES_SHIFT);
    EXPECT_EQUAL(create_cq(b, 1, 8, 0, BENCH_CQ + BENCH_STRIDE), NVME_SUCCESS);
    EXPECT_EQUAL(create_sq(b, 1, 8, 1, BENCH_SQ + BENCH_STRIDE),
                 NVME_QUEUE_SIZE_INVALID | DNR);
    bench_free(b);
}

TEST_CASE(nvme_admin, deleting_queues_is_checked)
{
    struct bench *b = admin_bench();
    bench_make_queues(b, 2, 8);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_SQ, 0, 0, 0), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_SQ, 3, 0, 0), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_SQ, 99, 0, 0), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_CQ, 0, 0, 0), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_CQ, 3, 0, 0), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_CQ, 1, 0, 0), NVME_QUEUE_DELETE_INVALID | DNR);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_SQ, 1, 0, 0), NVME_SUCCESS);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_SQ, 1, 0, 0), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_CQ, 1, 0, 0), NVME_SUCCESS);
    EXPECT_EQUAL(admin(b, NVME_ADMIN_DELETE_CQ, 1, 0, 0), NVME_QUEUE_ID_INVALID | DNR);
    EXPECT_EQUAL(create_sq(b, 1, 8, 1, BENCH_SQ + BENCH_STRIDE), NVME_CQ_INVALID | DNR);
    const uint64_t ignored = b->n.stats.doorbell_ignored;
    bench_write32(b, nvme_sq_doorbell(1, 0), 1);
    EXPECT_EQUAL(b->n.stats.doorbell_ignored, ignored + 1);

    memory_clear_page(&b->memory, BENCH_CQ + BENCH_STRIDE); /* And made anew. */
    EXPECT_EQUAL(create_cq(b, 1, 4, 1, BENCH_CQ + BENCH_STRIDE), NVME_SUCCESS);
    EXPECT_EQUAL(create_sq(b, 1, 4, 1, BENCH_SQ + BENCH_STRIDE), NVME_SUCCESS);
    b->queue[1]                 = (struct bench_queue){ 4, 4, 0, 0, 1, 0 };
    const struct nvme_sqe flush = { .opcode = NVME_FLUSH, .nsid = 1 };
    for (uint32_t i = 0; i < 9; i++)
        EXPECT_EQUAL(bench_execute(b, 1, &flush), NVME_SUCCESS);
    bench_free(b);
}

TEST_CASE(nvme_admin, deleting_a_busy_submission_queue_waits_for_its_commands)
{
    struct bench *b             = admin_bench();
    const struct nvme_sqe flush = { .opcode = NVME_FLUSH, .nsid = 1 };
    const struct nvme_sqe away  = { .opcode = NVME_ADMIN_DELETE_SQ, .cdw = { 1 } };
    struct nvme_cqe cqe;
    bench_make_queues(b, 1, 64);
    for (uint32_t i = 0; i < 40; i++) /* More than commands in flight: some never start. */
        bench_put(b, 1, &flush);
    bench_ring(b, 1);
    bench_put(b, 0, &away);
    bench_put(b, 0, &away); /* While it is going on, the queue is no more. */
    bench_ring(b, 0);
    bench_run(b);
    uint32_t completed = 0;
    while (bench_get(b, 1, &cqe))
        completed += cqe.status == NVME_CQE_PHASE;
    EXPECT(completed > 0);
    EXPECT(completed < 40);
    EXPECT_EQUAL(b->n.stats.command_flush, completed);
    EXPECT(bench_get(b, 0, &cqe));
    EXPECT_EQUAL(cqe.status >> 1, NVME_QUEUE_ID_INVALID | DNR);
    EXPECT(bench_get(b, 0, &cqe));
    EXPECT_EQUAL(cqe.status >> 1, NVME_SUCCESS);
    /* The deletion is reported behind the last completion. */
    const struct bench_record *last = NULL;
    for (uint32_t i = 0; i < b->records; i++)
        if (b->record[i].bytes == 16)
            last = &b->record[i];
    EXPECT(last != NULL && last->iova < BENCH_CQ + BENCH_STRIDE);
    EXPECT(nvme_ctrl_idle(&b->n));
    bench_free(b);
}

/* ---- Features ------------------------------------------------------------------------ */

static uint32_t feature(struct bench *b, uint8_t opcode, uint32_t id, uint32_t value,
                        uint32_t *result)
{
    const struct nvme_sqe c = { .opcode = opcode, .cdw = { id, value } };
    return bench_execute_for(b, 0, &c, result);
}

TEST_CASE(nvme_admin, the_number_of_queues_is_granted_before_the_first_is_made)
{
    struct bench *b = admin_bench();
    uint32_t result;
    EXPECT_EQUAL(
        feature(b, NVME_ADMIN_SET_FEATURES, NVME_FEATURE_QUEUES, 99 | 99 << 16, &result),
        NVME_SUCCESS);
    EXPECT_EQUAL(result, 3 | 3 << 16);
    EXPECT_EQUAL(feature(b, NVME_ADMIN_GET_FEATURES, NVME_FEATURE_QUEUES, 0, &result),
                 NVME_SUCCESS);
    EXPECT_EQUAL(result, 3 | 3 << 16);
    EXPECT_EQUAL(feature(b, NVME_ADMIN_SET_FEATURES, NVME_FEATURE_QUEUES, 0xffff, &result),
                 NVME_INVALID_FIELD | DNR);
    bench_make_queues(b, 1, 8);
    EXPECT_EQUAL(feature(b, NVME_ADMIN_SET_FEATURES, NVME_FEATURE_QUEUES, 0, &result),
                 NVME_COMMAND_SEQUENCE | DNR);
    bench_free(b);
}

TEST_CASE(nvme_admin, features_read_back_what_was_set)
{
    static const struct {
        uint32_t id, value;
    } set[]         = { { NVME_FEATURE_ARBITRATION, 4 },
                        { NVME_FEATURE_ARBITRATION, 7 },
                        { NVME_FEATURE_COALESCING, 9 | 20 << 8 },
                        { NVME_FEATURE_VECTOR, 3 | NVME_VECTOR_DIRECT },
                        { NVME_FEATURE_VECTOR, 3 } };
    struct bench *b = admin_bench();
    uint32_t result;
    bench_make_queues(b, 3, 8);
    for (unsigned i = 0; i < sizeof set / sizeof set[0]; i++) {
        EXPECT_EQUAL(feature(b, NVME_ADMIN_SET_FEATURES, set[i].id, set[i].value, &result),
                     NVME_SUCCESS);
        EXPECT_EQUAL(
            feature(b, NVME_ADMIN_GET_FEATURES, set[i].id, set[i].value & 0xff, &result),
            NVME_SUCCESS);
        EXPECT_EQUAL(result, set[i].value);
    }
    bench_free(b);
}

TEST_CASE(nvme_admin, unknown_features_vectors_and_opcodes_are_refused)
{
    struct bench *b = admin_bench();
    uint32_t result;
    for (uint8_t opcode = NVME_ADMIN_SET_FEATURES; opcode <= NVME_ADMIN_GET_FEATURES;
         opcode++) {
        EXPECT_EQUAL(feature(b, opcode, 0x7f, 0, &result), NVME_INVALID_FIELD | DNR);
        EXPECT_EQUAL(feature(b, opcode, NVME_FEATURE_VECTOR, 5, &result),
                     NVME_INVALID_FIELD | DNR);
    }
    EXPECT_EQUAL(
        feature(b, NVME_ADMIN_GET_FEATURES, NVME_FEATURE_QUEUES | 1 << 8, 0, &result),
        NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(admin(b, 0x02, 0, 0, 0), NVME_INVALID_OPCODE | DNR);
    EXPECT_EQUAL(admin(b, 0x7f, 0, 0, 0), NVME_INVALID_OPCODE | DNR);
    const struct nvme_sqe sgl = { .opcode = NVME_ADMIN_IDENTIFY, .flags = NVME_FLAGS_SGL };
    EXPECT_EQUAL(bench_execute(b, 0, &sgl), NVME_INVALID_FIELD | DNR);
    bench_free(b);
}

/* ---- I/O commands -------------------------------------------------------------------- */

static uint32_t io(struct bench *b, uint8_t opcode, uint8_t flags, uint32_t nsid,
                   uint64_t block, uint32_t bytes)
{
    struct nvme_sqe c = bench_io(opcode, block, bytes);
    c.flags           = flags;
    c.nsid            = nsid;
    c.data.prp[0]     = BENCH_DATA;
    return bench_execute(b, 1, &c);
}

TEST_CASE(nvme_admin, io_commands_are_checked_before_they_start)
{
    struct bench *b = admin_bench();
    bench_make_queues(b, 1, 8);
    EXPECT_EQUAL(io(b, NVME_READ, 0, 1, 999, 512), NVME_SUCCESS);
    EXPECT_EQUAL(io(b, NVME_READ, 0, 1, 999, 1024), NVME_LBA_OUT_OF_RANGE | DNR);
    EXPECT_EQUAL(io(b, NVME_WRITE, 0, 1, UINT64_MAX, 1024), NVME_LBA_OUT_OF_RANGE | DNR);
    EXPECT_EQUAL(io(b, NVME_WRITE_ZEROES, 0, 1, 1000, 512), NVME_LBA_OUT_OF_RANGE | DNR);
    EXPECT_EQUAL(io(b, NVME_READ, 0, 2, 0, 512), NVME_INVALID_NAMESPACE | DNR);
    EXPECT_EQUAL(io(b, NVME_WRITE, 0, 0, 0, 512), NVME_INVALID_NAMESPACE | DNR);
    EXPECT_EQUAL(io(b, NVME_FLUSH, 0, UINT32_MAX, 0, 512), NVME_SUCCESS);
    EXPECT_EQUAL(io(b, NVME_READ, 0, UINT32_MAX, 0, 512), NVME_INVALID_NAMESPACE | DNR);
    EXPECT_EQUAL(io(b, NVME_READ, 0, 1, 0, 128 * 1024 + 512), NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(io(b, NVME_READ, 1, 1, 0, 512), NVME_INVALID_FIELD | DNR); /* Fused. */
    EXPECT_EQUAL(io(b, NVME_READ, 0x80, 1, 0, 512),
                 NVME_INVALID_FIELD | DNR); /* Metadata */
    EXPECT_EQUAL(io(b, NVME_READ, 0xc0, 1, 0, 512),
                 NVME_INVALID_FIELD | DNR);                             /* in SGLs. */
    EXPECT_EQUAL(io(b, 0x05, 0, 1, 0, 512), NVME_INVALID_OPCODE | DNR); /* Compare. */
    EXPECT_EQUAL(b->n.stats.command_unknown, 1);
    EXPECT_EQUAL(b->n.stats.completion_failed, 11);
    bench_free(b);
}

TEST_CASE(nvme_admin, commands_without_data_or_with_ranges_take_a_writes_time)
{
    struct bench *b = admin_bench();
    bench_make_queues(b, 1, 8);
    EXPECT_EQUAL(io(b, NVME_WRITE_ZEROES, 0, 1, 0, 1000 * 512), NVME_SUCCESS);
    EXPECT_EQUAL(b->n.stats.data_read_bytes, 0);
    struct nvme_sqe c      = bench_io(NVME_DATASET, 0, 512);
    c.cdw[0]               = 9; /* Ten ranges. */
    c.data.prp[0]          = BENCH_DATA + 0xf80;
    c.data.prp[1]          = BENCH_DATA + 0x5000;
    const sim_time_t start = b->engine.now;
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    EXPECT(b->engine.now - start > 5 * TIME_US);
    EXPECT(bench_covered(b, PORT_READ, BENCH_DATA + 0xf80, 128));
    EXPECT(bench_covered(b, PORT_READ, BENCH_DATA + 0x5000, 32));
    EXPECT_EQUAL(b->n.stats.data_read_bytes, 160);
    bench_free(b);
}
