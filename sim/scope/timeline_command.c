/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline_command - each NVMe command from its doorbell until the driver finds its
 * completion, in steps, and the flow that connects it with its DMAs.
 */
#include <stdlib.h>

#include "sim/scope/timeline_parts.h"

static struct timeline_queue *queue_of(struct timeline *t, uint32_t id)
{
    CHECK(id < t->queues);
    struct timeline_queue *q = &t->queue[id];
    if (q->ring == NULL) {
        q->ring = calloc(TIMELINE_RING, sizeof *q->ring);
        CHECK(q->ring != NULL);
    }
    return q;
}

static struct timeline_command *nth(struct timeline_queue *q, uint64_t n)
{
    return &q->ring[n % TIMELINE_RING];
}

static struct timeline_command **place_of_cid(struct timeline_queue *q, uint16_t cid)
{
    if (cid >= q->cids) {
        const uint32_t cids = (uint32_t)cid + 64;
        q->of_cid           = realloc(q->of_cid, cids * sizeof *q->of_cid);
        CHECK(q->of_cid != NULL);
        for (; q->cids < cids; q->cids++)
            q->of_cid[q->cids] = NULL;
    }
    return &q->of_cid[cid];
}

/* ---- Lanes: commands that overlap are drawn side by side -------------------------------
 */

static unsigned lane_take(struct timeline *t)
{
    unsigned lane = 0;
    while (lane < t->lanes && t->lane_busy[lane])
        lane++;
    if (lane == t->lanes) {
        t->lanes++;
        t->lane_busy  = realloc(t->lane_busy, t->lanes * sizeof *t->lane_busy);
        t->lane_known = realloc(t->lane_known, t->lanes * sizeof *t->lane_known);
        CHECK(t->lane_busy != NULL);
        CHECK(t->lane_known != NULL);
        t->lane_known[lane] = false;
    }
    t->lane_busy[lane] = true;
    return lane;
}

static uint64_t lane_track(struct timeline *t, unsigned lane)
{
    const uint64_t track = timeline_track(t, TRACK_COMMAND, lane);
    if (!t->lane_known[lane])
        perfetto_track(&t->out, track, timeline_track(t, TRACK_PROCESS_ITSELF, 0),
                       "NVMe commands", 1000);
    t->lane_known[lane] = true;
    return track;
}

/* ---- Drawing ---------------------------------------------------------------------------
 */

static const char *name_of(const struct timeline_command *c)
{
    if (c->queue == 0)
        return "admin";
    switch (c->opcode) {
    case NVME_READ:
        return "read";
    case NVME_WRITE:
        return "write";
    case NVME_FLUSH:
        return "flush";
    case NVME_WRITE_ZEROES:
        return "write zeroes";
    case NVME_DATASET:
        return "dataset management";
    default:
        return "command";
    }
}

static void draw_steps(struct timeline *t, uint64_t track, const struct timeline_command *c)
{
    const struct {
        const char *name;
        sim_time_t until;
    } step[] = {
        { "doorbell", c->rung },    { "arbitrate", c->asked },
        { "fetch", c->arrived },    { "decode", c->begun },
        { "execute", c->done },     { "queue completion", c->completing },
        { "complete", c->written }, { "interrupt", c->found },
    };
    sim_time_t at = c->submitted;
    for (unsigned i = 0; i < sizeof step / sizeof step[0]; i++) {
        CHECK(step[i].until >= at);
        timeline_step(t, track, step[i].name, &at, step[i].until - at);
    }
}

static void draw(struct timeline *t, const struct timeline_command *c)
{
    const uint64_t track              = lane_track(t, c->lane);
    const uint64_t flow               = timeline_flow(t, c->queue, c->n);
    const struct perfetto_event event = {
        .track   = track,
        .time_ns = timeline_ns(t, c->submitted),
        .name    = name_of(c),
        .flow    = &flow,
        .flows   = 1,
        .note    = { { "ps", c->found - c->submitted, NULL },
                     { "queue", c->queue, NULL },
                     { "cid", c->cid, NULL },
                     { "bytes", c->bytes, NULL } },
    };
    perfetto_slice(&t->out, &event);
    draw_steps(t, track, c);
    perfetto_slice_end(&t->out, track, timeline_ns(t, c->found));
}

static void drop(struct timeline *t, struct timeline_command *c)
{
    if (c->shown) {
        t->shown_live--;
        t->lane_busy[c->lane] = false;
    }
    c->live = c->shown = false;
}

/* The completion is in memory, and the driver has found it: which is heard first is open.
 */
static void settle(struct timeline *t, struct timeline_command *c)
{
    if (c->written == 0 || c->found == 0)
        return;
    if (c->shown)
        draw(t, c);
    drop(t, c);
}

static void mark(struct timeline *t, unsigned cpu, const struct timeline_command *c,
                 const char *name, sim_time_t now)
{
    const uint64_t flow               = timeline_flow(t, c->queue, c->n);
    const struct perfetto_event event = { .track   = timeline_track(t, TRACK_CPU, cpu),
                                          .time_ns = timeline_ns(t, now),
                                          .name    = name,
                                          .flow    = &flow,
                                          .flows   = 1,
                                          .note    = { { "queue", c->queue, NULL },
                                                       { "cid", c->cid, NULL } } };
    if (c->shown)
        perfetto_instant(&t->out, &event);
}

/* ---- What the driver does --------------------------------------------------------------
 */

