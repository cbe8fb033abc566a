/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline_parts - what a timeline is made of, for the files of timeline*.c only.
 */
#ifndef SIM_SCOPE_TIMELINE_PARTS_H
#define SIM_SCOPE_TIMELINE_PARTS_H

#include "sim/scope/perfetto.h"
#include "sim/scope/timeline.h"

/* Tracks of a host: a process's number, and below it these and an index. */
enum track_group {
    TRACK_PROCESS_ITSELF,
    TRACK_CPU,
    TRACK_WORK, /* NVMe commands or RDMA work requests. */
    TRACK_DMA,
    TRACK_GAUGE,
};
/* Below a device's place come its lanes, below a group all tracks of a host. */
enum { TRACK_DEVICE_SHIFT = 18, TRACK_GROUP_SHIFT = 24 };
/* The order in which tracks are shown. */
enum { RANK_CPU = 0, RANK_WORK = 1000, RANK_DMA = 2000, RANK_GAUGE = 3000 };

/* A CPU, and the stretch of its time that may still grow. */
struct timeline_cpu {
    sim_time_t from, until;
    enum cpu_owner owner;
    enum cpu_phase phase;
    int drawn_phase; /* The slice around owners that is open; -1: none. */
};

struct timeline_gauges {
    struct gauge_source source;
    struct gauge gauge[GAUGES_MAX];
    uint64_t value[GAUGES_MAX];
    unsigned count, first; /* first: of their tracks. */
};

/* Things that overlap are drawn side by side. */
struct timeline_lanes {
    bool *busy, *known; /* known: the track has been declared. */
    unsigned count;
};

/* A command of a queue, the n-th that was ever submitted to it. */
struct timeline_command {
    uint64_t n, flow;
    uint32_t bytes;
    uint16_t queue, cid;
    uint8_t opcode;
    bool live, shown;
    unsigned lane;
    sim_time_t submitted, rung, asked, arrived, begun, done, completing, written, found;
};

enum { TIMELINE_RING = 4096, TIMELINE_LINKS = 16384, TIMELINE_FLOWS_MAX = 64 };

struct timeline_queue {
    struct timeline_command *ring; /* The n-th at n % TIMELINE_RING. */
    uint64_t submitted, rung, asked, arrived;
    struct timeline_command **of_cid; /* NULL: none. */
    uint32_t cids;
};

/* A work request of a queue pair, and which it was of all that were posted to it. Times are
 * 0 where something has not happened. */
struct timeline_work {
    uint64_t flow, bytes;
    uint32_t qp, index;
    uint8_t opcode, status;
    bool live, shown, signalled, over;
    unsigned lane;
    sim_time_t posted, rung, asked, arrived, begun, sent, finished, completing, written,
        found;
};

struct timeline_qp {
    struct timeline_work *ring; /* The one with an index at index % entries. */
    uint32_t entries;           /* A power of two; 0: nothing has been posted. */
};

/* An entry of a completion queue. */
struct timeline_cqe {
    bool live, shown, receive;
    uint32_t position, qp, index;
    uint64_t flow;
};

struct timeline_cq {
    struct timeline_cqe *ring;
    uint32_t entries;
};

/* What a DMA is part of: so many entries of a queue, or (count 0) what flow says. */
struct timeline_link {
    const char *name;
    bool completion; /* queue and first are those of the completion, then. */
    uint32_t queue, count;
    uint64_t first, flow;
};

struct timeline_dma {
    struct xlate_trail trail;
    bool shown, translated, known; /* known: the track has been declared. */
    uint8_t outcome, page_lg2;
    uint64_t pa;
};

struct timeline_host;

struct timeline_device {
    struct timeline_host *host;
    unsigned index; /* Of its host's. */
    struct scope_device scope;
    struct timeline_gauges gauges;
    struct timeline_dma *dma; /* By the root port's slot. */
    struct timeline_link *link;
    uint32_t links; /* Given out so far. */
    struct timeline_lanes lanes;
    struct rootport_watcher port_watcher;

