/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_pooled_bounce - small buffers move through mapped bounce buffers, large ones are
 * mapped strictly.
 *
 * Up to the threshold a copy is cheaper than a map, an unmap and an invalidation.
 */
#include "dma_api/bouncepool.h"

/* clang-format off */
#define POOLED_BOUNCE_PARAMS(P) \
    P(u32, threshold_kib, 8, 1, 252, ANY, "KiB", "Buffers up to this size are copied", \
      "break-even of copies at 8 to 10 KB (catalogue 23)")
/* clang-format on */

struct pooled_bounce_config {
    POOLED_BOUNCE_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct pooled_bounce_config
static const struct param_def pooled_bounce_params[] = { POOLED_BOUNCE_PARAMS(PARAM_ROW)
                                                             PARAM_END };
static const struct param_table pooled_bounce_param_table = {
    "pooled-bounce", "Pooled bounce buffers", pooled_bounce_params,
    sizeof(struct pooled_bounce_config), NULL
};

struct pooled_bounce {
    struct pooled_bounce_config config;
    struct bouncepool pool;
};

static void pooled_bounce_init(struct dma_domain *d, void *state, const void *config)
{
    struct pooled_bounce *s = state;
    s->config               = *(const struct pooled_bounce_config *)config;
    bouncepool_init(&s->pool, d);
}

static void pooled_bounce_exit(struct dma_domain *d, void *state)
{
    struct pooled_bounce *s = state;
    (void)d;
    bouncepool_free(&s->pool);
}

static bool pooled_bounce_serves(const void *state, uint64_t bytes)
{
    const struct pooled_bounce *s = state;
    return bytes <= (uint64_t)s->config.threshold_kib << 10;
}

static dma_addr_t pooled_bounce_map(struct dma_domain *d, void *state,
                                    const struct flush_mapping *m)
{
    struct pooled_bounce *s = state;
    (void)d;
    return bouncepool_map(&s->pool, m);
}

static bool pooled_bounce_owns(struct dma_domain *d, void *state, dma_addr_t iova,
                               uint64_t bytes)
{
    struct pooled_bounce *s = state;
    (void)d;
    (void)bytes;
    return bouncepool_owns(&s->pool, iova);
}

const struct flush_policy flush_pooled_bounce = {
    .name        = "pooled-bounce",
    .summary     = "Small buffers through mapped bounce buffers, large ones strict",
    .source      = "bounce-pool proposal for virtual IOMMUs, 2021 (catalogue 25)",
    .promise     = PROMISE_POOL_ONLY,
    .translates  = true,
    .bounces     = true,
    .params      = &pooled_bounce_param_table,
    .state_bytes = sizeof(struct pooled_bounce),
    .init        = pooled_bounce_init,
    .exit        = pooled_bounce_exit,
    .serves      = pooled_bounce_serves,
    .map         = pooled_bounce_map,
    .owns        = pooled_bounce_owns,
};
