/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts with RDMA NICs: recorded traces, all data compared at its destination. */
#include "sim/app/fabric.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dma_api/flush.h"
#include "sim/app/metric.h"
#include "sim/app/sources.h"
#include "sim/host/direct.h"
#include "sim/test/forgetful.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"
#include "traces/csv.h"

#define SAMPLES TEST_SOURCE_DIR "/traces/samples/"

static struct machine_result result;
static double metric[METRIC_COUNT];
static struct error error;

struct wish {
    const char *preset, *trace, *policy;
    const struct flush_policy *brought; /* In place of policy. */
    const char *set[5];
    enum blk_api api;
    unsigned cpus;
    uint64_t limit;
    bool no_run_ahead, attacker;
    uint64_t plant_deaf;
};

static enum machine_outcome play(const struct wish *w)
{
    char path[512];
    struct config config;
    struct replay_source source = { w->trace, NULL };
    const bool is_path          = generator_is(w->trace) || w->trace[0] == '/';
    snprintf(path, sizeof path, "%s%s", is_path ? "" : SAMPLES, w->trace);
    CHECK(config_init(&config, w->preset != NULL ? w->preset : "vtd-server", &error));
    for (unsigned i = 0; i < 5 && w->set[i] != NULL; i++)
        CHECK(config_set(&config, w->set[i], &error));
    CHECK(config_check(&config, &error));
    CHECK(sources_open(&source.reader, path, NULL, &config, 0, &error));
    const struct machine_run run = {
        .api        = w->api,
        .policy     = w->brought != NULL ? w->brought
                                         : flush_find(w->policy != NULL ? w->policy : "strict"),
        .cpus       = w->cpus != 0 ? w->cpus : 2,
        .limit      = w->limit != 0 ? w->limit : 120,
        .run_ahead  = !w->no_run_ahead,
        .attacker   = w->attacker,
        .plant_deaf = w->plant_deaf,
        .rdma       = true,
        .source     = &source,
        .sources    = 1,
    };
    struct direct_host *host = direct_host_new();
    error                    = (struct error){ "" };
    const enum machine_outcome ending =
        machine_run(&config, &run, direct_host_verbs(host), &result, &error);
    metric_values(&result, metric);
    direct_host_free(host);
    trace_close(source.reader);
    config_free(&config);
    return ending;
}

static const char *const traces[] = { "rdma-write-bw-4k.verbs.txt.gz",
                                      "rdma-rping.verbs.txt.gz",
                                      "nvmeof-read-64k.verbs.txt.gz",
                                      "rdma-perftest.pcap.gz", "handmade.ns3-flow.txt" };
enum { TRACES = sizeof traces / sizeof traces[0] };

static void expect_all_arrived(const struct wish *w)
{
    const struct machine_counters *c = &result.counters;
    EXPECT_EQUAL(play(w), MACHINE_RAN);
    EXPECT_TEXT(error.text, "");
    EXPECT(c->fabric.record > 0);
    EXPECT_EQUAL(c->fabric.record, result.source_records[0]);
    EXPECT_EQUAL(c->fabric.failed, 0);
    EXPECT_EQUAL(c->fabric.mismatched, 0);
    EXPECT_EQUAL(c->fabric.compared + 8 * c->rdma.work_atomic, c->fabric.bytes);
    EXPECT_EQUAL(c->rdma.fault, 0);
    EXPECT_EQUAL(c->dma.fault, 0);
    EXPECT_EQUAL(c->audit.stale_access, 0);
    EXPECT_EQUAL(c->verbs.region, c->verbs.released);
    EXPECT_EQUAL(c->verbs.demand_mapped, c->verbs.demand_dropped);
    EXPECT_EQUAL(c->wire.payload_bytes, c->wire.payload_bytes_taken);
    EXPECT(c->rdma.scattered_bytes >= c->fabric.bytes);
}

