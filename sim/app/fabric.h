/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fabric - several hosts in one simulation, each a machine of its own with an RDMA NIC, and
 * the network between them.
 *
 *     CPUs -- memory -- IOMMU -- root port, link (-- its TLB) -- RDMA NIC -- wire -- ...
 *
 * Each host has its own memory, IOMMU, kernel, domain and referee, all of the same preset,
 * policy and API. What is reported is the sum over the hosts; extremes are the largest.
 */
#ifndef SIM_APP_FABRIC_H
#define SIM_APP_FABRIC_H

#include "sim/app/machine.h"

/* As machine_run, for a trace of RDMA work, or of block requests that go over RDMA to the
 * drive of another host (storage.h); result's constant parts are filled in. */
enum machine_outcome fabric_run(const struct config *config, const struct machine_run *run,
                                const struct sim_host *host, struct machine_result *result,
                                struct error *error);

#endif
