/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_trace - any bytes as a trace file. The properties: it ends, in bounded memory, in an
 * end or an error with a text; every record keeps the rules; reading again gives the same;
 * and the native encoding gives back what it was given.
 *
 * The first byte chooses a door. Checksums keep mutations of a native file out at the
 * gate, so one door leads behind it: the bytes are the contents of a block of records.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/native.h"
#include "traces/source.h"

enum door { DOOR_ANY, DOOR_FTRACE, DOOR_NATIVE, DOOR_BLOCK, DOORS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_equal(const struct trace_record *a, const struct trace_record *b)
{
    CHECK(a->time_ns == b->time_ns);
    CHECK(a->latency_ns == b->latency_ns);
    CHECK(a->lba == b->lba);
    CHECK(a->bytes == b->bytes);
    CHECK(a->cpu == b->cpu);
    CHECK(a->completion_cpu == b->completion_cpu);
    CHECK(a->device == b->device);
    CHECK(a->queue == b->queue);
    CHECK(a->depth == b->depth);
    CHECK(a->op == b->op);
    CHECK(a->segment_count == b->segment_count);
    for (uint32_t i = 0; i < a->segment_count; i++) {
        CHECK(a->segment[i].pa == b->segment[i].pa);
        CHECK(a->segment[i].bytes == b->segment[i].bytes);
    }
}

/* Through the native encoding and back, alone in a block. */
static void check_encoding(const struct trace_record *record)
{
    static struct native_encoder encoder;
    static struct native_decoder decoder;
    static struct trace_segment segment[TRACE_SEGMENTS_MAX];
    static uint8_t raw[NATIVE_RAW_BYTES_MAX];
    struct trace_record back;
    struct error error;

    native_encoder_begin(&encoder);
    native_encode(&encoder, record);
    const size_t bytes = native_encoder_take(&encoder, raw);
    CHECK(native_decoder_begin(&decoder, raw, bytes, &error));
    CHECK(native_decode(&decoder, &back, segment, &error));
    CHECK(native_decoder_empty(&decoder));
    expect_equal(record, &back);
}

/* How many records came, negative when an error ended them. */
static long drain(struct trace_reader *reader, bool encode)
{
    struct trace_record record;
    struct error error = { "" };
    long records       = 0;
    int got;

    while ((got = trace_next(reader, &record, &error)) == 1) {
        CHECK(trace_record_check(&record, &error));
        if (encode)
            check_encoding(&record);
        records++;
    }
    CHECK((got < 0) == (error.text[0] != '\0'));
    return got == 0 ? records : -records - 1;
}

static void read_twice(const uint8_t *data, size_t size, const char *format)
{
    struct trace_source *source = trace_source_open_memory(data, size);
    struct trace_reader *reader;
    struct error error = { "" };

    if (!trace_open_source(&reader, source, "input", format, &error)) {
        CHECK(error.text[0] != '\0');
        return;
    }
    const long first = drain(reader, true);
    CHECK(trace_rewind(reader, &error));
    CHECK(drain(reader, false) == first);
    trace_close(reader);
}

/* The first two bytes say how many records the block claims to have. */
static void read_block(const uint8_t *data, size_t size)
{
    static struct trace_segment segment[TRACE_SEGMENTS_MAX];
    static struct native_decoder decoder;
    struct trace_record record;
    struct error error = { "" };

    if (size < 2 || !native_decoder_begin(&decoder, data + 2, size - 2, &error))
        return;
    for (uint64_t left = native_get(data, 2); left > 0; left--) {
        if (!native_decode(&decoder, &record, segment, &error)) {
            CHECK(error.text[0] != '\0');
            return;
        }
        if (trace_record_check(&record, &error))
            check_encoding(&record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch ((enum door)(data[0] % DOORS)) {
    case DOOR_FTRACE:
        read_twice(data + 1, size - 1, "ftrace");
        break;
    case DOOR_NATIVE:
        read_twice(data + 1, size - 1, "native");
        break;
    case DOOR_BLOCK:
        read_block(data + 1, size - 1);
        break;
    default:
        read_twice(data + 1, size - 1, NULL);
    }
    return 0;
}
