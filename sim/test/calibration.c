/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/calibration.h"

#include "sim/base/rng.h"
#include "sim/host/direct.h"
#include "sim/test/rig.h"

/* ---- The hardware
 * ------------------------------------------------------------------------------------ */

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

double calibration_latency(uint64_t pages, double *misses)
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

double calibration_interval(uint64_t pages)
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

/* ---- The software
 * ------------------------------------------------------------------------------------ */

static struct machine_result result;

static void replay(const char *trace, const char *policy)
{
    struct replay_source source = { trace, NULL };
    struct config config;
    struct error error;
    CHECK(config_init(&config, "vtd-server", &error));
    CHECK(config_set(&config, "replay.depth=1", &error));
    CHECK(trace_open(&source.reader, trace, &error));
    const struct machine_run run = { .api       = BLK_streaming,
                                     .policy    = flush_find(policy),
                                     .cpus      = 1,
                                     .limit     = UINT64_MAX,
                                     .run_ahead = true,
                                     .source    = &source,
                                     .sources   = 1 };
    struct direct_host *host     = direct_host_new();
    CHECK(machine_run(&config, &run, direct_host_verbs(host), &result, &error)
          == MACHINE_RAN);
    direct_host_free(host);
    trace_close(source.reader);
    config_free(&config);
}

void calibration_calls(const char *trace, const char *policy, double cycles[OWNERS])
{
    replay(trace, policy);
    for (unsigned o = 0; o < OWNERS; o++) {
        uint64_t sum = 0;
        for (unsigned p = 0; p < PHASES; p++)
            sum += result.counters.cycles[p][o];
        cycles[o] = (double)sum / (double)result.counters.replay.record;
    }
}
