/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_rdma_register - a region is registered, written to by the peer, and deregistered,
 * again and again: each round a region of its own, in memory that is used every time.
 */
#include "workloads/generator.h"

/* clang-format off */
#define REGISTER_PARAMS(P)                                                                          \
    P(u64, region_kib, 1024, 4, UINT64_C(1) << 25, ANY, "KiB", "Of the region, in whole pages",                     \
      "a choice of the workload")                                                                   \
    P(u64, used_kib,      4, 0, UINT64_C(1) << 25, ANY, "KiB", "Of it that the peer writes, from its beginning",    \
      "a choice of the workload")                                                                   \
    P(u32, message_kib, 1024, 1,    1 << 20, ANY, "KiB", "Of one write, at most",                    \
      "a choice of the workload")
/* clang-format on */

struct register_config {
    REGISTER_PARAMS(PARAM_FIELD)
};
#define PARAM_OWNER struct register_config
static const struct param_def register_params[] = { REGISTER_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table register_table  = { "gen:rdma_register",
                                                    "Registration again and again",
                                                    register_params,
                                                    sizeof(struct register_config), NULL };

enum { QP = 16, KEY_FIRST = 0x10000, KEYS = 0x1000000, KEY_LOCAL = 0x100 };
#define MEMORY (UINT64_C(1) << 45)
#define LOCAL  (UINT64_C(1) << 44)

static uint64_t writes_of(const struct register_config *c)
{
    return (c->used_kib + c->message_kib - 1) / c->message_kib;
}

static bool next(struct gen_stream *s, struct trace_record *record)
{
    const struct register_config *c = s->own;
    const uint64_t steps            = writes_of(c) + 2;
    const uint64_t turn = (s->made - 1) / steps, step = (s->made - 1) % steps;
    const uint32_t key = KEY_FIRST + (uint32_t)(turn % KEYS);
    record->cpu        = 0;
    record->depth      = s->config->depth;
    if (s->made == 0) { /* What the peer writes from. */
        record->op = TRACE_RDMA_REGISTER;
        record->rdma =
            (struct trace_rdma){ .key          = KEY_LOCAL,
                                 .address      = LOCAL,
                                 .region_bytes = (uint64_t)c->message_kib << 10 };
    } else if (step == 0) {
        record->op   = TRACE_RDMA_REGISTER;
        record->rdma = (struct trace_rdma){ .key          = key,
                                            .address      = MEMORY,
                                            .region_bytes = c->region_kib << 10 };
    } else if (step == steps - 1) {
        record->op       = TRACE_RDMA_DEREGISTER;
        record->rdma.key = key;
    } else {
        const uint64_t at   = (step - 1) * c->message_kib;
        const uint64_t left = c->used_kib - at;
        const uint64_t kib  = left < c->message_kib ? left : c->message_kib;
        record->op          = TRACE_RDMA_WRITE;
        record->bytes       = (uint32_t)(kib << 10);
        record->rdma        = (struct trace_rdma){ .qp            = QP,
                                                   .peer          = 1,
                                                   .peer_qp       = QP,
                                                   .key           = key,
                                                   .address       = MEMORY + (at << 10),
                                                   .local_key     = KEY_LOCAL,
                                                   .local_address = LOCAL };
    }
    return true;
}

static bool check(const struct gen_config *config, const void *own, struct error *error)
{
    const struct register_config *c = own;
    (void)config;
    if (c->region_kib % 4 != 0)
        return error_set(
            error, "gen:rdma_register.region_kib: expected a multiple of 4 (whole pages)");
    if (c->used_kib == 0 || c->used_kib > c->region_kib)
        return error_set(error, "gen:rdma_register.used_kib: expected 1 to region_kib");
    return true;
}

const struct generator gen_rdma_register = {
    .name    = "rdma_register",
    .summary = "A region is registered, used and deregistered again and again",
    .params  = &register_table,
    .next    = next,
    .check   = check,
};
