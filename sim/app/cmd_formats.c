/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_formats - the trace formats that are recognised. */
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/listing.h"
#include "traces/export.h"
#include "traces/import.h"

static unsigned formats_text(FILE *out, const char *filter)
{
    unsigned printed = 0;
    for (unsigned i = 0; import_table[i] != NULL; i++) {
        const struct trace_importer *importer = import_table[i];
        if (filter != NULL && strstr(importer->name, filter) == NULL)
            continue;
        fprintf(out, "%-13s %s\n", importer->name, importer->summary);
        printed++;
    }
    for (unsigned i = 0; filter == NULL && export_table[i] != NULL; i++)
        fprintf(out, "%s%-13s %s\n", i == 0 ? "\nWritten by `trace convert --to`:\n" : "",
                export_table[i]->name, export_table[i]->summary);
    if (filter == NULL)
        fputs("\nFiles may be plain or compressed with gzip, zstd, xz or bzip2; - is the "
              "standard\ninput.\n",
              out);
    return printed;
}

static json_t *formats_json(void)
{
    json_t *all = json_array();
    for (unsigned i = 0; import_table[i] != NULL; i++)
        json_array_append_new(all, json_pack("{s:s,s:s,s:s}", "name", import_table[i]->name,
                                             "summary", import_table[i]->summary, "origin",
                                             import_table[i]->origin));
    return all;
}

static int formats_run(int argc, const char **argv)
{
    return listing_run("formats", argc, argv, formats_text, formats_json);
}

const struct command cmd_formats = {
    .name    = "formats",
    .summary = "List the trace formats that are read and written",
    .run     = formats_run,
};
