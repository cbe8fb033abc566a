/* SPDX-License-Identifier: Apache-2.0 */
/* What the HTML report shows, as JSON: keys are short, as there are many runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cause.h"
#include "sim/app/comparison.h"
#include "sim/app/html.h"
#include "sim/app/text.h"
#include "sim/app/version.h"
#include "sim/base/check.h"

enum { FINDINGS_MOST = 60, DIFFERENCES_MOST = 60, CAUSES_MOST = 24 };

struct view {
    const struct html_input *input;
    json_t *root, *groups, *configs, *notes;
    unsigned runs, shown, detailed;
};

/* A figure in as few characters as keep it. */
static json_t *figure(double value)
{
    if (value == floor(value) && fabs(value) < 9e15)
        return json_integer((json_int_t)value);
    return json_real(value);
}

static double per(double what, double of)
{
    return of > 0.0 ? what / of : 0.0;
}

/* The place of a string in an array, where it is put if it is not there. */
static unsigned place(json_t *array, const char *text)
{
    size_t index;
    json_t *one;
    json_array_foreach(array, index, one)
    {
        if (strcmp(json_string_value(one), text) == 0)
            return (unsigned)index;
    }
    json_array_append_new(array, json_string(text));
    return (unsigned)json_array_size(array) - 1;
}

/* ---- What the figures are ---- */

static json_t *metric_names(void)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        json_array_append_new(all, json_pack("[sss]", metric_def[i].name,
                                             metric_def[i].unit, metric_def[i].text));
    return all;
}

static json_t *owner_names(void)
{
    json_t *all = json_array();
    for (unsigned o = 0; o < OWNERS; o++)
        if (o != OWNER_idle)
            json_array_append_new(all,
                                  json_pack("[ss]", cpu_owner_name[o], cpu_owner_text[o]));
    return all;
}

/* Parts of a DMA's time that sum to it; of that in the IOMMU, its own. */
static const struct part {
    const char *name, *path, *text;
    bool cycles; /* Of the IOMMU; otherwise ps. */
} part_before[] = {
    { "link_up", "device.dma.link_up_ps", "On the link towards the host", false },
    { "port", "device.dma.port_ps", "Waiting at the root port", false },
    { "edge", "device.dma.edge_ps", "Up to the next edge of the IOMMU's clock", false },
}, part_behind[] = {
    { "order", "device.dma.order_ps", "Waiting for requests that must go first", false },
    { "memory", "device.dma.memory_ps", "In memory", false },
    { "link_down", "device.dma.link_down_ps", "On the link back to the device", false },
};
enum {
    BEFORE = sizeof part_before / sizeof part_before[0],
    BEHIND = sizeof part_behind / sizeof part_behind[0],
    PARTS  = BEFORE + XLATE_PART_COUNT + BEHIND
};

static struct part part_at(unsigned index, char path[64])
{
    if (index < BEFORE)
        return part_before[index];
    if (index >= BEFORE + XLATE_PART_COUNT)
        return part_behind[index - BEFORE - XLATE_PART_COUNT];
    const unsigned x = index - BEFORE;
    snprintf(path, 64, "iommu.cycles.%s", xlate_part_name[x]);
    return (struct part){ xlate_part_name[x], path, xlate_part_text[x], true };
}

static json_t *part_names(void)
{
    char path[64];
    json_t *all = json_array();
    for (unsigned i = 0; i < PARTS; i++) {
        const struct part p = part_at(i, path);
        json_array_append_new(all, json_pack("[ssb]", p.name, p.text,
                                             p.cycles || strcmp(p.name, "edge") == 0));
    }
    return all;
}

/* ---- One run ---- */

static json_t *run_metrics(const struct result_run *run)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const struct result_metric *m = result_metric_find(run, metric_def[i].name);
        json_array_append_new(all, m == NULL ? json_null() : figure(m->value));
    }
    return all;
}

static json_t *run_owners(const struct result_run *run)
{
    const json_t *from = json_object_get(run->json, "cpu_breakdown");
    json_t *all        = json_array();
    for (unsigned o = 0; o < OWNERS; o++)
        if (o != OWNER_idle)
            json_array_append_new(
                all, figure(per(json_number_value(json_object_get(from, cpu_owner_name[o])),
                                result_records(run))));
    return all;
}

static json_t *run_parts(const struct result_run *run)
{
    char path[64];
    json_t *all           = json_array();
    const double cycle_ps = result_number(run->config, "iommu.period_ps", 0.0);
    const double dmas     = result_number(run->json, "device.dma.read", 0.0)
                        + result_number(run->json, "device.dma.write", 0.0);
    for (unsigned i = 0; i < PARTS; i++) {
        const struct part p = part_at(i, path);
        const double value  = result_number(run->json, p.path, 0.0);
        json_array_append_new(
            all, figure(per(value * (p.cycles ? cycle_ps : 1.0) / 1000.0, dmas)));
    }
    return all;
}

