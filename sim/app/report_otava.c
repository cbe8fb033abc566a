/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "sim/app/report.h"

static void put_names(const struct result_run *run, FILE *out)
{
    for (unsigned m = 0; m < run->metrics; m++) {
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", run->name, run->metric[m].name);
        fputc(',', out);
        report_csv_text(out, name);
    }
}

/* The heading and one row: the history is a file to which each commit's row is appended. */
static void write_otava(const struct result *result, FILE *out)
{
    char digits[32];
    fputs("time,commit", out);
    for (unsigned i = 0; i < result->runs; i++)
        put_names(&result->run[i], out);
    fprintf(out, "\n%" PRId64 ",", result->time);
    report_csv_text(out, result->commit);
    for (unsigned i = 0; i < result->runs; i++)
        for (unsigned m = 0; m < result->run[i].metrics; m++)
            fprintf(out, ",%s", result_digits(result->run[i].metric[m].value, digits));
    fputc('\n', out);
}

const struct report_format report_otava = {
    .name    = "otava",
    .summary = "Apache Otava's CSV: one row for this commit (--commit, --time)",
    .write   = write_otava,
};
