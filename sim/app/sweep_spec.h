/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_spec - the points of a sweep, as a YAML file asks for them (docs/sweeps.md).
 *
 * A point is one run. The same file gives the same points in the same order, always: they
 * are known by their numbers.
 */
#ifndef SIM_APP_SWEEP_SPEC_H
#define SIM_APP_SWEEP_SPEC_H

#include "sim/app/spec.h"

enum { SWEEP_AXES_MAX = 32, SWEEP_POINTS_MAX = 100000 };

struct sweep_axis {
    char *key;    /* "iotlb.sets", "policy", "trace" ... */
    char **value; /* What it takes, NULL behind the last; or, when there is none, */
    unsigned values;
    double from, to; /* whole numbers of this range, */
    bool log;        /* evenly by size, or by ratio. */
};

struct sweep {
    char *name;
    struct sweep_axis axis[SWEEP_AXES_MAX];
    unsigned axes;
    struct spec *point;
    char **line; /* spec_line of each. */
    unsigned points;
    unsigned drawn; /* Before those that were there already were left out. */
};

bool sweep_load(struct sweep *s, const char *path, struct error *error);
void sweep_free(struct sweep *s);

#endif
