/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memport - the IOMMU's way to memory for its own reads.
 *
 * Each engine of the IOMMU (a walker, the context walker, the invalidation queue) has one
 * place at the port and at most one read outstanding. A read is presented in some cycle;
 * the arbiter accepts one presented read each cycle while fewer than inflight_max are under
 * way. The data is what memory holds in the cycle of acceptance, and arrives when the
 * memory channel says. Writes (status words, fault records) go their own way and are not
 * arbitrated.
 *
 * Where memory is somebody else's (struct memport_remote), a read ends when that says so.
 */
#ifndef IOMMU_MODEL_MEMPORT_H
#define IOMMU_MODEL_MEMPORT_H

#include "sim/base/memory.h"
#include "sim/base/param.h"
#include "sim/base/stat.h"

enum memport_place {
    MEMPORT_INVQ    = 2, /* 0 and 1 are kept for interrupt-file engines. */
    MEMPORT_CONTEXT = 3,
    MEMPORT_WALKER  = 4, /* The first of them. */
    MEMPORT_PLACES  = 64,
};

enum {
    MEMPORT_WORDS_MAX = 8,   /* Of one read. */
    MEMPORT_AHEAD     = 512, /* A read is presented at most so many cycles ahead. */
};

/* clang-format off */
#define MEMPORT_PARAMS(P)                                                                           \
    P(u32,  inflight_max,    32, 1,    64, ANY, "reads",  "Reads under way at most",                \
      "not published; not a limit at the walkers' number")                                          \
    P(name, arbiter, round_robin, memport_arbiter_member, 0, ANY, "policy",                         \
      "Who goes first when several engines present a read", "not published")

#define MEMPORT_STATS(S)                                                                            \
    S(read,          read,        "reads",  "Reads accepted")                                       \
    S(read_walk,     read,        "reads",  "Reads of page tables")                                 \
    S(read_context,  read,        "reads",  "Reads of context tables")                              \
    S(read_command,  read,        "reads",  "Reads of commands")                                    \
    S(wait_cycles,   wait_cycles, "cycles", "Waited between presentation and acceptance")
/* clang-format on */

struct memport_config {
    MEMPORT_PARAMS(PARAM_FIELD)
};
struct memport_stats {
    MEMPORT_STATS(STAT_FIELD)
};
extern const struct param_table memport_param_table;
extern const struct stat_table memport_stat_table;
const char *memport_arbiter_member(unsigned index);

/* The IOMMU's own writes: of each kind they end in the order in which they began. */
enum memport_write { MEMPORT_STATUS, MEMPORT_FAULT_RECORD };

/*
 * Memory that is not simulated here: it answers in its own time, and every verb may only
 * take note. read is ended by iommu_arrived, write by iommu_written; a write begins at the
 * given time, which may be ahead. set_bits changes an entry at once, as a locked access.
 * peek has no effect; it and set_bits return false where there is no memory.
 */
struct memport_remote {
    void (*read)(void *self, unsigned place, uint64_t pa, uint32_t words, sim_time_t now);
    void (*write)(void *self, enum memport_write kind, uint64_t pa, const void *data,
                  uint32_t bytes, sim_time_t at);
    bool (*set_bits)(void *self, uint64_t pa, uint64_t bits);
    bool (*peek)(void *self, uint64_t pa, uint32_t words, uint64_t *data);
    void *self;
};

struct memport_read {
    uint64_t pa;
    cycle_t presented, accepted;
    uint32_t words;
    bool failed; /* Only of a remote memory: there is nothing at pa. */
    uint64_t data[MEMPORT_WORDS_MAX];
};

struct memport {
    struct memport_config config;
    struct memory *memory;
    struct mem_channel *channel;
    const struct memport_remote *remote; /* NULL: memory and channel are there. */
    uint64_t period_ps;
    uint64_t ready; /* Bit p: place p has presented a read. */
    uint64_t
        later[MEMPORT_AHEAD]; /* The places that will, by cycle; the cycles that count. */
    uint64_t occupied[MEMPORT_AHEAD / 64];
    cycle_t now, next; /* Everything presented up to now is in ready; then comes next. */
    uint32_t inflight, turn;
    unsigned arbiter;
    cycle_t accepted, freed; /* The cycles of the last acceptance and of the last ends, */
    uint32_t freed_count;    /* and how many those were. */
    bool any_accepted;
    struct memport_read read[MEMPORT_PLACES];
    struct memport_stats stats;
};

void memport_init(struct memport *p, const struct memport_config *config,
                  struct memory *memory, struct mem_channel *channel, uint64_t period_ps);

/* In cycle now: presents a read of words 8-byte words at pa from cycle on, fewer than
 * MEMPORT_AHEAD cycles ahead. */
void memport_present(struct memport *p, unsigned place, uint64_t pa, uint32_t words,
                     cycle_t now, cycle_t cycle);

/* The first cycle from now on in which the arbiter has something to do, or CYCLE_NEVER. */
cycle_t memport_due(const struct memport *p, cycle_t now);

/* Accepts at most one read in this cycle. round_robin: the next place above the last
 * winner's. fixed: the lowest place. tree: halves the places until one is left, by the bits
 * of a turn that moves on at each acceptance; late comers do not change a choice that
 * memory has not taken yet. Returns its place and sets *arrives to the cycle
 * of its last beat, CYCLE_NEVER while a remote memory has not said; or returns
 * MEMPORT_PLACES. */
unsigned memport_arbitrate(struct memport *p, cycle_t now, cycle_t *arrives);

/* A remote memory has answered a read; data NULL: it has no such place. */
void memport_deliver(struct memport *p, unsigned place, const uint64_t *data);

/* The last beat has arrived: the data, and the place may present again. */
const uint64_t *memport_arrived(struct memport *p, unsigned place, cycle_t now);

/* For the audit: the data of a read that has been accepted and has not arrived; NULL when
 * the place's read still waits for its acceptance. */
const uint64_t *memport_peek(const struct memport *p, unsigned place);

#endif
