/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/atc.h"

#include <stdlib.h>
#include <string.h>

#include "iommu_model/iommu.h"
#include "iommu_model/vtd_spec.h"

static bool atc_config_check(const void *config, struct error *error)
{
    const struct atc_config *c = config;
    if (repl_find(c->replacement)->ways_pow2 && !is_pow2(c->ways))
        return error_set(
            error, "atc.ways: expected a power of two with atc.replacement=%s, got %u",
            c->replacement, c->ways);
    return true;
}

#define PARAM_OWNER struct atc_config
#define STAT_OWNER  struct atc_stats
static const struct param_def atc_params[] = { ATC_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def atc_defs[]    = { ATC_STATS(STAT_ROW) STAT_END };

const struct param_table atc_param_table = { "atc", "The device's own TLB (ATS)",
                                             atc_params, sizeof(struct atc_config),
                                             atc_config_check };
const struct stat_table atc_stat_table   = { "atc", "The device's own TLB (ATS)", atc_defs,
                                             sizeof(struct atc_stats) };

/* Tags towards the link: a slot's index, or these and a request's index. */
enum { TAG_REQUEST = 1 << 16, TAG_ANSWER = 1 << 17 };

/* Whose a translation is. An invalidation names a PASID; it means both modes of it. */
enum { OF_PASID = 1, OF_PRIVILEGED = 2 };

static space_t space_of(bool has_pasid, uint32_t pasid, bool privileged)
{
    return space_make((has_pasid ? OF_PASID : 0) | (privileged ? OF_PRIVILEGED : 0),
                      has_pasid ? pasid : 0, 0);
}

/* ---- Slots ------------------------------------------------------------------------------
 */

static void append(struct atc *t, uint16_t index)
{
    struct atc_slot *s = &t->slot[index];
    s->next            = ATC_NONE;
    s->before          = t->last;
    if (t->last == ATC_NONE)
        t->first = index;
    else
        t->slot[t->last].next = index;
    t->last = index;
    t->waiting++;
}

static void unlink_slot(struct atc *t, uint16_t index)
{
    const struct atc_slot *s = &t->slot[index];
    if (s->before == ATC_NONE)
        t->first = s->next;
    else
        t->slot[s->before].next = s->next;
    if (s->next == ATC_NONE)
        t->last = s->before;
    else
        t->slot[s->next].before = s->before;
    t->waiting--;
}

static void tell_device(struct atc *t)
{
    *t->port.device_due = time_min(*t->port.device_due, t->now);
}

static bool has_room(const struct atc *t)
{
    return t->waiting < t->config.queue && t->free != ATC_NONE;
}

static void offer_room(struct atc *t)
{
    if (!has_room(t) || !(t->refused[PORT_READ] || t->refused[PORT_WRITE]))
        return;
    t->refused[PORT_READ] = t->refused[PORT_WRITE] = false;
    tell_device(t);
}

static void finish(struct atc *t, uint16_t index, enum port_status status)
{
    *atc_ring_push(&t->done) = (struct atc_done){ index, (uint8_t)status };
    tell_device(t);
}

/* ---- The device's side
 * -------------------------------------------------------------------- */

static bool atc_ready(void *self, enum port_kind kind)
{
    struct atc *t = self;
    if (has_room(t))
        return true;
    t->refused[kind] = true;
    return false;
}

static void atc_submit(void *self, const struct port_request *request, sim_time_t now)
{
    struct atc *t        = self;
    const uint16_t index = t->free;
    CHECK(has_room(t));
    CHECK(request->type == PORT_UNTRANSLATED);
    CHECK(request->requester == t->requester);
    struct atc_slot *s = &t->slot[index];
    t->free            = s->next;
    *s                 = (struct atc_slot){ .request   = *request,
                                            .submitted = now,
                                            .due       = now + t->config.lookup_ns * TIME_NS,
                                            .asked     = ATC_NONE,
                                            .state     = ATC_LOOKUP };
    append(t, index);
    t->stats.transaction++;
    *t->due = time_min(*t->due, s->due);
}

static bool atc_take(void *self, struct port_response *response, sim_time_t now)
{
    struct atc *t = self;
    if (atc_ring_empty(&t->done))
        return false;
    const struct atc_done d = *atc_ring_front(&t->done);
    struct atc_slot *s      = &t->slot[d.slot];
    *response               = (struct port_response){ .tag       = s->request.tag,
                                                      .kind      = s->request.kind,
                                                      .status    = d.status,
                                                      .submitted = s->submitted };
    atc_ring_pop(&t->done);
    s->state = ATC_FREE;
    s->next  = t->free;
    t->free  = d.slot;
    t->now   = time_max(t->now, now);
    offer_room(t);
    return true;
}

static const struct port_ops atc_ops = { atc_ready, atc_submit, atc_take, NULL };

/* ---- Look-ups
 * ----------------------------------------------------------------------------- */

static uint8_t right_of(const struct atc_slot *s)
{
    return s->request.kind == PORT_READ ? PT_READ : PT_WRITE;
}

/* A transaction that is not passed on yet has a translation that software has given back;
 * whether its page is one of those. */
static bool hold(const struct atc *t, space_t space, uint64_t iova)
{
    return t->referee == NULL || t->referee->held(t->referee->self, space, iova);
}

static void let_go(const struct atc *t, space_t space, uint64_t iova)
{
    if (t->referee != NULL)
        t->referee->let_go(t->referee->self, space, iova, t->now);
}

/* Goes by a page of 2^page_lg2 bytes at pa. */
static void make_ready(const struct atc *t, struct atc_slot *s, uint64_t pa,
                       unsigned page_lg2, uint64_t space, bool stale)
{
    const uint64_t iova  = s->request.iova;
    s->passed            = s->request;
    s->passed.type       = PORT_TRANSLATED;
    s->passed.iova       = pa | (iova & mask_lg2(page_lg2));
    s->passed.has_pasid  = false; /* It is in the translation. */
    s->passed.privileged = false;
    s->passed.pasid      = 0;
    s->passed.origin = (struct port_origin){ iova, space, stale && hold(t, space, iova) };
    s->first         = align_down(iova, page_lg2);
    s->last          = s->first | mask_lg2(page_lg2);
    s->asked         = ATC_NONE;
    s->state         = ATC_READY;
}

static bool serves(const struct atc_request *r, const struct atc_slot *s)
{
    const struct port_request *q = &s->request;
    return r->in_use && !r->flushed && r->page == q->iova >> 12
           && r->has_pasid == q->has_pasid && r->pasid == q->pasid
           && r->privileged == q->privileged && (q->kind == PORT_READ || !r->no_write);
}

/* The request to wait for, a new one where there is room; ATC_NONE: later. */
static uint16_t ask(struct atc *t, const struct atc_slot *s)
{
    uint16_t free = ATC_NONE;
    for (uint16_t i = 0; i < t->config.requests; i++) {
        if (serves(&t->request[i], s))
            return i;
        if (!t->request[i].in_use && free == ATC_NONE)
            free = i;
    }
    if (free == ATC_NONE)
        return ATC_NONE;
    t->request[free] = (struct atc_request){ .in_use     = true,
                                             .has_pasid  = s->request.has_pasid,
                                             .privileged = s->request.privileged,
                                             .pasid      = s->request.pasid,
                                             .page       = s->request.iova >> 12,
                                             .no_write   = t->config.no_write
                                                         && s->request.kind == PORT_READ };
    t->requests++;
    return free;
}

static void look_up(struct atc *t, struct atc_slot *s)
{
    const struct port_request *q = &s->request;
    if (q->kind == PORT_WRITE && vtd_in_msi_range(q->iova)) { /* An interrupt. */
        s->passed = *q;
        s->first = s->last = q->iova;
        s->state           = ATC_READY;
        return;
    }
    const struct iotlb_entry *e =
        iotlb_probe(&t->cache, space_of(q->has_pasid, q->pasid, q->privileged), q->iova);
    const bool hit = e != NULL && (e->prot1 & right_of(s));
    t->stats.lookup += !s->looked;
    t->stats.lookup_hit += !s->looked && hit;
    t->stats.lookup_missed += !s->looked && !hit;
    s->looked = true;
    if (hit) {
        iotlb_use(&t->cache, e);
        make_ready(t, s, e->pa, e->page_lg2, e->guest, e->stale_since != TIME_NEVER);
        return;
    }
    s->asked = ask(t, s);
    if (s->asked != ATC_NONE)
        s->state = ATC_ASKED;
    else
        s->due = TIME_NEVER; /* The end of a request lets it look up again. */
}

/* ---- Translation requests
 * ----------------------------------------------------------------- */

static void send_requests(struct atc *t)
{
    for (uint16_t i = 0; i < t->config.requests && t->requests > 0; i++) {
        struct atc_request *r = &t->request[i];
        if (!r->in_use || r->sent)
            continue;
        if (!port_ready(t->lower, PORT_READ))
            return;
        const struct port_request q = { .iova       = r->page << 12,
                                        .bytes      = ATS_ENTRY_BYTES,
                                        .tag        = TAG_REQUEST + i,
                                        .requester  = t->requester,
                                        .kind       = PORT_READ,
                                        .type       = PORT_TRANSLATION,
                                        .has_pasid  = r->has_pasid,
                                        .privileged = r->privileged,
                                        .no_write   = r->no_write,
                                        .pasid      = r->pasid };
        r->sent                     = true;
        r->since                    = t->now;
        port_submit(t->lower, &q, t->now);
    }
}

static void fill(struct atc *t, const struct atc_request *r,
                 const struct port_response *answer)
{
    const unsigned lg2         = ats_entry_lg2(answer->entry);
    const struct iotlb_entry e = {
        .page        = r->page >> (lg2 - 12),
        .space       = space_of(r->has_pasid, r->pasid, r->privileged),
        .pa          = ats_entry_pa(answer->entry),
        .guest       = answer->space,
        .stale_since = answer->stale ? t->now : TIME_NEVER,
        .page_lg2    = (uint8_t)lg2,
        .prot1       = (uint8_t)(answer->entry & (ATS_READ | ATS_WRITE)),
        .prot2       = PT_ALL,
    };
    iotlb_fill(&t->cache, &e);
}

static_assert(ATS_READ == PT_READ && ATS_WRITE == PT_WRITE, "permission bits are shared");

/* Everyone who waited goes on, or gives up; or asks himself, who came when the request was
 * on its way already: what it did not find may be there by now, and nobody tells the
 * device. */
static void settle(struct atc *t, uint16_t request, const struct port_response *answer)
{
    const unsigned lg2 = ats_entry_lg2(answer->entry);
    uint16_t next;
    for (uint16_t i = t->first; i != ATC_NONE; i = next) {
        struct atc_slot *s = &t->slot[i];
        next               = s->next;
        if (s->state == ATC_LOOKUP && s->due == TIME_NEVER)
            s->due = t->now; /* There is room for its request. */
        if (s->state != ATC_ASKED || s->asked != request)
            continue;
        if (answer->entry & right_of(s)) {
            make_ready(t, s, ats_entry_pa(answer->entry), lg2, answer->space,
                       answer->stale);
            continue;
        }
        if (s->submitted >= t->request[request].since) {
            s->asked = ATC_NONE;
            s->state = ATC_LOOKUP;
            s->due   = t->now;
            continue;
        }
        t->stats.transaction_refused++;
        if (t->denied != NULL)
            t->denied(t->denied_self, &s->request, t->now);
        unlink_slot(t, i);
        finish(t, i, PORT_FAULT);
    }
}

static bool overtaken(const struct atc_request *r, uint64_t entry)
{
    const unsigned lg2   = ats_entry_lg2(entry);
    const uint64_t first = align_down(r->page << 12, lg2);
    return r->flushed && first <= r->flush_last
           && (first | mask_lg2(lg2)) >= r->flush_first;
}

static void use_answer(struct atc *t, uint16_t index, const struct port_response *answer)
{
    struct atc_request *r      = &t->request[index];
    struct port_response valid = *answer;
    CHECK(r->in_use);
    t->stats.request++;
    t->stats.request_ps += t->now - r->since;
    if (answer->status != PORT_OK)
        valid.entry = 0;
    if (overtaken(r, valid.entry)) {
        t->stats.request_overtaken++;
        r->sent = r->flushed = false;
        return;
    }
    if (valid.entry != 0)
        fill(t, r, &valid);
    t->stats.request_filled += valid.entry != 0;
    t->stats.request_refused += valid.entry == 0;
    r->in_use = false;
    t->requests--;
    settle(t, index, &valid);
}

static void translated(struct atc *t, uint16_t index, const struct port_response *answer)
{
    use_answer(t, index, answer);
    if (answer->stale) /* By now, whoever uses it holds it. */
        let_go(t, answer->space, t->request[index].page << 12);
}

/* ---- Invalidations
 * ------------------------------------------------------------------------ */

static bool meant(const struct port_invalidation *i, bool has_pasid, uint32_t pasid)
{
    if (i->has_pasid && i->global)
        return has_pasid;
    return i->has_pasid == has_pasid && (!has_pasid || i->pasid == pasid);
}

static struct inv_selector selector(const struct port_invalidation *i)
{
    const bool all     = i->has_pasid && i->global;
    const space_t mask = all ? OF_PASID : SPACE_MASK & ~(space_t)OF_PRIVILEGED;
    return (struct inv_selector){ .mask  = mask,
                                  .value = space_of(i->has_pasid, i->pasid, false) & mask,
                                  .first = i->first,
                                  .last  = i->last };
}

static void flush_requests(struct atc *t, const struct port_invalidation *i)
{
    for (uint32_t n = 0; n < t->config.requests; n++) {
        struct atc_request *r = &t->request[n];
        if (!r->in_use || !r->sent || !meant(i, r->has_pasid, r->pasid))
            continue;
        r->flush_first =
            r->flushed && r->flush_first < i->first ? r->flush_first : i->first;
        r->flush_last = r->flushed && r->flush_last > i->last ? r->flush_last : i->last;
        r->flushed    = true;
    }
}

static bool goes_by(const struct atc_slot *s, const struct port_invalidation *i)
{
    return s->passed.type == PORT_TRANSLATED && s->first <= i->last && s->last >= i->first
           && meant(i, s->request.has_pasid, s->request.pasid);
}

/* What was about to be passed on looks up again. */
static void take_back(struct atc *t, const struct port_invalidation *i)
{
    for (uint16_t n = t->first; n != ATC_NONE; n = t->slot[n].next) {
        struct atc_slot *s = &t->slot[n];
        if (s->state != ATC_READY || !goes_by(s, i))
            continue;
        if (s->passed.origin.stale)
            let_go(t, s->passed.origin.space, s->request.iova);
        s->state  = ATC_LOOKUP;
        s->due    = t->now;
        s->looked = false;
    }
}

static uint32_t await_reads(struct atc *t, const struct port_invalidation *i)
{
    uint32_t reads = 0;
    for (uint32_t n = 0, left = t->sent; left > 0; n++) {
        struct atc_slot *s = &t->slot[n];
        if (s->state != ATC_SENT)
            continue;
        left--;
        if (s->request.kind != PORT_READ || (s->waited_by >> i->itag & 1) || !goes_by(s, i))
            continue;
        s->waited_by |= UINT32_C(1) << i->itag;
        reads++;
    }
    return reads;
}

static void invalidate(struct atc *t, const struct port_invalidation *i)
{
    struct atc_invalidation *v  = &t->invalidation[i->itag];
    const struct inv_selector s = selector(i);
    if (!t->config.keeps) {
        iotlb_invalidate(&t->cache, &s);
        flush_requests(t, i);
        take_back(t, i);
    }
    /* A tag comes again before its answer when the IOMMU has given the first up: one answer
     * is for both. */
    const uint32_t left = v->in_use ? v->left : 0;
    t->invalidations += !v->in_use;
    *v = (struct atc_invalidation){ .in_use = true,
                                    .left = t->config.keeps ? 0 : left + await_reads(t, i),
                                    .arrived = t->now,
                                    .due     = t->now + t->config.answer_ns * TIME_NS };
    t->stats.invalidation_waited += v->left > 0;
}

static void read_over(struct atc *t, struct atc_slot *s)
{
    for (uint32_t tags = s->waited_by; tags != 0; tags &= tags - 1) {
        struct atc_invalidation *v = &t->invalidation[__builtin_ctz(tags)];
        CHECK(v->left > 0);
        if (--v->left == 0)
            v->due = t->now + t->config.answer_ns * TIME_NS;
    }
}

/* Behind every write that went by what was forgotten. */
static void answer_invalidations(struct atc *t, sim_time_t *next)
{
    for (unsigned tag = 0; t->invalidations > 0 && tag < ATS_ITAGS; tag++) {
        struct atc_invalidation *v = &t->invalidation[tag];
        if (!v->in_use || v->left > 0)
            continue;
        if (v->due > t->now) {
            *next = time_min(*next, v->due);
            continue;
        }
        if (!port_ready(t->lower, PORT_WRITE))
            return;
        const struct port_request q = { .tag         = TAG_ANSWER,
                                        .requester   = t->requester,
                                        .kind        = PORT_WRITE,
                                        .type        = PORT_INVALIDATED,
                                        .itags       = UINT32_C(1) << tag,
                                        .completions = 1 };
        port_submit(t->lower, &q, t->now);
        t->stats.invalidation++;
        t->stats.invalidation_ps += t->now - v->arrived;
        v->in_use = false;
        t->invalidations--;
    }
}

/* ---- Passing on
 * ---------------------------------------------------------------------------- */

static void pass_on(struct atc *t, uint16_t index)
{
    struct atc_slot *s = &t->slot[index];
    s->passed.tag      = index;
    s->state           = ATC_SENT;
    t->sent++;
    t->stats.wait_ps += t->now - s->submitted;
    t->stats.transaction_translated += s->passed.type == PORT_TRANSLATED;
    t->stats.transaction_untranslated += s->passed.type == PORT_UNTRANSLATED;
    unlink_slot(t, index);
    port_submit(t->lower, &s->passed, t->now);
}

/* In order; behind a write that has to wait, nothing is passed on. */
static void advance(struct atc *t, sim_time_t *next_due)
{
    bool behind_write = false;
    uint16_t next;
    for (uint16_t i = t->first; i != ATC_NONE; i = next) {
        struct atc_slot *s = &t->slot[i];
        next               = s->next;
        if (s->state == ATC_LOOKUP && s->due <= t->now)
            look_up(t, s);
        if (s->state == ATC_LOOKUP)
            *next_due = time_min(*next_due, s->due);
        if (s->state == ATC_READY && !behind_write && port_ready(t->lower, s->request.kind))
            pass_on(t, i);
        else
            behind_write = behind_write || s->request.kind == PORT_WRITE;
    }
}

static void take_responses(struct atc *t)
{
    struct port_response r;
    while (port_take(t->lower, &r, t->now)) {
        if (r.tag == TAG_ANSWER)
            continue;
        if (r.tag >= TAG_REQUEST) {
            translated(t, (uint16_t)(r.tag - TAG_REQUEST), &r);
            continue;
        }
        struct atc_slot *s = &t->slot[r.tag];
        CHECK(s->state == ATC_SENT);
        t->sent--;
        read_over(t, s);
        s->state = ATC_FREE; /* Until the device takes its response, it stays its own. */
        finish(t, (uint16_t)r.tag, (enum port_status)r.status);
    }
}

static void atc_step(void *self, sim_time_t now)
{
    struct atc *t   = self;
    sim_time_t next = TIME_NEVER;
    struct port_invalidation i;
    t->now  = now;
    *t->due = TIME_NEVER;
    while (port_take_invalidation(t->lower, &i, now))
        invalidate(t, &i);
    take_responses(t);
    advance(t, &next);
    send_requests(t);
    answer_invalidations(t, &next);
    offer_room(t);
    *t->due = time_min(*t->due, next);
}

/* ---- Set-up
 * ------------------------------------------------------------------------------- */

void atc_init(struct atc *t, struct engine *engine, const struct atc_config *config,
              uint16_t requester, struct port *lower, uint64_t seed)
{
    struct iotlb_config cache;
    memset(t, 0, sizeof *t);
    param_reset(&iotlb_param_table, &cache);
    cache.sets        = config->sets;
    cache.ways        = config->ways;
    cache.replacement = config->replacement;
    iotlb_init(&t->cache, &cache, rng_make(seed, "device tlb"));
    t->config    = *config;
    t->requester = requester;
    t->lower     = lower;
    t->slots     = config->queue + ATC_SLOTS_SENT;
    t->slot      = calloc(t->slots, sizeof *t->slot);
    CHECK(t->slot != NULL);
    for (uint32_t i = 0; i < t->slots; i++)
        t->slot[i].next = (uint16_t)(i + 1 < t->slots ? i + 1 : ATC_NONE);
    t->first = t->last = ATC_NONE;
    atc_ring_init(&t->done, UINT32_C(1) << lg2_ceil(t->slots));
    t->due            = engine_add_block(engine, "device tlb", atc_step, t);
    lower->device_due = t->due;
}

void atc_free(struct atc *t)
{
    iotlb_free(&t->cache);
    atc_ring_free(&t->done);
    free(t->slot);
}

struct port *atc_port(struct atc *t)
{
    t->port.ops  = &atc_ops;
    t->port.self = t;
    return &t->port;
}

struct atc_stats atc_stats(const struct atc *t)
{
    struct atc_stats s  = t->stats;
    s.entry_filled      = t->cache.stats.entry_filled;
    s.entry_evicted     = t->cache.stats.entry_evicted;
    s.entry_invalidated = t->cache.stats.entry_invalidated;
    return s;
}

bool atc_idle(const struct atc *t)
{
    return t->waiting == 0 && t->sent == 0 && t->requests == 0 && t->invalidations == 0;
}

void atc_mark_stale(struct atc *t, space_t space, uint64_t first, uint64_t last)
{
    for (uint16_t n = t->first; n != ATC_NONE; n = t->slot[n].next) {
        struct atc_slot *s = &t->slot[n];
        if (s->state == ATC_READY && s->passed.type == PORT_TRANSLATED
            && !s->passed.origin.stale && (s->passed.origin.space & SPACE_MASK) == space
            && s->request.iova >= first && s->request.iova <= last)
            s->passed.origin.stale = hold(t, space, s->request.iova);
    }
}
