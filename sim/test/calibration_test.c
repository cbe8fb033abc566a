/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calibration - the default IOMMU held against pcie-bench (SIGCOMM'18; raw data of a
 * Broadwell server, 4 KiB pages): a device reads 64 bytes at random places of a window that
 * stays mapped. docs/validation.md says which of these figures were fitted.
 */
#include "sim/base/rng.h"
#include "sim/test/rig.h"
#include "sim/test/shim.h"

enum { DEVICE = 0x28, LATENCY_PS = 90000, DOMAIN = 4, LEVELS = 4 };

static struct rig rig;

static void build(uint64_t pages)
{
    rig_defaults(&rig);
    rig.channel = (struct mem_channel){ LATENCY_PS, 640, 64, 0 };
    rig_start(&rig);
    const uint64_t root = rig_attach(&rig, DEVICE, DOMAIN, LEVELS);
    for (uint64_t i = 0; i < pages; i++)
        rig_map(&rig, root, LEVELS, 0xf0000000 + (i << 12), (i + 1) << 12, 12, PT_READ);
}

static uint64_t some_address(struct rng *rng, uint64_t pages)
{
    return 0xf0000000 + ((uint64_t)rng_below(rng, (uint32_t)pages) << 12)
           + ((uint64_t)rng_below(rng, 64) << 6);
}

/* Mean nanoseconds of one translation at a time, and the share of misses. */
static double one_at_a_time(uint64_t pages, double *misses)
{
    struct iommu_response answer;
    struct rng rng = rng_make(1, "calibration");
    uint64_t sum = 0, missed = 0;
    build(pages);
    for (unsigned i = 0; i < 6000; i++) {
        const cycle_t took =
            rig_translate(&rig, DEVICE, some_address(&rng, pages), PT_READ, &answer);
        if (i < 2000)
            continue; /* Warm. */
        sum += took;
        missed += answer.outcome == XLATE_walked;
    }
    rig_stop(&rig);
    *misses = (double)missed / 4000.0;
    return (double)sum / 4000.0; /* 1 GHz: cycles are nanoseconds. */
}

/* Nanoseconds between answers with 64 requests under way. */
static double interval(uint64_t pages)
{
    struct iommu_response answer;
    struct rng rng   = rng_make(2, "calibration");
    sim_time_t began = 0;
    build(pages);
    for (unsigned i = 0; i < 32; i++)
        rig_submit(&rig, DEVICE, some_address(&rng, pages), PT_READ, i);
    for (unsigned i = 0; i < 6000; i++) {
        if (i == 2000)
            began = rig.now;
        CHECK(rig_next(&rig, &answer));
        rig_submit(&rig, DEVICE, some_address(&rng, pages), PT_READ, i);
    }
    const double ns = (double)(rig.now - began) / 1000.0 / 4000.0;
    rig_stop(&rig);
    return ns;
}

TEST_CASE(calibration, a_hit_costs_no_more_than_measured)
{
    double misses;
    EXPECT(one_at_a_time(16, &misses) <= 5.0); /* 2.7 ns, at most 5. */
    EXPECT(misses < 0.001);
}

TEST_CASE(calibration, a_miss_costs_what_was_measured)
{
    double few, many;
    const double hit  = one_at_a_time(16, &few);
    const double miss = one_at_a_time(16384, &many);
    const double step = (miss - hit) / many;
    EXPECT(step > 280.0 * 0.85);
    EXPECT(step < 280.0 * 1.15);
}

TEST_CASE(calibration, misses_follow_each_other_as_fast_as_measured)
{
    const double ns = interval(16384);
    EXPECT(ns > 52.0 * 0.90);
    EXPECT(ns < 52.0 * 1.10);
}

/* Predicted: 256 KiB fit; 1 MiB misses 56 to 64 %, 2 MiB 79 to 80 %. */
TEST_CASE(calibration, the_reach_of_the_iotlb_is_between_64_and_128_pages)
{
    double misses;
    one_at_a_time(64, &misses);
    EXPECT(misses < 0.02);
    one_at_a_time(128, &misses);
    EXPECT(misses > 0.05);
    one_at_a_time(256, &misses);
    EXPECT(misses > 0.56 * 0.85 && misses < 0.64 * 1.15);
    one_at_a_time(512, &misses);
    EXPECT(misses > 0.79 * 0.85 && misses < 0.80 * 1.15);
}
