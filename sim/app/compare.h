/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare - the same replay under several flush policies, each in a process of its own, as
 * many at a time as there are cores; and what the comparison looks like.
 *
 * The order of the results is that of the jobs, whichever ended first: the same call gives
 * the same bytes, whatever the number of processes.
 */
#ifndef SIM_APP_COMPARE_H
#define SIM_APP_COMPARE_H

#include <stdio.h>

#include "sim/app/machine.h"
#include "sim/app/metric.h"
#include "sim/app/progress.h"

enum { COMPARE_JOBS_MAX = 64 };

/* What all jobs have in common; each opens the traces for itself. */
struct compare_setup {
    const struct config *config;
    struct machine_run run; /* Its policy, source, progress and interrupted are ignored. */
    const char *const *path;
    unsigned paths;
    unsigned processes; /* At a time, at least 1. */
};

/* One policy and what became of it. */
struct compare_job {
    const struct flush_policy *policy;
    bool done; /* The rest is there. */
    enum machine_outcome outcome;
    struct error error; /* Unless it ran: why not. */
    struct machine_result result;
    double metric[METRIC_COUNT];
    bool cheap, fast; /* In the set of best choices by cycles, by throughput. */
};

/*
 * Runs them all. False when one was interrupted, or a process could not be started or has
 * died: error says so, and nothing is left running.
 */
bool compare_run(const struct compare_setup *setup, struct compare_job *job, unsigned jobs,
                 struct progress *progress, struct error *error);

/* How much of memory a device can reach beside what it is lent: page-microseconds for each
 * I/O of pages given back and of pools. INFINITY: it is not translated at all. */
double compare_reach(const struct compare_job *job);

/* Marks the jobs of which none other is better in reach and no worse in cycles (cheap), in
 * throughput (fast), or the other way round. */
void compare_mark_best(struct compare_job *job, unsigned jobs);

/* Those that ran first, the best by this metric at the top; the others as they were. */
void compare_sort(struct compare_job **job, unsigned jobs, enum metric_id by);

/* For the terminal: one row for each job that ran, then why the others did not. */
void compare_table(struct compare_job *const *job, unsigned jobs, FILE *out, bool colour);

/* Every metric of every job that ran, with a heading line. */
void compare_csv(struct compare_job *const *job, unsigned jobs, FILE *out);

/* Cycles against reach, as an SVG image. */
void compare_plot(struct compare_job *const *job, unsigned jobs, const char *title,
                  FILE *out);

#endif
