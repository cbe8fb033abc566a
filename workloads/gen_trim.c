/* SPDX-License-Identifier: Apache-2.0 */
/* gen_trim - discards and write zeroes, which move no data of the medium, among writes. */
#include "workloads/generator.h"

/* clang-format off */
#define TRIM_PARAMS(P)                                                                    \
    P(u32, discard_percent, 25, 0, 100, ANY, "%", "Share of the requests that discard",   \
      "a choice of the workload")                                                         \
    P(u32, zeroes_percent,  25, 0, 100, ANY, "%", "... that write zeroes",                \
      "a choice of the workload")                                                         \
    P(u32, range_kib,     1024, 1, 1048576, ANY, "KiB", "Of one of these",                \
      "a choice of the workload")
/* clang-format on */

struct trim_config {
    TRIM_PARAMS(PARAM_FIELD)
};

static bool shares_check(const void *config, struct error *error)
{
    const struct trim_config *c = config;
    return c->discard_percent + c->zeroes_percent <= 100
           || error_set(error,
                        "gen:trim.zeroes_percent: expected at most %u beside "
                        "gen:trim.discard_percent=%u, got %u",
                        100 - c->discard_percent, c->discard_percent, c->zeroes_percent);
}

#define PARAM_OWNER struct trim_config
static const struct param_def trim_params[] = { TRIM_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table trim_table  = { "gen:trim", "Requests without data",
                                                trim_params, sizeof(struct trim_config),
                                                shares_check };

static bool next(struct gen_stream *s, struct trace_record *record)
{
    const struct trim_config *own = s->own;
    const uint32_t at             = rng_below(&s->rng, 100);
    const bool discards           = at < own->discard_percent;
    const bool writes             = at >= own->discard_percent + own->zeroes_percent;
    record->op    = discards ? TRACE_DISCARD : writes ? TRACE_WRITE : TRACE_WRITE_ZEROES;
    record->bytes = (writes ? s->config->block_kib : own->range_kib) << 10;
    record->lba   = gen_random_lba(s, record->bytes);
    return true;
}

const struct generator gen_trim = {
    .name    = "trim",
    .summary = "Discards and write zeroes, which move no data of the medium, among writes",
    .params  = &trim_table,
    .next    = next,
};
