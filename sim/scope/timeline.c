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

bool timeline_free(struct timeline *t, struct error *error)
{
    CHECK(t->host == NULL);
    const bool reached = t->reached;
    free(t);
    return reached || error_set(error, "--timeline: nothing happens in the window");
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

void timeline_mark(struct timeline_host *h, unsigned cpu, const char *name, uint64_t flow,
                   sim_time_t now, struct perfetto_note first, struct perfetto_note second)
{
    const struct perfetto_event event = { .track   = timeline_track(h, TRACK_CPU, cpu),
                                          .time_ns = timeline_ns(h->timeline, now),
                                          .name    = name,
                                          .flow    = &flow,
                                          .flows   = 1,
                                          .note    = { first, second } };
    perfetto_instant(&h->timeline->out, &event);
}

/* ---- Lanes -----------------------------------------------------------------------------
 */

enum { NAME_BYTES = 96 };

/* Of several devices of a host, each says which it is. */
static const char *full_name(const struct timeline_device *d, const char *name,
                             char text[NAME_BYTES])
{
    if (d->host->scope.devices == 1)
        return name;
    snprintf(text, NAME_BYTES, "%s: %s", d->scope.name, name);
    return text;
}

uint64_t timeline_lane(struct timeline_device *d, enum track_group group, unsigned lane,
                       const char *name, bool *known)
{
    const int rank = (group == TRACK_DMA ? RANK_DMA : RANK_WORK) + (int)d->index;
    CHECK(lane < 1u << TRACK_DEVICE_SHIFT);
    const uint64_t track =
        timeline_track(d->host, group, d->index << TRACK_DEVICE_SHIFT | lane);
    char text[NAME_BYTES];
    if (!*known)
        perfetto_track(&d->host->timeline->out, track,
                       timeline_track(d->host, TRACK_PROCESS_ITSELF, 0),
                       full_name(d, name, text), rank);
    *known = true;
    return track;
}

unsigned timeline_lane_take(struct timeline_device *d)
{
    struct timeline_lanes *l = &d->lanes;
    unsigned lane            = 0;
    while (lane < l->count && l->busy[lane])
        lane++;
    if (lane == l->count) {
        l->count++;
        l->busy  = realloc(l->busy, l->count * sizeof *l->busy);
        l->known = realloc(l->known, l->count * sizeof *l->known);
        CHECK(l->busy != NULL);
        CHECK(l->known != NULL);
        l->known[lane] = false;
    }
    l->busy[lane] = true;
    return lane;
}

void timeline_lane_release(struct timeline_device *d, unsigned lane)
{
    CHECK(d->lanes.busy[lane]);
    d->lanes.busy[lane] = false;
}

/* ---- Counters --------------------------------------------------------------------------
 */

/* device NULL: those of the host itself. Returns the next one's track. */
static unsigned begin_gauges(struct timeline_host *h, struct timeline_gauges *g,
                             const struct timeline_device *device, unsigned first)
{
    struct timeline *t = h->timeline;
    char text[NAME_BYTES];
    g->first = first;
    g->count = device != NULL ? gauge_list_device(&g->source, g->gauge)
                              : gauge_list_host(&g->source, g->gauge);
    for (unsigned i = 0; i < g->count; i++) {
        const struct gauge *one = &g->gauge[i];
        g->value[i]             = UINT64_MAX; /* The first sample is drawn. */
        if ((one->use & GAUGE_COUNTER) != 0)
            perfetto_counter(&t->out, timeline_track(h, TRACK_GAUGE, first + i),
                             timeline_track(h, TRACK_PROCESS_ITSELF, 0),
                             device != NULL ? full_name(device, one->text, text)
                                            : one->text,
                             one->use & GAUGE_BYTES ? PERFETTO_BYTES : PERFETTO_COUNT,
                             RANK_GAUGE + (int)(first + i));
    }
    return first + g->count;
}

static void sample(struct timeline_host *h, struct timeline_gauges *g, sim_time_t now)
{
    struct timeline *t = h->timeline;
    for (unsigned i = 0; i < g->count; i++) {
        const struct gauge *one = &g->gauge[i];
        if ((one->use & GAUGE_COUNTER) == 0)
            continue;
        const uint64_t value = one->read(&g->source, one->index);
        if (value == g->value[i])
            continue;
        g->value[i] = value;
        perfetto_count(&t->out, timeline_track(h, TRACK_GAUGE, g->first + i),
                       timeline_ns(t, now), value);
    }
}

void timeline_sample(struct timeline_host *h, sim_time_t now)
{
    if (!timeline_shows(h->timeline, now))
        return;
    for (unsigned i = 0; i < h->scope.devices; i++)
        sample(h, &h->device[i].gauges, now);
    sample(h, &h->gauges, now);
}

/* ---- A run -----------------------------------------------------------------------------
 */

static sim_time_t later(sim_time_t zero, sim_time_t by)
{
    return by > TIME_NEVER - zero ? TIME_NEVER : zero + by;
}

static void watch_device(struct timeline_device *d, bool on)
{
    const struct scope_device *s = &d->scope;
    s->port->watcher             = on ? &d->port_watcher : NULL;
    if (s->nvme != NULL) {
        s->nvme->watcher   = on ? &d->nvme_watcher : NULL;
        s->driver->watcher = on ? &d->driver_watcher : NULL;
    }
    if (s->nic != NULL) {
        s->nic->watcher   = on ? &d->rdma_watcher : NULL;
        s->verbs->watcher = on ? &d->verbs_watcher : NULL;
    }
}

static void watch_cpus(struct timeline *t, bool on)
{
    for (unsigned h = 0; h < t->hosts; h++)
        for (unsigned i = 0; i < t->host[h].scope.cpus; i++)
            t->host[h].scope.cpu[i].watcher = on ? &t->host[h].cpu_watcher : NULL;
}

static void watch(struct timeline *t, bool on)
{
    t->watching = on;
    watch_cpus(t, on);
    for (unsigned h = 0; h < t->hosts; h++)
        for (unsigned i = 0; i < t->host[h].scope.devices; i++)
            watch_device(&t->host[h].device[i], on);
}

static unsigned begin_device(struct timeline_host *h, unsigned index, unsigned gauges)
{
    struct timeline_device *d = &h->device[index];
    d->host                   = h;
    d->index                  = index;
    d->scope                  = h->scope.device[index];
    d->gauges.source          = (struct gauge_source){ .port     = d->scope.port,
                                                       .nvme     = d->scope.nvme,
                                                       .nic      = d->scope.nic,
                                                       .requests = &d->works };
    gauges                    = begin_gauges(h, &d->gauges, d, gauges);
    if (d->scope.nvme != NULL)
        timeline_commands_begin(d);
    if (d->scope.nic != NULL)
        timeline_works_begin(d);
    timeline_dmas_begin(d);
    return gauges;
}

static void begin_host(struct timeline *t, struct timeline_host *h, const char *name,
                       const struct scope *scope)
{
    char text[2 * NAME_BYTES];
    unsigned gauges = 0;
    h->timeline     = t;
    h->process      = ++t->processes;
    h->scope        = *scope;
    CHECK(scope->devices <= SCOPE_DEVICES_MAX);
    snprintf(text, sizeof text, scope->name != NULL ? "%s, %s" : "%s", name, scope->name);
    perfetto_process(&t->out, timeline_track(h, TRACK_PROCESS_ITSELF, 0),
                     (int)h->process * 1000, text);
    iommu_keep_trails(scope->iommu);
    for (unsigned i = 0; i < scope->devices; i++)
        gauges = begin_device(h, i, gauges);
    h->gauges.source =
        (struct gauge_source){ .iommu = scope->iommu, .audit = scope->audit };
    begin_gauges(h, &h->gauges, NULL, gauges);
    timeline_cpus_begin(h, t->zero);
}

void timeline_begin(struct timeline *t, const char *name, const struct scope *scope,
                    unsigned hosts, sim_time_t now)
{
    CHECK(t->host == NULL);
    CHECK(hosts <= SCOPE_HOSTS_MAX);
    t->host = calloc(hosts, sizeof *t->host);
    CHECK(t->host != NULL);
    t->hosts      = hosts;
    t->zero       = now;
    t->from       = later(now, t->window.from);
    t->to         = later(now, t->window.to);
    t->ended      = false;
    t->shown_live = 0;
    for (unsigned i = 0; i < hosts; i++)
        begin_host(t, &t->host[i], name, &scope[i]);
    watch(t, true);
    for (unsigned i = 0; i < hosts; i++)
        timeline_sample(&t->host[i], now);
}

static void end_cpus(struct timeline *t, sim_time_t now)
{
    for (unsigned i = 0; !t->ended && i < t->hosts; i++)
        timeline_cpus_end(&t->host[i], now);
    t->ended = true;
}

/* What has begun may still end. */
void timeline_end(struct timeline *t, sim_time_t now)
{
    t->reached |= now > t->from;
    if (!t->watching)
        return;
    end_cpus(t, time_min(now, t->to));
    watch_cpus(t, false);
    t->to = time_min(now, t->to); /* Nothing more begins. */
}

/* Takes the watchers away when nothing more is to be drawn. */
static void retire(struct timeline *t, sim_time_t now)
{
    if (!t->watching || now < t->to || t->shown_live > 0)
        return;
    end_cpus(t, t->to);
    watch(t, false);
}

void timeline_leave(struct timeline *t)
{
    for (unsigned h = 0; h < t->hosts; h++)
        for (unsigned i = 0; i < t->host[h].scope.devices; i++) {
            struct timeline_device *d = &t->host[h].device[i];
            watch_device(d, false);
            timeline_dmas_leave(d);
            timeline_commands_leave(d);
            timeline_works_leave(d);
            free(d->lanes.busy);
            free(d->lanes.known);
        }
    free(t->host);
    t->host     = NULL;
    t->hosts    = 0;
    t->watching = false;
}

void timeline_stepped(struct timeline *t, unsigned host, sim_time_t now)
{
    if (!t->watching)
        return;
    timeline_sample(&t->host[host], now);
    retire(t, now);
}
