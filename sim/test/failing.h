/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failing - what becomes of a program, or a call, when memory runs out: in a fresh machine
 * each time the first allocation fails, then the second, ... until none is reached.
 *
 *     static void unwinds(struct kernel_rig *r, void *state)
 *     {
 *         struct failing *f = state;
 *         kernel_rig_fail_at(r, f->nth);
 *         ...                                  counts f->failures, leaves nothing
 *         f->reached = kernel_rig_failed(r);
 *     }
 *     EXPECT(failing_each("7.3", "strict", unwinds) > 0);
 */
#ifndef SIM_TEST_FAILING_H
#define SIM_TEST_FAILING_H

#include "sim/test/kernel_rig.h"

struct failing {
    uint64_t nth; /* The allocation that fails, from 1 on. */
    unsigned failures;
    bool reached; /* There were so many. */
};

/* Returns the failures. */
unsigned failing_each(const char *release, const char *policy, kernel_program *attempt);

/* For calls that undo what they did and say whether it worked. */
struct failing_calls {
    enum kernel_rig_hardware hardware;
    void (*prepare)(struct kernel_rig *r); /* Before the machine runs; NULL: nothing. */
    void (*begin)(struct kernel_rig *r);   /* In it, before all else; NULL: nothing. */
    void (*expect_empty)(struct kernel_rig *r); /* Nothing is mapped. */
    bool warns;                                 /* A failure may warn. */
};

/* Returns how often the call failed; machines, if not NULL: how many there were, the last
 * of which had no failure. After each failure nothing is mapped and no page is out but
 * tables, and the same call then works. */
unsigned failing_calls(const struct failing_calls *how,
                       bool (*attempt)(struct kernel_rig *r), unsigned *machines);

#endif
