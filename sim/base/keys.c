/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/keys.h"

#include <stdio.h>
#include <string.h>

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters have to be changed, added or left out. Keys are short. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1];
    const size_t n = strlen(b);
    if (n > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0]          = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

static bool unknown(keys_fn *tables, const char *key, struct error *error)
{
    char nearest[KEYS_BYTES_MAX] = "", candidate[KEYS_BYTES_MAX];
    size_t least                 = SIZE_MAX;
    const struct param_table *table;
    const void *values;
    for (unsigned i = 0; (table = tables(NULL, i, &values)) != NULL; i++)
        for (const struct param_def *def = table->def; def->name != NULL; def++) {
            snprintf(candidate, sizeof candidate, "%s.%s", table->prefix, def->name);
            const size_t distance = edit_distance(key, candidate);
            if (distance < least) {
                least = distance;
                memcpy(nearest, candidate, sizeof nearest);
            }
        }
    if (least > strlen(key) / 3)
        return error_set(error, "%s: no such parameter; `iovasim params` lists all", key);
    return error_set(error,
                     "%s: no such parameter; did you mean %s? `iovasim params` lists all",
                     key, nearest);
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
