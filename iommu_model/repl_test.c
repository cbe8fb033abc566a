/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite of the family, run over every member, and oracles for the policies whose order
 * is known; the oracles share no code and no layout of state with the policies.
 */
#include "iommu_model/repl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/lg2.h"
#include "sim/test/shim.h"

enum { WAYS_MAX = 256, GUARD = 8, GUARD_BYTE = 0xa5, SEQUENCE = 6 };

/* The age bytes of one set, with bytes around them that no policy may touch. */
struct guarded {
    uint8_t before[GUARD], age[WAYS_MAX + GUARD];
};

static void guarded_reset(struct guarded *g, const struct repl_policy *p, uint32_t ways)
{
    memset(g, GUARD_BYTE, sizeof *g);
    p->reset(g->age, ways);
}

static bool guarded_intact(const struct guarded *g, uint32_t ways)
{
    bool intact = true;
    for (uint32_t i = 0; i < GUARD; i++)
        intact = intact && g->before[i] == GUARD_BYTE;
    for (uint32_t i = ways; i < WAYS_MAX + GUARD; i++)
        intact = intact && g->age[i] == GUARD_BYTE;
    return intact;
}

static bool allows(const struct repl_policy *p, uint32_t ways)
{
    return !p->ways_pow2 || is_pow2(ways);
}

/* Every geometry up to 64 ways, and those around the edges above. */
static uint32_t next_ways(const struct repl_policy *p, uint32_t ways)
{
    static const uint32_t above[] = { 127, 128, 129, 200, 255, 256, 0 };
    do {
        if (ways < 64)
            ways++;
        else
            for (unsigned i = 0;; i++)
                if (above[i] > ways || above[i] == 0) {
                    ways = above[i];
                    break;
                }
    } while (ways != 0 && !allows(p, ways));
    return ways;
}

#define FOR_ALL_POLICIES(p)                                                                \
    for (unsigned row_ = 0; repl_table[row_] != NULL; row_++)                              \
        for (const struct repl_policy *p = repl_table[row_]; p != NULL; p = NULL)
#define FOR_ALL_WAYS(p, ways)                                                              \
    for (uint32_t ways = next_ways(p, 0); ways != 0; ways = next_ways(p, ways))

TEST_CASE(repl, every_member_is_complete_and_called_like_its_file)
{
    FOR_ALL_POLICIES(p)
    {
        char path[512];
        EXPECT(p->reset != NULL && p->on_hit != NULL && p->on_fill != NULL);
        EXPECT(p->on_invalidate != NULL && p->victim != NULL);
        EXPECT(p->summary != NULL && p->summary[0] != '\0');
        REQUIRE(p->name != NULL);
        snprintf(path, sizeof path, "%s/iommu_model/repl_%s.c", TEST_SOURCE_DIR, p->name);
        EXPECT_EQUAL(access(path, R_OK), 0);
        EXPECT(repl_find(p->name) == p); /* So no name stands there twice. */
        EXPECT_TEXT(repl_member(row_), p->name);
    }
    EXPECT(repl_find("") == NULL);
    EXPECT(repl_find("lru2") == NULL);
}

static void do_something(const struct repl_policy *p, uint8_t *age, uint32_t ways,
                         struct rng *rng)
{
    const uint32_t way = rng_below(rng, ways);
    switch (rng_below(rng, 4)) {
    case 0:
        p->on_hit(age, ways, way);
        break;
    case 1:
        p->on_fill(age, ways, way); /* Into an invalid way, say. */
        break;
    case 2:
        p->on_invalidate(age, ways, way);
        break;
    default:
        p->on_fill(age, ways, p->victim(age, ways, rng));
    }
}

TEST_CASE(repl, no_verb_leaves_the_set_and_every_victim_is_one_of_its_ways)
{
    FOR_ALL_POLICIES(p)
    FOR_ALL_WAYS(p, ways)
    {
        struct guarded g, before;
        struct rng rng = rng_make(ways, p->name);
        guarded_reset(&g, p, ways);
        for (unsigned i = 0; i < 300; i++) {
            do_something(p, g.age, ways, &rng);
            before = g;
            REQUIRE(p->victim(g.age, ways, &rng) < ways);
            REQUIRE(memcmp(&before, &g, sizeof g) == 0); /* Choosing changes nothing. */
            REQUIRE(guarded_intact(&g, ways));
        }
    }
}

