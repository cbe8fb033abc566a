/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptfmt_rvs1 - RISC-V first-stage tables (Sv39, Sv48, Sv57).
 *
 * Source: RISC-V Privileged Architecture; iommu_model/riscv_pte.h.
 */
#include "iommu_model/riscv_pte.h"

static struct pt_item decode(uint64_t entry, unsigned level)
{
    return riscv_pte_decode(entry, level, false);
}

const struct pt_format ptfmt_rvs1 = {
    .name          = "rvs1",
    .summary       = "RISC-V first stage, 3 to 5 levels of 9 bits",
    .levels_min    = 3,
    .levels_max    = 5,
    .page_lg2      = 12,
    .index_lg2     = 9,
    .pa_lg2        = 56,
    .leaf_sizes    = RISCV_LEAVES,
    .sign_extended = true,
    .decode        = decode,
    .encode_leaf   = riscv_pte_encode,
    .encode_table  = riscv_pte_encode_table,
};
