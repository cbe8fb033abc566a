/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"
#include "traces/source.h"

/* What the importer made of a text. */
enum { RECORDS_MAX = 64, SEGMENTS_KEPT = 8 };
static struct {
    long records; /* -1: error says why. */
    struct trace_record record[RECORDS_MAX];
    struct trace_segment segment[RECORDS_MAX][SEGMENTS_KEPT];
    struct trace_about about;
    struct error error;
} got;

static void keep(const struct trace_record *record)
{
    CHECK(got.records < RECORDS_MAX);
    const long at  = got.records++;
    got.record[at] = *record;
    for (uint32_t i = 0; i < record->segment_count && i < SEGMENTS_KEPT; i++)
        got.segment[at][i] = record->segment[i];
}

static void import(const char *text)
{
    struct trace_source *source = trace_source_open_memory(text, strlen(text));
    struct trace_reader *reader;
    struct trace_record record;
    int more = -1;

    memset(&got, 0, sizeof got);
    if (trace_open_source(&reader, source, "text", "ftrace", &got.error)) {
        while ((more = trace_next(reader, &record, &got.error)) == 1)
            keep(&record);
        got.about = *trace_about(reader);
        trace_close(reader);
    }
    if (more < 0)
        got.records = -1;
}

static const char *note(const char *key)
{
    const char *value = trace_about_find(&got.about, key);
    return value != NULL ? value : "";
}

static void expect_segment(unsigned record, unsigned index, uint64_t pa, uint32_t bytes)
{
    EXPECT(index < got.record[record].segment_count);
    EXPECT_EQUAL(got.segment[record][index].pa, pa);
    EXPECT_EQUAL(got.segment[record][index].bytes, bytes);
}

/* Pieces of lines: who speaks, and what. */
#define FIO   "             fio-131     [000] .....    10.00"
#define FIO1  "             fio-130     [001] .....    10.00"
#define HARD  "             fio-131     [000] d.h1.    10.00"
#define HARD1 "          <idle>-0       [001] d.H1.    10.00"
#define SOFT  "             fio-131     [000] ..s1.    10.00"
#define ODD   "      [odd] name-77      [000] .....    10.00"
#define MOVED "             fio-131     [003] .....    10.00"

#define SETUP(qid, cmdid, op)                                                              \
    ": nvme_setup_cmd: nvme0: disk=nvme0n1, qid=" #qid ", cmdid=" #cmdid                   \
    ", nsid=1, flags=0x0, meta=0x0, cmd=(nvme_cmd_" op " slba=8, len=7)\n"
#define DONE(qid, cmdid)                                                                   \
    ": nvme_complete_rq: nvme0: disk=nvme0n1, qid=" #qid ", cmdid=" #cmdid                 \
    ", res=0x0, retries=0, flags=0x0, status=0x0\n"
#define ISSUE(rwbs, bytes, sector, sectors)                                                \
    ": block_rq_issue: 259,0 " rwbs " " #bytes " () " #sector " + " #sectors               \
    " be,0,4 [fio]\n"
#define ENDED(rwbs, sector, sectors)                                                       \
    ": block_rq_complete: 259,0 " rwbs " () " #sector " + " #sectors " be,0,4 [0]\n"
#define PHYS(iova, bytes, pa)                                                              \
    ": dma_map_phys: 0000:00:02.0 dir=FROM_DEVICE dma_addr=" #iova " size=" #bytes         \
    " phys_addr=" #pa " attrs=\n"
#define MAP(iova, pa, bytes)                                                               \
    ": map: IOMMU: iova=" #iova " - 0x0 paddr=" #pa " size=" #bytes "\n"
#define LINK(pa, bytes)                                                                    \
    ": dma_iova_link: (dma_iova_link+0x4/0x350) state=0xff addr=0xf000 phys=" #pa          \
    " offset=0 size=" #bytes " dir=2\n"

