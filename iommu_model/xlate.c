/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/xlate.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/arch.h"

#define NAME(name, text) #name,
#define TEXT(name, text) text,
const char *const xlate_part_name[XLATE_PART_COUNT] = { XLATE_PARTS(NAME) };
const char *const xlate_part_text[XLATE_PART_COUNT] = { XLATE_PARTS(TEXT) };

/* Stretches of the same part that follow each other are one. */
void xlate_trail_add(struct xlate_trail *t, enum xlate_part part, uint32_t cycles)
{
    if (cycles == 0)
        return;
    if (t->count > 0 && t->stretch[t->count - 1].part == part) {
        t->stretch[t->count - 1].cycles += cycles;
        return;
    }
    if (t->count == t->room) {
        t->room    = t->room == 0 ? 16 : 2 * t->room;
        t->stretch = realloc(t->stretch, t->room * sizeof *t->stretch);
        CHECK(t->stretch != NULL);
    }
    t->stretch[t->count++] = (struct xlate_stretch){ part, cycles };
}

void xlate_list_push(struct iommu *m, struct xlate_list *list, uint16_t x)
{
    m->xlate[x].next = XLATE_NONE;
    if (list->first == XLATE_NONE)
        list->first = x;
    else
        m->xlate[list->last].next = x;
    list->last = x;
}

uint16_t xlate_list_pop(struct iommu *m, struct xlate_list *list)
{
    const uint16_t x = list->first;
    CHECK(x != XLATE_NONE);
    list->first = m->xlate[x].next;
    return x;
}

/* ---- Acceptance -----------------------------------------------------------------------
 */

/*
 * Requests are accepted in order. The k-th can be accepted once it has arrived, an interval
 * after the one before it, and, with n slots, once k - n others have been answered. So its
 * time follows from what is known, and no event is spent on it unless it has to wait for an
 * answer.
 */
static bool acceptance(struct iommu *m, const struct request_ring *queue, cycle_t now,
                       cycle_t *when)
{
    const uint32_t slots = m->config.iommu.inflight;
    const cycle_t after  = m->last_accept + m->config.iommu.interval_cycles;
    cycle_t at           = request_ring_front(queue)->arrived;
    if (m->accepted > 0 && at < after)
        at = after;
    if (m->accepted >= slots) {
        if (m->accepted - slots >= m->released)
            return false; /* slot_released calls again. */
        const cycle_t free_at = m->released_at[(m->accepted - slots) & m->released_mask];
        if (free_at > now) { /* An earlier answer may still come in between. */
            iommu_schedule(m, ITEM_ACCEPT, free_at);
            return false;
        }
        at = at > free_at ? at : free_at;
    }
    *when = at;
    return true;
}

bool xlate_accept(struct iommu *m, cycle_t now)
{
    cycle_t at;
    struct request_ring *queue = request_ring_empty(&m->queue) ? &m->writes : &m->queue;
    if (m->accepting != NULL || request_ring_empty(queue)
        || !acceptance(m, queue, now, &at))
        return false;
    if (at > now && m->config.iommu.read_priority) { /* A read may come until then. */
        iommu_schedule(m, ITEM_ACCEPT, at);
        return false;
    }
    request_ring_front(queue)->accepted = at;
    m->last_accept                      = at;
    m->accepting                        = queue;
    m->accepted++;
    m->lookup_at = at + m->config.iommu.accept_cycles;
    return true;
}

/* A slot may be free. With read_priority the choice is made when all requests of the cycle
 * are there. */
static void offer_slot(struct iommu *m, cycle_t now)
{
    if (m->config.iommu.read_priority)
        iommu_schedule(m, ITEM_ACCEPT, now);
    else
        xlate_accept(m, now);
}

/* The slot of one translation is free from cycle at on; kept in order of time. */
static void slot_released(struct iommu *m, cycle_t at)
{
    uint64_t i = m->released++;
    for (; i > 0 && m->released_at[(i - 1) & m->released_mask] > at; i--)
        m->released_at[i & m->released_mask] = m->released_at[(i - 1) & m->released_mask];
    m->released_at[i & m->released_mask] = at;
}

static void unblock_clients(struct iommu *m, cycle_t now)
{
    if (!m->any_blocked)
        return;
    m->any_blocked = false;
    for (uint32_t c = 0; c < m->client_count; c++)
        if (m->client[c].blocked) {
            m->client[c].blocked = false;
            *m->client[c].due =
                time_min(*m->client[c].due, cycle_time(now, m->config.iommu.period_ps));
        }
}

