/* SPDX-License-Identifier: Apache-2.0 */
/* gen_rdma_send_bw - sends into receives that the other host posts, gen.depth at a time. */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct traffic_config
RDMA_TRAFFIC("rdma_send_bw", TRACE_RDMA_SEND, "Sends, as ib_send_bw", 65536, 0)

const struct generator gen_rdma_send_bw = {
    .name    = "rdma_send_bw",
    .summary = "Sends, as ib_send_bw",
    .params  = &table,
    .next    = next,
    .check   = rdma_traffic_check,
};
