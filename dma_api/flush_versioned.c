/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_versioned - every unmap begins a new generation of the domain.
 *
 * Cached translations carry the generation in which they were filled, and a look-up does
 * not see those of an older one: one register write whatever was unmapped, and everything
 * of the domain is walked for again.
 */
#include "dma_api/domain.h"
#include "dma_api/extension.h"

struct versioned {
    struct extension_driver *extension;
};

static void versioned_init(struct dma_domain *d, void *state, const void *config)
{
    struct versioned *s = state;
    (void)config;
    s->extension = extension_probe(d->kernel);
    CHECK(s->extension != NULL);
}

static void versioned_exit(struct dma_domain *d, void *state)
{
    (void)d;
    extension_remove(((struct versioned *)state)->extension);
}

/* As the strict policy, once nothing is stale. */
static void finish(struct dma_domain *d, struct flush_range *range)
{
    domain_give_back(d, range);
    domain_release(d, range);
}

static void versioned_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    struct versioned *s = state;
    extension_operate(s->extension, d, EXT_OP_VERSION, 0, UINT64_MAX);
    finish(d, range);
}

const struct flush_policy flush_versioned = {
    .name = "versioned",
    .summary =
        "Every unmap makes all cached translations of the domain out of date, in one write",
    .source      = "generation numbers of domains (catalogue 36)",
    .promise     = PROMISE_NOTHING_STALE,
    .needs       = EXT_CAP_VERSIONS,
    .translates  = true,
    .state_bytes = sizeof(struct versioned),
    .init        = versioned_init,
    .exit        = versioned_exit,
    .unmap       = versioned_unmap,
};
