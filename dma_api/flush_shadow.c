/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_shadow - all data moves through buffers that are mapped once and for good.
 *
 * No unmap invalidates anything and the device never reaches a page of anybody else, nor
 * what lies beside a buffer on its page; the price is a copy each way. Buffers that do not
 * fit into a slot run are mapped strictly.
 *
 * Inaccuracies: like swiotlb, it also copies in what the device only writes.
 */
#include "dma_api/bouncepool.h"

struct shadow {
    struct bouncepool pool;
};

static void shadow_init(struct dma_domain *d, void *state, const void *config)
{
    struct shadow *s = state;
    (void)config;
    bouncepool_init(&s->pool, d);
}

static void shadow_exit(struct dma_domain *d, void *state)
{
    struct shadow *s = state;
    (void)d;
    bouncepool_free(&s->pool);
}

static bool shadow_serves(const void *state, uint64_t bytes)
{
    (void)state;
    return bytes <= BOUNCEPOOL_BUFFER_MAX;
}

static dma_addr_t shadow_map(struct dma_domain *d, void *state,
                             const struct flush_mapping *m)
{
    struct shadow *s = state;
    (void)d;
    return bouncepool_map(&s->pool, m);
}

static bool shadow_owns(struct dma_domain *d, void *state, dma_addr_t iova, uint64_t bytes)
{
    struct shadow *s = state;
    (void)d;
    (void)bytes;
    return bouncepool_owns(&s->pool, iova);
}

const struct flush_policy flush_shadow = {
    .name        = "shadow",
    .summary     = "All data through bounce buffers that are mapped once",
    .source      = "True IOMMU Protection, ASPLOS 2016 (catalogue 23)",
    .promise     = PROMISE_POOL_ONLY,
    .translates  = true,
    .bounces     = true,
    .state_bytes = sizeof(struct shadow),
    .init        = shadow_init,
    .exit        = shadow_exit,
    .serves      = shadow_serves,
    .map         = shadow_map,
    .owns        = shadow_owns,
};
