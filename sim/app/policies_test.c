/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every flush policy of the family, whichever there are: whole machines under a random
 * workload and a hostile device. What a policy promises holds; a fault that is planted in
 * it is caught.
 */
#include <string.h>

#include "sim/app/machine.h"
#include "sim/app/metric.h"
#include "sim/base/rng.h"
#include "sim/host/direct.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

/* ---- The workload -------------------------------------------------------------------- */

enum { RECORDS = 160, WORKLOAD_CPUS = 16, PAGES = 512, SEGMENTS_MAX = 8 };

/* Buffers of one page up to 128 KiB, whole or in scattered pieces, some of them parts of
 * pages, of which many come again. */
static unsigned random_segments(struct rng *rng, struct trace_segment *s, bool *partial)
{
    const unsigned n =
        rng_below(rng, 2) == 0 ? 1 : 1 + (unsigned)rng_below(rng, SEGMENTS_MAX);
    *partial = n == 1 && rng_below(rng, 4) == 0;
    for (unsigned i = 0; i < n; i++) {
        s[i].pa    = UINT64_C(0x10000000) + 4096 * rng_below(rng, PAGES);
        s[i].bytes = 4096;
    }
    if (*partial) {
        s[0].pa += 512 * rng_below(rng, 7);
        s[0].bytes = 512;
    }
    return n;
}

static void write_workload(const char *path, uint64_t seed)
{
    struct rng rng = rng_make(seed, "policies");
    struct error error;
    struct trace_writer *writer;
    REQUIRE(trace_create(&writer, path, NULL, &error));
    for (unsigned i = 0; i < RECORDS; i++) {
        struct trace_segment segment[SEGMENTS_MAX];
        bool partial;
        const unsigned segments     = random_segments(&rng, segment, &partial);
        const struct trace_record r = {
            .time_ns       = i,
            .latency_ns    = TRACE_LATENCY_UNKNOWN,
            .lba           = 8 * rng_below(&rng, 100000),
            .bytes         = partial ? 512 : 4096 * segments,
            .cpu           = i % WORKLOAD_CPUS,
            .depth         = 1 + (uint32_t)rng_below(&rng, 8),
            .op            = rng_below(&rng, 3) == 0 ? TRACE_WRITE : TRACE_READ,
            .segment_count = segments,
            .segment       = segment,
        };
        REQUIRE(trace_put(writer, &r, &error));
    }
    REQUIRE(trace_finish(writer, &error));
}

static const char *workload(void)
{
    static struct fixture_folder folder;
    static char path[640];
    if (path[0] == '\0') {
        folder = fixture_folder_make();
        strcpy(path, fixture_folder_file(&folder, "random.iovatrace"));
        write_workload(path, 1);
    }
    return path;
}

/* ---- Runs ---------------------------------------------------------------------------- */

static struct machine_result result;
static struct error error;

/* What is done to a run. */
struct how {
    unsigned cpus;
    enum blk_api api;
    bool attacker;
    uint64_t plant_reuse, plant_deaf;
    const char *set[8]; /* Until NULL. */
};

/* Policies that wait for long, or for much, do so less, so that short runs see their end.
 */
static const char *const sooner[] = { "lazy.timeout_us=300",
                                      "lazy-sq.timeout_us=300",
                                      "lazy-selective.timeout_us=300",
                                      "quarantine.timeout_us=300",
                                      "oneshot.timeout_us=300",
                                      "per-device.timeout_us=300",
                                      "optimistic.timeout_us=300",
                                      "premapped.capacity_mib=1",
                                      "count.unmaps=20",
                                      "bytes.kib=512",
                                      "adaptive.busy_unmaps=3",
                                      "fns.pending_max=16",
                                      "riommu.ring_pages=8",
                                      "extension.ring_entries=64",
                                      NULL };

static void set_all(struct config *config, const char *const *set)
{
    for (; *set != NULL; set++)
        if (!config_set(config, *set, &error))
            shim_true(false, error.text, __FILE__, __LINE__);
}

