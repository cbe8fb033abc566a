/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of `iovasim trace` that make a trace of others, and what they promise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/trace_edit.h"
#include "sim/app/trace_stats.h"
#include "sim/base/check.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

static struct trace_record read_of(uint64_t time_ns, uint64_t lba, uint64_t pa,
                                   struct trace_segment *segment)
{
    *segment = (struct trace_segment){ pa, 4096 };
    return (struct trace_record){ .time_ns       = time_ns,
                                  .latency_ns    = 1000,
                                  .lba           = lba,
                                  .bytes         = 4096,
                                  .op            = TRACE_READ,
                                  .segment_count = 1,
                                  .segment       = segment };
}

TEST_CASE(trace_edit, a_cut_takes_from_begin_to_before_end)
{
    struct trace_segment s;
    const struct edit_cut cut = {
        .skip = 1, .begin_ns = 10, .end_ns = 20, .device = 0, .cpu = UINT64_MAX
    };
    struct trace_record r = read_of(10, 0, 4096, &s);
    EXPECT(!edit_cut_keeps(&cut, &r, 0));
    EXPECT(edit_cut_keeps(&cut, &r, 1));
    r.time_ns = 9;
    EXPECT(!edit_cut_keeps(&cut, &r, 1));
    r.time_ns = 19;
    EXPECT(edit_cut_keeps(&cut, &r, 1));
    r.time_ns = 20;
    EXPECT(!edit_cut_keeps(&cut, &r, 1));
    r.time_ns = 15;
    r.device  = 1;
    EXPECT(!edit_cut_keeps(&cut, &r, 1));
}

TEST_CASE(trace_edit, scaling_is_exact_and_refuses_what_gets_too_large)
{
    struct trace_segment s;
    struct error error;
    struct trace_record r = read_of(3000000001, 0, 4096, &s);
    EXPECT(edit_scale(&r, 500000, &error));
    EXPECT_EQUAL(r.time_ns, 1500000000);
    EXPECT_EQUAL(r.latency_ns, 500);
    r.latency_ns = TRACE_LATENCY_UNKNOWN;
    EXPECT(edit_scale(&r, 2000000, &error));
    EXPECT_EQUAL(r.time_ns, 3000000000);
    EXPECT(r.latency_ns == TRACE_LATENCY_UNKNOWN);
    r.time_ns = TRACE_TIME_MAX_NS;
    EXPECT(!edit_scale(&r, 1000001, &error));
    EXPECT_HAS(error.text, "too large");
}

/* Equal stays equal, different stays different, and inside a frame nothing moves. */
TEST_CASE(trace_edit, anonymising_is_one_to_one)
{
    enum { FRAMES = 4096 };
    static uint64_t seen[FRAMES];
    for (uint64_t i = 0; i < FRAMES; i++) {
        struct trace_segment s;
        struct trace_record r = read_of(0, i << 11 | 5, (i << 21) + 0x3000, &s);
        edit_anonymise(&r, &s, 7);
        EXPECT_EQUAL(r.lba & 0x7ff, 5);
        EXPECT_EQUAL(s.pa & 0x1fffff, 0x3000);
        EXPECT(s.pa >> 21 != 0 || i == 0);
        seen[i]            = s.pa >> 21;
        struct error error = { "" };
        EXPECT(trace_record_check(&r, &error));
        for (uint64_t k = 0; k < i; k++)
            if (seen[k] == seen[i])
                EXPECT_EQUAL(k, i);
    }
}

TEST_CASE(trace_edit, anonymising_keeps_rdma_work_within_the_rules)
{
    struct rng rng   = rng_make(3, "anonymise");
    uint64_t time_ns = 0;
    for (unsigned i = 0; i < 3000; i++) {
        static struct trace_segment segment[TRACE_SEGMENTS_MAX];
        struct trace_record r = fixture_record(&rng, &time_ns);
        struct error error    = { "" };
        if (r.segment_count != 0)
            memcpy(segment, r.segment, r.segment_count * sizeof segment[0]);
        if (!trace_op_is_rdma(r.op))
            continue;
        edit_anonymise(&r, segment, 11);
        EXPECT(trace_record_check(&r, &error));
        EXPECT_TEXT(error.text, "");
    }
}

