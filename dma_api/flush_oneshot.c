/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_oneshot - cached translations end by themselves, with the last byte of their page.
 *
 * A device that uses what it was given leaves nothing stale behind; one that does not, or
 * whose buffers are parts of pages, is cleaned up after by a flush queue, which also keeps
 * the addresses until then.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define ONESHOT_PARAMS(P)                                                                           \
    P(u32, ring_entries, 256, 2, 65536, POW2, "ranges", "Ring of each CPU; one slot stays empty", "as lazy") \
    P(u32, timeout_us, 10000, 1, 10000000, ANY, "us", "From the first range to the flush", "as lazy")
/* clang-format on */

struct oneshot_config {
    ONESHOT_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct oneshot_config
static const struct param_def oneshot_params[] = { ONESHOT_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table oneshot_param_table = {
    "oneshot", "What is left behind", oneshot_params, sizeof(struct oneshot_config), NULL
};

static void oneshot_rules(const void *config, struct flush_rules *r)
{
    const struct oneshot_config *c = config;
    r->batch                       = BATCH_cpu;
    r->grain                       = GRAIN_domain;
    r->ring_entries                = c->ring_entries;
    r->timeout_ps                  = c->timeout_us * TIME_US;
}

const struct flush_policy flush_oneshot = {
    .name    = "oneshot",
    .summary = "Cached translations end with the last byte of their page; the rest is lazy",
    .source  = "hardware-assisted one-shot mappings (catalogue 37)",
    .promise = PROMISE_BOUNDED_TIME,
    .needs   = EXT_CAP_ONESHOT,
    .translates = true,
    .params     = &oneshot_param_table,
    .rules      = oneshot_rules,
};