TEST_CASE(fabric, every_byte_of_every_sample_arrives_however_memory_is_registered)
{
    static const char *const how[] = { "fabric.registration=pinned",
                                       "fabric.registration=demand",
                                       "fabric.registration=each" };
    for (unsigned t = 0; t < TRACES; t++)
        for (unsigned h = 0; h < 3; h++)
            for (unsigned a = 0; a < BLK_API_COUNT; a++)
                expect_all_arrived(&(struct wish){ .trace = traces[t],
                                                   .api   = (enum blk_api)a,
                                                   .limit = 60,
                                                   .set   = { "fabric.check=1", how[h] } });
}

/* The result of an atomic goes into memory that the write beside it sends; and the last
 * message lies on itself. */
TEST_CASE(fabric, what_overlaps_is_not_taken_for_lost)
{
    struct wish w = { .trace = program_path("overlaps.csv"),
                      .cpus  = 2,
                      .set   = { "fabric.check=1", "fabric.hosts=1", "fabric.depth=2" } };
    FILE *out     = fopen(w.trace, "w");
    REQUIRE(out != NULL);
    fprintf(out, "%s\n", CSV_HEADER);
    for (unsigned i = 0; i < 40; i++)
        fprintf(out, i % 2 == 0
                         ? "0,,rdma_write,0,65536,0,,0,,,,7,1,8,1,0x20000000,,2,0x1000\n"
                         : "0,,rdma_atomic,0,8,0,,0,,,,5,1,6,1,0x10000000,,2,0xf000\n");
    fprintf(out, "0,,rdma_write,0,65536,0,,0,,,,7,1,8,1,0x1800,,2,0x1000\n");
    EXPECT_EQUAL(fclose(out), 0);
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(result.counters.fabric.record, 41);
    EXPECT_EQUAL(result.counters.fabric.compared, 20 * 65536);
    EXPECT(result.counters.fabric.held > 0);
}

/* ---- Receives ahead of their sends -----------------------------------------------------
 */

/* Sizes change from message to message in some of these: a receive that is another's would
 * be too small, or what arrives would lie elsewhere. */
TEST_CASE(fabric, each_send_finds_its_own_receive_however_far_ahead)
{
    static const char *const far[] = { "fabric.receives_ahead=1", "fabric.receives_ahead=2",
                                       "fabric.receives_ahead=7",
                                       "fabric.receives_ahead=512" };
    static const char *const how[] = { "fabric.registration=pinned",
                                       "fabric.registration=demand",
                                       "fabric.registration=each" };
    static const char *const one[] = { "rdma-rping.verbs.txt.gz",
                                       "nvmeof-read-64k.verbs.txt.gz",
                                       "rdma-perftest.pcap.gz", "gen:rdma_send_bw",
                                       "gen:rdma_send_lat" };
    for (unsigned t = 0; t < 5; t++)
        for (unsigned f = 0; f < 4; f++)
            for (unsigned h = 0; h < 3; h++) {
                const unsigned cpus = 1 + (t + f + h) % 3;
                expect_all_arrived(&(struct wish){
                    .trace = one[t],
                    .limit = 100,
                    .cpus  = cpus,
                    .set = { "fabric.check=1", far[f], how[h], "verbs.queue_entries=8" } });
                EXPECT_EQUAL(result.counters.verbs.posted_receive,
                             result.counters.rdma.work_send);
                EXPECT(h == 1 || result.counters.rdma.not_ready == 0); /* But for pages. */
            }
}

/* A NIC that knows the entry before the message comes does not have to read it then. */
TEST_CASE(fabric, a_receive_that_is_there_early_saves_its_reading)
{
    struct wish w = { .trace = "gen:rdma_send_lat",
                      .api   = BLK_iova,
                      .cpus  = 1,
                      .limit = 600,
                      .set   = { "fabric.receives_ahead=1" } };
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    const uint64_t late = histogram_percentile(&result.io_latency_ns, 50);
    w.set[0]            = "fabric.receives_ahead=16";
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    const uint64_t early = histogram_percentile(&result.io_latency_ns, 50);
    EXPECT(early + 500 < late);
    w.set[0] = NULL;
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    const uint64_t all = histogram_percentile(&result.io_latency_ns, 50);
    EXPECT(all <= early + 20);
    EXPECT(early <= all + 20);
}

