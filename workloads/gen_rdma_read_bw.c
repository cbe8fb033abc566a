/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_read_bw - reads of another host's region, gen.depth at a time. */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct traffic_config
RDMA_TRAFFIC("rdma_read_bw", TRACE_RDMA_READ, "RDMA reads, as ib_read_bw", 65536, 0)

const struct generator gen_rdma_read_bw = {
    .name    = "rdma_read_bw",
    .summary = "RDMA reads, as ib_read_bw",
    .params  = &table,
    .next    = next,
    .check   = rdma_traffic_check,
};
