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

static void submitted(void *self, const struct dma_slot *slot, uint32_t index)
{
    struct timeline_device *device = self;
    struct timeline *t             = device->host->timeline;
    struct timeline_dma *d         = &device->dma[index];
    d->shown                       = timeline_shows(t, slot->submitted);
    d->translated                  = false;
    d->trail.count                 = 0;
    t->shown_live += d->shown;
    timeline_sample(device->host, slot->submitted);
}

static struct timeline_device *device_of(struct timeline_host *h, unsigned client)
{
    for (unsigned i = 0; i < h->scope.devices; i++)
        if (h->device[i].scope.port->client == client)
            return &h->device[i];
    return NULL; /* It is not drawn. */
}

/* A translation that missed: its steps in their order. */
void timeline_answered(struct timeline *t, unsigned host, const struct xlate *x)
{
    struct timeline_device *device =
        t->watching ? device_of(&t->host[host], x->client) : NULL;
    if (device == NULL)
        return;
    struct timeline_dma *d = &device->dma[x->request.id];
    d->trail.count         = 0;
    for (uint32_t i = 0; d->shown && i < x->trail->count; i++)
        xlate_trail_add(&d->trail, x->trail->stretch[i].part, x->trail->stretch[i].cycles);
}

static void translated(void *self, const struct dma_slot *slot, uint32_t index,
                       const struct iommu_response *answer)
{
    struct timeline_device *device = self;
    struct timeline_dma *d         = &device->dma[index];
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
        return link->name;
    return slot->request.kind == PORT_READ ? "read" : "write";
}

/* The steps inside of the IOMMU: up to the edge of its first cycle, then its cycles. */
static void draw_translation(struct timeline_device *device, uint64_t track,
                             const struct timeline_dma *d, sim_time_t *at,
                             sim_time_t length)
{
    struct timeline *t    = device->host->timeline;
    const uint64_t period = device->host->scope.iommu->config.iommu.period_ps;
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

static void draw_steps(struct timeline_device *device, uint64_t track,
                       const struct dma_slot *slot, const struct timeline_dma *d)
{
    sim_time_t at = slot->submitted;
    for (unsigned p = 0; p < DMA_PART_COUNT; p++)
        if (p == DMA_PART_translate && d->translated)
            draw_translation(device, track, d, &at, slot->part[p]);
        else
            timeline_step(device->host->timeline, track, part_name[p], &at, slot->part[p]);
    CHECK(at == slot->since);
}

static unsigned flows_of(const struct timeline_device *device,
                         const struct timeline_link *link,
                         uint64_t flow[TIMELINE_FLOWS_MAX])
{
    unsigned flows = 0;
    if (link == NULL)
        return 0;
    if (link->count == 0)
        flow[flows++] = link->flow;
    for (uint32_t i = 0; i < link->count && flows < TIMELINE_FLOWS_MAX; i++) {
        flow[flows] =
            device->scope.nvme != NULL
                ? timeline_command_flow(device, link->queue, link->first + i)
                : timeline_work_flow(device, link->queue, (uint32_t)link->first + i);
        flows += flow[flows] != 0;
    }
    return flows == 1 && flow[0] == 0 ? 0 : flows;
}

static void draw(struct timeline_device *device, const struct dma_slot *slot,
                 uint32_t index, const struct timeline_link *link)
{
    struct timeline *t     = device->host->timeline;
    struct timeline_dma *d = &device->dma[index];
    const uint64_t track   = timeline_lane(device, TRACK_DMA, index, "DMA", &d->known);
    uint64_t flow[TIMELINE_FLOWS_MAX];
    const struct perfetto_event event = {
        .track   = track,
        .time_ns = timeline_ns(t, slot->submitted),
        .name    = name_of(slot, link),
        .flow    = flow,
        .flows   = flows_of(device, link, flow),
        .note    = { { "ps", slot->since - slot->submitted, NULL },
                     { "iova", slot->request.iova, NULL },
                     { "bytes", slot->request.bytes, NULL },
                     { "fault", slot->fault, NULL },
                     { "stale", slot->stale, NULL } },
    };
    perfetto_slice(&t->out, &event);
    draw_steps(device, track, slot, d);
    perfetto_slice_end(&t->out, track, timeline_ns(t, slot->since));
}

/* ---- What it is part of ----------------------------------------------------------------
 */

uint32_t timeline_link_new(struct timeline_device *d, const struct timeline_link *link)
{
    d->link[d->links % TIMELINE_LINKS] = *link;
    return d->links++ % TIMELINE_LINKS + 1;
}

static const struct timeline_link *link_of(const struct timeline_device *d, uint32_t flow)
{
    return flow == 0 ? NULL : &d->link[flow - 1];
}

static void finished(void *self, const struct dma_slot *slot, uint32_t index)
{
    struct timeline_device *device   = self;
    struct timeline_dma *d           = &device->dma[index];
    const struct timeline_link *link = link_of(device, slot->request.flow);
    const sim_time_t written         = slot->since - slot->part[DMA_PART_link_down];
    if (d->shown) {
        d->shown = false;
        device->host->timeline->shown_live--;
        draw(device, slot, index, link);
    }
    if (link == NULL || !link->completion)
        return;
    if (device->scope.nvme != NULL)
        timeline_command_written(device, link, written);
    else
        timeline_work_written(device, link, written);
}

void timeline_dmas_begin(struct timeline_device *d)
{
    d->dma  = calloc(d->scope.port->slots, sizeof *d->dma);
    d->link = calloc(TIMELINE_LINKS, sizeof *d->link);
    CHECK(d->dma != NULL);
    CHECK(d->link != NULL);
    d->port_watcher = (struct rootport_watcher){
        .submitted = submitted, .translated = translated, .finished = finished, .self = d
    };
}

void timeline_dmas_leave(struct timeline_device *d)
{
    for (uint32_t i = 0; i < d->scope.port->slots; i++)
        free(d->dma[i].trail.stretch);
    free(d->dma);
    free(d->link);
}
