/* SPDX-License-Identifier: Apache-2.0 */
/* Whole machines: what must come out of them, and what the checks catch. */
#include "sim/app/machine.h"

#include <stdlib.h>
#include <string.h>

#include "sim/app/metric.h"
#include "sim/app/preset.h"
#include "sim/host/direct.h"
#include "sim/test/forgetful.h"
#include "sim/test/shim.h"

#define SAMPLES TEST_SOURCE_DIR "/traces/samples/"
static const char single[] = SAMPLES "nvme-randread-4k.iovatrace";
static const char multi[]  = SAMPLES "nvme-seqread-128k.iovatrace";

static struct machine_result result;
static double metric[METRIC_COUNT];
static struct error error;

/* Of linux.dma_debug, as they come. */
static unsigned findings;
static char newest_finding[512];

static void note_finding(void *self, const char *text)
{
    (void)self;
    findings++;
    snprintf(newest_finding, sizeof newest_finding, "%s", text);
}
static bool attacked;     /* The next runs have a hostile device, */
static unsigned cpus = 2; /* and so many CPUs. */

static enum machine_outcome run_on(const struct config *config, const char *path,
                                   enum blk_api api, const struct flush_policy *policy,
                                   uint64_t limit)
{
    struct replay_source source = { path, NULL };
    CHECK(trace_open(&source.reader, path, &error));
    const struct machine_run run = { .api       = api,
                                     .policy    = policy,
                                     .cpus      = cpus,
                                     .attacker  = attacked,
                                     .limit     = limit,
                                     .run_ahead = true,
                                     .source    = &source,
                                     .sources   = 1,
                                     .finding   = note_finding };
    struct direct_host *host     = direct_host_new();
    findings                     = 0;
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

/* Who holds a page balances, or a CHECK ends the run; the promise holds, or the referee
 * does. */
TEST_CASE(machine, every_policy_runs_with_a_device_tlb_or_is_refused)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        const struct flush_policy *policy = flush_table[i];
        const enum machine_outcome ending =
            run_preset("vtd-ats", multi, BLK_streaming, policy, NULL, 200);
        EXPECT_EQUAL(ending, policy->needs != 0 ? MACHINE_REFUSED : MACHINE_RAN);
        if (policy->needs != 0)
            EXPECT_HAS(error.text, "atc.enabled=0");
        else if (ending != MACHINE_RAN)
            printf("%s: %s\n", policy->name, error.text);
    }
    EXPECT_EQUAL(run_preset("vtd-ats", multi, BLK_streaming, flush_find("lazy"), NULL, 400),
                 MACHINE_RAN);
    EXPECT(result.counters.audit.page_exposed > 0);
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

TEST_CASE(machine, an_unmap_that_skips_its_invalidation_is_caught)
{
    EXPECT_EQUAL(run_with(single, BLK_streaming, forgetful_policy(100), NULL, 1000),
                 MACHINE_BROKEN);
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

/* ---- The checker of the driver
 * ------------------------------------------------------------------------------ */

static struct machine_result unchecked;

TEST_CASE(machine, the_checker_of_the_driver_changes_no_figure_and_finds_nothing)
{
    static const char *const trace[] = {
        SAMPLES "nvme-randread-4k.iovatrace",
        SAMPLES "nvme-randrw-mixed.iovatrace",
        SAMPLES "nvme-seqread-128k.iovatrace",
        SAMPLES "nvme-unaligned-4608.iovatrace",
    };
    for (unsigned i = 0; i < 36; i++) {
        const char *const preset = preset_table[i % 3]->name, *const path = trace[i % 4];
        const enum blk_api api            = (enum blk_api)(i / 3 % 3);
        const struct flush_policy *policy = flush_find(i % 2 == 0 ? "strict" : "lazy");
        EXPECT_EQUAL(run_preset(preset, path, api, policy, NULL, 120), MACHINE_RAN);
        unchecked = result;
        EXPECT_EQUAL(run_preset(preset, path, api, policy, "linux.dma_debug=1", 120),
                     MACHINE_RAN);
        EXPECT_EQUAL(findings, 0);
        EXPECT(memcmp(&unchecked, &result, sizeof result) == 0);
    }
    EXPECT_EQUAL(
        run_with(multi, BLK_sg, flush_find("passthrough"), "linux.dma_debug=1", 50),
        MACHINE_RAN);
    EXPECT_EQUAL(findings, 0);
}

/* The bug: it gives ranges back that it never had. */
static void careless_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    struct dma_iova_state never = { .addr = range->iova + 4096, .__size = 4096 };
    leaky_unmap(d, state, range);
    dma_iova_free(d->device[0], &never);
}