/* How translations ended, in percent, and the share that was not translated at all. */
static json_t *run_outcomes(const struct result_run *run)
{
    static const char *const outcome[] = { "hit", "walked", "joined", "bypassed",
                                           "faulted" };
    json_t *all                        = json_array();
    const double of = result_number(run->json, "iommu.iommu.translation", 0.0);
    for (unsigned i = 0; i < sizeof outcome / sizeof outcome[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "iommu.iommu.translation_%s", outcome[i]);
        json_array_append_new(all,
                              figure(100.0 * per(result_number(run->json, path, 0.0), of)));
    }
    return all;
}

static bool untranslated(const struct result_run *run)
{
    const double all = result_number(run->json, "iommu.iommu.translation", 0.0);
    return all > 0.0
           && result_number(run->json, "iommu.iommu.translation_bypassed", 0.0) == all;
}

/* ---- Distributions ---- */

static bool bucket_of(const json_t *bucket, double *last, double *count)
{
    const json_t *l = json_array_get(bucket, 1), *c = json_array_get(bucket, 2);
    if (!json_is_number(l) || !json_is_number(c))
        return false;
    *last  = json_number_value(l);
    *count = json_number_value(c);
    return true;
}

/* Of all buckets: the value that so many percent do not exceed. */
static double percentile(const json_t *buckets, double count, double percent)
{
    size_t index;
    json_t *one;
    double seen = 0.0, last = 0.0, n;
    json_array_foreach(buckets, index, one)
    {
        if (!bucket_of(one, &last, &n))
            return 0.0;
        seen += n;
        if (seen >= count * percent / 100.0)
            break;
    }
    return last;
}

/* Neighbours that a picture cannot tell apart, within 3 %, become one: [last, count]. */
static json_t *thinned(const json_t *buckets, double scale)
{
    size_t index;
    json_t *one, *all = json_array();
    double last, count, began = 0.0, end = 0.0, sum = 0.0;
    json_array_foreach(buckets, index, one)
    {
        if (!bucket_of(one, &last, &count))
            continue;
        if (sum > 0.0 && last > began * 1.03) {
            json_array_append_new(all, json_pack("[ff]", end / scale, sum));
            sum = 0.0;
        }
        began = sum > 0.0 ? began : last;
        end   = last;
        sum += count;
    }
    if (sum > 0.0)
        json_array_append_new(all, json_pack("[ff]", end / scale, sum));
    json_array_foreach(all, index, one)
    {
        json_array_set_new(one, 0, figure(json_number_value(json_array_get(one, 0))));
        json_array_set_new(one, 1, figure(json_number_value(json_array_get(one, 1))));
    }
    return all;
}

/* In ns, whatever they are kept in. */
static json_t *histogram(const json_t *h)
{
    static const double shown[] = { 50.0, 90.0, 99.0, 99.9 };
    const json_t *buckets       = json_object_get(h, "buckets");
    const char *unit            = json_string_value(json_object_get(h, "unit"));
    const double scale          = unit != NULL && strcmp(unit, "ps") == 0 ? 1000.0 : 1.0;
    const double count          = json_number_value(json_object_get(h, "count"));
    const double most           = json_number_value(json_object_get(h, "max"));
    json_t *b = thinned(buckets, scale), *p = json_array();
    if (count <= 0.0 || json_array_size(b) == 0) {
        json_decref(b);
        json_decref(p);
        return NULL;
    }
    for (unsigned i = 0; i < sizeof shown / sizeof shown[0]; i++)
        json_array_append_new(
            p, figure(fmin(percentile(buckets, count, shown[i]), most) / scale));
    json_array_append_new(p, figure(most / scale));
    return json_pack("{sosososo}", "n", figure(count), "mean",
                     figure(json_number_value(json_object_get(h, "sum")) / count / scale),
                     "p", p, "b", b);
}

static json_t *run_histograms(const struct result_run *run)
{
    const char *name;
    json_t *h, *all = json_object();
    json_object_foreach(json_object_get(run->json, "histograms"), name, h)
    {
        json_t *one = histogram(h);
        if (one != NULL)
            json_object_set_new(all, name, one);
    }
    return all;
}

/* ---- Over time ---- */

