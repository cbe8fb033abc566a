/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzz target as an ordinary test: a bounded number of mutated recordings.
 */
#define LLVMFuzzerTestOneInput fuzz_observed_one_input /* There is one for each target. */
#include "sim/fuzz/fuzz_observed.c"

#include "sim/test/mutate.h"
#include "sim/test/shim.h"

/* Whole lines of it. */
static struct fixture_bytes beginning(const char *sample, size_t bytes)
{
    struct fixture_bytes plain = mutate_sample(sample, bytes);
    while (plain.bytes > 0 && plain.data[plain.bytes - 1] != '\n')
        plain.bytes--;
    CHECK(plain.bytes > 0);
    return plain;
}

static void run(const char *sample, size_t bytes, unsigned rounds)
{
    const unsigned before      = observed_accepted;
    struct rng rng             = rng_make(1, sample);
    struct fixture_bytes plain = beginning(sample, bytes);
    struct fixture_bytes input = { malloc(plain.bytes), 0 };
    CHECK(input.data != NULL);
    for (unsigned i = 0; i < rounds; i++) {
        mutate_anew(&rng, &input, plain, 0);
        EXPECT_EQUAL(fuzz_observed_one_input(input.data, input.bytes), 0);
    }
    EXPECT(observed_accepted - before > rounds / 2); /* Of two readings of each. */
    fixture_free(input);
    fixture_free(plain);
}

TEST_CASE(fuzz_observed, mutated_recordings_are_read_or_refused)
{
    run("linux-nvme.events.txt.gz", 6000, 300);
    run("nvme-randrw-mixed.ftrace.txt.gz", 16000, 150);
    run("nvme-randrw-mixed.trace-cmd.txt.xz", 16000, 150);
}
