/* SPDX-License-Identifier: Apache-2.0 */
/* Whole machines: what must come out of them, and what the checks catch. */
#include "sim/app/machine.h"

#include <stdlib.h>
#include <string.h>

#include "sim/app/metric.h"
#include "sim/app/preset.h"
#include "sim/host/direct.h"
#include "sim/test/shim.h"

#define SAMPLES TEST_SOURCE_DIR "/traces/samples/"
static const char single[] = SAMPLES "nvme-randread-4k.iovatrace";
static const char multi[]  = SAMPLES "nvme-seqread-128k.iovatrace";

static struct machine_result result;
static double metric[METRIC_COUNT];
static struct error error;

static enum machine_outcome run_on(const struct config *config, const char *path,
                                   enum blk_api api, const struct flush_policy *policy,
                                   uint64_t limit)
{
    struct replay_source source = { path, NULL };
    CHECK(trace_open(&source.reader, path, &error));
    const struct machine_run run = { .api       = api,
                                     .policy    = policy,
                                     .cpus      = 2,
                                     .limit     = limit,
                                     .run_ahead = true,
                                     .source    = &source,
                                     .sources   = 1 };
    struct direct_host *host     = direct_host_new();
    const enum machine_outcome ending =
        machine_run(config, &run, direct_host_verbs(host), &result, &error);
    metric_values(&result, metric);
    direct_host_free(host);
    trace_close(source.reader);
    return ending;
}

static enum machine_outcome run_preset(const char *preset, const char *path,
                                       enum blk_api api, const struct flush_policy *policy,
                                       const char *set, uint64_t limit)
{
    struct config config;
    CHECK(config_init(&config, preset, &error));
    CHECK(set == NULL || config_set(&config, set, &error));
    const enum machine_outcome ending = run_on(&config, path, api, policy, limit);
    config_free(&config);
    return ending;
}

static enum machine_outcome run_with(const char *path, enum blk_api api,
                                     const struct flush_policy *policy, const char *set,
                                     uint64_t limit)
{
    return run_preset("vtd-server", path, api, policy, set, limit);
}

static enum machine_outcome run(const char *path, enum blk_api api, const char *policy)
{
    return run_with(path, api, flush_find(policy), NULL, 400);
}

static double value(enum metric_id id)
{
    return metric[id];
}

/* ---- What must come out
 * ---------------------------------------------------------------------------- */

TEST_CASE(machine, strict_leaves_nothing_reachable_by_measurement)
{
    for (unsigned api = 0; api < BLK_API_COUNT; api++) {
        EXPECT_EQUAL(run(multi, (enum blk_api)api, "strict"), MACHINE_RAN);
        EXPECT_EQUAL(result.counters.replay.record, 400);
        EXPECT(value(METRIC_ID_stale_hits) == 0.0);
        EXPECT(value(METRIC_ID_exposure_page_us_per_io) == 0.0);
        EXPECT(result.counters.audit.page_given_back > 12000);
    }
}

TEST_CASE(machine, lazy_leaves_pages_reachable_on_the_streaming_api)
{
    EXPECT_EQUAL(run(single, BLK_streaming, "lazy"), MACHINE_RAN);
    EXPECT(value(METRIC_ID_exposure_page_us_per_io) > 1.0);
    EXPECT(value(METRIC_ID_exposure_us_max)
           <= 10100.0); /* The timer's 10 ms, and a little. */
}

TEST_CASE(machine, one_page_requests_cost_the_same_through_every_api)
{
    double first[METRIC_COUNT];
    EXPECT_EQUAL(run(single, BLK_iova, "strict"), MACHINE_RAN);
    memcpy(first, metric, sizeof first);
    for (unsigned api = 0; api < BLK_API_COUNT; api++) {
        EXPECT_EQUAL(run(single, (enum blk_api)api, "strict"), MACHINE_RAN);
        EXPECT(memcmp(first, metric, sizeof first) == 0);
    }
}

