/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series - what a machine did over time, in a bounded number of windows.
 *
 * The windows begin 1 us long. When there are SERIES_MAX of them, each two become one, and
 * the windows to come are twice as long: a short run is seen finely, a long one coarsely,
 * and either takes the same room.
 */
#ifndef SIM_APP_SERIES_H
#define SIM_APP_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/simtime.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SERIES_MAX = 128 };

/* kind: sum, what happened in the window; most, the largest that was seen in it. */
/* clang-format off */
#define SERIES_COLUMNS(C)                                                                           \
    /* name                  kind  unit              what it is */                                  \
    C(record,                sum,  "requests",       "Records replayed to their end")               \
    C(dma_bytes,             sum,  "bytes",          "Data, commands and lists moved by the device") \
    C(translation,           sum,  "requests",       "Translations answered")                       \
    C(translate_ps,          sum,  "ps",             "Time that the device's DMA waited for them, summed") \
    C(iotlb_lookup,          sum,  "lookups",        "Look-ups in the IOTLB")                       \
    C(iotlb_lookup_hit,      sum,  "lookups",        "... that hit")                                \
    C(walk,                  sum,  "walks",          "Page walks begun")                            \
    C(walk_read,             sum,  "reads",          "Page-table entries read by walkers")          \
    C(walkcache_lookup,      sum,  "lookups",        "Walks that asked the walk caches")            \
    C(walkcache_lookup_missed, sum, "lookups",       "... that began at the root")                  \
    C(invalidation,          sum,  "commands",       "Commands carried out, waits not counted")     \
    C(queued_cycles,         sum,  "command cycles", "Commands in the invalidation queue, summed over the IOMMU's cycles") \
    C(queued_most,           most, "commands",       "Most commands in the invalidation queue")     \
    C(exposed_most,          most, "pages",          "Most pages that were exposed at the same time") \
    C(pool_most,             most, "pages",          "Most pages of pools at the same time")
/* clang-format on */

enum series_kind { SERIES_sum, SERIES_most };
#define SERIES_ID(name, kind, unit, text) SERIES_ID_##name,
enum series_id { SERIES_COLUMNS(SERIES_ID) SERIES_COLUMN_COUNT };

struct series_def {
    const char *name, *unit, *text;
    enum series_kind kind;
};
extern const struct series_def series_def[SERIES_COLUMN_COUNT];

struct series_window {
    sim_time_t end; /* It began at the end of the one before. */
    uint64_t value[SERIES_COLUMN_COUNT];
};

struct series {
    sim_time_t began, length; /* length: of windows to come. */
    unsigned windows;
    struct series_window window[SERIES_MAX];
    uint64_t before[SERIES_COLUMN_COUNT]; /* Counters at the end of the last window. */
};

/* value: where the counters stand; a column of the kind most has none. */
void series_begin(struct series *s, sim_time_t now, const uint64_t *value);

/* When the window under way is to end. */
sim_time_t series_due(const struct series *s);

/* A window ends now, behind the one before: value as above, and of the kind most what was
 * seen in it. */
void series_sample(struct series *s, sim_time_t now, const uint64_t *value);

#ifdef __cplusplus
}
#endif

#endif