TEST_CASE(trace_stats, reuse_and_gaps_are_counted)
{
    static struct trace_stats stats;
    trace_stats_init(&stats);
    for (unsigned i = 0; i < 100; i++) {
        struct trace_segment s[2] = { { 0x10000 + 0x1000 * (i % 10), 4096 },
                                      { 0x900000, 4096 } };
        struct trace_record r     = read_of(i, i * 8, s[0].pa, s);
        s[1]                      = (struct trace_segment){ 0x900000, 512 };
        if (i % 2 == 1) {
            r.segment_count = 2;
            r.bytes         = 4608;
        }
        trace_stats_add(&stats, &r);
    }
    EXPECT_EQUAL(stats.one_piece, 50);
    EXPECT_EQUAL(stats.boundary[0].closed, 50); /* Whole pages, then a part at the end. */
    EXPECT_EQUAL(stats.boundary[1].gaps, 30);   /* 2 of 5 first pages end at 16 KiB. */
    EXPECT_EQUAL(reuse_distinct(&stats.memory), 11);
    EXPECT_EQUAL(stats.memory.again[4], 90); /* After 10 requests each. */
    EXPECT_EQUAL(stats.memory.again[1], 49); /* The page of every other request. */
}

/* A million pages do not fit; every page is used twice, and the estimate is near. */
TEST_CASE(trace_stats, reuse_of_many_pages_is_estimated_in_bounded_memory)
{
    static struct trace_stats stats;
    enum { PAGES = 200000 };
    trace_stats_init(&stats);
    for (unsigned i = 0; i < 2 * PAGES; i++) {
        struct trace_segment s;
        const struct trace_record r =
            read_of(i, (uint64_t)(i % PAGES) * 8, (uint64_t)(1 + i % PAGES) << 12, &s);
        trace_stats_add(&stats, &r);
    }
    const uint64_t distinct = reuse_distinct(&stats.memory);
    EXPECT(stats.memory.shift > 0);
    EXPECT(stats.memory.pages < REUSE_PAGES_MAX);
    EXPECT(distinct > PAGES * 95 / 100 && distinct < PAGES * 105 / 100);
    EXPECT(stats.memory.again[18] > PAGES * 90ull / 100); /* 200000 <= 2^18. */
}

/* ---- The program
 * ------------------------------------------------------------------------------------ */

static struct program_result result; /* Too large for a stack. */

static void runs(const char *arguments, int status)
{
    program_run(&result, arguments);
    if (!EXPECT_EQUAL(result.status, status))
        EXPECT_TEXT(result.err, "");
}

TEST_CASE(trace_verbs, a_pipe_is_converted_and_replayed_like_its_file)
{
    static struct program_result first;
    runs("trace convert @SAMPLE/nvme-mixed.iolog.gz @/a.iovatrace", 0);
    runs("trace convert - @/b.iovatrace < @SAMPLE/nvme-mixed.iolog.gz", 0);
    size_t bytes_a, bytes_b;
    char *a = program_file(program_path("a.iovatrace"), &bytes_a);
    char *b = program_file(program_path("b.iovatrace"), &bytes_b);
    REQUIRE(a != NULL && b != NULL);
    EXPECT_EQUAL(bytes_a, bytes_b);
    EXPECT(memcmp(a, b, bytes_a) == 0);
    free(a);
    free(b);
    runs("replay @/a.iovatrace --api iova --policy strict,lazy --limit 200", 0);
    first = result;
    runs("replay - --api iova --policy strict,lazy --limit 200 < @/a.iovatrace", 0);
    EXPECT_TEXT(result.out, first.out);
    /* A pipe cannot be read twice: it is kept. */
    program_run(&result, "trace convert @/a.iovatrace --to csv - | "
                         "sed 1q > /dev/null");
    EXPECT_EQUAL(result.status, 0);
}

TEST_CASE(trace_verbs, files_of_all_cpus_are_one_recording)
{
    static struct program_result first;
    runs("replay @SAMPLE/nvme-mixed.blktrace.0.gz --api iova --policy strict", 0);
    first = result;
    runs("replay @SAMPLE/nvme-mixed.blktrace.*.gz --api iova --policy strict", 0);
    EXPECT_TEXT(result.out, first.out);
    runs("trace convert @SAMPLE/nvme-mixed.blktrace.*.gz @/all.iovatrace", 0);
    runs("trace convert @SAMPLE/nvme-mixed.blktrace.0.gz @SAMPLE/viewer.blktrace.0.gz "
         "@/no.iovatrace",
         2);
    EXPECT_HAS(result.err, "another recording");
    EXPECT_EQUAL(program_files("no.iovatrace"), 0);
}

