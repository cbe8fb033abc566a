/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gauge - how full queues and caches of hosts and of their devices are, and what stands on
 * the IOMMU's wires: the counters of the timeline and the signals of the waveforms.
 */
#ifndef SIM_SCOPE_GAUGE_H
#define SIM_SCOPE_GAUGE_H

#include "iommu_model/audit.h"
#include "workloads/nvme_ctrl.h"
#include "workloads/rdma_nic.h"

/* What is looked at: a host or a device. Nothing in it is changed. */
struct gauge_source {
    struct iommu *iommu;
    const struct audit *audit;
    const struct rootport *port;
    const struct nvme_ctrl *nvme; /* NULL: it is no drive; */
    const struct rdma_nic *nic;   /* NULL: it is no NIC. */
    const uint32_t *requests; /* Of a NIC: under way, as whoever looks has counted them. */
};

enum gauge_use {
    GAUGE_COUNTER = 1, /* A counter of the timeline. */
    GAUGE_BYTES   = 2, /* ... whose unit is the byte. */
    GAUGE_SIGNAL  = 4, /* A signal of the waveforms. */
};

struct gauge {
    const char *name; /* As a signal's: parts of the hardware, separated by dots. */
    const char *text; /* As a counter's. */
    unsigned bits, use;
    uint64_t (*read)(const struct gauge_source *from, unsigned index);
    unsigned index; /* Which of several alike. */
};

enum { GAUGES_MAX = 64 };

/* Those of this host, whose IOMMU and audit matter, and of this device, of which the rest
 * does; return how many. */
unsigned gauge_list_host(const struct gauge_source *from, struct gauge gauge[GAUGES_MAX]);
unsigned gauge_list_device(const struct gauge_source *from, struct gauge gauge[GAUGES_MAX]);

#endif