TEST_CASE(fabric, every_policy_replays_rdma)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        const struct wish w = { .trace  = "nvmeof-read-64k.verbs.txt.gz",
                                .policy = flush_table[i]->name,
                                .api    = BLK_iova,
                                .limit  = 60,
                                .set    = { "fabric.check=1" } };
        EXPECT_EQUAL(play(&w), MACHINE_RAN);
        EXPECT_EQUAL(result.counters.fabric.mismatched, 0);
        EXPECT_EQUAL(result.counters.fabric.record, 60);
    }
}

TEST_CASE(fabric, other_presets_placements_and_numbers_of_hosts)
{
    static const char *const preset[] = { "vtd-ats", "vtd-scalable", "vtd-tiny",
                                          "riscv-perf", "riscv-zdl" };
    static const char *const place[]  = { "fabric.placement=contiguous",
                                          "fabric.placement=huge" };
    static const char *const hosts[]  = { "fabric.hosts=1", "fabric.hosts=3",
                                          "fabric.hosts=8" };
    for (unsigned i = 0; i < 5; i++)
        expect_all_arrived(&(struct wish){ .preset = preset[i],
                                           .trace  = "rdma-rping.verbs.txt.gz",
                                           .set    = { "fabric.check=1" } });
    EXPECT(result.translates);
    for (unsigned i = 0; i < 2; i++)
        expect_all_arrived(&(struct wish){ .trace = "rdma-perftest.pcap.gz",
                                           .set   = { "fabric.check=1", place[i] } });
    expect_all_arrived(&(struct wish){ .preset = "vtd-ats",
                                       .trace  = "gen:rdma_alltoall",
                                       .cpus   = 1,
                                       .limit  = 60,
                                       .set    = { "fabric.check=1", hosts[2] } });
    for (unsigned i = 0; i < 3; i++)
        expect_all_arrived(&(struct wish){ .trace = "handmade.ns3-flow.txt",
                                           .cpus  = 1,
                                           .set   = { "fabric.check=1", hosts[i] } });
}

TEST_CASE(fabric, contiguous_memory_needs_fewer_translation_entries)
{
    const struct wish apart    = { .trace = "rdma-perftest.pcap.gz", .api = BLK_streaming };
    const struct wish together = { .trace = "rdma-perftest.pcap.gz",
                                   .api   = BLK_streaming,
                                   .set   = { "fabric.placement=contiguous" } };
    EXPECT_EQUAL(play(&apart), MACHINE_RAN);
    const uint64_t entries = result.counters.verbs.translation;
    EXPECT_EQUAL(entries, result.counters.verbs.page); /* One for each page. */
    EXPECT_EQUAL(play(&together), MACHINE_RAN);
    EXPECT(result.counters.verbs.translation * 3 < entries);
}

TEST_CASE(fabric, running_ahead_changes_nothing)
{
    static struct machine_counters ahead;
    struct wish w = { .trace = "rdma-rping.verbs.txt.gz",
                      .set   = { "fabric.registration=demand" } };
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    ahead          = result.counters;
    w.no_run_ahead = true;
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    EXPECT(memcmp(&ahead, &result.counters, sizeof ahead) == 0);
}

