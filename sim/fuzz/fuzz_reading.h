/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_reading - what must hold for any bytes as a trace file, of all targets that read
 * one: it ends, in bounded memory, in an end or an error with a text; every record keeps
 * the rules; reading again gives the same; and the native encoding gives back what it was
 * given.
 */
#ifndef SIM_FUZZ_FUZZ_READING_H
#define SIM_FUZZ_FUZZ_READING_H

#include <string.h>

#include "sim/base/check.h"
#include "traces/native.h"
#include "traces/source.h"

static inline void expect_equal(const struct trace_record *a, const struct trace_record *b)
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
    CHECK(a->rdma.qp == b->rdma.qp);
    CHECK(a->rdma.peer == b->rdma.peer);
    CHECK(a->rdma.peer_qp == b->rdma.peer_qp);
    CHECK(a->rdma.key == b->rdma.key);
    CHECK(a->rdma.address == b->rdma.address);
    CHECK(a->rdma.region_bytes == b->rdma.region_bytes);
    CHECK(a->rdma.local_key == b->rdma.local_key);
    CHECK(a->rdma.local_address == b->rdma.local_address);
    CHECK(a->segment_count == b->segment_count);
    for (uint32_t i = 0; i < a->segment_count; i++) {
        CHECK(a->segment[i].pa == b->segment[i].pa);
        CHECK(a->segment[i].bytes == b->segment[i].bytes);
    }
}

/* Through the native encoding and back, alone in a block. */
static inline void check_encoding(const struct trace_record *record)
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
static inline long drain(struct trace_reader *reader, bool encode)
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

static inline void read_twice(const uint8_t *data, size_t size, const char *format)
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

#endif
