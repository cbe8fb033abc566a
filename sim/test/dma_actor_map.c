/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_actor_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- What must bounce ---------------------------------------------------------------- */

bool actor_bounces(struct actors *a, uint64_t phys, uint64_t size,
                   enum dma_data_direction dir)
{
    const struct device *dev = device(a);
    const bool small         = size <= 32 || (size > 64 && size <= 96);
    const bool unsafe        = dev->noncoherent && dir != DMA_TO_DEVICE && small;
    return translates(a) && (dev->untrusted || unsafe) && ((phys | size) % PAGE) != 0;
}

/* Behind each bounced page: the extent's bytes, and zeroes beside them. */
void actor_make_view(struct extent *e, struct opage *p)
{
    uint32_t from;
    const uint32_t n = actor_part_in(e, p, &from);
    p->view          = calloc(1, PAGE);
    CHECK(p->view != NULL);
    memcpy(p->view + (e->dma + from) % PAGE, e->shadow + from, n);
}

static void view_to_memory(struct extent *e, const struct opage *p)
{
    uint32_t from;
    const uint32_t n = actor_part_in(e, p, &from);
    memcpy(e->shadow + from, p->view + (e->dma + from) % PAGE, n);
}

void actor_expect_view(struct actors *a, const struct extent *e, const struct opage *p)
{
    uint32_t from;
    const uint32_t n  = actor_part_in(e, p, &from);
    const uint64_t at = device(a)->untrusted ? 0 : (e->dma + from) % PAGE;
    actor_compare(a, p->pa + at, p->view + at, device(a)->untrusted ? (uint64_t)PAGE : n,
                  "bounce buffer");
}

/* ---- Mapping and unmapping, page by page --------------------------------------------- */

void actor_expect_address(struct actors *a, uint64_t dma, uint64_t bytes, uint64_t mask,
                          uint64_t offset)
{
    if (dma % PAGE != offset)
        complain(a, "address 0x%" PRIx64 ": expected 0x%" PRIx64 " in its page", dma,
                 offset);
    if (dma + bytes - 1 > mask)
        complain(a, "address 0x%" PRIx64 " is beyond the mask", dma);
    const unsigned pages = actor_pages_of(dma, bytes);
    if (translates(a) && ((dma / PAGE) & mask_lg2(lg2_ceil(pages))) != 0)
        complain(a, "address 0x%" PRIx64 " is not aligned to its size", dma);
}

/* The page is mapped now: to pa, or to some bounce buffer. */
void actor_map_page(struct actors *a, struct actor_object *ob, struct opage *p, uint64_t pa,
                    bool bounced)
{
    uint64_t found     = 0;
    const unsigned may = oracle_walk(&a->oracle, p->iova, &found);
    p->mapped          = true;
    p->pa              = bounced ? found : pa;
    a->oracle.checked++;
    if (may != may_of(a, ob->dir) || found != p->pa)
        complain(
            a, "0x%" PRIx64 " is mapped to 0x%" PRIx64 " (%u), expected 0x%" PRIx64 " (%u)",
            p->iova, found, may, p->pa, may_of(a, ob->dir));
    if (bounced && (found < POOL_FIRST || found >= POOL_END))
        complain(a, "0x%" PRIx64 " is not behind a bounce buffer", p->iova);
    oracle_map(&a->oracle, p->iova, ob->owner, p->pa, may_of(a, ob->dir));
    a->bounced_bytes += bounced ? PAGE : 0;
}

/* An extent that was mapped for itself, whole or as a bounce buffer. */
void actor_adopt(struct actors *a, struct actor_object *ob, struct extent *e, uint64_t mask)
{
    const uint64_t keep = a->keeps_offset ? PAGE - 1 : 0;
    const unsigned n    = actor_pages_of(e->dma, e->bytes);
    actor_expect_address(a, e->dma, e->bytes, mask,
                         e->bounced ? e->phys & keep : e->phys % PAGE);
    e->first = ob->pages;
    actor_add_pages(ob, e->dma, n);
    if (!translates(a)) {
        if (e->dma != e->phys)
            complain(a, "0x%" PRIx64 " is not the physical address", e->dma);
        for (unsigned i = 0; i < n; i++)
            ob->page[e->first + i].pa = ob->page[e->first + i].iova;
        return;
    }
    oracle_take(&a->oracle, e->dma, n, ob->owner);
    for (unsigned i = 0; i < n; i++) {
        struct opage *p = &ob->page[e->first + i];
        actor_map_page(a, ob, p, align_down(e->phys, 12) + (uint64_t)i * PAGE, e->bounced);
        if (e->bounced) {
            actor_make_view(e, p);
            actor_expect_view(a, e, p);
        }
    }
}

