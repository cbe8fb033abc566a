/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_send_lat - a message there, one back, and so on; each answers the one before. */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct turns_config
RDMA_TURNS("rdma_send_lat", TRACE_RDMA_SEND, "Sends there and back, as ib_send_lat")

const struct generator gen_rdma_send_lat = {
    .name    = "rdma_send_lat",
    .summary = "Sends there and back, as ib_send_lat",
    .params  = &table,
    .turns   = true,
    .next    = next,
};
