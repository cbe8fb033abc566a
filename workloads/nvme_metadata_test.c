/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata in a buffer of its own: the pointer, its SGLs, when it moves, what is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/test/shim.h"
#include "workloads/nvme_bench.h"

enum { DNR = NVME_STATUS_DO_NOT_RETRY, PAGE = NVME_PAGE_BYTES };

/* Far from data and lists. */
#define META UINT64_C(0x60000000)
#define LIST (BENCH_LISTS + 0x100000)

static struct bench *metadata_bench(uint32_t block, uint32_t metadata)
{
    struct bench *b              = bench_new();
    b->config.transfer_pages_lg2 = 11;
    b->config.block_bytes        = block;
    b->config.metadata_bytes     = metadata;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    return b;
}

/* A transfer of whole pages in blocks of that size. */
static struct nvme_sqe metadata_io(struct bench *b, uint8_t opcode, uint32_t bytes,
                                   uint64_t pointer)
{
    struct nvme_sqe c = bench_prp_io(b, opcode, bytes, 0, 0);
    c.cdw[2]          = bytes / b->config.block_bytes - 1;
    c.metadata        = pointer;
    return c;
}

static enum port_kind kind_of(uint8_t opcode)
{
    return opcode == NVME_READ ? PORT_WRITE : PORT_READ;
}

static const uint8_t both[2] = { NVME_READ, NVME_WRITE };

TEST_CASE(nvme_metadata, a_pointer_is_that_of_one_piece_beside_the_data)
{
    static const uint32_t block[] = { 512, 512, 512, 4096, 4096, 1024 };
    static const uint32_t size[]  = { 8, 16, 1, 8, 64, 1024 };
    for (unsigned i = 0; i < 6; i++)
        for (unsigned k = 0; k < 2; k++) {
            struct bench *b         = metadata_bench(block[i], size[i]);
            const struct nvme_sqe c = metadata_io(b, both[k], 9 * PAGE, META + 4);
            const uint32_t bytes    = 9 * PAGE / block[i] * size[i];
            EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
            EXPECT(bench_covered(b, kind_of(both[k]), META + 4, bytes));
            EXPECT_EQUAL(bench_bytes(b, kind_of(both[k]), META, META + (1 << 24)), bytes);
            EXPECT_EQUAL(
                bench_bytes(b, kind_of(both[k]), BENCH_DATA, BENCH_DATA + (1 << 24)),
                9 * PAGE);
            EXPECT_EQUAL(b->n.stats.metadata_read_bytes + b->n.stats.metadata_written_bytes,
                         bytes);
            bench_free(b);
        }
}

TEST_CASE(nvme_metadata, a_format_without_metadata_does_not_look_at_the_pointer)
{
    struct bench *b         = metadata_bench(512, 0);
    const struct nvme_sqe c = metadata_io(b, NVME_READ, PAGE, META + 1);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    EXPECT_EQUAL(b->n.stats.data_written_bytes, PAGE);
    EXPECT_EQUAL(bench_count(b, PORT_WRITE, META, META + PAGE), 0);
    bench_free(b);
}

TEST_CASE(nvme_metadata, commands_without_data_have_none)
{
    static const uint8_t opcode[] = { NVME_FLUSH, NVME_WRITE_ZEROES };
    for (unsigned i = 0; i < 2; i++) {
        struct bench *b         = metadata_bench(512, 8);
        const struct nvme_sqe c = metadata_io(b, opcode[i], PAGE, META);
        EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
        EXPECT_EQUAL(b->n.stats.data_read_bytes + b->n.stats.data_written_bytes, 0);
        bench_free(b);
    }
}

static uint32_t execute_at(uint8_t flags, uint64_t pointer)
{
    struct bench *b   = metadata_bench(512, 8);
    struct nvme_sqe c = metadata_io(b, NVME_WRITE, PAGE, pointer);
    c.flags           = flags;
    if (flags != 0)
        c.data.sgl =
            (struct nvme_sgl){ .iova = BENCH_DATA, .bytes = PAGE, .type = NVME_SGL_DATA };
    const uint32_t status = bench_execute(b, 1, &c);
    if (status != NVME_SUCCESS)
        EXPECT_EQUAL(b->n.stats.data_read_bytes, 0); /* Looked at before anything moves. */
    bench_free(b);
    return status;
}

