/* SPDX-License-Identifier: Apache-2.0 */
/* bare - bare accesses and mappings through a whole machine. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/app/metric.h"
#include "sim/app/sources.h"
#include "sim/host/direct.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"

static struct machine_result result;
static struct error error;

static enum machine_outcome run(const char *path, const char *const *set, enum blk_api api,
                                const char *policy)
{
    struct replay_source source = { path, NULL };
    struct config config;
    error.text[0] = '\0';
    CHECK(config_init(&config, "vtd-server", &error));
    for (; *set != NULL; set++)
        CHECK(config_set(&config, *set, &error));
    CHECK(sources_open(&source.reader, path, NULL, &config, 0, &error));
    const struct machine_run r = { .api       = api,
                                   .policy    = flush_find(policy),
                                   .cpus      = 2,
                                   .limit     = UINT64_MAX,
                                   .run_ahead = true,
                                   .source    = &source,
                                   .sources   = 1 };
    struct direct_host *host   = direct_host_new();
    const enum machine_outcome o =
        machine_run(&config, &r, direct_host_verbs(host), &result, &error);
    direct_host_free(host);
    trace_close(source.reader);
    config_free(&config);
    return o;
}

static double interval_ns(void)
{
    return (double)result.counters.exerciser.busy_ps * 1e-3
           / (double)result.counters.exerciser.access;
}

static double latency_ns(void)
{
    return (double)result.counters.exerciser.latency_ps * 1e-3
           / (double)result.counters.exerciser.access;
}

/* Beside the walkers: 52 ns is what pcie-bench found, and what the model was fitted to. */
TEST_CASE(bare, a_window_that_fits_hits_and_one_that_does_not_walks)
{
    static const char *const small[] = { "gen.requests=9000", "gen:window.kib=16", NULL };
    static const char *const large[] = { "gen.requests=30000", "gen:window.kib=16384",
                                         NULL };
    REQUIRE(run("gen:window", small, BLK_streaming, "strict") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.exerciser.access, 9000);
    EXPECT_EQUAL(result.counters.exerciser.access_refused, 0);
    EXPECT_EQUAL(result.counters.exerciser.list, 3);
    EXPECT_EQUAL(result.counters.exerciser.bytes, 9000 * 64);
    EXPECT_EQUAL(result.counters.kernel.map_single, 4);
    EXPECT_EQUAL(result.counters.kernel.unmap, 0);
    EXPECT(interval_ns() < 16.0);
    REQUIRE(run("gen:window", large, BLK_streaming, "strict") == MACHINE_RAN);
    EXPECT_EQUAL(result.counters.kernel.map_single, 4096);
    EXPECT(interval_ns() > 45.0);
    EXPECT(interval_ns() < 57.0);
}

TEST_CASE(bare, one_access_at_a_time_waits_for_the_link_and_the_device)
{
    static const char *const alone[] = { "gen.requests=500", "gen:window.kib=4",
                                         "exerciser.inflight=1", NULL };
    static const char *const slow[]  = { "gen.requests=500", "gen:window.kib=4",
                                         "exerciser.inflight=1", "exerciser.device_ns=100",
                                         NULL };
    REQUIRE(run("gen:window", alone, BLK_streaming, "strict") == MACHINE_RAN);
    const double latency = latency_ns(), interval = interval_ns();
    EXPECT(latency > 380.0);
    EXPECT(latency < 430.0);
    EXPECT(interval - latency < 5.0);
    REQUIRE(run("gen:window", slow, BLK_streaming, "strict") == MACHINE_RAN);
    EXPECT(latency_ns() - latency < 1.0);
    EXPECT(interval_ns() - interval > 99.0);
    EXPECT(interval_ns() - interval < 101.0);
}

TEST_CASE(bare, writes_are_posted_and_every_policy_leaves_everything_back)
{
    static const char *const set[]    = { "gen.requests=5000", "gen:window.kib=1024",
                                          "gen:window.write_percent=50", NULL };
    static const char *const policy[] = { "strict", "lazy", "passthrough" };
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE(run("gen:window", set, BLK_iova, policy[i]) == MACHINE_RAN);
        EXPECT(result.counters.exerciser.access_written > 2300);
        EXPECT_EQUAL(result.counters.exerciser.access_written
                         + result.counters.exerciser.access_read,
                     5000);
        EXPECT_EQUAL(result.counters.exerciser.access_refused, 0);
    }
}

/* 16 pages that lie apart: each API has its own way, and nobody asks a device. */
TEST_CASE(bare, churn_maps_and_unmaps_by_each_api_without_any_dma)
{
    static const char *const set[] = { "gen.requests=300", "gen.block_kib=64", NULL };
    for (unsigned api = 0; api < BLK_API_COUNT; api++) {
        REQUIRE(run("gen:churn", set, (enum blk_api)api, "strict") == MACHINE_RAN);
        const struct kernel_stats *k = &result.counters.kernel;
        const uint64_t maps          = api == BLK_streaming ? 300 * 16 : 300;
        EXPECT_EQUAL(result.counters.replay.record, 300);
        EXPECT_EQUAL(k->map, maps);
        EXPECT_EQUAL(k->unmap, maps);
        EXPECT_EQUAL(k->descriptor_page, maps);
        EXPECT_EQUAL(k->map_iova, api == BLK_iova ? 300 : 0);
        EXPECT_EQUAL(k->map_sg, api == BLK_sg ? 300 : 0);
        EXPECT_EQUAL(result.counters.dma.read + result.counters.dma.write, 0);
        EXPECT_EQUAL(result.io_latency_ns.count, 300);
    }
}

