/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptfmt_rvs2napot - RISC-V second-stage tables (Sv39x4, Sv48x4, Sv57x4) with 64 KiB leaves.
 *
 * Source: RISC-V Privileged Architecture, "Svnapot"; iommu_model/riscv_pte.h.
 */
#include "iommu_model/riscv_pte.h"

static struct pt_item decode(uint64_t entry, unsigned level)
{
    return riscv_pte_decode(entry, level, true);
}

/* Every access of the second stage is a user's. */
static uint64_t encode_leaf(uint64_t pa, unsigned level, unsigned page_lg2, uint8_t prot)
{
    return riscv_pte_encode(pa, level, page_lg2, prot | PT_USER);
}

const struct pt_format ptfmt_rvs2napot = {
    .name = "rvs2napot",
    .summary =
        "RISC-V second stage with 64 KiB leaves, 3 to 5 levels of 9 bits, the root 11",
    .levels_min   = 3,
    .levels_max   = 5,
    .page_lg2     = 12,
    .index_lg2    = 9,
    .root_lg2     = 2,
    .pa_lg2       = 56,
    .leaf_sizes   = RISCV_LEAVES | UINT64_C(1) << RISCV_NAPOT_LG2,
    .decode       = decode,
    .encode_leaf  = encode_leaf,
    .encode_table = riscv_pte_encode_table,
};
