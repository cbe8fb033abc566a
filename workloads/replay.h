/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay - a recorded block trace as the driver program of every CPU.
 *
 * Records keep their order on each CPU and the number of requests that were in flight when
 * they were issued; recorded times are not used. A record of recorded CPU c runs on
 * simulated CPU c modulo their number. The trace is read as a stream: CPUs may be apart by
 * at most a window of records.
 */
#ifndef WORKLOADS_REPLAY_H
#define WORKLOADS_REPLAY_H

#include "sim/base/rng.h"
#include "traces/trace.h"
#include "workloads/nvme_driver.h"

const char *replay_placement_member(unsigned index);

/* clang-format off */
#define REPLAY_PARAMS(P)                                                                            \
    P(u32,  depth,       0, 0,   4095, ANY, "requests", "In flight on each CPU; 0: as recorded, 1 where unknown", \
      "a choice of the replay")                                                                     \
    P(u32,  window,   1024, 1, 65536, POW2, "records",  "How far CPUs may be apart in the trace",   \
      "a choice of the replay")                                                                     \
    P(name, placement, scattered, replay_placement_member, 0, ANY, "model",                         \
      "Where buffers lie that the trace does not know: page by page, or in one piece",              \
      "a choice of the replay")

#define REPLAY_STATS(S)                                                                             \
    S(record,       record, "records",  "Records replayed to their end")                            \
    S(split, record, "records",  "... that were larger than one request may be")             \
    S(placed,       record, "records",  "... whose buffers the trace did not know")                 \
    S(failed,       record, "records",  "... that ended with an error")
/* clang-format on */

struct replay_config {
    REPLAY_PARAMS(PARAM_FIELD)
};
struct replay_stats {
    REPLAY_STATS(STAT_FIELD)
};
extern const struct param_table replay_param_table;
extern const struct stat_table replay_stat_table;

struct replay_record {
    struct trace_record record; /* Its segments are in the array below. */
    struct trace_segment *segment;
    uint32_t segment_room;
};
#define RING_NAME replay_ring
#define RING_ITEM struct replay_record
#include "sim/base/ring.h"

enum { REPLAY_SOURCES_MAX = 64 };

/* A trace to play, and what to call it in a message. */
struct replay_source {
    const char *name;
    struct trace_reader *reader;
};

struct replay;
/* One record under way on a CPU. */
struct replay_flight {
    struct replay_cpu *owner;
    struct replay_flight *next;
    sim_time_t began;
    uint32_t pieces; /* Requests that are not completed. */
    bool failed;
};

struct replay_cpu {
    struct replay *replay;
    struct cpu *cpu;
    struct replay_ring waiting;
    bool starved; /* Waits until another CPU has made room in its window. */
    uint32_t outstanding;
    struct replay_flight *flight, *free;
    uint32_t flights; /* Of them, those that have been in use. */
    struct rng placement;
    uint64_t placed_pages;
    struct blk_segment segment[TRACE_SEGMENTS_MAX];
};

struct replay {
    struct replay_config config;
    struct nvme_driver *driver;
    const struct replay_source *source; /* Played one after the other. */
    unsigned sources, playing;
    uint64_t limit, read;                 /* Records to read at most, and so far. */
    uint64_t read_of[REPLAY_SOURCES_MAX]; /* ... of each source. */
    bool ended, broken;
    struct error error; /* When broken: what was wrong with the trace. */
    unsigned cpus;
    struct replay_cpu *cpu;
    struct replay_stats stats;
    struct histogram latency_ns; /* Of a record: first submission to last completion. */
    void (*progress)(void *self,
                     uint64_t records); /* Now and then; NULL: nobody watches. */
    void *progress_self;
};

/* The sources are read from where they stand, at most limit records in all. */
void replay_init(struct replay *r, const struct replay_config *config,
                 const struct replay_source *source, unsigned sources, uint64_t limit,
                 uint64_t seed, struct nvme_driver *driver, struct cpu *const *cpu,
                 unsigned cpus);
void replay_free(struct replay *r);

/* The program of the running CPU: returns when all its records are completed. */
void replay_run(struct replay *r);

#endif