TEST_CASE(fabric, what_it_cannot_replay_is_refused_in_one_line)
{
    const struct wish block = { .trace = "nvme-randread-4k.iovatrace" };
    EXPECT_EQUAL(play(&block), MACHINE_TRACE);
    EXPECT_HAS(error.text, "record 0: op: expected RDMA work, got read");
    const struct wish crowd = { .trace = traces[0], .cpus = 33 };
    EXPECT_EQUAL(play(&crowd), MACHINE_REFUSED);
    EXPECT_HAS(error.text, "--cpus: expected at most 32 for each of 2 hosts");
    const struct wish late = { .preset = "vtd-ats",
                               .trace  = traces[1],
                               .set = { "invq.device_timeout_us=1", "atc.answer_ns=50000",
                                        "linux.inval_attempts=3" } };
    EXPECT_EQUAL(play(&late), MACHINE_REFUSED); /* Its kernel stops, nobody else did. */
    EXPECT_HAS(error.text, "3 times (linux.inval_attempts)");
    const struct wish few = { .trace = "handmade.ns3-flow.txt", .set = { "rdma.qps=2" } };
    EXPECT(play(&few) != MACHINE_RAN);
    EXPECT_HAS(error.text, "rdma.qps");
    const struct wish queue = { .trace = traces[0], .set = { "rdma.cqs=1" } };
    EXPECT_EQUAL(play(&queue), MACHINE_TRACE);
    EXPECT_HAS(error.text, "rdma.cqs: expected at least 2");
    const char *const keys[] = { "rdma.mpt_lg2=4", "verbs.keys_lg2=4" };
    for (unsigned i = 0; i < 2; i++) {
        const struct wish w = { .trace = "gen:rdma_write_bw",
                                .set   = { keys[i], "fabric.registration=each" } };
        EXPECT_EQUAL(play(&w), MACHINE_TRACE);
        EXPECT_HAS(error.text, "at most 14 at a time on a host (verbs.keys_lg2");
    }
    const struct wish large = { .trace = "gen:rdma_register",
                                .set   = { "gen:rdma_register.region_kib=1048580",
                                           "verbs.region_gib=1" } };
    EXPECT_EQUAL(play(&large), MACHINE_TRACE);
    EXPECT_HAS(error.text, "record 1: region: expected 1 B to 1 GiB (verbs.region_gib)");
}

TEST_CASE(fabric, every_generator_of_rdma_work_arrives)
{
    unsigned found = 0;
    for (unsigned i = 0; gen_table[i] != NULL; i++) {
        char name[64];
        if (strncmp(gen_table[i]->name, "rdma_", 5) != 0)
            continue;
        snprintf(name, sizeof name, "gen:%s", gen_table[i]->name);
        const struct wish w = { .trace = name,
                                .limit = 100,
                                .set   = { "fabric.check=1", "fabric.hosts=4" } };
        expect_all_arrived(&w);
        EXPECT_EQUAL(result.counters.fabric.record, 100);
        found++;
    }
    EXPECT_EQUAL(found, 10);
}

/* The median: half a round trip for a message that is answered, all of it for a read;
 * nothing is under way beside it. */
static double latency_of(const char *trace, const char *latency, const char *size,
                         const char *check)
{
    const struct wish w = {
        .trace = trace, .limit = 2 + 400, .api = BLK_iova, .set = { latency, size, check }
    };
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(result.counters.fabric.message, 400);
    EXPECT_EQUAL(result.counters.rdma.work, 400);
    const double each = (double)result.time_ps / 1000 / 400;
    const double half = metric[METRIC_ID_io_latency_ns_p50];
    EXPECT(each > half * 0.9);
    EXPECT(each < half * 1.35); /* Registration is in it, too. */
    return half;
}

