/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - everything that a run can be told, resolved: defaults, then a preset, then
 * --set.
 */
#ifndef SIM_APP_CONFIG_H
#define SIM_APP_CONFIG_H

#include "dma_api/flush.h"
#include "iommu_model/arch_riscv.h"
#include "iommu_model/arch_vtd.h"
#include "iommu_model/atc.h"
#include "iommu_model/audit.h"
#include "iommu_model/extension.h"
#include "iommu_model/rootport.h"
#include "workloads/attacker.h"
#include "workloads/exerciser.h"
#include "workloads/generator.h"
#include "workloads/nvme_ctrl.h"
#include "workloads/rdma_nic.h"
#include "workloads/rdma_replay.h"
#include "workloads/rdma_wire.h"
#include "workloads/replay.h"
#include "workloads/verbs.h"

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
/* clang-format on */

struct platform_config {
    PLATFORM_PARAMS(PARAM_FIELD)
};

enum { CONFIG_POLICIES_MAX = 64, CONFIG_GENERATORS_MAX = 64 };

struct config {
    struct platform_config platform;
    struct cpu_config cpu;
    struct iommu_config iommu;
    struct context_config context;
    struct iotlb_config iotlb;
    struct walkcache_config walkcache;
    struct walker_config walker;
    struct memport_config memport;
    struct invq_config invq;
    struct faultq_config faultq;
    struct vtd_config vtd;
    struct riscv_config riscv;
    struct extension_config extension;
    struct link_config link;
    struct atc_config atc;
    struct audit_config audit;
    struct linux_config kernel;
    struct cost_config cost;
    struct policy_config moves; /* Of any flush policy, along its axes. */
    struct blk_config blk;
    struct driver_config driver;
    struct nvme_config nvme;
    struct replay_config replay;
    struct fabric_config fabric;
    struct verbs_config verbs;
    struct umem_config umem;
    struct rdma_config rdma;
    struct rdma_wire_config wire;
    struct placement_config placement;
    struct attacker_config attacker;
    struct exerciser_config exerciser;
    struct gen_config gen;
    void
        *policy[CONFIG_POLICIES_MAX]; /* Parameters of each flush policy, as flush_table. */
    void *generator[CONFIG_GENERATORS_MAX]; /* Likewise of each generator, as gen_table. */
    const char *preset;
};

/* Every default, then the preset's values (NULL: none). False for an unknown preset; then
   there is nothing to free. */
bool config_init(struct config *c, const char *preset, struct error *error);
void config_free(struct config *c);

/* "key=value". False with a line that names the key, and the nearest one if it is unknown.
 */
bool config_set(struct config *c, const char *assignment, struct error *error);

/* What the IOMMU is to be made with; points into c. */
struct iommu_settings config_settings(const struct config *c);

/* The rules between parameters. */
bool config_check(const struct config *c, struct error *error);

/* The tables in order, with what each describes in c (c NULL: *values is NULL); NULL behind
 * the last. */
const struct param_table *config_table(const struct config *c, unsigned index,
                                       const void **values);

#endif
