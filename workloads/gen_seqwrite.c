/* SPDX-License-Identifier: Apache-2.0 */
/* gen_seqwrite - writes of gen.block_kib, one behind the other. */
#include "workloads/generator.h"

static bool next(struct gen_stream *s, struct trace_record *record)
{
    record->op    = TRACE_WRITE;
    record->bytes = s->config->block_kib << 10;
    record->lba   = gen_lba(s, s->made, record->bytes);
    return true;
}

const struct generator gen_seqwrite = {
    .name    = "seqwrite",
    .summary = "Writes one behind the other",
    .next    = next,
};
