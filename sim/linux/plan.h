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
 * - A drain is one line, but lasts: where the allocator's order has another CPU's row
 * between two ranges that it gives back, that CPU's turn comes there.
 */
#ifndef SIM_LINUX_PLAN_H
#define SIM_LINUX_PLAN_H

#include "sim/linux/recording.h"

enum step_kind {
    STEP_call,    /* The row; of a timer, what STEP_flush has not done yet. */
    STEP_flush,   /* The first half of a timer's row: the invalidation. */
    STEP_more,    /* The row goes on, where STEP_call or STEP_more has held it. */
    STEP_outside, /* A row of the allocator's recording. */
};

struct step {
    uint32_t row;
    uint32_t until; /* It is held before it gives back that many and one more ranges. */
    uint8_t kind;
    uint8_t cpu; /* Where it runs. Between a row that is held and its STEP_more, no other
                  * row runs there. */
};
#define STEP_TO_THE_END UINT32_MAX

struct plan {
    struct step *step;
    uint32_t steps, room;
    uint32_t moved, outside; /* Rows whose place is not that of their line. */
    const struct recording *calls, *allocator; /* allocator: NULL without one. */
    uint8_t space_of[256]; /* The calls' name for each space of the allocator's. */
    uint8_t *excused;      /* Of each call: enum resync_rule by which its place is. */
    bool *unmatched;       /* Of each call: the allocator's recording does not have it. */
    bool *after_gap; /* Of drains: what was queued in the gap before the section may be
                      * among what it gives back. */
};

/* order: in which the allocator's calls happened; excused: of each, the rule by which that
 * is not where its line stands. Without that recording, all three NULL. */
void plan_make(struct plan *p, const struct recording *calls,
               const struct recording *allocator, const uint32_t *order,
               const uint8_t *excused);
void plan_free(struct plan *p);

enum { PLAN_RANGE = 'r' };

/* What the lines of the calls say of the allocator's calls: of each row of its recording.
 */
struct plan_lines {
    uint32_t
        *sequence; /* The rows in the order of the lines of the calls that made them. */
    uint8_t *cpu;  /* Where that line says that it ran. */
    char *context; /* t, s, h; PLAN_RANGE: a task's range; 0: no line is known. */
};
void plan_lines_find(struct plan_lines *l, const struct recording *calls,
                     const struct recording *allocator);
void plan_lines_free(struct plan_lines *l);

#endif
