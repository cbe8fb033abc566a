/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_identity - translation is on, but every address is the physical one.
 *
 * All memory is mapped once, with the largest pages; a mapping is its address, an unmap is
 * nothing, and the IOTLB misses only for its size.
 *
 * Inaccuracies: memory beyond what is mapped (the kernel's own pages lie above it) is
 * mapped as usual, strictly.
 */
#include "dma_api/domain.h"
#include "sim/base/lg2.h"

struct identity {
    uint64_t bytes; /* From address 0 on. */
};

enum { LARGE_LG2 = 30, MOST_LG2 = 39, MOST_SMALL_LG2 = 36 };

/* Half of the addresses at most: the others are for what cannot be mapped so. */
static uint64_t identity_bytes(const struct dma_domain *d)
{
    const bool large     = (d->table.leaf_sizes >> LARGE_LG2 & 1) != 0;
    const uint64_t bytes = UINT64_C(1) << (large ? MOST_LG2 : MOST_SMALL_LG2);
    const uint64_t half  = (d->aperture_last + 1) / 2;
    return bytes < half ? bytes : half;
}

static void identity_init(struct dma_domain *d, void *state, const void *config)
{
    struct identity *s = state;
    const unsigned lg2 = d->table.format->page_lg2;
    (void)config;
    s->bytes = identity_bytes(d);
    iova_reserve(&d->iova, 0, (s->bytes >> lg2) - 1);
    if (domain_map(d, 0, 0, s->bytes, PT_READ | PT_WRITE) != 0)
        s->bytes = 0; /* No memory for its tables: nothing is served. */
    else
        domain_pool(d, 0, s->bytes, true);
}

static void identity_exit(struct dma_domain *d, void *state)
{
    const struct identity *s = state;
    struct flush_range all   = { .iova = 0, .bytes = s->bytes };
    if (s->bytes == 0)
        return;
    domain_unmap(d, &all);
    domain_flush_range(d, &all);
    domain_pool(d, 0, s->bytes, false);
}

static bool identity_serves(const void *state, uint64_t bytes)
{
    return bytes <= ((const struct identity *)state)->bytes;
}

static dma_addr_t identity_map(struct dma_domain *d, void *state,
                               const struct flush_mapping *m)
{
    const struct identity *s = state;
    (void)d;
    const bool fits = m->phys + m->bytes <= s->bytes && m->phys + m->bytes - 1 <= m->mask;
    return fits ? m->phys : 0;
}

static bool identity_owns(struct dma_domain *d, void *state, dma_addr_t iova,
                          uint64_t bytes)
{
    const struct identity *s = state;
    (void)d;
    return iova + bytes <= s->bytes;
}

const struct flush_policy flush_identity = {
    .name        = "identity",
    .summary     = "All memory mapped once at its own addresses, with the largest pages",
    .source      = "static 1:1 domains (catalogue 2)",
    .promise     = PROMISE_NONE,
    .translates  = true,
    .state_bytes = sizeof(struct identity),
    .init        = identity_init,
    .exit        = identity_exit,
    .serves      = identity_serves,
    .map         = identity_map,
    .owns        = identity_owns,
};
