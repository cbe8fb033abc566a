/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay - a recorded block trace as the driver program of every CPU.
 *
 * Records keep their order on each CPU. When one is issued, replay.mode says: when as few
 * are in flight as were then (closed, the default: recorded times are not used), at its
 * recorded time (open), or at once (fast). A record of recorded CPU c runs on simulated CPU
 * c modulo their number. The trace is read as a stream: CPUs may be apart by at most a
 * window of records.
 *
 * Latency is counted from the time at which a record was to be issued: in an open replay
 * that is its recorded time, also when the CPU was not ready for it.
 *
 * A CPU that has polled requests under way polls for them while it has nothing to issue.
 *
 * Inaccuracies: one CPU issues for all of its devices in turn, without preferring any.
 */
#ifndef WORKLOADS_REPLAY_H
#define WORKLOADS_REPLAY_H

#include "traces/trace.h"
#include "workloads/bare.h"
#include "workloads/nvme_driver.h"
#include "workloads/placement.h"

const char *replay_mode_member(unsigned index);
const char *replay_devices_member(unsigned index);
const char *replay_polled_member(unsigned index);
const char *replay_buffers_member(unsigned index);

/* clang-format off */
#define REPLAY_PARAMS(P)                                                                            \
    P(name, mode,   closed, replay_mode_member, 0, ANY, "mode", "When a record is issued: closed by the depth, open at its time, fast at once", \
      "a choice of the replay")                                                                     \
    P(u32,  time_percent, 100, 1, 100000, ANY, "%",     "Of recorded times in an open replay: 50 is twice as fast", \
      "a choice of the replay")                                                                     \
    P(name, devices,  one, replay_devices_member, 0, ANY, "devices", "one: all traces one after the other; own: each trace at once on a drive with a domain of its own; shared: with one domain for all", \
      "a choice of the replay")                                                                     \
    P(name, polled,   none, replay_polled_member, 0, ANY, "requests", "Which are polled for rather than waited for: none, reads, or all that move data; needs driver.poll_queues", \
      "a choice of the replay: RWF_HIPRI, IORING_SETUP_IOPOLL")                                     \
    P(flag, user_commands, 0, 0, 1, ANY, "", "Reads and writes are commands of user space (IORING_OP_URING_CMD), not block requests", \
      "nvme_pci_use_sgls: SGLs wherever the drive takes them")                                      \
    P(name, buffers,   any, replay_buffers_member, 0, ANY, "buffers", "any: each request's memory is its own, as placed; registered: placement.buffers of each CPU, mapped at each use; premapped: the same, mapped once for all", \
      "io_uring: registered buffers are pinned, not mapped; premapped ones are backed by a dma-buf (patches of 2025 and 2026)") \
    P(u32,  buffer_kib, 1024, 4, 8192, POW2, "KiB",    "Of a buffer: no request may be larger",     \
      "a choice of the workload")                                                                   \
    P(u32,  depth,       0, 0,   4095, ANY, "requests", "In flight on each CPU; 0: as recorded, 1 where unknown", \
      "a choice of the replay")                                                                     \
    P(u32,  window,   1024, 1, 65536, POW2, "records",  "How far CPUs may be apart in the trace",   \
      "a choice of the replay")

#define REPLAY_STATS(S)                                                                             \
    S(record,       record, "records",  "Records replayed to their end")                            \
    S(split, record, "records",  "... that were larger than one request may be")             \
    S(placed,       record, "records",  "... whose buffers were placed (placement.model)")                 \
    S(late,         record, "records",  "... issued more than 1 us behind their time (open)")           \
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
    uint64_t index;             /* Of all records that are read, from 0. */
    struct trace_segment *segment;
    uint32_t segment_room;
};
#define RING_NAME replay_ring
#define RING_ITEM struct replay_record
#include "sim/base/ring.h"

enum { REPLAY_SOURCES_MAX = 64 };

/* For who looks at what the driver does for each record. It must not change anything. */
struct replay_watcher {
    /* The CPU issues this record now: what it maps from here on is for it. */
    void (*issued)(void *self, unsigned cpu, uint64_t index);
    void *self;
};

