/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "sim/base/lg2.h"
#include "sim/test/shim.h"

#define RING_NAME number_ring
#define RING_ITEM unsigned
#include "sim/base/ring.h"

enum { SLOTS = 4, STEPS = 10 };

/* Every sequence of ten pushes and pops on four slots, across the end of the counters. */
TEST_CASE(ring, every_short_sequence_is_first_in_first_out)
{
    for (unsigned sequence = 0; sequence < 1u << STEPS; sequence++) {
        struct number_ring r;
        unsigned pushed = 0, popped = 0;
        number_ring_init(&r, SLOTS);
        r.head = r.tail = UINT32_MAX - 2; /* They run freely, and over. */
        for (unsigned i = 0; i < STEPS; i++) {
            if ((sequence >> i & 1) != 0 && !number_ring_full(&r)) {
                EXPECT(number_ring_next(&r) == &r.item[r.tail & r.mask]);
                *number_ring_push(&r) = pushed++;
            } else if (!number_ring_empty(&r)) {
                EXPECT_EQUAL(*number_ring_front(&r), popped);
                number_ring_pop(&r);
                popped++;
            }
            EXPECT_EQUAL(number_ring_count(&r), pushed - popped);
            EXPECT_EQUAL(number_ring_full(&r), pushed - popped == SLOTS);
            EXPECT_EQUAL(number_ring_empty(&r), pushed == popped);
            for (unsigned k = 0; k < pushed - popped; k++)
                EXPECT_EQUAL(*number_ring_at(&r, k), popped + k);
        }
        number_ring_free(&r);
    }
}

static void push_into_full(void *arg)
{
    (void)number_ring_push(arg);
}

static void pop_from_empty(void *arg)
{
    number_ring_pop(arg);
}

TEST_CASE(ring, pushing_into_a_full_one_and_popping_an_empty_one_are_violations)
{
    struct number_ring r;
    number_ring_init(&r, SLOTS);
    EXPECT_DIES(pop_from_empty, &r, "tail != r->head");
    for (unsigned i = 0; i < SLOTS; i++)
        *number_ring_push(&r) = i;
    EXPECT_DIES(push_into_full, &r, "_full");
    number_ring_unpush(&r);
    *number_ring_push(&r) = 9;
    EXPECT_EQUAL(*number_ring_at(&r, SLOTS - 1), 9);
    number_ring_free(&r);
}

TEST_CASE(ring, one_that_grows_keeps_its_items_in_order)
{
    for (unsigned popped = 0; popped < SLOTS; popped++) {
        struct number_ring r;
        number_ring_init(&r, SLOTS);
        for (unsigned i = 0; i < popped; i++) {
            *number_ring_push(&r) = 99;
            number_ring_pop(&r);
        }
        for (unsigned i = 0; i < 2 * SLOTS; i++) {
            if (number_ring_full(&r))
                number_ring_grow(&r);
            *number_ring_push(&r) = i;
        }
        EXPECT(number_ring_full(&r));
        for (unsigned i = 0; i < 2 * SLOTS; i++)
            EXPECT_EQUAL(*number_ring_at(&r, i), i);
        number_ring_free(&r);
    }
}
