/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walker - page walks: read an entry, decode it, descend; through one stage or two.
 *
 * A walk belongs to one page. It waits for a walker, asks the walk caches how deep it may
 * begin, and then reads one entry after the other. With both stages on, every first-stage
 * table's address is itself walked through the second stage, and so is the page's.
 */
#include "iommu_model/arch.h"

enum { NO_WALKER = 0xff };

static space_t guest_space(space_t space)
{
    return (space & ~(SPACE_PROCESS_MASK | SPACE_STAGES_MASK)) | SPACE_STAGE_2
           | SPACE_GUEST_WALK;
}

/* ---- Reading --------------------------------------------------------------------------
 */

static const struct xlate_context *context_of(const struct iommu *m, const struct walk *w)
{
    return &m->xlate[w->owner].context;
}

static bool nested(const struct xlate_context *c)
{
    return c->stage1.format != NULL && c->stage2.format != NULL;
}

/* The address whose entry is read next, and the stage whose table it is in. */
static uint64_t walked_address(const struct iommu *m, const struct walk *w)
{
    return w->phase == WALK_STAGE1 || !nested(context_of(m, w))
               ? m->xlate[w->owner].request.iova
               : w->guest;
}

static const struct xlate_stage *walked_stage(const struct iommu *m, const struct walk *w)
{
    const struct xlate_context *c = context_of(m, w);
    return w->phase == WALK_STAGE1 ? &c->stage1 : &c->stage2;
}

/* Where in its table, which is guest-physical, the first-stage entry lies. */
static uint64_t table1_entry(const struct iommu *m, const struct walk *w)
{
    const struct xlate_stage *stage = &context_of(m, w)->stage1;
    return w->table1
           + pt_entry_offset(stage->format, w->level1, w->level1 + 1 == stage->levels,
                             m->xlate[w->owner].request.iova);
}

static void fail_access(struct iommu *m, struct walk *w);

static void read_entry(struct iommu *m, struct walk *w, cycle_t cycle)
{
    const struct xlate_stage *stage = walked_stage(m, w);
    const bool root                 = w->level + 1 == stage->levels;
    const bool msi                  = w->phase == WALK_MSI;
    w->entry_pa                     = w->table;
    if (!msi)
        w->entry_pa += pt_entry_offset(stage->format, w->level, root, walked_address(m, w));
    if (w->entry_pa > m->pa_last) {
        fail_access(m, w);
        return;
    }
    m->xlate[w->owner].response.reads++;
    iommu_read(m, MEMPORT_WALKER + w->walker, w->entry_pa, msi ? 2 : 1, cycle);
}

static void tell(struct iommu *m, const struct walk *w, enum arch_event event)
{
    if (m->counts_events)
        m->arch->event(m, event, &m->xlate[w->owner].request, context_of(m, w));
}

static void fail(struct iommu *m, struct walk *w, unsigned stage, enum arch_denial denial,
                 cycle_t now);
static void combine(struct iommu *m, struct walk *w, const struct pt_item *leaf2,
                    cycle_t now);

/* Goes on in stage 2 for a guest-physical address, as deep as the walk caches allow, with
 * the first read in cycle next. */
static void walk_stage2(struct iommu *m, struct walk *w, uint64_t guest, bool for_table,
                        cycle_t next, cycle_t now)
{
    const struct xlate_stage *stage = &context_of(m, w)->stage2;
    const bool alone                = context_of(m, w)->stage1.format == NULL;
    w->phase                        = WALK_STAGE2;
    w->guest                        = guest;
    w->for_table                    = for_table;
    w->table                        = stage->root;
    w->above                        = PT_NO_TABLES;
    tell(m, w, EVENT_STAGE2_WALK);
    if (guest >> pt_input_lg2(stage->format, stage->levels) != 0) {
        fail(m, w, STAGE_2, DENIED_ABSENT, now);
        return;
    }
    w->level = (uint8_t)walkcache_lookup(&m->walkcache, stage->format,
                                         alone ? w->space : guest_space(w->space), guest,
                                         stage->levels - 1u, &w->table, &w->above);
    read_entry(m, w, next);
}

/* The first stage has made guest of the request's address; what becomes of that? */
static void walk_page(struct iommu *m, struct walk *w, uint64_t guest, cycle_t next,
                      cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    w->guest                      = guest;
    w->for_table                  = false;
    if (c->redirects && m->arch->redirects(c, guest, &w->table)) {
        w->phase = WALK_MSI;
        read_entry(m, w, next);
    } else if (c->stage2.format != NULL) {
        walk_stage2(m, w, guest, false, next, now);
    } else {
        combine(m, w, NULL, now);
    }
}

