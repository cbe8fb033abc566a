/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_pending_filter - what is unmapped goes into a filter that look-ups ask; the flush
 * comes when the filter is full.
 *
 * A look-up does not see a cached translation that the filter holds, so nothing is stale
 * when the unmap returns; entering a range costs two register accesses. Addresses come back
 * with the flush.
 */
#include "dma_api/domain.h"
#include "dma_api/extension.h"

struct pending_filter {
    struct extension_driver *extension;
    struct lock lock;
    uint32_t count, most;
    struct flush_range *pending;
};

static void pending_filter_init(struct dma_domain *d, void *state, const void *config)
{
    struct pending_filter *s = state;
    (void)config;
    s->extension = extension_probe(d->kernel);
    CHECK(s->extension != NULL);
    s->most    = ext_cap_filters(extension_capabilities(d->kernel));
    s->pending = kernel_host_alloc(d->kernel, s->most, sizeof *s->pending);
}

/* The filter is emptied only after the caches are. The lock is held. */
static void empty_filter(struct dma_domain *d, struct pending_filter *s)
{
    domain_flush_all(d);
    extension_operate(s->extension, d, EXT_OP_SHOW, 0, UINT64_MAX);
    for (uint32_t i = 0; i < s->count; i++)
        domain_release(d, &s->pending[i]);
    s->count = 0;
    d->kernel->stats.flush_full++;
}

static void pending_filter_exit(struct dma_domain *d, void *state)
{
    struct pending_filter *s = state;
    empty_filter(d, s);
    kernel_host_free(d->kernel, s->pending);
    extension_remove(s->extension);
}

static void pending_filter_unmap(struct dma_domain *d, void *state,
                                 struct flush_range *range)
{
    struct pending_filter *s   = state;
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    lock_take(cpu, &s->lock);
    if (s->count == s->most)
        empty_filter(d, s);
    extension_operate(s->extension, d, EXT_OP_HIDE, range->iova,
                      range->iova + range->bytes - 1);
    cpu_spend(cpu, d->kernel->cost.flush_queue_cycles);
    s->pending[s->count++] = *range;
    domain_give_back(d, range);
    d->kernel->stats.deferred++;
    lock_release(cpu, &s->lock);
    cpu_own(cpu, owner);
}

const struct flush_policy flush_pending_filter = {
    .name       = "pending-filter",
    .summary    = "Look-ups do not see what is in a filter of pending unmaps; flushed when "
                  "that is full",
    .source     = "lookup-time check of a pending list (catalogue 40)",
    .promise    = PROMISE_NOTHING_STALE,
    .needs      = EXT_CAP_FILTER,
    .translates = true,
    .state_bytes = sizeof(struct pending_filter),
    .init        = pending_filter_init,
    .exit        = pending_filter_exit,
    .unmap       = pending_filter_unmap,
};