static const struct flush_policy careless = {
    .name       = "careless",
    .summary    = "Strict, and frees what it does not have",
    .source     = "a planted bug",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .unmap      = careless_unmap,
};

TEST_CASE(machine, what_the_checker_finds_is_told_and_counted)
{
    EXPECT_EQUAL(run_with(single, BLK_streaming, &careless, "linux.dma_debug=1", 10),
                 MACHINE_RAN);
    EXPECT(findings >= 10);
    EXPECT_EQUAL(result.findings, findings);
    EXPECT_HAS(newest_finding, "sim/app/machine_test.c:");
    EXPECT_HAS(newest_finding, ": dma_debug: nvme0: frees 0x");
}

/* The referee knows where either architecture keeps the driver's number for a space. */
TEST_CASE(machine, an_unmap_that_skips_its_invalidation_is_caught_on_riscv)
{
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQUAL(
            run_preset(riscv[i], single, BLK_streaming, forgetful_policy(100), NULL, 3000),
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

/* ---- A hostile device ------------------------------------------------------------------
 */

static const char mixed[]   = SAMPLES "nvme-randrw-mixed.iovatrace";
static const char partial[] = SAMPLES "nvme-unaligned-4608.iovatrace";

static enum machine_outcome attack(const char *preset, const char *path, enum blk_api api,
                                   const struct flush_policy *policy, unsigned on_cpus,
                                   const char *set, uint64_t limit)
{
    attacked                          = true;
    cpus                              = on_cpus;
    const enum machine_outcome ending = run_preset(preset, path, api, policy, set, limit);
    attacked                          = false;
    cpus                              = 2;
    return ending;
}

static void expect_nothing_reached(void)
{
    const struct audit_stats *a = &result.counters.audit;
    EXPECT(result.counters.attacker.access > 20);
    EXPECT_EQUAL(a->stale_access, 0);
    EXPECT_EQUAL(a->hostile_access_held + a->hostile_access_reusable
                     + a->hostile_access_renewed + a->hostile_access_pool,
                 0);
    EXPECT_EQUAL(a->exposed_page_ps, 0);
    EXPECT_EQUAL(result.attack_ns.count, 0);
}

TEST_CASE(machine, under_strict_a_hostile_device_reaches_nothing_that_was_given_back)
{
    static const char *const preset[]   = { "vtd-server", "riscv-perf", "riscv-zdl" };
    static const char *const strategy[] = { "attacker.strategy=newest",
                                            "attacker.strategy=oldest",
                                            "attacker.strategy=sweep" };
    static const unsigned on[]          = { 1, 4, 16 };
    for (unsigned i = 0; i < 3; i++)
        for (unsigned c = 0; c < 3; c++) {
            EXPECT_EQUAL(attack(preset[i], mixed, (enum blk_api)((i + c) % BLK_API_COUNT),
                                flush_find("strict"), on[c], strategy[(i + 2 * c) % 3],
                                150),
                         MACHINE_RAN);
            expect_nothing_reached();
        }
}

static void expect_found_out(const char *leak)
{
    const struct audit_stats *a = &result.counters.audit;
    EXPECT_TEXT(result.leak, leak);
    EXPECT_HAS(result.broken.text, "invariant 1: device 0028 reached");
    EXPECT(a->broken_access > 0);
    EXPECT_EQUAL(a->broken_access, a->stale_access);
    EXPECT_EQUAL(result.attack_ns.count, a->stale_access);
}

/* The RTL's fence does not wait for earlier DMA, and is taken for done when it arrives:
 * what a hostile device has under way at the unmap goes through. That is its finding, and
 * no fault of the simulator. */
TEST_CASE(machine, hardware_whose_invalidations_leak_is_found_out_under_attack)
{
    EXPECT_EQUAL(
        attack("riscv-zdl", mixed, BLK_iova, flush_find("strict"), 2, NULL, UINT64_MAX),
        MACHINE_RAN);
    expect_found_out("riscv.fence_drains=0, invq.early_head=1");
    EXPECT_EQUAL(attack("riscv-zdl", mixed, BLK_iova, flush_find("strict"), 2,
                        "riscv.fence_drains=1", UINT64_MAX),
                 MACHINE_RAN);
    expect_found_out("invq.early_head=1");
    EXPECT_EQUAL(
        attack("riscv-perf", mixed, BLK_iova, flush_find("strict"), 2, NULL, UINT64_MAX),
        MACHINE_RAN);
    expect_nothing_reached();
    EXPECT_TEXT(result.leak, "");
}

/* Without all that it is as tight as others. */
TEST_CASE(machine, the_same_hardware_without_its_leaks_lets_nothing_through)
{
    struct config config;
    EXPECT(config_init(&config, "riscv-zdl", &error));
    EXPECT(config_set(&config, "riscv.fence_drains=1", &error));
    EXPECT(config_set(&config, "invq.early_head=0", &error));
    EXPECT(config_set(&config, "attacker.per_us=10", &error));
    attacked = true;
    EXPECT_EQUAL(run_on(&config, mixed, BLK_iova, flush_find("strict"), UINT64_MAX),
                 MACHINE_RAN);
    attacked = false;
    expect_nothing_reached();
    EXPECT_TEXT(result.leak, "");
    config_free(&config);
}

/* A leak of the hardware is no excuse for a driver that nobody attacks. */
TEST_CASE(machine, without_an_attacker_the_same_hardware_is_held_to_every_promise)
{
    const struct flush_policy *forgets = forgetful_policy(10);
    EXPECT_EQUAL(run_preset("riscv-zdl", mixed, BLK_streaming, forgets, NULL, UINT64_MAX),
                 MACHINE_BROKEN);
    EXPECT_HAS(error.text, "invariant");
    EXPECT_TEXT(result.broken.text, "");
}

/* Whatever a policy promises, it keeps; so will those that are added. */
TEST_CASE(machine, every_policy_keeps_its_promise_under_attack)
{
    static const char *const preset[] = { "vtd-server", "riscv-perf" };
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        for (unsigned p = 0; p < 2; p++) {
            const enum machine_outcome ending =
                attack(preset[p], mixed, BLK_iova, flush_table[i], 4,
                       "attacker.strategy=newest", 120);
            if (ending == MACHINE_REFUSED)
                continue; /* It needs hardware that this one has not got. */
            EXPECT_EQUAL(ending, MACHINE_RAN);
            if (ending != MACHINE_RAN)
                printf("%s on %s: %s\n", flush_table[i]->name, preset[p], error.text);
            if (result.promise == PROMISE_NOTHING_STALE)
                expect_nothing_reached();
            if (result.promise == PROMISE_POOL_ONLY)
                EXPECT_EQUAL(result.counters.audit.stale_access, 0);
        }
}

TEST_CASE(machine, under_lazy_a_hostile_device_reaches_what_was_given_back)
{
    const struct audit_stats *a = &result.counters.audit;
    EXPECT_EQUAL(attack("vtd-server", mixed, BLK_streaming, flush_find("lazy"), 2,
                        "attacker.strategy=newest", 400),
                 MACHINE_RAN);
    EXPECT(a->hostile_access_reusable > 20);
    EXPECT_EQUAL(a->hostile_access_reusable, a->stale_access);
    EXPECT_EQUAL(result.attack_ns.count, a->stale_access);
    EXPECT(value(METRIC_ID_attack_us_max) > 0.0);
    EXPECT_EQUAL(result.counters.dma.fault, 0); /* The victim does not notice. */
    EXPECT(value(METRIC_ID_exposure_reuse_page_us_per_io)
           == value(METRIC_ID_exposure_page_us_per_io));
}

/* Pages of which a part is lent: even strict lets the device at the rest, while mapped. */
TEST_CASE(machine, a_hostile_device_reaches_other_bytes_of_a_page_lent_in_part)
{
    EXPECT_EQUAL(attack("vtd-server", partial, BLK_iova, flush_find("strict"), 2,
                        "attacker.strategy=newest", 400),
                 MACHINE_RAN);
    expect_nothing_reached();
    EXPECT(result.counters.audit.hostile_access_other > 0);
    EXPECT(value(METRIC_ID_partial_page_us_per_io) > 0.0);
    EXPECT_EQUAL(attack("vtd-server", multi, BLK_iova, flush_find("strict"), 2, NULL, 50),
                 MACHINE_RAN);
    EXPECT_EQUAL(result.counters.audit.hostile_access_other, 0);
}

TEST_CASE(machine, without_translation_a_hostile_device_reaches_everything)
{
    EXPECT_EQUAL(
        attack("vtd-server", mixed, BLK_iova, flush_find("passthrough"), 2, NULL, 200),
        MACHINE_RAN);
    const struct audit_stats *a = &result.counters.audit;
    EXPECT(a->hostile_access > 0);
    EXPECT_EQUAL(a->hostile_access_untranslated, a->hostile_access);
    EXPECT_EQUAL(result.counters.attacker.access_refused, 0);
}

TEST_CASE(machine, a_hostile_device_makes_a_skipped_invalidation_show_at_once)
{
    static const char *const preset[] = { "vtd-server", "riscv-perf" };
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_EQUAL(attack(preset[i], mixed, BLK_streaming, forgetful_policy(100), 2,
                            "attacker.strategy=newest", 300),
                     MACHINE_BROKEN);
        EXPECT_HAS(error.text, "invariant");
        EXPECT(result.counters.audit.broken_access + result.counters.audit.broken_reuse
               > 0);
    }
}

/* The bug: addresses go back before the invalidation, which the next unmap does. */
static struct flush_range last_range;

static void hasty_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    (void)state;
    if (last_range.bytes != 0)
        domain_flush_range(d, &last_range);
    last_range        = *range;
    last_range.tables = (struct table_list){ NULL, NULL };
    domain_give_back(d, range);
    domain_release(d, range);
}

