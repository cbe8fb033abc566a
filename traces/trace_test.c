/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"
#include "traces/import.h"

static const struct trace_segment page = { .pa = 0x1000, .bytes = 4096 };

static struct trace_record good_record(void)
{
    return (struct trace_record){ .latency_ns    = TRACE_LATENCY_UNKNOWN,
                                  .bytes         = 4096,
                                  .segment_count = 1,
                                  .segment       = &page };
}

static void expect_refused(const struct trace_record *record, const char *why)
{
    struct error error = { "" };
    EXPECT(!trace_record_check(record, &error));
    EXPECT_HAS(error.text, why);
}

TEST_CASE(trace, a_record_at_every_limit_is_good)
{
    const struct trace_segment last = { .pa    = (UINT64_C(1) << TRACE_PA_BITS) - 1,
                                        .bytes = 1 };
    const struct trace_record r     = {
            .time_ns        = TRACE_TIME_MAX_NS,
            .latency_ns     = TRACE_TIME_MAX_NS,
            .lba            = TRACE_LBA_MAX,
            .bytes          = 1,
            .cpu            = TRACE_CPUS_MAX - 1,
            .completion_cpu = TRACE_CPUS_MAX - 1,
            .device         = TRACE_DEVICES_MAX - 1,
            .queue          = TRACE_QUEUES_MAX - 1,
            .depth          = UINT32_MAX,
            .op             = TRACE_WRITE,
            .segment_count  = 1,
            .segment        = &last,
    };
    struct error error = { "" };
    EXPECT(trace_record_check(&r, &error));
    EXPECT_TEXT(error.text, "");
}

TEST_CASE(trace, a_record_beyond_a_limit_is_refused_with_the_field)
{
    struct trace_record r = good_record();
    r.op                  = TRACE_OPS;
    expect_refused(&r, "op 17");
    r         = good_record();
    r.time_ns = TRACE_TIME_MAX_NS + 1;
    expect_refused(&r, "time_ns");
    r            = good_record();
    r.latency_ns = TRACE_TIME_MAX_NS + 1;
    expect_refused(&r, "latency_ns");
    r     = good_record();
    r.lba = TRACE_LBA_MAX + 1;
    expect_refused(&r, "lba");
    r     = good_record();
    r.cpu = TRACE_CPUS_MAX;
    expect_refused(&r, "cpu 4096 must be below 4096");
    r                = good_record();
    r.completion_cpu = TRACE_CPUS_MAX;
    expect_refused(&r, "completion_cpu");
    r        = good_record();
    r.device = TRACE_DEVICES_MAX;
    expect_refused(&r, "device");
    r       = good_record();
    r.queue = TRACE_QUEUES_MAX;
    expect_refused(&r, "queue");
}

TEST_CASE(trace, bytes_must_suit_the_operation)
{
    struct trace_record r = { .bytes = 0 };
    expect_refused(&r, "must not be 0 for a read");
    r.bytes = TRACE_BYTES_MAX + 1;
    expect_refused(&r, "bytes");
    r.op = TRACE_FLUSH;
    expect_refused(&r, "must be 0 for a flush");
    r = (struct trace_record){ .bytes = UINT32_MAX, .op = TRACE_DISCARD };
    struct error error;
    EXPECT(trace_record_check(&r, &error));
}

TEST_CASE(trace, segments_must_be_the_requests_memory)
{
    static struct trace_segment many[TRACE_SEGMENTS_MAX + 1];
    struct trace_record r = good_record();

    r.bytes = 8192;
    expect_refused(&r, "sum to 4096");
    r    = good_record();
    r.op = TRACE_DISCARD;
    expect_refused(&r, "segment_count must be 0");
    r               = good_record();
    r.segment_count = TRACE_SEGMENTS_MAX + 1;
    r.segment       = many;
    expect_refused(&r, "segment_count 4097");
    r.segment_count = 2;
    expect_refused(&r, "segment 0 is empty");
    many[0] = (struct trace_segment){ .pa    = (UINT64_C(1) << TRACE_PA_BITS) - 4095,
                                      .bytes = 4096 };
    expect_refused(&r, "exceeds 56 bits");
    many[0].pa = UINT64_MAX;
    expect_refused(&r, "exceeds 56 bits");
}