/* Goes on with a first-stage table whose physical address is known. */
static void walk_table1(struct iommu *m, struct walk *w, uint8_t level, uint64_t table,
                        uint8_t above, cycle_t next)
{
    w->phase = WALK_STAGE1;
    w->level = level;
    w->table = table;
    w->above = above;
    read_entry(m, w, next);
}

static void start_stage1(struct iommu *m, struct walk *w, cycle_t next, cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const uint64_t iova           = m->xlate[w->owner].request.iova;
    uint64_t table                = c->stage1.root;
    uint8_t above                 = PT_NO_TABLES;
    const unsigned top            = c->stage1.levels - 1u;
    /* Who may have to write an entry translates the address of its table himself. */
    const bool writes =
        nested(c) && m->arch->updates != NULL && m->arch->updates(c, STAGE_1);
    const unsigned level = writes ? top
                                  : walkcache_lookup(&m->walkcache, c->stage1.format,
                                                     w->space, iova, top, &table, &above);
    tell(m, w, EVENT_STAGE1_WALK);
    if (level != top || !nested(c)) {
        walk_table1(m, w, (uint8_t)level, table, above, next);
        return;
    }
    w->level1 = (uint8_t)top;
    w->above1 = above;
    w->table1 = table;
    walk_stage2(m, w, table1_entry(m, w), true, next, now);
}

static void start(struct iommu *m, struct walk *w, cycle_t now)
{
    const cycle_t next = now + m->config.walker.start_cycles;
    m->stats.walk++;
    m->xlate[w->owner].walking = true;
    if (context_of(m, w)->stage1.format != NULL)
        start_stage1(m, w, next, now);
    else
        walk_page(m, w, m->xlate[w->owner].request.iova, next, now);
}

/* ---- Walkers and waiting ---------------------------------------------------------------
 */

void walker_init(struct iommu *m)
{
    const uint32_t walks = m->config.walker.walks;
    for (uint32_t i = 0; i < walks; i++)
        m->walk[i].next = (uint16_t)(i + 1 < walks ? i + 1 : XLATE_NONE);
    m->walk_free     = 0;
    m->waiting_first = XLATE_NONE;
    m->walkers_free  = mask_lg2(m->config.walker.walkers);
}

static uint16_t *page_filter(struct iommu *m, uint64_t page)
{
    return &m->page_walks[(page ^ (page >> 18)) % WALK_FILTER];
}

static void give_walker(struct iommu *m, struct walk *w, unsigned walker, cycle_t now)
{
    m->walkers_free &= ~(UINT64_C(1) << walker);
    m->walker_walk[walker] = (uint16_t)(w - m->walk);
    w->walker              = (uint8_t)walker;
    xlate_account(&m->xlate[w->owner], XLATE_PART_walker, now);
    start(m, w, now);
}

static void wait_for_walker(struct iommu *m, struct walk *w)
{
    const uint16_t index = (uint16_t)(w - m->walk);
    w->next              = XLATE_NONE;
    if (m->waiting_first == XLATE_NONE)
        m->waiting_first = index;
    else
        m->walk[m->waiting_last].next = index;
    m->waiting_last = index;
}

static struct walk *joinable(struct iommu *m, space_t space, uint64_t page)
{
    if (*page_filter(m, page) == 0)
        return NULL;
    for (uint32_t i = 0, left = m->walks_active; left > 0; i++) {
        struct walk *w = &m->walk[i];
        if (w->phase == WALK_FREE)
            continue;
        left--;
        if (w->page == page && w->space == space && !w->flushed)
            return w;
    }
    return NULL;
}

static struct walk *new_walk(struct iommu *m, uint16_t owner, uint64_t page, space_t space)
{
    static const struct walk blank;
    struct walk *w = &m->walk[m->walk_free];
    CHECK(w->phase == WALK_FREE);
    m->walk_free   = w->next;
    *w             = blank;
    w->phase       = WALK_WAITING;
    w->walker      = NO_WALKER;
    w->stale_since = TIME_NEVER;
    w->owner       = owner;
    w->joined      = (struct xlate_list){ XLATE_NONE, XLATE_NONE };
    w->page        = page;
    w->space       = space;
    m->walks_active++;
    ++*page_filter(m, page);
    return w;
}

