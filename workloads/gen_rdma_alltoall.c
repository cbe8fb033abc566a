/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_rdma_alltoall - every rank writes to every other one, in rounds: in the nth step of a
 * round, to the one n places further. With fabric.hosts ranks, each is a host.
 */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct ranks_config
static const struct param_def params[] = { RANKS_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table table  = { "gen:rdma_alltoall", "Every rank to every other",
                                           params, sizeof(struct ranks_config), NULL };

static bool next(struct gen_stream *s, struct trace_record *record)
{
    const struct ranks_config *c = s->own;
    const uint32_t from          = (uint32_t)(s->made % c->ranks);
    const uint32_t step          = (uint32_t)(s->made / c->ranks % (c->ranks - 1)) + 1;
    record->cpu                  = step % s->config->cpus;
    rdma_ranks_write(c, from, (from + step) % c->ranks, record);
    return true;
}

const struct generator gen_rdma_alltoall = {
    .name    = "rdma_alltoall",
    .summary = "Every rank writes to every other one",
    .params  = &table,
    .next    = next,
};
