/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline_command - each NVMe command from its doorbell until the driver finds its
 * completion, in steps, and the flow that connects it with its DMAs.
 */
#include <stdlib.h>

#include "sim/scope/timeline_parts.h"

static const char *const kind_name[] = {
    [NVME_TX_FETCH] = "fetch",           [NVME_TX_LIST] = "list",
    [NVME_TX_DATA_READ] = "data read",   [NVME_TX_DATA_WRITTEN] = "data write",
    [NVME_TX_COMPLETION] = "completion", [NVME_TX_INTERRUPT] = "interrupt",
};

static struct timeline_queue *queue_of(struct timeline_device *d, uint32_t id)
{
    CHECK(id < d->queues);
    struct timeline_queue *q = &d->queue[id];
    if (q->ring == NULL) {
        q->ring = calloc(TIMELINE_RING, sizeof *q->ring);
        CHECK(q->ring != NULL);
    }
    return q;
}

static struct timeline_command *nth(const struct timeline_queue *q, uint64_t n)
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

static void draw(struct timeline_device *d, const struct timeline_command *c)
{
    struct timeline *t = d->host->timeline;
    const uint64_t track =
        timeline_lane(d, TRACK_WORK, c->lane, "NVMe commands", &d->lanes.known[c->lane]);
    const struct perfetto_event event = {
        .track   = track,
        .time_ns = timeline_ns(t, c->submitted),
        .name    = name_of(c),
        .flow    = &c->flow,
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

static void drop(struct timeline_device *d, struct timeline_command *c)
{
    if (c->shown) {
        d->host->timeline->shown_live--;
        timeline_lane_release(d, c->lane);
    }
    c->live = c->shown = false;
}

/* The completion is in memory, and the driver has found it: which is heard first is open.
 */
static void settle(struct timeline_device *d, struct timeline_command *c)
{
    if (c->written == 0 || c->found == 0)
        return;
    if (c->shown)
        draw(d, c);
    drop(d, c);
}

static void mark(struct timeline_device *d, unsigned cpu, const struct timeline_command *c,
                 const char *name, sim_time_t now)
{
    if (c->shown)
        timeline_mark(d->host, cpu, name, c->flow, now,
                      (struct perfetto_note){ "queue", c->queue, NULL },
                      (struct perfetto_note){ "cid", c->cid, NULL });
}

/* ---- What the driver does --------------------------------------------------------------
 */

static void submitted(void *self, uint32_t queue, uint16_t cid, unsigned cpu,
                      sim_time_t now)
{
    struct timeline_device *d  = self;
    struct timeline *t         = d->host->timeline;
    struct timeline_queue *q   = queue_of(d, queue);
    struct timeline_command *c = nth(q, q->submitted);
    if (c->live)
        drop(d, c); /* A ring behind: it has been forgotten. */
    *c      = (struct timeline_command){ .n         = q->submitted++,
                                         .flow      = timeline_new_flow(t),
                                         .queue     = (uint16_t)queue,
                                         .cid       = cid,
                                         .live      = true,
                                         .shown     = timeline_shows(t, now),
                                         .submitted = now };
    c->lane = c->shown ? timeline_lane_take(d) : 0;
    t->shown_live += c->shown;
    *place_of_cid(q, cid) = c;
    mark(d, cpu, c, "doorbell", now);
}

static void found(void *self, uint32_t queue, uint16_t cid, unsigned cpu, sim_time_t now)
{
    struct timeline_device *d       = self;
    struct timeline_command **place = place_of_cid(queue_of(d, queue), cid);
    struct timeline_command *c      = *place;
    *place                          = NULL;
    if (c == NULL || !c->live)
        return;
    c->found = now;
    mark(d, cpu, c, "completion found", now);
    settle(d, c);
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
    struct timeline_device *d = self;
    struct timeline_queue *q  = queue_of(d, queue);
    d->fetch                  = (struct timeline_link){ .name  = kind_name[NVME_TX_FETCH],
                                                        .queue = queue,
                                                        .first = q->asked,
                                                        .count = entries };
    for (; entries > 0 && q->asked < q->rung; entries--)
        nth(q, q->asked++)->asked = now;
}

static struct timeline_command **place_of(struct timeline_device *d,
                                          const struct nvme_command *c)
{
    return &d->of_command[c - d->scope.nvme->command];
}

static void arrived(void *self, const struct nvme_command *command, sim_time_t now)
{
    struct timeline_device *d  = self;
    struct timeline_queue *q   = queue_of(d, command->sq->id);
    struct timeline_command *c = q->arrived < q->asked ? nth(q, q->arrived++) : NULL;
    *place_of(d, command)      = c;
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
    struct timeline_device *d  = self;
    struct timeline_command *c = *place_of(d, command);
    if (c == NULL)
        return;
    c->done  = d->host->scope.engine->now;
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

static uint32_t submitting(void *self, const struct nvme_tx *tx)
{
    struct timeline_device *d = self;
    if (tx->kind == NVME_TX_FETCH)
        return timeline_link_new(d, &d->fetch);
    if (tx->kind == NVME_TX_INTERRUPT || tx->command == NULL)
        return 0;
    const struct timeline_command *c = *place_of(d, tx->command);
    if (c == NULL)
        return 0;
    const struct timeline_link link = { .name       = kind_name[tx->kind],
                                        .completion = tx->kind == NVME_TX_COMPLETION,
                                        .queue      = c->queue,
                                        .first      = c->n,
                                        .flow       = c->flow };
    return timeline_link_new(d, &link);
}

uint64_t timeline_command_flow(const struct timeline_device *d, uint32_t queue, uint64_t n)
{
    const struct timeline_command *c = nth(&d->queue[queue], n);
    return c->n == n ? c->flow : 0;
}

void timeline_command_written(struct timeline_device *d, const struct timeline_link *link,
                              sim_time_t when)
{
    struct timeline_command *c = nth(queue_of(d, link->queue), link->first);
    if (!c->live || c->n != link->first)
        return;
    c->written = when;
    settle(d, c);
}

/* ---- The run ---------------------------------------------------------------------------
 */

void timeline_commands_begin(struct timeline_device *d)
{
    d->queues     = d->scope.nvme->config.queues + 1;
    d->queue      = calloc(d->queues, sizeof *d->queue);
    d->of_command = calloc(d->scope.nvme->config.commands, sizeof *d->of_command);
    CHECK(d->queue != NULL);
    CHECK(d->of_command != NULL);
    d->nvme_watcher   = (struct nvme_watcher){ .rung       = rung,
                                               .fetching   = fetching,
                                               .arrived    = arrived,
                                               .begun      = begun,
                                               .done       = done,
                                               .completing = completing,
                                               .submitting = submitting,
                                               .self       = d };
    d->driver_watcher = (struct driver_watcher){ submitted, found, d };
}

void timeline_commands_leave(struct timeline_device *d)
{
    for (unsigned i = 0; i < d->queues; i++) {
        free(d->queue[i].ring);
        free(d->queue[i].of_cid);
    }
    free(d->queue);
    free(d->of_command);
}
