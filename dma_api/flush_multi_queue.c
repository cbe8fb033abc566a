/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_multi_queue - strict, with an invalidation queue for each CPU.
 *
 * What many CPUs pay for one queue (its lock, its places, its order) they do not pay here;
 * what each waits for is its own command.
 */
#include "dma_api/domain.h"
#include "dma_api/extension.h"

struct multi_queue {
    struct extension_driver *extension;
};

static void multi_queue_init(struct dma_domain *d, void *state, const void *config)
{
    struct multi_queue *s = state;
    (void)config;
    s->extension = extension_probe(d->kernel);
    CHECK(s->extension != NULL);
}

static void multi_queue_exit(struct dma_domain *d, void *state)
{
    (void)d;
    extension_remove(((struct multi_queue *)state)->extension);
}

/* As the strict policy, once nothing is stale. */
static void finish(struct dma_domain *d, struct flush_range *range)
{
    domain_give_back(d, range);
    domain_release(d, range);
}

static void multi_queue_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    struct multi_queue *s = state;
    extension_flush(s->extension, d, cpu_this()->id, range);
    finish(d, range);
}

const struct flush_policy flush_multi_queue = {
    .name        = "multi-queue",
    .summary     = "Invalidate inside every unmap, through a queue of the CPU's own",
    .source      = "Arm ECMDQ, NVIDIA VCMDQ (catalogue 33)",
    .promise     = PROMISE_NOTHING_STALE,
    .needs       = EXT_CAP_QUEUES,
    .translates  = true,
    .state_bytes = sizeof(struct multi_queue),
    .init        = multi_queue_init,
    .exit        = multi_queue_exit,
    .unmap       = multi_queue_unmap,
};