/* ---- The end --------------------------------------------------------------------------
 */

/* The counters of the outcomes stand in the statistics in the order of the outcomes. */
#define FOLLOWS(name, text)                                                                \
    static_assert(offsetof(struct iommu_stats, translation_##name)                         \
                      == offsetof(struct iommu_stats, translation_hit)                     \
                             + XLATE_##name * sizeof(uint64_t),                            \
                  "outcomes in order");
XLATE_OUTCOMES(FOLLOWS)

static void count_outcome(struct iommu_stats *s, enum xlate_outcome outcome)
{
    s->translation++;
    ++(&s->translation_hit)[outcome];
}

/* The answer is complete: the client sees it in the cycle response->due. */
static void deliver(struct iommu *m, struct iommu_client *c,
                    const struct iommu_response *response)
{
    const sim_time_t due = cycle_time(response->due, m->config.iommu.period_ps);
    count_outcome(&m->stats, response->outcome);
    *c->due = time_min(*c->due, due);
    if (!c->retires || response->outcome == XLATE_faulted)
        epoch_leave(m, response->epoch, response->due);
}

void xlate_finish(struct iommu *m, uint16_t index, cycle_t due)
{
    m->xlate[index].step         = XLATE_RESPOND;
    m->xlate[index].response.due = due;
    wheel_put(&m->wheel, item_xlate(index), due);
}

static void record_fault(struct iommu *m, const struct iommu_request *q,
                         const struct iommu_fault *what, cycle_t now)
{
    struct iommu_fault f = *what;
    f.requester          = q->requester;
    f.pasid              = q->pasid;
    f.has_pasid          = q->has_pasid;
    f.privileged         = q->privileged;
    f.access             = q->access;
    f.type               = q->type;
    f.iova               = q->iova;
    m->arch->record(m, &f, now);
}

void xlate_fault(struct iommu *m, uint16_t index, const struct iommu_fault *what,
                 cycle_t due)
{
    struct xlate *x = &m->xlate[index];
    if (x->request.type == PORT_TRANSLATION && what->no_rights) {
        xlate_answer_nothing(&x->response); /* No fault: the device is told. */
        xlate_finish(m, index, due);
        return;
    }
    x->response.outcome = XLATE_faulted;
    x->response.cause   = what->cause;
    if (!x->quiet)
        record_fault(m, &x->request, what, due - m->config.iommu.respond_cycles);
    xlate_finish(m, index, due);
}

static void become_free(struct iommu *m, uint16_t index, cycle_t now)
{
    m->xlate[index].step = XLATE_IDLE;
    m->late_count--;
    xlate_list_push(m, &m->free, index);
    slot_released(m, now);
    offer_slot(m, now);
}

static void respond(struct iommu *m, uint16_t index, cycle_t now)
{
    struct xlate *x        = &m->xlate[index];
    struct iommu_client *c = &m->client[x->client];
    xlate_account(x, XLATE_PART_pipeline, now);
    *response_ring_push(&c->late) = x->response;
    if (x->trail != NULL && m->watcher != NULL && m->watcher->answered != NULL)
        m->watcher->answered(m->watcher->self, x);
    deliver(m, c, &x->response);
    if (m->config.iommu.turnaround_cycles == 0) {
        become_free(m, index, now);
        return;
    }
    x->step = XLATE_IDLE;
    wheel_put(&m->wheel, item_xlate(index), now + m->config.iommu.turnaround_cycles);
}

/* ---- Look-up --------------------------------------------------------------------------
 */

/* From here on an invalidation with drain waits for this translation's DMA. */
static void enter_epoch(struct iommu *m, struct iommu_response *r)
{
    r->epoch = m->epoch;
    m->epoch_open[m->epoch % IOMMU_EPOCHS]++;
}

enum lookup_result { LOOKUP_ANSWERED, LOOKUP_NO_CONTEXT, LOOKUP_MISSED };

/* Two results of the architecture's that need no tables. */
static void answer_bypass(const struct iommu_request *q, struct iommu_response *r)
{
    r->outcome  = XLATE_bypassed;
    r->pa       = q->iova;
    r->page_lg2 = 12;
    r->prot     = PT_READ | PT_WRITE | PT_EXECUTE;
}

static enum lookup_result settle(struct iommu *m, const struct iommu_request *q,
                                 struct iommu_response *r, enum arch_verdict verdict,
                                 bool quiet, cycle_t now)
{
    if (verdict == ARCH_BYPASS) {
        answer_bypass(q, r);
        return LOOKUP_ANSWERED;
    }
    CHECK(verdict == ARCH_FAULT || verdict == ARCH_REFUSED);
    r->outcome = XLATE_faulted;
    if (!quiet && verdict == ARCH_FAULT) {
        const struct iommu_fault what = { .cause = r->cause };
        record_fault(m, q, &what, now);
    }
    return LOOKUP_ANSWERED;
}

/* Where the device's context wants one, the process's. *context is NULL when that has to be
 * read; false: the request is answered. */
static bool find_process(struct iommu *m, const struct iommu_request *q,
                         struct iommu_response *r, const struct xlate_held *held,
                         const struct xlate_context **context, cycle_t now)
{
    uint32_t process;
    const struct xlate_context *device = *context;
    switch (m->arch->process(m, q, device, r, &process)) {
    case PROCESS_NONE:
        return true;
    case PROCESS_FAULT:
        settle(m, q, r, ARCH_FAULT, device->quiet, now);
        return false;
    case PROCESS_NEEDED:
        *context =
            context_cache_lookup(&m->process_contexts, context_key(q->requester, process));
        if (*context == NULL && held != NULL && held->has_process
            && held->process_id == process)
            *context = &held->process;
        return true;
    }
    UNREACHABLE("a process context is needed or not");
}

static void answer_page(const struct iommu *m, const struct iommu_request *q,
                        const struct iotlb_entry *e, struct iommu_response *r)
{
    r->pa       = e->pa | (q->iova & mask_lg2(e->page_lg2));
    r->page_lg2 = e->page_lg2;
    r->prot     = e->prot1 & e->prot2;
    r->stale =
        e->stale_since != TIME_NEVER && iommu_holds_stale(m, r->client, r->space, q->iova);
}

void xlate_answer_nothing(struct iommu_response *r)
{
    r->pa       = 0;
    r->page_lg2 = 12;
    r->prot     = 0;
}

static unsigned denying_stage(const struct iommu *m, const struct iommu_request *q,
                              const struct xlate_context *context,
                              const struct iotlb_entry *e)
{
    if (e->prot1 != PT_ALL && !m->arch->allows(q, context, STAGE_1, e->prot1))
        return STAGE_1;
    if (e->prot2 != PT_ALL && !m->arch->allows(q, context, STAGE_2, e->prot2))
        return STAGE_2;
    return 0;
}

/* What a device that asks for a translation may do with the page. */
static uint8_t rights(const struct iommu *m, const struct iommu_request *q,
                      const struct xlate_context *context, const struct iotlb_entry *e)
{
    struct iommu_request as = *q;
    uint8_t prot            = 0;
    as.access               = PT_READ;
    if (denying_stage(m, &as, context, e) == 0)
        prot |= PT_READ;
    as.access = PT_WRITE;
    if (!q->no_write && denying_stage(m, &as, context, e) == 0)
        prot |= PT_WRITE;
    return prot;
}

unsigned xlate_denying_stage(const struct iommu *m, const struct iommu_request *q,
                             const struct xlate_context *context,
                             const struct iotlb_entry *e)
{
    if (e->denied != 0)
        return STAGE_2;
    const unsigned stage = denying_stage(m, q, context, e);
    return stage != 0 && q->type == PORT_TRANSLATION && rights(m, q, context, e) != 0
               ? 0
               : stage;
}

void xlate_answer(const struct iommu *m, const struct iommu_request *q,
                  const struct xlate_context *context, const struct iotlb_entry *e,
                  struct iommu_response *r)
{
    answer_page(m, q, e, r);
    if (q->type == PORT_TRANSLATION)
        r->prot = rights(m, q, context, e);
}

static enum arch_denial denial_of(unsigned stage, const struct iotlb_entry *e)
{
    if (e->denied != 0)
        return (enum arch_denial)(e->denied - 1);
    return stage == STAGE_2 && e->redirected ? DENIED_BY_FILE : DENIED_PERMISSION;
}

uint16_t xlate_denied_cause(const struct iommu *m, const struct iommu_request *q,
                            unsigned stage, const struct iotlb_entry *e)
{
    return m->arch->cause(m, q, stage, denial_of(stage, e),
                          stage == STAGE_1 ? e->prot1 : e->prot2);
}

static void answer_hit(struct iommu *m, const struct iommu_request *q,
                       const struct xlate_context *context, const struct iotlb_entry *e,
                       struct iommu_response *r, cycle_t now)
{
    const unsigned denied = xlate_denying_stage(m, q, context, e);
    if (denied == 0) {
        xlate_answer(m, q, context, e, r);
        return;
    }
    if (q->type == PORT_TRANSLATION && e->denied != DENIED_MALFORMED + 1) {
        xlate_answer_nothing(r);
        return;
    }
    r->outcome = XLATE_faulted;
    r->cause   = xlate_denied_cause(m, q, denied, e);
    if (!context->quiet) {
        const struct iommu_fault what = { .cause     = r->cause,
                                          .has_guest = denied == STAGE_2,
                                          .guest     = iotlb_guest(e, q->iova) };
        record_fault(m, q, &what, now);
    }
}

/* The IOTLB's part of a look-up. */
static enum lookup_result lookup_page(struct iommu *m, const struct iommu_request *q,
                                      struct iommu_response *r, bool first,
                                      const struct xlate_context *context, cycle_t now)
{
    const struct iotlb_entry *e = iotlb_lookup(&m->iotlb, context->space, q->iova);
    if (first)
        r->iotlb_hit = e != NULL;
    r->space = context->space;
    if (e == NULL || !m->arch->serves(m, q, context, e)) {
        if (m->counts_events)
            m->arch->event(m, EVENT_IOTLB_MISS, q, context);
        return LOOKUP_MISSED;
    }
    r->outcome = XLATE_hit;
    answer_hit(m, q, context, e, r, now);
    return LOOKUP_ANSWERED;
}

/* Context, then IOTLB. *context is set once it is known. held: what the translation has
 * waited for; NULL at its first look-up. first_page: the IOTLB has not been asked yet. */
static enum lookup_result lookup(struct iommu *m, const struct iommu_request *q,
                                 struct iommu_response *r, const struct xlate_held *held,
                                 bool first_page, const struct xlate_context **context,
                                 cycle_t now)
{
    enum arch_verdict verdict = m->arch->admit(m, q, r);
    if (verdict != ARCH_GO)
        return settle(m, q, r, verdict, false, now);
    *context = context_cache_lookup(&m->device_contexts, context_key(q->requester, 0));
    if (held == NULL)
        r->context_hit = *context != NULL;
    else if (*context == NULL && held->has_device)
        *context = &held->device;
    if (*context != NULL && (*context)->needs_process
        && !find_process(m, q, r, held, context, now))
        return LOOKUP_ANSWERED;
    if (*context == NULL)
        return LOOKUP_NO_CONTEXT;
    if ((*context)->refused != 0) {
        r->cause = (*context)->refused;
        return settle(m, q, r, ARCH_FAULT, (*context)->quiet, now);
    }
    verdict = m->arch->check(m, q, *context, r);
    if (verdict != ARCH_GO)
        return settle(m, q, r, verdict, (*context)->quiet, now);
    return lookup_page(m, q, r, first_page, *context, now);
}

/* Without a free walk slot it waits, and looks up again when one is released. */
static void miss(struct iommu *m, uint16_t index, cycle_t now)
{
    if (walker_begin(m, index, now))
        return;
    m->xlate[index].response.outcome = XLATE_joined; /* Unless it gets to walk after all. */
    xlate_list_push(m, &m->stalled, index);
}

static void go_on(struct iommu *m, uint16_t index, enum lookup_result result,
                  const struct xlate_context *context, cycle_t now)
{
    struct xlate *x = &m->xlate[index];
    switch (result) {
    case LOOKUP_ANSWERED:
        xlate_finish(m, index, now + m->config.iommu.respond_cycles);
        return;
    case LOOKUP_NO_CONTEXT:
        context_walk_begin(m, index, now);
        return;
    case LOOKUP_MISSED:
        x->context = *context; /* The walk goes by what was true at its beginning. */
        x->contexts_dropped = m->contexts_dropped;
        x->quiet            = context->quiet;
        x->asked            = true;
        miss(m, index, now);
        return;
    }
    UNREACHABLE("a look-up ends in one of three ways");
}

/* Answered at its first look-up: it never becomes a struct xlate. */
static void leave_promptly(struct iommu *m, const struct iommu_queued *q,
                           struct iommu_response *r, cycle_t now)
{
    r->due                       = now + m->config.iommu.respond_cycles;
    r->part[XLATE_PART_pipeline] = (uint32_t)(r->due - q->accepted);
    slot_released(m, r->due + m->config.iommu.turnaround_cycles);
    deliver(m, &m->client[q->client], r);
}

static uint16_t settle_in(struct iommu *m, const struct iommu_queued *q,
                          const struct iommu_response *r, cycle_t now)
{
    const uint16_t index = xlate_list_pop(m, &m->free);
    struct xlate *x      = &m->xlate[index];
    m->late_count++;
    x->step     = XLATE_WAIT;
    x->request  = q->request;
    x->response = *r;
    x->client   = q->client;
    x->since    = q->accepted;
    x->quiet = x->asked = x->walking = x->recontext = x->refused = x->offered = false;
    x->holds                                                                  = false;
    if (x->trail != NULL) {
        x->trail->count = 0;
        xlate_trail_add(x->trail, XLATE_PART_queue, r->part[XLATE_PART_queue]);
    }
    xlate_account(x, XLATE_PART_pipeline, now);
    return index;
}

__attribute__((flatten)) void xlate_first_lookup(struct iommu *m, cycle_t now)
{
    static const struct iommu_response blank;
    const struct iommu_queued *q        = request_ring_front(m->accepting);
    struct response_ring *prompt        = &m->client[q->client].prompt;
    struct iommu_response *r            = response_ring_push(prompt);
    const struct xlate_context *context = NULL;
    *r                                  = blank; /* A copy: faster than clearing it. */
    r->iova                             = q->request.iova;
    r->id                               = q->request.id;
    r->client                           = q->client;
    r->part[XLATE_PART_queue]           = (uint32_t)(q->accepted - q->arrived);
    enter_epoch(m, r);
    if (m->counts_events)
        m->arch->event(m, EVENT_REQUEST, &q->request, NULL);

    const enum lookup_result result = lookup(m, &q->request, r, NULL, true, &context, now);
    if (result == LOOKUP_ANSWERED) {
        leave_promptly(m, q, r, now);
    } else {
        const uint16_t index = settle_in(m, q, r, now);
        response_ring_unpush(prompt);
        go_on(m, index, result, context, now);
    }
    request_ring_pop(m->accepting);
    m->accepting = NULL;
    m->lookup_at = CYCLE_NEVER;
    unblock_clients(m, now);
    offer_slot(m, now);
}

/* A context has arrived. */
static void lookup_with_context(struct iommu *m, uint16_t index, cycle_t now)
{
    static const struct xlate_held nothing;
    struct xlate *x                     = &m->xlate[index];
    const struct xlate_context *context = NULL;
    xlate_account(x, XLATE_PART_pipeline, now);
    const enum lookup_result result =
        lookup(m, &x->request, &x->response, x->holds ? x->held : &nothing, !x->asked,
               &context, now);
    go_on(m, index, result, context, now);
}

static void lookup_afresh(struct iommu *m, uint16_t index, cycle_t now)
{
    const bool offered      = m->xlate[index].offered;
    m->xlate[index].offered = false;
    lookup_with_context(m, index, now);
    if (offered && m->xlate[index].response.outcome != XLATE_walked)
        walker_offer_slot(m, now);
}

/* A walk has finished or a walk slot is free, and the IOTLB is asked again. A context from
 * before an invalidation must not begin another walk: no command would reach it. */
static void lookup_again(struct iommu *m, uint16_t index, cycle_t now)
{
    struct xlate *x = &m->xlate[index];
    if (x->contexts_dropped != m->contexts_dropped && !m->config.context.refetch) {
        lookup_afresh(m, index, now);
        return;
    }
    struct iotlb_entry *e = iotlb_probe(&m->iotlb, x->context.space, x->request.iova);
    const bool offered    = x->offered;
    x->offered            = false;
    xlate_account(x, XLATE_PART_pipeline, now);
    if (m->config.context.refetch && context_walk_missing(m, x)) {
        context_walk_begin(m, index, now);
    } else if (e == NULL || !m->arch->serves(m, &x->request, &x->context, e)) {
        miss(m, index, now);
    } else {
        iotlb_use(&m->iotlb, e);
        answer_hit(m, &x->request, &x->context, e, &x->response, now);
        xlate_finish(m, index, now + m->config.iommu.respond_cycles);
    }
    if (offered && x->response.outcome != XLATE_walked)
        walker_offer_slot(m, now); /* It did not need the slot, but the next one may. */
}

void xlate_run(struct iommu *m, uint16_t index, cycle_t now)
{
    switch ((enum xlate_step)m->xlate[index].step) {
    case XLATE_CONTEXT:
        lookup_with_context(m, index, now);
        return;
    case XLATE_AGAIN:
        lookup_again(m, index, now);
        return;
    case XLATE_RESPOND:
        respond(m, index, now);
        return;
    case XLATE_IDLE:
        become_free(m, index, now);
        return;
    case XLATE_WAIT:
        break;
    }
    UNREACHABLE("a waiting translation is not scheduled");
}