TEST_CASE(nvme_metadata, the_pointers_alignment_depends_on_what_describes_the_data)
{
    EXPECT_EQUAL(execute_at(0, META + 4), NVME_SUCCESS);
    EXPECT_EQUAL(execute_at(0, META + 2), NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(execute_at(0, META + 1), NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(execute_at(NVME_FLAGS_SGL, META + 1), NVME_SUCCESS);
    EXPECT_EQUAL(execute_at(NVME_FLAGS_SGL_METADATA, LIST + 4), NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(execute_at(NVME_FLAGS_PSDT, META), NVME_INVALID_FIELD | DNR);
}

/* ---- SGLs ---------------------------------------------------------------------------- */

static void put(struct bench *b, uint64_t at, uint8_t type, uint64_t iova, uint32_t bytes)
{
    const struct nvme_sgl d = { .iova = iova, .bytes = bytes, .type = type };
    memory_write(&b->memory, at, &d, sizeof d);
}

/* 8 blocks of 512: 64 bytes of metadata. */
static struct nvme_sqe sgl_io(struct bench *b, uint8_t opcode)
{
    struct nvme_sqe c = metadata_io(b, opcode, PAGE, LIST);
    c.flags           = NVME_FLAGS_SGL_METADATA;
    c.data.sgl =
        (struct nvme_sgl){ .iova = BENCH_DATA, .bytes = PAGE, .type = NVME_SGL_DATA };
    return c;
}

TEST_CASE(nvme_metadata, a_segment_of_one_descriptor_may_describe_all)
{
    for (unsigned k = 0; k < 2; k++) {
        struct bench *b         = metadata_bench(512, 8);
        const struct nvme_sqe c = sgl_io(b, both[k]);
        put(b, LIST, NVME_SGL_DATA, META + 3, 64);
        EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
        EXPECT(bench_covered(b, kind_of(both[k]), META + 3, 64));
        EXPECT_EQUAL(b->n.stats.list_bytes, 16);
        bench_free(b);
    }
}

TEST_CASE(nvme_metadata, or_point_to_those_that_do)
{
    for (unsigned k = 0; k < 2; k++) {
        struct bench *b         = metadata_bench(512, 8);
        const struct nvme_sqe c = sgl_io(b, both[k]);
        put(b, LIST, NVME_SGL_LAST_SEGMENT, LIST + 16, 48);
        put(b, LIST + 16, NVME_SGL_DATA, META, 8);
        put(b, LIST + 32, NVME_SGL_DATA, META + 0x1000, 24);
        put(b, LIST + 48, NVME_SGL_DATA, META + 0x2001, 32);
        EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
        EXPECT(bench_covered(b, kind_of(both[k]), META, 8));
        EXPECT(bench_covered(b, kind_of(both[k]), META + 0x1000, 24));
        EXPECT(bench_covered(b, kind_of(both[k]), META + 0x2001, 32));
        EXPECT_EQUAL(bench_bytes(b, kind_of(both[k]), META, META + 0xffff), 64);
        EXPECT_EQUAL(b->n.stats.list_bytes, 64);
        bench_free(b);
    }
}

/* What the one descriptor is, how long, and what the list behind it holds. */
static uint32_t execute_sgl(uint8_t type, uint32_t bytes, uint8_t second, uint32_t length)
{
    struct bench *b         = metadata_bench(512, 8);
    const struct nvme_sqe c = sgl_io(b, NVME_READ);
    put(b, LIST, type, type == NVME_SGL_DATA ? META : LIST + 16, bytes);
    put(b, LIST + 16, second, META, length);
    put(b, LIST + 32, NVME_SGL_DATA, META + 0x1000, 32);
    const uint32_t status = bench_execute(b, 1, &c);
    bench_free(b);
    return status;
}

TEST_CASE(nvme_metadata, sgls_describe_neither_less_nor_more)
{
    const uint32_t length = NVME_METADATA_SGL_LENGTH_INVALID | DNR;
    EXPECT_EQUAL(execute_sgl(NVME_SGL_DATA, 64, 0, 0), NVME_SUCCESS);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_DATA, 63, 0, 0), length);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_DATA, 65, 0, 0), length);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_DATA, 0, 0, 0), length);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_LAST_SEGMENT, 32, NVME_SGL_DATA, 32), NVME_SUCCESS);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_LAST_SEGMENT, 32, NVME_SGL_DATA, 31), length);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_LAST_SEGMENT, 32, NVME_SGL_DATA, 64), length);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_LAST_SEGMENT, 16, NVME_SGL_DATA, 64), NVME_SUCCESS);
}

