/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_xsmmu - unmaps do not invalidate; the driver ends a batch of them with one flush.
 *
 * A driver that completes several requests at once (dma_unmap_batch_end) pays for one. Page
 * tables stay, so that pointers to them may stay cached.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define XSMMU_PARAMS(P)          \
    P(u32, ring_entries, 256, 2, 65536, POW2, "ranges", "Ring of each CPU; one slot stays empty", \
     "as lazy")
/* clang-format on */

struct xsmmu_config {
    XSMMU_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct xsmmu_config
static const struct param_def xsmmu_params[]      = { XSMMU_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table xsmmu_param_table = { "xsmmu", "The driver's batch",
                                                      xsmmu_params,
                                                      sizeof(struct xsmmu_config), NULL };

static void xsmmu_rules(const void *config, struct flush_rules *r)
{
    const struct xsmmu_config *c = config;
    r->batch                     = BATCH_driver;
    r->grain                     = GRAIN_domain;
    r->keep_tables               = true;
    r->ring_entries              = c->ring_entries;
}

const struct flush_policy flush_xsmmu = {
    .name = "xsmmu",
    .summary =
        "Nothing until the driver ends its batch of unmaps, then one flush of the domain",
    .source     = "driver-controlled sync of SMMU drivers (catalogue 20)",
    .promise    = PROMISE_BOUNDED_COUNT,
    .translates = true,
    .params     = &xsmmu_param_table,
    .rules      = xsmmu_rules,
};
