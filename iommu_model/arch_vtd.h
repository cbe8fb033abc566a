/* SPDX-License-Identifier: Apache-2.0 */
/* arch_vtd - what an Intel VT-d implementation may choose: its capability registers. */
#ifndef IOMMU_MODEL_ARCH_VTD_H
#define IOMMU_MODEL_ARCH_VTD_H

#include "sim/base/param.h"

/* clang-format off */
#define VTD_PARAMS(P)                                                                               \
    P(u32,  levels_max,       4, 3,  5, ANY, "levels", "Deepest second-stage table (CAP.SAGAW)",    \
      "4 levels on server parts, 5 since Ice Lake")                                                 \
    P(flag, pages_2m,         1, 0,  1, ANY, "",       "2 MiB leaves (CAP.SLLPS bit 0)", "all server parts") \
    P(flag, pages_1g,         1, 0,  1, ANY, "",       "1 GiB leaves (CAP.SLLPS bit 1)", "all server parts") \
    P(flag, page_selective,   1, 0,  1, ANY, "",       "Page-selective invalidation (CAP.PSI)",     \
      "all server parts")                                                                           \
    P(u32,  mamv,            18, 0, 63, ANY, "",       "Largest address mask (CAP.MAMV)",           \
      "as recorded: cap d2008c222f0606")                                                            \
    P(flag, caching_mode,     0, 0,  1, ANY, "",       "Absent entries may be cached (CAP.CM)",     \
      "virtual machines only")                                                                      \
    P(flag, write_buffer,     0, 0,  1, ANY, "",       "Write buffers need flushing (CAP.RWBF)",    \
      "old chipsets only")                                                                          \
    P(flag, drain,            1, 0,  1, ANY, "",       "Invalidations drain DMA (CAP.DWD, DRD)",    \
      "all server parts")                                                                           \
    P(u32,  address_lg2,     52, 32, 52, ANY, "bits",  "Physical addresses; beyond, memory has nothing", \
      "the tables' limit")                                                                          \
    P(flag, scalable,         0, 0,  1, ANY, "",       "Scalable mode, PASIDs (ECAP.SMTS, PASID)",  \
      "server parts since Sapphire Rapids")                                                         \
    P(flag, first_stage,      1, 0,  1, ANY, "",       "Scalable mode has a first stage (ECAP.FSTS)", \
      "server parts since Sapphire Rapids; Linux then prefers it")                                  \
    P(flag, nested,           0, 0,  1, ANY, "",       "Scalable mode has both stages at once (ECAP.NEST)", \
      "Linux needs it for virtual machines only")                                                   \
    P(u32,  first_levels_max, 4, 4,  5, ANY, "levels", "Deepest first-stage table (CAP.FS5LP)",     \
      "5 with 5-level paging of the CPUs")                                                          \
    P(flag, first_1g,         1, 0,  1, ANY, "",       "First-stage leaves of 1 GiB (CAP.FS1GP)",   \
      "all server parts")                                                                           \
    P(u32,  pasid_lg2,       20, 1, 20, ANY, "bits",   "Of a PASID (ECAP.PSS)", "all server parts") \
    P(flag, device_tlb,       0, 0,  1, ANY, "",       "Devices may have TLBs of their own (ECAP.DT)", \
      "most server parts")                                                                          \
    P(u32,  fault_records,    8, 1, 64, ANY, "records","Fault recording registers (CAP.NFR)",       \
      "1 to 8 on server parts")                                                                     \
    P(u32,  handshake_cycles, 100, 0, 100000, ANY, "cycles", "From a global command to its status bit", \
      "not published; only at set-up")
/* clang-format on */

struct vtd_config {
    VTD_PARAMS(PARAM_FIELD)
};
extern const struct param_table vtd_param_table;

#endif