/* One event on a line. */
/* clang-format off */
TEST_CASE(ftrace, a_page_read_is_one_record_with_one_segment)
{
    import(FIO "0001" SETUP(2, 320, "read")
           FIO "0002" MAP(0xf000, 0x7fa88000, 4096)
           FIO "0003" PHYS(f000, 4096, 7fa88000)
           FIO "0010" ISSUE("R", 4096, 412320, 8)
           HARD1 "0030" DONE(2, 320)
           HARD1 "0031" ENDED("R", 412320, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    const struct trace_record *r = &got.record[0];
    EXPECT_EQUAL(r->time_ns, 0);
    EXPECT_EQUAL(r->latency_ns, 20000);
    EXPECT_EQUAL(r->lba, 412320);
    EXPECT_EQUAL(r->bytes, 4096);
    EXPECT_EQUAL(r->cpu, 0);
    EXPECT_EQUAL(r->completion_cpu, 1);
    EXPECT_EQUAL(r->device, 0);
    EXPECT_EQUAL(r->queue, 2);
    EXPECT_EQUAL(r->depth, 1);
    EXPECT_EQUAL(r->op, TRACE_READ);
    EXPECT_EQUAL(r->segment_count, 1);
    expect_segment(0, 0, 0x7fa88000, 4096);
    EXPECT_TEXT(note("device_0"), "259,0 nvme0n1");
    EXPECT_TEXT(note("requests_without_segments"), "");
}

TEST_CASE(ftrace, links_are_the_segments_as_they_are)
{
    import(FIO "0001" SETUP(1, 1, "write")
           FIO "0002" LINK(0x7000, 4096)
           FIO "0003" MAP(0xf000, 0x7000, 4096)
           FIO "0004" LINK(0x8e00, 512)
           FIO "0005" MAP(0x10000, 0x8000, 4096)
           FIO "0006" ISSUE("WS", 4608, 8, 9));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    EXPECT_EQUAL(got.record[0].op, TRACE_WRITE);
    EXPECT_EQUAL(got.record[0].segment_count, 2);
    expect_segment(0, 0, 0x7000, 4096);
    expect_segment(0, 1, 0x8e00, 512);
}

/* Probes are known by their function, and others may have the name of an event. */
TEST_CASE(ftrace, probes_may_have_any_name)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002: link: (dma_iova_link+0x4/0x350) state=0xff phys=0x7000 size=0x1000\n"
           FIO "0003: map: (somewhere+0x4/0x350) iova=1\n"
           FIO "0004: dma_alloc: (__iommu_dma_map+0x7d/0x150 <- f) size=4096\n"
           FIO "0005: map: of the world\n"
           FIO "0006" ISSUE("R", 4096, 8, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    EXPECT_EQUAL(got.record[0].segment_count, 1);
    expect_segment(0, 0, 0x7000, 4096);
}

/* 6.12: the list says where the device sees the buffer; the runs say where it is. */
TEST_CASE(ftrace, a_scatter_list_is_translated_through_the_runs)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" MAP(0xfff34000, 0xaf0f000, 4096)
           FIO "0003" MAP(0xfff35000, 0xaf12000, 8192)
           FIO "0004: dma_map_sg: 0000:00:02.0 dir=FROM_DEVICE nents=2/2 ents=1/1 "
               "dma_addrs={0xfff34e00} sizes={0x1400} phys_addrs={0xaf0fe00,0xaf12000} "
               "attrs=NO_WARN\n"
           FIO "0005" ISSUE("R", 5120, 8, 10));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    EXPECT_EQUAL(got.record[0].segment_count, 2);
    expect_segment(0, 0, 0xaf0fe00, 512);
    expect_segment(0, 1, 0xaf12000, 4608);
}

/* The device's view may be cut where memory is not. */
TEST_CASE(ftrace, neighbours_of_a_scatter_list_are_joined)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" MAP(0x10000, 0x50000, 65536)
           FIO "0003: dma_map_sg: 0000:00:02.0 dir=FROM_DEVICE nents=2/2 ents=2/2 "
               "dma_addrs={0x10000,0x18000} sizes={0x8000,0x8000} "
               "phys_addrs={0x50000,0x58000} attrs=\n"
           FIO "0004" ISSUE("R", 65536, 8, 128));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    EXPECT_EQUAL(got.record[0].segment_count, 1);
    expect_segment(0, 0, 0x50000, 65536);
}

TEST_CASE(ftrace, without_an_iommu_the_lists_pieces_are_memorys)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002: dma_map_sg: 0000:00:02.0 dir=FROM_DEVICE dma_addrs={0x7e00,0x9000} "
               "sizes={0x200,0x1000} phys_addrs={0x7e00,0x9000} attrs=\n"
           FIO "0003" ISSUE("R", 4608, 8, 9));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    EXPECT_EQUAL(got.record[0].segment_count, 2);
    expect_segment(0, 0, 0x7e00, 512);
    expect_segment(0, 1, 0x9000, 4096);
}

