/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_range - invalidate inside every unmap, with commands for exactly its pages.
 *
 * Needs commands for a number of pages (Arm's range invalidation, the RISC-V IOMMU's
 * address range extension); an IOMMU without them is given aligned powers of two that add
 * up.
 */
#include "dma_api/flush.h"

static void range_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->grain = GRAIN_range;
}

const struct flush_policy flush_range = {
    .name       = "range",
    .summary    = "Invalidate inside every unmap, exactly its pages, in few commands",
    .source     = "Arm SMMUv3 range invalidation (catalogue 8)",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .rules      = range_rules,
};
