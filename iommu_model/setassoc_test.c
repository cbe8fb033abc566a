/* SPDX-License-Identifier: Apache-2.0 */
/* The array behind every cache, under every policy of the family. */
#include <string.h>

#include "iommu_model/repl.h"
#include "sim/base/lg2.h"
#include "sim/test/shim.h"

struct toy {
    uint32_t value;
    bool valid;
};

#define SETASSOC_NAME  toys
#define SETASSOC_ENTRY struct toy
#include "iommu_model/setassoc.h"

enum { SETS = 4, WAYS = 4 };

static void make(struct toys *a, const struct repl_policy *p, bool prefer_invalid,
                 bool touch_on_fill)
{
    const struct setassoc_shape shape = { SETS, WAYS, p, prefer_invalid, touch_on_fill };
    toys_init(a, &shape, rng_make(1, "toys"));
}

static struct toy *put(struct toys *a, uint32_t set, uint32_t value)
{
    struct toy *e = toys_place(a, set);
    *e            = (struct toy){ value, true };
    return e;
}

TEST_CASE(setassoc, a_new_array_is_empty_and_its_sets_lie_apart)
{
    for (unsigned i = 0; repl_table[i] != NULL; i++) {
        struct toys a;
        make(&a, repl_table[i], true, true);
        EXPECT_EQUAL(toys_entries(&a), SETS * WAYS);
        for (uint32_t e = 0; e < toys_entries(&a); e++)
            EXPECT(!a.entry[e].valid);
        for (uint32_t set = 0; set < SETS; set++)
            EXPECT(toys_set(&a, set) == &a.entry[set * WAYS]);
        toys_free(&a);
    }
}

TEST_CASE(setassoc, invalid_ways_are_taken_first_and_the_lowest_of_them)
{
    for (unsigned i = 0; repl_table[i] != NULL; i++) {
        struct toys a;
        make(&a, repl_table[i], true, true);
        for (uint32_t w = 0; w < WAYS; w++)
            EXPECT(put(&a, 2, w) == &toys_set(&a, 2)[w]);
        toys_drop(&a, &toys_set(&a, 2)[3]);
        toys_drop(&a, &toys_set(&a, 2)[1]);
        EXPECT(put(&a, 2, 10) == &toys_set(&a, 2)[1]);
        EXPECT(put(&a, 2, 11) == &toys_set(&a, 2)[3]);
        for (uint32_t w = 0; w < 3 * WAYS; w++) /* Full again: never another set's way. */
            EXPECT(put(&a, 2, w) - toys_set(&a, 2) < WAYS);
        for (uint32_t e = 0; e < WAYS; e++)
            EXPECT(!toys_set(&a, 0)[e].valid && !toys_set(&a, 1)[e].valid
                   && !toys_set(&a, 3)[e].valid);
        toys_free(&a);
    }
}

/* Some hardware follows the policy alone, though a free way stands beside the victim. */
TEST_CASE(setassoc, without_preference_the_policy_alone_chooses)
{
    struct toys a;
    make(&a, repl_find("plru"), false, true);
    put(&a, 0, 1);
    EXPECT(toys_set(&a, 0)[0].valid);
    put(&a, 0, 2);
    EXPECT(toys_set(&a, 0)[2].valid); /* The tree's other half. */
    toys_drop(&a, &toys_set(&a, 0)[2]);
    put(&a, 0, 3);
    EXPECT(toys_set(&a, 0)[1].valid); /* Not the way that is free. */
    EXPECT(!toys_set(&a, 0)[2].valid);
    toys_free(&a);
}

TEST_CASE(setassoc, a_fill_that_is_no_use_stays_the_oldest)
{
    struct toys a;
    make(&a, repl_find("lru"), true, false);
    for (uint32_t w = 0; w < WAYS; w++)
        put(&a, 0, w);
    struct toy *first = put(&a, 0, 10);
    EXPECT(put(&a, 0, 11) == first); /* Nobody used it. */
    toys_hit(&a, 0, first);
    EXPECT(put(&a, 0, 12) != first);
    toys_free(&a);
}

/* Of a policy that goes by fills alone, a fill is not a use: it is the order itself. */
TEST_CASE(setassoc, fifo_moves_on_although_fills_do_not_count_as_uses)
{
    for (unsigned touch = 0; touch < 2; touch++) {
        struct toys a;
        make(&a, repl_find("fifo"), true, touch != 0);
        for (uint32_t w = 0; w < WAYS; w++)
            put(&a, 1, w);
        for (uint32_t w = 0; w < 2 * WAYS; w++)
            EXPECT(put(&a, 1, 10 + w) == &toys_set(&a, 1)[w % WAYS]);
        toys_free(&a);
    }
}

TEST_CASE(setassoc, sets_keep_their_ages_apart)
{
    for (unsigned i = 0; repl_table[i] != NULL; i++) {
        struct toys alone, busy;
        if (strcmp(repl_table[i]->name, "random") == 0)
            continue; /* One generator for the whole array. */
        make(&alone, repl_table[i], true, true);
        make(&busy, repl_table[i], true, true);
        struct rng rng = rng_make(1, "busy");
        for (uint32_t n = 0; n < 100; n++) {
            const uint32_t other = rng_below(&rng, SETS - 1) + 1;
            struct toy *e        = put(&busy, other, n);
            if (rng_below(&rng, 2))
                toys_hit(&busy, other, e);
            EXPECT_EQUAL(put(&alone, 0, n) - alone.entry, put(&busy, 0, n) - busy.entry);
        }
        toys_free(&alone);
        toys_free(&busy);
    }
}
