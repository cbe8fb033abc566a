/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context_walk - reading the tables that say what a device or a process may do.
 *
 * One engine: it walks for the requester that has waited longest; everyone who waits for
 * the same context looks up again when it has been cached. Where the tables of a process
 * lie at guest-physical addresses, each is first walked through the device's second stage.
 */
#include "iommu_model/arch.h"

/* ---- Which context ----------------------------------------------------------------------
 */

/* Whether the device's context, or the process's, is missing from the caches. */
struct wanted {
    bool device, process;
    uint32_t pasid; /* Of the process. */
};

static const struct xlate_context *device_of(struct iommu *m, const struct xlate *x)
{
    const struct xlate_context *device =
        context_cache_probe(&m->device_contexts, context_key(x->request.requester, 0));
    return device == NULL && x->holds && x->held->has_device ? &x->held->device : device;
}

static struct wanted wanted(struct iommu *m, const struct xlate *x)
{
    struct iommu_response ignored;
    uint32_t pasid;
    const struct iommu_request *q      = &x->request;
    const struct xlate_context *device = device_of(m, x);
    if (device == NULL)
        return (struct wanted){ .device = true };
    if (!device->needs_process
        || m->arch->process(m, q, device, &ignored, &pasid) != PROCESS_NEEDED
        || (x->holds && x->held->has_process && x->held->process_id == pasid)
        || context_cache_probe(&m->process_contexts, context_key(q->requester, pasid)))
        return (struct wanted){ 0 };
    return (struct wanted){ .process = true, .pasid = pasid };
}

bool context_walk_missing(struct iommu *m, const struct xlate *x)
{
    const struct wanted w = wanted(m, x);
    return w.device || w.process;
}

static bool wants(struct iommu *m, const struct context_walk *w, const struct xlate *x)
{
    const struct wanted want = wanted(m, x);
    return x->request.requester == w->requester
           && (w->process ? want.process && want.pasid == w->pasid : want.device);
}

/* ---- Reading ----------------------------------------------------------------------------
 */

static void conclude(struct iommu *m, bool fault, cycle_t due, cycle_t now);

static void fail(struct iommu *m, bool guest_fault)
{
    m->context_walk.guest_fault = guest_fault;
    conclude(m, true, m->asked_cycle + m->config.context.fault_cycles, m->asked_cycle);
}

static void count_read(struct iommu *m)
{
    struct context_walk *w = &m->context_walk;
    w->has_read            = true;
    m->context_stats.read++;
    for (uint16_t i = w->waiting.first; i != XLATE_NONE; i = m->xlate[i].next)
        if (wants(m, w, &m->xlate[i])) {
            m->xlate[i].response.reads++; /* On behalf of the one that waited longest. */
            return;
        }
}

/* There is no memory where the table should be. */
static void fail_access(struct iommu *m)
{
    m->arch->context_next(m, &m->context_walk, NULL);
    fail(m, false);
}

static void read_words(struct iommu *m, uint64_t pa, uint32_t words, cycle_t presented)
{
    if (pa > m->pa_last) {
        fail_access(m);
        return;
    }
    count_read(m);
    iommu_read(m, MEMPORT_CONTEXT, pa, words, presented);
}

/* The entry of the present level of the second stage. */
static void read_guest_entry(struct iommu *m, cycle_t presented)
{
    const struct context_walk *w    = &m->context_walk;
    const struct xlate_stage *stage = &w->result.stage2;
    const bool root                 = w->level + 1 == stage->levels;
    read_words(m, w->table + pt_entry_offset(stage->format, w->level, root, w->pa), 1,
               presented);
}

