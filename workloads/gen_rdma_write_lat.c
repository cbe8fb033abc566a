/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_write_lat - one small message after the other, all the same way. */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct traffic_config
RDMA_TRAFFIC("rdma_write_lat", TRACE_RDMA_WRITE,
             "RDMA writes one by one, as ib_write_lat, one way", 2, 1)

const struct generator gen_rdma_write_lat = {
    .name    = "rdma_write_lat",
    .summary = "RDMA writes one by one, as ib_write_lat, one way",
    .params  = &table,
    .next    = next,
    .check   = rdma_traffic_check,
};
