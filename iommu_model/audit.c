/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "iommu_model/arch.h"

#define PARAM_OWNER struct audit_config
#define STAT_OWNER  struct audit_stats
static const struct param_def audit_params[] = { AUDIT_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def audit_stats[]   = { AUDIT_STATS(STAT_ROW) STAT_END };
const struct param_table audit_param_table   = { "audit", "Exposure and invariants",
                                                 audit_params, sizeof(struct audit_config),
                                                 NULL };
const struct stat_table audit_stat_table     = { "audit", "Exposure and invariants",
                                                 audit_stats, sizeof(struct audit_stats) };

enum { ENTRY_GHOSTS_LG2 = 14, POINTER_GHOSTS_LG2 = 8, PAGES_REMEMBERED_MAX = 1 << 20 };

__attribute__((format(printf, 3, 4))) static void broken(struct audit *a, uint64_t *counter,
                                                         const char *format, ...)
{
    ++*counter;
    if (a->first_broken.text[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(a->first_broken.text, sizeof a->first_broken.text, format, args);
    va_end(args);
}

static space_t ledger_space(space_t space)
{
    return space & SPACE_MASK;
}

/* ---- Time sums ----------------------------------------------------------------------- */

/* Before a number of pages changes: the time up to now belongs to the old one. */
static void sum_up(struct audit *a, sim_time_t now)
{
    if (a->over || now <= a->summed)
        return;
    a->stats.partial_page_ps += a->partial_now * (now - a->summed);
    a->stats.pool_page_ps += a->pool_now * (now - a->summed);
    a->summed = now;
}

/* ---- The exposure of a page ------------------------------------------------------------
 */

static void expose(struct audit *a, struct ledger_note *n, sim_time_t since)
{
    CHECK(n->since == TIME_NEVER);
    n->since    = since;
    n->reusable = TIME_NEVER;
    n->renewed  = false;
    n->cpu      = a->cpu;
    n->unmap    = a->unmaps[a->cpu];
    n->bytes    = a->given_bytes[a->cpu];
    n->counted  = since > a->began && !a->over;
    a->stale_pages++;
    if (!n->counted)
        return;
    a->stats.page_exposed++;
    a->exposed_now++;
    a->exposed_most = a->exposed_now > a->exposed_most ? a->exposed_now : a->exposed_most;
    a->exposed_peak = a->exposed_now > a->exposed_peak ? a->exposed_now : a->exposed_peak;
}

/* The exposure so far goes into the figures, and no further. */
static void measure(struct audit *a, struct ledger_note *n, sim_time_t now)
{
    const uint64_t ps   = now - n->since;
    const uint64_t free = n->reusable >= now ? 0 : now - n->reusable;
    if (!n->counted)
        return;
    CHECK(now >= n->since);
    CHECK(a->exposed_now > 0);
    a->exposed_now--;
    a->stats.exposed_page_ps += ps;
    a->stats.exposed_page_ps_reusable += free;
    a->stats.exposed_page_ps_held += ps - free;
    a->stats.exposed_partial_page_ps += n->lent != LEDGER_ALL_LENT ? ps : 0;
    a->exposure_ps_max = ps > a->exposure_ps_max ? ps : a->exposure_ps_max;
    histogram_record(&a->exposure_ns, ps / TIME_NS);
    n->counted = false;
}

static bool is_late(const struct audit *a, const struct ledger_note *n, sim_time_t now)
{
    return a->promise.kind == AUDIT_BOUNDED_TIME
           && now - n->since > a->promise.bound + a->promise.grace_ps;
}

static double in_us(sim_time_t ps)
{
    return (double)ps / TIME_US;
}

static void check_time(struct audit *a, const struct ledger_note *n, sim_time_t now)
{
    if (is_late(a, n, now))
        broken(a, &a->stats.broken_time,
               "invariant 1: 0x%" PRIx64
               " stayed reachable for %.3f us after its unmap; the "
               "policy promises %.3f us, and audit.grace_us allows %.3f us more",
               n->page << LEDGER_PAGE_LG2, in_us(now - n->since), in_us(a->promise.bound),
               in_us(a->promise.grace_ps));
}

static void cover(struct audit *a, struct ledger_note *n, sim_time_t now)
{
    check_time(a, n, now);
    measure(a, n, now);
    n->since = TIME_NEVER;
    CHECK(a->stale_pages > 0);
    a->stale_pages--;
    ledger_tidy(&a->ledger, n);
}

/* ---- Who holds it
 * ------------------------------------------------------------------------ */

struct other_holder {
    const struct iotlb_entry *than;
    space_t space; /* Of what a device's TLB holds. */
    bool found;
};

static void find_other(void *self, struct iotlb_entry *e)
{
    struct other_holder *o = self;
    o->found |= e != o->than && e->stale_since != TIME_NEVER;
}

static void find_in_device(void *self, struct iotlb_entry *e)
{
    const struct other_holder *o = self;
    if (ledger_space(e->guest) == o->space)
        find_other(self, e);
}

/* Devices know the space by another name, and its addresses by the same. */
static void visit_devices(const struct audit *a, const struct inv_selector *s,
                          void (*visit)(void *self, struct iotlb_entry *e), void *self)
{
    const struct inv_selector range = { .first = s->first, .last = s->last };
    for (unsigned i = 0; i < a->devices; i++)
        iotlb_visit(&a->device[i].atc->cache, &range, visit, self);
}

static struct inv_selector select_pages(space_t space, uint64_t first, uint64_t last)
{
    return (struct inv_selector){ .mask  = SPACE_MASK,
                                  .value = space,
                                  .first = first << LEDGER_PAGE_LG2,
                                  .last =
                                      last << LEDGER_PAGE_LG2 | mask_lg2(LEDGER_PAGE_LG2) };
}

static bool is_cached(const struct audit *a, const struct ledger_note *n,
                      const struct iotlb_entry *except)
{
    const struct inv_selector s = select_pages(n->space, n->page, n->page);
    struct other_holder o       = { .than = except, .space = n->space };
    if (a->stale_entries > 0)
        iotlb_visit(&a->iommu->iotlb, &s, find_other, &o);
    if (a->stale_entries > 0 && !o.found)
        visit_devices(a, &s, find_in_device, &o);
    return o.found;
}

static uint64_t first_page(const struct iotlb_entry *e)
{
    return e->page << (e->page_lg2 - LEDGER_PAGE_LG2);
}

static uint64_t last_page(const struct iotlb_entry *e)
{
    return first_page(e) | mask_lg2(e->page_lg2 - LEDGER_PAGE_LG2);
}

static void entry_gone(struct audit *a, const struct iotlb_entry *e, space_t space,
                       sim_time_t now)
{
    CHECK(a->stale_entries > 0);
    a->stale_entries--;
    for (uint64_t page = first_page(e); page <= last_page(e); page++) {
        struct ledger_note *n = ledger_find(&a->ledger, space, page);
        if (n != NULL && n->since != TIME_NEVER && n->in_flight == 0 && !is_cached(a, n, e))
            cover(a, n, now);
    }
}

static void stale_entry_gone(void *self, const struct iotlb_entry *e)
{
    struct audit *a = self;
    entry_gone(a, e, ledger_space(e->space), a->iommu->asked_time);
}

static void device_entry_gone(void *self, const struct iotlb_entry *e)
{
    const struct audit_device *d = self;
    entry_gone(d->audit, e, ledger_space(e->guest), d->atc->now);
}

/* A walk that began before the unmap fills it; or the unmap has left the entry in the
 * table.
 */
static void fill_stale(struct audit *a, const struct iotlb_entry *e, space_t space)
{
    a->stale_entries++;
    for (uint64_t page = first_page(e); page <= last_page(e); page++) {
        const sim_time_t at   = ledger_given_back(&a->ledger, space, page);
        struct ledger_note *n = at == 0 ? NULL : ledger_make(&a->ledger, space, page);
        if (n == NULL || n->since != TIME_NEVER)
            continue;
        expose(a, n, at);
        n->reusable = at; /* At the latest by now, as far as anyone knows. */
    }
}

static void stale_entry_filled(void *self, const struct iotlb_entry *e)
{
    fill_stale(self, e, ledger_space(e->space));
}

/* From a translation that was given back on its way to the device. */
static void device_entry_filled(void *self, const struct iotlb_entry *e)
{
    const struct audit_device *d = self;
    fill_stale(d->audit, e, ledger_space(e->guest));
}

/* A walk or a transaction has the stale translation. */
static bool held(void *self, space_t space, uint64_t iova)
{
    struct audit *a       = self;
    const uint64_t page   = iova >> LEDGER_PAGE_LG2;
    struct ledger_note *n = ledger_find(&a->ledger, ledger_space(space), page);
    if (n == NULL || n->since == TIME_NEVER) {
        const sim_time_t at = ledger_given_back(&a->ledger, ledger_space(space), page);
        if (at == 0)
            return false; /* Another page of the same entry. */
        n = ledger_make(&a->ledger, ledger_space(space), page);
        expose(a, n, at);
    }
    n->in_flight++;
    return true;
}

static void let_go(void *self, space_t space, uint64_t iova, sim_time_t now)
{
    struct audit *a = self;
    struct ledger_note *n =
        ledger_find(&a->ledger, ledger_space(space), iova >> LEDGER_PAGE_LG2);
    CHECK(n != NULL);
    CHECK(n->in_flight > 0);
    if (--n->in_flight == 0 && !is_cached(a, n, NULL))
        cover(a, n, now);
}

static sim_time_t given_back_at(void *self, space_t space, uint64_t iova)
{
    struct audit *a = self;
    const sim_time_t at =
        ledger_given_back(&a->ledger, ledger_space(space), iova >> LEDGER_PAGE_LG2);
    return at == 0 ? TIME_NEVER : at;
}

/* ---- An unmap has returned -------------------------------------------------------------
 */

struct marking {
    struct audit *a;
    uint64_t first, last; /* Pages. */
    sim_time_t now;
    space_t space;
};

static void mark(void *self, struct iotlb_entry *e)
{
    const struct marking *m = self;
    if (e->denied != 0)
        return; /* That there is no translation. */
    const uint64_t first = first_page(e) > m->first ? first_page(e) : m->first;
    const uint64_t last  = last_page(e) < m->last ? last_page(e) : m->last;
    if (e->stale_since == TIME_NEVER) {
        e->stale_since = m->now;
        m->a->stale_entries++;
    }
    for (uint64_t page = first; page <= last; page++) {
        struct ledger_note *n = ledger_make(&m->a->ledger, m->space, page);
        if (n->since == TIME_NEVER)
            expose(m->a, n, m->now);
    }
}

static void mark_device(void *self, struct iotlb_entry *e)
{
    const struct marking *m = self;
    if (ledger_space(e->guest) == m->space)
        mark(self, e);
}

static bool inside(uint64_t iova, const struct inv_selector *s)
{
    return iova >= s->first && iova <= s->last;
}

/* The address that software knows. */
static uint64_t iova_of(const struct dma_slot *slot)
{
    return slot->request.type == PORT_TRANSLATED ? slot->request.origin.iova
                                                 : slot->request.iova;
}

/* It has a translation, from the IOMMU or from the device. */
static bool goes_by_page(const struct dma_slot *slot)
{
    return slot->request.type == PORT_TRANSLATED
           || (slot->translated && slot->request.type != PORT_INVALIDATED);
}

static void mark_port(struct audit *a, struct rootport *r, const struct inv_selector *s)
{
    for (uint32_t i = 0; i < r->slots_used; i++) {
        struct dma_slot *slot = &r->slot[i];
        if (slot->in_use && goes_by_page(slot) && !slot->fault && !slot->accessed
            && !slot->stale && inv_selects_space(s, slot->space)
            && inside(iova_of(slot), s))
            slot->stale = held(a, slot->space, iova_of(slot));
    }
}

/* The 64-byte lines of a page that lie in first .. last. */
static uint64_t lines_in(uint64_t page, uint64_t first, uint64_t last)
{
    const uint64_t start = page << LEDGER_PAGE_LG2;
    const uint64_t end   = start | mask_lg2(LEDGER_PAGE_LG2);
    const uint64_t low   = first > start ? first - start : 0;
    const uint64_t high  = (last < end ? last : end) - start;
    return mask_lg2((unsigned)(high >> LEDGER_LINE_LG2) + 1)
           & ~mask_lg2((unsigned)(low >> LEDGER_LINE_LG2));
}

/* The notes of pages that are mapped in part are not needed any more, unless stale. */
static void end_partial(struct audit *a, space_t space, uint64_t first, uint64_t last,
                        sim_time_t now)
{
    sum_up(a, now);
    for (uint64_t page = first; page <= last && a->partial_now > 0; page++) {
        struct ledger_note *n = ledger_find(&a->ledger, space, page);
        if (n == NULL || !n->partial)
            continue;
        n->partial = false;
        a->partial_now--;
        ledger_tidy(&a->ledger, n);
    }
}

/* Who has what of a pool's pages matters to those who look at each access only. */
static void back_to_pool(struct audit *a, space_t space, uint64_t iova, uint64_t bytes)
{
    const uint64_t last = iova + bytes - 1;
    for (uint64_t page = iova >> LEDGER_PAGE_LG2;
         a->hostiles > 0 && page <= last >> LEDGER_PAGE_LG2; page++) {
        struct ledger_note *n = ledger_find(&a->ledger, space, page);
        if (n == NULL || !n->loan)
            continue;
        n->lent &= ~lines_in(page, iova, last);
        n->loan = n->lent != 0;
        ledger_tidy(&a->ledger, n);
    }
}

static void mark_range(struct audit *a, space_t space, uint64_t iova, uint64_t bytes,
                       sim_time_t now)
{
    const struct inv_selector s =
        select_pages(space, iova >> LEDGER_PAGE_LG2, (iova + bytes - 1) >> LEDGER_PAGE_LG2);
    struct marking m = { a, s.first >> LEDGER_PAGE_LG2, s.last >> LEDGER_PAGE_LG2, now,
                         space };
    if (m.last - m.first < PAGES_REMEMBERED_MAX) /* No mapping is larger, but a pool. */
        ledger_give_back(&a->ledger, space, m.first, m.last - m.first + 1, now);
    ghosts_forget(&a->entries, space, s.first, s.last);
    iotlb_visit(&a->iommu->iotlb, &s, mark, &m);
    iommu_mark_stale(a->iommu, &s, now);
    for (unsigned i = 0; i < a->ports; i++)
        mark_port(a, a->port[i], &s);
    visit_devices(a, &s, mark_device, &m);
    for (unsigned i = 0; i < a->devices; i++)
        atc_mark_stale(a->device[i].atc, space, s.first, s.last);
    end_partial(a, space, m.first, m.last, now);
}

static void given_back(void *self, uint32_t space_number, uint64_t iova, uint64_t bytes,
                       sim_time_t now)
{
    struct audit *a     = self;
    const space_t space = ledger_space(a->iommu->arch->space(a->iommu, space_number));
    CHECK(bytes > 0);
    a->stats.page_given_back += bytes >> LEDGER_PAGE_LG2;
    a->cpu = cpu_running() == NULL ? 0 : (uint8_t)cpu_running()->id;
    a->unmaps[a->cpu]++;
    a->given_bytes[a->cpu] += bytes;
    if (ledger_in_pool(&a->ledger, space, iova >> LEDGER_PAGE_LG2))
        back_to_pool(a, space, iova, bytes); /* It stays mapped, by design. */
    else
        mark_range(a, space, iova, bytes, now);
}

static void reusable(void *self, uint32_t space_number, uint64_t iova, uint64_t bytes,
                     sim_time_t now)
{
    struct audit *a     = self;
    const space_t space = ledger_space(a->iommu->arch->space(a->iommu, space_number));
    const uint64_t last = (iova + bytes - 1) >> LEDGER_PAGE_LG2;
    for (uint64_t page = iova >> LEDGER_PAGE_LG2; a->stale_pages > 0 && page <= last;
         page++) {
        struct ledger_note *n = ledger_find(&a->ledger, space, page);
        if (n != NULL && n->since != TIME_NEVER && n->reusable == TIME_NEVER)
            n->reusable = now;
    }
}

/* ---- A mapping
 * ----------------------------------------------------------------------------
 */

/* Bytes of one page have been lent. */
static void lend_page(struct audit *a, space_t space, uint64_t page, uint64_t lines)
{
    struct ledger_note *n = ledger_find(&a->ledger, space, page);
    if (n == NULL && lines == LEDGER_ALL_LENT)
        return;
    if (n == NULL)
        n = ledger_make(&a->ledger, space, page);
    n->lent = n->partial ? n->lent | lines : lines;
    a->partial_now += !n->partial;
    n->partial = true;
    if (n->lent == LEDGER_ALL_LENT) {
        n->partial = false;
        a->partial_now--;
        ledger_tidy(&a->ledger, n);
    }
}

static void lend_of_pool(struct audit *a, space_t space, uint64_t page, uint64_t lines)
{
    struct ledger_note *n = ledger_make(&a->ledger, space, page);
    n->lent               = n->loan ? n->lent | lines : lines;
    n->loan               = true;
}

static void lent(void *self, uint32_t space_number, uint64_t iova, uint64_t bytes,
                 sim_time_t now)
{
    struct audit *a      = self;
    const space_t space  = ledger_space(a->iommu->arch->space(a->iommu, space_number));
    const uint64_t first = iova >> LEDGER_PAGE_LG2;
    const uint64_t last  = (iova + bytes - 1) >> LEDGER_PAGE_LG2;
    const bool pool      = ledger_in_pool(&a->ledger, space, first);
    CHECK(bytes > 0);
    sum_up(a, now);
    ledger_give_back(&a->ledger, space, first, last - first + 1, 0);
    for (uint64_t page = first; page <= last; page++) {
        const uint64_t lines = lines_in(page, iova, iova + bytes - 1);
        if (pool && a->hostiles > 0)
            lend_of_pool(a, space, page, lines);
        else if (!pool && (lines != LEDGER_ALL_LENT || a->ledger.notes > 0))
            lend_page(a, space, page, lines);
    }
}

/* What a pool gives up must not be cached any more; if it is, it is as stale as any page.
 */
static void pooled(void *self, uint32_t space_number, uint64_t iova, uint64_t bytes,
                   bool grows, sim_time_t now)
{
    struct audit *a      = self;
    const space_t space  = ledger_space(a->iommu->arch->space(a->iommu, space_number));
    const uint64_t first = iova >> LEDGER_PAGE_LG2;
    const uint64_t last  = (iova + bytes - 1) >> LEDGER_PAGE_LG2;
    CHECK(bytes > 0);
    sum_up(a, now);
    if (grows) {
        ledger_give_back(&a->ledger, space, first, last - first + 1, 0);
        a->pool_now += ledger_pool_add(&a->ledger, space, first, last);
        a->pool_most = a->pool_now > a->pool_most ? a->pool_now : a->pool_most;
        a->pool_peak = a->pool_now > a->pool_peak ? a->pool_now : a->pool_peak;
        return;
    }
    a->pool_now -= ledger_pool_remove(&a->ledger, space, first, last);
    mark_range(a, space, iova, bytes, now);
    reusable(a, space_number, iova, bytes, now);
}

/* ---- Invariants
 * --------------------------------------------------------------------------- */

static void renew(struct audit *a, const struct inv_selector *s)
{
    const uint64_t first = s->first >> LEDGER_PAGE_LG2, last = s->last >> LEDGER_PAGE_LG2;
    for (uint64_t page = first; a->stale_pages > 0 && page <= last; page++) {
        struct ledger_note *n = ledger_find(&a->ledger, s->value, page);
        if (n != NULL && n->since != TIME_NEVER)
            n->renewed = true;
    }
    ledger_give_back(&a->ledger, s->value, first, last - first + 1, 0);
}

static void handed_out(void *self, uint32_t space, uint64_t iova, uint64_t bytes,
                       sim_time_t now)
{
    struct audit *a = self;
    const struct inv_selector s =
        select_pages(ledger_space(a->iommu->arch->space(a->iommu, space)),
                     iova >> LEDGER_PAGE_LG2, (iova + bytes - 1) >> LEDGER_PAGE_LG2);
    struct other_holder o = { .space = s.value };
    if (a->stale_entries > 0) {
        iotlb_visit(&a->iommu->iotlb, &s, find_other, &o);
        visit_devices(a, &s, find_in_device, &o);
    }
    if (o.found || walker_may_fill_stale(a->iommu, &s))
        broken(a, &a->stats.broken_reuse,
               "invariant 2: 0x%" PRIx64 " of space %" PRIu32
               " was handed out again at %" PRIu64 " ps while the IOTLB held a stale "
               "translation of it, or a device did, or a walk was about to fill one",
               iova, space, now);
    renew(a, &s);
}

static void table_freed(void *self, uint64_t pa, sim_time_t now)
{
    struct audit *a = self;
    ghosts_forget_target(&a->pointers, pa);
    if (walkcache_holds(&a->iommu->walkcache, pa) || walker_holds(a->iommu, pa))
        broken(a, &a->stats.broken_table,
               "invariant 3: the table page at 0x%" PRIx64 " was freed at %" PRIu64
               " ps while a walk could still use it",
               pa, now);
}

/* ---- Device accesses
 * ---------------------------------------------------------------------- */

/* Whether the promise allows an access through this stale translation. */
static bool is_allowed(const struct audit *a, const struct ledger_note *n, sim_time_t now)
{
    switch (a->promise.kind) {
    case AUDIT_NOTHING_STALE:
    case AUDIT_POOL_ONLY:
        return false;
    case AUDIT_BOUNDED_TIME:
        return !is_late(a, n, now);
    case AUDIT_BOUNDED_COUNT:
        return a->unmaps[n->cpu] - n->unmap <= a->promise.bound;
    case AUDIT_BOUNDED_BYTES:
        return a->given_bytes[n->cpu] - n->bytes <= a->promise.bound;
    case AUDIT_NONE:
        return true;
    }
    UNREACHABLE("a promise is one of these");
}

static void break_access(struct audit *a, const struct dma_slot *slot,
                         const struct ledger_note *n, sim_time_t now)
{
    broken(a, &a->stats.broken_access,
           "invariant 1: device %04x reached 0x%" PRIx64 " at %" PRIu64
           " ps through a translation whose unmap had returned %" PRIu64 " ps and %" PRIu64
           " unmaps before, against the policy's promise",
           slot->request.requester, iova_of(slot), now, now - n->since,
           a->unmaps[n->cpu] - n->unmap);
}

static bool outside_lent(const struct ledger_note *n, const struct dma_slot *slot)
{
    const uint64_t iova = iova_of(slot);
    return (lines_in(n->page, iova, iova + slot->request.bytes - 1) & ~n->lent) != 0;
}

sim_time_t audit_given_back(const struct audit *a, const struct dma_slot *slot)
{
    const struct ledger_note *n = ledger_find(&a->ledger, ledger_space(slot->space),
                                              iova_of(slot) >> LEDGER_PAGE_LG2);
    CHECK(n != NULL);
    CHECK(n->since != TIME_NEVER);
    return n->since;
}

static void stale_access(void *self, const struct dma_slot *slot, sim_time_t now)
{
    struct audit *a             = self;
    const uint64_t page         = iova_of(slot) >> LEDGER_PAGE_LG2;
    const struct ledger_note *n = ledger_find(&a->ledger, ledger_space(slot->space), page);
    CHECK(n != NULL);
    a->stats.stale_access++;
    if (n->renewed)
        a->stats.stale_access_renewed++;
    else if (n->reusable > now)
        a->stats.stale_access_held++;
    else
        a->stats.stale_access_reusable++;
    a->stats.stale_other_bytes += outside_lent(n, slot);
    if (!is_allowed(a, n, now))
        break_access(a, slot, n, now);
}

static enum audit_reach stale_reach(const struct ledger_note *n, sim_time_t now)
{
    if (n->renewed)
        return AUDIT_REACH_renewed;
    return n->reusable > now ? AUDIT_REACH_held : AUDIT_REACH_reusable;
}

/* n: the note of the page, NULL where it has none. */
static enum audit_reach reach_of(const struct audit *a, const struct dma_slot *slot,
                                 const struct ledger_note *n, sim_time_t now)
{
    if (slot->bypassed)
        return AUDIT_REACH_untranslated;
    if (slot->stale)
        return stale_reach(n, now);
    if (ledger_in_pool(&a->ledger, ledger_space(slot->space),
                       iova_of(slot) >> LEDGER_PAGE_LG2))
        return n != NULL && n->loan && !outside_lent(n, slot) ? AUDIT_REACH_lent
                                                              : AUDIT_REACH_pool;
    return n != NULL && n->partial && outside_lent(n, slot) ? AUDIT_REACH_other
                                                            : AUDIT_REACH_lent;
}

/* Told of every access of a hostile device, of the stale ones before they are let go. */
static void hostile_access(struct audit_hostile *h, const struct dma_slot *slot,
                           sim_time_t now)
{
#define REACH_SUM(name) &a->stats.hostile_access_##name,
    struct audit *a             = h->audit;
    uint64_t *const sum[]       = { AUDIT_REACHES(REACH_SUM) };
    const uint64_t page         = iova_of(slot) >> LEDGER_PAGE_LG2;
    const struct ledger_note *n = ledger_find(&a->ledger, ledger_space(slot->space), page);
    const enum audit_reach to   = reach_of(a, slot, n, now);
    a->stats.hostile_access++;
    *sum[to] += 1;
    h->reached[to]++;
    if (slot->bypassed || !slot->stale)
        return;
    histogram_record(&a->attack_ns, (now - n->since) / TIME_NS);
    histogram_record(&h->attack_ns, (now - n->since) / TIME_NS);
}

static void carried_out(void *self, const struct dma_slot *slot, sim_time_t now)
{
    if (slot->stale) {
        stale_access(self, slot, now);
        let_go(self, slot->space, iova_of(slot), now);
    }
}

static void hostile_carried_out(void *self, const struct dma_slot *slot, sim_time_t now)
{
    struct audit_hostile *h = self;
    hostile_access(h, slot, now);
    carried_out(h->audit, slot, now);
}

/* ---- Collateral -------------------------------------------------------------------------
 */

/* Software clears an entry before it invalidates: one that stands still serves its page. */
static bool still_stands(const struct audit *a, uint64_t entry_pa)
{
    return entry_pa != 0 && memory_read64(a->iommu->memory, entry_pa) != 0;
}

static void entry_dropped(void *self, const struct iotlb_entry *e, uint64_t leaf_pa)
{
    struct audit *a = self;
    if (e->stale_since != TIME_NEVER || !still_stands(a, leaf_pa))
        return;
    const struct ghost ghost = { .first  = e->page << e->page_lg2,
                                 .space  = ledger_space(e->space),
                                 .target = e->pa,
                                 .lg2    = e->page_lg2 };
    a->stats.collateral_entry++;
    a->stats.collateral_forgotten += ghosts_add(&a->entries, &ghost);
}

/* What a walk costs that need not have been counts once: whole, or its pointers alone. */
static void entry_filled(void *self, const struct iotlb_entry *e, uint64_t waited,
                         uint64_t pointers)
{
    struct audit *a   = self;
    const bool refill = ghosts_take(&a->entries, ledger_space(e->space),
                                    e->page << e->page_lg2, e->page_lg2, e->pa);
    a->stats.collateral_refill += refill;
    a->stats.refill_cycles += refill ? waited : pointers;
}

static void pointer_dropped(void *self, const struct walkcache_entry *e, uint64_t entry_pa)
{
    struct audit *a = self;
    if (!still_stands(a, entry_pa))
        return;
    const struct ghost ghost = { .first  = e->prefix << e->span_lg2,
                                 .space  = e->space,
                                 .target = e->table,
                                 .lg2    = e->span_lg2 };
    a->stats.collateral_pointer++;
    ghosts_add(&a->pointers, &ghost);
}

static bool pointer_filled(void *self, const struct walkcache_entry *e)
{
    struct audit *a   = self;
    const bool refill = ghosts_take(&a->pointers, e->space, e->prefix << e->span_lg2,
                                    e->span_lg2, e->table);
    a->stats.pointer_refill += refill;
    return refill;
}

/* ---- Set-up
 * ------------------------------------------------------------------------------------------
 */

void audit_init(struct audit *a, struct iommu *iommu, const struct audit_promise *promise)
{
    memset(a, 0, sizeof *a);
    ghosts_init(&a->entries, ENTRY_GHOSTS_LG2);
    ghosts_init(&a->pointers, POINTER_GHOSTS_LG2);
    a->iommu                   = iommu;
    a->promise                 = *promise;
    a->referee                 = (struct iommu_referee){ .self           = a,
                                                         .held           = held,
                                                         .let_go         = let_go,
                                                         .given_back_at  = given_back_at,
                                                         .entry_filled   = entry_filled,
                                                         .pointer_filled = pointer_filled };
    iommu->referee             = &a->referee;
    iommu->iotlb.stale_gone    = stale_entry_gone;
    iommu->iotlb.stale_filled  = stale_entry_filled;
    iommu->iotlb.dropped       = entry_dropped;
    iommu->iotlb.hook_self     = a;
    iommu->walkcache.dropped   = pointer_dropped;
    iommu->walkcache.hook_self = a;
}

void audit_free(struct audit *a)
{
    ledger_free(&a->ledger);
    ghosts_free(&a->entries);
    ghosts_free(&a->pointers);
}

void audit_watch(struct audit *a, struct rootport *port)
{
    CHECK(a->ports < AUDIT_PORTS_MAX);
    a->port[a->ports++]                     = port;
    port->carried_out                       = carried_out;
    port->carried_out_self                  = a;
    a->iommu->client[port->client].refereed = true;
}

void audit_watch_device(struct audit *a, struct atc *atc)
{
    CHECK(a->devices < AUDIT_DEVICES_MAX);
    struct audit_device *d  = &a->device[a->devices++];
    *d                      = (struct audit_device){ a, atc };
    atc->cache.stale_gone   = device_entry_gone;
    atc->cache.stale_filled = device_entry_filled;
    atc->cache.hook_self    = d;
    atc->referee            = &a->referee;
}

void audit_watch_hostile(struct audit *a, struct rootport *port, struct audit_hostile *h)
{
    audit_watch(a, port); /* Which has room for it. */
    *h                        = (struct audit_hostile){ .audit = a };
    a->hostile[a->hostiles++] = h;
    port->carried_out         = hostile_carried_out;
    port->carried_out_self    = h;
    port->tells_always        = true;
}

struct observer audit_observer(struct audit *a)
{
    return (struct observer){ .self        = a,
                              .given_back  = given_back,
                              .reusable    = reusable,
                              .lent        = lent,
                              .pooled      = pooled,
                              .handed_out  = handed_out,
                              .table_freed = table_freed };
}

static void forget_measured(void *self, struct ledger_note *n)
{
    (void)self;
    n->counted = false;
}

void audit_begin(struct audit *a, sim_time_t now)
{
    a->began = a->summed = now;
    a->exposed_now = a->exposed_most = a->exposure_ps_max = 0;
    a->pool_most                                          = a->pool_now;
    memset(&a->exposure_ns, 0, sizeof a->exposure_ns);
    memset(&a->attack_ns, 0, sizeof a->attack_ns);
    for (unsigned i = 0; i < a->hostiles; i++)
        *a->hostile[i] = (struct audit_hostile){ .audit = a };
    ledger_visit(&a->ledger, forget_measured, a);
}

static void still_exposed(void *self, struct ledger_note *n)
{
    const struct marking *m = self;
    if (n->since == TIME_NEVER)
        return;
    if (n->counted)
        check_time(m->a, n, m->now);
    measure(m->a, n, m->now);
}

void audit_finish(struct audit *a, sim_time_t now)
{
    struct marking m = { .a = a, .now = now };
    ledger_visit(&a->ledger, still_exposed, &m);
    sum_up(a, now);
    a->over = true;
    CHECK(a->exposed_now == 0);
}

uint64_t audit_broken(const struct audit_stats *s)
{
    return s->broken_access + s->broken_time + s->broken_reuse + s->broken_table;
}

bool audit_check(const struct audit *a, struct error *error)
{
    if (a->first_broken.text[0] == '\0')
        return true;
    *error = a->first_broken;
    return false;
}
