/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

TEST_CASE(native, random_records_come_back_as_they_were)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        uint64_t want, got;
        struct error error;
        struct fixture_bytes trace = fixture_native(seed, seed * seed * 7, &want);
        EXPECT_EQUAL(fixture_read(trace, NULL, &got, &error), seed * seed * 7);
        EXPECT_EQUAL(got, want);
        fixture_free(trace);
    }
}

/* More records, and more segments, than one block takes. */
TEST_CASE(native, long_traces_have_several_blocks)
{
    uint64_t want, got;
    struct error error;
    const unsigned records     = 3 * NATIVE_BLOCK_RECORDS / 2;
    struct fixture_bytes trace = fixture_native(77, records, &want);
    EXPECT_EQUAL(fixture_read(trace, NULL, &got, &error), records);
    EXPECT_EQUAL(got, want);
    fixture_free(trace);
}

TEST_CASE(native, a_wrapped_file_reads_like_the_file)
{
    uint64_t want, got;
    struct error error;
    struct fixture_bytes trace  = fixture_native(5, 100, &want);
    struct fixture_bytes packed = fixture_gzip(trace);
    EXPECT_EQUAL(fixture_read(packed, NULL, &got, &error), 100);
    EXPECT_EQUAL(got, want);
    for (size_t bytes = 0; bytes < packed.bytes; bytes++) {
        const struct fixture_bytes cut = { packed.data, bytes };
        REQUIRE(fixture_read(cut, NULL, NULL, &error) == -1);
    }
    fixture_free(trace);
    fixture_free(packed);
}

/* The worst case for a column: every field takes all the room that it can. */
TEST_CASE(native, the_largest_block_keeps_its_limits)
{
    static struct native_encoder encoder;
    static struct trace_segment segment[TRACE_SEGMENTS_MAX];
    struct trace_record r = { .bytes = TRACE_SEGMENTS_MAX, .segment = segment };

    for (uint32_t i = 0; i < TRACE_SEGMENTS_MAX; i++)
        segment[i] = (struct trace_segment){ i % 2 ? (UINT64_C(1) << 55) + i : i, 1 };
    native_encoder_begin(&encoder);
    for (uint32_t i = 0; !native_encoder_full(&encoder); i++) {
        const uint32_t odd = i % 2;
        r.time_ns          = i * (TRACE_TIME_MAX_NS >> 20);
        r.latency_ns       = TRACE_TIME_MAX_NS;
        r.lba              = odd * TRACE_LBA_MAX;
        r.cpu              = 4000 + odd;
        r.completion_cpu   = 4095;
        r.device           = 4000 + odd;
        r.queue            = 65000 + odd;
        r.depth            = UINT32_MAX;
        r.segment_count    = i % 8 ? 3 : TRACE_SEGMENTS_MAX;
        native_encode(&encoder, &r);
    }
    uint8_t *raw       = malloc(NATIVE_RAW_BYTES_MAX);
    const size_t bytes = native_encoder_take(&encoder, raw);
    EXPECT(bytes <= NATIVE_RAW_BYTES_MAX);
    EXPECT(compressBound(NATIVE_RAW_BYTES_MAX) <= NATIVE_PACKED_BYTES_MAX);
    free(raw);
}

TEST_CASE(native, every_truncation_is_noticed)
{
    uint64_t want;
    struct fixture_bytes trace = fixture_native(1, 40, &want);
    for (size_t bytes = 0; bytes < trace.bytes; bytes++) {
        const struct fixture_bytes cut = { trace.data, bytes };
        struct error error             = { "" };
        REQUIRE(fixture_read(cut, NULL, NULL, &error) == -1);
        REQUIRE(error.text[0] != '\0');
    }
    fixture_free(trace);
}

TEST_CASE(native, every_damaged_byte_is_noticed)
{
    struct fixture_bytes trace = fixture_load(fixture_sample("tiny.iovatrace"));
    for (size_t at = 0; at < trace.bytes; at++)
        for (unsigned flip = 1; flip < 256; flip = flip < 128 ? flip << 1 : flip + 127) {
            struct error error = { "" };
            trace.data[at]     = (uint8_t)(trace.data[at] ^ flip);
            REQUIRE(fixture_read(trace, NULL, NULL, &error) == -1);
            REQUIRE(error.text[0] != '\0');
            trace.data[at] = (uint8_t)(trace.data[at] ^ flip);
        }
    fixture_free(trace);
}