/* Only the IOMMU's events: right for whole pages, unknown for anything else. */
TEST_CASE(ftrace, runs_alone_stand_for_whole_pages)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" MAP(0x10000, 0x5000, 4096)
           FIO "0003" MAP(0x11000, 0x9000, 8192)
           FIO "0004" ISSUE("R", 12288, 8, 24)
           FIO "0005" SETUP(1, 2, "read")
           FIO "0006" MAP(0x10000, 0x5000, 4096)
           FIO "0007" MAP(0x11000, 0x9000, 8192)
           FIO "0008" ISSUE("R", 11776, 8, 23));
    REQUIRE(EXPECT_EQUAL(got.records, 2));
    EXPECT_EQUAL(got.record[0].segment_count, 2);
    expect_segment(0, 0, 0x5000, 4096);
    expect_segment(0, 1, 0x9000, 8192);
    EXPECT_EQUAL(got.record[1].segment_count, 0);
    EXPECT_TEXT(note("requests_without_segments"), "1");
}

/* The driver makes room for its own list in between: that is not the request's memory. */
TEST_CASE(ftrace, coherent_memory_is_not_the_requests)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" MAP(0x20000, 0xc000, 4096)
           FIO "0003: dma_alloc: 0000:00:02.0 dir=BIDIRECTIONAL dma_addr=20000 size=4096 "
               "virt_addr=0000000012345678 flags=GFP_ATOMIC attrs=\n"
           FIO "0004" MAP(0x10000, 0x5000, 8192)
           FIO "0005" ISSUE("R", 8192, 8, 16));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    EXPECT_EQUAL(got.record[0].segment_count, 1);
    expect_segment(0, 0, 0x5000, 8192);
}

TEST_CASE(ftrace, a_lost_piece_leaves_the_memory_unknown)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" LINK(0x7000, 4096)
           FIO "0003" ISSUE("R", 8192, 8, 16)
           HARD "0004" DONE(1, 1)
           "CPU:0 [LOST 12 EVENTS]\n"
           FIO "0005" SETUP(1, 2, "read")
           FIO "0006" LINK(0x7000, 4096)
           FIO "0007" LINK(0x9000, 8192)
           FIO "0008" ISSUE("R", 8192, 8, 16));
    REQUIRE(EXPECT_EQUAL(got.records, 2));
    EXPECT_EQUAL(got.record[0].segment_count, 0);
    EXPECT_EQUAL(got.record[1].segment_count, 0);
    EXPECT_TEXT(note("requests_without_segments"), "2");
    EXPECT_TEXT(note("requests_without_completion"), "1");
    EXPECT_TEXT(note("events_lost"), "12");
}

/* An interrupt completes a request, and its softirq even issues one, between two events of
 * the request that the task is about to issue. */
TEST_CASE(ftrace, interrupts_do_not_mix_with_the_task)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" PHYS(f000, 4096, 1000)
           FIO "0003" ISSUE("R", 4096, 100, 8)
           FIO "0004" SETUP(1, 2, "read")
           FIO "0005" LINK(0x2000, 4096)
           HARD "0006: unmap: IOMMU: iova=0xf000 - 0x10000 size=4096 unmapped_size=4096\n"
           HARD "0007: dma_unmap_phys: 0000:00:02.0 dma_addr=f000 size=4096 attrs=\n"
           HARD "0008" DONE(1, 1)
           HARD "0009" PHYS(e000, 4096, 666000)
           SOFT "0010" SETUP(1, 3, "write")
           SOFT "0011" PHYS(d000, 8192, 3000)
           FIO "0012" LINK(0x5000, 4096)
           SOFT "0013" ISSUE("W", 8192, 300, 16)
           FIO "0014" ISSUE("R", 8192, 200, 16));
    REQUIRE(EXPECT_EQUAL(got.records, 3));
    expect_segment(0, 0, 0x1000, 4096);
    EXPECT_EQUAL(got.record[1].lba, 300);
    EXPECT_EQUAL(got.record[1].segment_count, 1);
    expect_segment(1, 0, 0x3000, 8192);
    EXPECT_EQUAL(got.record[2].lba, 200);
    EXPECT_EQUAL(got.record[2].segment_count, 2);
    expect_segment(2, 0, 0x2000, 4096);
    expect_segment(2, 1, 0x5000, 4096);
}

