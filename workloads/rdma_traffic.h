/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rdma_traffic - what the generators of RDMA work (gen_rdma_*.c) share: connections from
 * one device to another, each with a region at either end, as perftest sets them up.
 */
#ifndef WORKLOADS_RDMA_TRAFFIC_H
#define WORKLOADS_RDMA_TRAFFIC_H

#include "workloads/generator.h"

/* clang-format off */
#define TRAFFIC_PARAMS(P, first_bytes, first_qps)                                                   \
    P(u32, bytes, first_bytes, 1, 1 << 30, ANY, "bytes",       "Of one message",                    \
      "perftest: 65536 where bandwidth is measured, 2 where latency is")                            \
    P(u32, qps,   first_qps,   1,    1024, ANY, "queue pairs", "That messages go over in turn",     \
      "perftest: 1")                                                                                \
    P(u32, slots,         2,   1,   65536, ANY, "messages",    "That a region has room for, used in turn", \
      "perftest: a buffer of twice the message")
/* clang-format on */

struct traffic_config {
    TRAFFIC_PARAMS(PARAM_FIELD, 0, 0)
};

/* Begins with the regions of all queue pairs, goes on with messages of this kind; depth 0:
 * as gen.depth says. */
bool rdma_traffic_next(struct gen_stream *s, struct trace_record *record, enum trace_op op,
                       uint32_t depth);
bool rdma_traffic_check(const struct gen_config *config, const void *own,
                        struct error *error);

/* What such a generator's file needs; PARAM_OWNER is struct traffic_config. */
#define RDMA_TRAFFIC(label, operation, text, first_bytes, own_depth)                       \
    static const struct param_def params[] = { TRAFFIC_PARAMS(PARAM_ROW, first_bytes, 1)   \
                                                   PARAM_END };                            \
    static const struct param_table table  = { "gen:" label, text, params,                 \
                                               sizeof(struct traffic_config), NULL };      \
    static bool next(struct gen_stream *s, struct trace_record *record)                    \
    {                                                                                      \
        return rdma_traffic_next(s, record, operation, own_depth);                         \
    }

/* clang-format off */
#define TURNS_PARAMS(P)                                                                             \
    P(u32, bytes, 2, 1, 1 << 30, ANY, "bytes",       "Of one message",                              \
      "perftest: 2 where latency is measured")                                                      \
    P(u32, qps,   1, 1,    1024, ANY, "queue pairs", "Each with an exchange of its own",            \
      "perftest: 1")
/* clang-format on */

struct turns_config {
    TURNS_PARAMS(PARAM_FIELD)
};

/* Regions first, then a message of this kind in one direction, one back, and so on: each
 * from the first half of its poster's region into the second half of the peer's. */
bool rdma_turns_next(struct gen_stream *s, struct trace_record *record, enum trace_op op);

/* What such a generator's file needs; PARAM_OWNER is struct turns_config. */
#define RDMA_TURNS(label, operation, text)                                                 \
    static const struct param_def params[] = { TURNS_PARAMS(PARAM_ROW) PARAM_END };        \
    static const struct param_table table  = { "gen:" label, text, params,                 \
                                               sizeof(struct turns_config), NULL };        \
    static bool next(struct gen_stream *s, struct trace_record *record)                    \
    {                                                                                      \
        return rdma_turns_next(s, record, operation);                                      \
    }

/* Of traffic among ranks, each a device of the trace. */
/* clang-format off */
#define RANKS_PARAMS(P)                                                                             \
    P(u32, ranks,     4, 2, 64, ANY, "ranks", "That talk to each other; each is a device of the trace", \
      "a choice of the workload")                                                                   \
    P(u32, bytes, 65536, 1, 1 << 30, ANY, "bytes", "That one rank sends to another at a time",      \
      "a choice of the workload")
/* clang-format on */

struct ranks_config {
    RANKS_PARAMS(PARAM_FIELD)
};

/* A write from rank to rank, over their own connection. */
void rdma_ranks_write(const struct ranks_config *c, uint32_t from, uint32_t to,
                      struct trace_record *record);

#endif
