/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline_work - each RDMA work request from its doorbell until a program finds its
 * completion, in steps, and the flow that connects it with its DMAs on both hosts.
 *
 * A request that asks for no completion ends when the NIC is done with it.
 */
#include <stdlib.h>

#include "sim/scope/timeline_parts.h"

static struct timeline_work *place_of(const struct timeline_device *d, uint32_t qp,
                                      uint32_t index)
{
    CHECK(qp < d->scope.nic->config.qps);
    const struct timeline_qp *q = &d->qp[qp];
    return q->entries == 0 ? NULL : &q->ring[index & (q->entries - 1)];
}

/* The one that was posted while somebody looked; NULL: it was before. */
static struct timeline_work *find(const struct timeline_device *d, uint32_t qp,
                                  uint32_t index)
{
    struct timeline_work *w = place_of(d, qp, index);
    return w != NULL && w->live && w->index == index ? w : NULL;
}

/* ---- Drawing ---------------------------------------------------------------------------
 */

static const char *name_of(const struct timeline_work *w)
{
    static const char *const name[RDMA_OPCODES] = {
        [RDMA_SEND]         = "send",
        [RDMA_SEND_IMM]     = "send with immediate",
        [RDMA_SEND_INV]     = "send with invalidate",
        [RDMA_WRITE]        = "write",
        [RDMA_WRITE_IMM]    = "write with immediate",
        [RDMA_READ]         = "read",
        [RDMA_COMPARE_SWAP] = "compare and swap",
        [RDMA_FETCH_ADD]    = "fetch and add",
        [RDMA_LOCAL_INV]    = "invalidate",
        [RDMA_REG_MR]       = "register",
        [RDMA_BIND_MW]      = "bind",
    };
    return w->arrived != 0 && w->opcode < RDMA_OPCODES ? name[w->opcode] : "request";
}

/* What has not happened takes no time. */
static void draw_steps(struct timeline *t, uint64_t track, const struct timeline_work *w)
{
    const struct {
        const char *name;
        sim_time_t until;
    } step[] = {
        { "doorbell", w->rung },
        { "arbitrate", w->asked },
        { "fetch", w->arrived },
        { "start", w->begun },
        { "send", w->sent },
        { w->sent != 0 ? "answer" : "carry out", w->finished },
        { "queue completion", w->completing },
        { "complete", w->written },
        { "find", w->found },
    };
    sim_time_t at = w->posted;
    for (unsigned i = 0; i < sizeof step / sizeof step[0]; i++) {
        if (step[i].until == 0)
            continue;
        CHECK(step[i].until >= at);
        timeline_step(t, track, step[i].name, &at, step[i].until - at);
    }
}

static void draw(struct timeline_device *d, const struct timeline_work *w)
{
    struct timeline *t     = d->host->timeline;
    const uint64_t track   = timeline_lane(d, TRACK_WORK, w->lane, "RDMA work requests",
                                           &d->lanes.known[w->lane]);
    const sim_time_t until = w->signalled ? w->found : w->finished;
    const struct perfetto_event event = {
        .track   = track,
        .time_ns = timeline_ns(t, w->posted),
        .name    = name_of(w),
        .flow    = &w->flow,
        .flows   = 1,
        .note    = { { "ps", until - w->posted, NULL },
                     { "qp", w->qp, NULL },
                     { "index", w->index, NULL },
                     { "bytes", w->bytes, NULL },
                     { "status", w->status, NULL } },
    };
    perfetto_slice(&t->out, &event);
    draw_steps(t, track, w);
    perfetto_slice_end(&t->out, track, timeline_ns(t, until));
}

static void drop(struct timeline_device *d, struct timeline_work *w)
{
    if (w->shown) {
        d->host->timeline->shown_live--;
        timeline_lane_release(d, w->lane);
    }
    d->works--;
    w->live = w->shown = false;
}

/* The NIC is done with it, and, where there is one, the completion is in memory and has
 * been found: which is heard first is open. */
static void settle(struct timeline_device *d, struct timeline_work *w)
{
    if (!w->over || (w->signalled && (w->written == 0 || w->found == 0)))
        return;
    if (w->shown)
        draw(d, w);
    drop(d, w);
}

/* ---- What programs do ------------------------------------------------------------------
 */

