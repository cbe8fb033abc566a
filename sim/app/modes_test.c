/* SPDX-License-Identifier: Apache-2.0 */
/* modes - how a trace is replayed, and on how many drives. */
#include <string.h>

#include "sim/app/machine.h"
#include "sim/app/metric.h"
#include "sim/app/sources.h"
#include "sim/host/direct.h"
#include "sim/test/shim.h"

static struct machine_result result;
static struct error error;
static bool attacked; /* The next runs have hostile devices. */

/* Replays generators under key=value lists that end in NULL. */
static enum machine_outcome run(const char *const *path, const char *const *set,
                                const char *policy)
{
    struct replay_source source[MACHINE_DRIVES_MAX] = { { NULL, NULL } };
    struct config config;
    unsigned sources = 0;
    error.text[0]    = '\0';
    CHECK(config_init(&config, "vtd-server", &error));
    for (; *set != NULL; set++)
        CHECK(config_set(&config, *set, &error));
    for (; path[sources] != NULL; sources++) {
        source[sources].name = path[sources];
        CHECK(sources_open(&source[sources].reader, path[sources], NULL, &config, sources,
                           &error));
    }
    const struct machine_run r = { .api       = BLK_iova,
                                   .policy    = flush_find(policy),
                                   .cpus      = 2,
                                   .limit     = UINT64_MAX,
                                   .run_ahead = true,
                                   .attacker  = attacked,
                                   .source    = source,
                                   .sources   = sources };
    struct direct_host *host   = direct_host_new();
    const enum machine_outcome o =
        machine_run(&config, &r, direct_host_verbs(host), &result, &error);
    direct_host_free(host);
    for (unsigned i = 0; i < sources; i++)
        trace_close(source[i].reader);
    config_free(&config);
    return o;
}

static const char *const one[]   = { "gen:randread", NULL };
static const char *const two[]   = { "gen:randread", "gen:seqwrite", NULL };
static const char *const eight[] = { "gen:randread", "gen:randread", "gen:randread",
                                     "gen:randread", "gen:randread", "gen:randread",
                                     "gen:randread", "gen:window",   NULL };

/* 400 records, one each 5 us: the drive takes 10 us and is never full. */
TEST_CASE(modes, an_open_replay_keeps_recorded_times_and_a_scaled_one_scales_them)
{
    const char *set[] = { "gen.requests=400", "gen.interval_ns=5000", "replay.mode=open",
                          "replay.time_percent=100", NULL };
    REQUIRE(run(one, set, "strict") == MACHINE_RAN);
    EXPECT(result.counters.replay.late < 20); /* Those that an interrupt held up. */
    EXPECT(result.time_ps > 399 * 5 * TIME_US);
    EXPECT(result.time_ps < 399 * 5 * TIME_US + 100 * TIME_US);
    set[3] = "replay.time_percent=200";
    REQUIRE(run(one, set, "strict") == MACHINE_RAN);
    EXPECT(result.time_ps > 399 * 10 * TIME_US);
    EXPECT(result.time_ps < 399 * 10 * TIME_US + 100 * TIME_US);
}

/* Faster than the machine can: latency grows with what waits, and nothing is lost. */
TEST_CASE(modes, an_open_replay_that_is_too_fast_counts_the_wait_as_latency)
{
    const char *slow[] = { "gen.requests=1000", "gen.interval_ns=5000", "replay.mode=open",
                           NULL };
    const char *fast[] = { "gen.requests=1000", "gen.interval_ns=100", "replay.mode=open",
                           NULL };
    REQUIRE(run(one, slow, "strict") == MACHINE_RAN);
    const uint64_t idle = histogram_percentile(&result.io_latency_ns, 50.0);
    REQUIRE(run(one, fast, "strict") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.replay.record, 1000);
    EXPECT(result.counters.replay.late > 900);
    EXPECT(histogram_percentile(&result.io_latency_ns, 50.0) > 10 * idle);
}

TEST_CASE(modes, depth_one_is_slowest_and_at_once_is_fastest)
{
    static const char *const mode[][5] = {
        { "gen.requests=500", "replay.mode=closed", "replay.depth=1", NULL },
        { "gen.requests=500", "replay.mode=closed", "replay.depth=8", NULL },
        { "gen.requests=500", "replay.mode=fast", NULL },
    };
    sim_time_t time[3];
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE(run(one, mode[i], "lazy") == MACHINE_RAN);
        EXPECT_EQUAL(result.counters.replay.record, 500);
        time[i] = result.time_ps;
    }
    EXPECT(time[0] > 2 * time[1]);
    EXPECT(time[1] >= time[2]);
}

/* Every policy's invariants and everything-back are checked by each run. */
TEST_CASE(modes, drives_of_their_own_and_in_one_domain_each_replay_their_trace)
{
    static const char *const policy[] = { "strict", "lazy", "passthrough" };
    const char *set[]                 = { "gen.requests=600", "replay.devices=own", NULL };
    for (unsigned shared = 0; shared < 2; shared++)
        for (unsigned i = 0; i < 3; i++) {
            set[1] = shared ? "replay.devices=shared" : "replay.devices=own";
            REQUIRE(run(two, set, policy[i]) == MACHINE_RAN);
            REQUIRE(result.drives == 2);
            EXPECT_EQUAL(result.counters.replay.record, 1200);
            EXPECT_EQUAL(result.source_records[0], 600);
            EXPECT_EQUAL(result.source_records[1], 600);
            EXPECT_EQUAL(result.drive[0].driver.request_read, 600);
            EXPECT_EQUAL(result.drive[1].driver.request_write, 600);
            EXPECT_EQUAL(result.drive[0].requester + 8, result.drive[1].requester);
            EXPECT_EQUAL(result.drive[0].dma.whole_ps + result.drive[1].dma.whole_ps,
                         result.counters.dma.whole_ps);
            EXPECT_EQUAL(result.io_latency_ns.count, 1200);
        }
}

