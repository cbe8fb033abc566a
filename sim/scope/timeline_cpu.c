/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline_cpu - whose the CPUs' time was: a slice for each stretch of an owner, and around
 * those of a map, an unmap or what an unmap has deferred, one for the phase.
 */
#include <stdio.h>

#include "sim/scope/timeline_parts.h"

static void close_phase(struct timeline_host *h, unsigned cpu, sim_time_t at)
{
    struct timeline *t     = h->timeline;
    struct timeline_cpu *c = &h->cpu[cpu];
    if (c->drawn_phase >= 0)
        perfetto_slice_end(&t->out, timeline_track(h, TRACK_CPU, cpu), timeline_ns(t, at));
    c->drawn_phase = -1;
}

static void open_phase(struct timeline_host *h, unsigned cpu, enum cpu_phase phase,
                       sim_time_t at)
{
    if (h->cpu[cpu].drawn_phase == (int)phase)
        return;
    close_phase(h, cpu, at);
    if (phase == PHASE_other)
        return;
    const struct perfetto_event event = { .track   = timeline_track(h, TRACK_CPU, cpu),
                                          .time_ns = timeline_ns(h->timeline, at),
                                          .name    = cpu_phase_name[phase] };
    perfetto_slice(&h->timeline->out, &event);
    h->cpu[cpu].drawn_phase = (int)phase;
}

/* Draws the stretch that is complete, as far as it lies in the window. */
static void draw(struct timeline_host *h, unsigned cpu)
{
    struct timeline *t     = h->timeline;
    struct timeline_cpu *c = &h->cpu[cpu];
    sim_time_t at          = time_max(c->from, t->from);
    const sim_time_t until = time_min(c->until, t->to);
    c->from                = c->until;
    if (at >= until)
        return;
    open_phase(h, cpu, c->phase, at);
    timeline_step(t, timeline_track(h, TRACK_CPU, cpu), cpu_owner_name[c->owner], &at,
                  until - at);
}

static void owned(void *self, unsigned cpu, sim_time_t until, enum cpu_owner owner,
                  enum cpu_phase phase)
{
    struct timeline_host *h = self;
    struct timeline_cpu *c  = &h->cpu[cpu];
    if (until <= c->until)
        return;
    if (c->until > c->from && (owner != c->owner || phase != c->phase))
        draw(h, cpu);
    c->owner = owner;
    c->phase = phase;
    c->until = until;
}

/* A CPU that waits has not been charged yet; one that has run ahead is cut. */
static void end_one(struct timeline_host *h, const struct cpu *cpu, sim_time_t now)
{
    owned(h, cpu->id, time_min(cpu->time, now), cpu->owner, cpu->phase);
    owned(h, cpu->id, now, cpu->waiting ? OWNER_idle : cpu->owner, cpu->phase);
    draw(h, cpu->id);
    close_phase(h, cpu->id, time_min(h->cpu[cpu->id].until, now));
}

void timeline_cpus_end(struct timeline_host *h, sim_time_t now)
{
    for (unsigned i = 0; i < h->scope.cpus; i++)
        end_one(h, &h->scope.cpu[i], now);
}

void timeline_cpus_begin(struct timeline_host *h, sim_time_t now)
{
    for (unsigned i = 0; i < h->scope.cpus; i++) {
        char name[16];
        snprintf(name, sizeof name, "cpu%u", i);
        perfetto_thread(&h->timeline->out, timeline_track(h, TRACK_CPU, i),
                        timeline_track(h, TRACK_PROCESS_ITSELF, 0), (int)h->process * 1000,
                        (int)(h->process * 1000 + i + 1), name, RANK_CPU + (int)i);
        h->cpu[i] = (struct timeline_cpu){ .from = now, .until = now, .drawn_phase = -1 };
    }
    h->cpu_watcher = (struct cpu_watcher){ .owned = owned, .self = h };
}
