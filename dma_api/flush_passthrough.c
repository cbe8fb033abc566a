/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_passthrough - no translation: the device uses physical addresses and reaches all
 * of memory (iommu.passthrough=1, iommu=pt).
 */
#include "dma_api/flush.h"

const struct flush_policy flush_passthrough = {
    .name    = "passthrough",
    .summary = "No translation at all",
    .source  = "Linux iommu.passthrough=1",
    .promise = PROMISE_NONE,
};
