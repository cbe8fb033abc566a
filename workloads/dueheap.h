/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dueheap - which of a device's parts is due next.
 *
 * A binary heap over a fixed set of items (a channel, a timer, ...), each due at most once,
 * ordered by time and then by the item's number. For a device whose latencies are far apart
 * and know no clock; a pipeline that works in cycles wants a wheel.
 */
#ifndef WORKLOADS_DUEHEAP_H
#define WORKLOADS_DUEHEAP_H

#include "sim/base/simtime.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DUEHEAP_NONE UINT32_MAX

struct dueheap_item {
    sim_time_t due; /* TIME_NEVER while it is not in the heap. */
    uint32_t place;
};

struct dueheap {
    uint32_t items, count;
    uint32_t *heap; /* Items; each sorts before those at twice its place and behind. */
    struct dueheap_item *item;
};

void dueheap_init(struct dueheap *h, uint32_t items);
void dueheap_free(struct dueheap *h);

/* Makes an item due then, whenever it was due before; TIME_NEVER takes it out. */
void dueheap_put(struct dueheap *h, uint32_t item, sim_time_t due);

/* Takes out every item. */
void dueheap_clear(struct dueheap *h);

static inline sim_time_t dueheap_due(const struct dueheap *h)
{
    return h->count == 0 ? TIME_NEVER : h->item[h->heap[0]].due;
}

static inline sim_time_t dueheap_item_due(const struct dueheap *h, uint32_t item)
{
    CHECK(item < h->items);
    return h->item[item].due;
}

/* Takes out the first item that is due by now, or returns DUEHEAP_NONE. */
uint32_t dueheap_take(struct dueheap *h, sim_time_t now);

#ifdef __cplusplus
}
#endif

#endif
