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
    free(l->pool);
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
    if (n->since != TIME_NEVER || n->loan || n->partial)
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

/* More pages than chunks: ask those that there are. */
static void hand_out_all(struct ledger *l, space_t space, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; l->chunk != NULL && i < UINT32_C(1) << l->chunk_places_lg2; i++) {
        const struct ledger_chunk *c = &l->chunk[i];
        if (c->at == NULL || c->space != space)
            continue;
        for (uint64_t page = 0; page < PAGES_IN_CHUNK; page++) {
            const uint64_t number = (c->index << LEDGER_CHUNK_LG2) + page;
            if (number >= first && number <= last)
                c->at[page] = 0;
        }
    }
}

void ledger_give_back(struct ledger *l, space_t space, uint64_t page, uint64_t count,
                      sim_time_t at)
{
    if (at == 0 && count >> LEDGER_CHUNK_LG2 > l->chunks) {
        hand_out_all(l, space, page, page + count - 1);
        return;
    }
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

/* ---- Pools
 * -------------------------------------------------------------------------------- */

/* How many pools lie before this page. */
static uint32_t pools_before(const struct ledger *l, space_t space, uint64_t page)
{
    uint32_t low = 0, high = l->pools;
    while (low < high) {
        const uint32_t middle       = low + (high - low) / 2;
        const struct ledger_pool *p = &l->pool[middle];
        if (p->space < space || (p->space == space && p->last < page))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool ledger_in_pool(const struct ledger *l, space_t space, uint64_t page)
{
    const uint32_t i = l->pools == 0 ? 0 : pools_before(l, space, page);
    return i < l->pools && l->pool[i].space == space && l->pool[i].first <= page;
}

static void pool_insert(struct ledger *l, uint32_t at, struct ledger_pool pool)
{
    if (l->pools == l->pool_room) {
        l->pool_room = l->pool_room == 0 ? 16 : 2 * l->pool_room;
        l->pool      = realloc(l->pool, l->pool_room * sizeof *l->pool);
        CHECK(l->pool != NULL);
    }
    memmove(&l->pool[at + 1], &l->pool[at], (l->pools - at) * sizeof *l->pool);
    l->pool[at] = pool;
    l->pools++;
}

static void pool_delete(struct ledger *l, uint32_t at)
{
    l->pools--;
    memmove(&l->pool[at], &l->pool[at + 1], (l->pools - at) * sizeof *l->pool);
}

uint64_t ledger_pool_remove(struct ledger *l, space_t space, uint64_t first, uint64_t last)
{
    uint64_t removed = 0;
    for (uint32_t i = pools_before(l, space, first);
         i < l->pools && l->pool[i].space == space && l->pool[i].first <= last;) {
        const struct ledger_pool p = l->pool[i];
        const uint64_t from        = p.first > first ? p.first : first;
        const uint64_t to          = p.last < last ? p.last : last;
        pool_delete(l, i);
        if (p.first < from)
            pool_insert(l, i++, (struct ledger_pool){ p.first, from - 1, space });
        if (to < p.last)
            pool_insert(l, i++, (struct ledger_pool){ to + 1, p.last, space });
        removed += to - from + 1;
    }
    return removed;
}

uint64_t ledger_pool_add(struct ledger *l, space_t space, uint64_t first, uint64_t last)
{
    const uint64_t before = ledger_pool_remove(l, space, first, last);
    pool_insert(l, pools_before(l, space, first),
                (struct ledger_pool){ first, last, space });
    return last - first + 1 - before;
}
