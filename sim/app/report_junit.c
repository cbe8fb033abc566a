/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/report.h"

/* Text inside quotes or between tags. Names have no control characters (result.c). */
static void put_xml(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

static unsigned failures(const struct result_run *run)
{
    unsigned n = 0;
    for (unsigned m = 0; m < run->metrics; m++)
        n += run->metric[m].failure != NULL;
    return n;
}

static void put_case(const struct result_run *run, const struct result_metric *m, FILE *out)
{
    char digits[32];
    fputs("  <testcase classname=\"", out);
    put_xml(out, run->name);
    fputs("\" name=\"", out);
    put_xml(out, m->name);
    fputs("\" time=\"0\">\n", out);
    if (m->failure != NULL) {
        fputs("   <failure message=\"", out);
        put_xml(out, m->failure);
        fputs("\" type=\"regression\"/>\n", out);
    }
    fprintf(out, "   <system-out>%s ", result_digits(m->value, digits));
    put_xml(out, m->unit);
    fputs("</system-out>\n  </testcase>\n", out);
}

static void put_suite(const struct result_run *run, FILE *out)
{
    fputs(" <testsuite name=\"", out);
    put_xml(out, run->name);
    fprintf(out,
            "\" tests=\"%u\" failures=\"%u\" errors=\"0\" skipped=\"0\" time=\"%.9f\">\n",
            run->metrics, failures(run), result_metric_value(run, "sim_time_ns") * 1e-9);
    for (unsigned m = 0; m < run->metrics; m++)
        put_case(run, &run->metric[m], out);
    fputs(" </testsuite>\n", out);
}

static void write_junit(const struct result *result, FILE *out)
{
    unsigned tests = 0, failed = 0;
    for (unsigned i = 0; i < result->runs; i++) {
        tests += result->run[i].metrics;
        failed += failures(&result->run[i]);
    }
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuites name=\"iovasim\" tests=\"%u\" failures=\"%u\" errors=\"0\">\n",
            tests, failed);
    for (unsigned i = 0; i < result->runs; i++)
        put_suite(&result->run[i], out);
    fputs("</testsuites>\n", out);
}

const struct report_format report_junit = {
    .name    = "junit",
    .summary = "JUnit XML: a suite for each run, a case for each metric",
    .write   = write_junit,
};
