/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_actor_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Memory -------------------------------------------------------------------------- */

uint64_t actor_slot_at(unsigned slot, uint64_t *bytes)
{
    if (slot < ACTOR_SMALL) {
        *bytes = SMALL;
        return (uint64_t)slot * SMALL;
    }
    slot -= ACTOR_SMALL;
    if (slot < ACTOR_MEDIUM) {
        *bytes = MEDIUM;
        return (uint64_t)ACTOR_SMALL * SMALL + (uint64_t)slot * MEDIUM;
    }
    *bytes = LARGE;
    return (uint64_t)ACTOR_SMALL * SMALL + (uint64_t)ACTOR_MEDIUM * MEDIUM
           + (uint64_t)(slot - ACTOR_MEDIUM) * LARGE;
}

unsigned actor_slot_get(struct actors *a, unsigned first, unsigned count)
{
    const unsigned from = below(a, count);
    for (unsigned i = 0; i < count; i++) {
        const unsigned slot = first + (from + i) % count;
        if (!a->slot_taken[slot]) {
            a->slot_taken[slot] = true;
            return slot;
        }
    }
    return NO_SLOT;
}

uint8_t *actor_shadow_of(struct actors *a, uint64_t phys)
{
    CHECK(phys - ACTOR_ARENA < a->arena_bytes);
    return a->arena + (phys - ACTOR_ARENA);
}

static size_t random_size(struct actors *a, uint64_t room)
{
    const unsigned pick = below(a, 100);
    const uint64_t most = pick < 35 ? 256 : pick < 60 ? PAGE : room;
    return 1 + below(a, (uint32_t)(most < room ? most : room));
}

/* Where a buffer lies and how long it is, within one slot of a random class. */
bool actor_place_buffer(struct actors *a, struct actor_object *ob, uint64_t *phys)
{
    const unsigned pick = below(a, 1000);
    uint64_t bytes;
    ob->slot = pick < 2    ? actor_slot_get(a, ACTOR_SMALL + ACTOR_MEDIUM, ACTOR_LARGE)
               : pick < 25 ? actor_slot_get(a, ACTOR_SMALL, ACTOR_MEDIUM)
                           : actor_slot_get(a, 0, ACTOR_SMALL);
    if (ob->slot == NO_SLOT)
        return false;
    *phys              = ACTOR_ARENA + actor_slot_at(ob->slot, &bytes);
    const uint64_t end = *phys + bytes;
    *phys              = chance(a, 40) ? align_up(*phys, 12) : *phys + below(a, PAGE);
    ob->size           = random_size(a, end - *phys);
    if (chance(a, 25) && end - *phys >= PAGE)
        ob->size = (1 + below(a, (uint32_t)((end - *phys) / PAGE))) * PAGE;
    return true;
}

static void write_memory(struct actors *a, struct extent *e, uint32_t at, uint32_t n)
{
    uint8_t data[TOUCH];
    for (uint32_t i = 0; i < n; i++)
        data[i] = (uint8_t)rng_next(&a->rng);
    memcpy(e->shadow + at, data, n);
    memory_write(&a->rig->memory, e->phys + at, data, n);
}

/* Random bytes here and there, the first and the last among them. */
void actor_scribble(struct actors *a, struct actor_object *ob)
{
    for (unsigned i = 0; i < ob->extents; i++) {
        struct extent *e = &ob->extent[i];
        if (e->shadow == NULL)
            continue;
        write_memory(a, e, 0, 1);
        write_memory(a, e, e->bytes - 1, 1);
        const uint32_t at = below(a, e->bytes);
        write_memory(a, e, at, e->bytes - at < TOUCH ? e->bytes - at : TOUCH);
    }
}

void actor_compare(struct actors *a, uint64_t phys, const uint8_t *want, uint64_t bytes,
                   const char *what)
{
    uint8_t got[PAGE];
    a->oracle.checked++;
    while (bytes > 0) {
        const uint64_t n = bytes < PAGE ? bytes : PAGE;
        memory_read(&a->rig->memory, phys, got, n);
        for (uint64_t i = 0; i < n; i++)
            if (got[i] != want[i]) {
                complain(a, "%s: 0x%" PRIx64 " holds %02x, expected %02x", what, phys + i,
                         got[i], want[i]);
                return;
            }
        phys += n;
        want += n;
        bytes -= n;
    }
}

void actor_expect_memory(struct actors *a, const struct actor_object *ob)
{
    for (unsigned i = 0; i < ob->extents; i++) {
        const struct extent *e = &ob->extent[i];
        if (e->shadow == NULL)
            continue;
        const uint32_t n = e->bytes < 2 * PAGE ? e->bytes : PAGE;
        actor_compare(a, e->phys, e->shadow, n, "memory");
        actor_compare(a, e->phys + e->bytes - n, e->shadow + e->bytes - n, n, "memory");
    }
}

