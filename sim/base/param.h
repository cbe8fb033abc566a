/* SPDX-License-Identifier: Apache-2.0 */
/*
 * param - parameters declared once, as one table per module.
 *
 * A module lists its parameters in its header, before everything else:
 *
 *     #define IOTLB_PARAMS(P)
 *         P( type, name, default, min, max, rule, "unit", "what it is", "source" )
 *
 * From that list come the fields of struct iotlb_config, the key iotlb.NAME of --set and
 * of presets, its range check, `iovasim params`, docs/parameters.md and the resolved
 * configuration in every result.
 *
 * Types: u32, u64, flag (0 or 1), and name, a member of a closed list: min is then the
 * function that names the members. Rules: ANY, POW2.
 */
#ifndef SIM_BASE_PARAM_H
#define SIM_BASE_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum param_type { PARAM_u32, PARAM_u64, PARAM_flag, PARAM_name };
enum param_rule { PARAM_ANY, PARAM_POW2 };

/* The index-th member of a closed list, or NULL behind the last one. */
typedef const char *param_member_fn(unsigned index);

struct param_def {
    const char *name; /* NULL ends a table. */
    enum param_type type;
    size_t offset;
    uint64_t initial, min, max;
    const char *initial_name;
    param_member_fn *member;
    enum param_rule rule;
    const char *unit, *text, *source;
};

/* A module's table: prefix.NAME is the key. check holds the rules between parameters. */
struct param_table {
    const char *prefix, *text;
    const struct param_def *def;
    size_t bytes;
    bool (*check)(const void *config, struct error *error); /* NULL: no such rule */
};

#define PARAM_FIELD(type, name, ...) PARAM_FIELD_##type(name)
#define PARAM_FIELD_u32(name)        uint32_t name;
#define PARAM_FIELD_u64(name)        uint64_t name;
#define PARAM_FIELD_flag(name)       bool name;
#define PARAM_FIELD_name(name)       const char *name;

/* One row of a param_def table; PARAM_OWNER is the struct that the rows describe. */
#define PARAM_ROW(type, name, initial, min, max, rule, unit, text, source)                 \
    PARAM_ROW_##type(type, name, initial, min, max, rule, unit, text, source)
#define PARAM_ROW_u32(type, field, first, low, high, law, u, t, s)                         \
    { #field,                                                                              \
      PARAM_##type,                                                                        \
      offsetof(PARAM_OWNER, field),                                                        \
      first,                                                                               \
      low,                                                                                 \
      high,                                                                                \
      NULL,                                                                                \
      NULL,                                                                                \
      PARAM_##law,                                                                         \
      u,                                                                                   \
      t,                                                                                   \
      s },
#define PARAM_ROW_u64  PARAM_ROW_u32
#define PARAM_ROW_flag PARAM_ROW_u32
#define PARAM_ROW_name(type, field, first, members, high, law, u, t, s)                    \
    { #field, PARAM_name, offsetof(PARAM_OWNER, field),                                    \
      0,      0,          high,                                                            \
      #first, members,    PARAM_##law,                                                     \
      u,      t,          s },
#define PARAM_END                                                                          \
    {                                                                                      \
        NULL, PARAM_u32, 0, 0, 0, 0, NULL, NULL, PARAM_ANY, NULL, NULL, NULL               \
    }

/* Writes every default of the table into config. */
void param_reset(const struct param_table *table, void *config);

/* The row called name (without prefix), or NULL. */
const struct param_def *param_find(const struct param_table *table, const char *name);

/* Parses text into the row's field. False with one line naming prefix.key, what was given
 * and what was expected. Numbers are decimal or 0x hexadecimal; flags also take on/off. */
bool param_set(const struct param_table *table, const struct param_def *def, void *config,
               const char *text, struct error *error);

/* A whole number, decimal or 0x hexadecimal, without sign or blanks; false: it is none. */
bool param_parse_number(const char *text, uint64_t *number);

/* The value of a numeric or flag row, and of a name row. */
uint64_t param_number(const struct param_def *def, const void *config);
const char *param_text(const struct param_def *def, const void *config);

/* "1 .. 65536, a power of two", "lru|plru|fifo", "0|1": what a value may be. */
void param_domain(const struct param_def *def, char *out, size_t out_bytes);

#ifdef __cplusplus
}
#endif

#endif
