/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>

#include "sim/app/comparison.h"
#include "sim/app/metric.h"
#include "sim/app/version.h"

static json_t *count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *value_of(const struct param_def *def, const void *values)
{
    switch (def->type) {
    case PARAM_name:
        return json_string(param_text(def, values));
    case PARAM_flag:
        return json_boolean(param_number(def, values) != 0);
    case PARAM_u32:
    case PARAM_u64:
        break;
    }
    return count(param_number(def, values));
}

json_t *comparison_config(const struct config *c)
{
    json_t *all = json_object();
    const struct param_table *table;
    const void *values;
    json_object_set_new(all, "preset", json_string(c->preset));
    for (unsigned i = 0; (table = config_table(c, i, &values)) != NULL; i++) {
        json_t *one = json_object();
        for (const struct param_def *def = table->def; def->name != NULL; def++)
            json_object_set_new(one, def->name, value_of(def, values));
        json_object_set_new(all, table->prefix, one);
    }
    return all;
}

static json_t *configs_json(const struct comparison *report)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < report->configs; i++)
        json_array_append_new(all, comparison_config(&report->config[i]));
    return all;
}

static json_t *trace_json(const struct comparison_trace *t)
{
    json_t *o = json_object();
    json_object_set_new(o, "path", json_string(t->path));
    json_object_set_new(o, "sha256", json_string(t->sha256));
    json_object_set_new(o, "format", json_string(t->format));
    json_object_set_new(o, "records", count(t->records));
    return o;
}

static json_t *metrics_json(const struct machine_result *r)
{
    double value[METRIC_COUNT];
    json_t *all = json_object();
    metric_values(r, value);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        json_t *one = json_object();
        json_object_set_new(one, "value", json_real(value[i]));
        json_object_set_new(one, "unit", json_string(metric_def[i].unit));
        json_object_set_new(one, "better",
                            json_string(metric_better_name(metric_def[i].better)));
        json_object_set_new(all, metric_def[i].name, one);
    }
    return all;
}

static json_t *breakdown_json(const struct machine_counters *c)
{
    json_t *all = json_object();
    for (unsigned o = 0; o < OWNERS; o++) {
        uint64_t sum = 0;
        for (unsigned p = 0; p < PHASES; p++)
            sum += c->cycles[p][o];
        json_object_set_new(all, cpu_owner_name[o], count(sum));
    }
    return all;
}

static json_t *phases_json(const struct machine_counters *c)
{
    json_t *all = json_object();
    for (unsigned p = 0; p < PHASES; p++) {
        json_t *one = json_object();
        for (unsigned o = 0; o < OWNERS; o++)
            if (c->cycles[p][o] != 0)
                json_object_set_new(one, cpu_owner_name[o], count(c->cycles[p][o]));
        json_object_set_new(all, cpu_phase_name[p], one);
    }
    return all;
}

static json_t *table_json(const struct stat_table *table, const void *stats)
{
    json_t *o = json_object();
    for (const struct stat_def *def = table->def; def->name != NULL; def++)
        json_object_set_new(o, def->name, count(stat_value(def, stats)));
    return o;
}

static json_t *group_json(const struct machine_counters *c, const char *const *prefix);

/* What an end paid before the replay, until the drive was there. */
static json_t *start_json(const struct machine_result *r, unsigned end)
{
    static const char *const table[] = { "nvmf", "kernel", "iova", "verbs", NULL };
    json_t *one                      = group_json(&r->start[end], table);
    json_object_set_new(one, "time_ns", json_real((double)r->start_ps / TIME_NS));
    json_object_set_new(one, "cpu_breakdown", breakdown_json(&r->start[end]));
    json_object_set_new(one, "cpu_phases", phases_json(&r->start[end]));
    return one;
}

/* Block requests over RDMA: what each of the two hosts paid. */
static json_t *ends_json(const struct machine_result *r)
{
    static const char *const name[MACHINE_ENDS] = { "host", "target" };
    static const char *const table[]    = { "kernel", "iova",  "verbs", "rdma", "nvme",
                                            "dma",    "iommu", "iotlb", NULL };
    static const char *const attacker[] = { "attacker", "audit", NULL };
    json_t *all                         = json_object();
    for (unsigned i = 0; i < MACHINE_ENDS; i++) {
        json_t *one = group_json(&r->end[i], table);
        if (r->attacker)
            json_object_update_missing_new(one, group_json(&r->end[i], attacker));
        json_object_set_new(one, "cpu_breakdown", breakdown_json(&r->end[i]));
        json_object_set_new(one, "cpu_phases", phases_json(&r->end[i]));
        json_object_set_new(one, "start", start_json(r, i));
        json_object_set_new(all, name[i], one);
    }
    return all;
}