TEST_CASE(machine, linking_many_pages_needs_one_invalidation_and_fewer_cycles)
{
    EXPECT_EQUAL(run(multi, BLK_streaming, "strict"), MACHINE_RAN);
    const double cycles = value(METRIC_ID_cpu_cycles_per_io);
    const double inval  = value(METRIC_ID_invalidations_per_io);
    const double kept   = value(METRIC_ID_dma_address_bytes_per_io);
    EXPECT(inval > 31.0);
    EXPECT_EQUAL(run(multi, BLK_iova, "strict"), MACHINE_RAN);
    EXPECT(value(METRIC_ID_invalidations_per_io) < 1.1);
    EXPECT(value(METRIC_ID_cpu_cycles_per_io) < cycles / 3.0);
    EXPECT(value(METRIC_ID_dma_address_bytes_per_io) < kept / 10.0);
}

/* What became of lazy mode on the IOVA path (recordings, rule 6). */
TEST_CASE(machine, destroy_is_deferred_in_6_18_and_immediate_in_7_3)
{
    const struct flush_policy *lazy = flush_find("lazy");
    EXPECT_EQUAL(run_with(multi, BLK_iova, lazy, "linux.release=6.18", 400), MACHINE_RAN);
    EXPECT(value(METRIC_ID_invalidations_per_io) < 0.1);
    EXPECT(value(METRIC_ID_exposure_page_us_per_io) > 10.0);
    EXPECT_EQUAL(run_with(multi, BLK_iova, lazy, "linux.release=7.3", 400), MACHINE_RAN);
    EXPECT(value(METRIC_ID_invalidations_per_io) > 0.9);
    /* Pages that the driver gave back while it was set up are not the replay's. */
    EXPECT_EQUAL(result.counters.audit.page_exposed, 0);
    EXPECT_EQUAL(result.exposed_pages_most, 0);
    EXPECT(value(METRIC_ID_exposure_page_us_per_io) == 0.0);
    EXPECT(value(METRIC_ID_exposure_us_max) == 0.0);
}

TEST_CASE(machine, passing_through_needs_no_mapping)
{
    EXPECT_EQUAL(run(multi, BLK_iova, "passthrough"), MACHINE_RAN);
    EXPECT(value(METRIC_ID_pages) == 0.0);
    EXPECT(value(METRIC_ID_iotlb_lookups) == 0.0);
    EXPECT(value(METRIC_ID_dma_address_bytes_per_io) == 0.0);
    EXPECT(value(METRIC_ID_faults) == 0.0);
}

TEST_CASE(machine, every_cycle_of_a_dma_has_an_owner)
{
    EXPECT_EQUAL(run(multi, BLK_iova, "strict"), MACHINE_RAN);
    const struct dma_stats *d = &result.counters.dma;
    EXPECT_EQUAL(d->link_up_ps + d->port_ps + d->translate_ps + d->order_ps + d->memory_ps
                     + d->link_down_ps,
                 d->whole_ps);
    uint64_t parts = 0;
    for (unsigned i = 0; i < XLATE_PART_COUNT; i++)
        parts += result.counters.xlate_cycles[i];
    EXPECT(parts > 0);
    EXPECT(parts * 1000 <= d->translate_ps + d->read * 1000 + d->write * 1000);
}

static void expect_owners_sum_to_cpu_time(void)
{
    uint64_t owned = 0;
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++)
            owned += result.counters.cycles[p][o];
    EXPECT(result.time_ps > 0);
    EXPECT_EQUAL(owned * 323, result.cpus * result.time_ps);
}

TEST_CASE(machine, the_owners_of_the_replay_sum_to_the_time_of_its_cpus)
{
    for (unsigned api = 0; api < BLK_API_COUNT; api++)
        for (unsigned i = 0; flush_table[i] != NULL; i++) {
            EXPECT_EQUAL(run_with(multi, (enum blk_api)api, flush_table[i], NULL, 100),
                         MACHINE_RAN);
            expect_owners_sum_to_cpu_time();
        }
    /* A timer that fires all the time leaves CPUs ahead of the end. */
    EXPECT_EQUAL(
        run_with(single, BLK_streaming, flush_find("lazy"), "lazy.timeout_us=3", 57),
        MACHINE_RAN);
    expect_owners_sum_to_cpu_time();
}

