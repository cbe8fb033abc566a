/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <string.h>

#include "sim/app/comparison.h"
#include "sim/app/metric.h"
#include "sim/app/terminal.h"

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

/* Headings are bold where there is colour. */
static void column(struct sheet *s, const char *name, bool number)
{
    struct libscols_column *c =
        scols_table_new_column(s->table, name, 0, number ? SCOLS_FL_RIGHT : 0);
    CHECK(c != NULL);
    CHECK(scols_cell_set_color(scols_column_get_header(c), "bold") == 0);
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

static void comparison(const struct machine_result *run, unsigned runs, FILE *out,
                       bool colour)
{
    static const char *const name[] = { "kIOPS", "Gb/s", "cycles", "map",  "unmap",
                                        "inv",   "hit%", "us",     "open", "kept" };
    struct sheet s                  = sheet_new(out, colour);
    column(&s, "policy", false);
    column(&s, "API", false);
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++)
        column(&s, name[i], true);
    for (unsigned i = 0; i < runs; i++)
        comparison_row(&s, &run[i]);
    sheet_print(&s);
}

/* One table for each preset: a column with its name would not fit. */
static void comparisons(const struct comparison *report, FILE *out, bool colour)
{
    const unsigned each = report->runs / report->configs;
    for (unsigned i = 0; i < report->configs; i++) {
        if (report->configs > 1)
            fprintf(out, "%s\n", report->config[i].preset);
        comparison(&report->run[i * each], each, out, colour);
    }
}

/* ---- Drives
 * ------------------------------------------------------------------------------------- */

static void drive_row(struct sheet *s, const struct machine_result *r, unsigned i)
{
    const struct machine_drive *d = &r->drive[i];
    const double seconds          = (double)r->time_ps * 1e-12;
    const double ios              = (double)d->replay.record;
    const double dmas             = (double)(d->dma.read + d->dma.write);
    struct libscols_line *line    = scols_table_new_line(s->table, NULL);
    cell(line, 0, "%s", r->policy);
    cell(line, 1, "%s", r->api);
    cell(line, 2, "nvme%u", i);
    figure(line, 3, ios / seconds / 1000.0, 1);
    figure(line, 4, (double)d->driver.bytes * 8e-9 / seconds, 1);
    figure(line, 5, (double)histogram_percentile(&d->io_latency_ns, 50.0) / 1000.0, 1);
    figure(line, 6, (double)histogram_percentile(&d->io_latency_ns, 99.0) / 1000.0, 1);
    figure(line, 7, dmas == 0.0 ? 0.0 : (double)d->dma.translate_ps * 1e-3 / dmas, 1);
}

/* What each of several drives did, which played a trace of its own. */
static void drives(const struct comparison *report, FILE *out, bool colour)
{
    static const char *const name[] = { "kIOPS", "Gb/s", "us", "us99", "ns/DMA" };
    if (report->runs == 0 || report->run[0].drives < 2)
        return;
    struct sheet s = sheet_new(out, colour);
    column(&s, "policy", false);
    column(&s, "API", false);
    column(&s, "drive", false);
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++)
        column(&s, name[i], true);
    for (unsigned i = 0; i < report->runs; i++)
        for (unsigned d = 0; d < report->run[i].drives; d++)
            drive_row(&s, &report->run[i], d);
    sheet_print(&s);
    fputs("Drives in the order of their traces; us, us99: median and 99th percentile of "
          "the\n"
          "latency; ns/DMA, time of one DMA in the IOMMU.\n\n",
          out);
}

/* ---- Several hostile devices
 * ------------------------------------------------------------------------ */

static double reached(const struct machine_attacker *a, enum audit_reach to)
{
    return (double)a->reached[to];
}

static void attacker_row(struct sheet *s, const struct machine_result *r, unsigned i)
{
    const struct machine_attacker *a = &r->attack[i];
    const double percent = a->stats.access == 0 ? 0.0 : 100.0 / (double)a->stats.access;
    const double stale   = reached(a, AUDIT_REACH_held) + reached(a, AUDIT_REACH_reusable)
                         + reached(a, AUDIT_REACH_renewed);
    const double other =
        reached(a, AUDIT_REACH_other) + reached(a, AUDIT_REACH_untranslated);
    struct libscols_line *line = scols_table_new_line(s->table, NULL);
    cell(line, 0, "%s", r->policy);
    cell(line, 1, "%s", r->api);
    cell(line, 2, "%s%s%s", a->host, a->host[0] == '\0' ? "" : " ", a->victim);
    figure(line, 3, (double)a->stats.access, 0);
    figure(line, 4, percent * (double)a->stats.access_refused, 1);
    figure(line, 5, percent * reached(a, AUDIT_REACH_lent), 1);
    figure(line, 6, percent * stale, 1);
    figure(line, 7, percent * reached(a, AUDIT_REACH_pool), 1);
    figure(line, 8, percent * other, 1);
    figure(line, 9, (double)a->late_ns_max / 1000.0, 1);
}

