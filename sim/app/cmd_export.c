/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_export - writes a result in another format.
 */
#include <popt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"
#include "sim/app/report.h"

struct export_call {
    char *format, *output, *commit, *time;
};

static void print_formats(void)
{
    for (unsigned i = 0; report_table[i] != NULL; i++)
        printf("%-16s  %s\n", report_table[i]->name, report_table[i]->summary);
}

static int export(const struct export_call *c, const char *path)
{
    struct error error;
    struct result result;
    uint64_t seconds = (uint64_t)time(NULL);
    if (!option_number("--time", c->time, 0, OPTION_NO_MOST, &seconds, &error))
        return command_fail(EXIT_USAGE, "%s", error.text);
    const struct report_format *format = report_find(c->format, &error);
    if (format == NULL)
        return command_fail(EXIT_USAGE, "%s", error.text);
    if (!result_load(&result, path, &error))
        return command_fail(EXIT_INPUT, "%s", error.text);
    if (c->commit != NULL)
        result.commit = c->commit;
    result.time = (int64_t)seconds;
    const bool done =
        report_write(format, &result, c->output != NULL ? c->output : "-", &error);
    result_free(&result);
    return done ? EXIT_FINE : command_fail(EXIT_USAGE, "%s", error.text);
}

/* Without a result, it lists what there is. */
static int export_or_list(const struct export_call *c, const char **argument)
{
    if (argument == NULL && c->format == NULL) {
        print_formats();
        return EXIT_FINE;
    }
    if (argument == NULL || argument[1] != NULL)
        return command_fail(EXIT_USAGE, "export: expected one result");
    if (c->format == NULL)
        return command_fail(EXIT_USAGE,
                            "export: expected --format NAME; `iovasim export` lists them");
    return export(c, argument[0]);
}

static int export_run_command(int argc, const char **argv)
{
    struct export_call c              = { NULL, NULL, NULL, NULL };
    const struct poptOption options[] = {
        { "format", 0, POPT_ARG_STRING, &c.format, 0,
          "One of those that `iovasim export` lists", "NAME" },
        { "output", 'o', POPT_ARG_STRING, &c.output, 0, "Default: standard output",
          "FILE" },
        { "commit", 0, POPT_ARG_STRING, &c.commit, 0,
          "What was tested, for a history (otava)", "NAME" },
        { "time", 0, POPT_ARG_STRING, &c.time, 0,
          "When, in seconds since 1970 (otava; default: now)", "SECONDS" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim export", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "[RESULT --format NAME]");
    int status = options_store(context);
    if (status == EXIT_FINE)
        status = export_or_list(&c, poptGetArgs(context));
    free(c.format);
    free(c.output);
    free(c.commit);
    free(c.time);
    poptFreeContext(context);
    return status;
}

const struct command cmd_export = {
    .name    = "export",
    .summary = "Write a result for another program: CSV, JUnit, OpenMetrics, ...",
    .run     = export_run_command,
};
