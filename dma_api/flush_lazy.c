/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_lazy - Linux's flush queue: unmap now, invalidate in bulk later.
 *
 * Each CPU has a ring of ranges whose entries are cleared but which may still be cached. A
 * full ring flushes the whole domain on the spot; otherwise a timer does, some time after
 * the first range. Between unmap and flush a device can still reach the pages.
 *
 * Follows queue_iova and fq_flush_timeout of drivers/iommu/dma-iommu.c (iommu.strict=0).
 */
#include "dma_api/flush.h"

/* clang-format off */
#define LAZY_PARAMS(P)                                                                              \
    P(u32, ring_entries,   256, 2,  65536, POW2, "ranges", "Ring of each CPU; one slot stays empty", \
      "IOVA_DEFAULT_FQ_SIZE, drivers/iommu/dma-iommu.c")                                            \
    P(u32, timeout_us,   10000, 1, 10000000, ANY, "us",    "From the first range to the timer",     \
      "IOVA_DEFAULT_FQ_TIMEOUT, drivers/iommu/dma-iommu.c")
/* clang-format on */

struct lazy_config {
    LAZY_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct lazy_config
static const struct param_def lazy_params[]      = { LAZY_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table lazy_param_table = { "lazy", "The flush queue", lazy_params,
                                                     sizeof(struct lazy_config), NULL };

static void lazy_rules(const void *config, struct flush_rules *r)
{
    const struct lazy_config *c = config;
    r->batch                    = BATCH_cpu;
    r->grain                    = GRAIN_domain;
    r->ring_entries             = c->ring_entries;
    r->timeout_ps               = c->timeout_us * TIME_US;
}

const struct flush_policy flush_lazy = {
    .name = "lazy",
    .summary =
        "Per-CPU flush queue: invalidate the domain when a ring is full or a timer fires",
    .source     = "Linux iommu.strict=0, drivers/iommu/dma-iommu.c",
    .promise    = PROMISE_BOUNDED_TIME,
    .translates = true,
    .as_linux   = true,
    .params     = &lazy_param_table,
    .rules      = lazy_rules,
};