TEST_CASE(repl, reset_forgets_everything)
{
    FOR_ALL_POLICIES(p)
    FOR_ALL_WAYS(p, ways)
    {
        struct guarded fresh, used;
        struct rng rng = rng_make(3, p->name);
        guarded_reset(&fresh, p, ways);
        guarded_reset(&used, p, ways);
        for (unsigned i = 0; i < 100; i++)
            do_something(p, used.age, ways, &rng);
        p->reset(used.age, ways);
        EXPECT(memcmp(&fresh, &used, sizeof used) == 0);
    }
}

/* The context cache does not tell the policy about a second hit on the same way. */
TEST_CASE(repl, a_second_hit_in_a_row_changes_nothing)
{
    FOR_ALL_POLICIES(p)
    FOR_ALL_WAYS(p, ways)
    {
        struct guarded g, once;
        struct rng rng = rng_make(ways, "twice");
        guarded_reset(&g, p, ways);
        for (unsigned i = 0; i < 50; i++) {
            const uint32_t way = rng_below(&rng, ways);
            do_something(p, g.age, ways, &rng);
            p->on_hit(g.age, ways, way);
            once = g;
            p->on_hit(g.age, ways, way);
            REQUIRE(memcmp(&once, &g, sizeof g) == 0);
        }
    }
}

TEST_CASE(repl, a_run_of_fills_uses_every_way)
{
    FOR_ALL_POLICIES(p)
    FOR_ALL_WAYS(p, ways)
    {
        struct guarded g;
        struct rng rng      = rng_make(5, p->name);
        bool used[WAYS_MAX] = { false };
        uint32_t count      = 0;
        guarded_reset(&g, p, ways);
        for (uint32_t i = 0; i < 24 * ways; i++) {
            const uint32_t way = p->victim(g.age, ways, &rng);
            count += !used[way];
            used[way] = true;
            p->on_fill(g.age, ways, way);
        }
        EXPECT_EQUAL(count, ways);
    }
}

/* ---- Naive oracles
 * ------------------------------------------------------------------------- */

/* A recency list, the youngest first. */
struct list_oracle {
    uint32_t way[8], ways;
};

static void list_move(struct list_oracle *o, uint32_t way, bool to_front)
{
    uint32_t at = 0;
    while (o->way[at] != way)
        at++;
    if (to_front) {
        for (; at > 0; at--)
            o->way[at] = o->way[at - 1];
        o->way[0] = way;
    } else {
        for (; at + 1 < o->ways; at++)
            o->way[at] = o->way[at + 1];
        o->way[o->ways - 1] = way;
    }
}

/* All sequences of hit(w), invalidate(w) and fill(victim), with a copy at each branch. */
static uint64_t lru_sequences(const struct repl_policy *p, struct guarded g,
                              struct list_oracle o, unsigned left)
{
    uint64_t wrong = p->victim(g.age, o.ways, NULL) != o.way[o.ways - 1];
    if (left == 0 || wrong != 0)
        return wrong;
    for (uint32_t op = 0; op <= 2 * o.ways; op++) {
        struct guarded then            = g;
        struct list_oracle oracle_then = o;
        const uint32_t way             = op / 2;
        if (op == 2 * o.ways) {
            const uint32_t victim = p->victim(then.age, o.ways, NULL);
            p->on_fill(then.age, o.ways, victim);
            list_move(&oracle_then, o.way[o.ways - 1], true);
        } else if (op % 2 == 0) {
            p->on_hit(then.age, o.ways, way);
            list_move(&oracle_then, way, true);
        } else {
            p->on_invalidate(then.age, o.ways, way);
            list_move(&oracle_then, way, false);
        }
        wrong += lru_sequences(p, then, oracle_then, left - 1);
    }
    return wrong;
}

TEST_CASE(repl, lru_is_a_recency_list_in_every_short_sequence)
{
    for (uint32_t ways = 1; ways <= 4; ways++) {
        struct guarded g;
        struct list_oracle o = { .ways = ways };
        for (uint32_t i = 0; i < ways; i++)
            o.way[i] = ways - 1 - i; /* An empty set fills from way 0 up. */
        guarded_reset(&g, repl_find("lru"), ways);
        EXPECT_EQUAL(lru_sequences(repl_find("lru"), g, o, SEQUENCE), 0);
    }
}