bool walker_begin(struct iommu *m, uint16_t index, cycle_t now)
{
    struct xlate *x      = &m->xlate[index];
    const uint64_t page  = x->request.iova >> 12;
    struct walk *running = joinable(m, x->context.space, page);
    x->step              = XLATE_WAIT;
    if (running != NULL) {
        x->response.outcome = XLATE_joined;
        xlate_list_push(m, &running->joined, index);
        return true;
    }
    if (m->walk_free == XLATE_NONE)
        return false;
    struct walk *w      = new_walk(m, index, page, x->context.space);
    x->response.outcome = XLATE_walked;
    if (m->walkers_free != 0)
        give_walker(m, w, (unsigned)__builtin_ctzll(m->walkers_free), now);
    else
        wait_for_walker(m, w);
    return true;
}

/* A walk slot is free: the oldest translation that found none looks up again. */
void walker_offer_slot(struct iommu *m, cycle_t now)
{
    if (m->stalled.first == XLATE_NONE || m->walk_free == XLATE_NONE)
        return;
    const uint16_t index = xlate_list_pop(m, &m->stalled);
    struct xlate *x      = &m->xlate[index];
    xlate_account(x, XLATE_PART_walker, now);
    x->step    = XLATE_AGAIN;
    x->offered = true;
    wheel_put(&m->wheel, item_xlate(index), now + 1);
}

/* The walker takes up the walk that has waited longest. */
static void release(struct iommu *m, struct walk *w, cycle_t now)
{
    const unsigned walker = w->walker;
    if (w->stale_since != TIME_NEVER && m->referee != NULL)
        m->referee->let_go(m->referee->self, w->space, w->page << 12, m->asked_time);
    m->walkers_free |= UINT64_C(1) << walker;
    w->phase     = WALK_FREE;
    w->next      = m->walk_free;
    m->walk_free = (uint16_t)(w - m->walk);
    m->walks_active--;
    --*page_filter(m, w->page);
    if (m->waiting_first != XLATE_NONE) {
        struct walk *next = &m->walk[m->waiting_first];
        m->waiting_first  = next->next;
        give_walker(m, next, walker, now);
    }
    walker_offer_slot(m, now);
}

/* ---- The end ---------------------------------------------------------------------------
 */

static void look_again(struct iommu *m, uint16_t index, cycle_t due)
{
    m->xlate[index].step = XLATE_AGAIN;
    wheel_put(&m->wheel, item_xlate(index), due);
}

static void wake(struct iommu *m, uint16_t index, const struct xlate_context *c,
                 const struct iotlb_entry *e, bool again, cycle_t due)
{
    struct xlate *x = &m->xlate[index];
    if (again) {
        look_again(m, index, due);
        return;
    }
    xlate_answer(m, &x->request, c, e, &x->response);
    xlate_finish(m, index, due + m->config.iommu.respond_cycles);
}

static void deny(struct iommu *m, uint16_t index, const struct iommu_fault *what,
                 cycle_t now)
{
    xlate_fault(m, index, what,
                now + m->config.walker.fill_cycles + m->config.iommu.respond_cycles);
}

/* Takes the next who has joined off the list; what waited so far was for another's walk. */
static uint16_t next_joined(struct iommu *m, struct walk *w, cycle_t now)
{
    const uint16_t index = xlate_list_pop(m, &w->joined);
    xlate_account(&m->xlate[index], XLATE_PART_join, now);
    return index;
}

/* The owner's context was dropped, and is read again: what this walk found is void. False:
 * it was not. */
static bool give_up(struct iommu *m, struct walk *w, cycle_t now)
{
    struct xlate *x = &m->xlate[w->owner];
    x->walking      = false;
    if (!x->recontext && !x->refused)
        return false;
    if (x->refused) {
        const struct iommu_fault what = { .cause = x->refused_cause };
        deny(m, w->owner, &what, now);
    }
    while (w->joined.first != XLATE_NONE)
        look_again(m, next_joined(m, w, now), now + m->config.walker.fill_cycles);
    m->stats.walk_unfilled++;
    release(m, w, now);
    return true;
}

/* An invalidation that covers any part of the page came after the walk began. */
static bool overtaken(const struct iommu *m, const struct walk *w,
                      const struct iotlb_entry *e)
{
    const uint64_t first = e->page << e->page_lg2;
    return w->flushed && !m->config.walker.fill_after_flush && first <= w->flush_last
           && (first | mask_lg2(e->page_lg2)) >= w->flush_first;
}

