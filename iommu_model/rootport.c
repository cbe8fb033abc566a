/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/rootport.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/vtd_spec.h"

#define PARAM_OWNER struct link_config
#define STAT_OWNER  struct dma_stats
static const struct param_def link_params[] = { LINK_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def dma_stats[]    = { DMA_STATS(STAT_ROW) STAT_END };

const struct param_table link_param_table = { "link", "The device's PCI Express link",
                                              link_params, sizeof(struct link_config),
                                              NULL };
const struct stat_table dma_stat_table    = { "dma", "Transactions of a device", dma_stats,
                                              sizeof(struct dma_stats) };

enum { NO_SLOT = UINT16_MAX };

/* The time up to now belongs to this part of the transaction. */
static void account(struct dma_slot *s, enum dma_part part, sim_time_t now)
{
    CHECK(now >= s->since);
    s->part[part] += now - s->since;
    s->since = now;
}

/* The parts stand in the statistics in their order. */
#define FOLLOWS(name, text)                                                                \
    static_assert(offsetof(struct dma_stats, name##_ps)                                    \
                      == offsetof(struct dma_stats, link_up_ps)                            \
                             + DMA_PART_##name * sizeof(uint64_t),                         \
                  "parts in order");
DMA_PARTS(FOLLOWS)

/* ---- Slots ------------------------------------------------------------------------------
 */

static uint16_t slot_take(struct rootport *r)
{
    const uint16_t index = r->free;
    CHECK(index != NO_SLOT);
    r->free = r->slot[index].next;
    if (index >= r->slots_used)
        r->slots_used = index + 1u;
    return index;
}

/* There will be something to take, which needs no step of the port. */
static void tell_device(struct rootport *r, sim_time_t at)
{
    *r->port.device_due = time_min(*r->port.device_due, at);
}

/* Not a translation request, nor an answer to an invalidation. */
static bool is_transaction(const struct dma_slot *s)
{
    return s->request.type == PORT_UNTRANSLATED || s->request.type == PORT_TRANSLATED;
}

static void count_time(struct rootport *r, const struct dma_slot *s, sim_time_t now)
{
    sim_time_t whole = 0;
    for (unsigned p = 0; p < DMA_PART_COUNT; p++) {
        (&r->stats.link_up_ps)[p] += s->part[p];
        whole += s->part[p];
    }
    CHECK(whole == s->since - s->submitted);
    r->stats.whole_ps += whole;
    histogram_record(s->request.kind == PORT_READ ? &r->read_ps : &r->write_ps,
                     now - s->submitted);
}

/* The response has reached the device: the slot, its tag or its credits are free. */
static void slot_release(struct rootport *r, uint16_t index, sim_time_t now)
{
    struct dma_slot *s  = &r->slot[index];
    const unsigned kind = s->request.kind;
    CHECK(s->since <= now);
    if (is_transaction(s))
        count_time(r, s, now);
    if (r->watcher != NULL)
        r->watcher->finished(r->watcher->self, s, index);
    if (kind == PORT_READ)
        r->reads_out--;
    else
        r->posted_out -= s->request.bytes;
    s->in_use = false;
    s->next   = r->free;
    r->free   = index;
    if (r->refused[kind]) {
        r->refused[kind] = false;
        tell_device(r, now);
    }
}

/* ---- The device's side
 * -------------------------------------------------------------------- */

static uint64_t wire_ps(const struct rootport *r, uint32_t payload)
{
    return ((payload + r->config.header_bytes) * r->ps_per_kib + 1023) / 1024;
}

static bool rootport_ready(void *self, enum port_kind kind)
{
    struct rootport *r = self;
    const bool room    = kind == PORT_READ
                             ? r->reads_out < r->config.read_tags
                             : r->posted_out + PORT_BYTES_MAX <= r->config.posted_bytes;
    if (room && r->free != NO_SLOT)
        return true;
    r->refused[kind] = true;
    return false;
}

/* One that is made an interrupt of; others of that range go on to memory. */
static bool rootport_is_interrupt(const struct port_request *q)
{
    return q->kind == PORT_WRITE && q->type == PORT_UNTRANSLATED && q->bytes == 4
           && q->data != NULL && vtd_in_msi_range(q->iova);
}

static void count_submitted(struct rootport *r, const struct dma_slot *s)
{
    r->stats.translation += s->request.type == PORT_TRANSLATION;
    r->stats.invalidated += s->request.type == PORT_INVALIDATED;
    if (!is_transaction(s))
        return;
    if (s->request.kind == PORT_READ) {
        r->stats.read++;
        r->stats.read_bytes += s->request.bytes;
    } else {
        r->stats.write++;
        r->stats.write_bytes += s->request.bytes;
        r->stats.interrupt += s->interrupt;
    }
}

static void rootport_submit(void *self, const struct port_request *request, sim_time_t now)
{
    struct rootport *r   = self;
    const bool write     = request->kind == PORT_WRITE;
    const uint16_t index = slot_take(r);
    struct dma_slot *s   = &r->slot[index];
    *s                   = (struct dma_slot){ .request   = *request,
                                              .submitted = now,
                                              .since     = now,
                                              .order     = r->writes_submitted,
                                              .interrupt = rootport_is_interrupt(request),
                                              .space     = request->origin.space,
                                              .stale     = request->origin.stale,
                                              .in_use    = true };
    if (write) {
        r->posted_out += request->bytes;
        r->writes_submitted++;
        *dma_ring_push(&r->writes) = (struct dma_timed){ 0, index };
    } else {
        r->reads_out++;
    }
    count_submitted(r, s);
    r->up_free = time_max(now, r->up_free) + wire_ps(r, write ? request->bytes : 0);
    const sim_time_t arrives = r->up_free + r->config.latency_ns * TIME_NS;
    *dma_ring_push(&r->up)   = (struct dma_timed){ arrives, index };
    *r->due                  = time_min(*r->due, arrives);
    if (r->watcher != NULL)
        r->watcher->submitted(r->watcher->self, s, index);
}

static struct dma_ring *next_response(struct rootport *r, sim_time_t *due)
{
    const sim_time_t down =
        dma_ring_empty(&r->down) ? TIME_NEVER : dma_ring_front(&r->down)->due;
    const sim_time_t credits =
        dma_ring_empty(&r->credits) ? TIME_NEVER : dma_ring_front(&r->credits)->due;
    *due = time_min(down, credits);
    return down <= credits ? &r->down : &r->credits;
}

static bool rootport_take(void *self, struct port_response *response, sim_time_t now)
{
    struct rootport *r = self;
    sim_time_t due;
    struct dma_ring *ring = next_response(r, &due);
    if (due > now) {
        tell_device(r, due);
        return false;
    }
    const uint16_t index     = dma_ring_front(ring)->slot;
    const struct dma_slot *s = &r->slot[index];
    *response                = (struct port_response){ .tag       = s->request.tag,
                                                       .kind      = s->request.kind,
                                                       .status    = s->fault ? PORT_FAULT : PORT_OK,
                                                       .stale     = s->stale,
                                                       .space     = s->space,
                                                       .entry     = s->entry,
                                                       .submitted = s->submitted };
    dma_ring_pop(ring);
    slot_release(r, index, now);
    return true;
}

/* An Invalidate Request on its way down: behind what was sent before it. */
static bool send_message(void *self, const struct port_invalidation *i, sim_time_t now)
{
    struct rootport *r = self;
    if (i->requester != r->requester)
        return false;
    r->down_free             = time_max(now, r->down_free) + wire_ps(r, ATS_ENTRY_BYTES);
    const sim_time_t arrives = r->down_free + r->config.latency_ns * TIME_NS;
    if (message_ring_full(&r->messages)) /* Of tags that were given up, too. */
        message_ring_grow(&r->messages);
    *message_ring_push(&r->messages) = (struct dma_message){ arrives, *i };
    tell_device(r, arrives);
    return true;
}

static sim_time_t next_message(const struct rootport *r)
{
    return message_ring_empty(&r->messages) ? TIME_NEVER
                                            : message_ring_front(&r->messages)->due;
}

static bool rootport_take_invalidation(void *self, struct port_invalidation *i,
                                       sim_time_t now)
{
    struct rootport *r    = self;
    const sim_time_t next = next_message(r);
    if (next > now) {
        tell_device(r, next);
        return false;
    }
    *i = message_ring_front(&r->messages)->invalidation;
    message_ring_pop(&r->messages);
    return true;
}

static const struct port_ops rootport_ops = { rootport_ready, rootport_submit,
                                              rootport_take, rootport_take_invalidation };

/* ---- Memory
 * ------------------------------------------------------------------------------- */

/* Reads come back in a packet; of a write only its credits do. */
static void respond(struct rootport *r, uint16_t index, sim_time_t now)
{
    struct dma_slot *s   = &r->slot[index];
    const bool read      = s->request.kind == PORT_READ;
    sim_time_t departure = now;
    if (read)
        departure = r->down_free =
            time_max(now, r->down_free) + wire_ps(r, s->fault ? 0 : s->request.bytes);
    const sim_time_t arrives = departure + r->config.latency_ns * TIME_NS;
    account(s, DMA_PART_link_down, arrives);
    *dma_ring_push(read ? &r->down : &r->credits) = (struct dma_timed){ arrives, index };
}

static void note_access(struct rootport *r, struct dma_slot *s, sim_time_t now)
{
    s->accessed = true;
    if (!s->stale && !r->tells_always)
        return;
    r->stats.stale += s->stale;
    if (r->carried_out != NULL)
        r->carried_out(r->carried_out_self, s, now);
}

/* What the port has written but memory does not hold yet: a read behind it sees it. */
static void read_own_writes(const struct rootport *r, const struct dma_slot *read)
{
    for (uint32_t i = 0; i < dma_ring_count(&r->memory_done); i++) {
        const struct dma_slot *w     = &r->slot[dma_ring_at(&r->memory_done, i)->slot];
        const struct port_request *q = &w->request;
        if (q->kind != PORT_WRITE || w->interrupt || q->data == NULL)
            continue;
        const uint64_t first = w->pa > read->pa ? w->pa : read->pa;
        const uint64_t w_end = w->pa + q->bytes, r_end = read->pa + read->request.bytes;
        const uint64_t end = w_end < r_end ? w_end : r_end;
        if (first < end)
            memcpy((char *)read->request.data + (first - read->pa),
                   (const char *)q->data + (first - w->pa), end - first);
    }
}

/* The access begins: a read's data is what memory holds now. */
static void issue(struct rootport *r, uint16_t index, sim_time_t now)
{
    struct dma_slot *s = &r->slot[index];
    account(s, DMA_PART_order, now);
    if (s->request.type == PORT_INVALIDATED) { /* When what went before is in memory. */
        const uint32_t n     = dma_ring_count(&r->memory_done);
        const sim_time_t due = n == 0 ? now : dma_ring_at(&r->memory_done, n - 1)->due;
        *dma_ring_push(&r->memory_done) = (struct dma_timed){ time_max(now, due), index };
        return;
    }
    if (s->request.kind == PORT_READ) {
        note_access(r, s, now);
        if (s->request.data != NULL) {
            memory_read(r->memory, s->pa, s->request.data, s->request.bytes);
            read_own_writes(r, s);
        }
    }
    const struct mem_access_times t = mem_channel_access(r->channel, now, s->request.bytes);
    *dma_ring_push(&r->memory_done) = (struct dma_timed){ t.last, index };
}

/* The access is over: a write's data is in memory, an interrupt has been sent. */
static void carried_out(struct rootport *r, uint16_t index, sim_time_t now)
{
    struct dma_slot *s = &r->slot[index];
    account(s, DMA_PART_memory, now);
    if (s->interrupt) {
        uint32_t data;
        memcpy(&data, s->request.data, sizeof data);
        if (r->interrupt != NULL)
            r->interrupt(r->interrupt_self, s->pa, data, now);
    } else if (s->request.type == PORT_INVALIDATED) {
        iommu_invalidated(r->iommu, s->request.requester, s->request.itags,
                          s->request.completions, now);
    } else if (s->request.kind == PORT_WRITE) {
        note_access(r, s, now);
        memory_device_write(r->memory, s->pa, s->request.data, s->request.bytes);
    }
    if (s->epoch != 0)
        iommu_retire(r->iommu, s->epoch, now);
    if (r->used != NULL && s->translated && s->request.type == PORT_UNTRANSLATED)
        r->used(r->used_self, s, now);
    respond(r, index, now);
}

/* ---- Order
 * -------------------------------------------------------------------------------- */

static void issue_writes(struct rootport *r, sim_time_t now)
{
    while (!dma_ring_empty(&r->writes)) {
        const uint16_t index = dma_ring_front(&r->writes)->slot;
        struct dma_slot *s   = &r->slot[index];
        if (!s->translated)
            return;
        dma_ring_pop(&r->writes);
        r->writes_issued++;
        if (s->fault) {
            account(s, DMA_PART_order, now);
            respond(r, index, now);
        } else {
            issue(r, index, now);
        }
    }
}

static void release_held(struct rootport *r, sim_time_t now)
{
    for (uint16_t *link = &r->held; *link != NO_SLOT;) {
        const uint16_t index = *link;
        struct dma_slot *s   = &r->slot[index];
        if (s->order > r->writes_issued) {
            link = &s->next;
            continue;
        }
        *link = s->next;
        issue(r, index, now);
    }
}

static void translated(struct rootport *r, uint16_t index, sim_time_t now)
{
    struct dma_slot *s = &r->slot[index];
    s->translated      = true;
    if (s->request.kind == PORT_WRITE)
        return; /* issue_writes sees to it, in order. */
    if (s->fault || s->request.type == PORT_TRANSLATION) {
        if (s->epoch != 0) /* Nothing goes to memory. */
            iommu_retire(r->iommu, s->epoch, now);
        respond(r, index, now);
    } else if (s->order <= r->writes_issued) {
        issue(r, index, now);
    } else {
        s->next = r->held;
        r->held = index;
    }
}

/* ---- The IOMMU's side
 * ---------------------------------------------------------------------- */

/* What a device that asked for a translation is told. */
static uint64_t entry_of(const struct dma_slot *s, const struct iommu_response *a)
{
    if (s->request.type != PORT_TRANSLATION || a->outcome == XLATE_faulted)
        return 0;
    return ats_entry(align_down(a->pa, a->page_lg2), a->page_lg2,
                     a->prot & (ATS_READ | ATS_WRITE));
}

/* The IOMMU's cycles, and before them the way to the edge of the first, are all the time
 * that it had the transaction. */
static void account_translation(struct rootport *r, struct dma_slot *s,
                                const struct iommu_response *a, sim_time_t now)
{
    const uint64_t period_ps = r->iommu->config.iommu.period_ps;
    uint64_t cycles          = 0;
    for (unsigned p = 0; p < XLATE_PART_COUNT; p++) {
        r->xlate_cycles[p] += a->part[p];
        cycles += a->part[p];
    }
    const uint64_t edge_ps = now - s->since - cycles * period_ps;
    CHECK(now - s->since >= cycles * period_ps);
    CHECK(edge_ps < period_ps);
    r->stats.edge_ps += edge_ps;
    account(s, DMA_PART_translate, now);
}

/* What a device translated and the IOMMU refuses goes nowhere. */
static void let_go(struct rootport *r, struct dma_slot *s, sim_time_t now)
{
    const struct iommu_referee *referee = r->iommu->referee;
    if (s->stale && referee != NULL && r->iommu->client[r->client].refereed)
        referee->let_go(referee->self, s->space, s->request.origin.iova, now);
    s->stale = false;
}

static void take_translations(struct rootport *r, sim_time_t now)
{
    const struct iommu_response *a;
    sim_time_t next = TIME_NEVER;
    while (r->iommu != NULL && (a = iommu_take(r->iommu, r->client, now, &next)) != NULL) {
        struct dma_slot *s = &r->slot[a->id];
        if (r->watcher != NULL)
            r->watcher->translated(r->watcher->self, s, a->id, a);
        account_translation(r, s, a, now);
        s->pa       = a->pa;
        s->entry    = entry_of(s, a);
        s->fault    = a->outcome == XLATE_faulted;
        s->epoch    = s->fault ? 0 : a->epoch;
        s->bypassed = a->outcome == XLATE_bypassed;
        if (s->request.type != PORT_TRANSLATED) {
            s->space = a->space;
            s->stale = a->stale;
        } else if (s->fault) {
            let_go(r, s, now);
        }
        r->stats.fault += s->fault;
        translated(r, (uint16_t)a->id, now);
    }
    *r->due = next;
}

static void translate(struct rootport *r, uint16_t index, sim_time_t now)
{
    struct dma_slot *s = &r->slot[index];
    account(s, DMA_PART_port, now);
    if (r->iommu == NULL || s->interrupt || s->request.type == PORT_INVALIDATED) {
        s->pa = s->request.iova;
        translated(r, index, now);
        return;
    }
    *iommu_request(r->iommu) = (struct iommu_request){
        .iova       = s->request.iova,
        .id         = index,
        .requester  = s->request.requester,
        .pasid      = s->request.pasid,
        .access     = s->request.kind == PORT_READ ? PT_READ : PT_WRITE,
        .type       = s->request.type,
        .no_write   = s->request.no_write,
        .has_pasid  = s->request.has_pasid,
        .privileged = s->request.privileged,
    };
    iommu_submit(r->iommu, r->client, now);
}

static void take_arrivals(struct rootport *r, sim_time_t now)
{
    while (!dma_ring_empty(&r->up) && dma_ring_front(&r->up)->due <= now) {
        const struct dma_timed arrival = *dma_ring_front(&r->up);
        struct dma_slot *s             = &r->slot[arrival.slot];
        if (s->since < arrival.due)
            account(s, DMA_PART_link_up, arrival.due);
        if (r->iommu != NULL && !s->interrupt && s->request.type != PORT_INVALIDATED
            && !iommu_ready(r->iommu, r->client))
            return; /* It tells us when there is room. */
        dma_ring_pop(&r->up);
        translate(r, arrival.slot, now);
    }
}

static sim_time_t later_than(const struct dma_ring *ring, sim_time_t now)
{
    const sim_time_t due = dma_ring_empty(ring) ? TIME_NEVER : dma_ring_front(ring)->due;
    return due > now ? due : TIME_NEVER;
}

static void rootport_step(void *self, sim_time_t now)
{
    struct rootport *r = self;
    sim_time_t response;
    take_translations(r, now);
    take_arrivals(r, now);
    issue_writes(r, now);
    release_held(r, now);
    while (!dma_ring_empty(&r->memory_done)
           && dma_ring_front(&r->memory_done)->due <= now) {
        const uint16_t index = dma_ring_front(&r->memory_done)->slot;
        dma_ring_pop(&r->memory_done);
        carried_out(r, index, now);
    }
    next_response(r, &response);
    tell_device(r, time_max(now, time_min(response, next_message(r))));
    *r->due = time_min(*r->due, later_than(&r->up, now));
    *r->due = time_min(*r->due, later_than(&r->memory_done, now));
}

/* ---- Set-up
 * ------------------------------------------------------------------------------- */

static uint32_t slots_for(const struct link_config *c)
{
    const uint32_t wanted = c->read_tags + c->posted_bytes / 4;
    return wanted < ROOTPORT_SLOTS_MAX ? wanted : ROOTPORT_SLOTS_MAX;
}

static void make_slots(struct rootport *r)
{
    const uint32_t ring = UINT32_C(1) << lg2_ceil(r->slots);
    r->slot             = calloc(r->slots, sizeof *r->slot);
    CHECK(r->slot != NULL);
    for (uint32_t i = 0; i < r->slots; i++)
        r->slot[i].next = (uint16_t)(i + 1 < r->slots ? i + 1 : NO_SLOT);
    r->free = 0;
    dma_ring_init(&r->up, ring);
    dma_ring_init(&r->memory_done, ring);
    dma_ring_init(&r->down, ring);
    dma_ring_init(&r->credits, ring);
    dma_ring_init(&r->writes, ring);
    message_ring_init(&r->messages, ATS_ITAGS);
}

void rootport_init(struct rootport *r, struct engine *engine,
                   const struct link_config *config, struct iommu *iommu,
                   struct memory *memory, struct mem_channel *channel)
{
    memset(r, 0, sizeof *r);
    r->config  = *config;
    r->iommu   = iommu;
    r->memory  = memory;
    r->channel = channel;
    r->slots   = slots_for(config);
    r->held    = NO_SLOT;
    r->ps_per_kib =
        (UINT64_C(1024) * TIME_US + config->bytes_per_us - 1) / config->bytes_per_us;
    make_slots(r);
    r->due = engine_add_block(engine, "root port", rootport_step, r);
    if (iommu != NULL)
        r->client = iommu_attach(iommu, r->due, IOMMU_RESPONSES(iommu), true);
}

void rootport_free(struct rootport *r)
{
    dma_ring_free(&r->up);
    dma_ring_free(&r->memory_done);
    dma_ring_free(&r->down);
    dma_ring_free(&r->credits);
    dma_ring_free(&r->writes);
    message_ring_free(&r->messages);
    free(r->slot);
}

void rootport_serve_device_tlb(struct rootport *r, uint16_t requester)
{
    CHECK(r->iommu != NULL);
    r->requester = requester;
    iommu_attach_device_tlb(r->iommu, r->client, send_message, r);
}

struct port *rootport_port(struct rootport *r)
{
    r->port.ops  = &rootport_ops;
    r->port.self = r;
    return &r->port;
}

bool rootport_idle(const struct rootport *r)
{
    return r->reads_out == 0 && r->posted_out == 0;
}
