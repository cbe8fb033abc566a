/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_gate - says whether a result is as good as a baseline: for CI.
 */
#include <popt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/app/cmd.h"
#include "sim/app/gate.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/report.h"

struct gate_call {
    char *config, *summary;
    int bless;
    struct report_files files;
    struct error error;
};

static bool put_summary(const struct gate_call *c, const struct gate *g,
                        struct error *error)
{
    struct output o;
    if (isatty(STDOUT_FILENO))
        gate_put_on_terminal(g, stdout);
    else
        gate_put(g, stdout);
    if (c->summary == NULL)
        return true;
    if (!output_open(&o, c->summary, error))
        return false;
    gate_put(g, o.stream);
    return output_finish(&o, error);
}

static int verdict(const struct gate *g)
{
    if (!gate_comparable(g))
        return EXIT_USAGE;
    return g->of_class[GATE_REGRESSED] > 0 ? EXIT_REGRESSED : EXIT_FINE;
}

static bool judge(struct gate_call *c, const struct gate_config *config,
                  const struct result *before, struct result *after, int *status)
{
    struct gate g;
    gate_judge(&g, config, before, after);
    *status = verdict(&g);
    const bool done =
        put_summary(c, &g, &c->error) && report_files_write(&c->files, after, &c->error);
    gate_free(&g);
    return done;
}

static bool compare(struct gate_call *c, const struct result *before, struct result *after,
                    int *status)
{
    struct gate_config config;
    if (c->config == NULL)
        gate_config_init(&config);
    else if (!gate_config_load(&config, c->config, &c->error))
        return false;
    const bool done = judge(c, &config, before, after, status);
    gate_config_free(&config);
    return done;
}

static bool load_and_compare(struct gate_call *c, const char *const *path, int *status)
{
    struct result before, after;
    bool done = false;
    if (!result_load(&before, path[0], &c->error))
        return false;
    if (result_load(&after, path[1], &c->error)) {
        done = compare(c, &before, &after, status);
        result_free(&after);
    }
    result_free(&before);
    return done;
}

/* A baseline that does not exist yet, or was broken, is no hindrance; a broken result is.
 * Each is read once: one may be standard input. */
static bool bless(struct gate_call *c, const char *const *path)
{
    struct result before, after;
    int ignored;
    bool done = true, compared = false;
    if (!result_load(&after, path[1], &c->error))
        return false;
    if (result_load(&before, path[0], &c->error)) {
        done     = compare(c, &before, &after, &ignored);
        compared = true;
        result_free(&before);
    }
    done = done
           && report_write(report_find("baseline", &c->error), &after, path[0], &c->error);
    result_free(&after);
    if (done)
        printf("%s%s is the baseline now.\n", compared ? "\n" : "", path[1]);
    return done;
}

/* What cannot be written, or may not be, is said before the work. */
static bool try_outputs(struct gate_call *c, const char *const *path)
{
    return (c->summary == NULL || output_try(c->summary, &c->error))
           && (c->bless ? output_try(path[0], &c->error)
                        : output_spares(path[0], &c->error))
           && (strcmp(path[0], path[1]) == 0 || output_spares(path[1], &c->error))
           && (c->config == NULL || output_spares(c->config, &c->error));
}

static int run(struct gate_call *c, const char *const *path)
{
    int status = EXIT_FINE;
    if (path == NULL || path[0] == NULL || path[1] == NULL || path[2] != NULL)
        return command_fail(EXIT_USAGE, "gate: expected a baseline and a result");
    const bool done = try_outputs(c, path)
                      && (c->bless ? bless(c, path) : load_and_compare(c, path, &status));
    return done ? status : command_fail(EXIT_USAGE, "%s", c->error.text);
}

static int gate_run_command(int argc, const char **argv)
{
    struct gate_call c                = { .bless = 0 };
    const struct poptOption options[] = {
        { "config", 0, POPT_ARG_STRING, &c.config, 0,
          "Tolerances, directions and exceptions (YAML, docs/ci.md)", "FILE" },
        { "summary", 0, POPT_ARG_STRING, &c.summary, 0,
          "Write the summary there, too (Markdown)", "FILE" },
        { "format", 0, POPT_ARG_STRING, NULL, REPORT_OPTION_FORMAT,
          "Write a report of RESULT there; junit says what failed", "NAME=FILE" },
        { "bless", 0, POPT_ARG_NONE, &c.bless, 0,
          "RESULT becomes the baseline, whatever has changed", NULL },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim gate", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "[OPTION...] BASELINE RESULT");
    const int status = options_read(context, report_files_take, &c.files, &c.error)
                           ? run(&c, poptGetArgs(context))
                           : command_fail(EXIT_USAGE, "%s", c.error.text);
    free(c.config);
    free(c.summary);
    report_files_free(&c.files);
    poptFreeContext(context);
    return status;
}

const struct command cmd_gate = {
    .name    = "gate",
    .summary = "Hold a result against a baseline; the exit status is the verdict",
    .run     = gate_run_command,
};
