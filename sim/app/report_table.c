/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <string.h>

#include "sim/app/metric.h"
#include "sim/app/report.h"

struct sheet {
    struct libscols_table *table;
    FILE *out;
};

static struct sheet sheet_new(FILE *out, bool colour)
{
    struct sheet s = { scols_new_table(), out };
    CHECK(s.table != NULL);
    scols_table_set_stream(s.table, out);
    scols_table_enable_colors(s.table, colour);
    scols_table_set_termforce(s.table, SCOLS_TERMFORCE_ALWAYS);
    scols_table_set_termwidth(s.table, 80);
    scols_table_set_column_separator(s.table, " ");
    return s;
}

static void column(struct sheet *s, const char *name, bool number)
{
    CHECK(scols_table_new_column(s->table, name, 0, number ? SCOLS_FL_RIGHT : 0) != NULL);
}

__attribute__((format(printf, 3, 4))) static void cell(struct libscols_line *line,
                                                       size_t at, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CHECK(scols_line_set_data(line, at, text) == 0);
}

static void sheet_print(struct sheet *s)
{
    scols_print_table(s->table);
    fputc('\n', s->out);
    scols_unref_table(s->table);
}

static void figure(struct libscols_line *line, size_t at, double value, int digits)
{
    cell(line, at, "%.*f", digits, value);
}

/* ---- The comparison
 * --------------------------------------------------------------------------------- */

static void comparison_row(struct sheet *s, const struct machine_result *r)
{
    struct libscols_line *line = scols_table_new_line(s->table, NULL);
    double v[METRIC_COUNT];
    metric_values(r, v);
    cell(line, 0, "%s", r->policy);
    cell(line, 1, "%s", r->api);
    figure(line, 2, v[METRIC_ID_iops] / 1000.0, 1);
    figure(line, 3, v[METRIC_ID_throughput_gbps], 1);
    figure(line, 4, v[METRIC_ID_cpu_cycles_per_io], 0);
    figure(line, 5, v[METRIC_ID_map_cycles_per_io], 0);
    figure(line, 6, v[METRIC_ID_unmap_cycles_per_io] + v[METRIC_ID_deferred_cycles_per_io],
           0);
    figure(line, 7, v[METRIC_ID_invalidations_per_io], 2);
    figure(line, 8, 100.0 * v[METRIC_ID_iotlb_hit_rate], 0);
    figure(line, 9, v[METRIC_ID_io_latency_ns_p50] / 1000.0, 1);
    figure(line, 10, v[METRIC_ID_exposure_page_us_per_io],
           v[METRIC_ID_exposure_page_us_per_io] < 100.0 ? 1 : 0);
    figure(line, 11, v[METRIC_ID_dma_address_bytes_per_io], 0);
}

static void comparison(const struct report *report, FILE *out, bool colour)
{
    static const char *const name[] = { "kIOPS", "Gb/s", "cycles", "map",  "unmap",
                                        "inv",   "hit%", "us",     "open", "kept" };
    struct sheet s                  = sheet_new(out, colour);
    column(&s, "policy", false);
    column(&s, "API", false);
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++)
        column(&s, name[i], true);
    for (unsigned i = 0; i < report->runs; i++)
        comparison_row(&s, &report->run[i]);
    sheet_print(&s);
}

/* ---- Where the cycles went
 * ----------------------------------------------------------------------------- */

static uint64_t owner_cycles(const struct machine_result *r, unsigned owner)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < PHASES; p++)
        sum += r->counters.cycles[p][owner];
    return sum;
}

static bool any_cycles(const struct report *report, unsigned owner)
{
    for (unsigned i = 0; i < report->runs; i++)
        if (owner_cycles(&report->run[i], owner) != 0)
            return true;
    return false;
}

/* Side by side, so many runs fit into 80 columns. smartcols knows no headings that span. */
enum { BREAKDOWN_RUNS = 9, LABEL_WIDTH = 14, FIGURE_WIDTH = 7 };

static void breakdown_heading(const struct machine_result *run, unsigned shown, FILE *out)
{
    fprintf(out, "%-*s", LABEL_WIDTH, "cycles per I/O");
    for (unsigned i = 0; i < shown;) {
        unsigned same = 1;
        while (i + same < shown && strcmp(run[i + same].policy, run[i].policy) == 0)
            same++;
        const int width = (int)same * FIGURE_WIDTH - 3;
        fprintf(out, "   %-*.*s", i + same < shown ? width : 0, width, run[i].policy);
        i += same;
    }
    fprintf(out, "\n%-*s", LABEL_WIDTH, "");
    for (unsigned i = 0; i < shown; i++)
        fprintf(out, "%*.*s", FIGURE_WIDTH, FIGURE_WIDTH - 1, run[i].api);
    fputc('\n', out);
}

static void breakdown(const struct report *report, unsigned first, FILE *out)
{
    const unsigned left              = report->runs - first;
    const unsigned shown             = left < BREAKDOWN_RUNS ? left : BREAKDOWN_RUNS;
    const struct machine_result *run = &report->run[first];
    breakdown_heading(run, shown, out);
    for (unsigned o = 0; o < OWNERS; o++) {
        if (o == OWNER_idle || o == OWNER_setup || !any_cycles(report, o))
            continue;
        fprintf(out, "%-*s", LABEL_WIDTH, cpu_owner_name[o]);
        for (unsigned i = 0; i < shown; i++) {
            const double ios = (double)run[i].counters.replay.record;
            fprintf(out, "%*.0f", FIGURE_WIDTH,
                    ios == 0 ? 0 : (double)owner_cycles(&run[i], o) / ios);
        }
        fputc('\n', out);
    }
    fputc('\n', out);
}

static void legend(FILE *out)
{
    fputs(
        "Per I/O: cycles, CPU cycles that were not idle; map, unmap, those inside the\n"
        "calls (unmap with flush timers); inv, invalidation commands; us, median latency;\n"
        "open, page-microseconds that given-back pages stayed reachable for the device;\n"
        "kept, bytes a driver keeps from map to unmap. hit%, of IOTLB look-ups.\n\n",
        out);
}

void report_table(const struct report *report, FILE *out, bool colour)
{
    comparison(report, out, colour);
    legend(out);
    for (unsigned first = 0; first < report->runs; first += BREAKDOWN_RUNS)
        breakdown(report, first, out);
}
