/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_premapped - buffers are registered at their first use, and stay mapped.
 *
 * What io_uring's registered buffers, dma-buf and RDMA memory regions do: the map is paid
 * once, an I/O only looks its registration up. When more is registered than there may be,
 * the longest unused registration is unmapped, strictly.
 */
#include "dma_api/registry.h"

#include "dma_api/domain.h"

/* clang-format off */
#define PREMAPPED_PARAMS(P) \
    P(u32, capacity_mib, 256, 1, 1048576, ANY, "MiB", "Registered at most, beside what is in use", \
      "RLIMIT_MEMLOCK of a server application; a choice of the replay") \
    P(u32, lookup_cycles, 12, 0, 100000, ANY, "cycles", "Finding a registration by its handle", \
      "an index into a table: about 30 instructions")
/* clang-format on */

struct premapped_config {
    PREMAPPED_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct premapped_config
static const struct param_def premapped_params[]      = { PREMAPPED_PARAMS(PARAM_ROW)
                                                              PARAM_END };
static const struct param_table premapped_param_table = { "premapped", "Registered buffers",
                                                          premapped_params,
                                                          sizeof(struct premapped_config),
                                                          NULL };

struct premapped {
    struct premapped_config config;
    struct registry registry;
};

static void premapped_init(struct dma_domain *d, void *state, const void *config)
{
    struct premapped *s = state;
    s->config           = *(const struct premapped_config *)config;
    registry_init(&s->registry, d);
}

static void premapped_exit(struct dma_domain *d, void *state)
{
    struct premapped *s = state;
    (void)d;
    registry_free(&s->registry);
}

static bool premapped_serves(const void *state, uint64_t bytes)
{
    const struct premapped *s = state;
    return bytes <= (uint64_t)s->config.capacity_mib << 20;
}

static dma_addr_t premapped_map(struct dma_domain *d, void *state,
                                const struct flush_mapping *m)
{
    struct premapped *s   = state;
    const uint64_t most   = (uint64_t)s->config.capacity_mib << 20;
    const dma_addr_t iova = registry_map(&s->registry, m, s->config.lookup_cycles);
    (void)d;
    if (s->registry.bytes > most)
        registry_retire(&s->registry, 0, most);
    return iova;
}

static bool premapped_owns(struct dma_domain *d, void *state, dma_addr_t iova,
                           uint64_t bytes)
{
    struct premapped *s = state;
    (void)d;
    (void)bytes;
    return registry_unmap(&s->registry, iova);
}

const struct flush_policy flush_premapped = {
    .name        = "premapped",
    .summary     = "Buffers stay mapped after their first use, as if registered",
    .source      = "io_uring registered buffers, RDMA memory regions (catalogue 27)",
    .promise     = PROMISE_POOL_ONLY,
    .translates  = true,
    .params      = &premapped_param_table,
    .state_bytes = sizeof(struct premapped),
    .init        = premapped_init,
    .exit        = premapped_exit,
    .serves      = premapped_serves,
    .map         = premapped_map,
    .owns        = premapped_owns,
};
