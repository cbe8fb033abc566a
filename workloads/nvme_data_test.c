/* SPDX-License-Identifier: Apache-2.0 */
/* PRP and SGL lists, the cutting of transactions, and faults. */
#include "sim/test/shim.h"
#include "workloads/nvme_bench.h"

enum { DNR = NVME_STATUS_DO_NOT_RETRY, PAGE = NVME_PAGE_BYTES };

static struct bench *data_bench(void)
{
    struct bench *b              = bench_new();
    b->config.transfer_pages_lg2 = 11;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    return b;
}

/* ---- PRP ----------------------------------------------------------------------------- */

static void expect_pages(const struct bench *b, enum port_kind kind, uint32_t bytes,
                         uint32_t offset)
{
    uint32_t done = 0;
    for (uint32_t i = 0; done < bytes; i++) {
        const uint32_t start = i == 0 ? offset : 0;
        const uint32_t here  = bytes - done < PAGE - start ? bytes - done : PAGE - start;
        EXPECT(bench_covered(b, kind, bench_page(i) + start, here));
        done += here;
    }
    EXPECT_EQUAL(bench_bytes(b, kind, BENCH_DATA, BENCH_DATA + (1 << 25)), bytes);
}

/* Moves data both ways; list_entries is how many entries, pointers included, it reads. */
static void check_prp(uint32_t bytes, uint32_t offset, uint32_t list_offset,
                      uint32_t list_entries)
{
    static const uint8_t opcode[2] = { NVME_READ, NVME_WRITE };
    for (unsigned i = 0; i < 2; i++) {
        struct bench *b           = data_bench();
        const enum port_kind kind = i == 0 ? PORT_WRITE : PORT_READ;
        const struct nvme_sqe c   = bench_prp_io(b, opcode[i], bytes, offset, list_offset);
        EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
        expect_pages(b, kind, bytes, offset);
        EXPECT_EQUAL(b->n.stats.list_bytes, list_entries * 8);
        EXPECT_EQUAL(bench_bytes(b, PORT_READ, BENCH_LISTS, BENCH_DATA - 1),
                     list_entries * 8);
        bench_free(b);
    }
}

TEST_CASE(nvme_data, one_and_two_pages_need_no_list)
{
    check_prp(PAGE, 0, 0, 0);
    check_prp(512, PAGE - 512, 0, 0);
    check_prp(1024, PAGE - 512, 0, 0);
    check_prp(2 * PAGE, 0, 0, 0);
    check_prp(PAGE, 4, 0, 0); /* Offsets are multiples of 4. */
}

TEST_CASE(nvme_data, three_pages_and_more_need_a_list)
{
    check_prp(2 * PAGE, 512, 0, 2);
    check_prp(3 * PAGE, 0, 0, 2);
    check_prp(3 * PAGE, 0, PAGE - 16, 2); /* Exactly what is left of the list's page. */
    check_prp(32 * PAGE, 4092, 256, 32);
}

/* A full list page holds 512 entries; only with one more does its last become a pointer. */
TEST_CASE(nvme_data, a_list_is_chained_only_when_it_must_be)
{
    check_prp(512 * PAGE, 0, 0, 511);
    check_prp(513 * PAGE, 0, 0, 512);
    check_prp(514 * PAGE, 0, 0, 514);
    check_prp(513 * PAGE, 512, 0, 514);
    check_prp(1100 * PAGE, 0, 0, 1099 + 2);
}

TEST_CASE(nvme_data, a_list_that_begins_near_the_end_of_a_page_is_chained_early)
{
    check_prp(3 * PAGE, 0, PAGE - 8, 3); /* One slot: the pointer. */
    check_prp(4 * PAGE, 0, PAGE - 16, 4);
    check_prp(600 * PAGE, 0, PAGE - 64, 599 + 2);
}

