/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which flush policies stand: by throughput, by exposure, by what their
 * invalidations drop beside what they were meant for, and where page by page begins to cost
 * more than everything at once. One CPU and few requests at a time: the CPU sets the pace,
 * not the drive.
 */
#include <string.h>

#include "sim/app/machine.h"
#include "sim/app/metric.h"
#include "sim/base/rng.h"
#include "sim/host/direct.h"
#include "sim/test/kernel_rig.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"
#include "sim/test/trace_fixture.h"

enum { RECORDS = 1200, BUFFERS = 64 };

/* ---- Runs ---------------------------------------------------------------------------- */

static struct machine_result result;
static double metric[METRIC_COUNT];

/* Reads of so many pages at most into buffers that come again. */
static void write_trace(const char *path, unsigned pages_max)
{
    struct rng rng = rng_make(1, "order");
    struct error error;
    struct trace_writer *writer;
    REQUIRE(trace_create(&writer, path, NULL, &error));
    for (unsigned i = 0; i < RECORDS; i++) {
        const unsigned pages         = 1 + rng_below(&rng, pages_max);
        struct trace_segment segment = {
            UINT64_C(0x10000000) + UINT64_C(65536) * rng_below(&rng, BUFFERS), 4096 * pages
        };
        const struct trace_record r = { .time_ns       = i,
                                        .latency_ns    = TRACE_LATENCY_UNKNOWN,
                                        .lba           = 8 * rng_below(&rng, 100000),
                                        .bytes         = segment.bytes,
                                        .depth         = 1,
                                        .op            = TRACE_READ,
                                        .segment_count = 1,
                                        .segment       = &segment };
        REQUIRE(trace_put(writer, &r, &error));
    }
    REQUIRE(trace_finish(writer, &error));
}

static const char *trace_of(unsigned pages_max)
{
    static struct fixture_folder folder;
    static char path[17][640];
    char name[32];
    if (folder.path[0] == '\0')
        folder = fixture_folder_make();
    if (path[pages_max][0] == '\0') {
        snprintf(name, sizeof name, "%u.iovatrace", pages_max);
        strcpy(path[pages_max], fixture_folder_file(&folder, name));
        write_trace(path[pages_max], pages_max);
    }
    return path[pages_max];
}

static void run(const char *policy, unsigned pages_max, const char *depth, const char *set)
{
    struct config config;
    struct error error          = { "" };
    struct replay_source source = { trace_of(pages_max), NULL };
    REQUIRE(config_init(&config, "vtd-server", &error));
    REQUIRE(config_set(&config, depth, &error));
    REQUIRE(set == NULL || config_set(&config, set, &error));
    REQUIRE(trace_open(&source.reader, trace_of(pages_max), &error));
    const struct machine_run what = { .api       = BLK_streaming,
                                      .policy    = flush_find(policy),
                                      .cpus      = 1,
                                      .limit     = UINT64_MAX,
                                      .run_ahead = true,
                                      .source    = &source,
                                      .sources   = 1 };
    struct direct_host *host      = direct_host_new();
    EXPECT_EQUAL(machine_run(&config, &what, direct_host_verbs(host), &result, &error),
                 MACHINE_RAN);
    EXPECT_TEXT(error.text, "");
    EXPECT_EQUAL(result.counters.replay.record, RECORDS);
    metric_values(&result, metric);
    direct_host_free(host);
    trace_close(source.reader);
    config_free(&config);
}

static void complain(const char *what, const char *a, double x, const char *b, double y)
{
    char text[200];
    snprintf(text, sizeof text, "%s: %s %.6g, %s %.6g", what, a, x, b, y);
    shim_true(false, text, __FILE__, __LINE__);
}

/* ---- Throughput and exposure --------------------------------------------------------- */

static void expect_throughput(const char *depth, unsigned pages_max)
{
    static const char *const order[] = { "passthrough", "identity", "premapped",  "fns",
                                         "lazy",        "strict",   "strict-page" };
    double before                    = 0.0;
    for (unsigned i = 0; i < sizeof order / sizeof order[0]; i++) {
        run(order[i], pages_max, depth, NULL);
        const double iops = metric[METRIC_ID_iops];
        if (i > 0 && iops > before)
            complain(depth, order[i - 1], before, order[i], iops);
        before = iops;
    }
}

TEST_CASE(policies_order, throughput_falls_from_off_to_a_flush_for_each_page)
{
    expect_throughput("replay.depth=1", 1);
    expect_throughput("replay.depth=8", 1);
    expect_throughput("replay.depth=32", 1);
}

/* With one page, both strict ones do the same; with several they do not. */
TEST_CASE(policies_order, page_by_page_is_slower_when_there_are_several)
{
    run("strict", 1, "replay.depth=8", NULL);
    const double one = metric[METRIC_ID_iops];
    run("strict-page", 1, "replay.depth=8", NULL);
    EXPECT(metric[METRIC_ID_iops] == one);
    run("strict", 8, "replay.depth=8", NULL);
    const double several = metric[METRIC_ID_iops];
    run("strict-page", 8, "replay.depth=8", NULL);
    EXPECT(metric[METRIC_ID_iops] < 0.9 * several);
}

