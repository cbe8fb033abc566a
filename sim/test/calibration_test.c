/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calibration - the default IOMMU held against pcie-bench (SIGCOMM'18; raw data of a
 * Broadwell server). docs/calibration.md has the figures, docs/validation.md says which of
 * them were fitted.
 */
#include "sim/test/calibration.h"
#include "sim/test/shim.h"

TEST_CASE(calibration, a_hit_costs_no_more_than_measured)
{
    double misses;
    EXPECT(calibration_latency(16, &misses) <= 5.0); /* 2.7 ns, at most 5. */
    EXPECT(misses < 0.001);
}

TEST_CASE(calibration, a_miss_costs_what_was_measured)
{
    double few, many;
    const double hit  = calibration_latency(16, &few);
    const double miss = calibration_latency(16384, &many);
    const double step = (miss - hit) / many;
    EXPECT(step > 280.0 * 0.85);
    EXPECT(step < 280.0 * 1.15);
}

TEST_CASE(calibration, misses_follow_each_other_as_fast_as_measured)
{
    const double ns = calibration_interval(16384);
    EXPECT(ns > 52.0 * 0.90);
    EXPECT(ns < 52.0 * 1.10);
}

/* Predicted: 256 KiB fit; 1 MiB misses 56 to 64 %, 2 MiB 79 to 80 %. */
TEST_CASE(calibration, the_reach_of_the_iotlb_is_between_64_and_128_pages)
{
    double misses;
    calibration_latency(64, &misses);
    EXPECT(misses < 0.02);
    calibration_latency(128, &misses);
    EXPECT(misses > 0.05);
    calibration_latency(256, &misses);
    EXPECT(misses > 0.56 * 0.85 && misses < 0.64 * 1.15);
    calibration_latency(512, &misses);
    EXPECT(misses > 0.79 * 0.85 && misses < 0.80 * 1.15);
}