TEST_CASE(native, what_stands_behind_the_end_is_an_error)
{
    struct fixture_bytes trace = fixture_load(fixture_sample("tiny.iovatrace"));
    struct error error;
    trace.data[trace.bytes++] = '\n'; /* fixture_load leaves a byte of room. */
    EXPECT_EQUAL(fixture_read(trace, NULL, NULL, &error), -1);
    EXPECT_TEXT(error.text, "memory: there is more behind the end");
    fixture_free(trace);
}

/* Puts a block of bytes of content, with the right checksum, behind what out holds. */
static void block_append(struct fixture_bytes *out, struct native_block block,
                         const uint8_t *raw, size_t bytes)
{
    uLongf packed = compressBound(bytes);
    out->data     = realloc(out->data, out->bytes + NATIVE_BLOCK_HEADER_BYTES + packed);
    CHECK(out->data != NULL);
    uint8_t *const header = out->data + out->bytes;
    CHECK(compress(header + NATIVE_BLOCK_HEADER_BYTES, &packed, raw, bytes) == Z_OK);
    block.packed_bytes = (uint32_t)packed;
    block.crc          = native_block_crc(&block, header + NATIVE_BLOCK_HEADER_BYTES);
    native_block_encode(&block, header);
    out->bytes += NATIVE_BLOCK_HEADER_BYTES + packed;
}

static struct fixture_bytes header_make(unsigned version, const char *notes,
                                        size_t notes_bytes)
{
    struct fixture_bytes out = { calloc(1, 64 + notes_bytes), 16 + notes_bytes + 4 };
    CHECK(out.data != NULL);
    memcpy(out.data, NATIVE_MAGIC, NATIVE_MAGIC_BYTES);
    native_put(out.data + 8, 2, version);
    native_put(out.data + 12, 4, notes_bytes);
    memcpy(out.data + 16, notes, notes_bytes);
    native_put(out.data + 16 + notes_bytes, 4, native_crc(out.data, 16 + notes_bytes));
    return out;
}

/* Expects the file to be refused for that reason, and frees it. */
static void expect_refused(struct fixture_bytes file, const char *why)
{
    struct error error = { "" };
    EXPECT_EQUAL(fixture_read(file, NULL, NULL, &error), -1);
    EXPECT_HAS(error.text, why);
    fixture_free(file);
}

/* A file with one block of these contents and a fitting end. */
static struct fixture_bytes file_make(const uint8_t *raw, size_t bytes, uint32_t records,
                                      uint64_t segments)
{
    const struct native_totals totals = { records, segments, 1 };
    uint8_t end[NATIVE_TOTALS_BYTES];
    struct fixture_bytes file       = header_make(1, "", 0);
    const struct native_block block = { .kind      = NATIVE_RECORDS,
                                        .records   = records,
                                        .raw_bytes = (uint32_t)bytes };
    const struct native_block tail  = { .kind      = NATIVE_END,
                                        .first     = records,
                                        .raw_bytes = sizeof end };
    native_totals_encode(&totals, end);
    block_append(&file, block, raw, bytes);
    block_append(&file, tail, end, sizeof end);
    return file;
}

static const struct trace_segment page = { 0x5000, 4096 };

enum { KINDS_AT = 4 * (1 + NATIVE_BASE_COLUMNS) }; /* Where the first column begins. */

/* The contents of a block of count equal records, unchecked. */
static size_t raw_make(struct trace_record record, unsigned count, uint8_t *raw)
{
    static struct native_encoder encoder;
    native_encoder_begin(&encoder);
    for (unsigned i = 0; i < count; i++)
        native_encode(&encoder, &record);
    return native_encoder_take(&encoder, raw);
}

static struct trace_record page_record(void)
{
    return (struct trace_record){ .bytes = 4096, .segment_count = 1, .segment = &page };
}