TEST_CASE(nvme_data, lists_are_read_in_pieces_of_the_parameter)
{
    struct bench *b              = bench_new();
    b->config.transfer_pages_lg2 = 9;
    b->config.list_read_bytes    = 128;
    b->config.max_read_bytes     = 4096;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    const struct nvme_sqe c = bench_prp_io(b, NVME_READ, 100 * PAGE, 0, 64);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    EXPECT_EQUAL(b->n.stats.list_bytes, 99 * 8);
    EXPECT_EQUAL(b->n.stats.transaction_list, 1 + 6); /* 64, then 5 of 128, then 88. */
    EXPECT(bench_covered(b, PORT_READ, BENCH_LISTS + 64, 99 * 8));
    bench_free(b);
}

static uint32_t execute_prp(uint64_t prp1, uint64_t prp2, uint32_t pages)
{
    struct bench *b   = data_bench();
    struct nvme_sqe c = bench_prp_io(b, NVME_READ, pages * PAGE, 0, 0);
    if (prp1 != 0)
        c.data.prp[0] = prp1;
    if (prp2 != 0)
        c.data.prp[1] = prp2;
    const uint32_t status = bench_execute(b, 1, &c);
    bench_free(b);
    return status;
}

TEST_CASE(nvme_data, prp_offsets_are_checked_in_the_command)
{
    const uint32_t wrong = NVME_PRP_OFFSET_INVALID | DNR;
    EXPECT_EQUAL(execute_prp(BENCH_DATA + 2, 0, 1), wrong);
    EXPECT_EQUAL(execute_prp(0, BENCH_DATA + 0x4008, 2), wrong); /* A page, not at 0. */
    EXPECT_EQUAL(execute_prp(0, BENCH_LISTS + 4, 3), wrong);     /* A list, not at 8. */
    EXPECT_EQUAL(execute_prp(0, BENCH_DATA + 0x4000, 2), NVME_SUCCESS);
}

static uint32_t execute_with_entry(uint32_t index, uint64_t entry, uint32_t pages)
{
    struct bench *b         = data_bench();
    const struct nvme_sqe c = bench_prp_io(b, NVME_WRITE, pages * PAGE, 0, 0);
    memory_write64(&b->memory, BENCH_LISTS + 8 * index, entry);
    const uint32_t status = bench_execute(b, 1, &c);
    bench_free(b);
    return status;
}

TEST_CASE(nvme_data, prp_offsets_are_checked_in_lists)
{
    const uint32_t wrong = NVME_PRP_OFFSET_INVALID | DNR;
    EXPECT_EQUAL(execute_with_entry(0, BENCH_DATA + 4, 3), wrong);
    EXPECT_EQUAL(execute_with_entry(7, BENCH_DATA + 0x800, 9), wrong);
    EXPECT_EQUAL(execute_with_entry(511, BENCH_LISTS + 0x5008, 514), wrong);
    EXPECT_EQUAL(execute_with_entry(511, BENCH_LISTS + 0x2000, 514), NVME_SUCCESS);
}

TEST_CASE(nvme_data, transactions_end_at_natural_boundaries)
{
    struct bench *b         = data_bench();
    const struct nvme_sqe c = bench_prp_io(b, NVME_READ, PAGE, 0x2c4, 0);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    uint32_t data = 0;
    for (uint32_t i = 0; i < b->records; i++) {
        const struct bench_record *r = &b->record[i];
        if (r->kind != PORT_WRITE || r->iova >= BENCH_MSI || r->bytes == 16)
            continue;
        const uint64_t last = r->iova + r->bytes - 1;
        EXPECT(r->bytes <= 256);
        EXPECT_EQUAL(r->iova / 256, last / 256);
        data++;
    }
    EXPECT_EQUAL(data, 14 + 3); /* 0x3c to 0x300, 13 whole ones; 2 and 0xc4. */
    bench_free(b);
}

