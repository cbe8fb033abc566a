/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_formats - the trace formats that are recognised. */
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/listing.h"
#include "traces/import.h"

static unsigned formats_text(FILE *out, const char *filter)
{
    unsigned printed = 0;
    for (unsigned i = 0; import_table[i] != NULL; i++) {
        const struct trace_importer *importer = import_table[i];
        if (filter != NULL && strstr(importer->name, filter) == NULL)
            continue;
        fprintf(out, "%-10s %s\n", importer->name, importer->summary);
        printed++;
    }
    return printed;
}

static json_t *formats_json(void)
{
    json_t *all = json_array();
    for (unsigned i = 0; import_table[i] != NULL; i++)
        json_array_append_new(all, json_pack("{s:s,s:s}", "name", import_table[i]->name,
                                             "summary", import_table[i]->summary));
    return all;
}

static int formats_run(int argc, const char **argv)
{
    return listing_run("formats", argc, argv, formats_text, formats_json);
}

const struct command cmd_formats = {
    .name    = "formats",
    .summary = "List the trace formats that are recognised",
    .run     = formats_run,
};
