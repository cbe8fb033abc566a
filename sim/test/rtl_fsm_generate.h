/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtl_fsm_generate - random runs of the RTL's state machines, drawn as the recorded ones
 * were, and written in the recordings' format.
 */
#ifndef SIM_TEST_RTL_FSM_GENERATE_H
#define SIM_TEST_RTL_FSM_GENERATE_H

#include "sim/base/rng.h"
#include "sim/test/rtl_fsm_tables.h"

#ifdef __cplusplus
extern "C" {
#endif

enum fsm_invalidation { FSM_NONE, FSM_QUIESCED, FSM_CONCURRENT };
enum fsm_stages { FSM_S1 = 1, FSM_S2 = 2, FSM_NESTED = 4, FSM_BARE = 8 };

enum {
    FSM_DEVICES_MAX   = 8,
    FSM_PROCESSES_MAX = 6,
    FSM_PAGES_MAX     = 64,
    FSM_STREAMS_MAX   = 2,
};

/* What a run is drawn from; a field that is 0 takes the value of the first recording. */
struct fsm_plan {
    const char *name;
    uint64_t seed;
    uint32_t requests;
    uint32_t iotlb, ddtc, pdtc;
    uint32_t read_latency, write_latency, outstanding;
    uint32_t ddt_levels, pdt_levels; /* pdt_levels 0: no process contexts */
    uint32_t devices, stages;        /* stages: of enum fsm_stages, taken in turn */
    uint32_t pages;                  /* Of each address space. */
    uint32_t superpage_pct, faulty_pct, write_pct, gap_max, locality_pct;
    uint32_t odd_pct; /* Requests with a process where there is none, and so on. */
    uint32_t streams;
    enum fsm_invalidation invalidation;
    uint32_t every; /* Cycles between batches of commands, about. */
};

struct fsm_page {
    uint64_t iova, leaf; /* leaf: where the last entry lies */
    unsigned level;
};

/* A device's address space, or one of its processes'. */
struct fsm_target {
    uint32_t process, pscid;
    bool has_process;
    unsigned pages, last;
    struct fsm_page page[FSM_PAGES_MAX];
};

struct fsm_device {
    uint32_t id, gscid;
    enum fsm_stages stages;
    bool directory;
    unsigned targets;
    struct fsm_target target[FSM_PROCESSES_MAX];
    struct fsm_space first, second;
};

struct fsm_stream {
    bool waiting;
    cycle_t issue;
};

/* How much was logged at some time. */
struct fsm_mark {
    size_t requests, stores, doorbells, commands, faults, accesses;
};

struct fsm_generator {
    struct fsm_plan plan;
    struct fsm_bench bench;
    struct fsm_tables tables;
    struct rng rng;
    uint64_t next_pa;
    struct fsm_device device[FSM_DEVICES_MAX];
    struct fsm_stream stream[FSM_STREAMS_MAX];
    struct fsm_mark mark; /* When nothing was under way for the last time. */
    uint32_t issued, tail;
    cycle_t batch;                    /* Of commands, due. */
    cycle_t held_until;               /* No request is issued before. */
    cycle_t rescued_at[FSM_CHANNELS]; /* The request under way; 0: not. */
};

/* Draws and runs; g->bench.log is the run. It may be shorter than planned, when a request
 * hung that even the watchdog could not rescue. */
void fsm_generate(struct fsm_generator *g, const struct fsm_plan *plan);
void fsm_generator_free(struct fsm_generator *g);

/* Of rtl_fsm_commands.c: one batch of commands, with the stores before it. */
void fsm_generate_commands(struct fsm_generator *g);
/* Drops the context of a device, as the recordings' watchdog did. */
void fsm_generate_rescue(struct fsm_generator *g, uint32_t device);

/* FOLDER/NAME_{req,image,events,mem}.csv.gz */
void fsm_write(const struct fsm_generator *g, const char *folder);

uint32_t fsm_below(struct fsm_generator *g, uint32_t bound);
bool fsm_chance(struct fsm_generator *g, uint32_t percent);
uint64_t fsm_new_page(struct fsm_generator *g, unsigned level);

#ifdef __cplusplus
}
#endif

#endif