static void expect_record_refused(struct trace_record record, const char *why)
{
    uint8_t raw[512];
    const size_t bytes = raw_make(record, 1, raw);
    expect_refused(file_make(raw, bytes, 1, record.segment_count), why);
}

TEST_CASE(native, headers_of_other_files_are_refused)
{
    struct fixture_bytes file = header_make(1, "", 0);
    file.data[0]              = 'X';
    expect_refused(file, "not a trace in a known format");
    expect_refused(header_make(2, "", 0), "format version 2 is newer than this program");
    expect_refused(header_make(0, "", 0), "header is damaged");
    file         = header_make(1, "", 0);
    file.data[3] = 'X';
    struct error error;
    EXPECT_EQUAL(fixture_read(file, "native", NULL, &error), -1);
    EXPECT_HAS(error.text, "not a native trace");
    fixture_free(file);
}

TEST_CASE(native, notes_in_the_header_are_checked)
{
    expect_refused(header_make(1,
                               "\x01k\x01v\x05"
                               "cut",
                               8),
                   "notes are malformed");
    expect_refused(header_make(1, "\x01k", 2), "notes are malformed");
    expect_refused(header_make(1,
                               "\x20"
                               "12345678901234567890123456789012\0",
                               34),
                   "notes are malformed");
    struct fixture_bytes file = header_make(1, "\x01k\x01v", 4);
    file.data[12]             = 0xff;
    file.data[15]             = 0xff;
    expect_refused(file, "claims 4278190335 bytes of notes");
    file          = header_make(1, "\x01k\x01v", 4);
    file.data[17] = 'K';
    expect_refused(file, "checksum differs");
}

TEST_CASE(native, a_newer_kind_of_record_is_named)
{
    uint8_t raw[512];
    const size_t bytes = raw_make(page_record(), 3, raw);
    expect_refused(file_make(raw, bytes, 3, 2), "totals at the end");
    raw[KINDS_AT + 1] = 7;
    expect_refused(file_make(raw, bytes, 3, 3),
                   "memory: record 1: kind 7 is newer than this program");
}

TEST_CASE(native, newer_flags_are_named)
{
    uint8_t raw[512];
    const size_t bytes = raw_make(page_record(), 1, raw);
    raw[KINDS_AT + 2] |= 0x10; /* The second byte of the flags. */
    expect_refused(file_make(raw, bytes, 1, 1), "record 0: flags 0xc18 are newer");
}

/* A later writer may have more columns; what this program knows is still where it was. */
TEST_CASE(native, further_columns_are_passed_over)
{
    enum { MORE = NATIVE_COLUMNS - NATIVE_BASE_COLUMNS + 1 };
    uint8_t raw[512], wide[512 + 4 * MORE] = { 0 };
    const size_t bytes = raw_make(page_record(), 1, raw);
    memcpy(wide, raw, KINDS_AT);
    native_put(wide, 4, NATIVE_COLUMNS + 1);
    native_put(wide + KINDS_AT + 4 * (MORE - 1), 4, 2);
    memcpy(wide + KINDS_AT + 4 * MORE, raw + KINDS_AT, bytes - KINDS_AT);
    memset(wide + bytes + 4 * MORE, 0xee, 2);
    struct fixture_bytes file = file_make(wide, bytes + 4 * MORE + 2, 1, 1);
    struct error error;
    EXPECT_EQUAL(fixture_read(file, NULL, NULL, &error), 1);
    fixture_free(file);
    native_put(wide, 4, NATIVE_COLUMNS_MAX + 1);
    expect_refused(file_make(wide, bytes + 4 * MORE + 2, 1, 1), "directory is malformed");
}

/* Blocks without RDMA work are as they were before there was any; others have its columns,
 * and both kinds of record come back. */
