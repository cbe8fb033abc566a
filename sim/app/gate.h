/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate - holds a result against a baseline.
 *
 * Simulated figures are exact, so there is no statistics in it: what was run must be the
 * same, and then each metric may become worse by its tolerance only.
 */
#ifndef SIM_APP_GATE_H
#define SIM_APP_GATE_H

#include <stdio.h>

#include "sim/app/difference.h"
#include "sim/app/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What better is: as the metric says, or as a rule does. */
enum gate_better { GATE_as_metric, GATE_lower, GATE_higher, GATE_same, GATE_any };
enum gate_severity { GATE_fail, GATE_warn, GATE_ignore };

/* For the metrics whose name, or RUN/NAME, match. */
struct gate_rule {
    char *match;
    double tolerance; /* As a share of the baseline's value. */
    double floor;     /* In the metric's unit: smaller changes do not count. */
    enum gate_better better;
    enum gate_severity severity;
};

struct gate_config {
    struct gate_rule *rule; /* The first that matches; the last matches all. */
    unsigned rules;
    char **allow_missing;     /* Patterns of runs and RUN/METRIC; NULL behind the last. */
    char **ignore_parameters; /* Patterns of keys. */
};

/* What holds without a file: 0.1 % for everything. */
void gate_config_init(struct gate_config *c);
bool gate_config_load(struct gate_config *c, const char *path, struct error *error);
void gate_config_free(struct gate_config *c);

enum gate_class {
    GATE_REGRESSED,
    GATE_WARNED,
    GATE_IMPROVED,
    GATE_CHANGED,
    GATE_UNCHANGED
};

struct gate_finding {
    const struct result_run *before_run, *after_run;
    const struct result_metric *before, *after;
    const struct gate_rule *rule;
    enum gate_class verdict;
    double change; /* As a share of the value before; infinite from 0. */
};

struct gate {
    const struct result *before, *after;
    struct differences differences;
    unsigned missings;
    char **missing;                 /* Runs and metrics that only the baseline has. */
    unsigned pairs, metrics, added; /* added: runs and metrics that only the new one has. */
    struct gate_finding *finding;   /* All but the unchanged: by class, the worst first. */
    unsigned findings, of_class[GATE_UNCHANGED + 1];
    const struct gate_rule *rule; /* The file's, and which of them a metric went by. */
    bool *used;
    unsigned rules;
};

/* Compares; after's metrics that regressed get their failure. */
void gate_judge(struct gate *g, const struct gate_config *c, const struct result *before,
                struct result *after);
void gate_free(struct gate *g);

/* Whether it may be compared at all. */
bool gate_comparable(const struct gate *g);

/* A summary in Markdown; or, for a terminal, in aligned columns, with colour if it has that. */
void gate_put(const struct gate *g, FILE *out);
void gate_put_on_terminal(const struct gate *g, FILE *out);

#ifdef __cplusplus
}
#endif

#endif