/* Ages are a permutation: else there would be two oldest ways, or none. */
TEST_CASE(repl, lru_ages_are_a_permutation_of_the_ways)
{
    const struct repl_policy *p = repl_find("lru");
    FOR_ALL_WAYS(p, ways)
    {
        struct guarded g;
        struct rng rng = rng_make(ways, "permutation");
        guarded_reset(&g, p, ways);
        for (unsigned i = 0; i < 200; i++) {
            bool seen[WAYS_MAX] = { false };
            do_something(p, g.age, ways, &rng);
            for (uint32_t w = 0; w < ways; w++) {
                REQUIRE(g.age[w] < ways);
                REQUIRE(!seen[g.age[w]]);
                seen[g.age[w]] = true;
            }
        }
    }
}

/* The order of use over many ways, kept as times: what eight bytes at a time must equal. */
TEST_CASE(repl, lru_of_many_ways_evicts_the_one_touched_longest_ago)
{
    const struct repl_policy *p = repl_find("lru");
    FOR_ALL_WAYS(p, ways)
    {
        struct guarded g;
        uint64_t touched[WAYS_MAX];
        struct rng rng = rng_make(ways, "times");
        guarded_reset(&g, p, ways);
        for (uint32_t w = 0; w < ways; w++)
            touched[w] = w;
        for (uint64_t now = ways; now < ways + 400; now++) {
            uint32_t oldest = 0;
            for (uint32_t w = 1; w < ways; w++)
                oldest = touched[w] < touched[oldest] ? w : oldest;
            REQUIRE(p->victim(g.age, ways, &rng) == oldest);
            const uint32_t way = rng_below(&rng, 4) == 0 ? oldest : rng_below(&rng, ways);
            touched[way]       = now;
            p->on_hit(g.age, ways, way);
        }
    }
}

/* All sequences of hits, invalidations and fills of the victim; times of filling. */
struct fifo_oracle {
    unsigned filled[8], now;
    uint32_t ways;
};

static uint32_t fifo_oldest(const struct fifo_oracle *o)
{
    uint32_t oldest = 0;
    for (uint32_t w = 1; w < o->ways; w++)
        oldest = o->filled[w] < o->filled[oldest] ? w : oldest;
    return oldest;
}

static uint64_t fifo_sequences(const struct repl_policy *p, struct guarded g,
                               struct fifo_oracle o, unsigned left)
{
    uint64_t wrong = p->victim(g.age, o.ways, NULL) != fifo_oldest(&o);
    if (left == 0 || wrong != 0)
        return wrong;
    for (uint32_t op = 0; op <= 2 * o.ways; op++) {
        struct guarded then            = g;
        struct fifo_oracle oracle_then = o;
        if (op == 2 * o.ways) {
            p->on_fill(then.age, o.ways, p->victim(then.age, o.ways, NULL));
            oracle_then.filled[fifo_oldest(&o)] = ++oracle_then.now;
        } else if (op % 2 == 0) {
            p->on_hit(then.age, o.ways, op / 2);
        } else {
            p->on_invalidate(then.age, o.ways, op / 2);
        }
        wrong += fifo_sequences(p, then, oracle_then, left - 1);
    }
    return wrong;
}

TEST_CASE(repl, fifo_evicts_in_the_order_of_filling_in_every_short_sequence)
{
    for (uint32_t ways = 1; ways <= 4; ways++) {
        struct guarded g;
        struct fifo_oracle o = { .ways = ways, .now = ways };
        for (uint32_t w = 0; w < ways; w++)
            o.filled[w] = w;
        guarded_reset(&g, repl_find("fifo"), ways);
        EXPECT_EQUAL(fifo_sequences(repl_find("fifo"), g, o, SEQUENCE), 0);
    }
}

TEST_CASE(repl, a_fill_out_of_turn_leaves_the_fifos_turn_alone)
{
    const struct repl_policy *p = repl_find("fifo");
    struct guarded g;
    guarded_reset(&g, p, 4);
    p->on_fill(g.age, 4, 2);
    EXPECT_EQUAL(p->victim(g.age, 4, NULL), 0);
    p->on_fill(g.age, 4, 0);
    p->on_fill(g.age, 4, 3);
    EXPECT_EQUAL(p->victim(g.age, 4, NULL), 1);
}

