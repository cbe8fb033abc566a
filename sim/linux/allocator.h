/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allocator - replays a recording of the allocator of I/O virtual addresses, and finds the
 * order in which its calls did happen where races have put lines into another one.
 */
#ifndef SIM_LINUX_ALLOCATOR_H
#define SIM_LINUX_ALLOCATOR_H

#include "sim/linux/compare.h"
#include "sim/linux/plan.h"

/* A row served before its turn: the first of a run of such rows is the race. LATE_known:
 * its line stands behind those of interrupts, where it belongs. */
enum allocator_late { LATE_not, LATE_race, LATE_run, LATE_known };

struct allocator {
    struct compare *compare;
    struct iova_domain *space;
    const uint32_t *sequence; /* The rows as they come; NULL: as they are. */
    const char *context;      /* Of each row, as its call's line says; NULL: not known. */
    uint32_t *position;       /* Of each row in it. */
    uint8_t *late;            /* Of each row: enum allocator_late. */
    uint8_t *excused;         /* Of each row: enum resync_rule. */
    uint32_t row;             /* Under way. */
    uint32_t *after, *before; /* The calls in the order found, as a list of rows. */
    uint32_t first, last;
};

/* lines: what the lines of the calls say, or NULL to take the rows as they are. On CPU 0,
 * with the kernel there. */
void allocator_set_up(struct allocator *a, struct compare *compare,
                      const struct plan_lines *lines);
void allocator_call(struct allocator *a, uint32_t row); /* On the row's CPU. */
void allocator_tear_down(struct allocator *a);

/* The rows in the order found; so many as the recording has. Of each row, the rule by which
 * it is excused. */
void allocator_order(const struct allocator *a, uint32_t *order);
void allocator_free(struct allocator *a);

#endif
