/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_presets - the machines that have a name, and what each sets. */
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/listing.h"
#include "sim/app/preset.h"
#include "sim/app/terminal.h"

static unsigned presets_text(FILE *out, const char *filter)
{
    unsigned printed = 0;
    for (unsigned i = 0; preset_table[i] != NULL; i++) {
        const struct preset *p = preset_table[i];
        if (filter != NULL && strstr(p->name, filter) == NULL)
            continue;
        fprintf(out, "%s\n", p->name);
        terminal_wrap(out, 0, 4, p->summary);
        for (const struct preset_value *v = p->value; v->assignment != NULL; v++)
            terminal_wrap(out, (unsigned)fprintf(out, "    %-32s ", v->assignment), 37,
                          v->source);
        printed++;
    }
    return printed;
}

static json_t *presets_json(void)
{
    json_t *all = json_array();
    for (unsigned i = 0; preset_table[i] != NULL; i++) {
        json_t *values = json_array();
        for (const struct preset_value *v = preset_table[i]->value; v->assignment != NULL;
             v++)
            json_array_append_new(
                values, json_pack("{s:s,s:s}", "set", v->assignment, "source", v->source));
        json_array_append_new(all, json_pack("{s:s,s:s,s:o}", "name", preset_table[i]->name,
                                             "summary", preset_table[i]->summary, "values",
                                             values));
    }
    return all;
}

static int presets_run(int argc, const char **argv)
{
    return listing_run("presets", argc, argv, presets_text, presets_json);
}

const struct command cmd_presets = {
    .name    = "presets",
    .summary = "List the machines that have a name",
    .run     = presets_run,
};