static void attackers(const struct comparison *report, FILE *out, bool colour)
{
    static const char *const name[] = { "tried", "refused", "lent", "stale",
                                        "pool",  "other",   "max" };
    if (report->runs == 0 || report->run[0].attackers < 2)
        return;
    struct sheet s = sheet_new(out, colour);
    column(&s, "policy", false);
    column(&s, "API", false);
    column(&s, "attacked", false);
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++)
        column(&s, name[i], true);
    for (unsigned i = 0; i < report->runs; i++)
        for (unsigned k = 0; k < report->run[i].attackers; k++)
            attacker_row(&s, &report->run[i], k);
    sheet_print(&s);
    fputs(
        "Hostile devices by what they attack: accesses tried; of them, in %, refused, to\n"
        "what was lent then, to pages given back (max: the latest, us after the unmap),\n"
        "to idle bytes of pools, to other bytes of a page or past the IOMMU.\n\n",
        out);
}

/* ---- Bare accesses
 * ---------------------------------------------------------------------------------------
 */

static void accesses(const struct comparison *report, FILE *out, bool colour)
{
    static const char *const name[] = { "accesses", "ns", "Gb/s", "latency", "refused" };
    if (report->runs == 0 || !report->run[0].exerciser)
        return;
    struct sheet s = sheet_new(out, colour);
    column(&s, "policy", false);
    column(&s, "API", false);
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++)
        column(&s, name[i], true);
    for (unsigned i = 0; i < report->runs; i++) {
        const struct exerciser_stats *e = &report->run[i].counters.exerciser;
        struct libscols_line *line      = scols_table_new_line(s.table, NULL);
        const double n                  = e->access == 0 ? 1.0 : (double)e->access;
        cell(line, 0, "%s", report->run[i].policy);
        cell(line, 1, "%s", report->run[i].api);
        figure(line, 2, (double)e->access, 0);
        figure(line, 3, (double)e->busy_ps * 1e-3 / n, 1);
        figure(line, 4, e->busy_ps == 0 ? 0.0 : (double)e->bytes * 8e3 / (double)e->busy_ps,
               1);
        figure(line, 5, (double)e->latency_ps * 1e-3 / n, 1);
        figure(line, 6, (double)e->access_refused, 0);
    }
    sheet_print(&s);
    fputs(
        "Bare accesses: ns, time of the device from one to the next; latency, mean in ns;\n"
        "Gb/s, while the device is busy. Where all records are such, kIOPS and Gb/s above\n"
        "are, too; cycles are mostly of the software that writes their lists before.\n\n",
        out);
}

/* ---- Where the cycles went
 * ----------------------------------------------------------------------------- */

/* Side by side, so many runs fit into 80 columns. smartcols knows no headings that span. */
enum { BREAKDOWN_RUNS = 9, LABEL_WIDTH = 14, FIGURE_WIDTH = 7, WIDTH = 80 };

/* Some of the runs, side by side. */
struct breakdown {
    const struct machine_result *run;
    unsigned runs;
    bool presets; /* There are several. */
    int width;    /* Of a figure's column. */
    FILE *out;
};

static const char *preset_of(const struct machine_result *r)
{
    return r->preset;
}

static const char *policy_of(const struct machine_result *r)
{
    return r->policy;
}

/* How many runs from this one on share a preset and a name. */
static unsigned span(const struct breakdown *b, unsigned first,
                     const char *(*name)(const struct machine_result *r))
{
    const struct machine_result *r = &b->run[first];
    unsigned same                  = 1;
    while (first + same < b->runs && strcmp(name(&r[same]), name(r)) == 0
           && strcmp(r[same].preset, r->preset) == 0)
        same++;
    return same;
}

/* Columns are as wide as the names above them need, if there is room. */
static int column_width(const struct breakdown *b)
{
    const int most = (WIDTH - LABEL_WIDTH) / (int)b->runs;
    int width      = FIGURE_WIDTH;
    for (unsigned i = 0, same; i < b->runs; i += same) {
        same = span(b, i, policy_of);
        const int needs =
            ((int)strlen(policy_of(&b->run[i])) + 3 + (int)same - 1) / (int)same;
        width = needs > width ? needs : width;
    }
    return width < most ? width : most;
}

/* A name that neighbours of one preset share stands above them once. */
static void spanning(const struct breakdown *b, const char *label,
                     const char *(*name)(const struct machine_result *r))
{
    fprintf(b->out, "%-*s", LABEL_WIDTH, label);
    for (unsigned i = 0; i < b->runs;) {
        const unsigned same = span(b, i, name);
        const int width     = (int)same * b->width - 3;
        fprintf(b->out, "   %-*.*s", i + same < b->runs ? width : 0, width,
                name(&b->run[i]));
        i += same;
    }
    fputc('\n', b->out);
}

