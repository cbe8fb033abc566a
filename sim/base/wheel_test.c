/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/wheel.h"

#include "sim/base/rng.h"
#include "sim/test/shim.h"

TEST_CASE(wheel, items_of_one_cycle_come_in_the_order_of_their_number)
{
    struct wheel w;
    wheel_init(&w, 8);
    EXPECT_EQUAL(wheel_due(&w), CYCLE_NEVER);
    wheel_put(&w, 5, 3);
    wheel_put(&w, 1, 3);
    wheel_put(&w, 7, 2);
    EXPECT_EQUAL(wheel_due(&w), 2);
    EXPECT_EQUAL(wheel_take(&w, 2), 7);
    EXPECT_EQUAL(wheel_take(&w, 2), WHEEL_NONE);
    EXPECT_EQUAL(wheel_due(&w), 3);
    EXPECT_EQUAL(wheel_take(&w, 3), 1);
    wheel_put(&w, 0, 3); /* Into the cycle that is being worked on. */
    EXPECT_EQUAL(wheel_take(&w, 3), 0);
    EXPECT_EQUAL(wheel_take(&w, 3), 5);
    EXPECT_EQUAL(wheel_due(&w), CYCLE_NEVER);
    wheel_free(&w);
}

TEST_CASE(wheel, the_horizons_edge_is_exact)
{
    for (cycle_t due = WHEEL_CYCLES - 2; due <= WHEEL_CYCLES + 2; due++) {
        struct wheel w;
        wheel_init(&w, 2);
        wheel_put(&w, 0, due);
        wheel_put(&w, 1, 1);
        EXPECT_EQUAL(wheel_due(&w), 1);
        EXPECT_EQUAL(wheel_take(&w, 1), 1);
        EXPECT_EQUAL(wheel_due(&w), due);
        EXPECT_EQUAL(wheel_take(&w, due), 0);
        wheel_free(&w);
    }
}

/* Against an oracle that looks at every item. */
static uint32_t oracle_next(const struct wheel *w, cycle_t *due)
{
    uint32_t next = WHEEL_NONE;
    *due          = CYCLE_NEVER;
    for (uint32_t i = 0; i < w->items; i++)
        if (wheel_item_due(w, i) < *due) {
            *due = wheel_item_due(w, i);
            next = i;
        }
    return next;
}

TEST_CASE(wheel, random_use_agrees_with_a_search_over_all_items)
{
    struct rng rng = rng_make(3, "wheel");
    struct wheel w;
    wheel_init(&w, 40);
    cycle_t now = 0;
    for (unsigned turn = 0; turn < 200000; turn++) {
        const uint32_t item = rng_below(&rng, 40);
        const bool far      = rng_below(&rng, 8) == 0;
        if (wheel_item_due(&w, item) == CYCLE_NEVER)
            wheel_put(&w, item, now + rng_below(&rng, far ? 5000 : 700));
        else if (rng_below(&rng, 4) == 0)
            wheel_remove(&w, item);
        else {
            cycle_t due;
            const uint32_t next = oracle_next(&w, &due);
            REQUIRE(EXPECT_EQUAL(wheel_due(&w), due));
            now = due;
            REQUIRE(EXPECT_EQUAL(wheel_take(&w, now), next));
        }
    }
    wheel_free(&w);
}

static void put_twice(void *arg)
{
    struct wheel *w = arg;
    wheel_put(w, 0, 1);
    wheel_put(w, 0, 2);
}

TEST_CASE(wheel, scheduling_an_item_twice_is_a_violation)
{
    struct wheel w;
    wheel_init(&w, 1);
    EXPECT_DIES(put_twice, &w, "violation");
    wheel_free(&w);
}
