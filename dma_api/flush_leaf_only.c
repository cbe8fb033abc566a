/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_leaf_only - invalidate inside every unmap, and only leaves: pointers to tables stay
 * cached.
 *
 * That is allowed only as long as no table is taken out, so tables stay where they are,
 * however empty; they go when a larger page takes their place, and with the domain.
 */
#include "dma_api/flush.h"

static void leaf_only_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->keep_tables = true;
}

const struct flush_policy flush_leaf_only = {
    .name = "leaf-only",
    .summary =
        "Invalidate inside every unmap, but keep page tables and what caches point to them",
    .source     = "VT-d's invalidation hint, Fast & Safe's ablation (catalogue 10)",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .rules      = leaf_only_rules,
};
