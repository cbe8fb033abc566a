/* SPDX-License-Identifier: Apache-2.0 */
/* gen_randread - reads of gen.block_kib at random places. */
#include "workloads/generator.h"

static bool next(struct gen_stream *s, struct trace_record *record)
{
    record->op    = TRACE_READ;
    record->bytes = s->config->block_kib << 10;
    record->lba   = gen_random_lba(s, record->bytes);
    return true;
}

const struct generator gen_randread = {
    .name    = "randread",
    .summary = "Reads at random places of the medium",
    .next    = next,
};