/* Each drive has a hostile device beside it, which shows its id and aims at its data. */
TEST_CASE(modes, each_of_several_drives_is_attacked)
{
    const char *set[] = { "gen.requests=600", "replay.devices=own", NULL };
    attacked          = true;
    for (unsigned shared = 0; shared < 2; shared++) {
        set[1] = shared ? "replay.devices=shared" : "replay.devices=own";
        REQUIRE(run(two, set, "lazy") == MACHINE_RAN);
        uint64_t stale = 0, access = 0;
        REQUIRE(result.attackers == 2);
        for (unsigned i = 0; i < 2; i++) {
            const struct machine_attacker *a = &result.attack[i];
            EXPECT_TEXT(a->victim, i == 0 ? "nvme0" : "nvme1");
            EXPECT_TEXT(a->host, "");
            EXPECT_EQUAL(a->requester, result.drive[i].requester);
            EXPECT(a->stats.page_learnt > 300);
            EXPECT(a->reached[AUDIT_REACH_reusable] > 0);
            stale += a->reached[AUDIT_REACH_reusable];
            access += a->stats.access;
        }
        EXPECT_EQUAL(stale, result.counters.audit.stale_access);
        EXPECT_EQUAL(access, result.counters.attacker.access);
        REQUIRE(run(two, set, "strict") == MACHINE_RAN);
        EXPECT_EQUAL(result.counters.audit.stale_access, 0);
        EXPECT(result.attack[1].stats.access_refused > 0);
    }
    attacked = false;
}

/* As many as there may be, and a device for bare accesses. */
TEST_CASE(modes, eight_drives_are_attacked_at_once)
{
    static const char *const set[] = { "gen.requests=60", "replay.devices=own", NULL };
    attacked                       = true;
    REQUIRE(run(eight, set, "strict") == MACHINE_RAN);
    attacked = false;
    EXPECT_EQUAL(result.attackers, MACHINE_DRIVES_MAX);
    for (unsigned i = 0; i < MACHINE_DRIVES_MAX - 1; i++)
        EXPECT(result.attack[i].stats.page_learnt > 0 && result.attack[i].stats.access > 0);
    EXPECT_EQUAL(result.attack[MACHINE_DRIVES_MAX - 1].stats.access, 0);
}

/* Entries that a flush drops beside those of what was unmapped. */
static double collateral(void)
{
    double metric[METRIC_COUNT];
    metric_values(&result, metric);
    return metric[METRIC_ID_collateral_entries];
}

/* A domain's flush is of all its devices, and of no other's: as many flushes drop more when
 * the drives share one. */
TEST_CASE(modes, lazy_flushes_of_one_domain_leave_the_other_drive_alone)
{
    const char *set[] = { "gen.requests=3000", "replay.devices=own", NULL };
    REQUIRE(run(two, set, "lazy") == MACHINE_RAN);
    const uint64_t flushes = result.counters.kernel.descriptor_domain;
    const double own       = collateral();
    set[1]                 = "replay.devices=shared";
    REQUIRE(run(two, set, "lazy") == MACHINE_RAN);
    EXPECT_EQUAL(flushes, result.counters.kernel.descriptor_domain);
    EXPECT(flushes > 0 && own > 0.0);
    EXPECT(own * 1.5 < collateral());
    EXPECT(result.counters.kernel.deferred == 6000);
}

TEST_CASE(modes, traces_on_one_drive_follow_each_other)
{
    static const char *const set[] = { "gen.requests=10", "replay.devices=one", NULL };
    REQUIRE(run(two, set, "strict") == MACHINE_RAN);
    EXPECT_EQUAL(result.drives, 1);
    EXPECT_EQUAL(result.source_records[1], 10);
}

/* What Linux 7.3 did with these very requests: traces/samples/README.md says where. */
TEST_CASE(modes, folios_of_one_page_give_the_mappings_of_the_recorded_kernel)
{
    static const char *const sample[] = { TEST_SOURCE_DIR
                                          "/traces/samples/nvme-randrw-mixed.iovatrace",
                                          NULL };
    static const char *const set[]    = { "placement.folio_kib=4", NULL };
    REQUIRE(run(sample, set, "strict") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.kernel.map_single, 996);
    EXPECT_EQUAL(result.counters.kernel.map_iova, 1004);
    EXPECT_EQUAL(result.counters.kernel.link, 6955);
    EXPECT_EQUAL(result.counters.kernel.descriptor_page, 2000);
    REQUIRE(run(sample, set, "lazy") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.kernel.descriptor_page, 1004);
}

/* As the block layer computes it from what the driver offers: 128 KiB and 33 segments
 * behind an IOMMU, the drive's own limit beside one. */
TEST_CASE(modes, requests_over_the_limits_are_split_as_linux_splits_them)
{
    static const char *const seq[] = { "gen:seqread", NULL };
    const char *set[]              = { "gen.requests=20",           "gen.block_kib=1024",
                                       "placement.model=heap",      "linux.release=7.3",
                                       "nvme.transfer_pages_lg2=8", NULL };
    REQUIRE(run(seq, set, "strict") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.request, 20 * 8);
    EXPECT_EQUAL(result.counters.replay.split, 20);
    REQUIRE(run(seq, set, "passthrough") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.request, 20);
    EXPECT_EQUAL(result.counters.replay.split, 0);
    set[2] = "placement.model=unaligned"; /* 257 segments: one more than fit. */
    REQUIRE(run(seq, set, "passthrough") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.request, 40);
    REQUIRE(run(seq, set, "strict") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.driver.request, 20 * 8);
}
