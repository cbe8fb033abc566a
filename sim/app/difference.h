/* SPDX-License-Identifier: Apache-2.0 */
/*
 * difference - what two results were told differently: parameters, traces, CPUs, seeds.
 *
 * A difference that many runs share is one difference.
 */
#ifndef SIM_APP_DIFFERENCE_H
#define SIM_APP_DIFFERENCE_H

#include <stdio.h>

#include "sim/app/result.h"

#ifdef __cplusplus
extern "C" {
#endif

struct difference {
    char *key;            /* "iotlb.sets", "cpus", "trace 1 sha256" */
    char *before, *after; /* NULL: that side does not know the key. */
    unsigned runs;
    const char *run; /* The first. */
};

struct differences {
    struct difference *one;
    unsigned count, changed; /* changed: those that both sides know. */
};

/* Adds those of a pair of runs. ignore: patterns of keys, NULL behind the last; or NULL. */
void differences_add(struct differences *d, const struct result_run *before,
                     const struct result_run *after, const char *const *ignore);
void differences_free(struct differences *d);

/* One line each; runs: of how many. */
void differences_put(const struct differences *d, unsigned runs, const char *bullet,
                     FILE *out);

#ifdef __cplusplus
}
#endif

#endif
