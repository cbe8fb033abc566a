/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every format on a file of its own, held against an independent reading of it: what the
 * original tools print, where there are any (traces/samples/README.md says which), and a
 * script's reading otherwise. A golden line has time, op, lba, bytes, device, cpu and
 * latency, of RDMA work also peer, its queue pair, key and address; - is not compared.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"
#include "traces/csv.h"
#include "traces/export.h"
#include "traces/import.h"
#include "traces/source.h"

static const struct golden {
    const char *sample, *golden, *format;
} goldens[] = {
    { "nvme-mixed.blktrace.0.gz", "nvme-mixed.blktrace", "blktrace" },
    { "nvme-mixed.blktrace.1.gz", "nvme-mixed.blktrace", "blktrace" },
    { "nvme-mixed.blkparse.txt.xz", "nvme-mixed.blktrace", "blkparse" },
    { "nvme-mixed.iolog.gz", "nvme-mixed.iolog", "fio" },
    { "version8.blktrace.0.gz", "version8.blktrace", "blktrace" },
    { "bigendian.blktrace.0.gz", "version8.blktrace", "blktrace" },
    { "viewer.blktrace.0.gz", "viewer.blktrace", "blktrace" },
    { "handmade.msr.csv", "handmade.msr.csv", "msr" },
    { "handmade.systor.csv", "handmade.systor.csv", "systor" },
    { "handmade.alibaba.csv", "handmade.alibaba.csv", "alibaba" },
    { "handmade.tencent.csv", "handmade.tencent.csv", "tencent" },
    { "handmade.spc.txt", "handmade.spc", "spc" },
    { "wsrch.mqsim.txt.zst", "wsrch.mqsim", "mqsim" },
    { "rocksdb-ycsb-a.opencas.csv.bz2", "rocksdb-ycsb-a.opencas", "opencas" },
    { "handmade.oracleGeneral.zst", "handmade.oracleGeneral", "oraclegeneral" },
    { "handmade.v2.iolog", "handmade.v2.iolog", "fio" },
    { "rdma-perftest.pcap.gz", "rdma-perftest.pcap", "pcap" },
    { "rdma-perftest.pcapng.gz", "rdma-perftest.pcap", "pcap" },
    { "rdma-write-bw-4k.verbs.txt.gz", "rdma-write-bw-4k.verbs", "verbs" },
    { "rdma-rping.verbs.txt.gz", "rdma-rping.verbs", "verbs" },
    { "nvmeof-read-64k.verbs.txt.gz", "nvmeof-read-64k.verbs", "verbs" },
    { "handmade.ns3-flow.txt", "handmade.ns3-flow", "ns3" },
};
enum { GOLDENS = sizeof goldens / sizeof goldens[0], FIELDS = 11 };

static bool number_agrees(const char *text, uint64_t got)
{
    return strcmp(text, "-") == 0 || strtoull(text, NULL, 0) == got;
}

/* The first field that differs, or NULL. */
static const char *difference(char *const field[FIELDS], unsigned fields,
                              const struct trace_record *r)
{
    static const char *const name[FIELDS] = { "time",    "op",  "lba",     "bytes",
                                              "device",  "cpu", "latency", "peer",
                                              "peer_qp", "key", "address" };
    const uint64_t got[FIELDS]            = {
                   r->time_ns,      0,           r->lba,         r->bytes,
                   r->device,       r->cpu,      r->latency_ns,  r->rdma.peer,
                   r->rdma.peer_qp, r->rdma.key, r->rdma.address
    };
    for (unsigned i = 0; i < fields; i++)
        if (i == 1 ? strcmp(field[i], trace_op_name(r->op)) != 0
                   : !number_agrees(field[i], got[i]))
            return name[i];
    return NULL;
}

static unsigned split(char *line, char *field[FIELDS])
{
    unsigned fields = 0;
    for (char *rest, *word = strtok_r(line, " \n", &rest); word != NULL && fields < FIELDS;
         word = strtok_r(NULL, " \n", &rest))
        field[fields++] = word;
    return fields;
}

