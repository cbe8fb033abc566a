/* SPDX-License-Identifier: Apache-2.0 */
/* The way to memory: who is accepted in which cycle, and when the data is there. */
#include "iommu_model/memport.h"

#include "sim/base/lg2.h"
#include "sim/base/rng.h"
#include "sim/test/shim.h"

enum { PERIOD = 1000, LATENCY = 50, W = MEMPORT_WALKER };

static struct memory memory;
static struct mem_channel channel;
static struct memport port;

static void make(uint32_t inflight_max, const char *arbiter)
{
    struct memport_config c;
    param_reset(&memport_param_table, &c);
    c.inflight_max = inflight_max;
    for (unsigned i = 0; memport_arbiter_member(i) != NULL; i++)
        if (memport_arbiter_member(i)[0] == arbiter[0])
            c.arbiter = memport_arbiter_member(i);
    memory_init(&memory);
    channel = (struct mem_channel){ LATENCY * PERIOD, PERIOD, 64, 0 };
    memport_init(&port, &c, &memory, &channel, PERIOD);
}

static void present(unsigned place, cycle_t now, cycle_t cycle)
{
    memport_present(&port, place, 0x1000 + 64 * (uint64_t)place, 1, now, cycle);
}

/* In this cycle the arbiter is due and accepts exactly this place. */
static bool accepts(cycle_t now, unsigned place, cycle_t arrives)
{
    cycle_t got = 0;
    return EXPECT_EQUAL(memport_due(&port, now), now)
           && EXPECT_EQUAL(memport_arbitrate(&port, now, &got), place)
           && EXPECT_EQUAL(got, arrives);
}

static bool nothing_before(cycle_t now, cycle_t due)
{
    cycle_t arrives;
    return EXPECT_EQUAL(memport_due(&port, now), due)
           && EXPECT_EQUAL(memport_arbitrate(&port, now, &arrives), MEMPORT_PLACES);
}

/* ---- Latency and bandwidth
 * --------------------------------------------------------------- */

TEST_CASE(memport, a_read_takes_the_latency_from_its_acceptance)
{
    make(32, "round_robin");
    present(W, 0, 7);
    nothing_before(0, 7);
    nothing_before(6, 7);
    accepts(7, W, 7 + LATENCY);
    EXPECT_EQUAL(memport_due(&port, 8), CYCLE_NEVER);
    EXPECT_EQUAL(port.stats.wait_cycles, 0);
    memory_free(&memory);
}

/* 128 bytes are two beats on this channel: the last one counts, and the next read's first
 * beat comes behind it. */
TEST_CASE(memport, a_channel_that_is_busy_answers_later)
{
    make(32, "round_robin");
    channel.beat_bytes = 16;
    memport_present(&port, W, 0x1000, 8, 0, 0);
    memport_present(&port, W + 1, 0x2000, 1, 0, 0);
    memport_present(&port, W + 2, 0x3000, 1, 0, 1);
    accepts(0, W, LATENCY + 3);
    accepts(1, W + 1, LATENCY + 4);
    accepts(2, W + 2, LATENCY + 5);
    memory_free(&memory);
}

TEST_CASE(memport, data_between_edges_is_there_at_the_next_edge)
{
    make(32, "round_robin");
    channel.latency_ps = LATENCY * PERIOD + 1;
    present(W, 0, 0);
    accepts(0, W, LATENCY + 1);
    channel = (struct mem_channel){ LATENCY * PERIOD - 999, PERIOD, 64, 0 };
    present(W + 1, 1, 1);
    accepts(1, W + 1, 1 + LATENCY);
    memory_free(&memory);
}

