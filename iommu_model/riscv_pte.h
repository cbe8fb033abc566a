/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv_pte - what both stages' page-table entries have in common.
 *
 * Source: RISC-V Privileged Architecture, "Sv39" to "Sv57" and "Svnapot". Level 0 holds
 * 4 KiB leaves, and 64 KiB ones as 16 equal entries with N set. Bits that belong to
 * extensions which no implementation here offers (Svpbmt, Svrsw60t59b) are reserved.
 */
#ifndef IOMMU_MODEL_RISCV_PTE_H
#define IOMMU_MODEL_RISCV_PTE_H

#include "iommu_model/ptfmt.h"
#include "iommu_model/riscv_spec.h"

enum { RISCV_NAPOT_LG2 = 16 };

struct pt_item riscv_pte_decode(uint64_t entry, unsigned level, bool napot);

/* A leaf that needs no further update by hardware: accessed, and dirty if writable. */
uint64_t riscv_pte_encode(uint64_t pa, unsigned level, unsigned page_lg2, uint8_t prot);
uint64_t riscv_pte_encode_table(uint64_t pa);

#define RISCV_LEAVES                                                                       \
    (UINT64_C(1) << 12 | UINT64_C(1) << 21 | UINT64_C(1) << 30 | UINT64_C(1) << 39         \
     | UINT64_C(1) << 48)

#endif