TEST_CASE(nvme_data, a_transaction_waits_until_the_medium_has_delivered_all_of_it)
{
    struct bench *b    = bench_new();
    b->config.channels = 1;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    const struct nvme_sqe c = bench_prp_io(b, NVME_READ, 2 * PAGE, 64, 0);
    bench_put(b, 1, &c);
    bench_ring(b, 1);
    /* The first unit ends 64 bytes into the second page, in the middle of a payload. */
    bench_run_until(b, b->engine.now + 8 * TIME_US);
    EXPECT_EQUAL(b->n.stats.data_written_bytes, PAGE - 64);
    bench_run(b);
    EXPECT_EQUAL(b->n.stats.data_written_bytes, 2 * PAGE);
    bench_free(b);
}

TEST_CASE(nvme_data, the_largest_payload_and_read_request_are_parameters)
{
    struct bench *b             = bench_new();
    b->config.max_payload_bytes = 512;
    b->config.max_read_bytes    = 4096;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    const struct nvme_sqe r = bench_prp_io(b, NVME_READ, PAGE, 0, 0);
    const struct nvme_sqe w = bench_prp_io(b, NVME_WRITE, PAGE, 0, 0);
    EXPECT_EQUAL(bench_execute(b, 1, &r), NVME_SUCCESS);
    EXPECT_EQUAL(bench_execute(b, 1, &w), NVME_SUCCESS);
    EXPECT_EQUAL(b->n.stats.transaction_data_written, 8);
    EXPECT_EQUAL(b->n.stats.transaction_data_read, 1);
    bench_free(b);
}

/* ---- SGL ----------------------------------------------------------------------------- */

static struct nvme_sqe sgl_io(uint8_t opcode, uint32_t bytes, uint8_t type, uint64_t iova,
                              uint32_t length)
{
    struct nvme_sqe c = bench_io(opcode, 0, bytes);
    c.flags           = NVME_FLAGS_SGL;
    c.data.sgl        = (struct nvme_sgl){ .iova = iova, .bytes = length, .type = type };
    return c;
}

static uint64_t put_descriptor(struct bench *b, uint64_t at, uint8_t type, uint64_t iova,
                               uint32_t bytes)
{
    const struct nvme_sgl d = { .iova = iova, .bytes = bytes, .type = type };
    memory_write(&b->memory, at, &d, sizeof d);
    return at + sizeof d;
}

TEST_CASE(nvme_data, a_descriptor_in_the_command_may_lie_at_any_byte)
{
    struct bench *b = data_bench();
    const struct nvme_sqe c =
        sgl_io(NVME_WRITE, 65536, NVME_SGL_DATA, BENCH_DATA + 7, 65536);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    EXPECT(bench_covered(b, PORT_READ, BENCH_DATA + 7, 65536));
    EXPECT_EQUAL(b->n.stats.data_read_bytes, 65536);
    EXPECT_EQUAL(b->n.stats.transaction_data_read, 129);
    bench_free(b);
}

TEST_CASE(nvme_data, a_last_segment_lists_blocks_of_any_length)
{
    struct bench *b = data_bench();
    uint64_t at     = BENCH_LISTS + 32;
    at              = put_descriptor(b, at, NVME_SGL_DATA, BENCH_DATA, 1000);
    at              = put_descriptor(b, at, NVME_SGL_DATA, BENCH_DATA + 0x10000, 0);
    at              = put_descriptor(b, at, NVME_SGL_DATA, BENCH_DATA + 0x20001, 5000);
    at              = put_descriptor(b, at, NVME_SGL_DATA, BENCH_DATA + 0x30000, 2192);
    const struct nvme_sqe c =
        sgl_io(NVME_READ, 8192, NVME_SGL_LAST_SEGMENT, BENCH_LISTS + 32, 64);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    EXPECT(bench_covered(b, PORT_WRITE, BENCH_DATA, 1000));
    EXPECT(bench_covered(b, PORT_WRITE, BENCH_DATA + 0x20001, 5000));
    EXPECT(bench_covered(b, PORT_WRITE, BENCH_DATA + 0x30000, 2192));
    EXPECT_EQUAL(b->n.stats.list_bytes, 64);
    bench_free(b);
}

