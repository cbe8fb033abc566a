/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan - the order in which the calls of a recording began.
 *
 * A recording's line stands where its tracepoint fired: a map's behind its work, so that
 * the calls of an interrupt that came in the middle stand before it. What the lines leave
 * open is taken from what the recording says elsewhere:
 *
 * - With the allocator's own recording of the same run (its order is exact), calls are put
 *   into the order of their allocations and releases, and what the allocator did outside
 *   the recorded calls is done, too.
 * - A range that a flush queue's drain does not give back was queued after its flush began;
 *   one that it gives back was queued before.
 * - A call that finds ranges covered by a flush was made between that timer's flush and its
 *   drain.
 */
#ifndef SIM_LINUX_PLAN_H
#define SIM_LINUX_PLAN_H

#include "sim/linux/recording.h"

enum step_kind {
    STEP_call,    /* The row; of a timer, what STEP_flush has not done yet. */
    STEP_flush,   /* The first half of a timer's row: the invalidation. */
    STEP_outside, /* A row of the allocator's recording. */
};

struct step {
    uint32_t row;
    uint8_t kind;
    uint8_t cpu; /* Where it runs. */
};

struct plan {
    struct step *step;
    uint32_t steps, room;
    uint32_t moved, outside; /* Rows whose place is not that of their line. */
    const struct recording *calls, *allocator; /* allocator: NULL without one. */
    uint8_t space_of[256]; /* The calls' name for each space of the allocator's. */
};

/* order: in which the allocator's calls happened. Without that recording, both NULL. */
void plan_make(struct plan *p, const struct recording *calls,
               const struct recording *allocator, const uint32_t *order);
void plan_free(struct plan *p);

/* The allocator's calls in the order of the lines of the calls that made them: order gets
 * each of its rows once. For a recording of the allocator whose own order was lost. */
void plan_line_order(const struct recording *calls, const struct recording *allocator,
                     uint32_t *order);

#endif
