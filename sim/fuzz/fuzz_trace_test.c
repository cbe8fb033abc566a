/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzz target as an ordinary test: a bounded number of mutated samples.
 */
#define LLVMFuzzerTestOneInput fuzz_trace_one_input /* There is one for each target. */
#include "sim/fuzz/fuzz_trace.c"

#include "sim/test/mutate.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

static void run_mutants(struct fixture_bytes sample, enum door door, unsigned rounds)
{
    struct rng rng             = rng_make(door, "mutants");
    struct fixture_bytes plain = { malloc(sample.bytes + 1), sample.bytes + 1 };
    struct fixture_bytes input = { malloc(sample.bytes + 1), 0 };
    CHECK(plain.data != NULL);
    CHECK(input.data != NULL);
    plain.data[0] = (uint8_t)door;
    memcpy(plain.data + 1, sample.data, sample.bytes);
    for (unsigned i = 0; i < rounds; i++) {
        mutate_anew(&rng, &input, plain, 1);
        EXPECT_EQUAL(fuzz_trace_one_input(input.data, input.bytes), 0);
    }
    fixture_free(input);
    fixture_free(plain);
}

TEST_CASE(fuzz_trace, mutated_native_files_are_read_or_refused)
{
    struct fixture_bytes tiny = fixture_load(fixture_sample("tiny.iovatrace"));
    run_mutants(tiny, DOOR_ANY, 2000);
    run_mutants(tiny, DOOR_NATIVE, 1000);
    fixture_free(tiny);
}

TEST_CASE(fuzz_trace, mutated_packed_files_are_read_or_refused)
{
    struct fixture_bytes tiny   = fixture_load(fixture_sample("tiny.iovatrace"));
    struct fixture_bytes packed = fixture_gzip(tiny);
    run_mutants(packed, DOOR_ANY, 2000);
    fixture_free(packed);
    fixture_free(tiny);
}

/* The first lines of a sample: enough for all kinds of events, and quick to repeat. */
static void run_text(const char *name, size_t bytes)
{
    struct fixture_bytes text = mutate_sample(name, bytes);
    run_mutants(text, DOOR_FTRACE, 500);
    run_mutants(text, DOOR_ANY, 100);
    fixture_free(text);
}

TEST_CASE(fuzz_trace, mutated_texts_are_read_or_refused)
{
    run_text("nvme-randrw-mixed.ftrace.txt.gz", 16000);
    run_text("ext4-fdatasync.ftrace.txt.gz", 24000);
}

/* Contents of a block, as the writer makes them, behind the number of their records. */
TEST_CASE(fuzz_trace, mutated_blocks_are_read_or_refused)
{
    static struct native_encoder encoder;
    enum { RECORDS = 60 };
    struct rng rng   = rng_make(1, "blocks");
    uint64_t time_ns = 0;

    native_encoder_begin(&encoder);
    for (unsigned i = 0; i < RECORDS; i++) {
        struct trace_record record = fixture_record(&rng, &time_ns);
        if (record.segment_count < 100)
            native_encode(&encoder, &record);
    }
    struct fixture_bytes block = { malloc(NATIVE_RAW_BYTES_MAX), 0 };
    CHECK(block.data != NULL);
    native_put(block.data, 2, encoder.records);
    block.bytes = 2 + native_encoder_take(&encoder, block.data + 2);
    run_mutants(block, DOOR_BLOCK, 5000);
    fixture_free(block);
}