static void expect_golden(const struct golden *g)
{
    char path[1024], line[512], *field[FIELDS];
    struct trace_reader *reader;
    struct trace_record record;
    struct error error = { "" };
    uint64_t records   = 0;

    snprintf(path, sizeof path, "golden/%s.txt", g->golden);
    FILE *in = fopen(fixture_sample(path), "r");
    CHECK(in != NULL);
    if (!EXPECT(trace_open(&reader, fixture_sample(g->sample), &error))) {
        EXPECT_TEXT(error.text, "");
        fclose(in);
        return;
    }
    EXPECT_TEXT(trace_about(reader)->format, g->format);
    while (fgets(line, sizeof line, in) != NULL) {
        if (line[0] == '#')
            continue;
        const unsigned fields = split(line, field);
        if (!EXPECT(fields >= 7) || !EXPECT(trace_next(reader, &record, &error) == 1))
            break;
        const char *const wrong = difference(field, fields, &record);
        if (wrong != NULL) {
            snprintf(path, sizeof path, "%s: record %" PRIu64 ": %s", g->sample, records,
                     wrong);
            EXPECT_TEXT(path, "");
            break;
        }
        records++;
    }
    EXPECT_EQUAL(trace_next(reader, &record, &error), 0);
    EXPECT_TEXT(error.text, "");
    EXPECT(records >= 7);
    trace_close(reader);
    fclose(in);
}

TEST_CASE(formats, every_sample_is_what_an_independent_reading_says)
{
    for (unsigned i = 0; i < GOLDENS; i++)
        expect_golden(&goldens[i]);
}