TEST_CASE(fabric, a_latency_test_is_a_message_and_its_answer)
{
    static const struct {
        const char *trace, *size;
        double ways;
    } of[] = {
        { "gen:rdma_write_lat", "gen:rdma_write_lat.bytes=2", 1 },
        { "gen:rdma_write_lat", "gen:rdma_write_lat.bytes=5000", 1 },
        { "gen:rdma_send_lat", "gen:rdma_send_lat.bytes=2", 1 },
        { "gen:rdma_send_lat", "gen:rdma_send_lat.bytes=5000", 1 },
        { "gen:rdma_read_lat", "gen:rdma_read_lat.bytes=2", 2 },
    };
    for (unsigned i = 0; i < sizeof of / sizeof of[0]; i++) {
        const double near =
            latency_of(of[i].trace, "wire.latency_ns=1000", of[i].size, NULL);
        const double check =
            latency_of(of[i].trace, "wire.latency_ns=1000", of[i].size, "fabric.check=1");
        const double far =
            latency_of(of[i].trace, "wire.latency_ns=11000", of[i].size, NULL);
        EXPECT(near > 1000 * of[i].ways);
        EXPECT(far - near > 9300 * of[i].ways);
        EXPECT(far - near < 10700 * of[i].ways); /* Histograms are exact to 1/32. */
        EXPECT(check > near * 0.95);
        EXPECT(check < near * 1.05);
        EXPECT_EQUAL(result.counters.fabric.mismatched, 0);
    }
}

TEST_CASE(fabric, registration_pays_for_pages_or_for_use)
{
    struct wish w = { .trace = "gen:rdma_register",
                      .limit = 1 + 3 * 10,
                      .api   = BLK_sg,
                      .set   = { "gen:rdma_register.region_kib=1024",
                                 "fabric.registration=pinned" } };
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    EXPECT_EQUAL(result.counters.verbs.region, 11);
    EXPECT_EQUAL(result.counters.verbs.page, 11 * 256);
    const double pinned = metric[METRIC_ID_cpu_cycles_per_io];
    w.set[1]            = "fabric.registration=demand";
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    EXPECT_EQUAL(result.counters.verbs.region_demand, 11);
    /* The first page of each round, and one that the peer writes from. */
    EXPECT_EQUAL(result.counters.verbs.demand_mapped, 10 + 1);
    EXPECT(metric[METRIC_ID_cpu_cycles_per_io] < pinned);
}

/* ---- A hostile device beside each NIC --------------------------------------------------
 */

/* Memory is registered and unmapped for each message: much is given back. */
#define ATTACKED                                                                           \
    .trace = "gen:rdma_write_bw", .attacker = true, .limit = 2 + 200,                      \
    .set = { "fabric.registration=each", "fabric.check=1", "attacker.strategy=random",     \
             "attacker.per_us=4", "gen:rdma_write_bw.bytes=4096" }

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
    EXPECT(metric[METRIC_ID_attack_passed_stale] == 0.0);
}

/* The software under attack goes on, and all its data arrives. */
static void expect_unharmed(void)
{
    const struct machine_counters *c = &result.counters;
    EXPECT_TEXT(error.text, "");
    EXPECT(c->fabric.compared > 0);
    EXPECT_EQUAL(c->fabric.mismatched, 0);
    EXPECT_EQUAL(c->fabric.failed, 0);
    EXPECT_EQUAL(c->dma.fault, 0);
}

TEST_CASE(fabric, under_strict_a_hostile_device_reaches_nothing_that_was_given_back)
{
    static const char *const preset[] = { "vtd-server", "riscv-perf", "vtd-ats" };
    static const char *const aims[]   = { "attacker.strategy=newest",
                                          "attacker.strategy=random",
                                          "attacker.strategy=sweep" };
    for (unsigned i = 0; i < 3; i++)
        for (unsigned a = 0; a < BLK_API_COUNT; a++) {
            struct wish w = { ATTACKED };
            w.preset      = preset[i];
            w.api         = (enum blk_api)a;
            w.set[2]      = aims[(i + a) % 3];
            EXPECT_EQUAL(play(&w), MACHINE_RAN);
            expect_unharmed();
            expect_nothing_reached();
            EXPECT(result.counters.attacker.access_refused > 0);
        }
}