/* Some implementations cache that the second stage has no translation. */
static void fill_denied(struct iommu *m, const struct walk *w, unsigned stage,
                        enum arch_denial denial)
{
    const struct xlate_context *c = context_of(m, w);
    const struct iotlb_entry e    = { .page        = w->page,
                                      .space       = w->space,
                                      .page_lg2    = 12,
                                      .prot1       = PT_ALL,
                                      .denied      = (uint8_t)(denial + 1),
                                      .stale_since = TIME_NEVER };
    if (m->caches_absent && c->stage1.format == NULL && stage == STAGE_2
        && (denial == DENIED_ABSENT || denial == DENIED_MALFORMED) && !overtaken(m, w, &e))
        iotlb_fill(&m->iotlb, &e);
}

/* Whether the request came when the walk's last entry had been read: what was absent or
 * wrong then may be there by now, and where that is not cached nobody tells the hardware.
 */
static bool came_later(const struct iommu *m, const struct walk *w, uint16_t index)
{
    return xlate_submitted(&m->xlate[index])
           >= m->memport.read[MEMPORT_WALKER + w->walker].accepted;
}

/* The walk has no result. Everyone who waits is refused, or, where that is the owner's
 * access alone, walks for himself: so does he whom a first stage that has let the owner
 * pass may still refuse. */
static void fail_as(struct iommu *m, struct walk *w, struct iommu_fault what,
                    unsigned stage, enum arch_denial denial, cycle_t now)
{
    const bool passed =
        context_of(m, w)->stage1.format != NULL && w->phase != WALK_STAGE1 && !w->for_table;
    const bool alone = denial == DENIED_PERMISSION || denial == DENIED_UNMARKED || passed;
    /* A fault stands, whatever the context that is read again will say. */
    if (m->xlate[w->owner].recontext)
        context_walk_leave(m, w->owner);
    if (give_up(m, w, now))
        return;
    fill_denied(m, w, stage, denial);
    m->stats.walk_unfilled++;
    const uint8_t prot =
        stage == STAGE_1 && denial == DENIED_PERMISSION ? w->leaf1.prot : PT_ALL;
    what.no_rights =
        denial == DENIED_ABSENT || denial == DENIED_PERMISSION || denial == DENIED_UNMARKED;
    if (stage != 0)
        what.cause = m->arch->cause(m, &m->xlate[w->owner].request, stage, denial, prot);
    deny(m, w->owner, &what, now);
    while (w->joined.first != XLATE_NONE) {
        const uint16_t index          = next_joined(m, w, now);
        const struct iommu_request *q = &m->xlate[index].request;
        if (stage != 0)
            what.cause = m->arch->cause(m, q, stage, denial, prot);
        if (!what.implicit)
            what.guest = (what.guest & ~mask_lg2(12)) | (q->iova & mask_lg2(12));
        if (alone || came_later(m, w, index))
            look_again(m, index, now + m->config.walker.fill_cycles);
        else
            deny(m, index, &what, now);
    }
    release(m, w, now);
}

static void fail(struct iommu *m, struct walk *w, unsigned stage, enum arch_denial denial,
                 cycle_t now)
{
    const struct iommu_fault what = { .has_guest = stage == STAGE_2,
                                      .guest     = stage == STAGE_2 ? w->guest : 0,
                                      .implicit  = stage == STAGE_2 && w->for_table };
    fail_as(m, w, what, stage, denial, now);
}

/* The next entry lies beyond memory. */
static void fail_access(struct iommu *m, struct walk *w)
{
    const unsigned stage          = w->phase == WALK_MSI      ? 0
                                    : w->phase == WALK_STAGE1 ? STAGE_1
                                                              : STAGE_2;
    const struct iommu_request *q = &m->xlate[w->owner].request;
    const struct iommu_fault what = { .cause = m->arch->cause(m, q, 0, DENIED_ACCESS, 0) };
    fail_as(m, w, what, stage, DENIED_ACCESS, m->asked_cycle);
}

/* Answers one who waited for the result, as his own rights allow. */
static void settle(struct iommu *m, uint16_t index, const struct xlate_context *c,
                   const struct iotlb_entry *e, bool again, cycle_t now)
{
    const struct iommu_request *q = &m->xlate[index].request;
    const unsigned denied         = again ? 0 : xlate_denying_stage(m, q, c, e);
    if (denied == 0) {
        wake(m, index, c, e, again, now + m->config.walker.fill_cycles);
        return;
    }
    const struct iommu_fault what = { .cause     = xlate_denied_cause(m, q, denied, e),
                                      .has_guest = denied == STAGE_2,
                                      .guest     = iotlb_guest(e, q->iova),
                                      .no_rights = true };
    deny(m, index, &what, now);
}