static enum machine_outcome run(const struct flush_policy *policy, const struct how *how)
{
    struct config config;
    struct replay_source source = { workload(), NULL };
    CHECK(config_init(&config, "vtd-server", &error));
    set_all(&config, sooner);
    set_all(&config, how->set);
    CHECK(trace_open(&source.reader, workload(), &error));
    const struct machine_run what = { .api         = how->api,
                                      .policy      = policy,
                                      .cpus        = how->cpus,
                                      .limit       = UINT64_MAX,
                                      .run_ahead   = true,
                                      .attacker    = how->attacker,
                                      .plant_reuse = how->plant_reuse,
                                      .plant_deaf  = how->plant_deaf,
                                      .source      = &source,
                                      .sources     = 1 };
    struct direct_host *host      = direct_host_new();
    error.text[0]                 = '\0';
    const enum machine_outcome outcome =
        machine_run(&config, &what, direct_host_verbs(host), &result, &error);
    direct_host_free(host);
    trace_close(source.reader);
    config_free(&config);
    return outcome;
}

static void complain(const struct flush_policy *policy, const char *what)
{
    char text[400];
    snprintf(text, sizeof text, "%s: %s (%.200s)", policy->name, what, error.text);
    shim_true(false, text, __FILE__, __LINE__);
}

static uint64_t stale_accesses(void)
{
    return result.counters.audit.stale_access;
}

/* ---- Promises ------------------------------------------------------------------------ */

static void check_promise(const struct flush_policy *policy, unsigned cpus,
                          enum blk_api api)
{
    const struct how how = {
        .cpus = cpus, .api = api, .attacker = true, .set = { "attacker.per_us=5" }
    };
    if (run(policy, &how) != MACHINE_RAN) {
        complain(policy, "its promise, or an invariant, does not hold");
        return;
    }
    EXPECT_EQUAL(result.counters.replay.record, RECORDS);
    EXPECT(result.counters.attacker.access > 100);
    if (result.promise == PROMISE_NOTHING_STALE || result.promise == PROMISE_POOL_ONLY)
        if (stale_accesses() != 0 || result.exposed_pages_most != 0)
            complain(policy, "something was stale");
}

/* The machine's own checks hold bounds and invariants (iommu_model/audit.h). */
TEST_CASE(policies, each_keeps_its_promise_to_a_hostile_device)
{
    static const unsigned cpus[] = { 1, 4, 16 };
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        for (unsigned c = 0; c < 3; c++)
            check_promise(flush_table[i], cpus[c], c == 1 ? BLK_sg : BLK_iova);
}

/* What is deferred is reached: the attack would notice a promise that is broken. */
TEST_CASE(policies, the_hostile_device_gets_through_where_something_is_deferred)
{
    static const char *const deferring[] = { "lazy", "count", "window", "bytes", "never" };
    for (unsigned i = 0; i < sizeof deferring / sizeof deferring[0]; i++) {
        const struct how how = { .cpus     = 4,
                                 .api      = BLK_streaming,
                                 .attacker = true,
                                 .set      = { "attacker.per_us=5" } };
        EXPECT_EQUAL(run(flush_find(deferring[i]), &how), MACHINE_RAN);
        EXPECT(stale_accesses() > 0);
    }
}

/* ---- The negative control ------------------------------------------------------------ */

/* Few addresses, and a cache that keeps them all: they come again while they are stale. */
TEST_CASE(policies, the_negative_control_breaks_an_invariant_and_is_caught)
{
    const struct how how = { .cpus = 4,
                             .api  = BLK_streaming,
                             .set  = { "linux.bus_limit_mib=1", "iotlb.sets=1024" } };
    unsigned negative    = 0;
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        if (!flush_table[i]->negative)
            continue;
        negative++;
        EXPECT_EQUAL(run(flush_table[i], &how), MACHINE_RAN);
        EXPECT(result.counters.audit.broken_reuse > 0);
        EXPECT(result.broken.text[0] != '\0');
    }
    EXPECT_EQUAL(negative, 1);
}

/* The same machine under the others: addresses are scarce, and nothing breaks. One that
 * needs more of them than there are refuses to begin. */