/* Two tasks of one CPU, of which one is preempted and goes on elsewhere. */
TEST_CASE(ftrace, a_preempted_task_keeps_its_pieces)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" LINK(0x2000, 4096)
           ODD "0003" SETUP(1, 2, "read")
           ODD "0004" LINK(0x9000, 4096)
           ODD "0005" ISSUE("R", 4096, 200, 8)
           MOVED "0006" LINK(0x5000, 4096)
           MOVED "0007" ISSUE("R", 8192, 100, 16));
    REQUIRE(EXPECT_EQUAL(got.records, 2));
    EXPECT_EQUAL(got.record[0].lba, 200);
    expect_segment(0, 0, 0x9000, 4096);
    EXPECT_EQUAL(got.record[1].cpu, 3);
    EXPECT_EQUAL(got.record[1].segment_count, 2);
}

TEST_CASE(ftrace, depth_counts_the_requests_of_the_cpu)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" ISSUE("R", 4096, 100, 8)
           FIO "0003" SETUP(1, 2, "read")
           FIO "0004" ISSUE("R", 4096, 200, 8)
           FIO1 "0005" SETUP(2, 1, "read")
           FIO1 "0006" ISSUE("R", 4096, 300, 8)
           HARD1 "0007" DONE(1, 1)
           FIO "0008" SETUP(1, 3, "read")
           FIO "0009" ISSUE("R", 4096, 400, 8)
           FIO "0010" SETUP(1, 4, "read")
           FIO "0011" ISSUE("R", 4096, 500, 8)
           HARD "0012" DONE(1, 4)
           HARD "0013" DONE(1, 2)
           HARD1 "0014" DONE(2, 1));
    REQUIRE(EXPECT_EQUAL(got.records, 5));
    const uint32_t depth[] = { 1, 2, 1, 2, 3 };
    const uint64_t lba[]   = { 100, 200, 300, 400, 500 };
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_EQUAL(got.record[i].depth, depth[i]);
        EXPECT_EQUAL(got.record[i].lba, lba[i]); /* In the order of issue. */
    }
    EXPECT_EQUAL(got.record[4].latency_ns, 1000);
    EXPECT_EQUAL(got.record[1].latency_ns, 9000);
    EXPECT_EQUAL(got.record[3].latency_ns, TRACE_LATENCY_UNKNOWN);
    EXPECT_TEXT(note("requests_without_completion"), "1");
}

/* A tag that is used again must have become free, though nobody saw it. */
TEST_CASE(ftrace, a_command_that_returns_has_ended_before)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" ISSUE("R", 4096, 100, 8)
           FIO "0003" SETUP(1, 1, "read")
           FIO "0004" ISSUE("R", 4096, 200, 8)
           HARD "0005" DONE(1, 1)
           HARD "0006" DONE(1, 1)
           HARD "0007" DONE(1, 9));
    REQUIRE(EXPECT_EQUAL(got.records, 2));
    EXPECT_EQUAL(got.record[0].latency_ns, TRACE_LATENCY_UNKNOWN);
    EXPECT_EQUAL(got.record[1].latency_ns, 1000);
    EXPECT_EQUAL(got.record[1].depth, 1);
}

TEST_CASE(ftrace, block_events_alone_give_records)
{
    import(FIO "0001" ISSUE("R", 4096, 100, 8)
           FIO "0002" ISSUE("WS", 8192, 200, 16)
           HARD1 "0005" ENDED("WS", 200, 16)
           HARD "0008" ENDED("R", 100, 8)
           HARD "0009" ENDED("R", 700, 8)
           FIO "0010: block_rq_issue: 8,16 R 512 () 100 + 1 [dd]\n");
    REQUIRE(EXPECT_EQUAL(got.records, 3));
    EXPECT_EQUAL(got.record[0].segment_count, 0);
    EXPECT_EQUAL(got.record[0].latency_ns, 7000);
    EXPECT_EQUAL(got.record[1].latency_ns, 3000);
    EXPECT_EQUAL(got.record[1].completion_cpu, 1);
    EXPECT_EQUAL(got.record[1].depth, 2);
    EXPECT_EQUAL(got.record[2].device, 1);
    EXPECT_EQUAL(got.record[2].queue, 0);
    EXPECT_TEXT(note("device_0"), "259,0");
    EXPECT_TEXT(note("device_1"), "8,16");
    EXPECT_TEXT(note("requests_without_segments"), ""); /* There was nothing to miss. */
}

