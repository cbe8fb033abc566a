/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_lazy_selective - the flush queue, but a flush names the ranges that wait.
 *
 * More commands than one for the domain, and no entry is lost that somebody still needs.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define LAZY_SELECTIVE_PARAMS(P)          \
    P(u32, ring_entries, 256, 2, 65536, POW2, "ranges", "Ring of each CPU; one slot stays empty", \
     "as lazy") \
    P(u32, timeout_us, 10000, 1, 10000000, ANY, "us", "From the first range to the flush", \
     "as lazy")
/* clang-format on */

struct lazy_selective_config {
    LAZY_SELECTIVE_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct lazy_selective_config
static const struct param_def lazy_selective_params[] = { LAZY_SELECTIVE_PARAMS(PARAM_ROW)
                                                              PARAM_END };
static const struct param_table lazy_selective_param_table = {
    "lazy-selective", "The selective flush queue", lazy_selective_params,
    sizeof(struct lazy_selective_config), NULL
};

static void lazy_selective_rules(const void *config, struct flush_rules *r)
{
    const struct lazy_selective_config *c = config;
    r->batch                              = BATCH_cpu;
    r->grain                              = GRAIN_usual;
    r->ring_entries                       = c->ring_entries;
    r->timeout_ps                         = c->timeout_us * TIME_US;
}

const struct flush_policy flush_lazy_selective = {
    .name       = "lazy-selective",
    .summary    = "Per-CPU flush queue whose flush names exactly the ranges in it",
    .source     = "a point of the design space (catalogue 14)",
    .promise    = PROMISE_BOUNDED_TIME,
    .translates = true,
    .params     = &lazy_selective_param_table,
    .rules      = lazy_selective_rules,
};