static bool counts_only(const json_t *column, size_t places)
{
    size_t index;
    json_t *one;
    if (!json_is_array(column) || json_array_size(column) != places)
        return false;
    json_array_foreach(column, index, one)
    {
        if (!json_is_integer(one) || json_integer_value(one) < 0)
            return false;
    }
    return true;
}

/* The columns that the page draws; NULL when the result has none, or not such. */
static json_t *run_series(const struct result_run *run)
{
    const json_t *from = json_object_get(run->json, "series");
    json_t *end        = json_object_get(from, "end_ps"), *all;
    const size_t n     = json_array_size(end);
    if (n == 0 || n > SERIES_MAX || !counts_only(end, n))
        return NULL;
    all = json_pack("{sO}", "end_ps", end);
    for (unsigned c = 0; c < SERIES_COLUMN_COUNT; c++) {
        if (c == SERIES_ID_record || c == SERIES_ID_invalidation) /* Not drawn. */
            continue;
        json_t *column = json_object_get(from, series_def[c].name);
        if (counts_only(column, n))
            json_object_set(all, series_def[c].name, column);
    }
    return all;
}

/* ---- Configurations ---- */

/* "iotlb.sets=32" where it is not what the preset says, for this program's presets. */
static void put_if_set(json_t *changes, const char *table, const char *key,
                       const json_t *value, const json_t *usual)
{
    if (usual == NULL || json_equal(usual, value))
        return;
    json_t *text = json_is_boolean(value)
                       ? json_sprintf("%s.%s=%d", table, key, json_is_true(value))
                   : json_is_string(value)
                       ? json_sprintf("%s.%s=%s", table, key, json_string_value(value))
                       : json_sprintf("%s.%s=%.17g", table, key, json_number_value(value));
    json_array_append_new(changes, text);
}

static json_t *changes_of(const json_t *config)
{
    const char *preset = json_string_value(json_object_get(config, "preset"));
    const char *name, *key;
    struct error error;
    struct config usual;
    json_t *table, *value, *changes = json_array();
    if (!config_init(&usual, preset, &error))
        return changes;
    json_t *defaults = comparison_config(&usual);
    json_object_foreach((json_t *)config, name, table)
    {
        if (json_is_object(table))
            json_object_foreach(table, key, value)
            {
                put_if_set(changes, name, key, value,
                           json_object_get(json_object_get(defaults, name), key));
            }
    }
    json_decref(defaults);
    config_free(&usual);
    return changes;
}

/* The first is kept whole, of the others what differs from it. */
static json_t *differing(const json_t *config, const json_t *first)
{
    const char *name, *key;
    json_t *table, *value, *all = json_object();
    json_object_foreach((json_t *)config, name, table)
    {
        if (json_is_object(table))
            json_object_foreach(table, key, value)
            {
                if (json_equal(value, json_object_get(json_object_get(first, name), key)))
                    continue;
                json_t *full = json_sprintf("%s.%s", name, key);
                json_object_set(all, json_string_value(full), value);
                json_decref(full);
            }
    }
    return all;
}

/* The place of a configuration among those that are different. */
static unsigned config_place(struct view *v, const json_t *config)
{
    size_t index;
    json_t *one;
    json_array_foreach(v->configs, index, one)
    {
        if (json_equal(json_object_get(one, "all"), config))
            return (unsigned)index;
    }
    json_t *first = json_object_get(json_array_get(v->configs, 0), "all");
    json_array_append_new(
        v->configs,
        json_pack("{sOsoso}", "all", (json_t *)config, "set", changes_of(config), "other",
                  first == NULL ? json_object() : differing(config, first)));
    return (unsigned)json_array_size(v->configs) - 1;
}

/* Only the first goes into the page whole. */
static void thin_configs(struct view *v)
{
    size_t index;
    json_t *one;
    json_array_foreach(v->configs, index, one)
    {
        if (index > 0)
            json_object_del(one, "all");
    }
}

/* ---- Runs ---- */

static json_t *traces_of(const struct result_run *run)
{
    size_t index;
    json_t *one, *all = json_array();
    json_array_foreach(run->traces, index, one)
    {
        const char *format = json_string_value(json_object_get(one, "format"));
        json_array_append_new(all, json_pack("[OOOs]", json_object_get(one, "path"),
                                             json_object_get(one, "sha256"),
                                             json_object_get(one, "records"),
                                             format != NULL ? format : ""));
    }
    return all;
}

static bool is_fabric(const struct result_run *run)
{
    return json_object_get(json_object_get(run->json, "software"), "fabric") != NULL;
}