TEST_CASE(policies, scarce_addresses_break_nothing)
{
    const struct how how = { .cpus = 4,
                             .api  = BLK_streaming,
                             .set  = { "linux.bus_limit_mib=16", "iotlb.sets=1024" } };
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        if (!flush_table[i]->negative && flush_table[i]->translates) {
            const enum machine_outcome outcome = run(flush_table[i], &how);
            if (outcome != MACHINE_RAN && outcome != MACHINE_REFUSED)
                complain(flush_table[i], "does not survive scarce addresses");
        }
}

/* ---- Planted faults ------------------------------------------------------------------ */

/* Whether a fault at this place is told from a run without. Some are not: the cache did not
 * hold what was to go, or a later flush came before anybody could use it. */
static bool caught_at(const struct flush_policy *policy, const struct how *how,
                      uint64_t *plant, uint64_t at)
{
    *plant = at;
    return run(policy, how) == MACHINE_BROKEN;
}

enum { PLANTS_MOST = 40 };

/* One of many places; first with four CPUs, then with one that does one thing at a time. */
static bool caught(const struct flush_policy *policy, struct how *how, uint64_t *plant)
{
    for (uint64_t at = 1; at < 200; at += 1 + at / 2)
        if (caught_at(policy, how, plant, at))
            return true;
    struct how slow = *how;
    slow.cpus       = 1;
    slow.set[3]     = "replay.depth=1";
    uint64_t *moved = plant == &how->plant_deaf ? &slow.plant_deaf : &slow.plant_reuse;
    for (uint64_t at = 1; at <= PLANTS_MOST; at++)
        if (caught_at(policy, &slow, moved, at))
            return true;
    return false;
}

static bool drops_something(const struct flush_policy *policy, const struct how *how)
{
    EXPECT_EQUAL(run(policy, how), MACHINE_RAN);
    return result.counters.iotlb.entry_invalidated > 0;
}

TEST_CASE(policies, a_skipped_invalidation_is_caught)
{
    struct how how   = { .cpus     = 4,
                         .api      = BLK_streaming,
                         .attacker = true,
                         .set      = { "attacker.per_us=5", "iotlb.sets=1024",
                                       "attacker.addresses=100000" } };
    unsigned planted = 0;
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        const struct flush_policy *policy = flush_table[i];
        how.plant_deaf                    = 0;
        if (policy->negative || !drops_something(policy, &how))
            continue; /* It never invalidates: there is nothing to skip. */
        planted++;
        if (!caught(policy, &how, &how.plant_deaf))
            complain(policy, "a skipped invalidation went unnoticed");
    }
    EXPECT(planted >= 22);
}

TEST_CASE(policies, an_address_that_is_used_again_too_early_is_caught)
{
    struct how how   = { .cpus = 4, .api = BLK_streaming, .set = { "iotlb.sets=1024" } };
    unsigned planted = 0;
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        const struct flush_policy *policy = flush_table[i];
        how.plant_reuse                   = 0;
        if (policy->negative || !drops_something(policy, &how))
            continue; /* It never gives an address back. */
        planted++;
        if (!caught(policy, &how, &how.plant_reuse))
            complain(policy, "an early reuse went unnoticed");
    }
    EXPECT(planted >= 22);
}

/* Hardware's lifetimes are what such a policy promises, however long they are. */
TEST_CASE(policies, what_hardware_ends_is_promised_for_as_long_as_hardware_says)
{
    static const char *const lifetime[] = { "extension.lifetime_ns=100",
                                            "extension.lifetime_ns=1000000",
                                            "extension.lifetime_ns=4000000000" };
    bool any                            = false;
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        const struct flush_policy *policy = flush_table[i];
        if (!(policy->needs & EXT_CAP_LIFETIME))
            continue;
        any = true;
        for (unsigned l = 0; l < sizeof lifetime / sizeof lifetime[0]; l++) {
            const struct how how = {
                .cpus = 2, .api = BLK_streaming, .attacker = true, .set = { lifetime[l] }
            };
            if (run(policy, &how) != MACHINE_RAN)
                complain(policy, lifetime[l]);
        }
    }
    EXPECT(any);
}
