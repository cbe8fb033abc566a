/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/listing.h"

#include <popt.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"

static int print(FILE *out, int as_json, const char *name, const char *filter,
                 unsigned (*text)(FILE *out, const char *filter), json_t *(*json)(void))
{
    if (as_json) {
        json_t *all = json();
        json_dumpf(all, out, JSON_INDENT(1));
        fputc('\n', out);
        json_decref(all);
    } else if (text(out, filter) == 0) {
        return command_fail(EXIT_USAGE, "%s: nothing matches '%s'", name, filter);
    }
    if (fflush(out) != 0 || ferror(out))
        return command_fail(EXIT_USAGE, "standard output: cannot write");
    return EXIT_FINE;
}

int listing_run(const char *name, int argc, const char **argv,
                unsigned (*text)(FILE *out, const char *filter), json_t *(*json)(void))
{
    int as_json                       = 0;
    const struct poptOption options[] = { { "json", 0, POPT_ARG_NONE, &as_json, 0,
                                            "Print JSON", NULL },
                                          POPT_AUTOHELP POPT_TABLEEND };
    char title[32];
    snprintf(title, sizeof title, "iovasim %s", name);
    poptContext context = poptGetContext(title, argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "[--json] [FILTER]");
    int status = options_store(context);
    if (status == EXIT_FINE)
        status = print(stdout, as_json, name, poptGetArg(context), text, json);
    poptFreeContext(context);
    return status;
}
