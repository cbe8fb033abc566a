/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scope - what timeline and waveforms watch: the hosts of a simulation, and the devices of
 * each.
 */
#ifndef SIM_SCOPE_SCOPE_H
#define SIM_SCOPE_SCOPE_H

#include "sim/scope/gauge.h"
#include "workloads/nvme_driver.h"
#include "workloads/verbs.h"

enum { SCOPE_DEVICES_MAX = 12, SCOPE_HOSTS_MAX = 8 };

/* Times since the replay began: from <= t < to. */
struct scope_window {
    sim_time_t from, to;
};

/* A device behind a root port: a drive and its driver, a NIC and its driver, or, if none of
 * them is given, something of which only the DMAs are seen. */
struct scope_device {
    const char *name;
    struct rootport *port;
    struct nvme_ctrl *nvme;
    struct nvme_driver *driver;
    struct rdma_nic *nic;
    struct verbs_device *verbs;
};

struct scope {
    const char *name; /* Tells hosts apart; NULL: there is only one. */
    struct engine *engine;
    struct cpu *cpu;
    unsigned cpus;
    struct iommu *iommu;
    const struct audit *audit;
    struct scope_device device[SCOPE_DEVICES_MAX];
    unsigned devices;
};

#endif
