/* SPDX-License-Identifier: Apache-2.0 */
/* machine_stats - the counters of a run, and what must hold among them. */
#include "sim/app/machine.h"

#define PLACE(type, name, table) SYSTEM_STAT_PLACE(machine_counters, name, table)
static const struct system_stat_place tables[] = { MACHINE_COUNTERS(PLACE) };
enum { TABLES = sizeof tables / sizeof tables[0] };

const struct stat_table *machine_stats(const struct machine_counters *c, unsigned index,
                                       const void **stats)
{
    if (index >= TABLES)
        return NULL;
    *stats = c == NULL ? NULL : (const char *)c + tables[index].offset;
    return tables[index].table;
}

void machine_subtract(struct machine_counters *later,
                      const struct machine_counters *earlier)
{
    for (unsigned i = 0; i < TABLES; i++)
        stat_subtract(tables[i].table, (char *)later + tables[i].offset,
                      (const char *)earlier + tables[i].offset);
    system_subtract_cycles(&later->system, &earlier->system);
}

void machine_add(struct machine_counters *sum, const struct machine_counters *one)
{
    for (unsigned i = 0; i < TABLES; i++)
        system_add_stats(tables[i].table, (char *)sum + tables[i].offset,
                         (const char *)one + tables[i].offset);
    system_add_cycles(&sum->system, &one->system);
}

bool machine_check_stats(const struct machine_counters *all, struct error *error)
{
    for (unsigned i = 0; i < TABLES; i++)
        if (!stat_check(tables[i].table, (const char *)all + tables[i].offset, error))
            return false;
    return true;
}

bool machine_check_owners(const struct machine_result *r, const struct config *config,
                          struct error *error)
{
    return system_check_owners(&r->counters.system, r->cpus, r->time_ps,
                               config->cpu.period_ps, error);
}

bool machine_check_promise(const struct audit *audit, struct machine_result *result,
                           struct error *error)
{
    struct error what = { "" };
    if (audit_check(audit, &what))
        return true;
    if (!result->negative && !(result->attacker && result->leak[0] != '\0')) {
        *error = what;
        return false;
    }
    if (result->broken.text[0] == '\0')
        result->broken = what;
    return true;
}