static void hasty_exit(struct dma_domain *d, void *state)
{
    (void)state;
    domain_flush_all(d);
    last_range.bytes = 0;
}

static const struct flush_policy hasty = {
    .name       = "hasty",
    .summary    = "Releases before it flushes",
    .source     = "a planted bug",
    .promise    = PROMISE_BOUNDED_COUNT,
    .translates = true,
    .unmap      = hasty_unmap,
    .exit       = hasty_exit,
};

TEST_CASE(machine, an_address_released_before_its_flush_is_caught)
{
    EXPECT_EQUAL(run_with(single, BLK_streaming, &hasty, NULL, 300), MACHINE_BROKEN);
    EXPECT_HAS(error.text, "invariant 2");
    EXPECT(value(METRIC_ID_promise_broken) > 0.0);
    struct flush_policy control = hasty;
    control.negative            = true; /* It has to break, and the run goes on. */
    EXPECT_EQUAL(run_with(single, BLK_streaming, &control, NULL, 300), MACHINE_RAN);
    EXPECT(value(METRIC_ID_promise_broken) > 0.0);
    EXPECT_HAS(result.broken.text, "invariant 2");
}

/* The bug: a flush queue that promises less than it takes. */
static uint64_t hurried(const void *config)
{
    (void)config;
    return TIME_US;
}

