/* SPDX-License-Identifier: Apache-2.0 */
/* results - what a run came to. */
#include <inttypes.h>
#include <string.h>

#include "sim/lib/inside.h"

sim_time_t iovasim_time(const struct iovasim_machine *m)
{
    return m->time;
}

uint64_t iovasim_cycles_in(const struct iovasim_machine *m, enum cpu_owner owner,
                           enum cpu_phase phase)
{
    CHECK((unsigned)owner < OWNERS);
    CHECK((unsigned)phase < PHASES);
    return m->result.cycles[phase][owner];
}

uint64_t iovasim_cycles(const struct iovasim_machine *m, enum cpu_owner owner)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < PHASES; p++)
        sum += iovasim_cycles_in(m, owner, (enum cpu_phase)p);
    return sum;
}

static const struct stat_table *stats_at(const void *counters, unsigned index,
                                         const void **stats)
{
    return system_stats(counters, index, stats);
}

bool iovasim_statistic(const struct iovasim_machine *m, const char *name, uint64_t *value)
{
    return stats_get(stats_at, &m->result, name, value);
}

bool iovasim_statistic_name(unsigned index, char *out, size_t bytes)
{
    return stats_name(stats_at, NULL, index, out, bytes);
}

static void put(FILE *out, const char *group, const char *name, uint64_t value,
                const char *unit)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", group, name);
    if (value != 0)
        fprintf(out, "%-36s %14" PRIu64 " %s\n", key, value, unit);
}

void iovasim_print(const struct iovasim_machine *m, FILE *out)
{
    const struct stat_table *table;
    const void *stats;
    fprintf(out, "%-36s %14" PRIu64 " ps\n", "time", m->time);
    for (unsigned o = 0; o < OWNERS; o++)
        put(out, "cycles", cpu_owner_name[o], iovasim_cycles(m, (enum cpu_owner)o),
            "cycles");
    for (unsigned i = 0; (table = system_stats(&m->result, i, &stats)) != NULL; i++)
        for (const struct stat_def *def = table->def; def->name != NULL; def++)
            put(out, table->prefix, def->name, stat_value(def, stats), def->unit);
}
