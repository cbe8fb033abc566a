/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_rdma_allreduce - a ring all-reduce: in each of 2 (ranks - 1) steps every rank writes
 * one part of its data to the next rank. With fabric.hosts ranks, each is a host.
 *
 * Inaccuracies: a rank does not wait for what it has to add before it sends it on; how far
 * ranks may be apart is gen.depth.
 */
#include "workloads/rdma_traffic.h"

#define PARAM_OWNER struct ranks_config
static const struct param_def params[] = { RANKS_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table table = { "gen:rdma_allreduce", "A ring all-reduce", params,
                                          sizeof(struct ranks_config), NULL };

static bool next(struct gen_stream *s, struct trace_record *record)
{
    const struct ranks_config *c = s->own;
    const uint32_t from          = (uint32_t)(s->made % c->ranks);
    record->cpu                  = 0; /* A rank's steps follow each other. */
    rdma_ranks_write(c, from, (from + 1) % c->ranks, record);
    return true;
}

const struct generator gen_rdma_allreduce = {
    .name    = "rdma_allreduce",
    .summary = "A ring all-reduce of several ranks",
    .params  = &table,
    .next    = next,
};