TEST_CASE(policies_order, exposure_grows_from_strict_over_window_and_lazy_to_never)
{
    static const char *const order[] = { "strict", "window", "lazy", "never" };
    static const char *const depth[] = { "replay.depth=1", "replay.depth=8" };
    for (unsigned d = 0; d < 2; d++) {
        double before = -1.0;
        for (unsigned i = 0; i < 4; i++) {
            run(order[i], 1, depth[d], "window.us=50");
            const double open = metric[METRIC_ID_exposure_page_us_per_io];
            if (open <= before)
                complain("exposure", order[i], open, i > 0 ? order[i - 1] : "", before);
            EXPECT(i > 0 || open == 0.0);
            before = open;
        }
    }
}

/* ---- Collateral ---------------------------------------------------------------------- */

static double refills(const char *policy, const char *set)
{
    run(policy, 16, "replay.depth=8", set);
    return metric[METRIC_ID_collateral_refills];
}

TEST_CASE(policies_order, what_a_flush_drops_for_nothing_grows_with_its_grain)
{
    const double page   = refills("strict", "policy.grain=page");
    const double range  = refills("range", NULL);
    const double cover  = refills("size-encoded", NULL);
    const double moved  = refills("strict", "policy.grain=cover");
    const double domain = refills("strict", "policy.grain=domain");
    const double global = refills("strict", "policy.grain=global");
    EXPECT(page == 0.0);
    EXPECT(range == 0.0);
    EXPECT(moved == cover); /* The same point, reached from strict. */
    EXPECT(domain > 0.0);
    /* Linux aligns a range to its size: a power of two around it covers nobody else's. */
    if (cover >= domain)
        complain("refills", "size-encoded", cover, "domain", domain);
    if (domain > global)
        complain("refills", "domain", domain, "global", global);
}

/* ---- Page by page against everything --------------------------------------------------
 */

enum { UNMAP_PAGES_MAX = 512, USEFUL = 32 };

struct sweep {
    sim_time_t time[UNMAP_PAGES_MAX + 1];
};

/* The useful entries of the IOTLB: a device goes on reading pages that stay mapped. */
static void touch(struct kernel_rig *r, const dma_addr_t *useful)
{
    uint64_t pa;
    for (unsigned i = 0; i < USEFUL; i++)
        EXPECT(kernel_rig_reach(r, useful[i], PT_READ, &pa));
}

static void sweep(struct kernel_rig *r, void *state)
{
    struct sweep *s = state;
    dma_addr_t useful[USEFUL];
    for (unsigned i = 0; i < USEFUL; i++)
        useful[i] = dma_map_phys(&r->device, 0x80000000 + i * 4096, 4096, DMA_TO_DEVICE, 0);
    for (unsigned n = 1; n <= UNMAP_PAGES_MAX; n++) {
        const dma_addr_t iova =
            dma_map_phys(&r->device, 0x40001000, n * 4096, DMA_TO_DEVICE, 0);
        touch(r, useful);
        const sim_time_t begin = cpu_this()->time;
        dma_unmap_phys(&r->device, iova, n * 4096, DMA_TO_DEVICE, 0);
        touch(r, useful);
        s->time[n] = cpu_this()->time - begin;
    }
    for (unsigned i = 0; i < USEFUL; i++)
        dma_unmap_phys(&r->device, useful[i], 4096, DMA_TO_DEVICE, 0);
}

static void sweep_with(struct sweep *s, const char *policy, const char *threshold)
{
    struct kernel_rig *r = kernel_rig_new(RIG_VTD);
    kernel_rig_policy(r, policy);
    if (threshold != NULL)
        kernel_rig_policy_set(r, "pages", threshold);
    kernel_rig_run(r, sweep, s);
    kernel_rig_free(r);
}

TEST_CASE(policies_order, page_by_page_and_the_domain_cross_once_as_unmaps_grow)
{
    static struct sweep page, domain;
    unsigned crossings = 0, at = 0;
    sweep_with(&page, "hybrid", "1048576"); /* Never beyond its threshold: grain page. */
    sweep_with(&domain, "strict-domain", NULL);
    for (unsigned n = 1; n < UNMAP_PAGES_MAX; n++)
        if ((page.time[n] <= domain.time[n]) != (page.time[n + 1] <= domain.time[n + 1])) {
            crossings++;
            at = n + 1;
        }
    EXPECT(page.time[1] < domain.time[1]);
    EXPECT(page.time[UNMAP_PAGES_MAX] > domain.time[UNMAP_PAGES_MAX]);
    if (crossings != 1)
        complain("crossings", "how many", crossings, "the last at", at);
    EXPECT(at > 16 && at < 400);
}