/* Bits by depth and by the upper bits of the way; the policy keeps a heap. */
struct tree_oracle {
    bool upper[9][WAYS_MAX];
    unsigned lg2;
};

static void tree_touch(struct tree_oracle *o, uint32_t way)
{
    for (unsigned depth = 0; depth < o->lg2; depth++)
        o->upper[depth][way >> (o->lg2 - depth)] =
            (way >> (o->lg2 - depth - 1) & 1) == 0; /* Away from the way. */
}

static uint32_t tree_victim(const struct tree_oracle *o)
{
    uint32_t prefix = 0;
    for (unsigned depth = 0; depth < o->lg2; depth++)
        prefix = prefix * 2 + o->upper[depth][prefix];
    return prefix;
}

static uint64_t plru_sequences(const struct repl_policy *p, struct guarded g,
                               const struct tree_oracle *o, unsigned left)
{
    const uint32_t ways = UINT32_C(1) << o->lg2;
    uint64_t wrong      = p->victim(g.age, ways, NULL) != tree_victim(o);
    if (left == 0 || wrong != 0)
        return wrong;
    for (uint32_t op = 0; op <= 2 * ways; op++) {
        struct guarded then            = g;
        struct tree_oracle oracle_then = *o;
        if (op == 2 * ways) {
            p->on_fill(then.age, ways, p->victim(then.age, ways, NULL));
            tree_touch(&oracle_then, tree_victim(o));
        } else if (op % 2 == 0) {
            p->on_hit(then.age, ways, op / 2);
            tree_touch(&oracle_then, op / 2);
        } else {
            p->on_invalidate(then.age, ways, op / 2);
        }
        wrong += plru_sequences(p, then, &oracle_then, left - 1);
    }
    return wrong;
}

TEST_CASE(repl, plru_is_a_tree_of_bits_in_every_short_sequence)
{
    for (unsigned lg2 = 0; lg2 <= 2; lg2++) {
        struct guarded g;
        const struct tree_oracle o = { .lg2 = lg2 };
        guarded_reset(&g, repl_find("plru"), UINT32_C(1) << lg2);
        EXPECT_EQUAL(plru_sequences(repl_find("plru"), g, &o, lg2 < 2 ? SEQUENCE : 5), 0);
    }
}

TEST_CASE(repl, plru_agrees_with_the_tree_at_every_size)
{
    const struct repl_policy *p = repl_find("plru");
    for (unsigned lg2 = 0; lg2 <= 8; lg2++) {
        const uint32_t ways  = UINT32_C(1) << lg2;
        struct tree_oracle o = { .lg2 = lg2 };
        struct guarded g;
        struct rng rng = rng_make(lg2, "tree");
        guarded_reset(&g, p, ways);
        for (unsigned i = 0; i < 1000; i++) {
            REQUIRE(p->victim(g.age, ways, &rng) == tree_victim(&o));
            const uint32_t way =
                rng_below(&rng, 2) ? tree_victim(&o) : rng_below(&rng, ways);
            tree_touch(&o, way);
            p->on_hit(g.age, ways, way);
        }
    }
}

TEST_CASE(repl, random_is_fair_and_repeats_itself_from_the_same_seed)
{
    enum { WAYS = 8, DRAWS = 8000 };
    const struct repl_policy *p = repl_find("random");
    uint8_t age[WAYS];
    unsigned count[WAYS] = { 0 };
    struct rng a = rng_make(1, "cache"), b = rng_make(1, "cache");
    struct rng c       = rng_make(2, "cache");
    unsigned different = 0;
    p->reset(age, WAYS);
    for (unsigned i = 0; i < DRAWS; i++) {
        const uint32_t way = p->victim(age, WAYS, &a);
        REQUIRE(way == p->victim(age, WAYS, &b));
        different += way != p->victim(age, WAYS, &c);
        count[way]++;
    }
    EXPECT(different > DRAWS / 2);
    for (unsigned w = 0; w < WAYS; w++) /* 1000 each, and five standard deviations. */
        EXPECT(count[w] > 850 && count[w] < 1150);
}