TEST_CASE(trace_verbs, cut_merge_and_scale)
{
    runs("trace cut @SAMPLE/nvme-randread-4k.iovatrace @/a --skip 100 --limit 50", 0);
    runs("trace cut @SAMPLE/nvme-seqread-128k.iovatrace @/b --begin 1000000 --end 9000000",
         0);
    runs("trace merge @/a @/b @/c", 0);
    runs("trace info @/c", 0);
    EXPECT_HAS(result.out, "devices                              2");
    EXPECT_HAS(result.out, "note merged_1");
    runs("trace scale @/c @/d --time 0.5", 0);
    runs("trace validate @/a @/b @/c @/d", 0);
    EXPECT_HAS(result.out, "a: ok, 50 records, native");
    runs("trace scale @/c @/unwanted", 2);
    EXPECT_HAS(result.err, "--time FACTOR");
    runs("trace cut @/a @/unwanted --begin x", 2);
    EXPECT_HAS(result.err, "--begin");
    runs("trace convert @/a @/unwanted --to xml", 2);
    EXPECT_HAS(result.err, "native, csv, fio or blkparse");
    EXPECT_EQUAL(program_files("unwanted"), 0);
}

TEST_CASE(trace_verbs, of_no_record_there_is_no_trace_and_no_result)
{
    runs("trace cut @SAMPLE/tiny.iovatrace @/nothing.iovatrace --device 7", 2);
    EXPECT_HAS(result.err, "tiny.iovatrace has no record there");
    runs("trace cut @SAMPLE/tiny.iovatrace @/nothing.iovatrace --begin 9 --end 5", 2);
    EXPECT_EQUAL(program_files("nothing"), 0);
    runs("trace convert @SAMPLE/tiny.iovatrace @/none.iovatrace --limit 0", 0);
    runs("replay @/none.iovatrace", 3);
    EXPECT_TEXT(result.out, "");
    EXPECT_HAS(result.err, "no record to replay");
    runs("compare @/none.iovatrace", 3);
    EXPECT_TEXT(result.out, "");
    runs("replay @/none.iovatrace @SAMPLE/tiny.iovatrace --policy strict", 0);
}

TEST_CASE(trace_verbs, anonymised_traces_replay_alike_and_tell_nothing)
{
    runs("trace anonymise @SAMPLE/nvme-randrw-mixed.iovatrace @/x --seed 5", 0);
    runs("trace info @/x", 0);
    EXPECT(strstr(result.out, "kernel") == NULL);
    EXPECT_HAS(result.out, "anonymised");
    EXPECT_HAS(result.out, "segments                          7951");
    runs("replay @/x --api iova --policy strict --limit 300", 0);
}

TEST_CASE(trace_verbs, stats_draw_a_picture)
{
    runs("trace stats @SAMPLE/nvme-unaligned-4608.iovatrace --svg @/p.svg", 0);
    EXPECT_HAS(result.out, "4 KiB: no gaps");
    EXPECT_HAS(result.out, "####");
    size_t bytes;
    char *svg = program_file(program_path("p.svg"), &bytes);
    REQUIRE(svg != NULL);
    EXPECT(strncmp(svg, "<svg ", 5) == 0);
    EXPECT(bytes > 1000);
    free(svg);
}

TEST_CASE(trace_verbs, rdma_work_is_looked_at_and_not_replayed_with_block_requests)
{
    runs("trace stats @SAMPLE/rdma-perftest.pcap.gz", 0);
    EXPECT_HAS(result.out, "rdma_write");
    runs("trace cat @SAMPLE/rdma-write-bw-4k.verbs.txt.gz --limit 1", 0);
    EXPECT_HAS(result.out, "rdma_register");
    runs("replay @SAMPLE/rdma-perftest.pcap.gz @SAMPLE/tiny.iovatrace", 3);
    EXPECT_HAS(result.err, "block requests and of RDMA work cannot be replayed together");
    runs("replay @SAMPLE/rdma-perftest.pcap.gz --limit 20 --policy strict --api sg", 0);
    EXPECT_HAS(result.out, "strict");
}
