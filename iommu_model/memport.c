/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/memport.h"

#include <string.h>

#include "sim/base/lg2.h"

static const char *const arbiters[] = { "round_robin", "fixed", NULL };

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

cycle_t memport_due(const struct memport *p, cycle_t now)
{
    if (p->inflight == p->config.inflight_max)
        return CYCLE_NEVER;
    const cycle_t due = p->ready != 0 || p->next < now ? now : p->next;
    /* One acceptance a cycle. */
    return p->any_accepted && due <= p->accepted ? p->accepted + 1 : due;
}

/* round_robin: the lowest place above the last winner, else the lowest of all. */
static unsigned choose(const struct memport *p, uint64_t ready)
{
    const uint64_t above = ready & ~mask_lg2(p->turn + 1);
    if (p->config.arbiter == arbiters[0] && above != 0)
        return (unsigned)__builtin_ctzll(above);
    return (unsigned)__builtin_ctzll(ready);
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
    if (p->inflight == p->config.inflight_max || (p->any_accepted && p->accepted == now))
        return MEMPORT_PLACES;
    advance(p, now);
    if (p->ready == 0)
        return MEMPORT_PLACES;

    const unsigned place   = choose(p, p->ready);
    struct memport_read *r = &p->read[place];
    count(p, place, now - r->presented);
    p->ready &= ~(UINT64_C(1) << place);
    p->turn         = place;
    p->accepted     = now;
    p->any_accepted = true;
    p->inflight++;
    for (uint32_t i = 0; i < r->words; i++)
        r->data[i] = memory_read64(p->memory, r->pa + 8 * i);
    const struct mem_access_times t =
        mem_channel_access(p->channel, cycle_time(now, p->period_ps), 8 * r->words);
    *arrives = cycle_at_or_after(t.last, p->period_ps);
    return place;
}

const uint64_t *memport_peek(const struct memport *p, unsigned place)
{
    const struct memport_read *r = &p->read[place];
    const uint64_t waiting       = p->ready | p->later[r->presented % MEMPORT_AHEAD];
    return waiting >> place & 1 ? NULL : r->data;
}

const uint64_t *memport_arrived(struct memport *p, unsigned place)
{
    CHECK(p->inflight > 0);
    p->inflight--;
    return p->read[place].data;
}