TEST_CASE(native, rdma_work_has_columns_of_its_own)
{
    static struct native_encoder encoder;
    static uint8_t raw[NATIVE_RAW_BYTES_MAX];
    struct trace_record r = page_record();

    native_encoder_begin(&encoder);
    native_encode(&encoder, &r);
    native_encoder_take(&encoder, raw);
    EXPECT_EQUAL(native_get(raw, 4), 14);

    const struct trace_record work = { .time_ns = r.time_ns,
                                       .bytes   = 4096,
                                       .op      = TRACE_RDMA_WRITE,
                                       .rdma    = {
                                              .qp = 17, .key = 0x4e6, .address = 1 << 20 } };
    native_encode(&encoder, &work);
    const size_t bytes = native_encoder_take(&encoder, raw);
    EXPECT_EQUAL(native_get(raw, 4), NATIVE_COLUMNS);

    static struct native_decoder decoder;
    static struct trace_segment segment[TRACE_SEGMENTS_MAX];
    struct trace_record back;
    struct error error = { "" };
    EXPECT(native_decoder_begin(&decoder, raw, bytes, &error));
    EXPECT(native_decode(&decoder, &back, segment, &error));
    EXPECT_EQUAL(fixture_digest(0, &back), fixture_digest(0, &r));
    EXPECT(native_decode(&decoder, &back, segment, &error));
    EXPECT_EQUAL(fixture_digest(0, &back), fixture_digest(0, &work));
    EXPECT(native_decoder_empty(&decoder));
    EXPECT_TEXT(error.text, "");
}

TEST_CASE(native, records_beyond_the_rules_are_named)
{
    struct trace_record r = page_record();
    r.cpu                 = TRACE_CPUS_MAX;
    expect_record_refused(r, "memory: record 0: cpu 4096 must be below 4096");
    r         = page_record();
    r.time_ns = 1;
    expect_record_refused(r, "time_ns of the first record must be 0");
    r    = page_record();
    r.op = TRACE_FLUSH;
    expect_record_refused(r, "bytes 4096 must be 0 for a flush");
    r               = page_record();
    r.segment_count = 0;
    r.bytes         = 0;
    expect_record_refused(r, "bytes must not be 0");
}

TEST_CASE(native, time_must_not_wrap_around)
{
    uint8_t raw[512];
    struct trace_record r = page_record();
    size_t bytes          = raw_make(r, 2, raw);
    struct native_decoder decoder;
    struct error error;
    REQUIRE(native_decoder_begin(&decoder, raw, bytes, &error));

    /* The second difference of time becomes 2^64 - 1. */
    uint8_t *second    = raw + (decoder.column[NATIVE_TIME].at - raw) + 1;
    const size_t after = (size_t)(raw + bytes - (second + 1));
    memmove(second + 10, second + 1, after);
    memset(second, 0xff, 9);
    second[9] = 0x01;
    native_put(raw + 4 * (1 + NATIVE_TIME), 4, 11);
    expect_refused(file_make(raw, bytes + 9, 2, 2), "record 1: time_ns");
}

/* The third difference is -1 modulo 2^64: back to a time that would be possible. */
TEST_CASE(native, time_must_not_decrease)
{
    static struct native_encoder encoder;
    uint8_t raw[512];
    struct trace_record r = page_record();
    struct error error;
    struct native_decoder decoder;

    native_encoder_begin(&encoder);
    native_encode(&encoder, &r);
    r.time_ns = 10;
    native_encode(&encoder, &r);
    r.time_ns = 10 + (UINT64_C(1) << 63); /* Ten bytes, of which each changes. */
    native_encode(&encoder, &r);
    const size_t bytes = native_encoder_take(&encoder, raw);
    REQUIRE(native_decoder_begin(&decoder, raw, bytes, &error));
    uint8_t *third = raw + (decoder.column[NATIVE_TIME].at - raw) + 2;
    memset(third, 0xff, 9);
    third[9] = 0x01;
    expect_refused(file_make(raw, bytes, 3, 3), "memory: record 2: time_ns decreases");
    third[9] = 0x03; /* A 65th bit. */
    expect_refused(file_make(raw, bytes, 3, 3), "record 2: its block is malformed");
}

