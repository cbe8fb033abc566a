/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* FNM_EXTMATCH */
#include "sim/app/cause.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

/* Two runs, and the parts that were found. */
struct search {
    const struct result_run *before, *after;
    const char *phase, *owner; /* Only these; NULL: all. */
    const char *counter;       /* Those whose "group.key" is like this; NULL: all. */
    struct cause cause;
    unsigned room;
};

static void add(struct search *s, const char *unit, double before, double after,
                const char *group, const char *name, const char *joint)
{
    if (before == after)
        return;
    if (s->cause.parts == s->room) {
        s->room       = 2 * s->room + 64;
        s->cause.part = realloc(s->cause.part, s->room * sizeof *s->cause.part);
        CHECK(s->cause.part != NULL);
    }
    struct cause_part *part = &s->cause.part[s->cause.parts++];
    *part = (struct cause_part){ .unit = unit, .before = before, .after = after };
    snprintf(part->name, sizeof part->name, "%s%s%s", group, joint, name);
}

static double records(const struct result_run *run)
{
    const double ios = result_records(run);
    return ios > 0.0 ? ios : 1.0;
}

static const json_t *member(const struct result_run *run, const char *group,
                            const char *name)
{
    return json_object_get(json_object_get(run->json, group), name);
}

/* Every key that one of two objects has, once, with its two values (0: it has none). */
static void each(struct search *s, const json_t *before, const json_t *after,
                 void (*visit)(struct search *s, const char *group, const char *key,
                               double before, double after),
                 const char *group)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)before, key, value)
    {
        if (json_is_number(value))
            visit(s, group, key, json_number_value(value),
                  json_number_value(json_object_get(after, key)));
    }
    json_object_foreach((json_t *)after, key, value)
    {
        if (json_is_number(value) && json_object_get(before, key) == NULL)
            visit(s, group, key, 0.0, json_number_value(value));
    }
}

/* ---- CPU cycles ---- */

static void add_owner(struct search *s, const char *phase, const char *owner, double before,
                      double after)
{
    if (s->owner == NULL ? strcmp(owner, "idle") != 0 : strcmp(owner, s->owner) == 0)
        add(s, "cycles", before / records(s->before), after / records(s->after), owner,
            phase, " in ");
}

static void find_cycles(struct search *s)
{
    const char *phase;
    json_t *owners;
    json_object_foreach(json_object_get(s->before->json, "cpu_phases"), phase, owners)
    {
        if (s->phase == NULL || strcmp(s->phase, phase) == 0)
            each(s, owners, member(s->after, "cpu_phases", phase), add_owner, phase);
    }
}

/* ---- The device's time ---- */

static double dmas(const struct result_run *run)
{
    const double all = result_number(run->json, "device.dma.read", 0.0)
                       + result_number(run->json, "device.dma.write", 0.0);
    return all > 0.0 ? all : 1.0;
}

static void add_step(struct search *s, const char *group, const char *key, double before,
                     double after)
{
    const size_t n = strlen(key);
    if (n < 4 || strcmp(key + n - 3, "_ps") != 0 || strcmp(key, "whole_ps") == 0)
        return;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)n - 3, key);
    add(s, "ns", before / 1000.0 / dmas(s->before), after / 1000.0 / dmas(s->after), group,
        name, " ");
}

static double cycle_ns(const struct result_run *run)
{
    return result_number(run->config, "iommu.period_ps", 0.0) / 1000.0;
}

/* Inside the IOMMU: they are parts of "device translate". */
static void add_inside(struct search *s, const char *group, const char *key, double before,
                       double after)
{
    add(s, "ns", before * cycle_ns(s->before) / dmas(s->before),
        after * cycle_ns(s->after) / dmas(s->after), group, key, " ");
}

static void find_device(struct search *s)
{
    each(s, member(s->before, "device", "dma"), member(s->after, "device", "dma"), add_step,
         "device");
    each(s, member(s->before, "iommu", "cycles"), member(s->after, "iommu", "cycles"),
         add_inside, "translate:");
}

/* ---- Counters ---- */

static void add_counter(struct search *s, const char *group, const char *key, double before,
                        double after)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", group, key);
    if (s->counter != NULL && fnmatch(s->counter, name, FNM_EXTMATCH) != 0)
        return;
    if (fnmatch("*_ps", key, 0) == 0 || fnmatch("*_ps_*", key, 0) == 0)
        add(s, strstr(key, "page_ps") != NULL ? "page ns/record" : "ns/record",
            before / 1000.0 / records(s->before), after / 1000.0 / records(s->after), group,
            key, ".");
    else
        add(s, fnmatch("*_cycles", key, 0) == 0 ? "cycles/record" : "/record",
            before / records(s->before), after / records(s->after), group, key, ".");
}

static void find_counters(struct search *s, const char *heading)
{
    const char *group;
    json_t *table;
    json_object_foreach(json_object_get(s->before->json, heading), group, table)
    {
        if (strcmp(group, "cycles") != 0)
            each(s, table, member(s->after, heading, group), add_counter, group);
    }
}

