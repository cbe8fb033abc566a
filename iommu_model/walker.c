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

static void present(struct iommu *m, struct walk *w, cycle_t cycle)
{
    const struct xlate_stage *stage = walked_stage(m, w);
    const uint64_t offset           = pt_entry_offset(
                  stage->format, w->level, w->level + 1 == stage->levels, walked_address(m, w));
    m->xlate[w->owner].response.reads++;
    iommu_read(m, MEMPORT_WALKER + w->walker, w->table + offset, 1, cycle);
}

/* Begins stage 2 for a guest-physical address, as deep as the walk caches allow. */
static void enter_stage2(struct iommu *m, struct walk *w, uint64_t guest, bool for_table)
{
    const struct xlate_stage *stage = &context_of(m, w)->stage2;
    const bool alone                = context_of(m, w)->stage1.format == NULL;
    w->phase                        = WALK_STAGE2;
    w->guest                        = guest;
    w->for_table                    = for_table;
    w->table                        = stage->root;
    w->above                        = PT_ALL;
    w->level = (uint8_t)walkcache_lookup(&m->walkcache, stage->format,
                                         alone ? w->space : guest_space(w->space), guest,
                                         stage->levels - 1u, &w->table, &w->above);
}

/* Goes on with a first-stage table whose physical address is known. */
static void enter_table1(struct walk *w, uint8_t level, uint64_t table, uint8_t above)
{
    w->phase = WALK_STAGE1;
    w->level = level;
    w->table = table;
    w->above = above;
}