TEST_CASE(ftrace, without_completions_the_depth_is_unknown)
{
    import(FIO "0001" ISSUE("R", 4096, 100, 8)
           FIO "0002" ISSUE("R", 4096, 200, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 2));
    EXPECT_EQUAL(got.record[0].depth, 0);
    EXPECT_EQUAL(got.record[1].depth, 0);
}

TEST_CASE(ftrace, block_completions_serve_when_the_driver_has_none)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" ISSUE("R", 4096, 100, 8)
           FIO "0003" SETUP(1, 2, "flush")
           FIO "0004" ISSUE("FF", 0, 0, 0)
           HARD "0005" ENDED("FF", 18446744073709551615, 0)
           HARD "0006" ENDED("R", 100, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 2));
    EXPECT_EQUAL(got.record[0].latency_ns, 4000);
    EXPECT_EQUAL(got.record[1].latency_ns, 1000);
}

/* Two reads of one place: the driver says which of them is done. */
TEST_CASE(ftrace, the_drivers_completion_beats_the_sector)
{
    import(FIO "0001" SETUP(1, 1, "read")
           FIO "0002" ISSUE("R", 4096, 100, 8)
           FIO "0003" SETUP(1, 2, "read")
           FIO "0004" ISSUE("R", 4096, 100, 8)
           HARD "0006" DONE(1, 2)
           HARD "0006" ENDED("R", 100, 8)
           HARD "0009" DONE(1, 1)
           HARD "0009" ENDED("R", 100, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 2));
    EXPECT_EQUAL(got.record[0].latency_ns, 7000);
    EXPECT_EQUAL(got.record[1].latency_ns, 2000);
}

