/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/keys.h"

#include <stdio.h>
#include <string.h>

#include "sim/base/near.h"

static bool unknown(keys_fn *tables, const char *key, struct error *error)
{
    struct near near = near_begin(key);
    char candidate[KEYS_BYTES_MAX];
    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = tables(NULL, i, &values)) != NULL; i++)
        for (const struct param_def *def = table->def; def->name != NULL; def++) {
            snprintf(candidate, sizeof candidate, "%s.%s", table->prefix, def->name);
            near_offer(&near, candidate);
        }
    return error_set(error, "%s: no such parameter;%s `iovasim params` lists all", key,
                     near_hint(&near));
}

const struct param_def *keys_find(keys_fn *tables, const void *of, const char *key,
                                  const struct param_table **table, const void **values)
{
    for (unsigned i = 0; (*table = tables(of, i, values)) != NULL; i++) {
        const size_t prefix = strlen((*table)->prefix);
        if (strncmp(key, (*table)->prefix, prefix) != 0 || key[prefix] != '.')
            continue;
        const struct param_def *def = param_find(*table, key + prefix + 1);
        if (def != NULL)
            return def;
    }
    return NULL;
}

bool keys_known(keys_fn *tables, const char *key, struct error *error)
{
    const struct param_table *table;
    const void *values;
    return keys_find(tables, NULL, key, &table, &values) != NULL
           || unknown(tables, key, error);
}

bool keys_set(keys_fn *tables, void *of, const char *key, const char *value,
              struct error *error)
{
    const struct param_table *table;
    const void *values;
    const struct param_def *def = keys_find(tables, of, key, &table, &values);
    return def != NULL ? param_set(table, def, (void *)values, value, error)
                       : unknown(tables, key, error);
}

const char *keys_split(const char *assignment, char key[KEYS_BYTES_MAX],
                       struct error *error)
{
    const char *equals = strchr(assignment, '=');
    const size_t n     = equals == NULL ? 0 : (size_t)(equals - assignment);
    if (n == 0 || n >= KEYS_BYTES_MAX) {
        error_set(error, "'%s': expected key=value", assignment);
        return NULL;
    }
    memcpy(key, assignment, n);
    key[n] = '\0';
    return equals + 1;
}

bool keys_assign(keys_fn *tables, void *of, const char *assignment, struct error *error)
{
    char key[KEYS_BYTES_MAX];
    const char *value = keys_split(assignment, key, error);
    return value != NULL && keys_set(tables, of, key, value, error);
}

void keys_reset(keys_fn *tables, void *of)
{
    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = tables(of, i, &values)) != NULL; i++)
        param_reset(table, (void *)values);
}

bool keys_check(keys_fn *tables, const void *of, struct error *error)
{
    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = tables(of, i, &values)) != NULL; i++)
        if (table->check != NULL && !table->check(values, error))
            return false;
    return true;
}