TEST_CASE(memport, the_data_is_what_memory_held_at_acceptance)
{
    make(32, "round_robin");
    for (uint64_t i = 0; i < 8; i++)
        memory_write64(&memory, 0x4000 + 8 * i, i + 1);
    memport_present(&port, W + 3, 0x4000, 8, 0, 5);
    memory_write64(&memory, 0x4000, 77); /* Before the acceptance. */
    accepts(5, W + 3, 5 + LATENCY);
    memory_write64(&memory, 0x4008, 88); /* Behind it. */
    const uint64_t *data = memport_arrived(&port, W + 3, 5 + LATENCY);
    EXPECT_EQUAL(data[0], 77);
    for (uint64_t i = 1; i < 8; i++)
        EXPECT_EQUAL(data[i], i + 1);
    memory_free(&memory);
}

/* ---- Arbitration
 * ---------------------------------------------------------------------------- */

TEST_CASE(memport, losers_try_again_in_the_next_cycles)
{
    make(32, "fixed");
    present(W + 2, 10, 10);
    present(W, 10, 10);
    present(MEMPORT_INVQ, 10, 10);
    present(MEMPORT_CONTEXT, 10, 10);
    accepts(10, MEMPORT_INVQ, 10 + LATENCY);
    nothing_before(10, 11); /* One acceptance a cycle. */
    accepts(11, MEMPORT_CONTEXT, 11 + LATENCY);
    accepts(12, W, 12 + LATENCY);
    accepts(13, W + 2, 13 + LATENCY);
    EXPECT_EQUAL(memport_due(&port, 14), CYCLE_NEVER);
    EXPECT_EQUAL(port.stats.wait_cycles, 0 + 1 + 2 + 3);
    EXPECT_EQUAL(port.stats.read, 4);
    EXPECT_EQUAL(port.stats.read_command, 1);
    EXPECT_EQUAL(port.stats.read_context, 1);
    EXPECT_EQUAL(port.stats.read_walk, 2);
    memory_free(&memory);
}

/* Whoever is the lowest comes first however often, under fixed; round robin goes on above
 * the last winner and wraps. */
TEST_CASE(memport, round_robin_is_fair_and_fixed_is_not)
{
    static const unsigned fixed[] = { W, W, W, W, W + 1, W + 2 };
    static const unsigned robin[] = { W, W + 1, W + 2, W, W, W };
    for (unsigned fair = 0; fair < 2; fair++) {
        make(32, fair ? "round_robin" : "fixed");
        present(W + 2, 0, 0);
        present(W + 1, 0, 0);
        present(W, 0, 0);
        unsigned again = 3;
        for (cycle_t now = 0; now < 6; now++) {
            const unsigned winner = fair ? robin[now] : fixed[now];
            accepts(now, winner, now + LATENCY);
            memport_arrived(&port, winner, now);
            if (winner == W && again > 0) {
                present(W, now, now + 1); /* Insists. */
                again--;
            }
        }
        memory_free(&memory);
    }
}

TEST_CASE(memport, round_robin_wraps_from_the_highest_place_to_the_lowest)
{
    const unsigned top = MEMPORT_PLACES - 1;
    make(32, "round_robin");
    present(top, 0, 0);
    accepts(0, top, LATENCY);
    memport_arrived(&port, top, LATENCY);
    present(top, 1, 1);
    present(MEMPORT_INVQ, 1, 1);
    accepts(1, MEMPORT_INVQ, 1 + LATENCY);
    accepts(2, top, 2 + LATENCY);
    memory_free(&memory);
}

/* ---- Reads in flight
 * ------------------------------------------------------------------------- */

TEST_CASE(memport, a_read_beyond_the_limit_waits_for_an_arrival)
{
    make(2, "fixed");
    for (unsigned i = 0; i < 4; i++)
        present(W + i, 0, 0);
    accepts(0, W, LATENCY);
    accepts(1, W + 1, LATENCY + 1);
    nothing_before(2, CYCLE_NEVER); /* No arrival, no event. */
    memport_arrived(&port, W, LATENCY);
    nothing_before(LATENCY, LATENCY + 1);
    memport_arrived(&port, W + 1, LATENCY + 1);
    accepts(LATENCY + 1, W + 2, 2 * LATENCY + 1); /* In the cycle behind the arrival. */
    accepts(LATENCY + 2, W + 3, 2 * LATENCY + 2);
    EXPECT_EQUAL(port.stats.wait_cycles, 0 + 1 + LATENCY + 1 + LATENCY + 2);
    memory_free(&memory);
}