TEST_CASE(ftrace, a_request_may_complete_in_parts)
{
    import(FIO "0001" ISSUE("R", 8192, 100, 16)
           HARD "0002" ENDED("R", 100, 4)
           HARD "0003" ENDED("R", 104, 4)
           HARD "0004" ENDED("R", 100, 0)
           HARD "0009" ENDED("R", 108, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    EXPECT_EQUAL(got.record[0].latency_ns, 8000);
}

TEST_CASE(ftrace, commands_without_data_are_records_too)
{
    import(FIO "0001" SETUP(1, 1, "flush")
           FIO "0002" ISSUE("FF", 0, 0, 0)
           HARD "0003" DONE(1, 1)
           HARD "0003" ENDED("FF", 18446744073709551615, 0)
           FIO "0004" SETUP(1, 2, "dsm")
           FIO "0005" PHYS(f000, 4096, 1000)
           FIO "0006" ISSUE("D", 4294966784, 5000, 8388607)
           FIO "0007" SETUP(1, 3, "write_zeroes")
           FIO "0008" ISSUE("WZS", 131072, 16630, 256)
           FIO "0009" ISSUE("DE", 4096, 8, 8)
           FIO "0010" ISSUE("FWFSM", 4096, 8, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 5));
    EXPECT_EQUAL(got.record[0].op, TRACE_FLUSH);
    EXPECT_EQUAL(got.record[0].bytes, 0);
    EXPECT_EQUAL(got.record[0].latency_ns, 1000);
    EXPECT_EQUAL(got.record[1].op, TRACE_DISCARD);
    EXPECT_EQUAL(got.record[1].bytes, 4294966784);
    EXPECT_EQUAL(got.record[1].segment_count, 0);
    EXPECT_EQUAL(got.record[2].op, TRACE_WRITE_ZEROES);
    EXPECT_EQUAL(got.record[3].op, TRACE_DISCARD);
    EXPECT_EQUAL(got.record[4].op, TRACE_WRITE);
}

TEST_CASE(ftrace, other_commands_are_left_out_and_counted)
{
    import(FIO "0001: nvme_setup_cmd: nvme0: qid=0, cmdid=8207, nsid=0, flags=0x0, "
               "meta=0x0, cmd=(nvme_admin_delete_sq sqid=2)\n"
           FIO "0002: block_rq_issue: 0,0 N 4096 (12 00 00) 0 + 0 none,0,0 [init]\n"
           FIO "0003" ISSUE("W", 0, 0, 0)
           FIO "0004" ISSUE("R", 4096, 100, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 1));
    EXPECT_EQUAL(got.record[0].queue, 0);
    EXPECT_TEXT(note("requests_skipped"), "2");
}

/* SCSI: the list follows the issue, with interrupts off. */
TEST_CASE(ftrace, a_list_mapped_after_the_issue_is_the_requests)
{
#define LIST(dir, bytes)                                                                   \
    ": dma_map_sg: 0000:00:1f.2 dir=" dir " nents=2/2 ents=1/1 dma_addrs={0xf000} "        \
    "sizes={" #bytes "} phys_addrs={0x1000,0x5000} attrs=\n"
#define TWO_RUNS FIO "0002" MAP(0xf000, 0x1000, 4096) FIO "0003" MAP(0x10000, 0x5000, 4096)
    import(FIO "0001" ISSUE("R", 8192, 100, 16)
           TWO_RUNS
           FIO "0004" LIST("FROM_DEVICE", 0x2000)
           FIO "0005" ISSUE("R", 8192, 200, 16)
           TWO_RUNS
           FIO "0006" LIST("TO_DEVICE", 0x2000)
           FIO "0007" ISSUE("R", 8192, 300, 16)
           TWO_RUNS
           FIO "0008" LIST("FROM_DEVICE", 0x1000)
           FIO "0009" ISSUE("R", 8192, 400, 16)
           FIO "0010" ISSUE("W", 8192, 500, 16)
           TWO_RUNS
           FIO "0011" PHYS(d000, 4096, 666000) /* Of something else that the task does. */
           FIO "0012" LIST("TO_DEVICE", 0x2000));
    REQUIRE(EXPECT_EQUAL(got.records, 5));
    EXPECT_EQUAL(got.record[0].segment_count, 2);
    expect_segment(0, 0, 0x1000, 4096);
    expect_segment(0, 1, 0x5000, 4096);
    EXPECT_EQUAL(got.record[1].segment_count, 0); /* Another direction. */
    EXPECT_EQUAL(got.record[3].segment_count, 0); /* No list came. */
    EXPECT_EQUAL(got.record[4].segment_count, 2);
}

/* Lines as older kernels, trace-cmd and perf print them. */
TEST_CASE(ftrace, other_tools_lines_are_understood)
{
    import("             fio-131   [000] ....    10.000001" ISSUE( "R", 4096, 1, 8)
           "             fio-131   [000] 10.000002" ISSUE("R", 4096, 2, 8)
           "fio   131 [000]    " "10.000003: " "block:block_rq_issue: 259,0 "
               "R 4096 () 3 + 8 [fio]\n"
           "     fio-131   (    129) " "[000] .....    "
               "10.000004" ISSUE( "R", 4096, 4, 8)
           "     fio-131   [000] " "10.000005001: " "block_rq_issue:       "
               "259,0 R 4096 () 5 + " "8\n");
    REQUIRE(EXPECT_EQUAL(got.records, 5));
    for (unsigned i = 0; i < 5; i++)
        EXPECT_EQUAL(got.record[i].lba, i + 1);
    EXPECT_EQUAL(got.record[4].time_ns, 4001);
}

/* clang-format on */
TEST_CASE(ftrace, malformed_events_are_errors_with_their_line)
{
    const struct {
        const char *event, *why;
    } bad[] = {
        { "block_rq_issue: 259,0 R", "block_rq_issue: its fields are not understood" },
        { "block_rq_issue: 259 R 4096 () 0 + 8", "block_rq_issue" },
        { "block_rq_issue: 259,0 R 4096 () 0 - 8", "block_rq_issue" },
        { "block_rq_issue: 259,0 R 4096 () 0 + 8x", "block_rq_issue" },
        { "block_rq_issue: 259,0 R 4096 (12 00", "block_rq_issue" },
        { "block_rq_issue: 259,0 R 4096 () 99999999999999999999 + 8", "block_rq_issue" },
        { "block_rq_issue: 259,0 R 2147483648 () 0 + 4194304",
          "2147483648 bytes are more than 1073741824" },
        { "block_rq_issue: 259,0 D 4294967296 () 0 + 8388608", "more than 4294967295" },
        { "block_rq_complete: 259,0", "block_rq_complete: its fields" },
        { "nvme_setup_cmd: nvme0: disk=nvme0n1, cmdid=1", "nvme_setup_cmd: its fields" },
        { "nvme_setup_cmd: nvme0: disk=nvme0n1, qid=70000, cmdid=1", "nvme_setup_cmd" },
        { "nvme_setup_cmd: nvme0: qid=1, cmdid=x", "nvme_setup_cmd" },
        { "nvme_complete_rq:", "nvme_complete_rq: its fields" },
        { "dma_map_phys: 0000:00:02.0 size=4096", "dma_map_phys: its fields" },
        { "dma_map_page: x size=0 phys_addr=1000", "dma_map_page: its fields" },
        { "dma_map_page: x size=4096 phys_addr=ffffffffffffffff", "dma_map_page" },
        { "dma_map_page: x size=4096 phys_addr=0x1000", "dma_map_page" },
        { "dma_map_sg: 0000:00:02.0 dma_addrs={0x1} sizes={0x1}",
          "dma_map_sg: its fields" },
        { "dma_map_sg: x dma_addrs={0x1} sizes={} phys_addrs={}", "dma_map_sg" },
        { "dma_map_sg: x dma_addrs={0x1} sizes={0x1,0x2} phys_addrs={0x1}", "dma_map_sg" },
        { "dma_map_sg: x dma_addrs={0x1 sizes={0x1} phys_addrs={0x1}", "dma_map_sg" },
        { "dma_map_sg: x dma_addrs={0x1} sizes={0x1} phys_addrs={z}", "dma_map_sg" },
        { "map: IOMMU: iova=0x1000 - 0x2000 size=4096", "map: its fields" },
        { "dma_alloc: x size=4096", "dma_alloc: its fields" },
        { "l: (dma_iova_link+0x4/0x350) state=0x1",
          "l: the probe must record phys= and size=" },
    };
    char text[1024];
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "%s%s%s\n",
                 "# tracer: nop\n\n" FIO "0001" SETUP(1, 1, "read"),
                 FIO "0002: ", bad[i].event);
        import(text);
        EXPECT_EQUAL(got.records, -1);
        if (!EXPECT_HAS(got.error.text, "text: line 4: ")
            || !EXPECT_HAS(got.error.text, bad[i].why))
            printf("%s\n", text);
    }
}

