/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_actor_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- The IOVA API -------------------------------------------------------------------- */

static uint32_t offset_of(const struct actor_object *ob, const struct extent *e)
{
    return (uint32_t)(e->dma - ob->state.addr);
}

/* Cuts the range at granules; whole pieces of the same length may change places. */
static void cut_range(struct actors *a, struct actor_object *ob, uint64_t phys)
{
    uint64_t at = 0;
    while (at < ob->size) {
        const uint64_t granule = PAGE - (phys + at) % PAGE;
        const bool last        = ob->extents == EXTENTS - 1;
        const uint64_t n       = granule + (uint64_t)below(a, 4) * PAGE;
        struct extent *e       = &ob->extent[ob->extents++];
        *e                     = (struct extent){ .phys  = phys + at,
                                                  .dma   = ob->state.addr + at,
                                                  .first = (uint32_t)((ob->state.addr % PAGE + at) / PAGE),
                                                  .bytes = (uint32_t)(last || n > ob->size - at ? ob->size - at
                                                                                                : n) };
        at += e->bytes;
    }
    for (unsigned i = 1; i + 1 < ob->extents && chance(a, 50); i++) {
        const unsigned j    = 1 + below(a, i);
        const uint64_t was  = ob->extent[i].phys;
        const bool are_same = ob->extent[i].bytes == ob->extent[j].bytes && was % PAGE == 0
                              && ob->extent[j].phys % PAGE == 0;
        ob->extent[i].phys = are_same ? ob->extent[j].phys : was;
        ob->extent[j].phys = are_same ? was : ob->extent[j].phys;
    }
    for (unsigned i = 0; i < ob->extents; i++)
        ob->extent[i].shadow = actor_shadow_of(a, ob->extent[i].phys);
}

void actor_alloc_range(struct actors *a)
{
    struct actor_object *ob = actor_object_new(a, RANGE);
    struct device *dev      = device(a);
    uint64_t phys;
    const bool placed = actor_place_buffer(a, ob, &phys);
    if (placed && (dev->untrusted || dev->noncoherent) && !a->keeps_offset) {
        ob->size = ob->size > phys % PAGE ? ob->size : phys % PAGE + 1;
        ob->size -= phys % PAGE; /* The slot of a first granule would not fit. */
        phys = align_up(phys, 12);
        uint64_t bytes;
        const uint64_t end = ACTOR_ARENA + actor_slot_at(ob->slot, &bytes) + bytes;
        ob->size           = ob->size < end - phys ? ob->size : end - phys;
    }
    if (placed)
        made(a, ACTOR_try_alloc);
    begin(a);
    const bool got = placed && dma_iova_try_alloc(dev, &ob->state, phys, ob->size);
    if (placed && !got && translates(a) && a->rig->kernel.release >= LINUX_6_18)
        actor_expect_failure(a, false, "dma_iova_try_alloc");
    if (got && (!translates(a) || a->rig->kernel.release < LINUX_6_18))
        complain(a, "a range that cannot be had");
    if (!got) {
        if (placed && (dma_use_iova(&ob->state) || ob->state.addr != 0))
            complain(a, "a state that is not in use is not zeroed");
        end(a);
        actor_object_free(a, ob);
        return;
    }
    actor_expect_address(a, ob->state.addr, ob->size, dma_get_mask(dev), phys % PAGE);
    actor_add_pages(ob, ob->state.addr, actor_pages_of(ob->state.addr, ob->size));
    oracle_take(&a->oracle, ob->state.addr, ob->pages, ob->owner);
    end(a);
    cut_range(a, ob, phys);
    actor_scribble(a, ob);
    actor_stock(a, ob);
}

static void sync_range(struct actors *a, struct actor_object *ob, const struct extent *e)
{
    made(a, ACTOR_iova_sync);
    const int error = dma_iova_sync(device(a), &ob->state, offset_of(ob, e), e->bytes);
    if (error != 0)
        complain(a, "dma_iova_sync gave %d", error);
    for (unsigned i = 0; i < actor_pages_of(e->dma, e->bytes); i++)
        if (ob->page[e->first + i].mapped)
            oracle_synced(&a->oracle, ob->page[e->first + i].iova, ob->owner);
}