/* The referee would end the run with MACHINE_BROKEN at the first stale access. */
TEST_CASE(machine, scalable_mode_and_device_tlbs_leave_nothing_stale_under_strict)
{
    static const char *const preset[] = { "vtd-scalable", "vtd-scalable", "vtd-ats",
                                          "vtd-ats" };
    for (unsigned i = 0; i < 4; i++) {
        const char *set = i % 2 ? "vtd.first_stage=0" : NULL;
        for (unsigned api = 0; api < 3; api++)
            EXPECT_EQUAL(run_preset(preset[i], multi, (enum blk_api)api,
                                    flush_find("strict"), set, 300),
                         MACHINE_RAN);
        EXPECT_EQUAL(result.counters.audit.stale_access, 0);
        EXPECT_EQUAL(result.counters.audit.page_exposed, 0);
        EXPECT_EQUAL(result.counters.atc.transaction_translated > 0, i >= 2);
        EXPECT_EQUAL(result.counters.iommu.command_device > 0, i >= 2);
        EXPECT_EQUAL(result.counters.dma.fault, 0);
    }
}

TEST_CASE(machine, a_device_tlb_that_forgets_nothing_is_caught)
{
    EXPECT_EQUAL(
        run_preset("vtd-ats", multi, BLK_iova, flush_find("strict"), "atc.keeps=1", 1000),
        MACHINE_BROKEN);
    EXPECT_HAS(error.text, "invariant");
}

TEST_CASE(machine, every_preset_and_replacement_runs_clean)
{
    static const char *const policy[] = { "strict", "lazy", "passthrough" };
    for (unsigned i = 0; preset_table[i] != NULL; i++)
        for (unsigned run = 0; run < 3 * BLK_API_COUNT; run++)
            EXPECT_EQUAL(run_preset(preset_table[i]->name, multi, (enum blk_api)(run / 3),
                                    flush_find(policy[run % 3]), NULL, 40),
                         MACHINE_RAN);
    for (unsigned i = 0; repl_table[i] != NULL; i++) {
        char set[64];
        snprintf(set, sizeof set, "walkcache.replacement=%s", repl_table[i]->name);
        EXPECT_EQUAL(run_with(multi, BLK_sg, flush_find("lazy"), set, 100), MACHINE_RAN);
    }
}

/* ---- RISC-V
 * ---------------------------------------------------------------------------- */

static const char *const riscv[] = { "riscv-zdl", "riscv-perf" };

static double translate_ns(void)
{
    const struct dma_stats *d = &result.counters.dma;
    return (double)d->translate_ps / 1000.0 / (double)(d->read + d->write);
}

TEST_CASE(machine, riscv_strict_leaves_nothing_reachable_and_tells_page_by_page)
{
    const struct flush_policy *strict = flush_find("strict");
    for (unsigned i = 0; i < 2 * BLK_API_COUNT; i++) {
        const struct kernel_stats *k = &result.counters.kernel;
        EXPECT_EQUAL(
            run_preset(riscv[i % 2], multi, (enum blk_api)(i / 2), strict, NULL, 400),
            MACHINE_RAN);
        EXPECT_EQUAL(result.counters.replay.record, 400);
        EXPECT(value(METRIC_ID_stale_hits) == 0.0);
        EXPECT(value(METRIC_ID_exposure_page_us_per_io) == 0.0);
        EXPECT(result.counters.audit.page_given_back > 12000);
        EXPECT_EQUAL(k->descriptor_page, k->page_unmapped);
        EXPECT_EQUAL(k->descriptor_page, k->descriptor);
        EXPECT_EQUAL(result.counters.iommu.command_wait, k->submission);
        EXPECT_EQUAL(k->warning, 0);
    }
}

TEST_CASE(machine, riscv_lazy_tells_the_whole_space_and_leaves_pages_reachable)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct kernel_stats *k = &result.counters.kernel;
        EXPECT_EQUAL(run_preset(riscv[i], multi, BLK_sg, flush_find("lazy"), NULL, 400),
                     MACHINE_RAN);
        EXPECT(value(METRIC_ID_exposure_page_us_per_io) > 1.0);
        EXPECT_EQUAL(k->descriptor_page, 0);
        EXPECT(k->descriptor_domain > 0);
    }
}

