/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cause - what a metric's change is made of: owners of CPU cycles by phase, parts of the
 * device's time, and counters of the blocks and of the policy's actions, in two runs.
 */
#ifndef SIM_APP_CAUSE_H
#define SIM_APP_CAUSE_H

#include <stdio.h>

#include "sim/app/result.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cause_kind {
    CAUSE_CYCLES  = 1, /* CPU cycles for each record, by phase and owner */
    CAUSE_DEVICE  = 2, /* ns for each DMA, by step */
    CAUSE_ACTIONS = 4, /* What API and policy did: counters of the software, a record */
    CAUSE_BLOCKS  = 8, /* What the hardware did: counters of IOMMU and device, a record */
};

struct cause_part {
    char name[96];
    const char *unit;
    double before, after;
};

struct cause {
    struct cause_part *part; /* Those that changed, the largest change of a kind first. */
    unsigned parts;
};

/* The parts of the kinds wanted (a sum of enum cause_kind). */
struct cause cause_find(const struct result_run *before, const struct result_run *after,
                        unsigned kinds);
void cause_free(struct cause *c);

/* The parts that explain a metric. Cycles of one phase are parts of that phase only. */
struct cause cause_of_metric(const struct result_run *before,
                             const struct result_run *after, const char *metric);

/* "inval_wait in unmap +12.3 cycles (61 % of the change)", up to three of them, or that
 * nothing has changed. */
void cause_put_line(const struct cause *c, const struct result_metric *before,
                    const struct result_metric *after, FILE *out);

#ifdef __cplusplus
}
#endif

#endif
