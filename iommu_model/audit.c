/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "iommu_model/arch.h"

#define STAT_OWNER struct audit_stats
static const struct stat_def audit_stats[] = { AUDIT_STATS(STAT_ROW) STAT_END };
const struct stat_table audit_stat_table   = { "audit", "Exposure and invariants",
                                               audit_stats, sizeof(struct audit_stats) };

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

static uint64_t pages_of(const struct iotlb_entry *e)
{
    return UINT64_C(1) << (e->page_lg2 - 12);
}

/* ---- Marks in the caches
 * ---------------------------------------------------------------------- */

static bool is_measured(const struct audit *a, const struct iotlb_entry *e)
{
    return e->stale_since > a->began;
}

static void exposure_ends(struct audit *a, const struct iotlb_entry *e, sim_time_t now)
{
    const uint64_t pages = pages_of(e), ps = now - e->stale_since;
    CHECK(now >= e->stale_since);
    CHECK(a->stale_now >= pages);
    a->stale_now -= pages;
    if (!is_measured(a, e))
        return;
    CHECK(a->exposed_now >= pages);
    a->exposed_now -= pages;
    a->stats.exposed_page_ps += pages * ps;
    a->exposure_ps_max = ps > a->exposure_ps_max ? ps : a->exposure_ps_max;
    for (uint64_t i = 0; i < pages; i++)
        histogram_record(&a->exposure_ns, ps / TIME_NS);
}

static void stale_entry_gone(void *self, const struct iotlb_entry *e)
{
    struct audit *a = self;
    exposure_ends(a, e, a->iommu->asked_time);
}

static void device_entry_gone(void *self, const struct iotlb_entry *e)
{
    struct audit_device *d = self;
    exposure_ends(d->audit, e, d->atc->now);
}

static void exposure_begins(struct audit *a, const struct iotlb_entry *e)
{
    a->stale_now += pages_of(e);
    if (!is_measured(a, e))
        return;
    a->stats.page_exposed += pages_of(e);
    a->exposed_now += pages_of(e);
    a->exposed_most = a->exposed_now > a->exposed_most ? a->exposed_now : a->exposed_most;
}

static void entry_filled(void *self, const struct iotlb_entry *e)
{
    exposure_begins(self, e); /* By a walk that began before the unmap. */
}

static void device_entry_filled(void *self, const struct iotlb_entry *e)
{
    struct audit_device *d = self;
    exposure_begins(d->audit, e);
}

struct marking {
    struct audit *a;
    sim_time_t now;
    space_t space; /* Of what a device's TLB holds, of which this is to be marked. */
};

static void mark(void *self, struct iotlb_entry *e)
{
    struct marking *m = self;
    if (e->stale_since != TIME_NEVER || e->denied != 0)
        return;
    e->stale_since = m->now;
    exposure_begins(m->a, e);
}

static void mark_device(void *self, struct iotlb_entry *e)
{
    const struct marking *m = self;
    if (e->guest == m->space)
        mark(self, e);
}

static bool inside(uint64_t iova, const struct inv_selector *s)
{
    return iova >= s->first && iova <= s->last;
}

static void mark_port(struct rootport *r, const struct inv_selector *s)
{
    for (uint32_t i = 0; i < r->slots_used; i++) {
        struct dma_slot *slot = &r->slot[i];
        const bool by_device  = slot->request.type == PORT_TRANSLATED;
        const uint64_t iova   = by_device ? slot->request.origin.iova : slot->request.iova;
        if (slot->in_use && (slot->translated || by_device)
            && inv_selects_space(s, slot->space) && inside(iova, s))
            slot->stale = true;
    }
}

static struct inv_selector select_range(const struct audit *a, uint32_t space,
                                        uint64_t iova, uint64_t bytes)
{
    return (struct inv_selector){ .mask  = SPACE_MASK,
                                  .value = a->iommu->arch->space(a->iommu, space),
                                  .first = iova,
                                  .last  = iova + bytes - 1 };
}

/* ---- What the software says
 * ----------------------------------------------------------------------- */

static void given_back(void *self, uint32_t space, uint64_t iova, uint64_t bytes,
                       sim_time_t now)
{
    struct audit *a             = self;
    const struct inv_selector s = select_range(a, space, iova, bytes);
    struct marking m            = { a, now, s.value };
    a->stats.page_given_back += bytes >> 12;
    iotlb_visit(&a->iommu->iotlb, &s, mark, &m);
    iommu_mark_stale(a->iommu, &s, now);
    for (unsigned i = 0; i < a->ports; i++)
        mark_port(a->port[i], &s);
    for (unsigned i = 0; i < a->devices; i++) {
        const struct inv_selector range = { .first = s.first, .last = s.last };
        iotlb_visit(&a->device[i].atc->cache, &range, mark_device, &m);
        atc_mark_stale(a->device[i].atc, s.value, s.first, s.last);
    }
}

static void find_stale(void *self, struct iotlb_entry *e)
{
    uint64_t *stale = self;
    *stale += e->stale_since != TIME_NEVER;
}

