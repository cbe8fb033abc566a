/* SPDX-License-Identifier: Apache-2.0 */
/* What reports explain adds up to what they report, for block requests and for RDMA work.
 */
#define _GNU_SOURCE /* FNM_EXTMATCH */
#include "sim/app/html.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "sim/app/cause.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"

static struct program_result r;
static struct error error;

/* A replay of two CPUs, or two of each host, of all three policies. */
static void replay(struct result *result, const char *trace, const char *more)
{
    char arguments[512], path[512];
    snprintf(arguments, sizeof arguments,
             "replay @SAMPLE/%s --cpus 2 --limit 40 --api iova --host direct --json "
             "@/html.json %s",
             trace, more);
    program_run(&r, arguments);
    CHECK(r.status == 0);
    snprintf(path, sizeof path, "%s", program_path("html.json"));
    CHECK(result_load(result, path, &error));
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static double sum_of(const json_t *array)
{
    size_t index;
    json_t *one;
    double sum = 0.0;
    json_array_foreach(array, index, one) sum += json_number_value(one);
    return sum;
}

static void expect_page_adds_up(const char *trace, unsigned hosts)
{
    struct result result;
    replay(&result, trace, "");
    const struct html_input input = { .result = { &result }, .results = 1 };
    json_t *view                  = html_view(&input);
    for (unsigned i = 0; i < result.runs; i++) {
        const json_t *run = json_array_get(json_object_get(view, "runs"), i);
        const double of =
            fmax(1.0, json_number_value(json_object_get(run, "hosts"))); /* Not there: 1. */
        EXPECT(near(sum_of(json_object_get(run, "o")),
                    result_metric_value(&result.run[i], "cpu_cycles_per_io")));
        EXPECT(result_metric_value(&result.run[i], "cpu_cycles_per_io") > 100.0);
        EXPECT_EQUAL((uint64_t)of, hosts);
        EXPECT(json_number_value(json_object_get(run, "cpus")) / of == 2.0);
    }
    json_decref(view);
    result_free(&result);
}

TEST_CASE(html, owners_sum_to_the_cycles_of_a_request_and_cpus_to_those_of_the_hosts)
{
    expect_page_adds_up("nvme-randrw-mixed.iovatrace", 1);
    expect_page_adds_up("rdma-rping.verbs.txt.gz", 2);
}

static void expect_causes_add_up(const char *trace)
{
    struct result before, after;
    replay(&before, trace, "");
    replay(&after, trace, "--set cost.call_cycles=60");
    for (unsigned i = 0; i < before.runs; i++) {
        const struct result_run *a = &before.run[i], *b = &after.run[i];
        struct cause cause = cause_of_metric(a, b, "map_cycles_per_io");
        double added       = 0.0;
        for (unsigned p = 0; p < cause.parts; p++)
            added += cause.part[p].after - cause.part[p].before;
        const double change = result_metric_value(b, "map_cycles_per_io")
                              - result_metric_value(a, "map_cycles_per_io");
        EXPECT(change > 10.0 && fabs(added - change) < 1e-6 * change);
        cause_free(&cause);
    }
    result_free(&before);
    result_free(&after);
}

TEST_CASE(html, causes_of_a_change_sum_to_it)
{
    expect_causes_add_up("nvme-randrw-mixed.iovatrace");
    expect_causes_add_up("rdma-rping.verbs.txt.gz");
}

static double added_by(const struct cause *c, const char *name, const char **unit)
{
    for (unsigned i = 0; i < c->parts; i++)
        if (strcmp(c->part[i].name, name) == 0) {
            *unit = c->part[i].unit;
            return c->part[i].after - c->part[i].before;
        }
    *unit = "";
    return 0.0;
}

/* Counters that have nothing to do with a metric are none of its causes. */
static void expect_causes_of_its_kind(const struct result_run *a,
                                      const struct result_run *b, const char *metric,
                                      const char *beginning)
{
    struct cause cause = cause_of_metric(a, b, metric);
    EXPECT(cause.parts > 0);
    for (unsigned i = 0; i < cause.parts; i++)
        if (fnmatch(beginning, cause.part[i].name, FNM_EXTMATCH) != 0)
            EXPECT_TEXT(cause.part[i].name, beginning);
    cause_free(&cause);
}

TEST_CASE(html, causes_of_a_change_are_of_its_kind_and_in_its_unit)
{
    struct result before, after;
    const char *unit[2];
    replay(&before, "nvme-randrw-mixed.iovatrace", "--policy lazy");
    replay(&after, "nvme-randrw-mixed.iovatrace",
           "--policy lazy --set iotlb.sets=1 --set iotlb.ways=1 --set "
           "invq.execute_cycles=300");
    const struct result_run *a = &before.run[0], *b = &after.run[0];
    struct cause cause = cause_of_metric(a, b, "exposure_page_us_per_io");
    const double all   = added_by(&cause, "audit.exposed_page_ps", &unit[0]);
    const double reuse = added_by(&cause, "audit.exposed_page_ps_reusable", &unit[1]);
    EXPECT(all != 0.0 && near(all, reuse)); /* lazy holds nothing back. */
    EXPECT(near(all / 1000.0, result_metric_value(b, "exposure_page_us_per_io")
                                  - result_metric_value(a, "exposure_page_us_per_io")));
    EXPECT_TEXT(unit[0], "page ns/record");
    EXPECT_TEXT(unit[1], unit[0]);
    cause_free(&cause);
    expect_causes_of_its_kind(a, b, "walk_reads", "@(iotlb|walkcache|iommu).*");
    expect_causes_of_its_kind(a, b, "iotlb_hit_rate", "@(iotlb|walkcache|iommu).*");
    expect_causes_of_its_kind(a, b, "inval_poll_cycles_per_io", "inval_wait in *");
    result_free(&before);
    result_free(&after);
}
