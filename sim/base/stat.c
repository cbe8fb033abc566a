/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/stat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/check.h"

static uint64_t read_at(const void *stats, size_t offset)
{
    return *(const uint64_t *)((const char *)stats + offset);
}

uint64_t stat_value(const struct stat_def *def, const void *stats)
{
    return read_at(stats, def->offset);
}

uint64_t stat_whole(const struct stat_def *def, const void *stats)
{
    return read_at(stats, def->whole);
}

void stat_subtract(const struct stat_table *table, void *later, const void *earlier)
{
    for (const struct stat_def *def = table->def; def->name != NULL; def++) {
        uint64_t *value = (uint64_t *)((char *)later + def->offset);
        CHECK(*value >= read_at(earlier, def->offset)); /* Counters only grow. */
        *value -= read_at(earlier, def->offset);
    }
}

static bool is_outcome(const struct stat_def *part, const struct stat_def *whole)
{
    const size_t n = strlen(whole->name);
    return part != whole && part->whole == whole->offset
           && strncmp(part->name, whole->name, n) == 0 && part->name[n] == '_';
}

bool stat_check(const struct stat_table *table, const void *stats, struct error *error)
{
    for (const struct stat_def *whole = table->def; whole->name != NULL; whole++) {
        uint64_t sum      = 0;
        unsigned outcomes = 0;
        for (const struct stat_def *part = table->def; part->name != NULL; part++)
            if (is_outcome(part, whole)) {
                sum += stat_value(part, stats);
                outcomes++;
            }
        if (outcomes > 0 && sum != stat_value(whole, stats))
            return error_set(error, "%s.%s is %" PRIu64 " but its outcomes sum to %" PRIu64,
                             table->prefix, whole->name, stat_value(whole, stats), sum);
    }
    return true;
}

bool stats_get(stats_fn *tables, const void *of, const char *name, uint64_t *value)
{
    const struct stat_table *table;
    const void *stats;
    for (unsigned i = 0; (table = tables(of, i, &stats)) != NULL; i++) {
        const size_t prefix = strlen(table->prefix);
        if (strncmp(name, table->prefix, prefix) != 0 || name[prefix] != '.')
            continue;
        for (const struct stat_def *def = table->def; def->name != NULL; def++)
            if (strcmp(def->name, name + prefix + 1) == 0) {
                *value = stat_value(def, stats);
                return true;
            }
    }
    return false;
}

bool stats_name(stats_fn *tables, const void *of, unsigned index, char *out, size_t bytes)
{
    const struct stat_table *table;
    const void *stats;
    for (unsigned i = 0; (table = tables(of, i, &stats)) != NULL; i++)
        for (const struct stat_def *def = table->def; def->name != NULL; def++)
            if (index-- == 0) {
                snprintf(out, bytes, "%s.%s", table->prefix, def->name);
                return true;
            }
    return false;
}
