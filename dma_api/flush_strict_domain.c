/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_strict_domain - invalidate inside every unmap, and all of the domain with it.
 *
 * One command whatever the range; what other requests still need must be walked for again.
 */
#include "dma_api/flush.h"

static void strict_domain_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->grain = GRAIN_domain;
}

const struct flush_policy flush_strict_domain = {
    .name       = "strict-domain",
    .summary    = "Invalidate inside every unmap, everything of the domain",
    .source     = "drivers without page-selective invalidation, e.g. VT-d without CAP.PSI "
                  "(catalogue 6)",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .rules      = strict_domain_rules,
};
