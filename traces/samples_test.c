/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples against what was counted, with other tools, in the recordings they are from:
 * the NVMe commands, and the pieces of memory that the kernel mapped for them.
 */
#include <string.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"
#include "traces/import.h"

struct counts {
    uint64_t records, segments, single, unknown_memory, unknown_end;
    uint64_t op[TRACE_OPS];
    struct trace_about about;
};

static struct counts count(const char *name)
{
    struct counts c = { 0 };
    struct trace_reader *reader;
    struct trace_record r;
    struct error error = { "" };
    int got            = -1;

    if (EXPECT(trace_open(&reader, fixture_sample(name), &error))) {
        while ((got = trace_next(reader, &r, &error)) == 1) {
            c.records++;
            c.segments += r.segment_count;
            c.single += r.segment_count == 1;
            c.unknown_memory += r.segment_count == 0 && trace_op_moves_data(r.op);
            c.unknown_end += r.latency_ns == TRACE_LATENCY_UNKNOWN;
            c.op[r.op]++;
        }
        c.about = *trace_about(reader);
        trace_close(reader);
    }
    EXPECT_EQUAL(got, 0);
    EXPECT_TEXT(error.text, "");
    return c;
}

/* cmds, mapped in one piece, and all pieces of a recording. */
static struct counts expect_recording(const char *name, uint64_t commands, uint64_t single,
                                      uint64_t pieces)
{
    const struct counts c = count(name);
    EXPECT_EQUAL(c.records, commands);
    EXPECT_EQUAL(c.segments, pieces);
    EXPECT_EQUAL(c.single, single);
    EXPECT_EQUAL(c.unknown_memory, 0);
    EXPECT_EQUAL(c.unknown_end, 0);
    EXPECT_TEXT(trace_about_find(&c.about, "licence"), "Apache-2.0");
    EXPECT(trace_about_find(&c.about, "kernel") != NULL);
    return c;
}

TEST_CASE(samples, random_reads_map_one_page_each)
{
    expect_recording("nvme-randread-4k.iovatrace", 3000, 3000, 3000);
}

TEST_CASE(samples, sequential_reads_map_as_many_runs_as_the_iommu_was_told)
{
    expect_recording("nvme-seqread-128k.iovatrace", 400, 0, 12694);
}

/* 996 of dma_map_phys and 6955 links; 152 of the 1004 linked requests had one link. */
TEST_CASE(samples, mixed_requests_map_as_many_pieces_as_were_linked)
{
    const struct counts c =
        expect_recording("nvme-randrw-mixed.iovatrace", 2000, 996 + 152, 996 + 6955);
    EXPECT_EQUAL(c.op[TRACE_READ], 1374);
    EXPECT_EQUAL(c.op[TRACE_WRITE], 626);
}

TEST_CASE(samples, unaligned_reads_map_two_pieces_each)
{
    expect_recording("nvme-unaligned-4608.iovatrace", 500, 0, 1000);
}

/* Order and content of the first sample's text, and of the sample made of all of it, must
 * agree but for what the text was cut off from. */
TEST_CASE(samples, a_cut_text_is_the_beginning_of_the_whole)
{
    struct trace_reader *cut, *whole;
    struct trace_record a, b;
    struct error error;
    unsigned records = 0;
    char path[1024];

    strcpy(path, fixture_sample("nvme-randrw-mixed.ftrace.txt.gz"));
    REQUIRE(trace_open(&cut, path, &error));
    REQUIRE(trace_open(&whole, fixture_sample("nvme-randrw-mixed.iovatrace"), &error));
    for (; trace_next(cut, &a, &error) == 1; records++) {
        REQUIRE(trace_next(whole, &b, &error) == 1);
        if (a.latency_ns == TRACE_LATENCY_UNKNOWN) {
            b.latency_ns     = a.latency_ns;
            b.completion_cpu = a.completion_cpu;
        }
        REQUIRE(EXPECT_EQUAL(fixture_digest(0, &a), fixture_digest(0, &b)));
    }
    EXPECT_EQUAL(records, 97);
    EXPECT_TEXT(trace_about(cut)->format, "ftrace");
    EXPECT_TEXT(trace_about_find(trace_about(cut), "events_missing"), "33902");
    EXPECT_TEXT(trace_about_find(trace_about(cut), "requests_without_completion"), "17");
    trace_close(cut);
    trace_close(whole);
}

/* A file system: flushes, forced writes that complete twice, a journal in 1 KiB pieces, and
 * other people's probes between them. */
TEST_CASE(samples, appends_and_flushes_of_a_file_system)
{
    const struct counts c = count("ext4-fdatasync.ftrace.txt.gz");
    EXPECT_EQUAL(c.records, 68);
    EXPECT_EQUAL(c.segments, 73);
    EXPECT_EQUAL(c.op[TRACE_WRITE], 51);
    EXPECT_EQUAL(c.op[TRACE_FLUSH], 17);
    EXPECT_EQUAL(c.unknown_memory, 0);
    EXPECT_EQUAL(c.unknown_end, 1);
}

TEST_CASE(samples, no_two_importers_claim_one_file)
{
    const char *const name[] = { "nvme-randread-4k.iovatrace", "tiny.iovatrace",
                                 "nvme-randrw-mixed.ftrace.txt.gz",
                                 "ext4-fdatasync.ftrace.txt.gz" };
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++) {
        struct fixture_bytes file = fixture_load(fixture_sample(name[i]));
        if (strstr(name[i], ".gz") != NULL) {
            struct fixture_bytes plain = fixture_gunzip(file);
            fixture_free(file);
            file = plain;
        }
        const size_t peek = file.bytes < IMPORT_PEEK_BYTES ? file.bytes : IMPORT_PEEK_BYTES;
        unsigned claims   = 0;
        for (const struct trace_importer *const *f = import_table; *f != NULL; f++)
            claims += (*f)->recognises(file.data, peek);
        EXPECT_EQUAL(claims, 1);
        fixture_free(file);
    }
}
