/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_write_lat - a message there, one back, and so on; each answers the one before.
 */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct turns_config
RDMA_TURNS("rdma_write_lat", TRACE_RDMA_WRITE,
           "RDMA writes there and back, as ib_write_lat")

const struct generator gen_rdma_write_lat = {
    .name    = "rdma_write_lat",
    .summary = "RDMA writes there and back, as ib_write_lat",
    .params  = &table,
    .turns   = true,
    .next    = next,
};
