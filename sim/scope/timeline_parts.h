/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline_parts - what a timeline is made of, for the files of timeline*.c only.
 */
#ifndef SIM_SCOPE_TIMELINE_PARTS_H
#define SIM_SCOPE_TIMELINE_PARTS_H

#include "sim/scope/perfetto.h"
#include "sim/scope/timeline.h"

/* Tracks of a run: a process's number, and below it these and an index. */
enum track_group {
    TRACK_PROCESS_ITSELF,
    TRACK_CPU,
    TRACK_COMMAND,
    TRACK_DMA,
    TRACK_GAUGE,
};

/* A CPU, and the stretch of its time that may still grow. */
struct timeline_cpu {
    sim_time_t from, until;
    enum cpu_owner owner;
    enum cpu_phase phase;
    int drawn_phase; /* The slice around owners that is open; -1: none. */
};

/* A command of a queue, the n-th that was ever submitted to it. */
struct timeline_command {
    uint64_t n;
    uint32_t bytes;
    uint16_t queue, cid;
    uint8_t opcode;
    bool live, shown;
    unsigned lane;
    sim_time_t submitted, rung, asked, arrived, begun, done, completing, written, found;
};

enum { TIMELINE_RING = 4096, TIMELINE_LINKS = 16384 };

struct timeline_queue {
    struct timeline_command *ring; /* The n-th at n % TIMELINE_RING. */
    uint64_t submitted, rung, asked, arrived;
    struct timeline_command **of_cid; /* NULL: none. */
    uint32_t cids;
};

/* What a DMA is part of. */
struct timeline_link {
    uint8_t kind; /* enum nvme_tx_kind */
    uint16_t queue;
    uint64_t first;
    uint32_t count;
};

struct timeline_dma {
    struct xlate_trail trail;
    bool shown, translated, known; /* known: the track has been declared. */
    uint8_t outcome, page_lg2;
    uint64_t pa;
};

struct timeline {
    struct perfetto out;
    struct scope_window window;
    unsigned run; /* Counts from 1. */

    /* Of the present run: */
    struct scope scope;
    bool watching;
    sim_time_t zero, from, to; /* When the replay began; the window in the engine's time. */
    uint64_t shown_live;       /* DMAs and commands that are being drawn. */
    struct timeline_cpu cpu[ENGINE_CPUS_MAX];
    struct timeline_queue *queue;
    unsigned queues;
    struct timeline_command **of_command; /* By the controller's place for it. */
    struct timeline_dma *dma;             /* By the root port's slot. */
    struct timeline_link link[TIMELINE_LINKS], fetch;
    uint32_t links; /* Given out so far. */
    bool *lane_busy, *lane_known;
    unsigned lanes;
    struct gauge gauge[GAUGES_MAX];
    unsigned gauges;
    uint64_t value[GAUGES_MAX];
    struct cpu_watcher cpu_watcher;
    struct rootport_watcher port_watcher;
    struct nvme_watcher nvme_watcher;
    struct driver_watcher driver_watcher;
};

static inline uint64_t timeline_track(const struct timeline *t, enum track_group group,
                                      unsigned index)
{
    return (uint64_t)t->run << 32 | (uint64_t)group << 24 | (index + 1);
}

static inline uint64_t timeline_ns(const struct timeline *t, sim_time_t time)
{
    return (time - t->zero) / TIME_NS;
}

static inline bool timeline_shows(const struct timeline *t, sim_time_t time)
{
    return time >= t->from && time < t->to;
}

static inline uint64_t timeline_flow(const struct timeline *t, uint16_t queue, uint64_t n)
{
    return (uint64_t)t->run << 56 | (uint64_t)queue << 40 | n;
}

/* One step of something, from *at on: draws it if it takes any time, and moves *at. */
void timeline_step(struct timeline *t, uint64_t track, const char *name, sim_time_t *at,
                   sim_time_t length);

void timeline_sample(struct timeline *t, sim_time_t now);

/* ---- timeline_cpu.c ---- */
void timeline_cpus_begin(struct timeline *t, sim_time_t now);
void timeline_cpus_end(struct timeline *t, sim_time_t now);

/* ---- timeline_dma.c ---- */
void timeline_dmas_begin(struct timeline *t);
void timeline_dmas_leave(struct timeline *t);

/* ---- timeline_command.c ---- */
void timeline_commands_begin(struct timeline *t);
void timeline_commands_leave(struct timeline *t);
const struct timeline_link *timeline_link_of(const struct timeline *t, uint32_t flow);
/* The completion entry of this command is in memory. */
void timeline_written(struct timeline *t, const struct timeline_link *link,
                      sim_time_t when);

#endif
