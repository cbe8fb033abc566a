/* SPDX-License-Identifier: Apache-2.0 */
/* gen_seqread - reads of gen.block_kib, one behind the other. */
#include "workloads/generator.h"

static bool next(struct gen_stream *s, struct trace_record *record)
{
    record->op    = TRACE_READ;
    record->bytes = s->config->block_kib << 10;
    record->lba   = gen_lba(s, s->made, record->bytes);
    return true;
}

const struct generator gen_seqread = {
    .name    = "seqread",
    .summary = "Reads one behind the other",
    .next    = next,
};