/* A queue pair of this number that is new may have a ring of another size. */
static void make_ring(struct timeline_device *d, uint32_t qp, uint32_t entries)
{
    struct timeline_qp *q = &d->qp[qp];
    if (q->entries == entries)
        return;
    for (uint32_t i = 0; i < q->entries; i++)
        if (q->ring[i].live)
            drop(d, &q->ring[i]);
    free(q->ring);
    q->entries = entries;
    q->ring    = calloc(entries, sizeof *q->ring);
    CHECK(q->ring != NULL);
}

static void posted(void *self, uint32_t qp, uint32_t index, uint32_t entries, unsigned cpu,
                   sim_time_t now)
{
    struct timeline_device *d = self;
    struct timeline *t        = d->host->timeline;
    make_ring(d, qp, entries);
    struct timeline_work *w = place_of(d, qp, index);
    if (w->live)
        drop(d, w); /* Of a queue pair that has gone. */
    *w = (struct timeline_work){ .flow   = timeline_new_flow(t),
                                 .qp     = qp,
                                 .index  = index,
                                 .live   = true,
                                 .shown  = timeline_shows(t, now),
                                 .posted = now };
    d->works++;
    if (!w->shown)
        return;
    t->shown_live++;
    w->lane = timeline_lane_take(d);
    timeline_mark(d->host, cpu, "doorbell", w->flow, now,
                  (struct perfetto_note){ "qp", qp, NULL },
                  (struct perfetto_note){ "index", index, NULL });
}

static struct timeline_cqe *cqe_at(const struct timeline_device *d, uint32_t cq,
                                   uint32_t place)
{
    const struct timeline_cq *c = &d->cq[cq];
    return c->entries == 0 ? NULL : &c->ring[place & (c->entries - 1)];
}

static void found(void *self, uint32_t cq, uint32_t place, unsigned cpu, sim_time_t now)
{
    struct timeline_device *d = self;
    struct timeline_cqe *e    = cqe_at(d, cq, place);
    if (e == NULL || !e->live || e->position != place)
        return; /* Older than the replay. */
    e->live                 = false;
    struct timeline_work *w = e->receive ? NULL : find(d, e->qp, e->index);
    if (w == NULL ? e->shown && e->flow != 0 : w->shown)
        timeline_mark(d->host, cpu, e->receive ? "message found" : "completion found",
                      e->flow, now, (struct perfetto_note){ "qp", e->qp, NULL },
                      (struct perfetto_note){ "index", e->index, NULL });
    if (w == NULL)
        return;
    w->found = now;
    settle(d, w);
}

/* ---- What the NIC does -----------------------------------------------------------------
 */

static void rung(void *self, const struct rnic_qp *q, uint32_t first, uint32_t end,
                 sim_time_t now)
{
    for (uint32_t i = first; i != end; i++) {
        struct timeline_work *w = find(self, q->id, i);
        if (w != NULL)
            w->rung = now;
    }
}

static void arrived(void *self, const struct rnic_qp *q, uint32_t index,
                    const struct rnic_wqe *from, sim_time_t now)
{
    struct timeline_work *w = find(self, q->id, index);
    if (w == NULL)
        return;
    w->arrived = now;
    w->opcode  = from->raw.opcode;
    w->bytes   = from->bytes;
}

static uint64_t begun(void *self, const struct rnic_qp *q, uint32_t index, sim_time_t now)
{
    struct timeline_work *w = find(self, q->id, index);
    if (w == NULL)
        return 0;
    if (w->begun == 0) /* Packets are many, and may be made again. */
        w->begun = now;
    return w->flow;
}

static void sent(void *self, const struct rnic_qp *q, uint32_t index, sim_time_t now)
{
    struct timeline_work *w = find(self, q->id, index);
    if (w != NULL && !w->over)
        w->sent = now;
}

static uint64_t finished(void *self, const struct rnic_qp *q, uint32_t index,
                         uint8_t status, bool told, sim_time_t now)
{
    struct timeline_work *w = find(self, q->id, index);
    if (w == NULL)
        return 0;
    const uint64_t flow = w->flow;
    w->over             = true;
    w->finished         = now;
    w->status           = status;
    w->signalled        = told;
    settle(self, w);
    return flow;
}

/* ---- Which DMA is part of what ---------------------------------------------------------
 */

