/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - everything that a run can be told, resolved: defaults, then a preset, then
 * --set.
 */
#ifndef SIM_APP_CONFIG_H
#define SIM_APP_CONFIG_H

#include "sim/system/system_config.h"
#include "workloads/attacker.h"
#include "workloads/exerciser.h"
#include "workloads/generator.h"
#include "workloads/nvme_ctrl.h"
#include "workloads/nvmf.h"
#include "workloads/rdma_nic.h"
#include "workloads/rdma_replay.h"
#include "workloads/rdma_wire.h"
#include "workloads/replay.h"
#include "workloads/verbs.h"

enum { CONFIG_GENERATORS_MAX = 64 };

/* The system, by its own name and field by field; then its workloads. */
struct config {
    union {
        struct system_config system;
        struct {
            SYSTEM_CONFIG_FIELDS
        };
    };
    struct blk_config blk;
    struct driver_config driver;
    struct nvme_config nvme;
    struct replay_config replay;
    struct fabric_config fabric;
    struct verbs_config verbs;
    struct umem_config umem;
    struct rdma_config rdma;
    struct rdma_wire_config wire;
    struct nvmf_config nvmf;
    struct placement_config placement;
    struct attacker_config attacker;
    struct exerciser_config exerciser;
    struct gen_config gen;
    void *generator[CONFIG_GENERATORS_MAX]; /* Of each generator, as gen_table. */
    const char *preset;
};

/* Every default, then the preset's values (NULL: none). False for an unknown preset; then
   there is nothing to free. */
bool config_init(struct config *c, const char *preset, struct error *error);
void config_free(struct config *c);

/* "key=value". False with a line that names the key, and the nearest one if it is unknown.
 */
bool config_set(struct config *c, const char *assignment, struct error *error);

/* Whether the key of a "key=value" exists; false with such a line. */
bool config_knows(const char *assignment, struct error *error);

/* What the IOMMU is to be made with; points into c. */
static inline struct iommu_settings config_settings(const struct config *c)
{
    return system_iommu_settings(&c->system);
}

/* The rules between parameters. */
bool config_check(const struct config *c, struct error *error);

/* The tables in order, with what each describes in c (c NULL: *values is NULL); NULL behind
 * the last. */
const struct param_table *config_table(const struct config *c, unsigned index,
                                       const void **values);

#endif