/* A trace to play, and what to call it in a message. */
struct replay_source {
    const char *name;
    struct trace_reader *reader;
};

/* Registered memory of a CPU. */
struct replay_buffer {
    struct replay_buffer *next; /* Of those that are free. */
    struct blk_segment *segment;
    uint32_t segments;
    struct nvme_buffer mapped; /* When it is premapped. */
};

/* What requests are given to: a drive's driver, or something else that takes them. */
struct replay_disk {
    int (*submit)(void *self, const struct nvme_io *io); /* As nvme_driver_submit. */
    void *self;
    const struct nvme_limits *limits;
    const uint64_t *blocks;
};

struct replay;
/* One record under way on a CPU. */
struct replay_flight {
    struct replay_cpu *owner;
    struct replay_flight *next;
    struct replay_buffer *buffer; /* NULL: it has none of the registered ones. */
    sim_time_t began;
    uint32_t pieces; /* Requests that are not completed. */
    bool failed;
};

struct replay_cpu {
    struct replay *replay;
    struct cpu *cpu;
    struct replay_ring waiting;
    struct replay_record *next; /* At the front; not yet issued. */
    bool starved;               /* Waits until another CPU has made room in its window. */
    bool over;                  /* It has issued its last record. */
    sim_time_t due;             /* Of the next record, when that is known and lies ahead. */
    uint32_t outstanding;
    uint32_t polled; /* Requests that nobody will interrupt for. */
    struct replay_flight *flight, *free;
    struct replay_buffer *buffer, *free_buffer; /* placement.buffers, when registered. */
    uint32_t flights;                           /* Of them, those that have been in use. */
    struct placement placement;
    struct bare bare;
    struct blk_segment segment[TRACE_SEGMENTS_MAX];
};

enum replay_buffers { REPLAY_BUFFERS_any, REPLAY_registered, REPLAY_premapped };
enum replay_polled { REPLAY_POLLED_none, REPLAY_POLLED_reads, REPLAY_POLLED_all };
enum replay_mode { REPLAY_closed, REPLAY_open, REPLAY_fast, REPLAY_MODES };
enum replay_devices { REPLAY_one, REPLAY_own, REPLAY_shared, REPLAY_DEVICES };
enum replay_devices replay_devices(const struct replay_config *config);

struct replay {
    enum replay_mode mode;
    enum replay_polled polled;
    enum replay_buffers buffers;
    bool begun;
    sim_time_t begin;  /* Of the replay, by the first CPU. */
    uint64_t ahead_ns; /* Recorded time of the sources that have been played. */
    uint64_t last_ns;  /* Of the last record, by the clock of all sources. */
    struct replay_config config;
    struct nvme_driver *driver; /* NULL: the disk has none here. */
    struct replay_disk disk;
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
    const struct replay_watcher *watcher; /* NULL: nobody watches. */
};

/* The sources are read from where they stand, at most limit records in all. driver NULL:
 * replay_use follows. */
void replay_init(struct replay *r, const struct replay_config *config,
                 const struct placement_config *placement,
                 const struct replay_source *source, unsigned sources, uint64_t limit,
                 uint64_t seed, struct nvme_driver *driver, struct cpu *const *cpu,
                 unsigned cpus);
void replay_free(struct replay *r);

/* Requests go there from here on, and nothing else is replayed. */
void replay_use(struct replay *r, const struct replay_disk *disk);

/* Bare accesses go to this device from here on. */
void replay_exercise(struct replay *r, struct device *dev, struct mmio_window *registers);

/* On one CPU, before any program begins: registers buffers, if there are to be any. False
 * with one line. */
bool replay_begin(struct replay *r, struct error *error);

/* On any CPU, when every CPU's program has returned: unmaps what stayed mapped. */
void replay_end(struct replay *r);

/* The program of the running CPU, for one replay of each of some devices: returns when all
 * records of this CPU are completed. */
void replay_run(struct replay *replay, unsigned replays);

#endif
