/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/report.h"

static void drop_distributions(json_t *document)
{
    size_t index;
    json_t *run;
    json_array_foreach(json_object_get(document, "runs"), index, run)
    {
        json_object_del(run, "histograms");
        json_object_del(run, "series");
    }
}

/* Kept beside sources for long: all that a gate or a difference asks for, and no more. */
static void write_baseline(const struct result *result, FILE *out)
{
    json_t *copy = json_deep_copy(result->document), *one;
    size_t index;
    drop_distributions(copy);
    json_array_foreach(json_object_get(copy, "cases"), index, one)
    {
        drop_distributions(json_object_get(one, "result"));
    }
    report_put_json(out, copy);
}

const struct report_format report_baseline = {
    .name    = "baseline",
    .summary = "Like json, without histograms and series: what `iovasim gate --bless` keeps",
    .write   = write_baseline,
};
