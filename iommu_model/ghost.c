/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/ghost.h"

#include <stdlib.h>

#include "sim/base/check.h"

void ghosts_init(struct ghosts *g, unsigned places_lg2)
{
    CHECK(places_lg2 > 0);
    *g       = (struct ghosts){ .places_lg2 = places_lg2 };
    g->place = calloc((size_t)1 << places_lg2, sizeof *g->place);
    CHECK(g->place != NULL);
}

void ghosts_free(struct ghosts *g)
{
    free(g->place);
    *g = (struct ghosts){ 0 };
}

static struct ghost *place_of(const struct ghosts *g, space_t space, uint64_t first,
                              unsigned lg2)
{
    const uint64_t key = (first >> lg2) ^ space << 24 ^ (uint64_t)lg2 << 56;
    return &g->place[(key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - g->places_lg2)];
}

bool ghosts_add(struct ghosts *g, const struct ghost *ghost)
{
    struct ghost *place = place_of(g, ghost->space, ghost->first, ghost->lg2);
    const bool forgets  = place->used;
    *place              = *ghost;
    place->used         = true;
    g->count += !forgets;
    g->sizes |= UINT64_C(1) << ghost->lg2;
    return forgets;
}

static void remove_ghost(struct ghosts *g, struct ghost *place)
{
    CHECK(g->count > 0);
    place->used = false;
    g->count--;
}

bool ghosts_take(struct ghosts *g, space_t space, uint64_t first, unsigned lg2,
                 uint64_t target)
{
    if (g->count == 0)
        return false;
    struct ghost *place = place_of(g, space, first, lg2);
    if (!place->used || place->first != first || place->space != space || place->lg2 != lg2
        || place->target != target)
        return false;
    remove_ghost(g, place);
    return true;
}

static void forget_size(struct ghosts *g, space_t space, uint64_t first, uint64_t last,
                        unsigned lg2)
{
    for (uint64_t page = first >> lg2; page <= last >> lg2; page++) {
        struct ghost *place = place_of(g, space, page << lg2, lg2);
        if (place->used && place->first == page << lg2 && place->space == space
            && place->lg2 == lg2)
            remove_ghost(g, place);
    }
}

static bool serves(const struct ghost *ghost, space_t space, uint64_t first, uint64_t last)
{
    return ghost->used && ghost->space == space && ghost->first <= last
           && (ghost->first | mask_lg2(ghost->lg2)) >= first;
}

void ghosts_forget(struct ghosts *g, space_t space, uint64_t first, uint64_t last)
{
    if (g->count == 0)
        return;
    const uint32_t places = UINT32_C(1) << g->places_lg2;
    if ((last - first) >> __builtin_ctzll(g->sizes) < places) {
        for (uint64_t left = g->sizes; left != 0; left &= left - 1)
            forget_size(g, space, first, last, (unsigned)__builtin_ctzll(left));
        return;
    }
    for (uint32_t i = 0; i < places; i++)
        if (serves(&g->place[i], space, first, last))
            remove_ghost(g, &g->place[i]);
}

void ghosts_forget_target(struct ghosts *g, uint64_t target)
{
    for (uint32_t i = 0; g->count > 0 && i < UINT32_C(1) << g->places_lg2; i++)
        if (g->place[i].used && g->place[i].target == target)
            remove_ghost(g, &g->place[i]);
}
