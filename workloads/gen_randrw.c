/* SPDX-License-Identifier: Apache-2.0 */
/* gen_randrw - reads and writes of gen.block_kib at random places, mixed. */
#include "workloads/generator.h"

/* clang-format off */
#define RANDRW_PARAMS(P)                                                                  \
    P(u32, read_percent, 70, 0, 100, ANY, "%", "Share of the requests that read",         \
      "as the recorded sample nvme-randrw-mixed")
/* clang-format on */

struct randrw_config {
    RANDRW_PARAMS(PARAM_FIELD)
};
#define PARAM_OWNER struct randrw_config
static const struct param_def randrw_params[] = { RANDRW_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table randrw_table  = { "gen:randrw", "Random reads and writes",
                                                  randrw_params,
                                                  sizeof(struct randrw_config), NULL };

static bool next(struct gen_stream *s, struct trace_record *record)
{
    const struct randrw_config *own = s->own;
    const bool reads                = rng_below(&s->rng, 100) < own->read_percent;
    record->op                      = reads ? TRACE_READ : TRACE_WRITE;
    record->bytes                   = s->config->block_kib << 10;
    record->lba                     = gen_random_lba(s, record->bytes);
    return true;
}

const struct generator gen_randrw = {
    .name    = "randrw",
    .summary = "Reads and writes at random places, mixed",
    .params  = &randrw_table,
    .next    = next,
};
