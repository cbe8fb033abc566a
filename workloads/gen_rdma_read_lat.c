/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_read_lat - one small read after the other. */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct traffic_config
RDMA_TRAFFIC("rdma_read_lat", TRACE_RDMA_READ, "RDMA reads one by one, as ib_read_lat", 2,
             1)

const struct generator gen_rdma_read_lat = {
    .name    = "rdma_read_lat",
    .summary = "RDMA reads one by one, as ib_read_lat",
    .params  = &table,
    .next    = next,
    .check   = rdma_traffic_check,
};