TEST_CASE(native, segments_beyond_the_limit_are_not_read)
{
    static struct trace_segment many[TRACE_SEGMENTS_MAX + 1];
    static uint8_t raw[NATIVE_RAW_BYTES_MAX];
    struct trace_record r = { .bytes = 4 * (TRACE_SEGMENTS_MAX + 1), .segment = many };

    for (uint32_t i = 0; i <= TRACE_SEGMENTS_MAX; i++)
        many[i] = (struct trace_segment){ 64 * i, 4 };
    r.segment_count = TRACE_SEGMENTS_MAX + 1;
    size_t bytes    = raw_make(r, 1, raw);
    expect_refused(file_make(raw, bytes, 1, r.segment_count),
                   "record 0: its block is malformed");
    r.segment_count--;
    r.bytes -= 4;
    bytes                     = raw_make(r, 1, raw);
    struct fixture_bytes file = file_make(raw, bytes, 1, r.segment_count);
    EXPECT_EQUAL(fixture_read(file, NULL, NULL, &(struct error){ "" }), 1);
    fixture_free(file);
}

/* The block says one thing about its contents, and they say another. */
TEST_CASE(native, contents_that_do_not_fit_are_refused)
{
    uint8_t raw[512];
    const size_t bytes = raw_make(page_record(), 2, raw);
    expect_refused(file_make(raw, bytes, 1, 1), "holds more than its records");
    expect_refused(file_make(raw, bytes, 3, 3), "record 2: its block is malformed");
    expect_refused(file_make(raw, bytes - 1, 2, 2), "directory exceeds the block");
    expect_refused(file_make(raw, bytes + 1, 2, 2), "block exceeds its directory");
    expect_refused(file_make(raw, 3, 2, 2), "directory is malformed");
    expect_refused(file_make(raw, KINDS_AT - 1, 2, 2), "directory is malformed");
    native_put(raw, 4, NATIVE_BASE_COLUMNS - 1);
    expect_refused(file_make(raw, bytes, 2, 2), "directory is malformed");
    native_put(raw, 4, UINT32_MAX);
    expect_refused(file_make(raw, bytes, 2, 2), "directory is malformed");
    native_put(raw, 4, NATIVE_BASE_COLUMNS);
    native_put(raw + 4, 4, UINT32_MAX);
    expect_refused(file_make(raw, bytes, 2, 2), "directory exceeds the block");
}

TEST_CASE(native, segments_must_fit_their_request)
{
    uint8_t raw[512];
    const struct trace_segment three[] = { { 0, 512 }, { 1024, 512 }, { 2048, 512 } };
    struct trace_record r = { .bytes = 1024, .segment_count = 3, .segment = three };
    size_t bytes          = raw_make(r, 1, raw);
    expect_refused(file_make(raw, bytes, 1, 3), "record 0: segment 2 is empty");
    r.bytes = 1023;
    bytes   = raw_make(r, 1, raw);
    expect_refused(file_make(raw, bytes, 1, 3), "record 0: its block is malformed");
}

/* The header of a block alone: nothing that it claims may be believed. */
static void expect_block_refused(struct native_block block, const char *why)
{
    struct fixture_bytes file = header_make(1, "", 0);
    file.data                 = realloc(file.data, file.bytes + NATIVE_BLOCK_HEADER_BYTES);
    native_block_encode(&block, file.data + file.bytes);
    file.bytes += NATIVE_BLOCK_HEADER_BYTES;
    expect_refused(file, why);
}

TEST_CASE(native, claims_of_a_block_are_held_against_limits)
{
    const struct native_block good = { .kind = 1, .records = 1, .raw_bytes = 9 };
    struct native_block block      = good;
    expect_block_refused(block, "record 0: the block is damaged");
    block.packed_bytes = 9;
    expect_block_refused(block, "record 0: the file ends here, truncated");
    block.packed_bytes = UINT32_MAX;
    expect_block_refused(block, "the block claims 9 bytes, packed 4294967295");
    block           = good;
    block.raw_bytes = NATIVE_RAW_BYTES_MAX + 1;
    expect_block_refused(block, "the block claims 2097153 bytes");
    block         = good;
    block.records = 0;
    expect_block_refused(block, "the block claims 0 records");
    block      = good;
    block.kind = NATIVE_END;
    expect_block_refused(block, "the block claims 1 records");
    block.kind = 3;
    expect_block_refused(block, "block of kind 3 is newer than this program");
    block       = good;
    block.first = 12;
    expect_block_refused(block, "a block is missing: the next begins with record 12");
}

