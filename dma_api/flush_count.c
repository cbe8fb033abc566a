/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_count - flush with every so many unmaps, and never otherwise.
 *
 * What waits stays reachable for as long as nobody unmaps: the bound is one of unmaps, not
 * of time.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define COUNT_PARAMS(P)          \
    P(u32, unmaps, 128, 1, 65535, ANY, "unmaps", "Flush with every so many", \
     "half of a flush queue of Linux")
/* clang-format on */

struct count_config {
    COUNT_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct count_config
static const struct param_def count_params[]      = { COUNT_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table count_param_table = { "count", "The count-limited batch",
                                                      count_params,
                                                      sizeof(struct count_config), NULL };

static void count_rules(const void *config, struct flush_rules *r)
{
    const struct count_config *c = config;
    r->batch                     = BATCH_domain;
    r->grain                     = GRAIN_domain;
    r->every                     = c->unmaps;
    r->ring_entries              = 2;
    while (r->ring_entries <= r->every)
        r->ring_entries *= 2;
}

const struct flush_policy flush_count = {
    .name       = "count",
    .summary    = "Flush the domain with every N-th unmap; no timer",
    .source     = "a point of the design space (catalogue 15)",
    .promise    = PROMISE_BOUNDED_COUNT,
    .translates = true,
    .params     = &count_param_table,
    .rules      = count_rules,
};