void actor_unmapping(struct actors *a, struct actor_object *ob, unsigned first,
                     unsigned count, bool defers)
{
    for (unsigned i = first; i < first + count; i++)
        if (ob->page[i].mapped)
            oracle_unmapping(&a->oracle, ob->page[i].iova, ob->owner, defers);
}

void actor_unmapped(struct actors *a, struct actor_object *ob, unsigned first,
                    unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        struct opage *p = &ob->page[i];
        uint64_t pa;
        if (!p->mapped)
            continue;
        p->mapped = false;
        if (oracle_unmapped(&a->oracle, p->iova, ob->owner)
            && !oracle_unsettled(&a->oracle, a->oracle.clock)
            && oracle_walk(&a->oracle, p->iova, &pa) != 0)
            complain(a, "0x%" PRIx64 " is still mapped to 0x%" PRIx64, p->iova, pa);
        a->bounced_bytes -= p->view != NULL ? PAGE : 0;
        free(p->view);
        p->view                          = NULL;
        a->past[a->pasts++ % ACTOR_PAST] = p->iova;
    }
    if (a->planted == ACTOR_SEES_FLUSHES)
        oracle_flushed(&a->oracle, ++a->oracle.clock);
}

void actor_leaving(struct actors *a, struct actor_object *ob, bool defers)
{
    if (!translates(a))
        return;
    actor_unmapping(a, ob, 0, ob->pages, defers);
    for (unsigned i = 0; i < ob->pages; i++)
        oracle_leaving(&a->oracle, ob->page[i].iova, 1, ob->owner);
}

void actor_gone(struct actors *a, struct actor_object *ob)
{
    if (!translates(a))
        return;
    actor_unmapped(a, ob, 0, ob->pages);
    for (unsigned i = 0; i < ob->pages; i++)
        oracle_give(&a->oracle, ob->page[i].iova, 1, ob->owner);
}

/* What an unmap copies out of bounce buffers: known before the call, as it is then. */
void actor_copy_back(struct actor_object *ob, struct extent *e)
{
    if (ob->dir == DMA_TO_DEVICE || ob->attrs & DMA_ATTR_SKIP_CPU_SYNC)
        return;
    for (unsigned i = 0; i < actor_pages_of(e->dma, e->bytes); i++)
        if (ob->page[e->first + i].view != NULL)
            view_to_memory(e, &ob->page[e->first + i]);
}

/* A mapping of bounced memory may fail only where there is too little of it. */
void actor_expect_failure(struct actors *a, bool may_fail, const char *what)
{
    const bool narrow = dma_get_mask(device(a)) < DMA_BIT_MASK(32);
    oracle_undone(&a->oracle, flight());
    if (!may_fail && !narrow && !a->failed[flight()])
        complain(a, "%s failed", what);
    if (a->planted == ACTOR_LEAKS_MAPPING && a->failed[flight()] && translates(a)) {
        CHECK(domain_map(a->rig->domain, NEVER_THERE + PAGE, ACTOR_ARENA, PAGE, PT_READ)
              == 0);
        a->planted = ACTOR_HONEST;
    }
}

bool actor_pool_is_low(const struct actors *a)
{
    return a->bounced_bytes > 8 << 20;
}

/* ---- Pages that are taken and given back within one step -------------------------------
 */

/* The device has the page at pa, which others may share with this one. */
void actor_borrow(struct actors *a, struct borrowed *b, uint64_t iova, uint64_t pa,
                  unsigned may)
{
    uint64_t found = 0;
    iova &= ~(uint64_t)(PAGE - 1);
    pa &= ~(uint64_t)(PAGE - 1);
    for (unsigned i = 0; i < b->count; i++)
        if (b->iova[i] == iova)
            return;
    CHECK(b->count < EXTENTS);
    b->iova[b->count++] = iova;
    oracle_take(&a->oracle, iova, 1, b->owner);
    a->oracle.checked++;
    if (oracle_walk(&a->oracle, iova, &found) != may || found != pa)
        complain(a, "0x%" PRIx64 " is mapped to 0x%" PRIx64 ", expected 0x%" PRIx64, iova,
                 found, pa);
    oracle_map(&a->oracle, iova, b->owner, pa, may);
}

/* Before the call that unmaps all of it, and after. */
void actor_returning(struct actors *a, const struct borrowed *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        oracle_unmapping(&a->oracle, b->iova[i], b->owner, a->lazy);
        oracle_leaving(&a->oracle, b->iova[i], 1, b->owner);
    }
}

void actor_returned(struct actors *a, const struct borrowed *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        oracle_unmapped(&a->oracle, b->iova[i], b->owner);
        oracle_give(&a->oracle, b->iova[i], 1, b->owner);
    }
}
