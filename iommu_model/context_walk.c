/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context_walk - reading the tables that say what a device or a process may do.
 *
 * One engine: it walks for the requester that has waited longest; everyone who waits for
 * the same context looks up again when it has been cached.
 */
#include "iommu_model/arch.h"

static void start(struct iommu *m, cycle_t now)
{
    struct context_walk *w        = &m->context_walk;
    const struct xlate *x         = &m->xlate[w->waiting.first];
    const struct iommu_request *q = &x->request;
    const struct xlate_context *device =
        context_cache_probe(&m->device_contexts, context_key(q->requester, 0));

    w->active    = true;
    w->flushed   = false;
    w->filling   = false;
    w->process   = device != NULL && device->needs_process;
    w->requester = q->requester;
    w->has_pasid = q->has_pasid;
    w->pasid     = q->has_pasid ? q->pasid : 0;
    w->step      = 0;
    w->result    = w->process ? *device : (struct xlate_context){ 0 };
    m->arch->context_first(m, w);
    iommu_read(m, MEMPORT_CONTEXT, w->pa, w->words, now + m->config.context.start_cycles);
}

void context_walk_begin(struct iommu *m, uint16_t index, cycle_t now)
{
    m->xlate[index].step = XLATE_WAIT;
    xlate_list_push(m, &m->context_walk.waiting, index);
    if (!m->context_walk.active)
        start(m, now);
}

static bool wants(const struct context_walk *w, const struct iommu_request *q)
{
    return q->requester == w->requester
           && (!w->process
               || (q->has_pasid == w->has_pasid
                   && (!q->has_pasid || q->pasid == w->pasid)));
}

/* Everyone who waited for this context goes on; the engine turns to the next one. */
static void conclude(struct iommu *m, bool fault, cycle_t due, cycle_t now)
{
    struct context_walk *w   = &m->context_walk;
    struct xlate_list others = { XLATE_NONE, XLATE_NONE };
    w->active                = false;
    while (w->waiting.first != XLATE_NONE) {
        const uint16_t index = xlate_list_pop(m, &w->waiting);
        struct xlate *x      = &m->xlate[index];
        if (!wants(w, &x->request)) {
            xlate_list_push(m, &others, index);
            continue;
        }
        xlate_account(x, XLATE_PART_context, fault ? now : due);
        if (fault) {
            x->quiet = w->result.quiet;
            xlate_fault(m, index, w->cause, 0, due + m->config.iommu.respond_cycles);
        } else {
            x->step = XLATE_CONTEXT;
            wheel_put(&m->wheel, item_xlate(index), due);
        }
    }
    w->waiting = others;
    if (w->waiting.first != XLATE_NONE)
        start(m, now);
}

static void fill(struct iommu *m, cycle_t now)
{
    const struct context_walk *w = &m->context_walk;
    if (!w->flushed) {
        if (w->process)
            context_cache_fill(&m->process_contexts, context_key(w->requester, w->pasid),
                               &w->result);
        else
            context_cache_fill(&m->device_contexts, context_key(w->requester, 0),
                               &w->result);
    }
    conclude(m, false, now + 1, now);
}

static void count_read(struct iommu *m)
{
    const struct context_walk *w = &m->context_walk;
    m->context_stats.read++;
    for (uint16_t i = w->waiting.first; i != XLATE_NONE; i = m->xlate[i].next)
        if (wants(w, &m->xlate[i].request)) {
            m->xlate[i].response.reads++; /* On behalf of the one that waited longest. */
            return;
        }
}

void context_walk_run(struct iommu *m, cycle_t now)
{
    struct context_walk *w = &m->context_walk;
    CHECK(w->active);
    if (w->filling) {
        fill(m, now);
        return;
    }
    const uint64_t *data = memport_arrived(&m->memport, MEMPORT_CONTEXT);
    iommu_schedule(m, ITEM_MEMPORT, memport_due(&m->memport, m->asked_cycle));
    count_read(m);
    switch (m->arch->context_next(m, w, data)) {
    case CONTEXT_MORE:
        iommu_read(m, MEMPORT_CONTEXT, w->pa, w->words,
                   now + m->config.context.step_cycles);
        return;
    case CONTEXT_DONE:
        w->filling = true;
        iommu_schedule(m, ITEM_CONTEXT, now + m->config.context.fill_cycles - 1);
        return;
    case CONTEXT_FAULT:
        conclude(m, true, now + m->config.context.fill_cycles - 1, now);
        return;
    }
    UNREACHABLE("a context walk goes on, ends or fails");
}

void context_walk_flush(struct iommu *m)
{
    m->context_walk.flushed = m->context_walk.active;
}
