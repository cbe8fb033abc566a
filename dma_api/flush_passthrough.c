/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_passthrough - no translation: the device uses physical addresses and reaches all
 * of memory (iommu.passthrough=1, iommu=pt).
 */
#include "dma_api/domain.h"

static void passthrough_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    (void)d;
    (void)state;
    (void)range;
    UNREACHABLE("a device that passes through has no domain");
}

const struct flush_policy flush_passthrough = {
    .name    = "passthrough",
    .summary = "No translation at all",
    .source  = "Linux iommu.passthrough=1",
    .promise = PROMISE_NONE,
    .unmap   = passthrough_unmap,
};
