/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger against arrays that cannot be wrong. */
#include "iommu_model/ledger.h"

#include <string.h>

#include "sim/base/rng.h"
#include "sim/test/shim.h"

enum { PAGES = 3000, SPACES = 3, STEPS = 200000 };

static struct ledger ledger;

static space_t space_of(unsigned i)
{
    return space_make(i + 1, i == 2 ? 7 : 0, STAGE_2);
}

static unsigned pages_visited;

static void visit(void *self, struct ledger_note *n)
{
    (void)self;
    EXPECT(n->used);
    pages_visited++;
}

/* Notes come and go at random; each keeps what was written into it. */
TEST_CASE(ledger, notes_are_found_after_others_have_come_and_gone)
{
    static uint64_t mark[SPACES][PAGES];
    struct rng rng = rng_make(1, "notes");
    unsigned count = 0;
    memset(mark, 0, sizeof mark);
    for (uint64_t step = 1; step <= STEPS; step++) {
        const unsigned s      = rng_below(&rng, SPACES);
        const uint64_t page   = rng_below(&rng, PAGES) << (s * 9); /* Far apart, too. */
        uint64_t *m           = &mark[s][page >> (s * 9)];
        struct ledger_note *n = ledger_find(&ledger, space_of(s), page);
        EXPECT_EQUAL(n != NULL, *m != 0);
        if (n == NULL && rng_below(&rng, 3) != 0) {
            n        = ledger_make(&ledger, space_of(s), page);
            n->since = *m = step;
            count++;
        } else if (n != NULL) {
            EXPECT_EQUAL(n->since, *m);
            EXPECT_EQUAL(n->page, page);
            n->since = TIME_NEVER;
            ledger_tidy(&ledger, n);
            *m = 0;
            count--;
        }
    }
    pages_visited = 0;
    ledger_visit(&ledger, visit, NULL);
    EXPECT_EQUAL(pages_visited, count);
    ledger_free(&ledger);
}

TEST_CASE(ledger, a_note_stays_while_anything_in_it_matters)
{
    struct ledger_note *n = ledger_make(&ledger, space_of(0), 5);
    EXPECT_EQUAL(n->lent, LEDGER_ALL_LENT);
    n->loan = n->partial = true;
    ledger_tidy(&ledger, n);
    EXPECT_EQUAL(ledger.notes, 1);
    n->loan = false;
    ledger_tidy(&ledger, n);
    EXPECT_EQUAL(ledger.notes, 1);
    n->partial = false;
    ledger_tidy(&ledger, n);
    EXPECT_EQUAL(ledger.notes, 0);
    EXPECT(ledger_find(&ledger, space_of(0), 5) == NULL);
    ledger_free(&ledger);
}

/* Random ranges are given back, handed out and pooled; every page is asked afterwards. */
TEST_CASE(ledger, ranges_given_back_and_pools_are_as_written)
{
    static sim_time_t back[SPACES][PAGES];
    static bool pool[SPACES][PAGES];
    struct rng rng = rng_make(2, "ranges");
    memset(back, 0, sizeof back);
    memset(pool, 0, sizeof pool);
    for (unsigned step = 1; step < 3000; step++) {
        const unsigned s = rng_below(&rng, SPACES), what = rng_below(&rng, 4);
        const uint32_t page = rng_below(&rng, PAGES);
        const uint32_t most = rng_below(&rng, 8) == 0 ? PAGES : 40;
        const uint32_t room = PAGES - page;
        const uint32_t n    = 1 + rng_below(&rng, most < room ? most : room);
        uint64_t changed    = 0;
        for (uint32_t i = page; i < page + n; i++) {
            changed += what >= 2 && pool[s][i] != (what == 2);
            if (what < 2)
                back[s][i] = what * step;
            else
                pool[s][i] = what == 2;
        }
        if (what < 2)
            ledger_give_back(&ledger, space_of(s), page, n, what * step);
        else if (what == 2)
            EXPECT_EQUAL(ledger_pool_add(&ledger, space_of(s), page, page + n - 1),
                         changed);
        else
            EXPECT_EQUAL(ledger_pool_remove(&ledger, space_of(s), page, page + n - 1),
                         changed);
        const uint32_t ask = rng_below(&rng, PAGES);
        EXPECT_EQUAL(ledger_given_back(&ledger, space_of(s), ask), back[s][ask]);
        EXPECT_EQUAL(ledger_in_pool(&ledger, space_of(s), ask), pool[s][ask]);
    }
    for (unsigned s = 0; s < SPACES; s++)
        for (uint32_t i = 0; i < PAGES; i++) {
            EXPECT_EQUAL(ledger_given_back(&ledger, space_of(s), i), back[s][i]);
            EXPECT_EQUAL(ledger_in_pool(&ledger, space_of(s), i), pool[s][i]);
        }
    ledger_free(&ledger);
}

/* All of memory as one pool takes no room. */
TEST_CASE(ledger, a_pool_may_be_all_of_memory)
{
    const uint64_t last = UINT64_MAX >> LEDGER_PAGE_LG2;
    EXPECT_EQUAL(ledger_pool_add(&ledger, space_of(0), 0, last), last + 1);
    ledger_give_back(&ledger, space_of(0), 0, last + 1, 0);
    EXPECT_EQUAL(ledger.pools, 1);
    EXPECT_EQUAL(ledger.notes + ledger.chunks, 0);
    EXPECT_EQUAL(ledger_pool_remove(&ledger, space_of(0), 100, 100), 1);
    EXPECT(!ledger_in_pool(&ledger, space_of(0), 100));
    EXPECT(ledger_in_pool(&ledger, space_of(0), 101));
    EXPECT(!ledger_in_pool(&ledger, space_of(1), 101));
    ledger_free(&ledger);
}
