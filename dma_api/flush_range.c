/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_range - invalidate inside every unmap, with one command for exactly its pages.
 *
 * The command takes any first and last page, where VT-d's takes a power of two and that of
 * the RISC-V IOMMU a single page. One queue for all CPUs, as there.
 */
#include "dma_api/domain.h"
#include "dma_api/extension.h"

struct range {
    struct extension_driver *extension;
};

static void range_init(struct dma_domain *d, void *state, const void *config)
{
    struct range *s = state;
    (void)config;
    s->extension = extension_probe(d->kernel);
    CHECK(s->extension != NULL);
}

static void range_exit(struct dma_domain *d, void *state)
{
    (void)d;
    extension_remove(((struct range *)state)->extension);
}

/* As the strict policy, once nothing is stale. */
static void finish(struct dma_domain *d, struct flush_range *range)
{
    domain_give_back(d, range);
    domain_release(d, range);
}

static void range_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    struct range *s = state;
    struct cpu *cpu = cpu_this();
    lock_take(cpu, extension_shared_lock(s->extension));
    extension_flush(s->extension, d, 0, range);
    lock_release(cpu, extension_shared_lock(s->extension));
    finish(d, range);
}

const struct flush_policy flush_range = {
    .name        = "range",
    .summary     = "Invalidate inside every unmap, exactly its pages, with one command",
    .source      = "Arm SMMUv3 range invalidation (catalogue 8)",
    .promise     = PROMISE_NOTHING_STALE,
    .needs       = EXT_CAP_QUEUES,
    .translates  = true,
    .state_bytes = sizeof(struct range),
    .init        = range_init,
    .exit        = range_exit,
    .unmap       = range_unmap,
};
