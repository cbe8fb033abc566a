/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/wheel.h"

#include <stdlib.h>
#include <string.h>

void wheel_init(struct wheel *w, uint32_t items)
{
    CHECK(items > 0);
    CHECK(items <= WHEEL_ITEMS_MAX);
    memset(w, 0, sizeof *w);
    w->items = items;
    w->item  = calloc(items, sizeof *w->item);
    CHECK(w->item != NULL);
    for (uint32_t i = 0; i < items; i++)
        w->item[i].due = CYCLE_NEVER;
    for (unsigned s = 0; s < WHEEL_CYCLES; s++)
        w->head[s] = WHEEL_NONE;
    w->far = WHEEL_NONE;
}

void wheel_free(struct wheel *w)
{
    free(w->item);
    w->item = NULL;
}

static unsigned slot_of(cycle_t cycle)
{
    return (unsigned)(cycle & (WHEEL_CYCLES - 1));
}

static void insert_near(struct wheel *w, uint16_t item)
{
    const unsigned slot = slot_of(w->item[item].due);
    uint16_t *link      = &w->head[slot];
    while (*link < item) /* WHEEL_NONE is larger than any item. */
        link = &w->item[*link].next;
    w->item[item].next = *link;
    *link              = item;
    w->occupied[slot >> 6] |= UINT64_C(1) << (slot & 63);
}

static void insert_far(struct wheel *w, uint16_t item)
{
    uint16_t *link = &w->far;
    while (*link != WHEEL_NONE && w->item[*link].due <= w->item[item].due)
        link = &w->item[*link].next;
    w->item[item].next = *link;
    *link              = item;
}

void wheel_put(struct wheel *w, uint32_t item, cycle_t due)
{
    CHECK(item < w->items);
    CHECK(due >= w->now);
    CHECK(due != CYCLE_NEVER);
    CHECK(w->item[item].due == CYCLE_NEVER);
    w->item[item].due = due;
    w->scheduled++;
    if (due - w->now < WHEEL_CYCLES)
        insert_near(w, (uint16_t)item);
    else
        insert_far(w, (uint16_t)item);
}

static void unlink_from(struct wheel *w, uint16_t *link, uint16_t item)
{
    while (*link != item) {
        CHECK(*link != WHEEL_NONE);
        link = &w->item[*link].next;
    }
    *link = w->item[item].next;
}

static void leave_slot(struct wheel *w, unsigned slot)
{
    if (w->head[slot] == WHEEL_NONE)
        w->occupied[slot >> 6] &= ~(UINT64_C(1) << (slot & 63));
}

void wheel_remove(struct wheel *w, uint32_t item)
{
    CHECK(item < w->items);
    const cycle_t due = w->item[item].due;
    CHECK(due != CYCLE_NEVER);
    if (due - w->now < WHEEL_CYCLES) {
        unlink_from(w, &w->head[slot_of(due)], (uint16_t)item);
        leave_slot(w, slot_of(due));
    } else {
        unlink_from(w, &w->far, (uint16_t)item);
    }
    w->item[item].due = CYCLE_NEVER;
    w->scheduled--;
}

/* The first occupied slot at or after now's, going once around. */
static cycle_t near_due(const struct wheel *w)
{
    const unsigned start = slot_of(w->now);
    unsigned word        = start >> 6;
    uint64_t bits        = w->occupied[word] & ~UINT64_C(0) << (start & 63);
    for (unsigned looked = 0; bits == 0; looked++) {
        if (looked == WHEEL_WORDS)
            return CYCLE_NEVER;
        word = (word + 1) % WHEEL_WORDS;
        bits = w->occupied[word];
    }
    const unsigned slot = word * 64 + (unsigned)__builtin_ctzll(bits);
    return w->now + ((slot - start) & (WHEEL_CYCLES - 1));
}

cycle_t wheel_due(const struct wheel *w)
{
    if (w->scheduled == 0)
        return CYCLE_NEVER;
    const cycle_t near = near_due(w);
    return near != CYCLE_NEVER || w->far == WHEEL_NONE ? near : w->item[w->far].due;
}

/* What the horizon has reached moves from the far list onto the wheel. */
static void draw_near(struct wheel *w)
{
    while (w->far != WHEEL_NONE && w->item[w->far].due - w->now < WHEEL_CYCLES) {
        const uint16_t item = w->far;
        w->far              = w->item[item].next;
        insert_near(w, item);
    }
}

uint32_t wheel_take(struct wheel *w, cycle_t now)
{
    CHECK(now >= w->now);
    if (now != w->now) {
        CHECK_SLOW(wheel_due(w) >= now);
        w->now = now;
        draw_near(w);
    }
    const unsigned slot = slot_of(now);
    const uint16_t item = w->head[slot];
    if (item == WHEEL_NONE)
        return WHEEL_NONE;
    CHECK(w->item[item].due == now);
    w->head[slot]     = w->item[item].next;
    w->item[item].due = CYCLE_NEVER;
    w->scheduled--;
    leave_slot(w, slot);
    return item;
}
