/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys - parameters of several modules by their keys: "iotlb.sets" is the parameter sets of
 * the table whose prefix is iotlb.
 */
#ifndef SIM_BASE_KEYS_H
#define SIM_BASE_KEYS_H

#include "sim/base/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The index-th table of a set and what it describes in of (NULL: *values is NULL); NULL
 * behind the last. */
typedef const struct param_table *keys_fn(const void *of, unsigned index,
                                          const void **values);

/* The row of a key, with its table and what it describes; NULL: there is no such key. */
const struct param_def *keys_find(keys_fn *tables, const void *of, const char *key,
                                  const struct param_table **table, const void **values);

/* Whether there is such a key; false with a line that names it, and the nearest one. */
bool keys_known(keys_fn *tables, const char *key, struct error *error);

/* Sets what a key names in of. False with a line that names the key, and the nearest one if
 * it is unknown. */
bool keys_set(keys_fn *tables, void *of, const char *key, const char *value,
              struct error *error);

/* The same of "key=value". */
bool keys_assign(keys_fn *tables, void *of, const char *assignment, struct error *error);

/* Every default; and whether each table's own rules hold. */
void keys_reset(keys_fn *tables, void *of);
bool keys_check(keys_fn *tables, const void *of, struct error *error);

enum { KEYS_BYTES_MAX = 96 }; /* Of a key, with its end. */

/* The key of an assignment; NULL, with a line, when it is none. */
const char *keys_split(const char *assignment, char key[KEYS_BYTES_MAX],
                       struct error *error);

#ifdef __cplusplus
}
#endif

#endif
