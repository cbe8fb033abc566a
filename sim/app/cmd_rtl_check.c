/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_rtl_check - holds the model against recordings of an RTL, cycle by cycle.
 */
#include <jansson.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/config.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/progress.h"
#include "sim/app/rtl_files.h"
#include "sim/app/rtl_report.h"
#include "sim/rtl/timeline.h"

enum { OPTION_SET = 's', SHOWN_DEFAULT = 3 };

#define PRESET "riscv-zdl"

struct rtl_call {
    char *json, *progress_mode;
    int show;
    const char **set; /* "key=value", on top of everything. */
    unsigned sets;
    struct progress progress;
    struct rtl_totals totals;
    json_t *runs;
    unsigned shown;
    struct error error;
    int status;
};

static bool refuse(struct rtl_call *c, int status)
{
    c->status = status;
    return false;
}

/* ---- Random runs
 * ------------------------------------------------------------------------ */

/* The preset, the run's own sizes, and what the command line says. */
static bool configure(struct rtl_call *c, struct config *config,
                      const struct rtl_parameters *parameters)
{
    char assignment[96];
    if (!config_init(config, PRESET, &c->error))
        return false;
    for (unsigned i = 0;
         parameters != NULL
         && rtl_parameters_setting(parameters, i, assignment, sizeof assignment);
         i++)
        if (!config_set(config, assignment, &c->error))
            return false;
    for (unsigned i = 0; i < c->sets; i++)
        if (!config_set(config, c->set[i], &c->error))
            return false;
    if (!config_check(config, &c->error))
        return false;
    return strcmp(config->iommu.arch, "riscv") == 0
           || error_set(&c->error, "iommu.arch: expected riscv, got '%s'",
                        config->iommu.arch);
}

static bool go_on(void *self, uint64_t requests)
{
    struct rtl_call *c = self;
    progress_update(&c->progress, requests);
    return !command_interrupted();
}

/* The path below the folder that was asked for. */
static const char *below(const char *folder, const char *path)
{
    const size_t bytes = strlen(folder);
    if (strncmp(path, folder, bytes) != 0)
        return path;
    path += bytes;
    while (*path == '/')
        path++;
    return path;
}

static void report(struct rtl_call *c, const char *name, const struct rtl_run *run,
                   const struct rtl_result *result, const struct rtl_report *found)
{
    struct rtl_totals totals = { 0 };
    rtl_totals_add(&totals, found);
    rtl_totals_add(&c->totals, found);
    json_array_append_new(c->runs, rtl_report_json(name, &totals));
    if (c->json != NULL && strcmp(c->json, "-") == 0)
        return;
    rtl_report_print(stdout, name, &totals);
    for (size_t i = 0; i < found->shown && c->shown < (unsigned)c->show; i++, c->shown++)
        rtl_timeline(stdout, run, result, &found->row[i]);
    fflush(stdout);
}

static bool check_run(struct rtl_call *c, const char *name, const struct rtl_run *run)
{
    struct config config;
    struct rtl_result result;
    struct rtl_report *found = calloc(1, sizeof *found);
    CHECK(found != NULL);
    bool done = configure(c, &config, &run->parameters);
    if (!done) {
        config_free(&config);
        free(found);
        return refuse(c, EXIT_USAGE);
    }
    const struct iommu_settings settings = config_settings(&config);
    const struct rtl_check check         = {
                .run = run, .settings = &settings, .go_on = go_on, .self = c
    };
    done = rtl_check_run(&check, &result, found);
    progress_end(&c->progress);
    if (done)
        report(c, name, run, &result, found);
    else
        error_set(&c->error, "interrupted");
    rtl_result_free(&result);
    config_free(&config);
    free(found);
    return done || refuse(c, EXIT_STOPPED);
}

static bool check_runs(struct rtl_call *c, const char *folder,
                       const struct rtl_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        struct rtl_run run;
        const bool loaded = rtl_run_load(&run, files->path[i], &c->error);
        if (!loaded)
            refuse(c, EXIT_USAGE);
        else
            progress_begin(&c->progress, below(folder, run.name), (unsigned)i + 1,
                           (unsigned)files->count, run.requests);
        const bool done = loaded && check_run(c, below(folder, run.name), &run);
        rtl_run_free(&run);
        if (!done)
            return false;
    }
    return true;
}

/* ---- Directed experiments
 * ------------------------------------------------------------------------ */

static void report_directed(struct rtl_call *c, const char *name,
                            const struct directed_report *found)
{
    struct rtl_totals totals = { 0 };
    rtl_totals_add_directed(&totals, &found->all);
    rtl_totals_add_directed(&c->totals, &found->all);
    json_array_append_new(c->runs, rtl_report_json(name, &totals));
    if (c->json != NULL && strcmp(c->json, "-") == 0)
        return;
    rtl_report_print(stdout, name, &totals);
    for (uint32_t i = 0; i < found->shown && c->shown < (unsigned)c->show; i++, c->shown++)
        printf("  %s\n", found->disagreement[i].text);
    fflush(stdout);
}