struct finding {
    space_t space;
    uint64_t stale;
};

static void find_stale_of_device(void *self, struct iotlb_entry *e)
{
    struct finding *f = self;
    f->stale += e->guest == f->space && e->stale_since != TIME_NEVER;
}

static uint64_t stale_in_devices(const struct audit *a, const struct inv_selector *s)
{
    const struct inv_selector range = { .first = s->first, .last = s->last };
    struct finding f                = { .space = s->value };
    for (unsigned i = 0; i < a->devices; i++)
        iotlb_visit(&a->device[i].atc->cache, &range, find_stale_of_device, &f);
    return f.stale;
}

static void handed_out(void *self, uint32_t space, uint64_t iova, uint64_t bytes,
                       sim_time_t now)
{
    struct audit *a             = self;
    const struct inv_selector s = select_range(a, space, iova, bytes);
    uint64_t stale              = 0;
    if (a->stale_now > 0)
        iotlb_visit(&a->iommu->iotlb, &s, find_stale, &stale);
    if (a->stale_now > 0)
        stale += stale_in_devices(a, &s);
    if (stale > 0 || walker_may_fill_stale(a->iommu, &s))
        broken(a, &a->stats.broken_reuse,
               "invariant 2: 0x%" PRIx64 " of space %" PRIu32
               " was handed out again at %" PRIu64 " ps while the IOTLB held a stale "
               "translation of it, or a device did, or a walk was about to fill one",
               iova, space, now);
}

static void table_freed(void *self, uint64_t pa, sim_time_t now)
{
    struct audit *a = self;
    if (walkcache_holds(&a->iommu->walkcache, pa) || walker_holds(a->iommu, pa))
        broken(a, &a->stats.broken_table,
               "invariant 3: the table page at 0x%" PRIx64 " was freed at %" PRIu64
               " ps while a walk could still use it",
               pa, now);
}

static void stale_access(void *self, const struct dma_slot *slot, sim_time_t now)
{
    struct audit *a = self;
    a->stats.stale_access++;
    if (a->promises_nothing_stale)
        broken(a, &a->stats.broken_access,
               "invariant 1: device %04x reached 0x%" PRIx64 " at %" PRIu64
               " ps through a translation whose unmap had returned",
               slot->request.requester,
               slot->request.type == PORT_TRANSLATED ? slot->request.origin.iova
                                                     : slot->request.iova,
               now);
}

/* ---- Set-up
 * ------------------------------------------------------------------------------------------
 */

void audit_init(struct audit *a, struct iommu *iommu, bool promises_nothing_stale)
{
    memset(a, 0, sizeof *a);
    a->iommu                  = iommu;
    a->promises_nothing_stale = promises_nothing_stale;
    iommu->iotlb.stale_gone   = stale_entry_gone;
    iommu->iotlb.stale_filled = entry_filled;
    iommu->iotlb.stale_self   = a;
}

void audit_watch(struct audit *a, struct rootport *port)
{
    CHECK(a->ports < AUDIT_PORTS_MAX);
    a->port[a->ports++] = port;
    port->stale_access  = stale_access;
    port->stale_self    = a;
}

void audit_watch_device(struct audit *a, struct atc *atc)
{
    CHECK(a->devices < AUDIT_DEVICES_MAX);
    struct audit_device *d  = &a->device[a->devices++];
    *d                      = (struct audit_device){ a, atc };
    atc->cache.stale_gone   = device_entry_gone;
    atc->cache.stale_filled = device_entry_filled;
    atc->cache.stale_self   = d;
}

struct observer audit_observer(struct audit *a)
{
    return (struct observer){ .self        = a,
                              .given_back  = given_back,
                              .handed_out  = handed_out,
                              .table_freed = table_freed };
}

void audit_begin(struct audit *a, sim_time_t now)
{
    a->began       = now;
    a->exposed_now = a->exposed_most = a->exposure_ps_max = 0;
    memset(&a->exposure_ns, 0, sizeof a->exposure_ns);
}

static void still_exposed(void *self, struct iotlb_entry *e)
{
    struct marking *m = self;
    if (e->stale_since == TIME_NEVER)
        return;
    exposure_ends(m->a, e, m->now);
    e->stale_since = TIME_NEVER;
}

void audit_finish(struct audit *a, sim_time_t now)
{
    const struct inv_selector all = { .last = UINT64_MAX };
    struct marking m              = { a, now, 0 };
    iotlb_visit(&a->iommu->iotlb, &all, still_exposed, &m);
    for (unsigned i = 0; i < a->devices; i++)
        iotlb_visit(&a->device[i].atc->cache, &all, still_exposed, &m);
    CHECK(a->stale_now == 0);
    CHECK(a->exposed_now == 0);
}

bool audit_check(const struct audit *a, struct error *error)
{
    if (a->first_broken.text[0] == '\0')
        return true;
    *error = a->first_broken;
    return false;
}