static void read_table(struct iommu *m, cycle_t presented)
{
    struct context_walk *w          = &m->context_walk;
    const struct xlate_stage *stage = &w->result.stage2;
    w->nested                       = w->guest;
    if (!w->guest) {
        read_words(m, w->pa, w->words, presented);
        return;
    }
    if (w->pa >> pt_input_lg2(stage->format, stage->levels) != 0) {
        fail(m, true);
        return;
    }
    w->table = stage->root;
    w->level = (uint8_t)(stage->levels - 1);
    read_guest_entry(m, presented);
}

/* For the request that has waited longest and still finds no context. */
static void start(struct iommu *m, cycle_t now)
{
    struct context_walk *w        = &m->context_walk;
    const struct xlate *first     = &m->xlate[w->waiting.first];
    const struct iommu_request *q = &first->request;
    const struct wanted x         = wanted(m, first);
    w->active                     = true;
    w->flushed = w->filling = w->has_read = w->guest = w->guest_fault = false;
    w->process                                                        = x.process;
    w->requester                                                      = q->requester;
    w->pasid                                                          = x.pasid;
    w->step                                                           = 0;
    w->result = x.process ? *device_of(m, first) : (struct xlate_context){ 0 };
    m->arch->context_first(m, w);
    if (m->counts_events)
        m->arch->event(m, x.process ? EVENT_PROCESS_WALK : EVENT_DEVICE_WALK, q,
                       &w->result);
    read_table(m, now + m->config.context.start_cycles);
}

void context_walk_begin(struct iommu *m, uint16_t index, cycle_t now)
{
    if (!m->xlate[index].walking)
        m->xlate[index].step = XLATE_WAIT;
    xlate_list_push(m, &m->context_walk.waiting, index);
    if (!m->context_walk.active)
        start(m, now);
}

void context_walk_leave(struct iommu *m, uint16_t index)
{
    struct context_walk *w   = &m->context_walk;
    struct xlate_list before = w->waiting;
    w->waiting               = (struct xlate_list){ XLATE_NONE, XLATE_NONE };
    while (before.first != XLATE_NONE) {
        const uint16_t other = xlate_list_pop(m, &before);
        if (other != index)
            xlate_list_push(m, &w->waiting, other);
    }
    m->xlate[index].recontext = false;
}

/* ---- The end ----------------------------------------------------------------------------
 */

/* A request whose page walk is under way asks for its contexts all the while: once they are
 * read again, that is a use of them. */
static void use_contexts(struct iommu *m, const struct iommu_request *q)
{
    struct iommu_response ignored;
    uint32_t process;
    const struct xlate_context *device =
        context_cache_lookup(&m->device_contexts, context_key(q->requester, 0));
    if (device != NULL && device->needs_process
        && m->arch->process(m, q, device, &ignored, &process) == PROCESS_NEEDED)
        context_cache_lookup(&m->process_contexts, context_key(q->requester, process));
}

/* Goes on, or, where a page walk of its is still under way, only has its context again. */
static void resume(struct iommu *m, uint16_t index, cycle_t due)
{
    struct xlate *x = &m->xlate[index];
    x->recontext    = false;
    if (x->walking) {
        use_contexts(m, &x->request);
        return;
    }
    xlate_account(x, XLATE_PART_context, due);
    x->step = XLATE_CONTEXT;
    wheel_put(&m->wheel, item_xlate(index), due);
}

static void refuse(struct iommu *m, uint16_t index, cycle_t due, cycle_t now)
{
    const struct context_walk *w = &m->context_walk;
    struct xlate *x              = &m->xlate[index];
    struct iommu_fault what      = { .cause     = w->cause,
                                     .has_guest = w->guest_fault,
                                     .guest     = w->guest_fault ? w->pa : 0,
                                     .implicit  = w->guest_fault };
    if (w->guest_fault)
        what.cause = m->arch->cause(m, &x->request, STAGE_2, DENIED_ABSENT, 0);
    x->quiet     = w->result.quiet;
    x->recontext = false;
    if (x->walking) {
        x->refused       = true;
        x->refused_cause = what.cause;
        return;
    }
    xlate_account(x, XLATE_PART_context, now);
    xlate_fault(m, index, &what, due + m->config.iommu.respond_cycles);
}