TEST_CASE(memport, one_at_a_time_is_one_at_a_time)
{
    make(1, "round_robin");
    cycle_t now = 0;
    present(W, 0, 0);
    present(W + 1, 0, 0);
    for (unsigned i = 0; i < 10; i++) {
        accepts(now, W + i % 2, now + LATENCY);
        nothing_before(now + 1, CYCLE_NEVER);
        now += LATENCY;
        memport_arrived(&port, W + i % 2, now++);
        present(W + i % 2, now, now);
    }
    memory_free(&memory);
}

/* ---- The window of cycles ahead
 * --------------------------------------------------------------- */

TEST_CASE(memport, a_read_may_be_presented_as_far_ahead_as_the_window_is)
{
    for (cycle_t now = 0; now < 3 * MEMPORT_AHEAD; now += 37) {
        const cycle_t last = now + MEMPORT_AHEAD - 1;
        make(32, "round_robin");
        present(W, now, last);
        nothing_before(now, last);
        nothing_before(last - 1, last);
        accepts(last, W, last + LATENCY);
        memory_free(&memory);
    }
}

static void present_too_far(void *unused)
{
    (void)unused;
    present(W, 5, 5 + MEMPORT_AHEAD);
}

static void present_in_the_past(void *unused)
{
    (void)unused;
    present(W, 5, 4);
}

TEST_CASE(memport, a_read_beyond_the_window_is_a_violation)
{
    make(32, "round_robin");
    EXPECT_DIES(present_too_far, NULL, "MEMPORT_AHEAD");
    EXPECT_DIES(present_in_the_past, NULL, "cycle >= now");
    memory_free(&memory);
}

/* Both at the edge between one turn of the window and the next. */
TEST_CASE(memport, reads_on_both_sides_of_the_wheels_turn_come_in_order)
{
    make(32, "fixed");
    present(W + 1, 100, 511);
    present(W, 100, 512);
    present(W + 2, 100, 100 + MEMPORT_AHEAD - 1);
    present(W + 3, 100, 100);
    accepts(100, W + 3, 100 + LATENCY);
    nothing_before(510, 511);
    accepts(511, W + 1, 511 + LATENCY);
    accepts(512, W, 512 + LATENCY);
    nothing_before(513, 611);
    accepts(611, W + 2, 611 + LATENCY);
    EXPECT_EQUAL(port.stats.wait_cycles, 0);
    memory_free(&memory);
}

/* The far one's bit lies in the same word as the near one's, just below it. */
TEST_CASE(memport, the_far_end_of_the_window_is_found_from_its_near_end)
{
    for (cycle_t now = 0; now < 130; now++) {
        const cycle_t last = now + MEMPORT_AHEAD - 1;
        make(32, "round_robin");
        present(W, now, now + 1);
        present(W + 1, now, last);
        accepts(now + 1, W, now + 1 + LATENCY);
        nothing_before(now + 2, last);
        accepts(last, W + 1, last + LATENCY);
        memory_free(&memory);
    }
}

/* Whether or not anybody asked in between, a long silence is no trouble. */
TEST_CASE(memport, presents_again_after_many_turns_of_the_window)
{
    make(32, "round_robin");
    cycle_t now = 3;
    for (unsigned i = 0; i < 20; i++) {
        const cycle_t at = now + (i * 97) % MEMPORT_AHEAD;
        present(W + i % 3, now, at);
        accepts(at, W + i % 3, at + LATENCY);
        memport_arrived(&port, W + i % 3, at + LATENCY);
        now = at + 1000000 * (cycle_t)i + 511;
    }
    memory_free(&memory);
}

