/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/forgetful.h"

#include "dma_api/domain.h"

static unsigned unmaps, each;

static void forgetful_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    (void)state;
    if (++unmaps % each != 0)
        domain_flush_range(d, range);
    domain_give_back(d, range);
    domain_release(d, range);
}

const struct flush_policy *forgetful_policy(unsigned one_in)
{
    static const struct flush_policy forgetful = {
        .name       = "forgetful",
        .summary    = "Strict, but for one in so many",
        .source     = "a planted bug",
        .promise    = PROMISE_NOTHING_STALE,
        .translates = true,
        .unmap      = forgetful_unmap,
    };
    unmaps = 0;
    each   = one_in;
    return &forgetful;
}