/* So that a small cache and many who want it cannot keep each other from going on. */
static void hold(struct iommu *m, struct xlate *x)
{
    const struct context_walk *w = &m->context_walk;
    if (x->request.requester != w->requester)
        return;
    if (!x->holds)
        x->held->has_device = x->held->has_process = false;
    x->holds = true;
    if (w->process) {
        x->held->has_process = true;
        x->held->process_id  = w->pasid;
        x->held->process     = w->result;
    } else {
        x->held->has_device = true;
        x->held->device     = w->result;
    }
}

static void put(struct iommu *m, const struct xlate_context *context)
{
    const struct context_walk *w = &m->context_walk;
    if (w->process)
        context_cache_fill(&m->process_contexts, context_key(w->requester, w->pasid),
                           context);
    else
        context_cache_fill(&m->device_contexts, context_key(w->requester, 0), context);
}

/* Some implementations cache that there is no context. */
static bool keeps_refusal(const struct iommu *m)
{
    const struct context_walk *w = &m->context_walk;
    return m->caches_absent && !w->guest_fault && !w->flushed;
}

/* Under domain 0, whatever it would have said. */
static void put_refusal(struct iommu *m)
{
    const struct context_walk *w       = &m->context_walk;
    const struct xlate_context refusal = { .refused = w->cause, .quiet = w->result.quiet };
    put(m, &refusal);
}

/* Whether what the walk found says nothing of the request, which came when its last entry
 * had been read, and nobody tells the hardware of one that is new; or after an invalidation
 * of the entries before that. */
static bool came_later(const struct iommu *m, const struct xlate *x)
{
    const struct context_walk *w = &m->context_walk;
    const cycle_t came           = xlate_submitted(x);
    return (w->has_read && came >= m->memport.read[MEMPORT_CONTEXT].accepted)
           || (w->flushed && came >= w->flushed_at);
}

/* Whether the walk that ends is not what it waits for. */
static bool waits_on(struct iommu *m, const struct xlate *x, bool fault)
{
    const struct context_walk *w = &m->context_walk;
    if (fault)
        return !wants(m, w, x) || (!keeps_refusal(m) && came_later(m, x));
    return x->request.requester != w->requester
           || (x->walking && context_walk_missing(m, x));
}

/* Everyone who waited for this context goes on; the engine turns to the next one. A walk
 * whose process context is missing, too, waits on, and who came too late to be refused. */
static void conclude(struct iommu *m, bool fault, cycle_t due, cycle_t now)
{
    struct context_walk *w = &m->context_walk;
    const bool valid       = !fault && (!w->flushed || m->config.context.fill_after_flush);
    struct xlate_list before = w->waiting;
    w->active                = false;
    w->waiting               = (struct xlate_list){ XLATE_NONE, XLATE_NONE };
    while (before.first != XLATE_NONE) {
        const uint16_t index = xlate_list_pop(m, &before);
        struct xlate *x      = &m->xlate[index];
        if (valid)
            hold(m, x);
        if (waits_on(m, x, fault))
            xlate_list_push(m, &w->waiting, index);
        else if (fault)
            refuse(m, index, due, now);
        else
            resume(m, index, due);
    }
    if (fault && keeps_refusal(m))
        put_refusal(m);
    if (w->waiting.first == XLATE_NONE)
        return;
    /* Who needs the context that was just written finds it in the next cycle. */
    const bool chained =
        !fault && m->xlate[w->waiting.first].request.requester == w->requester;
    start(m, chained ? due : now);
}

static void fill(struct iommu *m, cycle_t now)
{
    const struct context_walk *w = &m->context_walk;
    if (!w->flushed || m->config.context.fill_after_flush)
        put(m, &w->result);
    conclude(m, false, now + 1, now);
}