/* Presented for a cycle in which the port was full: accepted when it is not, and the wait
 * counts from the cycle it was meant for. */
TEST_CASE(memport, a_read_that_came_due_while_the_port_was_full_is_not_lost)
{
    make(1, "fixed");
    present(W, 0, 0);
    accepts(0, W, LATENCY);
    present(W + 1, 0, 10);
    present(W + 2, 0, 400);
    EXPECT_EQUAL(memport_due(&port, 9), CYCLE_NEVER);
    memport_arrived(&port, W, LATENCY);
    accepts(LATENCY + 1, W + 1, 2 * LATENCY + 1);
    EXPECT_EQUAL(port.stats.wait_cycles, LATENCY + 1 - 10);
    memport_arrived(&port, W + 1, 2 * LATENCY + 1);
    EXPECT_EQUAL(memport_due(&port, 2 * LATENCY + 1), 400);
    accepts(400, W + 2, 400 + LATENCY);
    memory_free(&memory);
}

/* ---- Against cycle by cycle
 * ---------------------------------------------------------------- */

static struct {
    bool waiting, flying;
    cycle_t from, arrives;
} place[MEMPORT_PLACES];

static unsigned naive_winner(cycle_t now, unsigned inflight, unsigned limit, unsigned turn,
                             bool fair)
{
    if (inflight == limit)
        return MEMPORT_PLACES;
    for (unsigned i = 0; i < MEMPORT_PLACES; i++) {
        const unsigned p = fair ? (turn + 1 + i) % MEMPORT_PLACES : i;
        if (place[p].waiting && place[p].from <= now)
            return p;
    }
    return MEMPORT_PLACES;
}

/* What ends in this cycle counts in it once more. */
static unsigned land(cycle_t now)
{
    unsigned flying = 0;
    for (unsigned p = 0; p < MEMPORT_PLACES; p++) {
        flying += place[p].flying;
        if (place[p].flying && place[p].arrives == now) {
            memport_arrived(&port, p, now);
            place[p].flying = false;
        }
    }
    return flying;
}

static void present_some(struct rng *rng, cycle_t now)
{
    const unsigned p = MEMPORT_INVQ + rng_below(rng, 7);
    if (place[p].waiting || place[p].flying || rng_below(rng, 3) != 0)
        return;
    const cycle_t ahead =
        rng_below(rng, 4) == 0 ? rng_below(rng, MEMPORT_AHEAD) : rng_below(rng, 4);
    place[p].waiting = true;
    place[p].from    = now + ahead;
    present(p, now, now + ahead);
}

static bool same_cycle_by_cycle(unsigned limit, bool fair, uint64_t seed)
{
    struct rng rng = rng_make(seed, "memport test");
    unsigned turn  = 0;
    make(limit, fair ? "round_robin" : "fixed");
    for (cycle_t now = 0; now < 20000; now++) {
        const unsigned flying = land(now);
        present_some(&rng, now);
        const unsigned want = naive_winner(now, flying, limit, turn, fair);
        cycle_t arrives     = 0;
        if ((want != MEMPORT_PLACES && !EXPECT_EQUAL(memport_due(&port, now), now))
            || !EXPECT_EQUAL(memport_arbitrate(&port, now, &arrives), want))
            return false;
        if (want == MEMPORT_PLACES)
            continue;
        turn                = want;
        place[want].waiting = false;
        place[want].flying  = true;
        place[want].arrives = arrives;
    }
    return EXPECT(port.stats.read > 300);
}

TEST_CASE(memport, equals_a_search_of_all_places_in_each_cycle)
{
    static const unsigned limits[] = { 1, 2, 5, 32 };
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned p = 0; p < MEMPORT_PLACES; p++)
            place[p].waiting = place[p].flying = false;
        same_cycle_by_cycle(limits[i / 2], i % 2 == 1, i);
        memory_free(&memory);
    }
}
