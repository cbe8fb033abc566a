/* SPDX-License-Identifier: Apache-2.0 */
/* compare - holds what a call did against what is recorded; for check.c. */
#ifndef SIM_LINUX_COMPARE_H
#define SIM_LINUX_COMPARE_H

#include "sim/linux/check.h"
#include "sim/linux/drive.h"

struct compare {
    struct drive *drive;
    struct check_result *result;
    struct kernel_stats before;
    bool alone;             /* There is no allocator's recording. */
    bool differs, excused;  /* The row under way. */
    enum resync_rule place; /* By which the row's place is not that of its line. */
};

/* Around the call. */
void compare_before(struct compare *c, const struct row *row);
/* Behind the first half of a timer's row: its invalidations. */
void compare_flush(struct compare *c, const struct row *row);
void compare_after(struct compare *c, const struct row *row);

/* A call of the allocator. */
void compare_allocator(struct compare *c, const struct row *row);

/* A call whose device cannot be told. */
void compare_unknown(struct compare *c, const struct row *row);

#endif
