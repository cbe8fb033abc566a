/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_hybrid - invalidate inside every unmap: small ranges page by page, large ones with
 * the whole domain.
 *
 * The threshold is where the commands saved outweigh the entries lost.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define HYBRID_PARAMS(P)          \
    P(u32, pages, 26, 1, 1048576, ANY, "pages", "Page by page up to so many, the domain beyond", \
     "break-even of page-wise and domain-wise flushes on an SMMUv2 (catalogue, D.4)")
/* clang-format on */

struct hybrid_config {
    HYBRID_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct hybrid_config
static const struct param_def hybrid_params[]      = { HYBRID_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table hybrid_param_table = { "hybrid",
                                                       "The threshold of the flush",
                                                       hybrid_params,
                                                       sizeof(struct hybrid_config), NULL };

static void hybrid_rules(const void *config, struct flush_rules *r)
{
    const struct hybrid_config *c = config;
    r->grain                      = GRAIN_hybrid;
    r->hybrid_pages               = c->pages;
}

const struct flush_policy flush_hybrid = {
    .name = "hybrid",
    .summary =
        "Invalidate inside every unmap: page by page up to a threshold, the domain beyond",
    .source =
        "VT-d's mask limit, 2 MiB of drivers/iommu/riscv, ASID flush of Arm (catalogue 7)",
    .promise    = PROMISE_NOTHING_STALE,
    .translates = true,
    .params     = &hybrid_param_table,
    .rules      = hybrid_rules,
};
