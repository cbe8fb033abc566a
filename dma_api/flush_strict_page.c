/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_strict_page - invalidate inside every unmap, page by page, each waited for.
 *
 * What an IOMMU driver does that knows neither ranges nor batches: the cost grows with the
 * pages. The upper end of what strict modes cost.
 */
#include "dma_api/flush.h"

static void strict_page_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->grain = GRAIN_page_sync;
}

const struct flush_policy flush_strict_page = {
    .name       = "strict-page",
    .summary    = "Invalidate inside every unmap, with a command and a wait for each page",
    .source     = "per-page IOTLB flush of early drivers (catalogue 3)",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .rules      = strict_page_rules,
};