/* A joined request whose access needs bits that the owner's did not cannot use the result.
 */
static bool usable(const struct iommu *m, uint16_t index, const struct iotlb_entry *e)
{
    const struct xlate *x = &m->xlate[index];
    return m->arch->serves(m, &x->request, &x->context, e);
}

/* What a translation has spent on walks of its own. */
static uint64_t walked_cycles(const struct iommu_response *r)
{
    uint64_t sum = 0;
    for (unsigned p = XLATE_PART_walker; p <= XLATE_PART_guest; p++)
        sum += r->part[p];
    return sum;
}

static void finish(struct iommu *m, struct walk *w, const struct iotlb_entry *e,
                   cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const bool allowed            = m->config.walker.fill_denied
                         || (m->caches_absent && c->stage1.format == NULL)
                         || xlate_denying_stage(m, &m->xlate[w->owner].request, c, e) == 0;
    /* No command names an interrupt file's entry where there is no second stage. */
    const bool named  = !e->redirected || c->stage2.format != NULL;
    const bool yields = m->config.walker.fill_yields && invq_invalidates(m, now);
    const bool fills  = allowed && named && !yields && !overtaken(m, w, e);
    const bool again  = fills && m->config.iommu.relookup;
    if (give_up(m, w, now))
        return;
    m->stats.walk_filled += fills;
    m->stats.walk_unfilled += !fills;
    if (fills)
        iotlb_note_leaf(&m->iotlb, iotlb_fill(&m->iotlb, e), w->entry_pa);
    uint64_t waited = walked_cycles(&m->xlate[w->owner].response);
    settle(m, w->owner, c, e, again, now);
    while (w->joined.first != XLATE_NONE) {
        waited += now - m->xlate[w->joined.first].since;
        const uint16_t index = next_joined(m, w, now);
        settle(m, index, c, e, again || !usable(m, index, e), now);
    }
    if (fills && m->referee != NULL)
        m->referee->entry_filled(m->referee->self, e, waited, w->refill_cycles);
    release(m, w, now);
}

/* Some of the page's addresses are interrupt files', which have entries of their own. */
static bool covers_file(const struct xlate_context *c, uint64_t guest, unsigned page_lg2)
{
    const uint64_t differ = guest >> 12 ^ c->msi_pattern;
    return c->redirects && (differ & ~c->msi_mask & ~mask_lg2(page_lg2 - 12)) == 0;
}

/* All stages have ended in leaves (a stage that is off: leaf of the whole space). */
static void combine(struct iommu *m, struct walk *w, const struct pt_item *leaf2,
                    cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const uint64_t iova           = m->xlate[w->owner].request.iova;
    const struct pt_item *leaf1   = c->stage1.format != NULL ? &w->leaf1 : NULL;
    struct iotlb_entry e          = {
                 .space = w->space, .prot1 = PT_ALL, .prot2 = PT_ALL, .stale_since = w->stale_since
    };
    uint64_t pa = leaf1 != NULL ? leaf1->pa | (iova & mask_lg2(leaf1->page_lg2)) : iova;
    if (leaf2 != NULL) {
        pa           = leaf2->pa | (w->guest & mask_lg2(leaf2->page_lg2));
        e.stage2_lg2 = leaf2->page_lg2;
        e.prot2      = leaf2->prot;
        e.page_lg2   = leaf2->page_lg2;
    }
    if (leaf1 != NULL) {
        e.stage1_lg2 = leaf1->page_lg2;
        e.prot1      = leaf1->prot;
        e.global     = leaf1->prot & PT_GLOBAL;
        if (leaf2 == NULL || leaf1->page_lg2 < leaf2->page_lg2)
            e.page_lg2 = leaf1->page_lg2;
    }
    e.redirected = w->phase == WALK_MSI;
    if (!e.redirected && covers_file(c, w->guest, e.page_lg2))
        e.page_lg2 = 12;
    e.page  = iova >> e.page_lg2;
    e.pa    = align_down(pa, e.page_lg2);
    e.guest = leaf2 != NULL ? align_down(w->guest, e.page_lg2) : 0;
    if (e.stale_since == TIME_NEVER && m->referee != NULL)
        e.stale_since = m->referee->given_back_at(m->referee->self, w->space, iova);
    finish(m, w, &e, now);
}

