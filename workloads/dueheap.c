/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/dueheap.h"

#include <stdbool.h>
#include <stdlib.h>

void dueheap_init(struct dueheap *h, uint32_t items)
{
    CHECK(items > 0);
    CHECK(items < DUEHEAP_NONE);
    h->items = items;
    h->count = 0;
    h->heap  = calloc(items, sizeof *h->heap);
    h->item  = calloc(items, sizeof *h->item);
    CHECK(h->heap != NULL);
    CHECK(h->item != NULL);
    for (uint32_t i = 0; i < items; i++)
        h->item[i].due = TIME_NEVER;
}

void dueheap_free(struct dueheap *h)
{
    free(h->heap);
    free(h->item);
    h->heap = NULL;
    h->item = NULL;
}

static bool sorts_before(const struct dueheap *h, uint32_t a, uint32_t b)
{
    const sim_time_t at = h->item[a].due, bt = h->item[b].due;
    return at != bt ? at < bt : a < b;
}

static void settle_at(struct dueheap *h, uint32_t place, uint32_t item)
{
    CHECK(place < h->count);
    h->heap[place]      = item;
    h->item[item].place = place;
}

/* Moves the item up from a place until its parent sorts before it. */
static uint32_t rise(struct dueheap *h, uint32_t place, uint32_t item)
{
    while (place > 0) {
        const uint32_t parent = (place - 1) / 2;
        if (sorts_before(h, h->heap[parent], item))
            break;
        settle_at(h, place, h->heap[parent]);
        place = parent;
    }
    return place;
}

/* Moves the item down from a place until it sorts before its children. */
static uint32_t sink(struct dueheap *h, uint32_t place, uint32_t item)
{
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= h->count)
            return place;
        if (child + 1 < h->count && sorts_before(h, h->heap[child + 1], h->heap[child]))
            child++;
        if (sorts_before(h, item, h->heap[child]))
            return place;
        settle_at(h, place, h->heap[child]);
        place = child;
    }
}

static void place_from(struct dueheap *h, uint32_t place, uint32_t item)
{
    settle_at(h, sink(h, rise(h, place, item), item), item);
}

static void take_out(struct dueheap *h, uint32_t item)
{
    const uint32_t place = h->item[item].place;
    CHECK(h->count > 0);
    CHECK(h->heap[place] == item);
    const uint32_t last = h->heap[--h->count];
    h->item[item].due   = TIME_NEVER;
    if (last != item)
        place_from(h, place, last);
}

void dueheap_put(struct dueheap *h, uint32_t item, sim_time_t due)
{
    CHECK(item < h->items);
    const bool present = h->item[item].due != TIME_NEVER;
    if (due == TIME_NEVER) {
        if (present)
            take_out(h, item);
        return;
    }
    h->item[item].due    = due;
    const uint32_t place = present ? h->item[item].place : h->count++;
    place_from(h, place, item);
}

void dueheap_clear(struct dueheap *h)
{
    while (h->count > 0)
        h->item[h->heap[--h->count]].due = TIME_NEVER;
}

uint32_t dueheap_take(struct dueheap *h, sim_time_t now)
{
    if (dueheap_due(h) > now)
        return DUEHEAP_NONE;
    const uint32_t item = h->heap[0];
    take_out(h, item);
    return item;
}