/* Only the granules at the ends bounce, where they are partly used. */
static void link_piece(struct actors *a, struct actor_object *ob, struct extent *e)
{
    const unsigned n   = actor_pages_of(e->dma, e->bytes);
    const bool bounced = actor_bounces(a, e->phys, e->bytes, ob->dir);
    begin(a);
    made(a, ACTOR_link);
    const int error = dma_iova_link(device(a), &ob->state, e->phys, offset_of(ob, e),
                                    e->bytes, ob->dir, ob->attrs);
    if (error != 0) {
        if (error != -ENOMEM || !((bounced && actor_pool_is_low(a)) || a->failed[flight()]))
            complain(a, "dma_iova_link gave %d", error);
        oracle_undone(&a->oracle, flight());
        end(a);
        return;
    }
    e->linked  = true;
    e->bounced = bounced;
    a->made[ACTOR_bounced] += bounced;
    for (unsigned i = 0; i < n; i++) {
        struct opage *p = &ob->page[e->first + i];
        uint32_t from;
        const bool part = actor_part_in(e, p, &from) < PAGE;
        actor_map_page(a, ob, p, align_down(e->phys, 12) + (uint64_t)i * PAGE,
                       bounced && part);
        oracle_awaits_sync(&a->oracle, p->iova, ob->owner);
        if (bounced && part) {
            actor_make_view(e, p);
            actor_expect_view(a, e, p);
        }
    }
    end(a);
    sync_range(a, ob, e);
}

static void unlink_piece(struct actors *a, struct actor_object *ob, struct extent *e)
{
    const unsigned n = actor_pages_of(e->dma, e->bytes);
    actor_copy_back(ob, e);
    begin(a);
    actor_unmapping(a, ob, e->first, n, false); /* Never deferred. */
    made(a, ACTOR_unlink);
    dma_iova_unlink(device(a), &ob->state, offset_of(ob, e), e->bytes, ob->dir, ob->attrs);
    end(a);
    actor_unmapped(a, ob, e->first, n);
    e->linked = false;
}

/* Links or unlinks a piece; false when there is none to link. */
void actor_work_on_range(struct actors *a, struct actor_object *ob)
{
    struct extent *e = &ob->extent[below(a, ob->extents)];
    if (!e->linked)
        link_piece(a, ob, e);
    else if (chance(a, 30))
        unlink_piece(a, ob, e);
    else
        sync_range(a, ob, e);
}

/* The bytes that are linked from the beginning on; *only: and nothing else is. */
static uint32_t linked_prefix(const struct actor_object *ob, bool *only)
{
    uint32_t bytes = 0;
    unsigned i     = 0;
    for (; i < ob->extents && ob->extent[i].linked; i++)
        bytes += ob->extent[i].bytes;
    *only = true;
    for (; i < ob->extents; i++)
        *only = *only && !ob->extent[i].linked;
    return bytes;
}

static void destroy_range(struct actors *a, struct actor_object *ob, uint32_t bytes)
{
    const bool defers = a->lazy && a->rig->kernel.release < LINUX_7_3;
    for (unsigned i = 0; i < ob->extents; i++)
        if (ob->extent[i].linked)
            actor_copy_back(ob, &ob->extent[i]);
    begin(a);
    actor_leaving(a, ob, defers);
    made(a, bytes == 0 ? ACTOR_destroy_none : ACTOR_destroy);
    dma_iova_destroy(device(a), &ob->state, bytes, ob->dir, ob->attrs);
    end(a);
    actor_gone(a, ob);
}

void actor_end_range(struct actors *a, struct actor_object *ob)
{
    bool only;
    uint32_t bytes = linked_prefix(ob, &only);
    for (unsigned i = 0; i < ob->extents && !only; i++)
        if (ob->extent[i].linked)
            unlink_piece(a, ob, &ob->extent[i]);
    bytes = linked_prefix(ob, &only);
    CHECK(only);
    if (bytes > 0 || chance(a, 50)) {
        destroy_range(a, ob, bytes);
    } else {
        begin(a);
        actor_leaving(a, ob, false);
        made(a, ACTOR_iova_free);
        dma_iova_free(device(a), &ob->state);
        end(a);
        actor_gone(a, ob);
    }
    actor_expect_memory(a, ob);
}