/* ---- One entry has arrived --------------------------------------------------------------
 */

static void account_read(struct iommu *m, struct walk *w, cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const bool guest =
        w->phase == WALK_MSI || (w->phase == WALK_STAGE2 && c->stage1.format != NULL);
    CHECK(w->level <= 4 || guest);
    CHECK(now >= m->xlate[w->owner].since);
    w->read_cycles = now - m->xlate[w->owner].since;
    xlate_account(&m->xlate[w->owner],
                  guest ? XLATE_PART_guest : (enum xlate_part)(XLATE_PART_walk0 + w->level),
                  now);
}

static void tell_filled(const struct iommu *m, struct walk *w,
                        const struct walkcache_entry *e)
{
    if (e != NULL && m->referee != NULL && m->referee->pointer_filled(m->referee->self, e))
        w->refill_cycles += w->read_cycles;
}

static void descend(struct iommu *m, struct walk *w, const struct pt_item *item,
                    cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const cycle_t next            = now + m->config.walker.step_cycles;
    w->level--;
    w->above = pt_below(w->above, item->prot);
    if (w->phase == WALK_STAGE1 && nested(c)) {
        w->level1 = w->level;
        w->above1 = w->above;
        w->table1 = item->pa;
        walk_stage2(m, w, table1_entry(m, w), true, next, now);
        return;
    }
    w->table = item->pa;
    if (!w->tables_flushed || m->config.walker.fill_after_flush) {
        const bool guest = w->phase == WALK_STAGE2 && nested(c);
        const struct walkcache_entry *e =
            walkcache_fill(&m->walkcache, walked_stage(m, w)->format,
                           guest ? guest_space(w->space) : w->space, walked_address(m, w),
                           w->level, w->table, w->above, w->entry_pa);
        tell_filled(m, w, e);
    }
    read_entry(m, w, next);
}

/* Stage 2 has found where a first-stage table is: go on in it. */
static void table_found(struct iommu *m, struct walk *w, const struct pt_item *leaf2,
                        cycle_t now)
{
    const uint64_t pa = leaf2->pa | (w->table1 & mask_lg2(leaf2->page_lg2));
    w->table_leaf     = *leaf2;
    w->table_leaf_pa  = w->entry_pa;
    if (!w->tables_flushed || m->config.walker.fill_after_flush)
        walkcache_fill(&m->walkcache, context_of(m, w)->stage1.format, w->space,
                       m->xlate[w->owner].request.iova, w->level1, pa, w->above1, 0);
    walk_table1(m, w, w->level1, pa, w->above1, now + m->config.walker.step_cycles);
}

static void leaf_found(struct iommu *m, struct walk *w, struct pt_item *leaf, cycle_t now)
{
    const struct xlate_context *c         = context_of(m, w);
    const struct iommu_request *q         = &m->xlate[w->owner].request;
    static const struct iommu_request own = { .access = PT_READ };
    if (w->phase == WALK_STAGE2) {
        if (w->for_table && !m->arch->allows(&own, c, STAGE_2, leaf->prot))
            fail(m, w, STAGE_2, DENIED_PERMISSION, now);
        else if (w->for_table)
            table_found(m, w, leaf, now);
        else
            combine(m, w, leaf, now);
        return;
    }
    w->leaf1 = *leaf;
    if ((nested(c) || c->redirects) && !m->config.walker.fill_denied
        && !m->arch->allows(q, c, STAGE_1, leaf->prot))
        fail(m, w, STAGE_1, DENIED_PERMISSION, now);
    else
        walk_page(m, w, leaf->pa | (q->iova & mask_lg2(leaf->page_lg2)),
                  now + m->config.walker.step_cycles, now);
}

/* ---- Accessed and dirty bits ------------------------------------------------------------
 */

/* The entry of a first-stage leaf is itself written through the second stage. */
static bool table_writable(struct iommu *m, struct walk *w)
{
    static const struct iommu_request own = { .access = PT_WRITE };
    const struct xlate_context *c         = context_of(m, w);
    const uint64_t bits = m->arch->missing(c, STAGE_2, PT_WRITE, w->table_leaf.prot);
    if (!m->arch->allows(&own, c, STAGE_2, w->table_leaf.prot)
        || (bits != 0 && !m->arch->updates(c, STAGE_2)))
        return false;
    if (bits != 0)
        iommu_set_bits(m, w->table_leaf_pa, bits);
    return true;
}

