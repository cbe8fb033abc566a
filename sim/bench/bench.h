/* SPDX-License-Identifier: Apache-2.0 */
/* bench - what `./dev bench` measures; every figure that is judged is a ratio within one
 * run. */
#ifndef SIM_BENCH_BENCH_H
#define SIM_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/engine.h"

/* Host seconds that this thread has spent so far. */
double bench_seconds(void);

/* Host nanoseconds to a translation, under the engine and on the bare functional floor. */
struct translate_bench {
    double engine_ns, floor_ns;
};
struct translate_bench bench_translate(const struct sim_host *host, bool miss,
                                       uint64_t count);

/* I/Os per host second of a file in traces/samples. */
double bench_replay(const struct sim_host *host, const char *sample);

/* Replays so many generated records with the program; false when it fails. */
struct memory_bench {
    double mib, seconds;
};
/* Converts a generated log of so many requests, from a pipe, into a native trace, and
 * replays up to limit of them; seconds are of CPU time. */
bool bench_convert(const char *program, uint64_t records, uint64_t limit,
                   struct memory_bench *convert, struct memory_bench *replay);

bool bench_memory(const char *program, uint64_t records, struct memory_bench *result);

/* Points of a second in a sweep of runs of 1000 I/Os, confined to each of two cores and on
 * both; by the clock, so the machine should have nothing else to do. points: a multiple of
 * 100. */
struct sweep_turn {
    double one[2], both;
    double ratio; /* Of both to the mean of one. */
};

enum { SWEEP_TURNS = 5 };

struct sweep_bench {
    struct sweep_turn turn[SWEEP_TURNS]; /* The least ratio first. */
    unsigned cores; /* That this process may use; with one core nothing is measured. */
};
bool bench_sweep(const char *program, unsigned points, struct sweep_bench *b);

#endif