/* 300 blocks of 512 bytes in segments of 7, the last of them pointing on. The segments are
 * aligned to 8 bytes only, so descriptors straddle pages and pieces. */
static uint64_t build_chain(struct bench *b, uint64_t base, uint32_t blocks)
{
    uint64_t at = base;
    for (uint32_t i = 0; i < blocks; i++) {
        if (i % 6 == 0 && i > 0) {
            const uint64_t next  = at + 0xfe0 - 8 * (i % 5);
            const bool last      = i + 6 >= blocks;
            const uint32_t count = last ? blocks - i : 7;
            put_descriptor(b, at, last ? NVME_SGL_LAST_SEGMENT : NVME_SGL_SEGMENT, next,
                           count * 16);
            at = next;
        }
        at = put_descriptor(b, at, NVME_SGL_DATA, bench_page(i), 512);
    }
    return base;
}

TEST_CASE(nvme_data, segments_are_chained_and_may_straddle_pages)
{
    struct bench *b         = data_bench();
    const uint64_t base     = build_chain(b, BENCH_LISTS + 0xf98, 300);
    const struct nvme_sqe c = sgl_io(NVME_WRITE, 300 * 512, NVME_SGL_SEGMENT, base, 7 * 16);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    for (uint32_t i = 0; i < 300; i++)
        EXPECT(bench_covered(b, PORT_READ, bench_page(i), 512));
    EXPECT_EQUAL(b->n.stats.list_bytes, (300 + 49) * 16);
    bench_free(b);
}

static uint32_t execute_sgl(const struct nvme_sgl *list, uint32_t count, uint8_t type)
{
    struct bench *b = data_bench();
    uint64_t at     = BENCH_LISTS;
    for (uint32_t i = 0; i < count; i++)
        at = put_descriptor(b, at, list[i].type, list[i].iova, list[i].bytes);
    const struct nvme_sqe c = sgl_io(NVME_WRITE, 8192, type, BENCH_LISTS, count * 16);
    const uint32_t status   = bench_execute(b, 1, &c);
    EXPECT(nvme_ctrl_idle(&b->n));
    bench_free(b);
    return status & ~(uint32_t)DNR;
}

#define DATA(length)                                                                       \
    {                                                                                      \
        BENCH_DATA, length, { 0 }, NVME_SGL_DATA                                           \
    }
#define POINTER(kind, length)                                                              \
    {                                                                                      \
        BENCH_LISTS + 0x1000, length, { 0 }, NVME_SGL_##kind                               \
    }
#define EXPECT_SGL(type, status, ...)                                                      \
    do {                                                                                   \
        const struct nvme_sgl list[] = { __VA_ARGS__ };                                    \
        EXPECT_EQUAL(execute_sgl(list, sizeof list / sizeof list[0], type), status);       \
    } while (0)

TEST_CASE(nvme_data, descriptors_must_add_up_to_the_transfer)
{
    EXPECT_SGL(NVME_SGL_LAST_SEGMENT, NVME_SUCCESS, DATA(4096), DATA(4096));
    EXPECT_SGL(NVME_SGL_LAST_SEGMENT, NVME_SGL_LENGTH_INVALID, DATA(4096), DATA(4095));
    EXPECT_SGL(NVME_SGL_LAST_SEGMENT, NVME_SGL_LENGTH_INVALID, DATA(4096), DATA(4097));
    EXPECT_SGL(NVME_SGL_LAST_SEGMENT, NVME_SGL_LENGTH_INVALID, DATA(8192), DATA(1));
    EXPECT_SGL(NVME_SGL_SEGMENT, NVME_SGL_LENGTH_INVALID, DATA(8192), POINTER(SEGMENT, 16));
}