/* ---- Objects ------------------------------------------------------------------------- */

struct actor_object *actor_object_new(struct actors *a, enum kind kind)
{
    static const enum dma_data_direction dirs[] = { DMA_BIDIRECTIONAL, DMA_TO_DEVICE,
                                                    DMA_FROM_DEVICE };
    struct actor_object *ob                     = calloc(1, sizeof *ob);
    CHECK(ob != NULL);
    ob->kind  = kind;
    ob->dir   = dirs[below(a, 3)];
    ob->slot  = NO_SLOT;
    ob->owner = ++a->oracle.clock;
    ob->attrs = (chance(a, 10) ? DMA_ATTR_SKIP_CPU_SYNC : 0)
                | (chance(a, 10) ? DMA_ATTR_WEAK_ORDERING : 0)
                | (chance(a, 10) ? DMA_ATTR_NO_WARN : 0)
                | (chance(a, 5) ? DMA_ATTR_PRIVILEGED : 0);
    ob->defers = a->lazy;
    return ob;
}

void actor_object_free(struct actors *a, struct actor_object *ob)
{
    for (unsigned i = 0; i < ob->pages; i++)
        free(ob->page[i].view);
    if (ob->slot != NO_SLOT)
        a->slot_taken[ob->slot] = false;
    free(ob->page);
    free(ob->own);
    free(ob);
}

void actor_stock(struct actors *a, struct actor_object *ob)
{
    for (unsigned i = 0; i < ACTOR_OBJECTS; i++)
        if (a->stock[i] == NULL) {
            a->stock[i] = ob;
            a->objects++;
            return;
        }
    UNREACHABLE("there is room for what was taken out, or it was asked for before");
}

/* The part of an extent that lies in one of its pages: bytes [*from, *from + length). */
uint32_t actor_part_in(const struct extent *e, const struct opage *p, uint32_t *from)
{
    const uint64_t first = p->iova > e->dma ? p->iova : e->dma;
    const uint64_t last =
        p->iova + PAGE < e->dma + e->bytes ? p->iova + PAGE : e->dma + e->bytes;
    *from = (uint32_t)(first - e->dma);
    return last > first ? (uint32_t)(last - first) : 0;
}

/* For the tests of the test: somebody else meddles with memory or tables. */
void actor_meddle(struct actors *a, struct actor_object *ob)
{
    const struct extent *e = &ob->extent[0];
    for (unsigned i = 0; a->planted == ACTOR_SPOILS_BOUNCE && i < ob->pages; i++) {
        uint32_t from;
        if (ob->page[i].view == NULL || actor_part_in(e, &ob->page[i], &from) == 0)
            continue;
        const uint64_t at   = (e->dma + from) % PAGE;
        const uint8_t other = (uint8_t)~ob->page[i].view[at];
        memory_write(&a->rig->memory, ob->page[i].pa + at, &other, 1);
    }
    if (a->planted == ACTOR_FLIPS_BYTE && e->shadow != NULL) {
        const uint8_t other = (uint8_t)~e->shadow[e->bytes / 2];
        memory_write(&a->rig->memory, e->phys + e->bytes / 2, &other, 1);
    }
    if (a->planted == ACTOR_CHANGES_ENTRY && ob->pages > 0)
        oracle_flip_entry(&a->oracle, ob->page[0].iova);
}

struct actor_object *actor_unstock(struct actors *a, bool only_single)
{
    const unsigned from = below(a, ACTOR_OBJECTS);
    for (unsigned i = 0; i < ACTOR_OBJECTS; i++) {
        struct actor_object **at = &a->stock[(from + i) % ACTOR_OBJECTS];
        if (*at == NULL || (only_single && (*at)->kind != SINGLE))
            continue;
        struct actor_object *ob = *at;
        *at                     = NULL;
        a->objects--;
        return ob;
    }
    return NULL;
}

void actor_add_pages(struct actor_object *ob, uint64_t iova, unsigned count)
{
    ob->page = realloc(ob->page, (ob->pages + count) * sizeof *ob->page);
    CHECK(ob->page != NULL);
    for (unsigned i = 0; i < count; i++)
        ob->page[ob->pages + i] =
            (struct opage){ .iova = (iova & ~(uint64_t)(PAGE - 1)) + (uint64_t)i * PAGE };
    ob->pages += count;
}

unsigned actor_pages_of(uint64_t address, uint64_t bytes)
{
    return (unsigned)(((address & (PAGE - 1)) + bytes + PAGE - 1) / PAGE);
}
