/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "sim/app/report.h"

static void put_run(const struct result_run *run, FILE *out)
{
    const char *const text[] = { run->workload, run->preset, run->policy, run->api };
    for (unsigned i = 0; i < sizeof text / sizeof text[0]; i++) {
        report_csv_text(out, text[i]);
        fputc(',', out);
    }
    fprintf(out, "%" PRIu64 ",%" PRIu64, run->cpus, run->seed);
}

static void write_csv(const struct result *result, FILE *out)
{
    const char **name = report_metric_names(result);
    char digits[32];
    fputs("workload,preset,policy,api,cpus,seed", out);
    for (unsigned m = 0; name[m] != NULL; m++) {
        fputc(',', out);
        report_csv_text(out, name[m]);
    }
    fputs("\r\n", out);
    for (unsigned i = 0; i < result->runs; i++) {
        put_run(&result->run[i], out);
        for (unsigned m = 0; name[m] != NULL; m++) {
            const struct result_metric *metric =
                result_metric_find(&result->run[i], name[m]);
            fprintf(out, ",%s", metric == NULL ? "" : result_digits(metric->value, digits));
        }
        fputs("\r\n", out);
    }
    free(name);
}

const struct report_format report_csv = {
    .name    = "csv",
    .summary = "A row for each run, a column for each metric (RFC 4180)",
    .write   = write_csv,
};