/* When the word that is to blame had arrived: the beats of a read come one after the other.
 */
static cycle_t blame_time(const struct iommu *m, cycle_t now)
{
    const struct context_walk *w = &m->context_walk;
    const struct mem_channel *c  = m->memport.channel;
    const uint64_t beats_after =
        (8 * (w->words - 1)) / c->beat_bytes - (8 * w->fault_word) / c->beat_bytes;
    const cycle_t ago =
        cycle_at_or_after(beats_after * c->beat_ps, m->config.iommu.period_ps);
    return cycle_max(now, now - ago + m->config.context.fault_cycles);
}

/* ---- Beats have arrived
 * ------------------------------------------------------------------
 */

static void guest_leaf(struct iommu *m, const struct pt_item *leaf, uint64_t entry_pa,
                       cycle_t now)
{
    static const struct iommu_request own = { .access = PT_READ };
    struct context_walk *w                = &m->context_walk;
    const uint64_t bits = m->arch->missing(&w->result, STAGE_2, PT_READ, leaf->prot);
    if (!m->arch->allows(&own, &w->result, STAGE_2, leaf->prot)
        || (bits != 0 && !m->arch->updates(&w->result, STAGE_2))) {
        fail(m, true);
        return;
    }
    cycle_t next = now + m->config.context.step_cycles;
    if (bits != 0) {
        iommu_set_bits(m, entry_pa, bits);
        next += m->config.walker.update_cycles;
    }
    w->nested = false;
    read_words(m, leaf->pa | (w->pa & mask_lg2(leaf->page_lg2)), w->words, next);
}

/* An entry of the second stage, on the way to a table of the process directory. */
static void guest_entry(struct iommu *m, uint64_t entry, cycle_t now)
{
    struct context_walk *w          = &m->context_walk;
    const struct xlate_stage *stage = &w->result.stage2;
    const bool root                 = w->level + 1 == stage->levels;
    const uint64_t entry_pa =
        w->table + pt_entry_offset(stage->format, w->level, root, w->pa);
    const struct pt_item item = stage->format->decode(entry, w->level);
    if (item.kind == PT_LEAF) {
        guest_leaf(m, &item, entry_pa, now);
        return;
    }
    if (item.kind != PT_TABLE || w->level == 0) {
        fail(m, true);
        return;
    }
    w->level--;
    w->table = item.pa;
    read_guest_entry(m, now + m->config.context.step_cycles);
}

void context_walk_run(struct iommu *m, cycle_t now)
{
    struct context_walk *w = &m->context_walk;
    CHECK(w->active);
    if (w->filling) {
        fill(m, now);
        return;
    }
    const uint64_t *data = memport_arrived(&m->memport, MEMPORT_CONTEXT, now);
    iommu_schedule(m, ITEM_MEMPORT, memport_due(&m->memport, m->asked_cycle));
    if (m->memport.read[MEMPORT_CONTEXT].failed) {
        fail_access(m);
        return;
    }
    if (w->nested) {
        guest_entry(m, *data, now);
        return;
    }
    w->fault_word = w->words - 1;
    switch (m->arch->context_next(m, w, data)) {
    case CONTEXT_MORE:
        read_table(m, now + m->config.context.step_cycles);
        return;
    case CONTEXT_DONE:
        w->filling = true;
        iommu_schedule(m, ITEM_CONTEXT, now + m->config.context.fill_cycles - 1);
        return;
    case CONTEXT_FAULT:
        conclude(m, true, blame_time(m, now), now);
        return;
    }
    UNREACHABLE("a context walk goes on, ends or fails");
}

void context_walk_flush(struct iommu *m)
{
    struct context_walk *w = &m->context_walk;
    w->flushed             = w->active;
    w->flushed_at          = m->asked_cycle;
    for (uint32_t i = 0; m->late_count > 0 && i < m->config.iommu.inflight; i++)
        m->xlate[i].holds = false;
}
