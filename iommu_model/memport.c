/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/memport.h"

#include <string.h>

#include "sim/base/lg2.h"

enum { ROUND_ROBIN, FIXED, TREE };
static const char *const arbiters[] = { "round_robin", "fixed", "tree", NULL };

const char *memport_arbiter_member(unsigned index)
{
    return arbiters[index];
}

#define PARAM_OWNER struct memport_config
#define STAT_OWNER  struct memport_stats
static const struct param_def memport_params[] = { MEMPORT_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def memport_stats[]   = { MEMPORT_STATS(STAT_ROW) STAT_END };

const struct param_table memport_param_table = { "memport", "The IOMMU's way to memory",
                                                 memport_params,
                                                 sizeof(struct memport_config), NULL };
const struct stat_table memport_stat_table   = { "memport", "The IOMMU's way to memory",
                                                 memport_stats,
                                                 sizeof(struct memport_stats) };

void memport_init(struct memport *p, const struct memport_config *config,
                  struct memory *memory, struct mem_channel *channel, uint64_t period_ps)
{
    memset(p, 0, sizeof *p);
    p->config    = *config;
    p->memory    = memory;
    p->channel   = channel;
    p->period_ps = period_ps;
    p->next      = CYCLE_NEVER;
    p->freed     = CYCLE_NEVER;
    while (strcmp(arbiters[p->arbiter], config->arbiter) != 0)
        p->arbiter++;
}

/* The first cycle from p->now on in which a place presents. */
static cycle_t next_presentation(const struct memport *p)
{
    const unsigned start = p->now % MEMPORT_AHEAD;
    unsigned word        = start / 64;
    uint64_t bits        = p->occupied[word] & ~UINT64_C(0) << start % 64;
    for (unsigned looked = 0; bits == 0; looked++) {
        if (looked == MEMPORT_AHEAD / 64)
            return CYCLE_NEVER;
        word = (word + 1) % (MEMPORT_AHEAD / 64);
        bits = p->occupied[word];
    }
    const unsigned slot = word * 64 + (unsigned)__builtin_ctzll(bits);
    return p->now + (slot - start) % MEMPORT_AHEAD;
}

/* What was to be presented up to now has been. */
static void advance(struct memport *p, cycle_t now)
{
    while (p->next <= now) {
        const unsigned slot = p->next % MEMPORT_AHEAD;
        p->ready |= p->later[slot];
        p->later[slot] = 0;
        p->occupied[slot / 64] &= ~(UINT64_C(1) << slot % 64);
        p->now  = p->next;
        p->next = next_presentation(p);
    }
    p->now = now > p->now ? now : p->now;
}

void memport_present(struct memport *p, unsigned place, uint64_t pa, uint32_t words,
                     cycle_t now, cycle_t cycle)
{
    const unsigned slot = cycle % MEMPORT_AHEAD;
    CHECK(place < MEMPORT_PLACES);
    CHECK(words > 0);
    CHECK(words <= MEMPORT_WORDS_MAX);
    advance(p, now);
    CHECK(cycle >= now);
    CHECK(cycle - now < MEMPORT_AHEAD);
    CHECK((p->ready >> place & 1) == 0);
    p->later[slot] |= UINT64_C(1) << place;
    p->occupied[slot / 64] |= UINT64_C(1) << slot % 64;
    p->next                  = cycle < p->next ? cycle : p->next;
    p->read[place].pa        = pa;
    p->read[place].words     = words;
    p->read[place].presented = cycle;
}

/* A read whose last beat comes in this cycle makes room from the next on. */
static bool full(const struct memport *p, cycle_t now)
{
    const uint32_t ended = p->freed == now ? p->freed_count : 0;
    return p->inflight + ended >= p->config.inflight_max;
}

cycle_t memport_due(const struct memport *p, cycle_t now)
{
    if (p->inflight == p->config.inflight_max)
        return CYCLE_NEVER;
    const cycle_t from = full(p, now) ? now + 1 : now;
    const cycle_t due  = p->ready != 0 || p->next < from ? from : p->next;
    /* One acceptance a cycle. */
    return p->any_accepted && due <= p->accepted ? p->accepted + 1 : due;
}

/* The lowest place above turn, else the lowest of all. */
static unsigned next_in_turn(const struct memport *p, uint64_t ready)
{
    const uint64_t above = ready & ~mask_lg2(p->turn + 1);
    return (unsigned)__builtin_ctzll(above != 0 ? above : ready);
}

/* Halves the places until one is left; where both halves ask, turn says which. */
static unsigned choose_in_tree(const struct memport *p, uint64_t ready)
{
    unsigned first = 0;
    for (unsigned half = MEMPORT_PLACES / 2; half > 0; half /= 2) {
        const uint64_t lower = ready & mask_lg2(half) << first;
        const uint64_t upper = ready & mask_lg2(half) << (first + half);
        if (upper != 0 && (lower == 0 || (p->turn & half)))
            first += half;
    }
    return first;
}

/* The tree holds on to those who asked in the first cycle since the last acceptance. */
static uint64_t candidates(const struct memport *p)
{
    if (p->arbiter != TREE)
        return p->ready;
    cycle_t first = CYCLE_NEVER;
    for (uint64_t left = p->ready; left != 0; left &= left - 1) {
        const cycle_t presented = p->read[__builtin_ctzll(left)].presented;
        first                   = presented < first ? presented : first;
    }
    if (p->any_accepted && first <= p->accepted)
        first = p->accepted + 1;
    uint64_t set = 0;
    for (uint64_t left = p->ready; left != 0; left &= left - 1)
        if (p->read[__builtin_ctzll(left)].presented <= first)
            set |= left & -left;
    return set;
}

static unsigned choose(struct memport *p)
{
    const uint64_t set   = candidates(p);
    const unsigned place = p->arbiter == TREE    ? choose_in_tree(p, set)
                           : p->arbiter == FIXED ? (unsigned)__builtin_ctzll(set)
                                                 : next_in_turn(p, set);
    p->turn              = p->arbiter == TREE ? next_in_turn(p, set) : place;
    return place;
}

static void count(struct memport *p, unsigned place, cycle_t waited)
{
    p->stats.read++;
    p->stats.wait_cycles += waited;
    if (place >= MEMPORT_WALKER)
        p->stats.read_walk++;
    else if (place == MEMPORT_CONTEXT)
        p->stats.read_context++;
    else
        p->stats.read_command++;
}

unsigned memport_arbitrate(struct memport *p, cycle_t now, cycle_t *arrives)
{
    if (full(p, now) || (p->any_accepted && p->accepted == now))
        return MEMPORT_PLACES;
    advance(p, now);
    if (p->ready == 0)
        return MEMPORT_PLACES;

    const unsigned place   = choose(p);
    struct memport_read *r = &p->read[place];
    count(p, place, now - r->presented);
    r->accepted = now;
    p->ready &= ~(UINT64_C(1) << place);
    p->accepted     = now;
    p->any_accepted = true;
    p->inflight++;
    if (p->remote != NULL) {
        *arrives = CYCLE_NEVER;
        p->remote->read(p->remote->self, place, r->pa, r->words,
                        cycle_time(now, p->period_ps));
        return place;
    }
    for (uint32_t i = 0; i < r->words; i++)
        r->data[i] = memory_read64(p->memory, r->pa + 8 * i);
    const struct mem_access_times t =
        mem_channel_access(p->channel, cycle_time(now, p->period_ps), 8 * r->words);
    *arrives = cycle_at_or_after(t.last, p->period_ps);
    return place;
}

void memport_deliver(struct memport *p, unsigned place, const uint64_t *data)
{
    struct memport_read *r = &p->read[place];
    CHECK(p->remote != NULL);
    r->failed = data == NULL;
    if (data != NULL)
        memcpy(r->data, data, r->words * sizeof *data);
}

const uint64_t *memport_peek(const struct memport *p, unsigned place)
{
    const struct memport_read *r = &p->read[place];
    const uint64_t waiting       = p->ready | p->later[r->presented % MEMPORT_AHEAD];
    return waiting >> place & 1 ? NULL : r->data;
}

const uint64_t *memport_arrived(struct memport *p, unsigned place, cycle_t now)
{
    CHECK(p->inflight > 0);
    p->inflight--;
    p->freed_count = p->freed == now ? p->freed_count + 1 : 1;
    p->freed       = now;
    return p->read[place].data;
}
