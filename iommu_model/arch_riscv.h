/* SPDX-License-Identifier: Apache-2.0 */
/* arch_riscv - what a RISC-V IOMMU implementation may choose: its capabilities, and what
 * the specification leaves open. */
#ifndef IOMMU_MODEL_ARCH_RISCV_H
#define IOMMU_MODEL_ARCH_RISCV_H

#include "sim/base/param.h"

/* clang-format off */
#define RISCV_PARAMS(P)                                                                             \
    P(u32,  stage1_levels_max, 5, 0, 5, ANY, "levels", "Deepest first stage: 3 Sv39, 4 Sv48, 5 Sv57; 0: none",\
      "specification 1.0: capabilities.Sv39 to Sv57")                                               \
    P(u32,  stage2_levels_max, 5, 0, 5, ANY, "levels", "Deepest second stage: 3 Sv39x4 and so on; 0: none",\
      "specification 1.0: capabilities.Sv39x4 to Sv57x4")                                           \
    P(u32,  pa_lg2,         52, 32, 52, ANY, "bits", "Width of physical addresses (PAS); the simulator's memory has 52 bits",\
      "specification 1.0: capabilities.PAS")                                                        \
    P(flag, napot,           1, 0, 1, ANY, "", "64 KiB leaves (Svnapot)",                           \
      "optional: Svnapot")                                                                          \
    P(flag, amo_hwad,        0, 0, 1, ANY, "", "Accessed and dirty bits are written by the IOMMU (AMO_HWAD)",\
      "optional")                                                                                   \
    P(flag, msi_flat,        1, 0, 1, ANY, "", "MSI page tables and 64-byte device contexts (MSI_FLAT)",\
      "optional: capabilities.MSI_FLAT")                                                            \
    P(flag, process_contexts, 1, 0, 1, ANY, "", "Process directories (PD8, PD17, PD20)", "optional")\
    P(u32,  hpm_counters,    7, 0, 31, ANY, "counters", "Event counters beside the cycle counter; 0: no HPM",\
      "optional; 7 chosen")                                                                         \
    P(flag, wired_interrupts, 1, 0, 1, ANY, "", "Interrupts by wire can be chosen (IGS)", "optional")\
    P(flag, recheck_dirty,   1, 0, 1, ANY, "", "A store that hits a clean page's entry walks again",\
      "privileged specification: D is set before a store is done")                                  \
    P(flag, read_reserved,   1, 0, 1, ANY, "", "Reads the reserved last word of a 64-byte device context",\
      "specification 2.1.4: reserved bits are checked")                                             \
    P(flag, fence_drains,    1, 0, 1, ANY, "", "IOFENCE.C waits for earlier DMA (PR, PW)",          \
      "specification 3.1.2")
/* clang-format on */

struct riscv_config {
    RISCV_PARAMS(PARAM_FIELD)
};
extern const struct param_table riscv_param_table;

#endif
