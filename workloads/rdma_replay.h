/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_replay - a recorded RDMA trace as the driver program of every CPU of every host.
 *
 * The devices of the trace become hosts, modulo their number; a queue pair and its peer
 * that were recorded on one device become two hosts. Records keep their order on each CPU
 * and the number of requests in flight; recorded times are not used. What a record needs is
 * made before it: queue pairs are created and connected when they are first used, a region
 * is registered on the host that first uses its key, each send finds a receive of its size
 * posted. Regions and buffers that the trace does not know are invented.
 *
 * The trace is read ahead of what is replayed, so that each queue pair has the receives for
 * its peer's next sends posted: as many as fabric.receives_ahead says, and one more for
 * each that was taken.
 *
 * Inaccuracies: when a receive was posted is not taken from the trace. All queue pairs are
 * reliable connections. Hosts know of each other's progress without a message.
 *
 * Where the trace says that messages take turns (trace_takes_turns), CPUs spin instead of
 * sleeping, and latency is half of the time from a message to its answer.
 */
#ifndef WORKLOADS_RDMA_REPLAY_H
#define WORKLOADS_RDMA_REPLAY_H

#include "sim/base/histogram.h"
#include "sim/base/rng.h"
#include "traces/trace.h"
#include "workloads/rdma_frames.h"
#include "workloads/replay.h"
#include "workloads/verbs.h"

const char *fabric_placement_member(unsigned index);
const char *fabric_registration_member(unsigned index);

/* clang-format off */
#define FABRIC_PARAMS(P)                                                                            \
    P(u32,  hosts,          2, 1,    8, ANY, "hosts",   "Each with CPUs, memory, IOMMU and an RDMA NIC", \
      "a choice of the replay")                                                                     \
    P(u32,  depth,          0, 0, 4095, ANY, "requests", "In flight on each CPU; 0: as recorded, 16 where unknown", \
      "a choice of the replay")                                                                     \
    P(u32,  receives_ahead, 512, 1, 512, ANY, "receives", "Posted on each queue pair ahead of their sends, as far as the queue (verbs.queue_entries) has room", \
      "rx-depth of perftest: 512")                                                                  \
    P(u32,  window,      1024, 64, 65536, POW2, "steps", "How far CPUs may be apart in the trace", \
      "a choice of the replay")                                                                     \
    P(name, registration, pinned, fabric_registration_member, 0, ANY, "how",                        \
      "Regions that the trace registers by a call, and invented ones: at once, page by page, or by work request for each message", \
      "a choice of the replay")                                                                     \
    P(name, placement, scattered, fabric_placement_member, 0, ANY, "model",                         \
      "Where a process's pages lie: page by page, in one piece, or 2 MiB by 2 MiB",                 \
      "a choice of the replay")                                                                     \
    P(u32,  region_kib,  1024, 4, 1048576, POW2, "KiB", "Of a region whose registration was not recorded", \
      "a choice of the replay")                                                                     \
    P(u32,  buffer_kib,  1024, 4, 1048576, POW2, "KiB", "Of each queue pair's memory, where a message's is not known", \
      "a choice of the replay")                                                                     \
    P(flag, check,          0, 0, 1, ANY, "", "Carry data, and compare all of it at its destination", \
      "costs host time; messages that overlap wait for each other")

#define FABRIC_STATS(S)                                                                             \
    S(record,       record,  "records",  "Records replayed to their end")                           \
    S(message,      record,  "records",  "... that moved data between hosts")                       \
    S(failed,       record,  "records",  "... that ended with an error")                            \
    S(invented,     record,  "records",  "... with memory that the trace did not know")             \
    S(bytes,        bytes,   "bytes",    "Moved between hosts")                                     \
    S(compared,     compared, "bytes",   "Compared at their destination (fabric.check)")            \
    S(mismatched,   mismatched, "messages", "... that did not arrive as they were sent")            \
    S(held,         held,    "messages", "... that waited for one that overlaps")
/* clang-format on */

struct fabric_config {
    FABRIC_PARAMS(PARAM_FIELD)
};
struct fabric_stats {
    FABRIC_STATS(STAT_FIELD)
};
extern const struct param_table fabric_param_table;
extern const struct stat_table fabric_stat_table;

