/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wheel - what a hardware block does in which of its cycles.
 *
 * A timing wheel over a fixed set of items (a translation in flight, a walker, ...). Each
 * item is scheduled at most once; items due in one cycle come out in the order of their
 * number, so the numbering is the order of the stages within a cycle. Putting and taking
 * cost a few instructions; the next WHEEL_CYCLES cycles are one bit each, what lies further
 * away waits in a sorted list.
 */
#ifndef SIM_BASE_WHEEL_H
#define SIM_BASE_WHEEL_H

#include <stdbool.h>

#include "sim/base/simtime.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WHEEL_CYCLES    = 512,
    WHEEL_WORDS     = WHEEL_CYCLES / 64,
    WHEEL_ITEMS_MAX = 4096,
};

#define WHEEL_NONE UINT16_MAX

struct wheel_item {
    cycle_t due; /* CYCLE_NEVER while not scheduled. */
    uint16_t next;
};

struct wheel {
    cycle_t now; /* Nothing is due before it. */
    uint64_t occupied[WHEEL_WORDS];
    uint16_t head[WHEEL_CYCLES];
    uint16_t far; /* Items beyond the wheel's horizon, earliest first. */
    uint32_t items, scheduled;
    struct wheel_item *item;
};

void wheel_init(struct wheel *w, uint32_t items);
void wheel_free(struct wheel *w);

/* Schedules an item that is not scheduled, at a cycle not before w->now. */
void wheel_put(struct wheel *w, uint32_t item, cycle_t due);

/* Takes a scheduled item out again. */
void wheel_remove(struct wheel *w, uint32_t item);

static inline cycle_t wheel_item_due(const struct wheel *w, uint32_t item)
{
    CHECK(item < w->items);
    return w->item[item].due;
}

static inline bool wheel_any(const struct wheel *w)
{
    return w->scheduled > 0;
}

/* The first cycle in which something is due, or CYCLE_NEVER. */
cycle_t wheel_due(const struct wheel *w);

/* Takes out the lowest item due in cycle now, or returns WHEEL_NONE. now never goes back,
 * and never passes over an item that is still scheduled. */
uint32_t wheel_take(struct wheel *w, cycle_t now);

#ifdef __cplusplus
}
#endif

#endif
