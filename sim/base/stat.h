/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat - statistics declared once, as one table per module.
 *
 *     #define IOTLB_STATS(S)
 *         S( name, whole, "unit", "what it counts" )
 *
 * The column whole names the counter of which this one is a share; a counter that is its
 * own whole stands alone. Parts whose name starts with their whole's name and '_' are its
 * exclusive outcomes: they must sum to it, which stat_check asks at the end of every run.
 */
#ifndef SIM_BASE_STAT_H
#define SIM_BASE_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stat_def {
    const char *name; /* NULL ends a table. */
    size_t offset, whole;
    const char *unit, *text;
};

struct stat_table {
    const char *prefix, *text;
    const struct stat_def *def;
    size_t bytes;
};

#define STAT_FIELD(name, whole, unit, text) uint64_t name;
#define STAT_ROW(name, whole, unit, text)                                                  \
    { #name, offsetof(STAT_OWNER, name), offsetof(STAT_OWNER, whole), unit, text },
#define STAT_END                                                                           \
    {                                                                                      \
        NULL, 0, 0, NULL, NULL                                                             \
    }

uint64_t stat_value(const struct stat_def *def, const void *stats);
uint64_t stat_whole(const struct stat_def *def, const void *stats);

/* later -= earlier, counter by counter: what happened in between. */
void stat_subtract(const struct stat_table *table, void *later, const void *earlier);

/* Whether the exclusive outcomes of every whole sum to it. */
bool stat_check(const struct stat_table *table, const void *stats, struct error *error);

/* ---- Counters of several modules by their names: "iotlb.lookup" ---- */

/* The index-th table of a set and what it describes in of (NULL: *stats is NULL); NULL
 * behind the last. */
typedef const struct stat_table *stats_fn(const void *of, unsigned index,
                                          const void **stats);

/* False: there is no such counter. */
bool stats_get(stats_fn *tables, const void *of, const char *name, uint64_t *value);

/* The name of the index-th counter of all; false behind the last. */
bool stats_name(stats_fn *tables, const void *of, unsigned index, char *out, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