static const char *const io_name[] = {
    [RNIC_IO_FETCH]         = "fetch",
    [RNIC_IO_RECEIVE_FETCH] = "receive fetch",
    [RNIC_IO_RECORD]        = "doorbell record",
    [RNIC_IO_MAILBOX]       = "command",
    [RNIC_IO_MPT]           = "protection entry",
    [RNIC_IO_MTT]           = "translation entries",
    [RNIC_IO_GATHER]        = "data read",
    [RNIC_IO_ATOMIC_READ]   = "atomic read",
    [RNIC_IO_SCATTER]       = "data write",
    [RNIC_IO_ATOMIC_WRITE]  = "atomic write",
    [RNIC_IO_CQE]           = "completion",
    [RNIC_IO_EQE]           = "event",
    [RNIC_IO_INTERRUPT]     = "interrupt",
    [RNIC_IO_TABLE]         = "protection entry",
    [RNIC_IO_STATUS]        = "command result",
};

static void fetching(struct timeline_device *d, const struct rnic_io *io,
                     struct timeline_link *link, sim_time_t now)
{
    link->queue = io->of.qp->id;
    link->first = io->first;
    link->count = io->count;
    for (uint32_t i = 0; i < io->count; i++) {
        struct timeline_work *w = find(d, io->of.qp->id, io->first + i);
        if (w != NULL)
            w->asked = now;
    }
}

static void make_cq(struct timeline_device *d, uint32_t cq)
{
    struct timeline_cq *c  = &d->cq[cq];
    const uint32_t entries = d->scope.nic->cq[cq].entries;
    if (c->entries == entries)
        return;
    free(c->ring);
    c->entries = entries;
    c->ring    = calloc(entries, sizeof *c->ring);
    CHECK(c->ring != NULL);
}

static void completing(struct timeline_device *d, const struct rnic_io *io,
                       struct timeline_link *link, sim_time_t now)
{
    const struct rdma_cqe *entry = &io->own.cqe;
    make_cq(d, io->first);
    struct timeline_cqe *e  = cqe_at(d, io->first, io->count);
    *e                      = (struct timeline_cqe){ .live     = true,
                                                     .shown    = timeline_shows(d->host->timeline, now),
                                                     .receive  = entry->opcode == RDMA_RECEIVE,
                                                     .position = io->count,
                                                     .qp       = entry->qp,
                                                     .index    = entry->index,
                                                     .flow     = io->flow };
    link->completion        = true;
    link->queue             = io->first;
    link->first             = io->count;
    struct timeline_work *w = e->receive ? NULL : find(d, e->qp, e->index);
    if (w != NULL)
        w->completing = now;
}

static uint32_t submitting(void *self, const struct rnic_io *io, sim_time_t now)
{
    struct timeline_device *d = self;
    struct timeline_link link = { .name = io_name[io->kind], .flow = io->flow };
    if (io->kind == RNIC_IO_FETCH)
        fetching(d, io, &link, now);
    if (io->kind == RNIC_IO_CQE)
        completing(d, io, &link, now);
    return timeline_link_new(d, &link);
}

uint64_t timeline_work_flow(const struct timeline_device *d, uint32_t qp, uint32_t index)
{
    const struct timeline_work *w = place_of(d, qp, index);
    return w != NULL && w->index == index ? w->flow : 0;
}

void timeline_work_written(struct timeline_device *d, const struct timeline_link *link,
                           sim_time_t when)
{
    const struct timeline_cqe *e = cqe_at(d, link->queue, (uint32_t)link->first);
    if (e->position != (uint32_t)link->first || e->receive)
        return;
    struct timeline_work *w = find(d, e->qp, e->index);
    if (w == NULL || w->completing == 0)
        return;
    w->written = when;
    settle(d, w);
}

/* ---- The run ---------------------------------------------------------------------------
 */

void timeline_works_begin(struct timeline_device *d)
{
    const struct rdma_config *c = &d->scope.nic->config;
    d->qp                       = calloc(c->qps, sizeof *d->qp);
    d->cq                       = calloc(c->cqs, sizeof *d->cq);
    CHECK(d->qp != NULL);
    CHECK(d->cq != NULL);
    d->rdma_watcher  = (struct rdma_watcher){ .rung       = rung,
                                              .arrived    = arrived,
                                              .begun      = begun,
                                              .sent       = sent,
                                              .finished   = finished,
                                              .submitting = submitting,
                                              .self       = d };
    d->verbs_watcher = (struct verbs_watcher){ posted, found, d };
}

void timeline_works_leave(struct timeline_device *d)
{
    for (uint32_t i = 0; d->qp != NULL && i < d->scope.nic->config.qps; i++)
        free(d->qp[i].ring);
    for (uint32_t i = 0; d->cq != NULL && i < d->scope.nic->config.cqs; i++)
        free(d->cq[i].ring);
    free(d->qp);
    free(d->cq);
}
