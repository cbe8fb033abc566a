/* SPDX-License-Identifier: Apache-2.0 */
/*
 * comparison - the runs of one replay, side by side: as a document (schema
 * iovasim.result/1, docs/result.md), from which sim/app/result.h and every report are made,
 * and as tables on the terminal.
 */
#ifndef SIM_APP_COMPARISON_H
#define SIM_APP_COMPARISON_H

#include <jansson.h>
#include <stdio.h>

#include "sim/app/machine.h"
#include "sim/app/tracefile.h"

struct comparison_trace {
    const char *path, *format;
    char sha256[FILE_SHA256_CHARS + 1];
    uint64_t records; /* That each run replayed. */
};

struct comparison {
    const struct config *config; /* One for each preset, in the order of the runs. */
    unsigned configs;
    struct comparison_trace trace[REPLAY_SOURCES_MAX];
    unsigned traces, runs;
    struct machine_result *run;
};

/* The same document for the same comparison, always; to be released with json_decref. */
json_t *comparison_document(const struct comparison *report);

/* Every resolved parameter, as in the document. */
json_t *comparison_config(const struct config *c);

/* Tables of at most 80 columns; colour: with emphasis for a terminal. */
void comparison_table(const struct comparison *report, FILE *out, bool colour);

#endif