static void fail_update(struct iommu *m, struct walk *w, cycle_t now)
{
    const struct iommu_fault what = { .has_guest      = true,
                                      .guest          = table1_entry(m, w),
                                      .implicit       = true,
                                      .implicit_write = true };
    fail_as(m, w, what, STAGE_2, DENIED_PERMISSION, now);
}

/* A device that asks for a translation may write later without telling. */
static uint8_t marking_access(const struct iommu *m, const struct walk *w,
                              const struct pt_item *leaf)
{
    const struct iommu_request *q = &m->xlate[w->owner].request;
    if (w->phase == WALK_STAGE2 && w->for_table)
        return PT_READ;
    if (q->type != PORT_TRANSLATION || q->no_write)
        return q->access;
    struct iommu_request write = *q;
    write.access               = PT_WRITE;
    return m->arch->allows(&write, context_of(m, w),
                           w->phase == WALK_STAGE1 ? STAGE_1 : STAGE_2, leaf->prot)
               ? q->access | PT_WRITE
               : q->access;
}

/* True: the leaf's bits are as the access needs them, or will be (then the walk goes on
 * later). False: the walk is over, or waits for its write. */
static bool marked(struct iommu *m, struct walk *w, struct pt_item *leaf, cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const unsigned stage          = w->phase == WALK_STAGE1 ? STAGE_1 : STAGE_2;
    const uint8_t access          = marking_access(m, w, leaf);
    const uint64_t bits           = m->arch->missing(c, stage, access, leaf->prot);
    if (bits == 0)
        return true;
    if (!m->arch->updates(c, stage)) {
        fail(m, w, stage, DENIED_UNMARKED, now);
        return false;
    }
    if (stage == STAGE_1 && nested(c) && !table_writable(m, w)) {
        fail_update(m, w, now);
        return false;
    }
    iommu_set_bits(m, w->entry_pa, bits);
    leaf->prot |= PT_ACCESSED | (access & PT_WRITE ? PT_DIRTY : 0);
    w->updated   = *leaf;
    w->is_update = true;
    wheel_put(&m->wheel, item_walk(m, (unsigned)(w - m->walk)),
              now + m->config.walker.update_cycles);
    return false;
}

/* The access is allowed by what the entries grant, or will be refused when the walk is
 * over: then no bits are written for it. */
static bool worth_marking(const struct iommu *m, const struct walk *w,
                          const struct pt_item *leaf)
{
    static const struct iommu_request own = { .access = PT_READ };
    const struct xlate_context *c         = context_of(m, w);
    if (m->config.walker.fill_denied)
        return true;
    if (w->phase == WALK_STAGE2 && w->for_table)
        return m->arch->allows(&own, c, STAGE_2, leaf->prot);
    if (m->xlate[w->owner].request.type == PORT_TRANSLATION)
        return true;
    return m->arch->allows(&m->xlate[w->owner].request, c,
                           w->phase == WALK_STAGE1 ? STAGE_1 : STAGE_2, leaf->prot);
}

static void entry_arrived(struct iommu *m, struct walk *w, uint64_t entry, cycle_t now)
{
    const unsigned stage            = w->phase == WALK_STAGE1 ? STAGE_1 : STAGE_2;
    const struct xlate_stage *table = walked_stage(m, w);
    struct pt_item item             = table->format->decode(entry, w->level);
    if (item.kind == PT_LEAF && !(table->leaf_sizes >> item.page_lg2 & 1))
        item.kind = PT_MALFORMED;
    switch (item.kind) {
    case PT_ABSENT:
        fail(m, w, stage, DENIED_ABSENT, now);
        return;
    case PT_MALFORMED:
        fail(m, w, stage, DENIED_MALFORMED, now);
        return;
    case PT_TABLE:
        if (w->level == 0)
            fail(m, w, stage, DENIED_MALFORMED, now);
        else
            descend(m, w, &item, now);
        return;
    case PT_LEAF:
        item.prot = pt_below(w->above, item.prot);
        if (!worth_marking(m, w, &item) || marked(m, w, &item, now))
            leaf_found(m, w, &item, now);
        return;
    }
    UNREACHABLE("an entry is one of four kinds");
}

/* An interrupt file's entry says where it is. */
static void file_arrived(struct iommu *m, struct walk *w, const uint64_t *words,
                         cycle_t now)
{
    struct iommu_fault what = { 0 };
    struct pt_item item;
    if (m->arch->redirected(words, &item, &what.cause))
        combine(m, w, &item, now);
    else
        fail_as(m, w, what, 0, DENIED_ABSENT, now);
}

