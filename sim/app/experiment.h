/* SPDX-License-Identifier: Apache-2.0 */
/*
 * experiment - traces replayed by presets, policies and APIs: what `iovasim replay`, a case
 * of a suite and a point of a sweep have in common, said in the words of the command line.
 *
 *     struct experiment *e = experiment_new();
 *     e->words.policy = "strict,lazy";            the words, sets and traces
 *     if (experiment_parse(e) && experiment_open(e) && experiment_run(e))
 *         use(&e->comparison);
 *     else
 *         return command_fail(e->status, "%s", e->error.text);
 *     experiment_free(e);
 */
#ifndef SIM_APP_EXPERIMENT_H
#define SIM_APP_EXPERIMENT_H

#include "sim/app/comparison.h"
#include "sim/app/findings.h"
#include "sim/app/progress.h"

enum { EXPERIMENT_POLICIES_MAX = 64, EXPERIMENT_PRESETS_MAX = 16 };

/* As behind the options of the same names; NULL: what is usual. They must outlive the
 * experiment. */
struct experiment_words {
    const char *preset, *api, *policy, *cpus, *limit, *seed, *host, *run_ahead, *progress,
        *attacker;
};

struct experiment {
    /* The caller's: */
    struct experiment_words words;
    const char *const *set; /* "key=value", for every preset, in order. */
    unsigned sets;
    const char *const *trace; /* Paths; NULL behind the last. */

    /* What comes of it: */
    uint64_t cpus;  /* 0: as recorded. */
    uint64_t limit; /* Of records; UINT64_MAX: all. */
    uint64_t seed;
    uint64_t records; /* That a run has replayed; 0: none is done. */
    bool rdma;        /* The traces are RDMA work. */
    struct config config[EXPERIMENT_PRESETS_MAX];
    unsigned presets;
    bool wants[BLK_API_COUNT];
    const struct flush_policy *policies[EXPERIMENT_POLICIES_MAX];
    unsigned policy_count, api_count;
    struct comparison comparison;
    struct replay_source source[REPLAY_SOURCES_MAX];
    struct progress progress;
    struct timeline *timeline; /* Draws every run; NULL: none. The caller's. */
    struct waves *waves;       /* The same, of one run. */
    struct findings findings;  /* Shown on standard error. */
    struct error error;        /* When one of the calls below returns false; */
    int status;                /* and the exit status then. */
};

struct experiment *experiment_new(void);
void experiment_free(struct experiment *e);

/* Resolves the words. */
bool experiment_parse(struct experiment *e);

/* Opens the traces and looks at their beginnings. */
bool experiment_open(struct experiment *e);

/* How many runs there are going to be. */
unsigned experiment_runs(const struct experiment *e);

/* Runs all, one after the other. */
bool experiment_run(struct experiment *e);

/* After the runs: false when linux.dma_debug has found something in any of them. Their
 * result is whole all the same. */
bool experiment_clean(struct experiment *e);

#endif