TEST_CASE(nvme_metadata, sgls_that_are_none_are_told_apart)
{
    EXPECT_EQUAL(execute_sgl(0x40, 64, 0, 0), NVME_SGL_TYPE_INVALID | DNR);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_LAST_SEGMENT, 0, NVME_SGL_DATA, 64),
                 NVME_SGL_SEGMENT_INVALID | DNR);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_LAST_SEGMENT, 24, NVME_SGL_DATA, 64),
                 NVME_SGL_SEGMENT_INVALID | DNR);
    /* A segment that is not the last must end in a pointer, a last one must not have any.
     */
    EXPECT_EQUAL(execute_sgl(NVME_SGL_SEGMENT, 16, NVME_SGL_DATA, 64),
                 NVME_SGL_SEGMENT_INVALID | DNR);
    EXPECT_EQUAL(execute_sgl(NVME_SGL_LAST_SEGMENT, 32, NVME_SGL_LAST_SEGMENT, 32),
                 NVME_SGL_SEGMENT_INVALID | DNR);
}

static uint32_t execute_where(bool sgl, bool metadata_sgl, uint32_t metadata)
{
    struct bench *b          = bench_new();
    b->config.sgl            = sgl;
    b->config.metadata_sgl   = metadata_sgl;
    b->config.metadata_bytes = metadata;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    const struct nvme_sqe c = sgl_io(b, NVME_READ);
    put(b, LIST, NVME_SGL_DATA, META, 64);
    const uint32_t status = bench_execute(b, 1, &c);
    bench_free(b);
    return status;
}

