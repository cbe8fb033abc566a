/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_window - a device accesses random places of a window of memory that stays mapped, as
 * pcie-bench (SIGCOMM 2018) does.
 *
 * The window's pages are touched once in order before, as pcie-bench warms its host; this
 * is part of gen.requests.
 */
#include "workloads/generator.h"

/* clang-format off */
#define WINDOW_PARAMS(P)                                                                            \
    P(u32, kib,         256, 4, 4194304, ANY, "KiB",   "Of the window, in whole pages",                             \
      "pcie-bench: 4 KiB to 64 MiB")                                                                \
    P(u32, bytes,        64, 2, 4096, POW2, "bytes",   "Of one access, aligned to its size",        \
      "pcie-bench: 64 to 512")                                                                      \
    P(u32, write_percent, 0, 0,  100, ANY, "%",        "Share of the accesses that write",          \
      "pcie-bench: all reads or all writes")
/* clang-format on */

struct window_config {
    WINDOW_PARAMS(PARAM_FIELD)
};
#define PARAM_OWNER struct window_config
static const struct param_def window_params[] = { WINDOW_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table window_table  = { "gen:window", "A window at random places",
                                                  window_params,
                                                  sizeof(struct window_config), NULL };

#define WINDOW_FIRST UINT64_C(0x100000000)

static bool next(struct gen_stream *s, struct trace_record *record)
{
    const struct window_config *own = s->own;
    const uint64_t pages            = own->kib / 4;
    const uint64_t page  = s->made < pages ? s->made : rng_below(&s->rng, (uint32_t)pages);
    const uint64_t place = rng_below(&s->rng, 4096 / own->bytes);
    const bool writes    = rng_below(&s->rng, 100) < own->write_percent;
    s->piece[0] = (struct trace_segment){ WINDOW_FIRST + (page << 12) + place * own->bytes,
                                          own->bytes };
    record->op  = writes ? TRACE_ACCESS_WRITE : TRACE_ACCESS_READ;
    record->bytes         = own->bytes;
    record->segment_count = 1;
    record->cpu = record->completion_cpu = 0; /* One program of the device. */
    return true;
}

const struct generator gen_window = {
    .name    = "window",
    .summary = "A device accesses random places of memory that stays mapped (pcie-bench)",
    .params  = &window_table,
    .next    = next,
};
