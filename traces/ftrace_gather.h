/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ftrace_gather - the memory that a thread maps for the request it is about to issue.
 *
 * A thread is a task, or one kind of interrupt on one CPU. Tasks are told apart by their
 * number and not by their CPU, because they may be preempted, and even moved, between the
 * events of one request. Memory is bounded: the thread that was silent longest is forgotten
 * when there are too many.
 */
#ifndef TRACES_FTRACE_GATHER_H
#define TRACES_FTRACE_GATHER_H

#include "traces/ftrace_line.h"
#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GATHER_THREADS_MAX = 128 };

/* One thread's. It either precedes its request (an NVMe command was set up), or follows it
 * (a SCSI request was issued). */
struct gather {
    uint64_t thread, used_at;
    bool follows;
    struct ftrace_command command; /* Set up, when it precedes. */
    uint64_t record, bytes;        /* Issued, when it follows. */
    enum trace_op op;

    bool broken; /* The pieces are known to be incomplete. */
    uint32_t segment_count, run_count;
    uint64_t segment_bytes;
    struct trace_segment *segment; /* Pieces as the DMA events name them. */
    struct ftrace_mapping *run;    /* What the IOMMU was told, which is whole pages. */
};

struct gather_table {
    uint32_t count;
    uint64_t clock;
    struct gather thread[GATHER_THREADS_MAX];
};

/* Which thread speaks: the idle tasks of all CPUs share the number 0, and count as their
 * CPUs' tasks. */
uint64_t ftrace_thread(const struct ftrace_line *line);

void gather_table_free(struct gather_table *table);

/* The thread's gathering, or NULL. */
struct gather *gather_find(struct gather_table *table, const struct ftrace_line *line);

/* Begins an empty one, in place of the thread's last. */
struct gather *gather_open(struct gather_table *table, const struct ftrace_line *line);
void gather_close(struct gather_table *table, struct gather *gather);

void gather_add(struct gather *gather, const struct ftrace_mapping *piece);
void gather_add_run(struct gather *gather, const struct ftrace_mapping *run);

/* Forgets the runs inside a mapping that turned out to be for something else. */
void gather_drop_runs(struct gather *gather, const struct ftrace_mapping *other);

/* Adds the pieces of a scatter list. False when the lists do not parse. */
bool gather_add_lists(struct gather *gather, struct ftrace_lists lists);

/* The segments, if they sum to bytes: *count of them, valid until gather changes. NULL and
 * 0 otherwise: better no memory than the wrong one. */
const struct trace_segment *gather_segments(struct gather *gather, uint64_t bytes,
                                            uint32_t *count);

#ifdef __cplusplus
}
#endif

#endif
