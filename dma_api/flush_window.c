/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_window - flush a fixed time after the first unmap that waits.
 *
 * The bound is what is chosen; the cost is a flush for each window in which something is
 * unmapped.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define WINDOW_PARAMS(P)          \
    P(u32, us, 100, 1, 10000000, ANY, "us", "The window", \
     "a hundredth of the flush queue of Linux")
/* clang-format on */

struct window_config {
    WINDOW_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct window_config
static const struct param_def window_params[]      = { WINDOW_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table window_param_table = { "window", "The time window",
                                                       window_params,
                                                       sizeof(struct window_config), NULL };

static void window_rules(const void *config, struct flush_rules *r)
{
    const struct window_config *c = config;
    r->batch                      = BATCH_cpu;
    r->grain                      = GRAIN_domain;
    r->ring_entries               = 4096;
    r->timeout_ps                 = c->us * TIME_US;
}

const struct flush_policy flush_window = {
    .name       = "window",
    .summary    = "Flush the domain T us after the first unmap that waits",
    .source     = "a point of the design space (catalogue 16)",
    .promise    = PROMISE_BOUNDED_TIME,
    .translates = true,
    .params     = &window_param_table,
    .rules      = window_rules,
};
