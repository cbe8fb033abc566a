/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

enum { FIRST_PLACES_LG2 = 6, PAGES_IN_CHUNK = 1 << LEDGER_CHUNK_LG2 };

static uint32_t place_of(space_t space, uint64_t index, unsigned places_lg2)
{
    const uint64_t mixed = (index ^ space << 20) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)((mixed ^ mixed >> 29) * UINT64_C(0xbf58476d1ce4e5b9)
                      >> (64 - places_lg2));
}

void ledger_free(struct ledger *l)
{
    for (uint32_t i = 0; l->chunk != NULL && i < UINT32_C(1) << l->chunk_places_lg2; i++)
        free(l->chunk[i].at);
    free(l->chunk);
    free(l->note);
    memset(l, 0, sizeof *l);
}

/* ---- Notes -----------------------------------------------------------------------------
 */

/* Where the page's note is, or would be. */
static uint32_t probe(const struct ledger *l, space_t space, uint64_t page)
{
    const uint32_t mask = (UINT32_C(1) << l->places_lg2) - 1;
    uint32_t i          = place_of(space, page, l->places_lg2);
    while (l->note[i].used && (l->note[i].page != page || l->note[i].space != space))
        i = (i + 1) & mask;
    return i;
}

struct ledger_note *ledger_find(const struct ledger *l, space_t space, uint64_t page)
{
    if (l->notes == 0)
        return NULL;
    struct ledger_note *n = &l->note[probe(l, space, page)];
    return n->used ? n : NULL;
}

static void grow(struct ledger *l)
{
    const uint32_t places    = l->note == NULL ? 0 : UINT32_C(1) << l->places_lg2;
    struct ledger_note *from = l->note;
    l->places_lg2            = from == NULL ? FIRST_PLACES_LG2 : l->places_lg2 + 1;
    l->note                  = calloc((size_t)1 << l->places_lg2, sizeof *l->note);
    CHECK(l->note != NULL);
    for (uint32_t i = 0; i < places; i++)
        if (from[i].used)
            l->note[probe(l, from[i].space, from[i].page)] = from[i];
    free(from);
}

struct ledger_note *ledger_make(struct ledger *l, space_t space, uint64_t page)
{
    if (l->note == NULL || l->notes * 2 >= UINT32_C(1) << l->places_lg2)
        grow(l);
    struct ledger_note *n = &l->note[probe(l, space, page)];
    if (n->used)
        return n;
    *n = (struct ledger_note){ .page     = page,
                               .space    = space,
                               .since    = TIME_NEVER,
                               .reusable = TIME_NEVER,
                               .lent     = LEDGER_ALL_LENT,
                               .used     = true };
    l->notes++;
    return n;
}

/* Closes the gap, so that a probe may stop at the first free place. */
static void drop(struct ledger *l, uint32_t gap)
{
    const uint32_t mask = (UINT32_C(1) << l->places_lg2) - 1;
    for (uint32_t i = (gap + 1) & mask; l->note[i].used; i = (i + 1) & mask) {
        const uint32_t home = place_of(l->note[i].space, l->note[i].page, l->places_lg2);
        if (((i - home) & mask) < ((i - gap) & mask))
            continue; /* It lies behind the gap by right. */
        l->note[gap] = l->note[i];
        gap          = i;
    }
    l->note[gap].used = false;
    l->notes--;
}

void ledger_tidy(struct ledger *l, struct ledger_note *n)
{
    CHECK(n->used);
    if (n->since != TIME_NEVER || n->pool || n->partial)
        return;
    CHECK(n->in_flight == 0);
    drop(l, (uint32_t)(n - l->note));
}

void ledger_visit(struct ledger *l, void (*visit)(void *self, struct ledger_note *note),
                  void *self)
{
    for (uint32_t i = 0; l->note != NULL && i < UINT32_C(1) << l->places_lg2; i++)
        if (l->note[i].used)
            visit(self, &l->note[i]);
}

/* ---- Given back ------------------------------------------------------------------------
 */

static uint32_t probe_chunk(const struct ledger *l, space_t space, uint64_t index)
{
    const uint32_t mask = (UINT32_C(1) << l->chunk_places_lg2) - 1;
    uint32_t i          = place_of(space, index, l->chunk_places_lg2);
    while (l->chunk[i].at != NULL
           && (l->chunk[i].index != index || l->chunk[i].space != space))
        i = (i + 1) & mask;
    return i;
}

static void grow_chunks(struct ledger *l)
{
    const uint32_t places     = l->chunk == NULL ? 0 : UINT32_C(1) << l->chunk_places_lg2;
    struct ledger_chunk *from = l->chunk;
    l->chunk_places_lg2       = from == NULL ? FIRST_PLACES_LG2 : l->chunk_places_lg2 + 1;
    l->chunk                  = calloc((size_t)1 << l->chunk_places_lg2, sizeof *l->chunk);
    CHECK(l->chunk != NULL);
    for (uint32_t i = 0; i < places; i++)
        if (from[i].at != NULL)
            l->chunk[probe_chunk(l, from[i].space, from[i].index)] = from[i];
    free(from);
}

/* The times of a chunk, or NULL when nothing of it was ever given back. */
static sim_time_t *chunk(struct ledger *l, space_t space, uint64_t index)
{
    if (l->last.at != NULL && l->last.index == index && l->last.space == space)
        return l->last.at;
    if (l->chunks == 0)
        return NULL;
    const struct ledger_chunk *c = &l->chunk[probe_chunk(l, space, index)];
    if (c->at != NULL)
        l->last = *c;
    return c->at;
}

static sim_time_t *chunk_make(struct ledger *l, space_t space, uint64_t index)
{
    sim_time_t *at = chunk(l, space, index);
    if (at != NULL)
        return at;
    if (l->chunk == NULL || l->chunks * 2 >= UINT32_C(1) << l->chunk_places_lg2)
        grow_chunks(l);
    at = calloc(PAGES_IN_CHUNK, sizeof *at);
    CHECK(at != NULL);
    l->last = (struct ledger_chunk){ .index = index, .space = space, .at = at };
    l->chunk[probe_chunk(l, space, index)] = l->last;
    l->chunks++;
    return at;
}

void ledger_give_back(struct ledger *l, space_t space, uint64_t page, uint64_t count,
                      sim_time_t at)
{
    while (count > 0) {
        const uint64_t index = page >> LEDGER_CHUNK_LG2;
        const uint32_t first = (uint32_t)(page & (PAGES_IN_CHUNK - 1));
        const uint64_t room  = PAGES_IN_CHUNK - first;
        const uint64_t here  = count < room ? count : room;
        sim_time_t *time = at != 0 ? chunk_make(l, space, index) : chunk(l, space, index);
        for (uint64_t i = 0; time != NULL && i < here; i++)
            time[first + i] = at;
        page += here;
        count -= here;
    }
}

sim_time_t ledger_given_back(struct ledger *l, space_t space, uint64_t page)
{
    const sim_time_t *at = chunk(l, space, page >> LEDGER_CHUNK_LG2);
    return at == NULL ? 0 : at[page & (PAGES_IN_CHUNK - 1)];
}
