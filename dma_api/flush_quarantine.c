/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_quarantine - the flush queue, but pages are not used again before their flush.
 *
 * As fast as lazy at the price of memory that waits; a device may still see or change the
 * data that it was given, never what comes after it.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define QUARANTINE_PARAMS(P)          \
    P(u32, ring_entries, 256, 2, 65536, POW2, "ranges", "Ring of each CPU; one slot stays empty", \
     "as lazy") \
    P(u32, timeout_us, 10000, 1, 10000000, ANY, "us", "From the first range to the flush", \
     "as lazy")
/* clang-format on */

struct quarantine_config {
    QUARANTINE_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct quarantine_config
static const struct param_def quarantine_params[]      = { QUARANTINE_PARAMS(PARAM_ROW)
                                                               PARAM_END };
static const struct param_table quarantine_param_table = { "quarantine", "The quarantine",
                                                           quarantine_params,
                                                           sizeof(struct quarantine_config),
                                                           NULL };

static void quarantine_rules(const void *config, struct flush_rules *r)
{
    const struct quarantine_config *c = config;
    r->batch                          = BATCH_cpu;
    r->grain                          = GRAIN_domain;
    r->hold                           = true;
    r->ring_entries                   = c->ring_entries;
    r->timeout_ps                     = c->timeout_us * TIME_US;
}

const struct flush_policy flush_quarantine = {
    .name       = "quarantine",
    .summary    = "Per-CPU flush queue that also holds back the pages until their flush",
    .source     = "a point of the design space (catalogue 43)",
    .promise    = PROMISE_BOUNDED_TIME,
    .translates = true,
    .params     = &quarantine_param_table,
    .rules      = quarantine_rules,
};