static json_t *run_view(struct view *v, unsigned from, const struct result_run *run,
                        const char *label)
{
    const char *promise = json_string_value(json_object_get(run->json, "promise"));
    const char *sweep =
        json_string_value(json_object_get(v->input->result[from]->document, "name"));
    const char *group = label != NULL ? sweep : run->workload; /* One, of all its points. */
    json_t *o = json_pack("{sisissssss}", "f", (int)from, "g", (int)place(v->groups, group),
                          "preset", run->preset, "policy", run->policy, "api", run->api);
    json_object_set_new(o, "cpus", figure((double)run->cpus));
    if (is_fabric(run)) /* Its "cpus" are those of all hosts, --cpus of each. */
        json_object_set_new(o, "hosts",
                            figure(result_number(run->config, "fabric.hosts", 1.0)));
    json_object_set_new(o, "seed", figure((double)run->seed));
    json_object_set_new(o, "all", json_boolean(untranslated(run)));
    json_object_set_new(o, "promise", json_string(promise != NULL ? promise : ""));
    json_object_set_new(
        o, "attacker",
        json_boolean(json_object_get(json_object_get(run->json, "device"), "attacker")
                     != NULL));
    json_object_set_new(o, "c", json_integer(config_place(v, run->config)));
    json_object_set_new(o, "m", run_metrics(run));
    json_object_set_new(o, "o", run_owners(run));
    json_object_set_new(o, "d", run_parts(run));
    json_object_set_new(o, "x", run_outcomes(run));
    if (label != NULL)
        json_object_set_new(o, "label", json_string(label));
    if (json_object_get(run->json, "drives") != NULL) /* --limit is of each. */
        json_object_set_new(o, "drives", json_true());
    if (label == NULL || v->shown == 0) /* The traces of a sweep are those of its first. */
        json_object_set_new(o, "t", traces_of(run));
    if (v->detailed < HTML_DETAILED_MOST) {
        json_t *series = run_series(run), *histograms = run_histograms(run);
        v->detailed += series != NULL || json_object_size(histograms) > 0;
        json_object_set_new(o, "h", histograms);
        if (series != NULL)
            json_object_set_new(o, "s", series);
    }
    v->shown++;
    return o;
}

static double reach(const struct result_run *run)
{
    return untranslated(run) ? INFINITY
                             : result_metric_value(run, "exposure_page_us_per_io")
                                   + result_metric_value(run, "pool_page_us_per_io");
}

struct trade {
    double open, cost;
    unsigned run;
};

static int by_reach(const void *a, const void *b)
{
    const struct trade *x = a, *y = b;
    if (x->open != y->open)
        return x->open < y->open ? -1 : 1;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    return x->run < y->run ? -1 : 1;
}

/* Of each run: whether no other has less of reach and cycles both, or as little of one and
 * less of the other. To be freed. */
static bool *best_runs(const struct result *r)
{
    struct trade *trade = calloc(r->runs, sizeof *trade);
    bool *best          = calloc(r->runs, sizeof *best);
    double least        = INFINITY;
    CHECK(trade != NULL);
    CHECK(best != NULL);
    for (unsigned i = 0; i < r->runs; i++)
        trade[i] =
            (struct trade){ reach(&r->run[i]),
                            result_metric_value(&r->run[i], "cpu_cycles_per_io"), i };
    qsort(trade, r->runs, sizeof *trade, by_reach);
    for (unsigned i = 0; i < r->runs; i++) {
        best[trade[i].run] = trade[i].cost < least;
        least              = fmin(least, trade[i].cost);
    }
    free(trade);
    return best;
}

/* Runs of which there is only a dot: [cycles, reach]. */
static json_t *point(const struct result_run *run)
{
    return json_pack("[oo]", figure(result_metric_value(run, "cpu_cycles_per_io")),
                     untranslated(run) ? json_null() : figure(reach(run)));
}

static void put_runs(struct view *v, json_t *runs, json_t *points)
{
    for (unsigned r = 0; r < v->input->results; r++) {
        const struct result *result = v->input->result[r];
        const bool all              = v->runs <= HTML_RUNS_MOST;
        unsigned taken              = 0;
        bool *best                  = best_runs(result);
        for (unsigned i = 0; i < result->runs; i++) {
            const struct result_run *run = &result->run[i];
            const char *label = json_string_value(json_array_get(v->input->labels[r], i));
            if (all || taken < HTML_RUNS_MOST / v->input->results / 2
                || (v->shown < HTML_RUNS_MOST && best[i])) {
                taken++;
                json_array_append_new(runs, run_view(v, r, run, label));
            } else if (json_array_size(points) < HTML_POINTS_MOST) {
                json_array_append_new(points, point(run));
            }
        }
        free(best);
    }
}

/* ---- The baseline ---- */

