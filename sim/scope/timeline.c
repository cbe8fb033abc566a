/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/scope/timeline.h"

#include <stdlib.h>

#include "sim/scope/timeline_parts.h"

struct timeline *timeline_new(FILE *out, const struct scope_window *window)
{
    struct timeline *t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    t->window = *window;
    perfetto_begin(&t->out, out);
    return t;
}

void timeline_free(struct timeline *t)
{
    CHECK(t->dma == NULL);
    free(t);
}

void timeline_step(struct timeline *t, uint64_t track, const char *name, sim_time_t *at,
                   sim_time_t length)
{
    if (length == 0)
        return;
    const struct perfetto_event event = { .track   = track,
                                          .time_ns = timeline_ns(t, *at),
                                          .name    = name,
                                          .note    = { { "ps", length, NULL } } };
    perfetto_slice(&t->out, &event);
    *at += length;
    perfetto_slice_end(&t->out, track, timeline_ns(t, *at));
}

/* ---- Counters --------------------------------------------------------------------------
 */

static struct gauge_source gauges_of(const struct scope *s)
{
    return (struct gauge_source){ s->iommu, s->port, s->nvme, s->audit };
}

static void begin_gauges(struct timeline *t)
{
    const struct gauge_source source = gauges_of(&t->scope);
    t->gauges                        = gauge_list(&source, t->gauge);
    for (unsigned i = 0; i < t->gauges; i++) {
        const struct gauge *g = &t->gauge[i];
        t->value[i]           = UINT64_MAX; /* The first sample is drawn. */
        if ((g->use & GAUGE_COUNTER) != 0)
            perfetto_counter(&t->out, timeline_track(t, TRACK_GAUGE, i),
                             timeline_track(t, TRACK_PROCESS_ITSELF, 0), g->text,
                             g->use & GAUGE_BYTES ? PERFETTO_BYTES : PERFETTO_COUNT,
                             3000 + (int)i);
    }
}

void timeline_sample(struct timeline *t, sim_time_t now)
{
    const struct gauge_source source = gauges_of(&t->scope);
    if (!timeline_shows(t, now))
        return;
    for (unsigned i = 0; i < t->gauges; i++) {
        const struct gauge *g = &t->gauge[i];
        if ((g->use & GAUGE_COUNTER) == 0)
            continue;
        const uint64_t value = g->read(&source, g->index);
        if (value == t->value[i])
            continue;
        t->value[i] = value;
        perfetto_count(&t->out, timeline_track(t, TRACK_GAUGE, i), timeline_ns(t, now),
                       value);
    }
}

/* ---- A run -----------------------------------------------------------------------------
 */

static sim_time_t later(sim_time_t zero, sim_time_t by)
{
    return by > TIME_NEVER - zero ? TIME_NEVER : zero + by;
}

static void watch(struct timeline *t, bool on)
{
    const struct scope *s = &t->scope;
    t->watching           = on;
    for (unsigned i = 0; i < s->cpus; i++)
        s->cpu[i].watcher = on ? &t->cpu_watcher : NULL;
    s->port->watcher   = on ? &t->port_watcher : NULL;
    s->nvme->watcher   = on ? &t->nvme_watcher : NULL;
    s->driver->watcher = on ? &t->driver_watcher : NULL;
}

void timeline_begin(struct timeline *t, const char *name, const struct scope *scope,
                    sim_time_t now)
{
    CHECK(t->dma == NULL);
    t->run++;
    t->scope      = *scope;
    t->zero       = now;
    t->from       = later(now, t->window.from);
    t->to         = later(now, t->window.to);
    t->shown_live = 0;
    perfetto_process(&t->out, timeline_track(t, TRACK_PROCESS_ITSELF, 0),
                     (int)t->run * 1000, name);
    iommu_keep_trails(scope->iommu);
    begin_gauges(t);
    timeline_cpus_begin(t, now);
    timeline_commands_begin(t);
    timeline_dmas_begin(t);
    watch(t, true);
    timeline_sample(t, now);
}

/* DMAs and commands that have begun may still end. */
void timeline_end(struct timeline *t, sim_time_t now)
{
    if (!t->watching)
        return;
    timeline_cpus_end(t, time_min(now, t->to));
    for (unsigned i = 0; i < t->scope.cpus; i++)
        t->scope.cpu[i].watcher = NULL;
    t->to = time_min(now, t->to); /* Nothing more begins. */
}

/* Takes the watchers away when nothing more is to be drawn. */
static void retire(struct timeline *t, sim_time_t now)
{
    if (!t->watching || now < t->to || t->shown_live > 0)
        return;
    if (t->scope.cpu[0].watcher != NULL)
        timeline_cpus_end(t, t->to);
    watch(t, false);
}

void timeline_leave(struct timeline *t)
{
    if (t->dma == NULL)
        return;
    timeline_dmas_leave(t);
    timeline_commands_leave(t);
    t->watching = false;
}

void timeline_stepped(struct timeline *t, sim_time_t now)
{
    if (!t->watching)
        return;
    timeline_sample(t, now);
    retire(t, now);
}