TEST_CASE(nvme_metadata, sgls_are_taken_only_where_they_are_offered)
{
    EXPECT_EQUAL(execute_where(true, true, 8), NVME_SUCCESS);
    EXPECT_EQUAL(execute_where(true, false, 8), NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(execute_where(false, true, 8), NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(execute_where(true, true, 0), NVME_INVALID_FIELD | DNR);
}

/* ---- When ---------------------------------------------------------------------------- */

TEST_CASE(nvme_metadata, a_blocks_metadata_comes_with_its_last_byte)
{
    struct bench *b          = bench_new();
    b->config.channels       = 1;
    b->config.unit_bytes     = 512;
    b->config.block_bytes    = 4096;
    b->config.metadata_bytes = 8;
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    const struct nvme_sqe c = metadata_io(b, NVME_READ, 2 * PAGE, META);
    bench_put(b, 1, &c);
    bench_ring(b, 1);
    const sim_time_t step = TIME_NS * 100;
    while (b->n.stats.completion < 1 + 3) { /* Beside those of the bring-up. */
        bench_run_until(b, b->engine.now + step);
        const uint64_t data =
            b->n.stats.data_written_bytes - b->n.stats.metadata_written_bytes;
        EXPECT(b->n.stats.metadata_written_bytes <= (data + 511) / PAGE * 8);
        if (b->n.stats.metadata_written_bytes == 16)
            break;
        REQUIRE(b->engine.now < TIME_US * 1000000);
    }
    EXPECT_EQUAL(b->n.stats.metadata_written_bytes, 16);
    bench_run(b);
    bench_free(b);
}

TEST_CASE(nvme_metadata, a_write_reaches_the_medium_with_both)
{
    struct bench *b          = metadata_bench(512, 8);
    b->latency_ps[PORT_READ] = 100 * TIME_US; /* Metadata is asked for behind the data. */
    const struct nvme_sqe c  = metadata_io(b, NVME_WRITE, PAGE, META);
    const sim_time_t began   = b->engine.now;
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    EXPECT(b->engine.now - began >= 200 * TIME_US); /* The entry, then data with it. */
    bench_free(b);
}

TEST_CASE(nvme_metadata, a_fault_of_it_fails_the_command)
{
    for (unsigned k = 0; k < 2; k++) {
        struct bench *b         = metadata_bench(512, 8);
        const struct nvme_sqe c = metadata_io(b, both[k], 2 * PAGE, META);
        bench_fault_on(b, kind_of(both[k]), META, META + 63);
        const uint32_t status = bench_execute(b, 1, &c);
        if (both[k] == NVME_WRITE)
            EXPECT_EQUAL(status, NVME_DATA_TRANSFER_ERROR);
        else /* Posted: it may come too late for the completion. */
            EXPECT(status == NVME_DATA_TRANSFER_ERROR || b->n.stats.late_fault > 0);
        EXPECT(b->n.stats.fault > 0);
        bench_free(b);
    }
}

/* ---- What the controller says of itself ---------------------------------------------- */

static struct bench *identified(uint32_t block, uint32_t metadata, uint32_t nsid,
                                uint32_t which)
{
    struct bench *b          = bench_new();
    b->config.block_bytes    = block;
    b->config.metadata_bytes = metadata;
    b->config.blocks         = 100003;
    bench_bring_up(b, 8);
    const struct nvme_sqe c = { .opcode   = NVME_ADMIN_IDENTIFY,
                                .nsid     = nsid,
                                .data.prp = { BENCH_DATA },
                                .cdw      = { which } };
    EXPECT_EQUAL(bench_execute(b, 0, &c), NVME_SUCCESS);
    return b;
}

TEST_CASE(nvme_metadata, identify_tells_the_format)
{
    struct bench *b = identified(512, 0, 1, NVME_IDENTIFY_NAMESPACE);
    EXPECT_EQUAL(memory_read32(&b->memory, BENCH_DATA + NVME_IDNS_LBAF), 9 << 16);
    EXPECT_EQUAL(memory_read32(&b->memory, BENCH_DATA + 24) >> 24, 0);
    EXPECT_EQUAL(memory_read64(&b->memory, BENCH_DATA + NVME_IDNS_NSZE), 100003);
    bench_free(b);
    b = identified(4096, 64, 1, NVME_IDENTIFY_NAMESPACE);
    EXPECT_EQUAL(memory_read32(&b->memory, BENCH_DATA + NVME_IDNS_LBAF), 12 << 16 | 64);
    EXPECT_EQUAL(memory_read32(&b->memory, BENCH_DATA + 24) >> 24, NVME_MC_BUFFER);
    EXPECT_EQUAL(memory_read64(&b->memory, BENCH_DATA + NVME_IDNS_NSZE), 12500);
    bench_free(b);
    b = identified(512, 8, 0, NVME_IDENTIFY_CONTROLLER);
    EXPECT_EQUAL(memory_read32(&b->memory, BENCH_DATA + NVME_IDCTRL_SGLS),
                 NVME_SGLS_BYTE | NVME_SGLS_METADATA);
    bench_free(b);
    b = identified(512, 0, 0, NVME_IDENTIFY_CONTROLLER);
    EXPECT_EQUAL(memory_read32(&b->memory, BENCH_DATA + NVME_IDCTRL_SGLS), NVME_SGLS_BYTE);
    bench_free(b);
}

static uint32_t execute_blocks(uint32_t first, uint32_t count)
{
    struct bench *b       = bench_new();
    b->config.block_bytes = 4096;
    b->config.blocks      = 8 * 100 + 7; /* The rest of a block is none. */
    bench_bring_up(b, 8);
    bench_make_queues(b, 1, 8);
    struct nvme_sqe c     = metadata_io(b, NVME_READ, PAGE, 0);
    c.cdw[0]              = first;
    c.cdw[2]              = count - 1;
    const uint32_t status = bench_execute(b, 1, &c);
    bench_free(b);
    return status;
}

TEST_CASE(nvme_metadata, blocks_are_counted_in_the_formats_size)
{
    EXPECT_EQUAL(execute_blocks(99, 1), NVME_SUCCESS);
    EXPECT_EQUAL(execute_blocks(98, 2), NVME_SUCCESS);
    EXPECT_EQUAL(execute_blocks(99, 2), NVME_LBA_OUT_OF_RANGE | DNR);
    EXPECT_EQUAL(execute_blocks(100, 1), NVME_LBA_OUT_OF_RANGE | DNR);
}

TEST_CASE(nvme_metadata, the_largest_transfer_is_that_of_the_data)
{
    struct bench *b         = metadata_bench(512, 1024);
    const struct nvme_sqe c = metadata_io(b, NVME_WRITE, 2048 * PAGE, META);
    struct nvme_sqe more    = c;
    more.cdw[2]++;
    EXPECT_EQUAL(bench_execute(b, 1, &more), NVME_INVALID_FIELD | DNR);
    EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
    EXPECT_EQUAL(b->n.stats.metadata_read_bytes, 16 << 20);
    bench_free(b);
}

/* ---- By chance, against a map of bytes ------------------------------------------------
 */

enum { SPACE = 1 << 16 };

/* Cuts so many bytes at random into descriptors behind the first, which points to them, and
 * marks where they lie. */
static void cut(struct bench *b, struct rng *rng, uint32_t bytes, uint8_t *wanted)
{
    uint64_t at = LIST + 16, place = META;
    uint32_t count = 0;
    for (uint32_t left = bytes; left > 0; count++) {
        uint32_t piece = 1 + rng_below(rng, 200);
        piece          = piece < left && count < 60 ? piece : left;
        place += rng_below(rng, 50);
        put(b, at, NVME_SGL_DATA, place, piece);
        memset(wanted + (place - META), 1, piece);
        place += piece;
        at += 16;
        left -= piece;
    }
    put(b, LIST, NVME_SGL_LAST_SEGMENT, LIST + 16, count * 16);
}

static void mark_moved(const struct bench *b, enum port_kind kind, uint8_t *moved)
{
    for (uint32_t i = 0; i < b->records; i++) {
        const struct bench_record *r = &b->record[i];
        if (r->kind != kind || r->iova < META || r->iova >= META + SPACE)
            continue;
        for (uint32_t k = 0; k < r->bytes; k++)
            moved[r->iova - META + k]++;
    }
}

TEST_CASE(nvme_metadata, any_cut_moves_every_byte_once)
{
    static const uint32_t size[] = { 1, 8, 16, 24, 64 };
    uint8_t *wanted = calloc(2, SPACE), *moved = wanted + SPACE;
    struct rng rng = rng_make(7, "metadata");
    for (unsigned turn = 0; turn < 60; turn++) {
        struct bench *b              = bench_new();
        const uint32_t metadata      = size[rng_below(&rng, 5)];
        const uint32_t block         = rng_below(&rng, 2) ? 512 : 4096;
        b->config.block_bytes        = block;
        b->config.metadata_bytes     = metadata;
        b->config.transfer_pages_lg2 = 11;
        b->config.list_read_bytes    = 64u << rng_below(&rng, 3);
        b->reorder_ps                = (uint32_t)(rng_below(&rng, 2) * 2000 * TIME_NS);
        b->seed                      = turn;
        bench_bring_up(b, 8);
        bench_make_queues(b, 1, 8);
        const uint8_t opcode = both[rng_below(&rng, 2)];
        const uint32_t pages = 1 + rng_below(&rng, 30);
        struct nvme_sqe c    = metadata_io(b, opcode, pages * PAGE, LIST);
        c.flags              = NVME_FLAGS_SGL_METADATA;
        c.data.sgl           = (struct nvme_sgl){ .iova  = BENCH_DATA + 1,
                                                  .bytes = pages * PAGE,
                                                  .type  = NVME_SGL_DATA };
        memset(wanted, 0, 2 * SPACE);
        cut(b, &rng, pages * PAGE / block * metadata, wanted);
        bench_forget(b);
        EXPECT_EQUAL(bench_execute(b, 1, &c), NVME_SUCCESS);
        mark_moved(b, kind_of(opcode), moved);
        EXPECT(memcmp(wanted, moved, SPACE) == 0);
        EXPECT_EQUAL(bench_bytes(b, kind_of(opcode), BENCH_DATA, BENCH_DATA + (1 << 24)),
                     pages * PAGE);
        bench_free(b);
    }
    free(wanted);
}