TEST_CASE(nvme_data, descriptors_must_be_of_a_kind_that_may_stand_there)
{
    const struct nvme_sgl bucket = { 0, 4096, { 0 }, 0x10 };
    const struct nvme_sgl keyed  = { 0, 4096, { 0 }, 0x40 };
    const struct nvme_sgl offset = { 0, 4096, { 0 }, NVME_SGL_DATA | 1 };
    EXPECT_SGL(NVME_SGL_LAST_SEGMENT, NVME_SGL_TYPE_INVALID, DATA(4096), bucket);
    EXPECT_SGL(NVME_SGL_LAST_SEGMENT, NVME_SGL_TYPE_INVALID, keyed, DATA(4096));
    EXPECT_SGL(NVME_SGL_LAST_SEGMENT, NVME_SGL_TYPE_INVALID, DATA(4096), offset);
    EXPECT_SGL(0x10, NVME_SGL_TYPE_INVALID, DATA(8192));
    /* A pointer only at the end of a segment, and there only a pointer. */
    EXPECT_SGL(NVME_SGL_SEGMENT, NVME_SGL_COUNT_INVALID, POINTER(SEGMENT, 32), DATA(4096));
    EXPECT_SGL(NVME_SGL_SEGMENT, NVME_SGL_SEGMENT_INVALID, DATA(4096), DATA(4096));
    EXPECT_SGL(NVME_SGL_LAST_SEGMENT, NVME_SGL_SEGMENT_INVALID, DATA(4096),
               POINTER(LAST_SEGMENT, 16));
    EXPECT_SGL(NVME_SGL_SEGMENT, NVME_SGL_SEGMENT_INVALID, DATA(4096),
               POINTER(LAST_SEGMENT, 17));
    EXPECT_SGL(NVME_SGL_SEGMENT, NVME_SGL_SEGMENT_INVALID, DATA(4096),
               POINTER(LAST_SEGMENT, 0));
    const struct nvme_sgl askew = { BENCH_LISTS + 4, 16, { 0 }, NVME_SGL_LAST_SEGMENT };
    EXPECT_SGL(NVME_SGL_SEGMENT, NVME_SGL_SEGMENT_INVALID, DATA(4096), askew);
}

TEST_CASE(nvme_data, an_endless_chain_ends_at_the_bound)
{
    struct bench *b           = bench_new();
    b->config.descriptors_max = 20;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    put_descriptor(b, BENCH_LISTS, NVME_SGL_SEGMENT, BENCH_LISTS, 16); /* To itself. */
    const struct nvme_sqe c = sgl_io(NVME_READ, 512, NVME_SGL_SEGMENT, BENCH_LISTS, 16);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SGL_COUNT_INVALID | DNR);
    EXPECT_EQUAL(b->n.stats.transaction_list, 20);
    bench_free(b);
}

TEST_CASE(nvme_data, sgls_can_be_switched_off)
{
    struct bench *b = bench_new();
    b->config.sgl   = false;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    const struct nvme_sqe c = sgl_io(NVME_READ, 512, NVME_SGL_DATA, BENCH_DATA, 512);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_INVALID_FIELD | DNR);
    const struct nvme_sqe id = { .opcode   = NVME_ADMIN_IDENTIFY,
                                 .data.prp = { BENCH_DATA },
                                 .cdw      = { NVME_IDENTIFY_CONTROLLER } };
    EXPECT_EQUAL(bench_execute(b, 0, &id), NVME_SUCCESS);
    EXPECT_EQUAL(memory_read32(&b->memory, BENCH_DATA + NVME_IDCTRL_SGLS), 0);
    bench_free(b);
}

/* ---- Faults -------------------------------------------------------------------------- */

TEST_CASE(nvme_data, a_fault_of_data_to_read_fails_the_command_only)
{
    struct bench *b         = data_bench();
    const struct nvme_sqe c = bench_prp_io(b, NVME_WRITE, 20 * PAGE, 0, 0);
    bench_fault_on(b, PORT_READ, bench_page(7), bench_page(7) + 511);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_DATA_TRANSFER_ERROR);
    EXPECT_EQUAL(b->n.stats.fault_data_read, 1);
    const struct nvme_sqe good = bench_prp_io(b, NVME_WRITE, 7 * PAGE, 0, 0);
    EXPECT_EQUAL(bench_execute(b, 1, &good), NVME_SUCCESS);
    bench_free(b);
}