/* ---- What is told of them -------------------------------------------------------------
 */

static bool nearly(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* What is moved and how fast are the device's, and each access has a latency. */
TEST_CASE(bare, rates_and_latencies_are_those_of_the_accesses)
{
    static const char *const set[] = { "gen.requests=9000", "gen:window.bytes=128",
                                       "gen:window.write_percent=20", NULL };
    double m[METRIC_COUNT];
    REQUIRE(run("gen:window", set, BLK_iova, "strict") == MACHINE_RAN);
    metric_values(&result, m);
    const struct exerciser_stats *e = &result.counters.exerciser;
    EXPECT(m[METRIC_ID_ios] == 9000.0);
    EXPECT(m[METRIC_ID_bytes] == 9000.0 * 128.0);
    EXPECT(nearly(m[METRIC_ID_iops], 1e9 / interval_ns()));
    EXPECT(
        nearly(m[METRIC_ID_throughput_gbps], (double)e->bytes * 8e3 / (double)e->busy_ps));
    EXPECT(m[METRIC_ID_sim_time_ns] > 2e-3 * (double)e->busy_ps); /* Lists are written. */
    EXPECT_EQUAL(result.io_latency_ns.count, 9000);
    EXPECT(fabs((double)result.io_latency_ns.sum / 9000.0 - latency_ns()) < 1.0);
    EXPECT(m[METRIC_ID_io_latency_ns_p50] > 300.0);
    EXPECT(m[METRIC_ID_io_latency_ns_p99] >= m[METRIC_ID_io_latency_ns_p50]);
}

/* Beside requests, rates are of the replay, as always, and count what both have moved. */
TEST_CASE(bare, among_requests_rates_are_of_the_replay)
{
    static const char *const none[] = { NULL };
    double m[METRIC_COUNT];
    const char *path = program_path("both.csv");
    FILE *out        = fopen(path, "w");
    REQUIRE(out != NULL);
    fputs("time_ns,latency_ns,op,lba,bytes,device,queue,cpu,completion_cpu,depth,segments,"
          "qp,peer,peer_qp,key,address,region_bytes,local_key,local_address\n"
          "0,,access_read,0,64,0,0,0,0,1,0x100000040+64,,,,,,,,\n"
          "0,,read,8,4096,0,0,0,0,1,0x200000000+4096,,,,,,,,\n"
          "0,,map,0,4096,0,0,0,0,1,0x300000000+4096,,,,,,,,\n",
          out);
    fclose(out);
    REQUIRE(run(path, none, BLK_iova, "strict") == MACHINE_RAN);
    metric_values(&result, m);
    const double seconds = (double)result.time_ps * 1e-12;
    EXPECT(m[METRIC_ID_ios] == 3.0);
    EXPECT(m[METRIC_ID_bytes] == 64.0 + 4096.0); /* A mapping moves nothing. */
    EXPECT(nearly(m[METRIC_ID_iops], 3.0 / seconds));
    EXPECT(nearly(m[METRIC_ID_throughput_gbps], 4160.0 * 8e-9 / seconds));
    EXPECT_EQUAL(result.io_latency_ns.count, 3);
}

/* The column of the line that begins with policy and API, under a heading; "": none. */
static void figure_of(const char *table, unsigned column, char *out, size_t bytes)
{
    const char *at = strstr(table, "\nstrict iova ");
    out[0]         = '\0';
    for (unsigned i = 0; at != NULL && i <= column; i++) {
        at += strspn(at, " \n");
        snprintf(out, bytes, "%.*s", (int)strcspn(at, " \n"), at);
        at += strlen(out);
    }
}

TEST_CASE(bare, both_tables_of_a_replay_say_the_same)
{
    static struct program_result r;
    char above[32], below[32];
    program_run(&r, "replay gen:window --limit 5000 --policy strict --api iova");
    EXPECT_EQUAL(r.status, 0);
    const char *second = strstr(r.out, "accesses");
    REQUIRE(second != NULL);
    figure_of(r.out, 3, above, sizeof above);
    figure_of(second, 4, below, sizeof below);
    EXPECT_TEXT(above, below);
    EXPECT(strcmp(above, "0.0") != 0);
    figure_of(r.out, 9, above, sizeof above); /* us, the median. */
    EXPECT_TEXT(above, "0.4");
}

TEST_CASE(bare, what_cannot_be_mapped_at_once_is_refused)
{
    static const char *const set[] = { "gen.requests=3", "gen.block_kib=8196", NULL };
    EXPECT_EQUAL(run("gen:churn", set, BLK_iova, "strict"), MACHINE_TRACE);
    EXPECT_HAS(error.text, "gen:churn: record 0: bytes: expected at most 8388608");
}