/* A kilobyte that unpacks to a megabyte, in a block that claims to be small. */
TEST_CASE(native, a_block_unpacks_to_exactly_what_it_claims)
{
    enum { BYTES = 1 << 20 };
    const uint32_t claims[] = { 100, BYTES - 1, BYTES + 1 };
    uint8_t *zeros          = calloc(1, BYTES);
    for (unsigned i = 0; i < 3; i++) {
        struct fixture_bytes file       = header_make(1, "", 0);
        const struct native_block block = { .kind      = NATIVE_RECORDS,
                                            .records   = 1,
                                            .raw_bytes = claims[i] };
        block_append(&file, block, zeros, BYTES);
        expect_refused(file, "record 0: the block does not unpack to what it claims");
    }
    free(zeros);
}

TEST_CASE(native, an_end_without_totals_is_refused)
{
    struct fixture_bytes file     = header_make(1, "", 0);
    const struct native_block end = { .kind = NATIVE_END, .raw_bytes = 8 };
    block_append(&file, end, (const uint8_t *)"12345678", 8);
    expect_refused(file, "the end block is too small");
}

TEST_CASE(native, an_empty_trace_is_whole)
{
    uint64_t digest;
    struct error error;
    struct fixture_bytes trace = fixture_native(1, 0, &digest);
    EXPECT_EQUAL(fixture_read(trace, NULL, NULL, &error), 0);
    fixture_free(trace);
}

/* The bytes of the dump in FORMAT.md: lines of eight digits and up to sixteen bytes. */
static size_t dump_parse(const char *path, uint8_t *out, size_t limit)
{
    FILE *file = fopen(path, "r");
    char line[512];
    size_t used = 0;
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long offset;
        int at;
        if (sscanf(line, "%8lx  %n", &offset, &at) != 1 || at != 10 || offset != used)
            continue;
        unsigned byte;
        for (int more; sscanf(line + at, "%2x%n", &byte, &more) == 1; at += more) {
            CHECK(used < limit);
            out[used++] = (uint8_t)byte;
        }
    }
    fclose(file);
    return used;
}

TEST_CASE(native, the_example_of_the_manual_is_the_file)
{
    struct fixture_bytes tiny = fixture_load(fixture_sample("tiny.iovatrace"));
    char manual[1024];
    uint8_t dump[4096];
    snprintf(manual, sizeof manual, "%s/traces/FORMAT.md", TEST_SOURCE_DIR);
    EXPECT_EQUAL(dump_parse(manual, dump, sizeof dump), tiny.bytes);
    EXPECT(memcmp(dump, tiny.data, tiny.bytes) == 0);
    fixture_free(tiny);
}

/* What the reader makes of the example, the writer makes the example of. */
TEST_CASE(native, writing_the_example_again_gives_its_bytes)
{
    struct fixture_bytes tiny    = fixture_load(fixture_sample("tiny.iovatrace"));
    struct fixture_folder folder = fixture_folder_make();
    const char *path             = fixture_folder_file(&folder, "copy");
    struct trace_about about     = { 0 };
    struct trace_reader *reader;
    struct trace_writer *writer;
    struct trace_record record;
    struct error error;

    REQUIRE(trace_open(&reader, fixture_sample("tiny.iovatrace"), &error));
    about = *trace_about(reader);
    REQUIRE(trace_create(&writer, path, &about, &error));
    while (trace_next(reader, &record, &error) == 1)
        REQUIRE(trace_put(writer, &record, &error));
    about = *trace_about(reader);
    for (uint32_t i = 0; i < about.note_count; i++)
        trace_writer_note(writer, about.note[i].key, about.note[i].value);
    REQUIRE(trace_finish(writer, &error));
    trace_close(reader);

    struct fixture_bytes copy = fixture_load(path);
    EXPECT_EQUAL(copy.bytes, tiny.bytes);
    EXPECT(memcmp(copy.data, tiny.data, tiny.bytes) == 0);
    fixture_free(copy);
    fixture_free(tiny);
    fixture_folder_remove(&folder);
}