/* A format without a sample has not been shown to be read. */
TEST_CASE(formats, every_importer_has_a_sample)
{
    static const char *const elsewhere[] = { "native", "ftrace", "events", "oracle",
                                             "csv" };
    for (const struct trace_importer *const *f = import_table; *f != NULL; f++) {
        bool found = false;
        for (unsigned i = 0; i < GOLDENS; i++)
            found |= strcmp(goldens[i].format, (*f)->name) == 0;
        for (unsigned i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
            found |= strcmp(elsewhere[i], (*f)->name) == 0;
        EXPECT(found);
        EXPECT((*f)->origin != NULL);
        EXPECT((*f)->knows != 0);
    }
}

/* ---- What is known of real recordings
 * --------------------------------------------------------------- */

struct tally {
    uint64_t records, segments, unknown_memory, unknown_end, op[TRACE_OPS];
    uint64_t local, remote; /* RDMA messages that know their own, and the peer's memory. */
};

static struct tally tally_of(const char *sample)
{
    struct tally t = { 0 };
    struct trace_reader *reader;
    struct trace_record r;
    struct error error = { "" };
    int got            = -1;
    if (EXPECT(trace_open(&reader, fixture_sample(sample), &error))) {
        while ((got = trace_next(reader, &r, &error)) == 1) {
            t.records++;
            t.segments += r.segment_count;
            t.unknown_memory += r.segment_count == 0 && trace_op_moves_data(r.op);
            t.unknown_end += r.latency_ns == TRACE_LATENCY_UNKNOWN;
            t.op[r.op]++;
            t.local += r.rdma.local_key != 0;
            t.remote += r.rdma.key != 0 && !trace_op_is_region(r.op);
        }
        trace_close(reader);
    }
    EXPECT_EQUAL(got, 0);
    EXPECT_TEXT(error.text, "");
    return t;
}

/* 300 messages of ib_write_bw: each read from its own region and written into the peer's.
 */
TEST_CASE(formats, verbs_know_the_memory_at_both_ends)
{
    const struct tally t = tally_of("rdma-write-bw-4k.verbs.txt.gz");
    EXPECT_EQUAL(t.op[TRACE_RDMA_WRITE], 300);
    EXPECT_EQUAL(t.op[TRACE_RDMA_REGISTER], 2);
    EXPECT_EQUAL(t.op[TRACE_RDMA_DEREGISTER], 2);
    EXPECT_EQUAL(t.local, 300);
    EXPECT_EQUAL(t.remote, 300);
    EXPECT_EQUAL(t.unknown_end, 4); /* Regions come and go at once. */
}

/* The same requests as ftrace and as trace-cmd print them. */
TEST_CASE(formats, text_of_trace_cmd_is_the_beginning_of_the_same_recording)
{
    struct trace_reader *cut, *whole;
    struct trace_record a, b;
    struct error error;
    unsigned records = 0;
    char path[1024];
    strcpy(path, fixture_sample("nvme-randrw-mixed.trace-cmd.txt.xz"));
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
    EXPECT_EQUAL(records, 61);
    trace_close(cut);
    trace_close(whole);
}

TEST_CASE(formats, recorded_events_know_their_memory)
{
    const struct tally t = tally_of("linux-nvme.events.txt.gz");
    EXPECT_EQUAL(t.records, 184);
    EXPECT(t.segments > t.records);
    EXPECT_EQUAL(t.op[TRACE_READ] + t.op[TRACE_WRITE] + t.op[TRACE_FLUSH], t.records);
}

/* As many as the file has lines that map. */
TEST_CASE(formats, recorded_calls_are_requests_of_their_memory)
{
    const struct tally t = tally_of("linux-nvme.calls.txt.gz");
    EXPECT_EQUAL(t.records, 225);
    EXPECT_EQUAL(t.op[TRACE_READ] + t.op[TRACE_WRITE], t.records);
    EXPECT(t.segments > t.records);
}

TEST_CASE(formats, no_two_importers_claim_one_sample)
{
    for (unsigned i = 0; i < GOLDENS; i++) {
        struct trace_source *source;
        struct error error;
        const uint8_t *first;
        unsigned claims = 0;
        CHECK(trace_source_open(&source, fixture_sample(goldens[i].sample), &error));
        const long bytes = trace_source_peek(source, &first, &error);
        EXPECT(bytes > 0);
        for (const struct trace_importer *const *f = import_table; *f != NULL; f++)
            claims += (*f)->recognises(first, (size_t)bytes);
        EXPECT_EQUAL(claims, 1);
        trace_source_close(source);
    }
}

/* ---- Writing
 * ---------------------------------------------------------------------------------------
 */

static uint64_t convert(const char *from, const char *to, const struct trace_exporter *e)
{
    struct trace_reader *reader;
    struct trace_record r;
    struct error error = { "" };
    uint64_t digest    = 0;
    CHECK(trace_open(&reader, from, &error));
    void *out = e->create(to, trace_about(reader), &error);
    CHECK(out != NULL);
    while (trace_next(reader, &r, &error) == 1) {
        digest = fixture_digest(digest, &r);
        EXPECT(e->put(out, &r, &error));
    }
    trace_close(reader);
    EXPECT(e->finish(out, &error));
    EXPECT_TEXT(error.text, "");
    return digest;
}

static const struct trace_exporter *exporter(const char *name)
{
    for (const struct trace_exporter *const *e = export_table; *e != NULL; e++)
        if (strcmp((*e)->name, name) == 0)
            return *e;
    UNREACHABLE("an exporter of that name");
}

/* Every field of every kind of record goes through both. */
static void expect_round_trip(const char *sample, const char *format)
{
    struct fixture_folder folder = fixture_folder_make();
    char from[1024], path[1024];
    struct error error = { "" };
    uint64_t read      = 0;
    strcpy(from, fixture_sample(sample));
    strcpy(path, fixture_folder_file(&folder, "out"));
    const uint64_t written = convert(from, path, exporter(format));
    EXPECT(fixture_read_file(path, &read, &error) > 0);
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(read, written);
    fixture_folder_remove(&folder);
}

TEST_CASE(formats, native_and_csv_lose_nothing)
{
    static const char *const sample[] = {
        "nvme-randrw-mixed.iovatrace", "ext4-fdatasync.ftrace.txt.gz",
        "rdma-perftest.pcap.gz", "nvmeof-read-64k.verbs.txt.gz", "handmade.msr.csv"
    };
    for (unsigned i = 0; i < sizeof sample / sizeof sample[0]; i++) {
        expect_round_trip(sample[i], "csv");
        expect_round_trip(sample[i], "native");
    }
}

/* What a format can hold comes back: place, size, kind, and times as far as it has them. */
static void expect_the_same_requests(const char *sample, const char *format, uint64_t unit,
                                     bool completions)
{
    struct fixture_folder folder = fixture_folder_make();
    char from[1024], path[1024];
    struct trace_reader *a, *b;
    struct trace_record x, y;
    struct error error = { "" };
    strcpy(from, fixture_sample(sample));
    strcpy(path, fixture_folder_file(&folder, "out"));
    convert(from, path, exporter(format));
    CHECK(trace_open(&a, from, &error));
    CHECK(trace_open(&b, path, &error));
    int got_a, got_b = 1;
    while ((got_a = trace_next(a, &x, &error)) == 1
           && (got_b = trace_next(b, &y, &error)) == 1) {
        EXPECT_EQUAL(x.op, y.op);
        EXPECT_EQUAL(x.lba, y.lba);
        EXPECT_EQUAL(x.bytes, y.bytes);
        EXPECT_EQUAL(x.device, y.device);
        EXPECT_EQUAL(x.time_ns / unit, y.time_ns / unit);
        if (completions) {
            EXPECT_EQUAL(x.cpu, y.cpu);
            EXPECT_EQUAL(x.completion_cpu, y.completion_cpu);
            EXPECT_EQUAL(x.latency_ns, y.latency_ns);
        }
        if (x.lba != y.lba)
            break;
    }
    EXPECT_EQUAL(got_a, 0);
    EXPECT_EQUAL(trace_next(b, &y, &error), 0);
    EXPECT_EQUAL(got_b, 1);
    trace_close(a);
    trace_close(b);
    fixture_folder_remove(&folder);
}

TEST_CASE(formats, fio_and_blkparse_keep_what_they_can_hold)
{
    expect_the_same_requests("nvme-mixed.iolog.gz", "fio", 1000, false);
    expect_the_same_requests("nvme-mixed.blktrace.0.gz", "fio", 1000, false);
    expect_the_same_requests("nvme-mixed.blktrace.0.gz", "blkparse", 1, true);
    expect_the_same_requests("handmade.msr.csv", "blkparse", 1, true);
    expect_the_same_requests("ext4-fdatasync.ftrace.txt.gz", "blkparse", 1, true);
}

TEST_CASE(formats, block_formats_refuse_rdma_work_and_leave_nothing)
{
    static const char *const format[] = { "fio", "blkparse" };
    for (unsigned i = 0; i < 2; i++) {
        struct fixture_folder folder   = fixture_folder_make();
        struct error error             = { "" };
        const struct trace_record r    = { .op = TRACE_RDMA_SEND };
        const struct trace_exporter *e = exporter(format[i]);
        const struct trace_about about = { .format = "native" };
        void *out = e->create(fixture_folder_file(&folder, "out"), &about, &error);
        REQUIRE(out != NULL);
        EXPECT(!e->put(out, &r, &error));
        EXPECT_HAS(error.text, "record 0");
        EXPECT_HAS(error.text, "RDMA");
        e->abandon(out);
        EXPECT_EQUAL(fixture_folder_count(&folder), 0);
        fixture_folder_remove(&folder);
    }
}

/* ---- What is wrong
 * ---------------------------------------------------------------------------------- */

/* The text is refused, as format, with a line that has all of part. */
static void refused(const char *format, const char *text, const char *place,
                    const char *part)
{
    struct error error               = { "" };
    const struct fixture_bytes bytes = { (uint8_t *)text, strlen(text) };
    EXPECT(fixture_read(bytes, format, NULL, &error) < 0);
    EXPECT_HAS(error.text, place);
    EXPECT_HAS(error.text, part);
    EXPECT(strchr(error.text, '\n') == NULL);
}

TEST_CASE(formats, what_is_malformed_is_named_with_its_line)
{
    refused("msr", "1,h,0,Read,0,512,9\n2,h,0,Raed,0,512,9\n", "line 2", "Type");
    refused("msr", "1,h,0,Read,0,512\n", "line 1", "ResponseTime");
    refused("msr", "1,h,0,Read,0,512,9,3\n", "line 1", "more behind");
    refused("msr", "99999999999999999999,h,0,Read,0,512,9\n", "line 1", "Timestamp");
    refused("msr", "", "line 0", "without one request");
    refused("systor", "Timestamp,Response,IOType,LUN,Offset,Size\n1.5,0.1,R,0,x,512\n",
            "line 2", "Offset");
    refused("alibaba", "1,R,0,4096,9\n1,R,-5,4096,9\n", "line 2", "offset");
    refused("tencent", "1,2,3,4,5\n", "line 1", "IOType");
    refused("spc", "0,5,1073741825,r,0.5\n", "line 1", "size");
    refused("mqsim", "1 0 5 8 1\n2 0 5 8\n", "line 2", "type");
    refused("opencas",
            "submit_ns,complete_ns,cpu,complete_cpu,op,lba512,sectors\n9,5,0,0,R,1,8\n",
            "line 2", "before it is issued");
    refused("opencas",
            "submit_ns,complete_ns,cpu,complete_cpu,op,lba512,sectors\n9,9,4096,0,R,1,8\n",
            "line 2", "cpu");
    refused("fio", "fio version 3 iolog\n5 f read 0\n", "line 2", "offset");
    refused("fio", "fio version 4 iolog\n", "line 1", "version 2");
    refused("fio", "fio version 3 iolog\n5 f raed 0 512\n", "line 2", "read, write");
    refused("fio", "fio version 3 iolog\n5 f wait 3\n", "line 2", "no wait");
    refused("fio", "fio version 2 iolog\nf read 0 4096 9\n", "line 2", "end");
    refused("blkparse", "  8,0 0 1 0.000000000 1 D R 0 + 8 [x]\nrubbish\n", "line 2",
            "not as blkparse");
    refused("blkparse", "  8,0 4096 1 0.000000000 1 D R 0 + 8 [x]\n", "line 1", "cpu");
    refused("blkparse", "  8,0 0 1 0.0 1 Q N 0 + 8 [x]\n", "recording",
            "without one request");
    refused("ns3", "2\n0 1 3 100 5 2.0\n", "line 2", "flow 1 of 2");
    refused("ns3", "1\n0 1 3 100 5 2.0\n0 1 3 100 5 2.0\n", "line 3", "more flows");
    refused("ns3", "1\n0 1 3 100 x 2.0\n", "line 2", "bytes");
    refused("csv",
            CSV_HEADER "\n"
                       "0,,raed,0,512,0,0,0,0,0,,,,,,,,,\n",
            "line 2", "table");
    refused("csv",
            CSV_HEADER "\n"
                       "0,,read,0,512,0,0,0,0,0,0x1000+511,,,,,,,,\n",
            "line 2", "segments sum");
    refused("events", "### a\n5 0t N nvme0 q1\n", "line 2", "not understood");
    refused("oracle", "### a\n5 0t MAP 0000:00:05.0 R phys=z len=1\n", "line 2", "MAP");
    refused("verbs",
            "x-1 [000] d..1. 1.5: xmit: (a) qpn=1 opcode=0x4 psn=99999999 wqe_len=4\n",
            "line 1", "xmit");
}

/* A binary sample, cut or with one byte changed. */
static void binary_refused(const char *sample, const char *format, size_t keep, long at,
                           uint8_t value, const char *place, const char *part)
{
    struct fixture_bytes packed = fixture_load(fixture_sample(sample));
    struct fixture_bytes plain  = fixture_gunzip(packed);
    struct error error          = { "" };
    if (keep != 0)
        plain.bytes = keep;
    if (at >= 0)
        plain.data[at] = value;
    EXPECT(fixture_read(plain, format, NULL, &error) < 0);
    EXPECT_HAS(error.text, place);
    EXPECT_HAS(error.text, part);
    fixture_free(plain);
    fixture_free(packed);
}

TEST_CASE(formats, binary_files_that_are_cut_or_damaged_are_named_with_their_record)
{
    binary_refused("viewer.blktrace.0.gz", "blktrace", 100, -1, 0, "record", "truncated");
    binary_refused("version8.blktrace.0.gz", "blktrace", 60, -1, 0, "record 0",
                   "truncated");
    binary_refused("version8.blktrace.0.gz", "blktrace", 0, 0, 9, "record 0", "version 9");
    binary_refused("rdma-perftest.pcap.gz", "pcap", 30, -1, 0, "record 0", "truncated");
    binary_refused("rdma-perftest.pcap.gz", "pcap", 3000, -1, 0, "record", "truncated");
    binary_refused("rdma-perftest.pcap.gz", "pcap", 0, 35, 0x7f, "record 0", "captured");
    binary_refused("rdma-perftest.pcapng.gz", "pcap", 2000, -1, 0, "record", "truncated");
    binary_refused("rdma-perftest.pcapng.gz", "pcap", 0, 7, 0x7f, "record 0", "claims");
}