/* One walker without walk caches, one request at a time; and what that costs. */
TEST_CASE(machine, the_riscv_presets_differ_where_their_structure_does)
{
    const struct flush_policy *strict = flush_find("strict");
    EXPECT_EQUAL(run_preset("riscv-zdl", multi, BLK_iova, strict, NULL, 400), MACHINE_RAN);
    const double serial = translate_ns();
    EXPECT(value(METRIC_ID_walk_reads_per_miss) == 3.0);
    EXPECT_EQUAL(result.counters.iommu.translation_joined, 0);
    EXPECT(result.counters.xlate_cycles[XLATE_PART_queue] > 10000000);

    EXPECT_EQUAL(run_preset("riscv-perf", multi, BLK_iova, strict, NULL, 400), MACHINE_RAN);
    EXPECT(translate_ns() < serial / 3.0);
    EXPECT(value(METRIC_ID_walk_reads_per_miss) < 1.01); /* Leaves go, pointers stay. */
    EXPECT_EQUAL(result.counters.iommu.walk_unfilled, 0);
    EXPECT(result.counters.iommu.translation_joined > 0);
    EXPECT_EQUAL(result.counters.xlate_cycles[XLATE_PART_queue], 0);
}

/* ---- What the checks catch
 * ------------------------------------------------------------------------------ */

static unsigned unmaps;

/* The bug: one unmap in a hundred forgets its invalidation. */
static void forgetful_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    (void)state;
    if (++unmaps % 100 != 0)
        domain_flush_range(d, range);
    domain_give_back(d, range);
    domain_release(d, range);
}

static const struct flush_policy forgetful = {
    .name       = "forgetful",
    .summary    = "Strict, but for one in a hundred",
    .source     = "a planted bug",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .unmap      = forgetful_unmap,
};

TEST_CASE(machine, an_unmap_that_skips_its_invalidation_is_caught)
{
    unmaps = 0;
    EXPECT_EQUAL(run_with(single, BLK_streaming, &forgetful, NULL, 1000), MACHINE_BROKEN);
    EXPECT_HAS(error.text, "invariant");
    EXPECT(value(METRIC_ID_exposure_page_us_per_io) > 0.0);
}

static void leaky_init(struct dma_domain *d, void *state, const void *config)
{
    (void)state;
    (void)config;
    kernel_host_alloc(d->kernel, 1, 100);
}

static void leaky_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    (void)state;
    domain_flush_range(d, range);
    domain_give_back(d, range);
    domain_release(d, range);
}

static const struct flush_policy leaky = {
    .name       = "leaky",
    .summary    = "Strict, but keeps memory for ever",
    .source     = "a planted bug",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .init       = leaky_init,
    .unmap      = leaky_unmap,
};

TEST_CASE(machine, software_that_keeps_its_memory_is_caught)
{
    EXPECT_EQUAL(run_with(single, BLK_streaming, &leaky, NULL, 10), MACHINE_BROKEN);
    EXPECT_TEXT(error.text, "host memory that leaky_init took was not given back");
}

/* The referee knows where either architecture keeps the driver's number for a space. */
TEST_CASE(machine, an_unmap_that_skips_its_invalidation_is_caught_on_riscv)
{
    for (unsigned i = 0; i < 2; i++) {
        unmaps = 0;
        EXPECT_EQUAL(run_preset(riscv[i], single, BLK_streaming, &forgetful, NULL, 3000),
                     MACHINE_BROKEN);
        EXPECT_HAS(error.text, "invariant");
    }
}

TEST_CASE(machine, a_configuration_that_cannot_work_is_refused_in_one_line)
{
    EXPECT_EQUAL(run_with(single, BLK_iova, flush_find("strict"), "nvme.queues=1", 10),
                 MACHINE_REFUSED);
    EXPECT_TEXT(error.text,
                "nvme.queues: expected at least 2, one for each CPU (--cpus), got 1");
}

TEST_CASE(machine, an_iommu_that_no_software_drives_is_refused_in_one_line)
{
    struct config config;
    CHECK(config_init(&config, "vtd-server", &error));
    config.iommu.arch = "unheard-of";
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        EXPECT_EQUAL(run_on(&config, single, BLK_streaming, flush_table[i], 10),
                     MACHINE_REFUSED);
        EXPECT_TEXT(
            error.text,
            "iommu.arch: a replay needs a driver, and there is none for unheard-of");
    }
    config_free(&config);
}