TEST_CASE(ftrace, a_cpu_beyond_the_limit_is_an_error)
{
    import("fio-131 [4096] ..... 10.000001" ISSUE("R", 4096, 1, 8));
    EXPECT_EQUAL(got.records, -1);
    EXPECT_HAS(got.error.text, "line 1: block_rq_issue: cpu 4096 must be below 4096");
}

TEST_CASE(ftrace, a_text_without_requests_is_an_error)
{
    import("# tracer: nop\n#\n");
    EXPECT_EQUAL(got.records, -1);
    EXPECT_HAS(got.error.text, "line 2: the file ends without one block_rq_issue event");
}

/* Clocks of several CPUs may differ by a tick where the kernel merges their buffers. */
TEST_CASE(ftrace, time_never_steps_back)
{
    import(FIO "0005" ISSUE("R", 4096, 1, 8) FIO1 "0003" ISSUE("R", 4096, 2, 8) FIO
           "0009" ISSUE("R", 4096, 3, 8) HARD "0008" ENDED("R", 3, 8));
    REQUIRE(EXPECT_EQUAL(got.records, 3));
    EXPECT_EQUAL(got.record[1].time_ns, 0);
    EXPECT_EQUAL(got.record[2].time_ns, 4000);
    EXPECT_EQUAL(got.record[2].latency_ns, 0);
}

TEST_CASE(ftrace, a_cut_recording_is_noted)
{
    import("# tracer: nop\n#\n# entries-in-buffer/entries-written: 30/50   #P:2\n#\n" FIO
           "0001" ISSUE("R", 4096, 1, 8));
    EXPECT_EQUAL(got.records, 1);
    EXPECT_TEXT(note("ftrace_buffer"), "30 of 50 events");
    EXPECT_TEXT(note("events_missing"), "29");
}
