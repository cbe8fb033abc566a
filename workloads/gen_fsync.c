/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_fsync - what a file system's fsync sends: a burst of data, its journal, a flush and
 * the commit block.
 *
 * The order is that of the recorded ext4 sample (traces/samples/ext4-fdatasync.ftrace): the
 * data first, then the journal's blocks in one request, then a flush, then one block that
 * commits them and is forced to the medium. Data is spread over the medium, the journal is
 * a ring at its start.
 */
#include "workloads/generator.h"

/* clang-format off */
#define FSYNC_PARAMS(P)                                                                             \
    P(u32, data_requests, 4, 0, 4096, ANY, "requests", "Data writes of gen.block_kib in a burst",   \
      "a choice of the workload; fdatasync of a 4 KiB append: 1")                                   \
    P(u32, journal_kib,   8, 4, 1024, ANY, "KiB",      "Of a transaction, without its commit block", \
      "recorded: two to seven blocks of the file system")                                           \
    P(u32, ring_mib,     64, 1, 65536, ANY, "MiB",     "Of the journal",                            \
      "mke2fs: 64 MiB for a file system of 8 GiB")
/* clang-format on */

struct fsync_config {
    FSYNC_PARAMS(PARAM_FIELD)
};
struct fsync_state {
    uint64_t step; /* Within the burst. */
    uint64_t head; /* Of the journal, in bytes. */
};
#define PARAM_OWNER struct fsync_config
static const struct param_def fsync_params[] = { FSYNC_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table fsync_table  = { "gen:fsync", "Bursts that end in a flush",
                                                 fsync_params, sizeof(struct fsync_config),
                                                 NULL };

static void journal_write(struct gen_stream *s, struct trace_record *record, uint32_t bytes)
{
    const struct fsync_config *own = s->own;
    struct fsync_state *state      = s->state;
    const uint64_t ring            = (uint64_t)own->ring_mib << 20;
    if (state->head + bytes > ring)
        state->head = 0;
    record->op    = TRACE_WRITE;
    record->bytes = bytes;
    record->lba   = state->head / TRACE_SECTOR_BYTES;
    state->head += bytes;
}

static bool next(struct gen_stream *s, struct trace_record *record)
{
    enum { JOURNAL, FLUSH, COMMIT, STEPS };
    const struct fsync_config *own = s->own;
    struct fsync_state *state      = s->state;
    const uint64_t step            = state->step++;
    if (step < own->data_requests) {
        record->op    = TRACE_WRITE;
        record->bytes = s->config->block_kib << 10;
        record->lba   = gen_random_lba(s, record->bytes);
    } else if (step == own->data_requests + JOURNAL) {
        journal_write(s, record, own->journal_kib << 10);
    } else if (step == own->data_requests + COMMIT) {
        journal_write(s, record, 4096);
    } else {
        record->op    = TRACE_FLUSH;
        record->bytes = 0;
    }
    /* What is flushed has completed before: one at a time from the journal on. */
    if (step >= own->data_requests)
        record->depth = 1;
    if (state->step == own->data_requests + STEPS)
        state->step = 0;
    record->cpu = record->completion_cpu = 0; /* One task. */
    return true;
}

const struct generator gen_fsync = {
    .name        = "fsync",
    .summary     = "Bursts of writes, a journal and flushes, as fsync sends them",
    .params      = &fsync_table,
    .state_bytes = sizeof(struct fsync_state),
    .next        = next,
};
