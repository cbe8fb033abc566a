/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_async - post the invalidation inside the unmap, and do not wait for it.
 *
 * Until it is over, the page keeps its data and the address is not handed out: what the
 * device may still reach is what it was given, never something new.
 */
#include "dma_api/flush.h"

static void async_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->post = r->hold = true;
}

const struct flush_policy flush_async = {
    .name = "async",
    .summary =
        "Post the invalidation in every unmap; page and address are held until it is over",
    .source     = "a point of the design space (catalogue 19)",
    .promise    = PROMISE_BOUNDED_COUNT,
    .translates = true,
    .rules      = async_rules,
};
