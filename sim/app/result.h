/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result - a result as its readers see it: runs with a name and metrics.
 *
 * It is made from a document of schema iovasim.result/1 (one replay) or iovasim.suite/1
 * (several, each a case with a name), fresh from a run or read from a file; reports, the
 * gate and the explanation of differences all start here. A run's name,
 * WORKLOAD/PRESET/POLICY/API, is unique in a result and stable from one version to the
 * next.
 */
#ifndef SIM_APP_RESULT_H
#define SIM_APP_RESULT_H

#include <jansson.h>

#include "sim/app/metric.h"
#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct result_metric {
    const char *name, *unit;
    enum metric_better better;
    double value;
    char *failure; /* Why a gate does not let it pass; NULL: it does. Freed with the result.
                    */
};

struct result_run {
    char *name;     /* WORKLOAD/PRESET/POLICY/API */
    char *workload; /* The case of a suite, or the names of the traces. */
    const char *preset, *policy, *api;
    uint64_t cpus, seed;
    struct result_metric *metric;
    unsigned metrics;
    const json_t *json;   /* The member of runs[]. */
    const json_t *config; /* Its resolved configuration. */
    const json_t *traces; /* An array. */
};

struct result {
    char *name;          /* Of the file, for messages. */
    const char *version; /* Of the program that wrote it. */
    struct result_run *run;
    unsigned runs;
    json_t *document;
    json_t *held;       /* What was made for it. */
    json_t *place;      /* Of each run's name in run[]. */
    const char *commit; /* What the program under test was, for formats that say it. */
    int64_t time;       /* Seconds since 1970, likewise; 0: not known. */
};

/*
 * Reads FILE ("-": standard input). False with one line: the file, and where in it what was
 * expected; then there is nothing to free.
 */
bool result_load(struct result *r, const char *path, struct error *error);

/* Takes over a document (also when it returns false). */
bool result_adopt(struct result *r, json_t *document, const char *name,
                  struct error *error);
void result_free(struct result *r);

const struct result_run *result_find(const struct result *r, const char *run);
struct result_metric *result_metric_find(const struct result_run *run, const char *name);

/* The value of a metric that the run must have. */
double result_metric_value(const struct result_run *run, const char *name);

/* How many requests were replayed, of either kind of trace. */
double result_records(const struct result_run *run);

/* The counter at a path like "software.kernel.descriptor", or fallback. */
double result_number(const json_t *from, const char *path, double fallback);

/* The fewest digits that read back as the value; returns text. */
const char *result_digits(double value, char text[32]);

#ifdef __cplusplus
}
#endif

#endif
