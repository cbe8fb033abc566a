/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system_config - what a system without its devices can be told: memory, CPUs, IOMMU, link
 * and kernel, flush policies.
 */
#ifndef SIM_SYSTEM_SYSTEM_CONFIG_H
#define SIM_SYSTEM_SYSTEM_CONFIG_H

#include "dma_api/flush.h"
#include "dma_api/kernel.h"
#include "iommu_model/arch_riscv.h"
#include "iommu_model/arch_vtd.h"
#include "iommu_model/atc.h"
#include "iommu_model/audit.h"
#include "iommu_model/extension.h"
#include "iommu_model/rootport.h"

/* clang-format off */
#define PLATFORM_PARAMS(P)                                                                          \
    P(u32, memory_latency_ns,     90, 1, 100000, ANY, "ns",       "From an access to its first beat", \
      "DRAM behind a mesh: 80 to 100 ns")                                                           \
    P(u32, memory_beat_bytes,     64, 8,   4096, POW2, "bytes",   "One beat of the memory channel", "a cache line") \
    P(u32, memory_beat_ps,       640, 1, 1000000, ANY, "ps",      "One beat's time",                \
      "100 GB/s")                                                                                   \
    P(u32, iommu_register_ns,    100, 0, 100000, ANY, "ns",       "A CPU's register access to the IOMMU, one way", \
      "uncached read of an uncore register: about 0.2 us")                                          \
    P(u32, device_register_ns,   250, 0, 100000, ANY, "ns",       "A CPU's register access to a device, one way", \
      "PCI Express register read: about 0.5 us")

/* The modules: each a struct NAME_config or another, its field, and its table. */
#define SYSTEM_MODULES(M)                                                                           \
    M(platform_config,  platform,  platform_param_table)                                            \
    M(cpu_config,       cpu,       cpu_param_table)                                                 \
    M(iommu_config,     iommu,     iommu_param_table)                                               \
    M(context_config,   context,   context_param_table)                                             \
    M(iotlb_config,     iotlb,     iotlb_param_table)                                               \
    M(walkcache_config, walkcache, walkcache_param_table)                                           \
    M(walker_config,    walker,    walker_param_table)                                              \
    M(memport_config,   memport,   memport_param_table)                                             \
    M(invq_config,      invq,      invq_param_table)                                                \
    M(faultq_config,    faultq,    faultq_param_table)                                              \
    M(vtd_config,       vtd,       vtd_param_table)                                                 \
    M(riscv_config,     riscv,     riscv_param_table)                                               \
    M(extension_config, extension, extension_param_table)                                           \
    M(link_config,      link,      link_param_table)                                                \
    M(atc_config,       atc,       atc_param_table)                                                 \
    M(linux_config,     kernel,    linux_param_table)                                               \
    M(cost_config,      cost,      cost_param_table)                                                \
    M(policy_config,    moves,     policy_param_table) /* Of any policy, along its axes. */         \
    M(audit_config,     audit,     audit_param_table)
/* clang-format on */

struct platform_config {
    PLATFORM_PARAMS(PARAM_FIELD)
};
extern const struct param_table platform_param_table;

#define SYSTEM_COUNT(type, name, table) +1
enum { SYSTEM_POLICIES_MAX = 64, SYSTEM_MODULE_COUNT = SYSTEM_MODULES(SYSTEM_COUNT) };

/* policy: parameters of each flush policy, as flush_table. */
#define SYSTEM_FIELD(type, name, table) struct type name;
#define SYSTEM_CONFIG_FIELDS                                                               \
    SYSTEM_MODULES(SYSTEM_FIELD)                                                           \
    void *policy[SYSTEM_POLICIES_MAX];

struct system_config {
    SYSTEM_CONFIG_FIELDS
};

/* Every default. */
void system_config_init(struct system_config *c);
void system_config_free(struct system_config *c);

/* The tables in order, those of policies behind the modules (a keys_fn of struct
 * system_config). */
const struct param_table *system_config_table(const void *config, unsigned index,
                                              const void **values);

/* The rules between parameters of different modules. */
bool system_config_rules(const struct system_config *c, struct error *error);

/* What the IOMMU is to be made with; points into c. */
struct iommu_settings system_iommu_settings(const struct system_config *c);

/* The parameters of a policy of the family; one that a test brings along has none. */
const void *system_policy_config(const struct system_config *c,
                                 const struct flush_policy *policy);

struct mem_channel system_channel(const struct system_config *c);

#endif
