/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/attacker.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_LG2 = 12, LOOK_BACK = 16 };

/* newest: what was learnt last; oldest: what is forgotten next; sweep: one after the other.
 */
enum strategy { STRATEGY_NEWEST, STRATEGY_OLDEST, STRATEGY_RANDOM, STRATEGY_SWEEP };
static const char *const strategy_name[] = { "newest", "oldest", "random", "sweep" };
enum { STRATEGIES = sizeof strategy_name / sizeof strategy_name[0] };

const char *attacker_strategy_member(unsigned index)
{
    return index < STRATEGIES ? strategy_name[index] : NULL;
}

#define PARAM_OWNER struct attacker_config
#define STAT_OWNER  struct attacker_stats
static const struct param_def attacker_params[]  = { ATTACKER_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def attacker_counters[] = { ATTACKER_STATS(STAT_ROW) STAT_END };

const struct param_table attacker_param_table = { "attacker", "A hostile device",
                                                  attacker_params,
                                                  sizeof(struct attacker_config), NULL };
const struct stat_table attacker_stat_table   = { "attacker", "What a hostile device did",
                                                  attacker_counters,
                                                  sizeof(struct attacker_stats) };

static enum strategy strategy_of(const struct attacker *a)
{
    for (unsigned i = 0; i < STRATEGIES; i++)
        if (strcmp(a->config.strategy, strategy_name[i]) == 0)
            return (enum strategy)i;
    UNREACHABLE("a strategy is one of these");
}

/* ---- What it knows ---------------------------------------------------------------------
 */

static uint64_t *place(const struct attacker *a, uint64_t nth)
{
    return &a->page[nth % a->config.addresses];
}

static uint64_t remembered(const struct attacker *a)
{
    return a->learnt < a->config.addresses ? a->learnt : a->config.addresses;
}

/* A page that was among the last is not learnt again: a command moves it in pieces. */
static bool is_known(const struct attacker *a, uint64_t page)
{
    const uint64_t back = remembered(a) < LOOK_BACK ? remembered(a) : LOOK_BACK;
    for (uint64_t i = 1; i <= back; i++)
        if (*place(a, a->learnt - i) == page)
            return true;
    return false;
}

void attacker_learn(struct attacker *a, uint64_t iova, uint32_t bytes)
{
    CHECK(bytes > 0);
    for (uint64_t page = iova >> PAGE_LG2; page <= (iova + bytes - 1) >> PAGE_LG2; page++) {
        if (is_known(a, page))
            continue;
        *place(a, a->learnt++) = page;
        a->stats.page_learnt++;
    }
}

static uint64_t choose(struct attacker *a)
{
    const uint64_t known = remembered(a), oldest = a->learnt - known;
    switch (strategy_of(a)) {
    case STRATEGY_NEWEST:
        return *place(a, a->learnt - 1);
    case STRATEGY_OLDEST:
        return *place(a, oldest);
    case STRATEGY_RANDOM:
        return *place(a, oldest + rng_below(&a->rng, (uint32_t)known));
    case STRATEGY_SWEEP:
        return *place(a, oldest + a->next++ % known);
    }
    UNREACHABLE("a strategy is one of these");
}

/* ---- What it does
 * ------------------------------------------------------------------------
 */

static void access_page(struct attacker *a, uint64_t page, bool write, sim_time_t now)
{
    const uint32_t places            = (UINT32_C(1) << PAGE_LG2) / a->config.bytes;
    const struct port_request access = {
        .iova = (page << PAGE_LG2) + (uint64_t)rng_below(&a->rng, places) * a->config.bytes,
        .bytes     = a->config.bytes,
        .requester = a->requester,
        .kind      = write ? PORT_WRITE : PORT_READ,
    };
    a->stats.access++;
    a->stats.write += write;
    port_submit(a->port, &access, now);
}

static void take_beat(struct attacker *a, sim_time_t now)
{
    const bool write = rng_below(&a->rng, 100) < a->config.writes_percent;
    a->beat          = now + TIME_US / a->config.per_us;
    if (a->learnt == 0)
        return;
    if (port_ready(a->port, write ? PORT_WRITE : PORT_READ))
        access_page(a, choose(a), write, now);
    else
        a->stats.beat_skipped++;
}

static void attacker_step(void *self, sim_time_t now)
{
    struct attacker *a = self;
    struct port_response response;
    *a->due = TIME_NEVER;
    while (port_take(a->port, &response, now)) {
        a->stats.access_passed += response.status == PORT_OK;
        a->stats.access_refused += response.status != PORT_OK;
    }
    if (a->running && a->beat <= now)
        take_beat(a, now);
    if (a->running)
        *a->due = time_min(*a->due, a->beat);
}

void attacker_start(struct attacker *a, sim_time_t now)
{
    a->running = true;
    a->beat    = now + TIME_US / a->config.per_us;
    *a->due    = time_min(*a->due, a->beat);
}

void attacker_stop(struct attacker *a)
{
    a->running = false;
}

void attacker_init(struct attacker *a, struct engine *engine, struct port *port,
                   const struct attacker_config *config, uint16_t requester, uint64_t seed)
{
    memset(a, 0, sizeof *a);
    a->config    = *config;
    a->port      = port;
    a->requester = requester;
    a->rng       = rng_make(seed, "attacker");
    a->page      = calloc(config->addresses, sizeof *a->page);
    CHECK(a->page != NULL);
    a->due           = engine_add_block(engine, "attacker", attacker_step, a);
    port->device_due = a->due;
}

void attacker_free(struct attacker *a)
{
    free(a->page);
}