void walker_data(struct iommu *m, unsigned index, cycle_t now)
{
    struct walk *w = &m->walk[index];
    account_read(m, w, now);
    if (w->is_update) {
        w->is_update = false;
        leaf_found(m, w, &w->updated, now);
        return;
    }
    const unsigned place  = MEMPORT_WALKER + w->walker;
    const uint64_t *words = memport_arrived(&m->memport, place, now);
    iommu_schedule(m, ITEM_MEMPORT, memport_due(&m->memport, m->asked_cycle));
    if (m->memport.read[place].failed)
        fail_access(m, w);
    else if (w->phase == WALK_MSI)
        file_arrived(m, w, words, now);
    else
        entry_arrived(m, w, *words, now);
}

/* ---- Invalidation
 * ------------------------------------------------------------------------ */

static void widen(struct walk *w, const struct inv_selector *s)
{
    const bool nests = w->space & SPACE_STAGE_2;
    const bool all =
        s->by_guest || (s->at_first_stage && nests); /* Other sizes than the walk's page. */
    const uint64_t first = all ? 0 : s->first, last = all ? UINT64_MAX : s->last;
    w->flush_first    = w->flushed && w->flush_first < first ? w->flush_first : first;
    w->flush_last     = w->flushed && w->flush_last > last ? w->flush_last : last;
    w->flushed        = true;
    w->tables_flushed = w->tables_flushed || !s->leaf_only;
}

void walker_flush(struct iommu *m, const struct inv_selector *selector)
{
    for (uint32_t i = 0, left = m->walks_active; left > 0; i++) {
        struct walk *w = &m->walk[i];
        if (w->phase == WALK_FREE)
            continue;
        left--;
        if (inv_selects_space(selector, w->space))
            widen(w, selector);
    }
}

/* Past the first stage, whose leaf is the page's. */
static bool has_first_stage(const struct iommu *m, const struct walk *w)
{
    return context_of(m, w)->stage1.format != NULL && !w->for_table
           && (w->phase == WALK_STAGE2 || w->phase == WALK_MSI);
}

bool walker_knows_leaf(const struct iommu *m, const struct walk *w)
{
    if (w->phase != WALK_WAITING && (w->is_update || has_first_stage(m, w)))
        return true;
    /* What it has read and not yet received. */
    const uint64_t *data = w->phase == WALK_WAITING
                               ? NULL
                               : memport_peek(&m->memport, MEMPORT_WALKER + w->walker);
    return data != NULL
           && walked_stage(m, w)->format->decode(*data, w->level).kind == PT_LEAF;
}

static bool may_fill_stale(const struct iommu *m, const struct walk *w,
                           const struct inv_selector *s)
{
    const struct iotlb_entry page = { .page = w->page, .page_lg2 = 12 };
    const uint64_t iova           = w->page << 12;
    return w->stale_since != TIME_NEVER && inv_selects_space(s, w->space)
           && iova >= s->first && iova <= s->last && !overtaken(m, w, &page)
           && walker_knows_leaf(m, w);
}

bool walker_may_fill_stale(const struct iommu *m, const struct inv_selector *selector)
{
    for (uint32_t i = 0, left = m->walks_active; left > 0; i++) {
        const struct walk *w = &m->walk[i];
        if (w->phase == WALK_FREE)
            continue;
        left--;
        if (may_fill_stale(m, w, selector))
            return true;
    }
    return false;
}

void walker_refetch(struct iommu *m, cycle_t now)
{
    for (uint32_t i = 0, left = m->walks_active; left > 0; i++) {
        const struct walk *w = &m->walk[i];
        if (w->phase == WALK_FREE)
            continue;
        left--;
        struct xlate *x = &m->xlate[w->owner];
        if (x->recontext || !context_walk_missing(m, x))
            continue;
        x->recontext = true;
        context_walk_begin(m, w->owner, now + 1);
    }
}

bool walker_holds(const struct iommu *m, uint64_t pa)
{
    for (uint32_t i = 0, left = m->walks_active; left > 0; i++) {
        const struct walk *w = &m->walk[i];
        if (w->phase == WALK_FREE)
            continue;
        left--;
        if (w->phase != WALK_WAITING && (w->table == pa || w->table1 == pa))
            return true;
    }
    return false;
}
