/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_write_bw - writes from one host's region into another's, gen.depth at a time. */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct traffic_config
RDMA_TRAFFIC("rdma_write_bw", TRACE_RDMA_WRITE, "RDMA writes, as ib_write_bw", 65536, 0)

const struct generator gen_rdma_write_bw = {
    .name    = "rdma_write_bw",
    .summary = "RDMA writes, as ib_write_bw",
    .params  = &table,
    .next    = next,
    .check   = rdma_traffic_check,
};
