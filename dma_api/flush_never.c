/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_never - the negative control: nothing is flushed until addresses are used again,
 * and then too late.
 *
 * Ranges are parked until the allocator has no addresses left. They are then handed out
 * again while caches may hold their old translations, and only after that everything is
 * flushed: the referee must see it.
 */
#include "dma_api/flush.h"

static void never_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->batch = BATCH_never;
}

const struct flush_policy flush_never = {
    .name       = "never",
    .summary    = "No flush until an address is used again (negative control)",
    .source     = "negative control (catalogue 47)",
    .promise    = PROMISE_NONE,
    .translates = true,
    .negative   = true,
    .rules      = never_rules,
};
