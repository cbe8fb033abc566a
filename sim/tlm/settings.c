/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/tlm/settings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "iommu_model/arch.h"
#include "sim/app/preset.h"
#include "sim/base/keys.h"

#define PARAM_OWNER struct tlm_config
static const struct param_def tlm_params[] = { TLM_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table tlm_param_table   = { "tlm", "The TLM-2.0 module", tlm_params,
                                               sizeof(struct tlm_config), NULL };

#define MODULE(name)                                                                       \
    {                                                                                      \
        &name##_param_table, offsetof(struct settings, name)                               \
    }
static const struct {
    const struct param_table *table;
    size_t offset;
} modules[] = {
    MODULE(tlm),    MODULE(iommu),   MODULE(context), MODULE(iotlb),  MODULE(walkcache),
    MODULE(walker), MODULE(memport), MODULE(invq),    MODULE(faultq),
};
enum { MODULES = sizeof modules / sizeof modules[0] };

/* The tables in order, and the struct that each describes; NULL behind the last. */
static const struct param_table *table_at(const void *of, unsigned index,
                                          const void **values)
{
    const struct settings *s = of;
    if (index < MODULES) {
        *values = (const char *)s + modules[index].offset;
        return modules[index].table;
    }
    const struct iommu_arch *arch = arch_table[index - MODULES];
    if (arch == NULL)
        return NULL;
    *values = s->arch[index - MODULES];
    return arch->params;
}

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; arch_table[i] != NULL; i++) {
        CHECK(i < SETTINGS_ARCHS_MAX);
        s->arch[i] = calloc(1, arch_table[i]->params->bytes);
        CHECK(s->arch[i] != NULL);
    }
    keys_reset(table_at, s);
}

void settings_free(struct settings *s)
{
    for (unsigned i = 0; i < SETTINGS_ARCHS_MAX; i++)
        free(s->arch[i]);
}

/* False: there is no such key, and nothing was said about it. */
static bool assign(struct settings *s, const char *assignment, bool *good,
                   struct error *error)
{
    char key[KEYS_BYTES_MAX];
    const void *values;
    const struct param_table *table;
    const size_t n = strcspn(assignment, "=");
    if (n >= sizeof key || assignment[n] == '\0')
        return false;
    memcpy(key, assignment, n);
    key[n]                      = '\0';
    const struct param_def *def = keys_find(table_at, s, key, &table, &values);
    if (def == NULL)
        return false;
    *good = param_set(table, def, (void *)values, assignment + n + 1, error);
    return true;
}

bool settings_set(struct settings *s, const char *assignment, struct error *error)
{
    bool good = false;
    if (strchr(assignment, '=') == NULL)
        return error_set(error, "'%s': expected key=value", assignment);
    if (!assign(s, assignment, &good, error))
        return error_set(error, "%.*s: no such parameter of an IOMMU or a TLM module",
                         (int)strcspn(assignment, "="), assignment);
    return good;
}

bool settings_preset(struct settings *s, const char *name, struct error *error)
{
    bool good                   = true;
    const struct preset *preset = preset_find(name);
    if (preset == NULL)
        return error_set(error, "preset '%s': not known", name);
    for (const struct preset_value *v = preset->value; v->assignment != NULL; v++)
        if (assign(s, v->assignment, &good, error) && !good)
            return error_in(error, "preset %s", name);
    return true;
}

bool settings_check(const struct settings *s, struct error *error)
{
    return keys_check(table_at, s, error);
}

bool settings_get(const struct settings *s, const char *key, char *out, size_t out_bytes)
{
    const struct param_table *table;
    const void *values;
    const struct param_def *def = keys_find(table_at, s, key, &table, &values);
    if (def == NULL)
        return false;
    if (def->type == PARAM_name)
        snprintf(out, out_bytes, "%s", param_text(def, values));
    else
        snprintf(out, out_bytes, "%" PRIu64, param_number(def, values));
    return true;
}

bool settings_key(const struct settings *s, unsigned index, char *out, size_t out_bytes)
{
    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = table_at(s, i, &values)) != NULL; i++)
        for (const struct param_def *def = table->def; def->name != NULL; def++)
            if (index-- == 0) {
                snprintf(out, out_bytes, "%s.%s", table->prefix, def->name);
                return true;
            }
    return false;
}

struct iommu_settings settings_iommu(const struct settings *s)
{
    unsigned arch = 0;
    while (strcmp(arch_table[arch]->name, s->iommu.arch) != 0)
        arch++;
    return (struct iommu_settings){
        .iommu     = s->iommu,
        .context   = s->context,
        .iotlb     = s->iotlb,
        .walkcache = s->walkcache,
        .walker    = s->walker,
        .memport   = s->memport,
        .invq      = s->invq,
        .faultq    = s->faultq,
        .arch      = s->arch[arch],
    };
}

/* ---- Statistics
 * -------------------------------------------------------------------------- */

static const struct stat_table *stats_at(const void *of, unsigned index, const void **stats)
{
    const struct iommu *m                         = of;
    static const struct stat_table *const table[] = {
        &iommu_stat_table,   &iotlb_stat_table,   &walkcache_stat_table,
        &context_stat_table, &memport_stat_table, NULL
    };
    const void *const at[] = { &m->stats,         &m->iotlb.stats,   &m->walkcache.stats,
                               &m->context_stats, &m->memport.stats, NULL };
    *stats                 = at[index];
    return table[index];
}

bool settings_statistic(const struct iommu *m, const char *name, uint64_t *value)
{
    return stats_get(stats_at, m, name, value);
}

bool settings_statistic_name(unsigned index, char *out, size_t out_bytes)
{
    static const struct iommu none;
    return stats_name(stats_at, &none, index, out, out_bytes);
}
