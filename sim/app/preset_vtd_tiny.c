/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preset_vtd_tiny - the server with as little IOMMU as possible: one walker, no walk
 * caches, an IOTLB of eight entries. For seeing what each of them is worth.
 */
#include "sim/app/preset.h"

#include <stddef.h>

static const struct preset_value values[] = {
    { "iotlb.sets=2", "chosen" },
    { "iotlb.ways=4", "chosen" },
    { "walkcache.level0_entries=0", "chosen" },
    { "walkcache.level1_entries=0", "chosen" },
    { "walkcache.level2_entries=0", "chosen" },
    { "walkcache.level3_entries=0", "chosen" },
    { "walker.walkers=1", "chosen; pcie-bench shows such a serial walker on one machine" },
    { NULL, NULL },
};

const struct preset preset_vtd_tiny = {
    .name    = "vtd-tiny",
    .summary = "The server with one walker, no walk caches and an IOTLB of 8 entries",
    .value   = values,
};
