/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_params - every parameter: key, default, what it may be, what it is, where it is from.
 */
#include <inttypes.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/config.h"
#include "sim/app/listing.h"
#include "sim/app/terminal.h"

static void default_text(const struct param_def *def, char *out, size_t bytes)
{
    if (def->type == PARAM_name)
        snprintf(out, bytes, "%s", def->initial_name);
    else
        snprintf(out, bytes, "%" PRIu64, def->initial);
}

static bool matches(const struct param_table *table, const struct param_def *def,
                    const char *filter)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", table->prefix, def->name);
    return filter == NULL || strstr(key, filter) != NULL;
}

static void print_param(FILE *out, const struct param_table *table,
                        const struct param_def *def)
{
    char initial[48], domain[320];
    default_text(def, initial, sizeof initial);
    param_domain(def, domain, sizeof domain);
    fprintf(out, "  %s.%s=%s\n", table->prefix, def->name, initial);
    terminal_wrapf(out, 0, 6, "%s [%s%s%s]", def->text, def->unit,
                   def->unit[0] != '\0' ? "; " : "", domain);
    if (def->source[0] != '\0')
        terminal_wrapf(out, 0, 6, "Source: %s", def->source);
}

static unsigned params_text(FILE *out, const char *filter)
{
    const struct param_table *table;
    const void *values;
    unsigned printed = 0;
    for (unsigned i = 0; (table = config_table(NULL, i, &values)) != NULL; i++) {
        unsigned here = 0;
        for (const struct param_def *def = table->def; def->name != NULL; def++) {
            if (!matches(table, def, filter))
                continue;
            if (here++ == 0)
                terminal_wrapf(out, 0, 0, "%s%s: %s", printed > 0 ? "\n" : "",
                               table->prefix, table->text);
            print_param(out, table, def);
        }
        printed += here;
    }
    return printed;
}

static json_t *param_json(const struct param_table *table, const struct param_def *def)
{
    static const char *const type[] = { "u32", "u64", "flag", "name" };
    char key[96], domain[320];
    snprintf(key, sizeof key, "%s.%s", table->prefix, def->name);
    param_domain(def, domain, sizeof domain);
    json_t *initial = def->type == PARAM_name   ? json_string(def->initial_name)
                      : def->type == PARAM_flag ? json_boolean(def->initial != 0)
                                                : json_integer((json_int_t)def->initial);
    return json_pack("{s:s,s:s,s:o,s:s,s:s,s:s,s:s}", "key", key, "type", type[def->type],
                     "default", initial, "domain", domain, "unit", def->unit, "text",
                     def->text, "source", def->source);
}

static json_t *params_json(void)
{
    const struct param_table *table;
    const void *values;
    json_t *all = json_array();
    for (unsigned i = 0; (table = config_table(NULL, i, &values)) != NULL; i++)
        for (const struct param_def *def = table->def; def->name != NULL; def++)
            json_array_append_new(all, param_json(table, def));
    return all;
}

static int params_run(int argc, const char **argv)
{
    return listing_run("params", argc, argv, params_text, params_json);
}

const struct command cmd_params = {
    .name    = "params",
    .summary = "List every parameter, with its default, range, meaning and source",
    .run     = params_run,
};