/* The tables that belong under one heading of a run. */
static json_t *group_json(const struct machine_counters *c, const char *const *prefix)
{
    json_t *all = json_object();
    for (; *prefix != NULL; prefix++) {
        const struct stat_table *table;
        const void *stats;
        for (unsigned i = 0; (table = machine_stats(c, i, &stats)) != NULL; i++)
            if (strcmp(table->prefix, *prefix) == 0)
                json_object_set_new(all, *prefix, table_json(table, stats));
    }
    return all;
}

static json_t *xlate_json(const struct machine_counters *c)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < XLATE_PART_COUNT; i++)
        json_object_set_new(o, xlate_part_name[i], count(c->xlate_cycles[i]));
    return o;
}

/* Buckets as [first, last, count], the empty ones left out. */
static json_t *histogram_json(const struct histogram *h, const char *unit)
{
    json_t *o = json_object(), *buckets = json_array();
    json_object_set_new(o, "unit", json_string(unit));
    json_object_set_new(o, "count", count(h->count));
    json_object_set_new(o, "sum", count(h->sum));
    json_object_set_new(o, "min", count(h->count == 0 ? 0 : h->min));
    json_object_set_new(o, "max", count(h->count == 0 ? 0 : h->max));
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        if (h->bucket[b] != 0)
            json_array_append_new(
                buckets, json_pack("[ooo]", count(histogram_bucket_first(b)),
                                   count(histogram_bucket_last(b)), count(h->bucket[b])));
    json_object_set_new(o, "buckets", buckets);
    return o;
}

static json_t *histograms_json(const struct machine_result *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "io_latency", histogram_json(&r->io_latency_ns, "ns"));
    json_object_set_new(o, "dma_read_latency", histogram_json(&r->dma_read_ps, "ps"));
    json_object_set_new(o, "dma_write_latency", histogram_json(&r->dma_write_ps, "ps"));
    json_object_set_new(o, "exposure", histogram_json(&r->exposure_ns, "ns"));
    if (r->attacker)
        json_object_set_new(o, "attack", histogram_json(&r->attack_ns, "ns"));
    return o;
}

/* As bus, device and function. */
static json_t *requester_json(uint16_t requester)
{
    return json_sprintf("%02x:%02x.%x", requester >> 8, requester >> 3 & 31, requester & 7);
}

/* The drives of a run that has several. */
static json_t *drives_json(const struct machine_result *r)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < r->drives; i++) {
        const struct machine_drive *d = &r->drive[i];
        json_t *o                     = json_object();
        json_object_set_new(o, "requester", requester_json(d->requester));
        json_object_set_new(o, "replay", table_json(&replay_stat_table, &d->replay));
        json_object_set_new(o, "driver", table_json(&driver_stat_table, &d->driver));
        json_object_set_new(o, "dma", table_json(&dma_stat_table, &d->dma));
        json_object_set_new(o, "io_latency", histogram_json(&d->io_latency_ns, "ns"));
        json_array_append_new(all, o);
    }
    return all;
}

/* Each hostile device; the sums are where all counters are. */
static json_t *attackers_json(const struct machine_result *r)
{
#define REACH_NAME(name) #name,
    static const char *const reach[] = { AUDIT_REACHES(REACH_NAME) };
    json_t *all                      = json_array();
    for (unsigned i = 0; i < r->attackers; i++) {
        const struct machine_attacker *a = &r->attack[i];
        json_t *o                        = table_json(&attacker_stat_table, &a->stats);
        json_t *reached                  = json_object();
        for (unsigned k = 0; k < AUDIT_REACH_COUNT; k++)
            json_object_set_new(reached, reach[k], count(a->reached[k]));
        if (a->host[0] != '\0')
            json_object_set_new(o, "host", json_string(a->host));
        json_object_set_new(o, "victim", json_string(a->victim));
        json_object_set_new(o, "requester", requester_json(a->requester));
        json_object_set_new(o, "reached", reached);
        json_object_set_new(o, "late_ns_p50", count(a->late_ns_p50));
        json_object_set_new(o, "late_ns_max", count(a->late_ns_max));
        json_array_append_new(all, o);
    }
    return all;
}