/* ---- All together ---- */

static double change(const struct cause_part *part)
{
    return fabs(part->after - part->before);
}

/* By unit, then the largest change first; names decide what is left. */
static int order(const void *a, const void *b)
{
    const struct cause_part *x = a, *y = b;
    const int unit = strcmp(x->unit, y->unit);
    if (unit != 0)
        return unit;
    if (change(x) != change(y))
        return change(x) < change(y) ? 1 : -1;
    return strcmp(x->name, y->name);
}

static struct cause find(struct search *s, unsigned kinds)
{
    if (kinds & CAUSE_CYCLES)
        find_cycles(s);
    if (kinds & CAUSE_DEVICE)
        find_device(s);
    if (kinds & CAUSE_ACTIONS)
        find_counters(s, "software");
    if (kinds & CAUSE_BLOCKS) {
        find_counters(s, "device");
        find_counters(s, "iommu");
    }
    if (s->cause.parts > 0)
        qsort(s->cause.part, s->cause.parts, sizeof *s->cause.part, order);
    return s->cause;
}

struct cause cause_find(const struct result_run *before, const struct result_run *after,
                        unsigned kinds)
{
    struct search s = { .before = before, .after = after };
    return find(&s, kinds);
}

void cause_free(struct cause *c)
{
    free(c->part);
    *c = (struct cause){ NULL, 0 };
}

/* Where to look, by the name of the metric: the first that matches. */
static const struct {
    const char *metric, *phase, *owner, *counter;
    unsigned kinds;
} place[] = {
    { "map_cycles_per_io", "map", NULL, NULL, CAUSE_CYCLES },
    { "unmap_cycles_per_io", "unmap", NULL, NULL, CAUSE_CYCLES },
    { "deferred_cycles_per_io", "deferred", NULL, NULL, CAUSE_CYCLES },
    { "inval_lock_cycles_per_io", NULL, "inval_lock", NULL, CAUSE_CYCLES },
    { "inval_slot_cycles_per_io", NULL, "inval_slot", NULL, CAUSE_CYCLES },
    { "inval_poll_cycles_per_io", NULL, "inval_wait", NULL, CAUSE_CYCLES },
    { "*cycles*", NULL, NULL, NULL, CAUSE_CYCLES },
    { "dma_latency*", NULL, NULL, NULL, CAUSE_DEVICE },
    { "@(iotlb|walk)*", NULL, NULL, "@(iotlb.|walkcache.|iommu.walk|iommu.translation)*",
      CAUSE_BLOCKS },
    { "drain*", NULL, NULL, "iommu.@(drain|command)*", CAUSE_BLOCKS },
    { "@(expos|stale)*", NULL, NULL, "audit.@(page|expos|stale)*", CAUSE_BLOCKS },
    { "@(collateral|refill)*", NULL, NULL, "audit.@(collateral|pointer|refill)*",
      CAUSE_BLOCKS },
    { "@(partial|pool)*", NULL, NULL, "audit.@(partial|pool)*", CAUSE_BLOCKS },
    { "inval*", NULL, NULL, NULL, CAUSE_ACTIONS },
    { "*", NULL, NULL, NULL, CAUSE_CYCLES | CAUSE_DEVICE },
};

struct cause cause_of_metric(const struct result_run *before,
                             const struct result_run *after, const char *metric)
{
    unsigned i = 0;
    while (fnmatch(place[i].metric, metric, FNM_EXTMATCH) != 0)
        i++;
    struct search s = { .before  = before,
                        .after   = after,
                        .phase   = place[i].phase,
                        .owner   = place[i].owner,
                        .counter = place[i].counter };
    return find(&s, place[i].kinds);
}

static void put_part(const struct cause_part *part, const struct result_metric *before,
                     const struct result_metric *after, FILE *out)
{
    const double delta = part->after - part->before;
    const double whole = after->value - before->value;
    fprintf(out, "%s %+.4g %s", part->name, delta, part->unit);
    if (strcmp(part->unit, "cycles") == 0 && strcmp(before->unit, "cycles") == 0
        && whole != 0.0) /* Steps are of a DMA: they are no parts of what an I/O took. */
        fprintf(out, " (%.0f %% of the change)", 100.0 * delta / whole);
}

/* The largest of each unit, up to three in all. */
void cause_put_line(const struct cause *c, const struct result_metric *before,
                    const struct result_metric *after, FILE *out)
{
    enum { MOST = 3 };
    unsigned shown   = 0;
    const char *unit = "";
    for (unsigned pass = 0; pass < 2; pass++, unit = "")
        for (unsigned i = 0; i < c->parts && shown < MOST; i++) {
            const bool first = strcmp(unit, c->part[i].unit) != 0;
            unit             = c->part[i].unit;
            if (first != (pass == 0))
                continue;
            fputs(shown++ > 0 ? ", " : "", out);
            put_part(&c->part[i], before, after, out);
        }
    if (shown == 0)
        fputs("no counter of its kind has changed", out);
}