static uint64_t few(const void *config)
{
    (void)config;
    return 2;
}

static void timed_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    *r = (struct flush_rules){ .batch        = BATCH_cpu,
                               .grain        = GRAIN_domain,
                               .ring_entries = 64,
                               .timeout_ps   = 10000 * TIME_US };
}

static void counted_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    *r = (struct flush_rules){
        .batch = BATCH_cpu, .grain = GRAIN_domain, .ring_entries = 64, .every = 32
    };
}

TEST_CASE(machine, a_promise_that_is_too_tight_is_caught)
{
    struct flush_policy tight = { .name       = "tight",
                                  .summary    = "Promises less than it takes",
                                  .source     = "a planted bug",
                                  .promise    = PROMISE_BOUNDED_TIME,
                                  .translates = true,
                                  .rules      = timed_rules };
    EXPECT_EQUAL(attack("vtd-server", mixed, BLK_streaming, &tight, 2, NULL, 300),
                 MACHINE_RAN);
    tight.bound = hurried;
    EXPECT_EQUAL(
        attack("vtd-server", mixed, BLK_streaming, &tight, 2, "audit.grace_us=1", 300),
        MACHINE_BROKEN);
    EXPECT_HAS(error.text, "invariant 1");
    tight.promise = PROMISE_BOUNDED_COUNT;
    tight.rules   = counted_rules;
    tight.bound   = NULL;
    EXPECT_EQUAL(attack("vtd-server", mixed, BLK_streaming, &tight, 2,
                        "attacker.strategy=newest", 300),
                 MACHINE_RAN);
    EXPECT(result.counters.audit.stale_access > 10);
    tight.bound = few;
    EXPECT_EQUAL(attack("vtd-server", mixed, BLK_streaming, &tight, 2,
                        "attacker.strategy=newest", 300),
                 MACHINE_BROKEN);
    EXPECT_HAS(error.text, "invariant 1");
    EXPECT(result.counters.audit.broken_access > 0);
}
