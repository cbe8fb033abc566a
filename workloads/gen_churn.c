/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_churn - memory is mapped and unmapped again and again on every CPU, as
 * tools/dma/dma_map_benchmark of Linux does; no device is asked.
 *
 * gen.block_kib is mapped each time: the pieces in which placement.model puts it by the API
 * of the replay.
 */
#include "workloads/generator.h"

static bool next(struct gen_stream *s, struct trace_record *record)
{
    record->op    = TRACE_MAP;
    record->bytes = s->config->block_kib << 10;
    record->depth = 1;
    return true;
}

const struct generator gen_churn = {
    .name    = "churn",
    .summary = "Maps and unmaps on every CPU, without a device (dma_map_benchmark)",
    .next    = next,
};