TEST_CASE(trace, notes_are_cut_cleaned_and_replaced)
{
    struct trace_about about = { 0 };
    char text[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';

    trace_about_note(&about, "mode", "strict");
    trace_about_note(&about, "mode", "lazy\nand more");
    EXPECT_EQUAL(about.note_count, 1);
    EXPECT_TEXT(trace_about_find(&about, "mode"), "lazy?and more");
    trace_about_note(&about, text, text);
    EXPECT_EQUAL(strlen(about.note[1].key), sizeof about.note[1].key - 1);
    EXPECT_EQUAL(strlen(about.note[1].value), sizeof about.note[1].value - 1);
    EXPECT(trace_about_find(&about, "kernel") == NULL);
    for (unsigned i = 0; i < 2 * TRACE_NOTES_MAX; i++) {
        snprintf(text, sizeof text, "key%u", i);
        trace_about_note(&about, text, "");
    }
    EXPECT_EQUAL(about.note_count, TRACE_NOTES_MAX);
}

TEST_CASE(trace, every_importer_has_its_verbs)
{
    unsigned count = 0;
    for (const struct trace_importer *const *i = import_table; *i != NULL; i++, count++) {
        EXPECT((*i)->name[0] != '\0' && (*i)->summary[0] != '\0');
        EXPECT((*i)->recognises != NULL && (*i)->open != NULL);
        EXPECT((*i)->next != NULL && (*i)->close != NULL);
    }
    EXPECT(count >= 2);
}

TEST_CASE(trace, what_is_no_trace_is_said_to_be_none)
{
    struct fixture_folder folder = fixture_folder_make();
    const char *path             = fixture_folder_file(&folder, "file");
    struct trace_reader *reader;
    struct error error;

    EXPECT(!trace_open(&reader, path, &error));
    EXPECT(reader == NULL);
    EXPECT_HAS(error.text, "/file: cannot open: No such file");
    fixture_save(path, "", 0);
    EXPECT(!trace_open(&reader, path, &error));
    EXPECT_HAS(error.text, "/file: the file is empty");
    fixture_save(path, "hello, world\n", 13);
    EXPECT(!trace_open(&reader, path, &error));
    EXPECT_HAS(error.text, "/file: not a trace in a known format (");
    EXPECT_HAS(error.text, "native");
    EXPECT(!trace_open_as(&reader, path, "native", &error));
    EXPECT_HAS(error.text, "/file: ");
    EXPECT(!trace_open_as(&reader, path, "punchcards", &error));
    EXPECT_HAS(error.text, "no trace format is called 'punchcards'");
    EXPECT(!trace_open(&reader, folder.path, &error));
    EXPECT_HAS(error.text, "cannot read: Is a directory");
    trace_close(NULL);
    fixture_folder_remove(&folder);
}

TEST_CASE(trace, reading_again_gives_the_same_and_an_end_stays_an_end)
{
    uint64_t want, got[2] = { 0, 0 };
    struct fixture_bytes trace   = fixture_native(3, 50, &want);
    struct fixture_folder folder = fixture_folder_make();
    const char *path             = fixture_folder_file(&folder, "again");
    struct trace_reader *reader;
    struct trace_record record;
    struct error error;

    fixture_save(path, trace.data, trace.bytes);
    REQUIRE(trace_open(&reader, path, &error));
    for (unsigned round = 0; round < 2; round++) {
        while (trace_next(reader, &record, &error) == 1)
            got[round] = fixture_digest(got[round], &record);
        EXPECT_EQUAL(trace_next(reader, &record, &error), 0);
        EXPECT_EQUAL(trace_next(reader, &record, &error), 0);
        EXPECT_TEXT(trace_about(reader)->format, "native");
        EXPECT_TEXT(trace_about_find(trace_about(reader), "end"), "reached");
        EXPECT_EQUAL(got[round], want);
        EXPECT(trace_rewind(reader, &error));
    }
    EXPECT_EQUAL(trace_next(reader, &record, &error), 1);
    trace_close(reader);
    fixture_free(trace);
    fixture_folder_remove(&folder);
}
