/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/report.h"

static void write_bencher(const struct result *result, FILE *out)
{
    json_t *all = json_object();
    for (unsigned i = 0; i < result->runs; i++) {
        const struct result_run *run = &result->run[i];
        json_t *measures             = json_object();
        for (unsigned m = 0; m < run->metrics; m++)
            json_object_set_new(measures, run->metric[m].name,
                                json_pack("{sf}", "value", run->metric[m].value));
        json_object_set_new(all, run->name, measures);
    }
    report_put_json(out, all);
}

const struct report_format report_bencher = {
    .name    = "bencher",
    .summary = "Bencher Metric Format (bencher run --adapter json)",
    .write   = write_bencher,
};