static void start(struct iommu *m, struct walk *w, cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const uint64_t iova           = m->xlate[w->owner].request.iova;
    if (c->stage1.format == NULL) {
        enter_stage2(m, w, iova, false);
    } else {
        uint64_t table       = c->stage1.root;
        uint8_t above        = PT_ALL;
        const unsigned top   = c->stage1.levels - 1u;
        const unsigned level = walkcache_lookup(&m->walkcache, c->stage1.format, w->space,
                                                iova, top, &table, &above);
        if (level == top && nested(c)) {
            w->level1 = (uint8_t)top;
            w->above1 = PT_ALL;
            w->table1 = table;
            enter_stage2(m, w, table, true);
        } else {
            enter_table1(w, (uint8_t)level, table, above);
        }
    }
    m->stats.walk++;
    present(m, w, now + m->config.walker.start_cycles);
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
    struct walk *w = &m->walk[m->walk_free];
    CHECK(w->phase == WALK_FREE);
    m->walk_free = w->next;
    *w           = (struct walk){ .phase       = WALK_WAITING,
                                  .walker      = NO_WALKER,
                                  .stale_since = TIME_NEVER,
                                  .owner       = owner,
                                  .joined      = { XLATE_NONE, XLATE_NONE },
                                  .page        = page,
                                  .space       = space };
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

static void wake(struct iommu *m, uint16_t index, const struct iotlb_entry *e, bool again,
                 cycle_t due)
{
    struct xlate *x = &m->xlate[index];
    if (again) {
        x->step = XLATE_AGAIN;
        wheel_put(&m->wheel, item_xlate(index), due);
        return;
    }
    xlate_answer_page(&x->request, e, &x->response);
    xlate_finish(m, index, due + m->config.iommu.respond_cycles);
}

static void deny(struct iommu *m, uint16_t index, unsigned stage, enum arch_denial denial,
                 uint64_t guest, cycle_t now)
{
    const uint16_t cause = m->arch->cause(&m->xlate[index].request, stage, denial);
    xlate_fault(m, index, cause, guest,
                now + m->config.walker.fill_cycles + m->config.iommu.respond_cycles);
}

/* The tables do not say where the page is: everyone who waits is refused. */
static void fail(struct iommu *m, struct walk *w, unsigned stage, enum arch_denial denial,
                 cycle_t now)
{
    const uint64_t guest = stage == STAGE_2 ? w->guest : 0;
    m->stats.walk_unfilled++;
    deny(m, w->owner, stage, denial, guest, now);
    while (w->joined.first != XLATE_NONE) {
        const uint16_t index = xlate_list_pop(m, &w->joined);
        xlate_account(&m->xlate[index], XLATE_PART_join, now);
        deny(m, index, stage, denial, guest, now);
    }
    release(m, w, now);
}

/* Answers one who waited for the result, as his own rights allow. */
static void settle(struct iommu *m, uint16_t index, const struct iotlb_entry *e, bool again,
                   cycle_t now)
{
    const unsigned denied = again ? 0 : xlate_denying_stage(m, &m->xlate[index].request, e);
    if (denied != 0)
        deny(m, index, denied, DENIED_PERMISSION, e->guest, now);
    else
        wake(m, index, e, again, now + m->config.walker.fill_cycles);
}

/* An invalidation that covers any part of the page came after the walk began. */
static bool overtaken(const struct iommu *m, const struct walk *w,
                      const struct iotlb_entry *e)
{
    const uint64_t first = e->page << e->page_lg2;
    return w->flushed && !m->config.walker.fill_after_flush && first <= w->flush_last
           && (first | mask_lg2(e->page_lg2)) >= w->flush_first;
}

static void finish(struct iommu *m, struct walk *w, const struct iotlb_entry *e,
                   cycle_t now)
{
    const bool allowed = m->config.walker.fill_denied
                         || xlate_denying_stage(m, &m->xlate[w->owner].request, e) == 0;
    const bool fills = allowed && !overtaken(m, w, e);
    const bool again = fills && m->config.iommu.relookup;
    m->stats.walk_filled += fills;
    m->stats.walk_unfilled += !fills;
    if (fills)
        iotlb_fill(&m->iotlb, e);
    settle(m, w->owner, e, again, now);
    while (w->joined.first != XLATE_NONE) {
        const uint16_t index = xlate_list_pop(m, &w->joined);
        xlate_account(&m->xlate[index], XLATE_PART_join, now);
        settle(m, index, e, again, now);
    }
    release(m, w, now);
}

/* Both stages have ended in leaves (a stage that is off: leaf of the whole space). */
static void combine(struct iommu *m, struct walk *w, const struct pt_item *leaf2,
                    cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const uint64_t iova           = m->xlate[w->owner].request.iova;
    const struct pt_item *leaf1   = c->stage1.format != NULL ? &w->leaf1 : NULL;
    struct iotlb_entry e          = {
                 .space = w->space, .prot1 = PT_ALL, .prot2 = PT_ALL, .stale_since = w->stale_since
    };
    uint64_t pa;
    if (leaf2 == NULL) {
        pa = leaf1->pa | (iova & mask_lg2(leaf1->page_lg2));
    } else {
        const uint64_t guest = leaf1 == NULL ? iova : w->guest;
        pa                   = leaf2->pa | (guest & mask_lg2(leaf2->page_lg2));
        e.guest              = align_down(guest, leaf2->page_lg2);
        e.stage2_lg2         = leaf2->page_lg2;
        e.prot2              = leaf2->prot;
        e.page_lg2           = leaf2->page_lg2;
    }
    if (leaf1 != NULL) {
        e.stage1_lg2 = leaf1->page_lg2;
        e.prot1      = leaf1->prot;
        e.global     = leaf1->prot & PT_GLOBAL;
        if (leaf2 == NULL || leaf1->page_lg2 < leaf2->page_lg2)
            e.page_lg2 = leaf1->page_lg2;
    }
    e.page = iova >> e.page_lg2;
    e.pa   = align_down(pa, e.page_lg2);
    finish(m, w, &e, now);
}

/* ---- One entry has arrived --------------------------------------------------------------
 */

static void account_read(struct iommu *m, const struct walk *w, cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const bool guest              = w->phase == WALK_STAGE2 && c->stage1.format != NULL;
    CHECK(w->level <= 4 || guest);
    xlate_account(&m->xlate[w->owner],
                  guest ? XLATE_PART_guest : (enum xlate_part)(XLATE_PART_walk0 + w->level),
                  now);
}

static void descend(struct iommu *m, struct walk *w, const struct pt_item *item,
                    cycle_t now)
{
    const struct xlate_context *c = context_of(m, w);
    const cycle_t next            = now + m->config.walker.step_cycles;
    w->level--;
    w->above &= item->prot;
    if (w->phase == WALK_STAGE1 && nested(c)) {
        w->level1 = w->level;
        w->above1 = w->above;
        w->table1 = item->pa;
        enter_stage2(m, w, item->pa, true);
        present(m, w, next);
        return;
    }
    w->table = item->pa;
    if (!w->tables_flushed || m->config.walker.fill_after_flush) {
        const bool guest = w->phase == WALK_STAGE2 && nested(c);
        walkcache_fill(&m->walkcache, walked_stage(m, w)->format,
                       guest ? guest_space(w->space) : w->space, walked_address(m, w),
                       w->level, w->table, w->above);
    }
    present(m, w, next);
}

/* Stage 2 has found where a first-stage table is: go on in it. */
static void table_found(struct iommu *m, struct walk *w, const struct pt_item *leaf2,
                        cycle_t now)
{
    const uint64_t pa = leaf2->pa | (w->table1 & mask_lg2(leaf2->page_lg2));
    if (!w->tables_flushed || m->config.walker.fill_after_flush)
        walkcache_fill(&m->walkcache, context_of(m, w)->stage1.format, w->space,
                       m->xlate[w->owner].request.iova, w->level1, pa, w->above1);
    enter_table1(w, w->level1, pa, w->above1);
    present(m, w, now + m->config.walker.step_cycles);
}

static void leaf_found(struct iommu *m, struct walk *w, struct pt_item *leaf, cycle_t now)
{
    leaf->prot &= w->above;
    if (w->phase == WALK_STAGE2) {
        if (w->for_table && !(leaf->prot & PT_READ))
            fail(m, w, STAGE_2, DENIED_PERMISSION, now);
        else if (w->for_table)
            table_found(m, w, leaf, now);
        else
            combine(m, w, leaf, now);
        return;
    }
    w->leaf1 = *leaf;
    if (!nested(context_of(m, w))) {
        combine(m, w, NULL, now);
        return;
    }
    const uint64_t iova = m->xlate[w->owner].request.iova;
    enter_stage2(m, w, leaf->pa | (iova & mask_lg2(leaf->page_lg2)), false);
    present(m, w, now + m->config.walker.step_cycles);
}

void walker_data(struct iommu *m, unsigned index, cycle_t now)
{
    struct walk *w       = &m->walk[index];
    const unsigned stage = w->phase == WALK_STAGE1 ? STAGE_1 : STAGE_2;
    const uint64_t entry = *memport_arrived(&m->memport, MEMPORT_WALKER + w->walker);
    struct pt_item item  = walked_stage(m, w)->format->decode(entry, w->level);
    iommu_schedule(m, ITEM_MEMPORT, memport_due(&m->memport, m->asked_cycle));
    account_read(m, w, now);
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
        leaf_found(m, w, &item, now);
        return;
    }
    UNREACHABLE("an entry is one of four kinds");
}

/* ---- Invalidation
 * ------------------------------------------------------------------------ */

static void widen(struct walk *w, const struct inv_selector *s)
{
    const bool all =
        s->by_guest || s->at_first_stage; /* Other addresses than the walk's. */
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

/* The leaf that the walk has read and not yet received. */
static bool knows_leaf(const struct iommu *m, const struct walk *w)
{
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
    return w->stale_since != TIME_NEVER && space_domain(w->space) == s->value
           && iova >= s->first && iova <= s->last && !overtaken(m, w, &page)
           && knows_leaf(m, w);
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
