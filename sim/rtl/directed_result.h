/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_result - what an experiment on the model has measured, for directed.c to
 * compare.
 *
 * An experiment puts down every metric that it knows, by name, or for one row of its
 * scenario where the name says too little (a sweep has the same one twice); and the
 * accesses to memory in windows of time, each with the cycle that its recording counts
 * from.
 */
#ifndef SIM_RTL_DIRECTED_RESULT_H
#define SIM_RTL_DIRECTED_RESULT_H

#include "sim/rtl/directed.h"
#include "sim/rtl/directed_bench.h"

#ifdef __cplusplus
extern "C" {
#endif

enum directed_note {
    DIRECTED_NOTE_ANY,   /* Says nothing that could be compared. */
    DIRECTED_NOTE_EQUAL, /* But for space at the end. */
    DIRECTED_NOTE_WORDS, /* The row's has each of these words (key=value, mostly). */
};

struct directed_measure {
    const struct directed_row *row; /* NULL: every row of this metric. */
    char metric[64];
    int64_t value;
    enum directed_note kind;
    char *note;
    enum directed_rule rule; /* Excludes the row if it does not agree; or, when partly, */
    bool partly;             /* what note leaves out. */
};

struct directed_window {
    char experiment[96];
    size_t count;
    struct directed_access *access;
    enum directed_rule rule; /* May exclude rows presented from cycle valid_below on. */
    int64_t valid_below;
};

struct directed_run {
    /* Given: the scenario's rows, and what the IOMMU is configured with otherwise. */
    const struct directed_file *file;
    const struct directed_row *row;
    size_t rows;
    const struct iommu_settings *settings;
    /* Found. */
    size_t measures, windows;
    struct directed_measure *measure;
    struct directed_window *window;
    struct error *error;
};

/* What one experiment does; false with run->error set. */
typedef bool directed_experiment(struct directed_run *run);

struct directed_bench *directed_bench_of(const struct directed_run *run);

/* A metric by its name, which is a printf format; returned for a note or a rule. */
__attribute__((format(printf, 3, 4))) struct directed_measure *
directed_measure(struct directed_run *run, int64_t value, const char *metric, ...);
/* The metric of one row. */
struct directed_measure *directed_measure_row(struct directed_run *run,
                                              const struct directed_row *row,
                                              int64_t value);
__attribute__((format(printf, 3, 4))) void directed_note(struct directed_measure *measure,
                                                         enum directed_note kind,
                                                         const char *format, ...);
void directed_exclude(struct directed_measure *measure, enum directed_rule rule);
void directed_exclude_partly(struct directed_measure *measure, enum directed_rule rule);

/* The RTL's address is wrong where a page of the first stage is a part of one of the
 * second: see the rule nested_leaf_sizes. */
bool directed_wrong_address(const struct directed_scenario *s);

/* Accesses presented in cycles first to last, for the recording called name, which counts
 * from the cycle origin. */
struct directed_window *directed_window(struct directed_run *run,
                                        const struct directed_bench *b, const char *name,
                                        cycle_t origin, cycle_t first, cycle_t last);

/* "FILE, line N: ..." of a row; returns false. */
__attribute__((format(printf, 3, 4))) bool directed_fail(const struct directed_run *run,
                                                         const struct directed_row *row,
                                                         const char *format, ...);

/* The row of this metric, or NULL. */
const struct directed_row *directed_row_of(const struct directed_run *run,
                                           const char *metric);

/* The experiments, each in the file of its family. */
directed_experiment directed_latency_experiment, directed_latency_process_experiment,
    directed_bare_experiment, directed_throughput_experiment,
    directed_hit_under_miss_experiment, directed_queued_misses_experiment,
    directed_concurrent_fetch_experiment, directed_command_experiment,
    directed_fault_experiment, directed_fault_burst_experiment,
    directed_register_experiment, directed_replacement_experiment,
    directed_sweep_experiment, directed_hit_sweep_experiment;

#ifdef __cplusplus
}
#endif

#endif