/* Nothing else happens any more that could move the completion along. */
TEST_CASE(nvme_data, a_command_that_fails_in_line_for_the_port_completes)
{
    struct bench *b         = data_bench();
    const struct nvme_sqe c = bench_prp_io(b, NVME_WRITE, 2 * PAGE, 0, 0);
    b->room[PORT_READ]      = 1;
    bench_fault_on(b, PORT_READ, bench_page(0), bench_page(0) + 511);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_DATA_TRANSFER_ERROR);
    EXPECT_EQUAL(b->n.stats.transaction_data_read, 1);
    bench_free(b);
}

TEST_CASE(nvme_data, a_fault_of_a_list_fails_the_command_only)
{
    static const uint8_t opcode[2] = { NVME_READ, NVME_WRITE };
    for (unsigned i = 0; i < 2; i++) {
        struct bench *b         = data_bench();
        const struct nvme_sqe c = bench_prp_io(b, opcode[i], 600 * PAGE, 0, 0);
        bench_fault_on(b, PORT_READ, BENCH_LISTS + 0x2000, BENCH_LISTS + 0x2fff);
        EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_DATA_TRANSFER_ERROR);
        EXPECT_EQUAL(b->n.stats.fault_list, 1);
        const struct nvme_sqe good = bench_prp_io(b, opcode[i], 100 * PAGE, 0, 0);
        EXPECT_EQUAL(bench_execute(b, 1, &good), NVME_SUCCESS);
        bench_free(b);
    }
}

/* The device hears of a posted write's fault while the rest of the data is still to come.
 */
TEST_CASE(nvme_data, an_early_fault_of_data_to_write_fails_the_command)
{
    struct bench *b         = data_bench();
    const struct nvme_sqe c = bench_prp_io(b, NVME_READ, 64 * PAGE, 0, 0);
    bench_fault_on(b, PORT_WRITE, bench_page(0), bench_page(0) + 255);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_DATA_TRANSFER_ERROR);
    EXPECT_EQUAL(b->n.stats.fault_data_written, 1);
    EXPECT_EQUAL(b->n.stats.late_fault, 0);
    bench_free(b);
}

TEST_CASE(nvme_data, a_late_fault_of_data_to_write_is_only_counted)
{
    struct bench *b         = data_bench();
    const struct nvme_sqe c = bench_prp_io(b, NVME_READ, PAGE, 0, 0);
    bench_fault_on(b, PORT_WRITE, bench_page(0), bench_page(0) + PAGE - 1);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    EXPECT_EQUAL(b->n.stats.fault_data_written, 16);
    EXPECT_EQUAL(b->n.stats.late_fault, 16);
    bench_free(b);
}

/* A queue at an address that faults: software cannot be told, but by the status register.
 */
static void check_fatal(enum port_kind kind, uint64_t start)
{
    struct bench *b         = data_bench();
    const struct nvme_sqe c = bench_prp_io(b, NVME_READ, PAGE, 0, 0);
    bench_fault_on(b, kind, start, start + 0xfff);
    bench_put(b, 1, &c);
    bench_ring(b, 1);
    bench_run(b);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), NVME_CSTS_RDY | NVME_CSTS_CFS);
    const uint32_t records = b->records;
    bench_put(b, 1, &c);
    bench_ring(b, 1);
    bench_run(b);
    EXPECT_EQUAL(b->records, records); /* Nothing more is done. */
    bench_write32(b, NVME_CC, 0);
    bench_run(b);
    EXPECT_EQUAL(bench_read32(b, NVME_CSTS), 0);
    EXPECT(nvme_ctrl_idle(&b->n));
    bench_free(b);
}

TEST_CASE(nvme_data, a_fault_of_a_queue_is_fatal_until_a_reset)
{
    check_fatal(PORT_READ, BENCH_SQ + BENCH_STRIDE);
    check_fatal(PORT_WRITE, BENCH_CQ + BENCH_STRIDE);
}
