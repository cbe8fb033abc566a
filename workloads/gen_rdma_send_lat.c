/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_send_lat - one small message after the other, all the same way. */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct traffic_config
RDMA_TRAFFIC("rdma_send_lat", TRACE_RDMA_SEND, "Sends one by one, as ib_send_lat, one way",
             2, 1)

const struct generator gen_rdma_send_lat = {
    .name    = "rdma_send_lat",
    .summary = "Sends one by one, as ib_send_lat, one way",
    .params  = &table,
    .next    = next,
    .check   = rdma_traffic_check,
};
