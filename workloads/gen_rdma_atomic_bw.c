/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_atomic_bw - fetch-and-adds on another host's memory, gen.depth at a time. */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct traffic_config
RDMA_TRAFFIC("rdma_atomic_bw", TRACE_RDMA_ATOMIC, "Fetch-and-add, as ib_atomic_bw", 8, 0)

const struct generator gen_rdma_atomic_bw = {
    .name    = "rdma_atomic_bw",
    .summary = "Fetch-and-add, as ib_atomic_bw",
    .params  = &table,
    .next    = next,
    .check   = rdma_traffic_check,
};
