/* SPDX-License-Identifier: Apache-2.0 */
/* gen_mix - reads and writes of several sizes, at random or sequential places. */
#include "workloads/generator.h"

/* clang-format off */
#define MIX_PARAMS(P)                                                                               \
    P(u32, read_percent,       70, 0, 100, ANY, "%", "Share of the requests that read",             \
      "fio rwmixread of the recorded mix")                                                          \
    P(u32, sequential_percent,  0, 0, 100, ANY, "%", "Share that begins where the request before ended", \
      "a choice of the workload")                                                                   \
    P(u32, weight_4k,          60, 0, 1000, ANY, "parts", "Requests of 4 KiB",                      \
      "fio bssplit of the recorded mix: 4k/60:8k/15:16k/10:64k/10:128k/5")                          \
    P(u32, weight_8k,          15, 0, 1000, ANY, "parts", "... 8 KiB",   "as above")                \
    P(u32, weight_16k,         10, 0, 1000, ANY, "parts", "... 16 KiB",  "as above")                \
    P(u32, weight_64k,         10, 0, 1000, ANY, "parts", "... 64 KiB",  "as above")                \
    P(u32, weight_128k,         5, 0, 1000, ANY, "parts", "... 128 KiB", "as above")                \
    P(u32, weight_1m,           0, 0, 1000, ANY, "parts", "... 1 MiB",   "as above")
/* clang-format on */

struct mix_config {
    MIX_PARAMS(PARAM_FIELD)
};
struct mix_state {
    uint64_t end; /* Of the request before, in sectors. */
};

enum { SIZES = 6 };

static uint32_t weight(const struct mix_config *c, unsigned size)
{
    const uint32_t all[SIZES] = { c->weight_4k,  c->weight_8k,   c->weight_16k,
                                  c->weight_64k, c->weight_128k, c->weight_1m };
    return all[size];
}

static uint32_t weights(const struct mix_config *c)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < SIZES; i++)
        sum += weight(c, i);
    return sum;
}

static bool weights_check(const void *config, struct error *error)
{
    return weights(config) > 0
           || error_set(error, "gen:mix.weight_4k: expected a weight above 0 for one of "
                               "the sizes at least");
}

#define PARAM_OWNER struct mix_config
static const struct param_def mix_params[] = { MIX_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table mix_table  = { "gen:mix", "Requests of several sizes",
                                               mix_params, sizeof(struct mix_config),
                                               weights_check };

static uint32_t choose_bytes(struct gen_stream *s)
{
    static const uint32_t kib[SIZES] = { 4, 8, 16, 64, 128, 1024 };
    const struct mix_config *own     = s->own;
    uint32_t at = rng_below(&s->rng, weights(own)), size = 0;
    for (; at >= weight(own, size); size++)
        at -= weight(own, size);
    return kib[size] << 10;
}

static bool next(struct gen_stream *s, struct trace_record *record)
{
    const struct mix_config *own = s->own;
    struct mix_state *state      = s->state;
    const uint64_t span          = (s->config->span_mib << 20) / TRACE_SECTOR_BYTES;
    record->op    = rng_below(&s->rng, 100) < own->read_percent ? TRACE_READ : TRACE_WRITE;
    record->bytes = choose_bytes(s);
    const uint32_t sectors = record->bytes / TRACE_SECTOR_BYTES;
    record->lba            = gen_random_lba(s, record->bytes);
    if (rng_below(&s->rng, 100) < own->sequential_percent)
        record->lba = state->end + sectors <= span ? state->end : 0;
    state->end = record->lba + sectors;
    return true;
}

const struct generator gen_mix = {
    .name        = "mix",
    .summary     = "Reads and writes of several sizes, random and sequential",
    .params      = &mix_table,
    .state_bytes = sizeof(struct mix_state),
    .next        = next,
};