static void breakdown_heading(const struct breakdown *b, const char *label)
{
    if (b->presets)
        spanning(b, label, preset_of);
    spanning(b, b->presets ? "" : label, policy_of);
    fprintf(b->out, "%-*s", LABEL_WIDTH, "");
    for (unsigned i = 0; i < b->runs; i++)
        fprintf(b->out, "%*.*s", b->width, b->width - 1, b->run[i].api);
    fputc('\n', b->out);
}

/* A row that would say nothing but 0 is left out; cycles that were spent are said. */
static void breakdown_row(const struct breakdown *b, const char *label, int digits,
                          double (*value)(const struct machine_result *r, size_t which),
                          size_t which)
{
    bool any = false;
    for (unsigned i = 0; i < b->runs; i++)
        any |= value(&b->run[i], which) > (digits == 0 ? 0.0 : 0.05);
    if (!any)
        return;
    fprintf(b->out, "%-*s", LABEL_WIDTH, label);
    for (unsigned i = 0; i < b->runs; i++)
        fprintf(b->out, "%*.*f", b->width, digits, value(&b->run[i], which));
    fputc('\n', b->out);
}

static double share(double part, double whole)
{
    return whole == 0.0 ? 0.0 : part / whole;
}

static double owner_cycles(const struct machine_result *r, size_t owner)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < PHASES; p++)
        sum += r->counters.cycles[p][owner];
    return share((double)sum, (double)r->counters.replay.record);
}

static void cpu_breakdown(const struct breakdown *b)
{
    breakdown_heading(b, "cycles per I/O");
    for (unsigned o = 0; o < OWNERS; o++)
        if (o != OWNER_idle && o != OWNER_setup)
            breakdown_row(b, cpu_owner_name[o], 0, owner_cycles, o);
    fputc('\n', b->out);
}

/* ---- Where the device's time went ---------------------------------------------------- */

static double dmas(const struct machine_result *r)
{
    return (double)(r->counters.dma.read + r->counters.dma.write);
}

/* which: where in struct dma_stats the part's picoseconds are. */
static double dma_ns(const struct machine_result *r, size_t which)
{
    const uint64_t ps = *(const uint64_t *)((const char *)&r->counters.dma + which);
    return share((double)ps / 1000.0, dmas(r));
}

static double xlate_ns(const struct machine_result *r, size_t part)
{
    const uint64_t ps = r->counters.xlate_cycles[part] * r->iommu_period_ps;
    return share((double)ps / 1000.0, dmas(r));
}

/* which: where in struct iommu_stats the outcome is counted. */
static double outcome_percent(const struct machine_result *r, size_t which)
{
    const uint64_t n = *(const uint64_t *)((const char *)&r->counters.iommu + which);
    return 100.0 * share((double)n, (double)r->counters.iommu.translation);
}

static double reads_per_walk(const struct machine_result *r, size_t unused)
{
    (void)unused;
    return share((double)r->counters.memport.read_walk, (double)r->counters.iommu.walk);
}

static void translate_rows(const struct breakdown *b)
{
    char label[LABEL_WIDTH + 1];
    breakdown_row(b, "  edge", 1, dma_ns, offsetof(struct dma_stats, edge_ps));
    for (unsigned i = 0; i < XLATE_PART_COUNT; i++) {
        snprintf(label, sizeof label, "  %s", xlate_part_name[i]);
        breakdown_row(b, label, 1, xlate_ns, i);
    }
}

