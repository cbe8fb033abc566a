/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_strict - invalidate inside every unmap, one submission for the whole range.
 *
 * Follows __iommu_dma_unmap of drivers/iommu/dma-iommu.c without a flush queue
 * (iommu.strict=1): clear the entries, flush the range, free tables, free the addresses.
 */
#include "dma_api/flush.h"

const struct flush_policy flush_strict = {
    .name       = "strict",
    .summary    = "Invalidate inside every unmap, one command for the range",
    .source     = "Linux iommu.strict=1, drivers/iommu/dma-iommu.c",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .as_linux   = true,
};
