/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - a comparison of runs: as JSON (schema iovasim.result/1, docs/result.md) and as
 * tables on the terminal.
 */
#ifndef SIM_APP_REPORT_H
#define SIM_APP_REPORT_H

#include <stdio.h>

#include "sim/app/machine.h"
#include "sim/app/tracefile.h"

struct report_trace {
    const char *path, *format;
    char sha256[FILE_SHA256_CHARS + 1];
    uint64_t records; /* That each run replayed. */
};

struct report {
    const struct config *config; /* One for each preset, in the order of the runs. */
    unsigned configs;
    struct report_trace trace[REPLAY_SOURCES_MAX];
    unsigned traces, runs;
    struct machine_result *run;
};

/* The same bytes for the same report, always. False when the stream did not take them. */
bool report_json(const struct report *report, FILE *out);

/* Tables of at most 80 columns; colour: with emphasis for a terminal. */
void report_table(const struct report *report, FILE *out, bool colour);

#endif