static void submitted(void *self, uint32_t queue, uint16_t cid, unsigned cpu,
                      sim_time_t now)
{
    struct timeline *t         = self;
    struct timeline_queue *q   = queue_of(t, queue);
    struct timeline_command *c = nth(q, q->submitted);
    if (c->live)
        drop(t, c); /* A ring behind: it has been forgotten. */
    *c      = (struct timeline_command){ .n         = q->submitted++,
                                         .queue     = (uint16_t)queue,
                                         .cid       = cid,
                                         .live      = true,
                                         .shown     = timeline_shows(t, now),
                                         .submitted = now };
    c->lane = c->shown ? lane_take(t) : 0;
    t->shown_live += c->shown;
    *place_of_cid(q, cid) = c;
    mark(t, cpu, c, "doorbell", now);
}

static void found(void *self, uint32_t queue, uint16_t cid, unsigned cpu, sim_time_t now)
{
    struct timeline *t              = self;
    struct timeline_command **place = place_of_cid(queue_of(t, queue), cid);
    struct timeline_command *c      = *place;
    *place                          = NULL;
    if (c == NULL || !c->live)
        return;
    c->found = now;
    mark(t, cpu, c, "completion found", now);
    settle(t, c);
}

/* ---- What the controller does ----------------------------------------------------------
 */

static void rung(void *self, uint16_t queue, uint32_t entries, sim_time_t now)
{
    struct timeline_queue *q = queue_of(self, queue);
    for (; entries > 0 && q->rung < q->submitted; entries--)
        nth(q, q->rung++)->rung = now;
}

static void fetching(void *self, uint16_t queue, uint32_t entries, sim_time_t now)
{
    struct timeline *t       = self;
    struct timeline_queue *q = queue_of(t, queue);
    t->fetch = (struct timeline_link){ NVME_TX_FETCH, queue, q->asked, entries };
    for (; entries > 0 && q->asked < q->rung; entries--)
        nth(q, q->asked++)->asked = now;
}

static struct timeline_command **place_of(struct timeline *t, const struct nvme_command *c)
{
    return &t->of_command[c - t->scope.nvme->command];
}

static void arrived(void *self, const struct nvme_command *command, sim_time_t now)
{
    struct timeline *t         = self;
    struct timeline_queue *q   = queue_of(t, command->sq->id);
    struct timeline_command *c = q->arrived < q->asked ? nth(q, q->arrived++) : NULL;
    *place_of(t, command)      = c;
    if (c == NULL)
        return;
    c->arrived = now;
    c->opcode  = command->sqe.opcode;
}

static void begun(void *self, const struct nvme_command *command, sim_time_t now)
{
    struct timeline_command *c = *place_of(self, command);
    if (c != NULL)
        c->begun = now;
}

static void done(void *self, const struct nvme_command *command)
{
    struct timeline *t         = self;
    struct timeline_command *c = *place_of(t, command);
    if (c == NULL)
        return;
    c->done  = t->scope.engine->now;
    c->bytes = command->data.bytes;
}

static void completing(void *self, const struct nvme_command *command, sim_time_t now)
{
    struct timeline_command *c = *place_of(self, command);
    if (c != NULL)
        c->completing = now;
}

/* ---- Which DMA is part of what ---------------------------------------------------------
 */

static uint32_t link_new(struct timeline *t, const struct timeline_link *link)
{
    t->link[t->links % TIMELINE_LINKS] = *link;
    return t->links++ % TIMELINE_LINKS + 1;
}

static uint32_t submitting(void *self, const struct nvme_tx *tx)
{
    struct timeline *t = self;
    if (tx->kind == NVME_TX_FETCH)
        return link_new(t, &t->fetch);
    if (tx->kind == NVME_TX_INTERRUPT || tx->command == NULL)
        return 0;
    const struct timeline_command *c = *place_of(t, tx->command);
    if (c == NULL)
        return 0;
    const struct timeline_link link = { tx->kind, c->queue, c->n, 1 };
    return link_new(t, &link);
}

const struct timeline_link *timeline_link_of(const struct timeline *t, uint32_t flow)
{
    return flow == 0 ? NULL : &t->link[flow - 1];
}

void timeline_written(struct timeline *t, const struct timeline_link *link, sim_time_t when)
{
    struct timeline_command *c = nth(queue_of(t, link->queue), link->first);
    if (!c->live || c->n != link->first)
        return;
    c->written = when;
    settle(t, c);
}

/* ---- The run ---------------------------------------------------------------------------
 */

void timeline_commands_begin(struct timeline *t)
{
    t->queues     = t->scope.nvme->config.queues + 1;
    t->queue      = calloc(t->queues, sizeof *t->queue);
    t->of_command = calloc(t->scope.nvme->config.commands, sizeof *t->of_command);
    CHECK(t->queue != NULL);
    CHECK(t->of_command != NULL);
    t->nvme_watcher   = (struct nvme_watcher){ .rung       = rung,
                                               .fetching   = fetching,
                                               .arrived    = arrived,
                                               .begun      = begun,
                                               .done       = done,
                                               .completing = completing,
                                               .submitting = submitting,
                                               .self       = t };
    t->driver_watcher = (struct driver_watcher){ submitted, found, t };
}

void timeline_commands_leave(struct timeline *t)
{
    for (unsigned i = 0; i < t->queues; i++) {
        free(t->queue[i].ring);
        free(t->queue[i].of_cid);
    }
    free(t->queue);
    free(t->of_command);
    free(t->lane_busy);
    free(t->lane_known);
    t->queue      = NULL;
    t->of_command = NULL;
    t->lane_busy = t->lane_known = NULL;
    t->lanes                     = 0;
}
