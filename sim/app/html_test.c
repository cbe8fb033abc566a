/* SPDX-License-Identifier: Apache-2.0 */
/* What reports explain adds up to what they report, for block requests and for RDMA work.
 */
#include "sim/app/html.h"

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