    /* A drive's: */
    struct timeline_queue *queue;
    unsigned queues;
    struct timeline_command **of_command; /* By the controller's place for it. */
    struct timeline_link fetch;
    struct nvme_watcher nvme_watcher;
    struct driver_watcher driver_watcher;

    /* A NIC's: */
    struct timeline_qp *qp;
    struct timeline_cq *cq;
    uint32_t works; /* Posted and not over. */
    struct rdma_watcher rdma_watcher;
    struct verbs_watcher verbs_watcher;
};

struct timeline_host {
    struct timeline *timeline;
    unsigned process; /* Counts from 1, over all runs. */
    struct scope scope;
    struct timeline_cpu cpu[ENGINE_CPUS_MAX];
    struct cpu_watcher cpu_watcher;
    struct timeline_gauges gauges;
    struct timeline_device device[SCOPE_DEVICES_MAX];
};

struct timeline {
    struct perfetto out;
    struct scope_window window;
    unsigned processes;
    bool reached; /* A run has lasted until the window. */
    uint64_t
        flows; /* Given out so far, over all runs: each thing that is followed has one. */

    /* Of the present run: */
    struct timeline_host *host; /* NULL: there is none. */
    unsigned hosts;
    bool watching, ended;
    sim_time_t zero, from, to; /* When the replay began; the window in the engine's time. */
    uint64_t shown_live;       /* DMAs, commands and requests that are being drawn. */
};

static inline uint64_t timeline_track(const struct timeline_host *h, enum track_group group,
                                      unsigned index)
{
    return (uint64_t)h->process << 32 | (uint64_t)group << TRACK_GROUP_SHIFT | (index + 1);
}

static inline uint64_t timeline_ns(const struct timeline *t, sim_time_t time)
{
    return (time - t->zero) / TIME_NS;
}

static inline bool timeline_shows(const struct timeline *t, sim_time_t time)
{
    return time >= t->from && time < t->to;
}

static inline uint64_t timeline_new_flow(struct timeline *t)
{
    return ++t->flows;
}

/* One step of something, from *at on: draws it if it takes any time, and moves *at. */
void timeline_step(struct timeline *t, uint64_t track, const char *name, sim_time_t *at,
                   sim_time_t length);

void timeline_sample(struct timeline_host *h, sim_time_t now);

/* The track of a lane of a device, which is declared if it is new; name is what is in it.
 */
uint64_t timeline_lane(struct timeline_device *d, enum track_group group, unsigned lane,
                       const char *name, bool *known);
unsigned timeline_lane_take(struct timeline_device *d);
void timeline_lane_release(struct timeline_device *d, unsigned lane);

/* Something that a program on a CPU did to what has this flow. */
void timeline_mark(struct timeline_host *h, unsigned cpu, const char *name, uint64_t flow,
                   sim_time_t now, struct perfetto_note first, struct perfetto_note second);

/* ---- timeline_cpu.c ---- */
void timeline_cpus_begin(struct timeline_host *h, sim_time_t now);
void timeline_cpus_end(struct timeline_host *h, sim_time_t now);

/* ---- timeline_dma.c ---- */
void timeline_dmas_begin(struct timeline_device *d);
void timeline_dmas_leave(struct timeline_device *d);
/* What is to be the flow of a request: whatever it is part of. */
uint32_t timeline_link_new(struct timeline_device *d, const struct timeline_link *link);

/* ---- timeline_command.c ---- */
void timeline_commands_begin(struct timeline_device *d);
void timeline_commands_leave(struct timeline_device *d);
/* The flow of the n-th command of a queue; 0: it has been forgotten. */
uint64_t timeline_command_flow(const struct timeline_device *d, uint32_t queue, uint64_t n);
/* The completion entry of this command is in memory. */
void timeline_command_written(struct timeline_device *d, const struct timeline_link *link,
                              sim_time_t when);

/* ---- timeline_work.c: as with commands ---- */
void timeline_works_begin(struct timeline_device *d);
void timeline_works_leave(struct timeline_device *d);
uint64_t timeline_work_flow(const struct timeline_device *d, uint32_t qp, uint32_t index);
void timeline_work_written(struct timeline_device *d, const struct timeline_link *link,
                           sim_time_t when);

#endif
