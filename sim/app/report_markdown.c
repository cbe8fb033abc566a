/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/report.h"

static bool together(const struct result_run *a, const struct result_run *b)
{
    return strcmp(a->workload, b->workload) == 0 && strcmp(a->preset, b->preset) == 0;
}

/* '|' would end a cell. */
static void put_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

/* For reading: as many digits as tell runs apart. */
static void put_figure(FILE *out, double value)
{
    const double size = fabs(value);
    if (size == floor(size) && size < 1e15)
        fprintf(out, " %.0f |", value);
    else
        fprintf(out, " %.*f |", size >= 1000.0 ? 0 : size >= 10.0 ? 1 : 3, value);
}

static void put_heading(const struct result_run *run, unsigned runs, FILE *out)
{
    fputs("### ", out);
    put_cell(out, run->workload);
    fputs(" on ", out);
    put_cell(out, run->preset);
    fputs("\n\n| metric | unit |", out);
    for (unsigned i = 0; i < runs; i++) {
        fputc(' ', out);
        put_cell(out, run[i].policy);
        fputc(' ', out);
        put_cell(out, run[i].api);
        fputs(" |", out);
    }
    fputs("\n| --- | --- |", out);
    for (unsigned i = 0; i < runs; i++)
        fputs(" ---: |", out);
    fputc('\n', out);
}

static void put_table(const struct result_run *run, unsigned runs, FILE *out)
{
    put_heading(run, runs, out);
    for (unsigned m = 0; m < run->metrics; m++) {
        fprintf(out, "| `%s` | ", run->metric[m].name);
        put_cell(out, run->metric[m].unit);
        fputs(" |", out);
        for (unsigned i = 0; i < runs; i++) {
            const struct result_metric *metric =
                result_metric_find(&run[i], run->metric[m].name);
            if (metric == NULL)
                fputs(" |", out);
            else
                put_figure(out, metric->value);
        }
        fputc('\n', out);
    }
}

/* One table for each workload and preset: the policies and APIs that are compared. */
static void write_markdown(const struct result *result, FILE *out)
{
    unsigned same;
    for (unsigned i = 0; i < result->runs; i += same) {
        const struct result_run *run = &result->run[i];
        for (same = 1; i + same < result->runs && together(run, &run[same]);)
            same++;
        if (i > 0)
            fputc('\n', out);
        put_table(run, same, out);
    }
}

const struct report_format report_markdown = {
    .name    = "markdown",
    .summary = "Tables for a page, a comment or $GITHUB_STEP_SUMMARY",
    .write   = write_markdown,
};