enum { RDMA_HOSTS_MAX = 8 };

struct rdma_region;
struct rdma_end;
struct rdma_flight;

/* A step of a CPU's program. */
enum rdma_step_kind {
    RDMA_STEP_CREATE,
    RDMA_STEP_CONNECT,
    RDMA_STEP_REGISTER,
    RDMA_STEP_RELEASE, /* A region goes. */
    RDMA_STEP_POST,
};
struct rdma_step {
    uint8_t kind;
    struct rdma_end *end; /* Whose queue pair. */
    struct rdma_region *region;
    struct rdma_flight *flight;
};
#define RING_NAME rdma_step_ring
#define RING_ITEM struct rdma_step
#include "sim/base/ring.h"

struct rdma_replay;
struct rdma_replay_host;
struct rdma_replay_cpu {
    struct rdma_replay *replay;
    struct rdma_replay_host *host;
    struct cpu *cpu;
    unsigned id;
    struct rdma_step_ring waiting;
    uint32_t outstanding;
    uint32_t expected;           /* Completions of its queue, where messages take turns. */
    struct rdma_region *release; /* To be let go as soon as possible. */
    struct rdma_end *receiving;  /* Ends with receives to post, and room for them. */
    uint32_t done;               /* Flights that are to be reaped. */
    bool blocked;                /* Until this is true of that, or there is other work. */
    bool (*awaits)(const struct rdma_replay_cpu *c, const void *of);
    const void *of;
};

struct rdma_replay_host {
    struct rdma_replay *replay;
    unsigned id;
    struct verbs_device *verbs;
    struct memory *memory;
    struct rdma_frames frames;
    struct umem_space space;
    uint32_t pd;
    uint64_t next_buffer;
    struct verbs_cq *cq[ENGINE_CPUS_MAX];
    struct rdma_replay_cpu cpu[ENGINE_CPUS_MAX];
    struct rdma_region *regions; /* That are not released. */
    struct verbs_mr *pool;       /* For registration by work request. */
};

struct rdma_replay {
    struct fabric_config config;
    const struct replay_source *source;
    unsigned sources, playing;
    uint64_t limit, read, seed;
    uint64_t read_of[REPLAY_SOURCES_MAX];
    bool turns; /* Messages take turns. */
    bool sends; /* A send has been read: what comes is read ahead. */
    bool ended, broken;
    bool faulty; /* Broken, and not by the trace. */
    struct error error;
    unsigned cpus; /* Of each host. */
    struct rdma_replay_host host[RDMA_HOSTS_MAX];
    struct rdma_end *ends; /* All queue pairs. */
    struct rdma_end **end_of;
    struct rdma_key **key_of;
    struct rdma_flight *flight, *free_flight, *flying;
    uint32_t flying_count;
    unsigned finished; /* CPUs that have nothing more to begin. */
    struct fabric_stats stats;
    struct histogram latency_ns;
    void (*progress)(void *self, uint64_t records);
    void *progress_self;
};

/* hosts_of: config->hosts drivers and their memories. */
struct rdma_replay_machine {
    struct verbs_device *verbs;
    struct memory *memory;
    struct cpu *const *cpu;
};
void rdma_replay_init(struct rdma_replay *r, const struct fabric_config *config,
                      const struct rdma_replay_machine *machine,
                      const struct replay_source *source, unsigned sources, uint64_t limit,
                      uint64_t seed, unsigned cpus);
void rdma_replay_free(struct rdma_replay *r);

/* On CPU 0 of each host, before and after: what every program needs. */
void rdma_replay_set_up(struct rdma_replay *r, unsigned host);
void rdma_replay_take_down(struct rdma_replay *r, unsigned host);

/* The program of a host's CPU: returns when all records are replayed and every region is
 * released. */
void rdma_replay_run(struct rdma_replay *r, unsigned host, unsigned cpu);

/* Whether the record is one that this replays. */
static inline bool rdma_replay_plays(const struct trace_record *record)
{
    return trace_op_is_rdma(record->op);
}

#endif