#define PART_ROW(name, text) { #name, offsetof(struct dma_stats, name##_ps) },
#define OUTCOME_ROW(name, text)                                                            \
    { #name " %", offsetof(struct iommu_stats, translation_##name) },

static void device_breakdown(const struct breakdown *b)
{
    static const struct {
        const char *name;
        size_t offset;
    } part[] = { DMA_PARTS(PART_ROW) }, outcome[] = { XLATE_OUTCOMES(OUTCOME_ROW) };
    breakdown_heading(b, "ns per DMA");
    for (unsigned i = 0; i < sizeof part / sizeof part[0]; i++) {
        breakdown_row(b, part[i].name, 1, dma_ns, part[i].offset);
        if (i == DMA_PART_translate)
            translate_rows(b);
    }
    for (unsigned i = 0; i < sizeof outcome / sizeof outcome[0]; i++)
        breakdown_row(b, outcome[i].name, 1, outcome_percent, outcome[i].offset);
    breakdown_row(b, "reads/walk", 1, reads_per_walk, 0);
    fputc('\n', b->out);
}

/* ---- The hostile device
 * ------------------------------------------------------------------ */

static double attack_percent(const struct machine_result *r, size_t which)
{
    const uint64_t n = *(const uint64_t *)((const char *)&r->counters.audit + which);
    return 100.0 * share((double)n, (double)r->counters.attacker.access);
}

static double refused_percent(const struct machine_result *r, size_t unused)
{
    (void)unused;
    return 100.0
           * share((double)r->counters.attacker.access_refused,
                   (double)r->counters.attacker.access);
}

static double attack_us(const struct machine_result *r, size_t percent)
{
    return (double)histogram_percentile(&r->attack_ns, (double)percent) / 1000.0;
}

static bool was_attacked(const struct breakdown *b)
{
    for (unsigned i = 0; i < b->runs; i++)
        if (b->run[i].counters.attacker.access != 0)
            return true;
    return false;
}

static void attack_breakdown(const struct breakdown *b)
{
    static const struct {
        const char *name;
        size_t offset;
    } kind[] = {
        { "lent", offsetof(struct audit_stats, hostile_access_lent) },
        { "held", offsetof(struct audit_stats, hostile_access_held) },
        { "reusable", offsetof(struct audit_stats, hostile_access_reusable) },
        { "renewed", offsetof(struct audit_stats, hostile_access_renewed) },
        { "pool", offsetof(struct audit_stats, hostile_access_pool) },
        { "other bytes", offsetof(struct audit_stats, hostile_access_other) },
        { "untranslated", offsetof(struct audit_stats, hostile_access_untranslated) },
    };
    if (!b->run->attacker)
        return;
    if (!was_attacked(b)) {
        fputs("No attacks: no drive and no NIC was given data that could be aimed at.\n\n",
              b->out);
        return;
    }
    breakdown_heading(b, "% of attacks");
    breakdown_row(b, "refused", 1, refused_percent, 0);
    for (unsigned i = 0; i < sizeof kind / sizeof kind[0]; i++)
        breakdown_row(b, kind[i].name, 1, attack_percent, kind[i].offset);
    breakdown_row(b, "median us", 1, attack_us, 50);
    breakdown_row(b, "longest us", 1, attack_us, 100);
    fputs(
        "Accesses of the hostile device: refused; or to what was lent to it then, to\n"
        "pages given back (held: kept from other use; reusable; renewed: the address is\n"
        "in use again), to idle bytes of pools, to other bytes of a page, past the IOMMU.\n"
        "us: how long after the unmap those to pages given back went through.\n\n",
        b->out);
}

/* ---- Broken promises
 * ---------------------------------------------------------------------------------- */

static void broken(const struct comparison *report, FILE *out)
{
    bool any = false;
    for (unsigned i = 0; i < report->runs; i++) {
        const struct machine_result *r = &report->run[i];
        if (r->broken.text[0] == '\0')
            continue;
        terminal_wrapf(
            out, 0, 0, "%s %s: promise broken %" PRIu64 " times, as %s%s. The first: %s",
            r->policy, r->api, audit_broken(&r->counters.audit),
            r->negative ? "a negative control must" : "this hardware lets it by ",
            r->negative ? "" : r->leak, r->broken.text);
        any = true;
    }
    if (any)
        fputc('\n', out);
}

static void legend(FILE *out)
{
    fputs(
        "Per I/O: cycles, CPU cycles that were not idle; map, unmap, those inside the\n"
        "calls (unmap with flush timers); inv, invalidation commands; us, median latency;\n"
        "open, page-microseconds that given-back pages stayed reachable for the device;\n"
        "kept, bytes a driver keeps from map to unmap. hit%, of IOTLB look-ups.\n"
        "Per DMA of the device: where its time went (indented: inside the IOMMU), how\n"
        "its translation ended, and the reads of each page walk.\n\n",
        out);
}

/* How many of the runs from first on stand side by side: whole presets, if one fits. */
static unsigned beside(const struct comparison *report, unsigned first)
{
    const unsigned each = report->runs / report->configs;
    const unsigned left =
        each <= BREAKDOWN_RUNS ? report->runs - first : each - first % each;
    const unsigned most =
        each <= BREAKDOWN_RUNS ? BREAKDOWN_RUNS / each * each : BREAKDOWN_RUNS;
    return left < most ? left : most;
}

void comparison_table(const struct comparison *report, FILE *out, bool colour)
{
    struct breakdown b = { .presets = report->configs > 1, .out = out };
    comparisons(report, out, colour);
    broken(report, out);
    drives(report, out, colour);
    accesses(report, out, colour);
    attackers(report, out, colour);
    legend(out);
    for (unsigned first = 0; first < report->runs; first += b.runs) {
        b.run   = &report->run[first];
        b.runs  = beside(report, first);
        b.width = column_width(&b);
        cpu_breakdown(&b);
        device_breakdown(&b);
        attack_breakdown(&b);
    }
}