static json_t *finding(const struct gate_finding *f, bool explain)
{
    static const char *const verdict[] = { "worse", "worse (warning)", "better", "changed",
                                           "same" };
    char *text                         = NULL;
    size_t bytes;
    if (explain) {
        FILE *out          = open_memstream(&text, &bytes);
        struct cause cause = cause_of_metric(f->before_run, f->after_run, f->before->name);
        CHECK(out != NULL);
        cause_put_line(&cause, f->before, f->after, out);
        cause_free(&cause);
        fclose(out);
    }
    json_t *one = json_pack("[sssssoosb]", verdict[f->verdict], f->before_run->name,
                            f->before->name, f->before->unit, text != NULL ? text : "",
                            figure(f->before->value), figure(f->after->value),
                            f->rule->match, f->before->better == METRIC_higher);
    free(text);
    return one;
}

static json_t *baseline_view(const struct gate *g)
{
    json_t *findings = json_array(), *missing = json_array(), *differences = json_array();
    for (unsigned i = 0; i < g->findings && i < FINDINGS_MOST; i++)
        json_array_append_new(findings, finding(&g->finding[i], i < CAUSES_MOST));
    for (unsigned i = 0; i < g->missings && i < DIFFERENCES_MOST; i++)
        json_array_append_new(missing, json_string(g->missing[i]));
    for (unsigned i = 0; i < g->differences.count && i < DIFFERENCES_MOST; i++) {
        const struct difference *d = &g->differences.one[i];
        json_array_append_new(
            differences, json_pack("[ss?s?i]", d->key, d->before, d->after, (int)d->runs));
    }
    return json_pack("{sssssbsisisisosososi}", "name", g->before->name, "version",
                     g->before->version, "comparable", gate_comparable(g), "pairs",
                     (int)g->pairs, "metrics", (int)g->metrics, "found", (int)g->findings,
                     "findings", findings, "missing", missing, "differences", differences,
                     "added", (int)g->added);
}

/* ---- The whole ---- */

static json_t *results_view(const struct html_input *input)
{
    json_t *all = json_array();
    for (unsigned r = 0; r < input->results; r++) {
        const struct result *one = input->result[r];
        json_array_append_new(all,
                              json_pack("[ssi]", one->name, one->version, (int)one->runs));
    }
    return all;
}

static void note(struct view *v, json_t *points)
{
    const unsigned dots = (unsigned)json_array_size(points);
    if (v->shown < v->runs)
        json_array_append_new(
            v->notes,
            json_sprintf("%u of %u runs are shown in full, the best trade-offs among them; "
                         "%u more are dots in the chart of cost against exposure%s.",
                         v->shown, v->runs, dots,
                         v->shown + dots < v->runs ? ", the others are left out" : ""));
    if (v->detailed == HTML_DETAILED_MOST && v->shown > v->detailed)
        json_array_append_new(
            v->notes,
            json_sprintf("Distributions and behaviour over time are there for the first %u "
                         "runs.",
                         v->detailed));
}

/* "seqread on vtd-server": what tells this page from others in a browser. */
static json_t *title(const struct html_input *input)
{
    const struct result *first = input->result[0];
    const char *suite = json_string_value(json_object_get(first->document, "name"));
    return json_sprintf("%s%s: iovasim report",
                        suite != NULL ? suite : first->run[0].workload,
                        input->results > 1 ? " and others" : "");
}

json_t *html_view(const struct html_input *input)
{
    CHECK(input->results > 0);
    CHECK(input->results <= HTML_RESULTS_MOST);
    struct view v = { .input   = input,
                      .root    = json_object(),
                      .groups  = json_array(),
                      .configs = json_array(),
                      .notes   = json_array() };
    json_t *runs = json_array(), *points = json_array();
    for (unsigned r = 0; r < input->results; r++)
        v.runs += input->result[r]->runs;
    put_runs(&v, runs, points);
    thin_configs(&v);
    note(&v, points);
    json_object_set_new(v.root, "title", title(input));
    json_object_set_new(v.root, "version", json_string(IOVASIM_VERSION));
    json_object_set_new(v.root, "results", results_view(input));
    json_object_set_new(v.root, "metrics", metric_names());
    json_object_set_new(v.root, "owners", owner_names());
    json_object_set_new(v.root, "parts", part_names());
    json_object_set_new(v.root, "groups", v.groups);
    json_object_set_new(v.root, "configs", v.configs);
    json_object_set_new(v.root, "runs", runs);
    json_object_set_new(v.root, "points", points);
    json_object_set_new(v.root, "notes", v.notes);
    if (input->gate != NULL)
        json_object_set_new(v.root, "baseline", baseline_view(input->gate));
    return v.root;
}
