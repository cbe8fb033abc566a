/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_lazy_sq - one flush queue for all CPUs, long and slow.
 *
 * What Linux does where a flush is very expensive (shadow_on_flush of s390): one ring with
 * one lock, flushed every second or when it is full.
 */
#include "dma_api/flush.h"

/* clang-format off */
#define LAZY_SQ_PARAMS(P)          \
    P(u32, ring_entries, 32768, 2, 65536, POW2, "ranges", "Ring of all CPUs; one slot stays empty", \
     "IOVA_SINGLE_FQ_SIZE, drivers/iommu/dma-iommu.c") \
    P(u32, timeout_us, 1000000, 1, 10000000, ANY, "us", "From the first range to the flush", \
     "IOVA_SINGLE_FQ_TIMEOUT, drivers/iommu/dma-iommu.c")
/* clang-format on */

struct lazy_sq_config {
    LAZY_SQ_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct lazy_sq_config
static const struct param_def lazy_sq_params[] = { LAZY_SQ_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table lazy_sq_param_table = {
    "lazy-sq", "The single flush queue", lazy_sq_params, sizeof(struct lazy_sq_config), NULL
};

static void lazy_sq_rules(const void *config, struct flush_rules *r)
{
    const struct lazy_sq_config *c = config;
    r->batch                       = BATCH_domain;
    r->grain                       = GRAIN_domain;
    r->ring_entries                = c->ring_entries;
    r->timeout_ps                  = c->timeout_us * TIME_US;
}

const struct flush_policy flush_lazy_sq = {
    .name    = "lazy-sq",
    .summary = "One flush queue for all CPUs: 32768 ranges or a second",
    .source = "Linux IOMMU_DMA_OPTS_SINGLE_QUEUE, drivers/iommu/dma-iommu.c (catalogue 12)",
    .promise    = PROMISE_BOUNDED_TIME,
    .translates = true,
    .as_linux   = true,
    .params     = &lazy_sq_param_table,
    .rules      = lazy_sq_rules,
};
