/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_size_encoded - invalidate inside every unmap, with one command for the smallest
 * power of two of pages around it.
 *
 * One command for any range, and collateral where the range is not aligned to its size.
 */
#include "dma_api/flush.h"

static void size_encoded_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->grain = GRAIN_cover;
}

const struct flush_policy flush_size_encoded = {
    .name       = "size-encoded",
    .summary    = "Invalidate inside every unmap, the power of two of pages around it",
    .source     = "VT-d page-selective, AMD sized invalidation (catalogue 9)",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .rules      = size_encoded_rules,
};
