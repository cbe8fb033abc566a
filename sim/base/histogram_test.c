/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/histogram.h"

#include "sim/base/rng.h"
#include "sim/test/shim.h"

TEST_CASE(histogram, buckets_tile_the_whole_range_without_gap)
{
    for (unsigned b = 0; b + 1 < HISTOGRAM_BUCKETS; b++)
        if (!EXPECT_EQUAL(histogram_bucket_last(b) + 1, histogram_bucket_first(b + 1)))
            return;
    EXPECT_EQUAL(histogram_bucket_first(0), 0);
    EXPECT_EQUAL(histogram_bucket_last(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
}

TEST_CASE(histogram, a_value_lands_between_its_buckets_ends)
{
    struct rng rng = rng_make(1, "histogram");
    for (unsigned i = 0; i < 20000; i++) {
        static struct histogram h;
        h                    = (struct histogram){ 0 };
        const uint64_t value = rng_next(&rng) >> rng_below(&rng, 64);
        histogram_record(&h, value);
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            if (h.bucket[b] != 0) {
                REQUIRE(histogram_bucket_first(b) <= value);
                REQUIRE(value <= histogram_bucket_last(b));
            }
        REQUIRE(histogram_percentile(&h, 50.0) == value);
    }
}

TEST_CASE(histogram, percentiles_of_small_values_are_exact)
{
    static struct histogram h;
    h = (struct histogram){ 0 };
    for (uint64_t v = 1; v <= 100; v++)
        histogram_record(&h, v);
    EXPECT_EQUAL(histogram_percentile(&h, 0.0), 1);
    EXPECT_EQUAL(histogram_percentile(&h, 1.0), 1);
    EXPECT_EQUAL(histogram_percentile(&h, 50.0), 50);
    EXPECT_EQUAL(histogram_percentile(&h, 99.0), 99);
    EXPECT_EQUAL(histogram_percentile(&h, 100.0), 100);
    EXPECT_EQUAL(h.sum, 5050);
    EXPECT_EQUAL(h.min, 1);
    EXPECT_EQUAL(h.max, 100);
}

TEST_CASE(histogram, merging_equals_recording_all_in_one)
{
    static struct histogram one, a, b;
    one = a = b    = (struct histogram){ 0 };
    struct rng rng = rng_make(7, "merge");
    for (unsigned i = 0; i < 5000; i++) {
        const uint64_t v = rng_next(&rng) >> rng_below(&rng, 60);
        histogram_record(&one, v);
        histogram_record(i % 3 ? &a : &b, v);
    }
    histogram_merge(&a, &b);
    EXPECT_EQUAL(a.count, one.count);
    EXPECT_EQUAL(a.sum, one.sum);
    EXPECT_EQUAL(a.min, one.min);
    EXPECT_EQUAL(a.max, one.max);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        REQUIRE(a.bucket[i] == one.bucket[i]);
}
