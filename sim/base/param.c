/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/param.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/lg2.h"

static void *field_of(const struct param_def *def, void *config)
{
    return (char *)config + def->offset;
}

static void store(const struct param_def *def, void *config, uint64_t number,
                  const char *member)
{
    void *field = field_of(def, config);
    switch (def->type) {
    case PARAM_u32:
        *(uint32_t *)field = (uint32_t)number;
        return;
    case PARAM_u64:
        *(uint64_t *)field = number;
        return;
    case PARAM_flag:
        *(bool *)field = number != 0;
        return;
    case PARAM_name:
        *(const char **)field = member;
        return;
    }
    UNREACHABLE("a parameter has one of four types");
}

static const char *member_called(const struct param_def *def, const char *name)
{
    const char *member;
    for (unsigned i = 0; (member = def->member(i)) != NULL; i++)
        if (strcmp(member, name) == 0)
            return member;
    return NULL;
}

void param_reset(const struct param_table *table, void *config)
{
    for (const struct param_def *def = table->def; def->name != NULL; def++) {
        const char *member = NULL;
        if (def->type == PARAM_name) {
            member = member_called(def, def->initial_name);
            CHECK(member != NULL); /* The default is itself a member. */
        }
        store(def, config, def->initial, member);
    }
}

const struct param_def *param_find(const struct param_table *table, const char *name)
{
    for (const struct param_def *def = table->def; def->name != NULL; def++)
        if (strcmp(def->name, name) == 0)
            return def;
    return NULL;
}

uint64_t param_number(const struct param_def *def, const void *config)
{
    const char *field = (const char *)config + def->offset;
    switch (def->type) {
    case PARAM_u32:
        return *(const uint32_t *)field;
    case PARAM_u64:
        return *(const uint64_t *)field;
    case PARAM_flag:
        return *(const bool *)field;
    case PARAM_name:
        break;
    }
    UNREACHABLE("a name has no number");
}

const char *param_text(const struct param_def *def, const void *config)
{
    CHECK(def->type == PARAM_name);
    return *(const char *const *)((const char *)config + def->offset);
}

void param_domain(const struct param_def *def, char *out, size_t out_bytes)
{
    if (def->type == PARAM_flag) {
        snprintf(out, out_bytes, "0|1");
    } else if (def->type == PARAM_name) {
        size_t used = 0;
        const char *member;
        out[0] = '\0';
        for (unsigned i = 0; (member = def->member(i)) != NULL && used < out_bytes; i++)
            used += (size_t)snprintf(out + used, out_bytes - used, "%s%s", i ? "|" : "",
                                     member);
    } else {
        snprintf(out, out_bytes, "%" PRIu64 " .. %" PRIu64 "%s", def->min, def->max,
                 def->rule != PARAM_POW2 ? ""
                 : def->min == 0         ? ", a power of two or 0"
                                         : ", a power of two");
    }
}

static bool refuse(const struct param_table *table, const struct param_def *def,
                   const char *text, struct error *error)
{
    char domain[320];
    param_domain(def, domain, sizeof domain);
    return error_set(error, "%s.%s: expected %s, got '%s'", table->prefix, def->name,
                     domain, text);
}

bool param_parse_number(const char *text, uint64_t *number)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') /* strtoull would take "-1" and " 1". */
        return false;
    const bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    errno          = 0;
    *number        = strtoull(text, &end, hex ? 16 : 10);
    return errno == 0 && *end == '\0' && (!hex || end > text + 2);
}

bool param_set(const struct param_table *table, const struct param_def *def, void *config,
               const char *text, struct error *error)
{
    if (def->type == PARAM_name) {
        const char *member = member_called(def, text);
        if (member == NULL)
            return refuse(table, def, text, error);
        store(def, config, 0, member);
        return true;
    }

    uint64_t number;
    if (def->type == PARAM_flag && strcmp(text, "on") == 0)
        number = 1;
    else if (def->type == PARAM_flag && strcmp(text, "off") == 0)
        number = 0;
    else if (!param_parse_number(text, &number))
        return refuse(table, def, text, error);
    if (number < def->min || number > def->max
        || (def->rule == PARAM_POW2 && number != 0 && !is_pow2(number)))
        return refuse(table, def, text, error);
    store(def, config, number, NULL);
    return true;
}
