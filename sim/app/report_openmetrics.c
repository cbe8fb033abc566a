/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/report.h"

/* What a name of OpenMetrics may hold; the rest becomes '_'. */
static void put_name(FILE *out, const char *name)
{
    fputs("iovasim_", out);
    for (; *name != '\0'; name++)
        fputc(isalnum((unsigned char)*name) ? *name : '_', out);
}

static void put_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
}

static void put_labels(FILE *out, const struct result_run *run)
{
    const char *const label[][2] = { { "workload", run->workload },
                                     { "preset", run->preset },
                                     { "policy", run->policy },
                                     { "api", run->api } };
    for (unsigned i = 0; i < sizeof label / sizeof label[0]; i++) {
        fprintf(out, "%c%s=\"", i == 0 ? '{' : ',', label[i][0]);
        put_escaped(out, label[i][1]);
        fputc('"', out);
    }
    fputc('}', out);
}

static const char *meaning(const char *name)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        if (strcmp(metric_def[i].name, name) == 0)
            return metric_def[i].text;
    return "A metric of another version";
}

static const char *unit_of(const struct result *result, const char *name)
{
    for (unsigned i = 0; i < result->runs; i++) {
        const struct result_metric *m = result_metric_find(&result->run[i], name);
        if (m != NULL)
            return m->unit;
    }
    return "";
}

/* Of one metric, all samples stand together. */
static void put_family(const struct result *result, const char *name, FILE *out)
{
    char digits[32];
    fputs("# TYPE ", out);
    put_name(out, name);
    fputs(" gauge\n# HELP ", out);
    put_name(out, name);
    fputc(' ', out);
    put_escaped(out, meaning(name));
    fputs(" (", out);
    put_escaped(out, unit_of(result, name));
    fputs(")\n", out);
    for (unsigned i = 0; i < result->runs; i++) {
        const struct result_metric *m = result_metric_find(&result->run[i], name);
        if (m == NULL)
            continue;
        put_name(out, name);
        put_labels(out, &result->run[i]);
        fprintf(out, " %s\n", result_digits(m->value, digits));
    }
}

static void write_openmetrics(const struct result *result, FILE *out)
{
    const char **name = report_metric_names(result);
    for (unsigned m = 0; name[m] != NULL; m++)
        put_family(result, name[m], out);
    fputs("# EOF\n", out);
    free(name);
}

const struct report_format report_openmetrics = {
    .name    = "openmetrics",
    .summary = "OpenMetrics text: Prometheus, GitLab's metrics reports",
    .write   = write_openmetrics,
};