TEST_CASE(fabric, under_lazy_a_hostile_device_reaches_what_was_given_back)
{
    const struct audit_stats *a = &result.counters.audit;
    struct wish w               = { ATTACKED };
    w.policy                    = "lazy";
    w.api                       = BLK_streaming;
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    expect_unharmed();
    EXPECT(a->hostile_access_reusable > 20);
    EXPECT_EQUAL(a->hostile_access_reusable, a->stale_access);
    EXPECT_EQUAL(result.attack_ns.count, a->stale_access);
    EXPECT(metric[METRIC_ID_attack_accesses] == (double)result.counters.attacker.access);
    EXPECT(metric[METRIC_ID_attack_passed_stale] == (double)a->stale_access);
    EXPECT(metric[METRIC_ID_attack_us_max] > 0.0);
}

/* What stays registered was never given back: whatever the policy, nothing is stale. */
TEST_CASE(fabric, memory_that_stays_registered_is_not_reached_too_late)
{
    struct wish w = { ATTACKED };
    w.policy      = "lazy";
    w.set[0]      = "fabric.registration=pinned";
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    expect_unharmed();
    EXPECT(result.counters.attacker.access_passed > 20);
    EXPECT(result.counters.audit.stale_access * 4 < result.counters.attacker.access);
}

TEST_CASE(fabric, every_policy_keeps_its_promise_under_attack)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++) {
        struct wish w = { ATTACKED };
        w.policy      = flush_table[i]->name;
        w.api         = BLK_iova;
        w.limit       = 2 + 40;
        EXPECT_EQUAL(play(&w), MACHINE_RAN);
        expect_unharmed();
        if (!result.translates)
            EXPECT_EQUAL(result.counters.attacker.access_refused, 0);
        if (result.promise == PROMISE_NOTHING_STALE)
            expect_nothing_reached();
        if (result.promise == PROMISE_POOL_ONLY)
            EXPECT_EQUAL(result.counters.audit.stale_access, 0);
    }
}

TEST_CASE(fabric, a_hostile_device_makes_a_skipped_invalidation_show)
{
    static const char *const preset[] = { "vtd-server", "riscv-perf" };
    for (unsigned i = 0; i < 2; i++) {
        struct wish w = { ATTACKED };
        w.preset      = preset[i];
        w.set[1]      = "fabric.check=0"; /* Which would find lost data first. */
        w.brought     = forgetful_policy(10);
        w.api         = BLK_streaming;
        EXPECT_EQUAL(play(&w),
                     MACHINE_BROKEN); /* Or work fails, which is noticed before. */
        EXPECT(result.counters.audit.broken_access + result.counters.audit.broken_reuse
               > 0);
    }
}

/* Nobody has to be lucky: an invalidation that the IOTLB does not hear is caught, early or
 * late in the replay. */
TEST_CASE(fabric, an_invalidation_that_is_not_heard_is_caught_under_attack)
{
    for (uint64_t nth = 1; nth <= 40; nth += 13) {
        struct wish w = { ATTACKED };
        w.set[1]      = "fabric.check=0";
        w.plant_deaf  = nth;
        w.api         = BLK_streaming;
        EXPECT_EQUAL(play(&w), MACHINE_BROKEN);
        EXPECT(result.counters.audit.broken_access + result.counters.audit.broken_reuse
               > 0);
        w.set[1] = "fabric.check=1"; /* And data goes astray, too. */
        EXPECT_EQUAL(play(&w), MACHINE_BROKEN);
    }
}

TEST_CASE(fabric, as_many_hosts_as_there_may_be_are_attacked_at_once)
{
    struct wish w = { ATTACKED };
    w.trace       = "gen:rdma_alltoall";
    w.preset      = "vtd-ats";
    w.limit       = 60;
    w.set[4]      = "fabric.hosts=8";
    EXPECT_EQUAL(play(&w), MACHINE_RAN);
    expect_unharmed();
    expect_nothing_reached();
}
