/* SPDX-License-Identifier: Apache-2.0 */
/* The hostile device in front of a port that only takes notes. */
#include "workloads/attacker.h"

#include <string.h>

#include "sim/test/shim.h"

enum { SEEN_MAX = 4096 };

static struct engine engine;
static struct attacker attacker;
static struct attacker_config config;
static struct port port;
static sim_time_t start_time;
static struct port_request seen[SEEN_MAX];
static sim_time_t seen_at[SEEN_MAX];
static unsigned seen_count, answered;
static bool room;

static bool fake_ready(void *self, enum port_kind kind)
{
    (void)self;
    (void)kind;
    return room;
}

static void fake_submit(void *self, const struct port_request *q, sim_time_t now)
{
    (void)self;
    CHECK(seen_count < SEEN_MAX);
    seen[seen_count]      = *q;
    seen_at[seen_count++] = now;
}

/* Every third access is refused. */
static bool fake_take(void *self, struct port_response *r, sim_time_t now)
{
    (void)self;
    (void)now;
    if (answered == seen_count)
        return false;
    *r = (struct port_response){ .kind   = seen[answered].kind,
                                 .status = answered % 3 == 2 ? PORT_FAULT : PORT_OK };
    answered++;
    return true;
}

static const struct port_ops fake_ops = { fake_ready, fake_submit, fake_take, NULL };

static void prepare(const char *strategy)
{
    param_reset(&attacker_param_table, &config);
    config.strategy = strategy;
}

static void begin(void)
{
    memset(&engine, 0, sizeof engine);
    port       = (struct port){ .ops = &fake_ops };
    seen_count = answered = 0;
    room                  = true;
    attacker_init(&attacker, &engine, &port, &config, 0x28, 1);
    start_time = 1000;
    attacker_start(&attacker, start_time);
}

/* Steps it whenever it is due, up to a time. */
static void run_until(sim_time_t end)
{
    while (engine.due[0] <= end)
        engine.block[0].step(engine.block[0].self, engine.due[0]);
}

TEST_CASE(attacker, it_keeps_its_rate_and_its_share_of_writes)
{
    prepare("random");
    config.per_us         = 4;
    config.writes_percent = 25;
    config.bytes          = 256;
    begin();
    run_until(start_time + 10 * TIME_US);
    EXPECT_EQUAL(seen_count, 0); /* It knows nothing yet. */
    attacker_learn(&attacker, 0x5000, 4096);
    run_until(start_time + 500 * TIME_US);
    EXPECT_EQUAL(seen_count, 4 * 490);
    for (unsigned i = 0; i < seen_count; i++) {
        EXPECT_EQUAL((seen_at[i] - start_time) % (TIME_US / 4), 0);
        EXPECT_EQUAL(seen[i].iova >> 12, 5);
        EXPECT_EQUAL(seen[i].iova % 256, 0);
        EXPECT_EQUAL(seen[i].bytes, 256);
        EXPECT_EQUAL(seen[i].requester, 0x28);
        EXPECT(seen[i].data == NULL); /* It destroys nothing. */
    }
    EXPECT(attacker.stats.write > 400 && attacker.stats.write < 590);
    EXPECT_EQUAL(attacker.stats.access, seen_count);
    attacker_stop(&attacker);
    run_until(start_time + 600 * TIME_US);
    EXPECT_EQUAL(seen_count, 4 * 490);
    EXPECT_EQUAL(attacker.stats.access_passed + attacker.stats.access_refused, answered);
    EXPECT_EQUAL(attacker.stats.access_refused, answered / 3);
    attacker_free(&attacker);
}

/* What a strategy aims at, of the pages 1 to 6 of which it remembers the last 4. */
static void expect_pages(const char *strategy, const char *expected)
{
    char pages[16] = "";
    prepare(strategy);
    config.addresses = 4;
    begin();
    for (uint64_t page = 1; page <= 6; page++) {
        attacker_learn(&attacker, page << 12, 512);
        attacker_learn(&attacker, (page << 12) + 512, 3584); /* The same page. */
    }
    EXPECT_EQUAL(attacker.stats.page_learnt, 6);
    run_until(start_time + 6 * TIME_US);
    EXPECT_EQUAL(seen_count, 6);
    for (unsigned i = 0; i < seen_count; i++)
        pages[i] = (char)('0' + (seen[i].iova >> 12));
    if (expected != NULL)
        EXPECT_TEXT(pages, expected);
    for (unsigned i = 0; i < seen_count; i++)
        EXPECT(pages[i] >= '3' && pages[i] <= '6');
    attacker_free(&attacker);
}

TEST_CASE(attacker, each_strategy_aims_where_it_says)
{
    expect_pages("newest", "666666");
    expect_pages("oldest", "333333");
    expect_pages("sweep", "345634");
    expect_pages("random", NULL);
}

TEST_CASE(attacker, a_buffer_of_several_pages_is_learnt_whole)
{
    prepare("sweep");
    begin();
    attacker_learn(&attacker, 0x1fff, 0x2002); /* Touches four pages. */
    EXPECT_EQUAL(attacker.stats.page_learnt, 4);
    attacker_free(&attacker);
}

TEST_CASE(attacker, without_room_a_beat_is_skipped)
{
    prepare("newest");
    begin();
    attacker_learn(&attacker, 0x1000, 1);
    room = false;
    run_until(start_time + 5 * TIME_US);
    room = true;
    run_until(start_time + 7 * TIME_US);
    EXPECT_EQUAL(attacker.stats.beat_skipped, 5);
    EXPECT_EQUAL(seen_count, 2);
    attacker_free(&attacker);
}