/* A column for each figure, a place for each window. */
static json_t *series_json(const struct series *s)
{
    json_t *o = json_object(), *end = json_array();
    for (unsigned w = 0; w < s->windows; w++)
        json_array_append_new(end, count(s->window[w].end - s->began));
    json_object_set_new(o, "end_ps", end);
    for (unsigned c = 0; c < SERIES_COLUMN_COUNT; c++) {
        json_t *column = json_array();
        for (unsigned w = 0; w < s->windows; w++)
            json_array_append_new(column, count(s->window[w].value[c]));
        json_object_set_new(o, series_def[c].name, column);
    }
    return o;
}

static json_t *run_json(const struct machine_result *r)
{
    static const char *const device[]    = { "nvme", "atc", "dma", NULL };
    static const char *const attacker[]  = { "attacker", NULL };
    static const char *const exerciser[] = { "exerciser", NULL };
    static const char *const nics[]      = { "rdma", "wire", "atc", "dma", NULL };
    static const char *const verbs[]     = { "fabric", "verbs", "kernel", "iova", NULL };
    static const char *const iommu[]     = { "iommu",   "iotlb",     "walkcache", "context",
                                             "memport", "extension", "audit",     NULL };
    static const char *const software[]  = { "replay", "driver", "kernel", "iova", NULL };
    static const char *const remote[]    = { "replay", "nvmf", "verbs", "driver",
                                             "kernel", "iova", NULL };
    static const char *const both[]      = { "nvme", "rdma", "wire", "atc", "dma", NULL };
    json_t *o                            = json_object();
    json_object_set_new(o, "api", json_string(r->api));
    json_object_set_new(o, "policy", json_string(r->policy));
    json_object_set_new(o, "promise", json_string(flush_promise_text(r->promise)));
    if (r->broken.text[0] != '\0')
        json_object_set_new(o, "broken", json_string(r->broken.text));
    if (r->broken.text[0] != '\0' && !r->negative)
        json_object_set_new(o, "leak", json_string(r->leak));
    json_object_set_new(o, "preset", json_string(r->preset));
    json_object_set_new(o, "seed", count(r->seed));
    json_object_set_new(o, "cpus", count(r->cpus));
    json_object_set_new(o, "findings", count(r->findings));
    json_object_set_new(o, "metrics", metrics_json(r));
    json_object_set_new(o, "cpu_breakdown", breakdown_json(&r->counters));
    json_object_set_new(o, "cpu_phases", phases_json(&r->counters));
    json_object_set_new(o, "software",
                        group_json(&r->counters, r->nvmf   ? remote
                                                 : r->rdma ? verbs
                                                           : software));
    json_t *devices = group_json(&r->counters, r->nvmf ? both : r->rdma ? nics : device);
    if (r->attacker)
        json_object_update_missing_new(devices, group_json(&r->counters, attacker));
    if (r->exerciser)
        json_object_update_missing_new(devices, group_json(&r->counters, exerciser));
    json_object_set_new(o, "device", devices);
    if (r->drives > 1)
        json_object_set_new(o, "drives", drives_json(r));
    if (r->attacker)
        json_object_set_new(o, "attackers", attackers_json(r));
    if (r->nvmf)
        json_object_set_new(o, "ends", ends_json(r));
    json_t *hardware = group_json(&r->counters, iommu);
    json_object_set_new(hardware, "cycles", xlate_json(&r->counters));
    json_object_set_new(o, "iommu", hardware);
    json_object_set_new(o, "histograms", histograms_json(r));
    json_object_set_new(o, "series", series_json(&r->series));
    return o;
}

json_t *comparison_document(const struct comparison *report)
{
    json_t *o = json_object(), *traces = json_array(), *runs = json_array();
    json_object_set_new(o, "schema", json_string("iovasim.result/1"));
    json_object_set_new(o, "tool",
                        json_pack("{ssss}", "name", "iovasim", "version", IOVASIM_VERSION));
    json_object_set_new(o, "config", comparison_config(report->config));
    if (report->configs > 1)
        json_object_set_new(o, "configs", configs_json(report));
    json_object_set_new(o, "trace", trace_json(&report->trace[0]));
    for (unsigned i = 0; i < report->traces; i++)
        json_array_append_new(traces, trace_json(&report->trace[i]));
    if (report->traces > 1)
        json_object_set_new(o, "traces", traces);
    else
        json_decref(traces);
    for (unsigned i = 0; i < report->runs; i++)
        json_array_append_new(runs, run_json(&report->run[i]));
    json_object_set_new(o, "runs", runs);
    return o;
}
