/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline_dma - each DMA of the device as a slice whose steps are the parts of its time,
 * with the IOMMU's own steps inside the one that it had it for.
 */
#include <stdlib.h>

#include "sim/scope/timeline_parts.h"

#define NAME(name, text) #name,
static const char *const part_name[DMA_PART_COUNT] = { DMA_PARTS(NAME) };
static const char *const outcome_name[]            = { XLATE_OUTCOMES(NAME) };

static const char *const kind_name[] = {
    [NVME_TX_FETCH] = "fetch",           [NVME_TX_LIST] = "list",
    [NVME_TX_DATA_READ] = "data read",   [NVME_TX_DATA_WRITTEN] = "data write",
    [NVME_TX_COMPLETION] = "completion", [NVME_TX_INTERRUPT] = "interrupt",
};

static void submitted(void *self, const struct dma_slot *slot, uint32_t index)
{
    struct timeline *t     = self;
    struct timeline_dma *d = &t->dma[index];
    d->shown               = timeline_shows(t, slot->submitted);
    d->translated          = false;
    d->trail.count         = 0;
    t->shown_live += d->shown;
    timeline_sample(t, slot->submitted);
}

/* A translation that missed: its steps in their order. */
void timeline_answered(struct timeline *t, const struct xlate *x)
{
    if (!t->watching || x->client != t->scope.port->client)
        return;
    struct timeline_dma *d = &t->dma[x->request.id];
    d->trail.count         = 0;
    for (uint32_t i = 0; d->shown && i < x->trail->count; i++)
        xlate_trail_add(&d->trail, x->trail->stretch[i].part, x->trail->stretch[i].cycles);
}

static void translated(void *self, const struct dma_slot *slot, uint32_t index,
                       const struct iommu_response *answer)
{
    struct timeline *t     = self;
    struct timeline_dma *d = &t->dma[index];
    uint64_t cycles = 0, known = 0;
    (void)slot;
    if (!d->shown)
        return;
    if (d->trail.count == 0) { /* Answered at its first look-up. */
        xlate_trail_add(&d->trail, XLATE_PART_queue, answer->part[XLATE_PART_queue]);
        xlate_trail_add(&d->trail, XLATE_PART_pipeline, answer->part[XLATE_PART_pipeline]);
    }
    for (unsigned p = 0; p < XLATE_PART_COUNT; p++)
        cycles += answer->part[p];
    for (uint32_t i = 0; i < d->trail.count; i++)
        known += d->trail.stretch[i].cycles;
    CHECK(known == cycles);
    d->translated = true;
    d->outcome    = answer->outcome;
    d->page_lg2   = answer->page_lg2;
    d->pa         = answer->pa;
}

/* ---- Drawing ---------------------------------------------------------------------------
 */

static const char *name_of(const struct dma_slot *slot, const struct timeline_link *link)
{
    if (slot->request.type == PORT_TRANSLATION)
        return "translation request";
    if (slot->request.type == PORT_INVALIDATED)
        return "invalidation done";
    if (slot->interrupt)
        return "interrupt";
    if (link != NULL)
        return kind_name[link->kind];
    return slot->request.kind == PORT_READ ? "read" : "write";
}

/* The steps inside of the IOMMU: up to the edge of its first cycle, then its cycles. */
static void draw_translation(struct timeline *t, uint64_t track,
                             const struct timeline_dma *d, sim_time_t *at,
                             sim_time_t length)
{
    const uint64_t period = t->scope.iommu->config.iommu.period_ps;
    sim_time_t inside = *at, cycles = 0;
    const struct perfetto_event event = {
        .track   = track,
        .time_ns = timeline_ns(t, *at),
        .name    = part_name[DMA_PART_translate],
        .note    = { { "ps", length, NULL },
                     { "outcome", 0, outcome_name[d->outcome] },
                     { "pa", d->pa, NULL },
                     { "page_bytes", UINT64_C(1) << d->page_lg2, NULL } },
    };
    perfetto_slice(&t->out, &event);
    for (uint32_t i = 0; i < d->trail.count; i++)
        cycles += d->trail.stretch[i].cycles;
    timeline_step(t, track, "edge", &inside, length - cycles * period);
    for (uint32_t i = 0; i < d->trail.count; i++)
        timeline_step(t, track, xlate_part_name[d->trail.stretch[i].part], &inside,
                      d->trail.stretch[i].cycles * period);
    *at += length;
    CHECK(inside == *at);
    perfetto_slice_end(&t->out, track, timeline_ns(t, *at));
}

static void draw_steps(struct timeline *t, uint64_t track, const struct dma_slot *slot,
                       const struct timeline_dma *d)
{
    sim_time_t at = slot->submitted;
    for (unsigned p = 0; p < DMA_PART_COUNT; p++)
        if (p == DMA_PART_translate && d->translated)
            draw_translation(t, track, d, &at, slot->part[p]);
        else
            timeline_step(t, track, part_name[p], &at, slot->part[p]);
    CHECK(at == slot->since);
}

static uint64_t lane_of(struct timeline *t, uint32_t index)
{
    const uint64_t track = timeline_track(t, TRACK_DMA, index);
    if (!t->dma[index].known)
        perfetto_track(&t->out, track, timeline_track(t, TRACK_PROCESS_ITSELF, 0), "DMA",
                       2000);
    t->dma[index].known = true;
    return track;
}

static void draw(struct timeline *t, const struct dma_slot *slot, uint32_t index,
                 const struct timeline_link *link)
{
    const uint64_t track = lane_of(t, index);
    uint64_t flow[64];
    unsigned flows = 0;
    for (; link != NULL && flows < link->count && flows < 64; flows++)
        flow[flows] = timeline_flow(t, link->queue, link->first + flows);
    const struct perfetto_event event = {
        .track   = track,
        .time_ns = timeline_ns(t, slot->submitted),
        .name    = name_of(slot, link),
        .flow    = flow,
        .flows   = flows,
        .note    = { { "ps", slot->since - slot->submitted, NULL },
                     { "iova", slot->request.iova, NULL },
                     { "bytes", slot->request.bytes, NULL },
                     { "fault", slot->fault, NULL },
                     { "stale", slot->stale, NULL } },
    };
    perfetto_slice(&t->out, &event);
    draw_steps(t, track, slot, &t->dma[index]);
    perfetto_slice_end(&t->out, track, timeline_ns(t, slot->since));
}

static void finished(void *self, const struct dma_slot *slot, uint32_t index)
{
    struct timeline *t               = self;
    struct timeline_dma *d           = &t->dma[index];
    const struct timeline_link *link = timeline_link_of(t, slot->request.flow);
    if (d->shown) {
        d->shown = false;
        t->shown_live--;
        draw(t, slot, index, link);
    }
    if (link != NULL && link->kind == NVME_TX_COMPLETION)
        timeline_written(t, link, slot->since - slot->part[DMA_PART_link_down]);
}

void timeline_dmas_begin(struct timeline *t)
{
    t->dma = calloc(t->scope.port->slots, sizeof *t->dma);
    CHECK(t->dma != NULL);
    t->port_watcher = (struct rootport_watcher){
        .submitted = submitted, .translated = translated, .finished = finished, .self = t
    };
}

void timeline_dmas_leave(struct timeline *t)
{
    for (uint32_t i = 0; i < t->scope.port->slots; i++)
        free(t->dma[i].trail.stretch);
    free(t->dma);
    t->dma = NULL;
}