static bool check_directed(struct rtl_call *c, const char *folder,
                           const struct rtl_files *files)
{
    struct config config;
    bool done = configure(c, &config, NULL);
    if (done) {
        const struct iommu_settings settings = config_settings(&config);
        for (size_t i = 0; done && i < files->count; i++) {
            struct directed_report *found = calloc(1, sizeof *found);
            CHECK(found != NULL);
            done = directed_check(files->path[i], &settings, found, &c->error);
            if (done)
                report_directed(c, below(folder, files->path[i]), found);
            free(found);
            if (done && command_interrupted())
                done = error_set(&c->error, "interrupted");
        }
    }
    config_free(&config);
    return done || refuse(c, command_interrupted() ? EXIT_STOPPED : EXIT_USAGE);
}

/* ---- The command
 * ------------------------------------------------------------------------ */

static bool write_json(struct rtl_call *c)
{
    struct output o;
    if (c->json == NULL)
        return true;
    if (!output_open(&o, c->json, &c->error))
        return false;
    json_t *all = rtl_report_json("all", &c->totals);
    json_object_set(all, "runs", c->runs);
    const bool written =
        json_dumpf(all, o.stream, JSON_INDENT(2)) == 0 && fputc('\n', o.stream) != EOF;
    json_decref(all);
    if (written)
        return output_finish(&o, &c->error);
    output_abandon(&o);
    return error_set(&c->error, "%s: cannot write", c->json);
}

static bool is_run(const char *path)
{
    return rtl_run_is(path);
}

static void check(struct rtl_call *c, const char *folder)
{
    struct rtl_files runs = { 0 }, directed = { 0 };
    const bool text = c->json == NULL || strcmp(c->json, "-") != 0;
    c->status       = EXIT_USAGE;
    bool done       = rtl_files_find(&runs, folder, is_run, &c->error)
                && rtl_files_find(&directed, folder, directed_is, &c->error);
    if (done && runs.count + directed.count == 0)
        done = error_set(&c->error,
                         "%s: expected recordings of an RTL (*_req.csv.gz, "
                         "directed_*.csv.gz), found none",
                         folder);
    if (done && text)
        rtl_report_heading(stdout);
    done = done && check_runs(c, folder, &runs) && check_directed(c, folder, &directed);
    if (done && text && runs.count + directed.count > 1)
        rtl_report_print(stdout, "all", &c->totals);
    rtl_files_free(&runs);
    rtl_files_free(&directed);
    if (!done)
        return;
    c->status = EXIT_USAGE;
    if (write_json(c))
        c->status = rtl_totals_agree(&c->totals) ? EXIT_FINE : EXIT_REGRESSED;
}

static bool take_arguments(struct rtl_call *c, poptContext context, const char **folder)
{
    const char **argument = poptGetArgs(context);
    if (!progress_init(&c->progress, c->progress_mode, &c->error))
        return false;
    if (c->show < 0)
        return error_set(&c->error, "--show: must not be negative, got %d", c->show);
    if (argument == NULL || argument[1] != NULL)
        return error_set(&c->error, "rtl-check: expected one folder");
    *folder = argument[0];
    return true;
}

static int finish(struct rtl_call *c)
{
    int status = c->status;
    if (c->error.text[0] != '\0' && status != EXIT_FINE && status != EXIT_REGRESSED)
        command_fail(status, "%s", c->error.text);
    else if (fflush(stdout) != 0 || ferror(stdout))
        status = command_fail(EXIT_USAGE, "cannot write to standard output");
    json_decref(c->runs);
    for (unsigned i = 0; i < c->sets; i++)
        free((char *)(uintptr_t)c->set[i]);
    free(c->set);
    free(c->json);
    free(c->progress_mode);
    return status;
}

/* --set is the only option that popt does not store. */
static bool take_set(void *self, int option, char *text, struct error *error)
{
    struct rtl_call *c = self;
    (void)option, (void)error;
    c->set[c->sets++] = text;
    return true;
}

static int rtl_check(int argc, const char **argv)
{
    struct rtl_call c                 = { .show = SHOWN_DEFAULT, .status = EXIT_USAGE };
    const char *folder                = NULL;
    const struct poptOption options[] = {
        { "show", 0, POPT_ARG_INT, &c.show, 0,
          "Disagreements to show with both timelines (default 3)", "N" },
        { "set", 0, POPT_ARG_STRING, NULL, OPTION_SET,
          "One parameter, on top of the run's own; may be given again", "KEY=VALUE" },
        { "json", 0, POPT_ARG_STRING, &c.json, 0,
          "Write the result there; - is standard output", "FILE" },
        { "progress", 0, POPT_ARG_STRING, &c.progress_mode, 0,
          "auto (on a terminal), always or never", "WHEN" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext(NULL, argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "DIR");
    c.set  = calloc((size_t)argc + 1, sizeof *c.set);
    c.runs = json_array();
    CHECK(c.set != NULL);
    if (options_read(context, take_set, &c, &c.error)
        && take_arguments(&c, context, &folder))
        check(&c, folder);
    const int status = finish(&c);
    poptFreeContext(context);
    return status;
}

const struct command cmd_rtl_check = {
    .name    = "rtl-check",
    .summary = "Hold the model against recordings of an RTL, cycle by cycle",
    .run     = rtl_check,
};
