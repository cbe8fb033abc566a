/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_compare - one replay under every flush policy, side by side: what each costs, and
 * what it leaves within a device's reach.
 */
#include <popt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/app/cmd.h"
#include "sim/app/compare.h"
#include "sim/app/comparison.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/report.h"
#include "sim/app/sources.h"

/* What the command line said. */
struct compare_call {
    char *preset, *api, *policies, *sort, *csv, *plot, *progress_mode;
    char *cpus_text, *limit_text, *seed_text, *processes_text;
    struct report_files files;
    struct comparison_trace trace[REPLAY_SOURCES_MAX];
    int attacker;
    enum metric_id by;
    struct config config;
    struct compare_setup setup;
    const char *path[REPLAY_SOURCES_MAX];
    struct compare_job *job;
    unsigned jobs;
    struct progress progress;
    struct error error;
    int status;
};

/* ---- The command line ------------------------------------------------------------------
 */

static bool usage(struct compare_call *c, const char *format, const char *what)
{
    error_set(&c->error, format, what);
    c->status = EXIT_USAGE;
    return false;
}

static bool parse_config(struct compare_call *c, const char *const *set, unsigned sets)
{
    if (!config_init(&c->config, c->preset != NULL ? c->preset : "vtd-server", &c->error))
        return false;
    for (unsigned i = 0; i < sets; i++)
        if (!config_set(&c->config, set[i], &c->error))
            return error_in(&c->error, "--set");
    return config_check(&c->config, &c->error);
}

static bool parse_api(struct compare_call *c)
{
    const char *name   = c->api != NULL ? c->api : blk_api_name[BLK_iova];
    c->setup.run.api   = BLK_API_COUNT;
    const bool has_api = strcmp(c->config.kernel.release, "6.12") != 0;
    for (unsigned i = 0; i < BLK_API_COUNT; i++)
        if (strcmp(name, blk_api_name[i]) == 0)
            c->setup.run.api = (enum blk_api)i;
    if (c->setup.run.api == BLK_API_COUNT)
        return usage(c, "--api: expected iova, streaming or sg, got '%s'", name);
    if (c->setup.run.api == BLK_iova && !has_api)
        return usage(c, "--api: Linux %s has no IOVA API (it came with 6.16)",
                     c->config.kernel.release);
    return true;
}

static void add_policy(struct compare_call *c, const struct flush_policy *policy)
{
    for (unsigned i = 0; i < c->jobs; i++)
        if (c->job[i].policy == policy)
            return;
    CHECK(c->jobs < COMPARE_JOBS_MAX);
    c->job[c->jobs++].policy = policy;
}

static bool add_policies(struct compare_call *c, const char *name)
{
    if (strcmp(name, "all") == 0) {
        for (unsigned i = 0; flush_table[i] != NULL; i++)
            add_policy(c, flush_table[i]);
        return true;
    }
    if (flush_find(name) == NULL)
        return usage(c, "--policies: '%s' is not known; `iovasim policies` lists them",
                     name);
    add_policy(c, flush_find(name));
    return true;
}

static bool parse_policies(struct compare_call *c)
{
    char all[]  = "all", *rest;
    char *names = c->policies != NULL ? c->policies : all;
    c->job      = calloc(COMPARE_JOBS_MAX, sizeof *c->job);
    CHECK(c->job != NULL);
    for (char *name = strtok_r(names, ",", &rest); name != NULL;
         name       = strtok_r(NULL, ",", &rest))
        if (!add_policies(c, name))
            return false;
    return c->jobs > 0 || usage(c, "%s: the list is empty", "--policies");
}

static bool parse_sort(struct compare_call *c)
{
    c->by = METRIC_ID_cpu_cycles_per_io;
    if (c->sort == NULL)
        return true;
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        if (strcmp(c->sort, metric_def[i].name) == 0) {
            c->by = (enum metric_id)i;
            return true;
        }
    return usage(c, "--sort: '%s' is no metric; docs/result.md lists them", c->sort);
}

static bool parse_numbers(struct compare_call *c)
{
    const long cores   = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t cpus      = 0;
    uint64_t processes = cores < 1                  ? 1
                         : cores > COMPARE_JOBS_MAX ? COMPARE_JOBS_MAX
                                                    : (uint64_t)cores;
    c->setup.run.limit = UINT64_MAX;
    if (!option_number("--cpus", c->cpus_text, 1, ENGINE_CPUS_MAX, &cpus, &c->error)
        || !option_number("--limit", c->limit_text, 1, OPTION_NO_MOST, &c->setup.run.limit,
                          &c->error)
        || !option_number("--seed", c->seed_text, 0, OPTION_NO_MOST, &c->setup.run.seed,
                          &c->error)
        || !option_number("--processes", c->processes_text, 1, COMPARE_JOBS_MAX, &processes,
                          &c->error))
        return false;
    c->setup.run.cpus  = (unsigned)cpus;
    c->setup.processes = (unsigned)processes;
    if (progress_init(&c->progress, c->progress_mode != NULL ? c->progress_mode : "auto"))
        return true;
    return usage(c, "--progress: expected auto, always or never, got '%s'",
                 c->progress_mode);
}

/* An output that cannot be written is found before the work, not after it. */
static bool try_output(struct compare_call *c, const char *option, const char *path)
{
    struct output o;
    if (path == NULL)
        return true;
    if (path[0] == '\0')
        return usage(c, "%s: expected a file", option);
    if (!output_open(&o, path, &c->error))
        return false;
    output_abandon(&o);
    return true;
}

static bool check_outputs(struct compare_call *c)
{
    const size_t n = c->plot == NULL ? 0 : strlen(c->plot);
    if (n > 0 && (n < 4 || strcmp(c->plot + n - 4, ".svg") != 0))
        return usage(c, "--plot: expected a name that ends in .svg, got '%s'", c->plot);
    return try_output(c, "--csv", c->csv) && try_output(c, "--plot", c->plot);
}

/* For the result; only if there is to be one, as the whole file has to be read. */
static bool describe_trace(struct compare_call *c, unsigned index,
                           const struct trace_reader *reader)
{
    struct comparison_trace *t = &c->trace[index];
    *t                         = (struct comparison_trace){ .path   = c->path[index],
                                                            .format = trace_about(reader)->format };
    return c->files.files == 0 || file_sha256(t->path, t->sha256, &c->error);
}

/* Opened here only to find mistakes, and how many CPUs there are, before the work. */
static bool look_at_traces(struct compare_call *c)
{
    struct replay_source source[REPLAY_SOURCES_MAX] = { { NULL, NULL } };
    bool fine                                       = true;
    c->status                                       = EXIT_INPUT;
    for (unsigned i = 0; fine && i < c->setup.paths; i++)
        fine = sources_open(&source[i].reader, c->path[i], NULL, &c->config,
                            c->setup.run.seed, &c->error)
               && describe_trace(c, i, source[i].reader);
    if (fine && c->setup.run.cpus == 0)
        fine = sources_cpus(source, c->setup.paths, &c->setup.run.cpus, &c->error);
    fine = fine && sources_rdma(source, c->setup.paths, &c->setup.run.rdma, &c->error);
    for (unsigned i = 0; i < c->setup.paths; i++)
        trace_close(source[i].reader);
    return fine;
}

static bool take_traces(struct compare_call *c, const char **path)
{
    for (; path != NULL && *path != NULL; path++) {
        if (c->setup.paths == REPLAY_SOURCES_MAX)
            return usage(c, "%s: too many traces", *path);
        c->path[c->setup.paths++] = *path;
    }
    if (c->setup.paths == 0)
        return usage(c, "%s",
                     "compare: expected a trace; `iovasim compare --help` explains");
    return look_at_traces(c);
}

/* ---- The work
 * ------------------------------------------------------------------------------
 */

/* An untrusted device has one kind of policy, whatever is asked for. */
static unsigned set_aside(struct compare_call *c, struct compare_job *aside)
{
    unsigned kept = 0, out = 0;
    for (unsigned i = 0; i < c->jobs; i++) {
        struct compare_job *j = &c->job[i];
        if (!c->config.kernel.untrusted || j->policy == &flush_strict) {
            c->job[kept++] = *j;
            continue;
        }
        j->outcome = MACHINE_REFUSED;
        error_set(&j->error, "an untrusted device (linux.untrusted) is always strict");
        aside[out++] = *j;
    }
    memcpy(&c->job[kept], aside, out * sizeof *aside);
    return kept;
}

static bool write_file(struct compare_call *c, const char *path,
                       void (*write)(struct compare_call *c, struct compare_job *const *job,
                                     FILE *out),
                       struct compare_job *const *job)
{
    struct output o;
    if (path == NULL)
        return true;
    if (!output_open(&o, path, &c->error))
        return false;
    write(c, job, o.stream);
    return output_finish(&o, &c->error);
}

static void write_csv(struct compare_call *c, struct compare_job *const *job, FILE *out)
{
    compare_csv(job, c->jobs, out);
}

static void write_plot(struct compare_call *c, struct compare_job *const *job, FILE *out)
{
    char title[256];
    snprintf(title, sizeof title, "%s%s, preset %s, %u CPUs, API %s%s", c->path[0],
             c->setup.paths > 1 ? " and others" : "", c->config.preset, c->setup.run.cpus,
             blk_api_name[c->setup.run.api], c->attacker ? ", with a hostile device" : "");
    compare_plot(job, c->jobs, title, out);
}

/* The first mistake of a trace is that of all; otherwise the worst of what happened. */
static void judge(struct compare_call *c)
{
    unsigned ran = 0;
    c->status    = EXIT_FINE;
    for (unsigned i = 0; i < c->jobs; i++) {
        const struct compare_job *j = &c->job[i];
        ran += j->outcome == MACHINE_RAN;
        if (j->outcome == MACHINE_BROKEN && c->status == EXIT_FINE) {
            c->status = EXIT_CHECK;
            error_set(&c->error, "check failed: %s: %s", j->policy->name, j->error.text);
        }
        if (j->outcome == MACHINE_TRACE) {
            c->status = EXIT_INPUT;
            c->error  = j->error;
            return;
        }
    }
    if (ran == 0 && c->status == EXIT_FINE) {
        c->status = EXIT_USAGE;
        error_set(&c->error, "%s: %s", c->job[0].policy->name, c->job[0].error.text);
    }
}

/* Those that ran, in the order in which they were asked for. */
static bool write_results(struct compare_call *c)
{
    struct comparison all = { .config  = &c->config,
                              .configs = 1,
                              .traces  = c->setup.paths };
    struct result result;
    if (c->files.files == 0)
        return true;
    all.run = calloc(c->jobs, sizeof *all.run);
    CHECK(all.run != NULL);
    for (unsigned i = 0; i < c->jobs; i++)
        if (c->job[i].outcome == MACHINE_RAN)
            all.run[all.runs++] = c->job[i].result;
    for (unsigned i = 0; i < c->setup.paths; i++) {
        all.trace[i]         = c->trace[i];
        all.trace[i].records = all.run[0].source_records[i];
    }
    const bool done = result_adopt(&result, comparison_document(&all), "result", &c->error);
    const bool written = done && report_files_write(&c->files, &result, &c->error);
    if (done)
        result_free(&result);
    free(all.run);
    return written;
}

static bool to_stdout(const struct compare_call *c)
{
    return (c->csv != NULL && strcmp(c->csv, "-") == 0)
           || report_files_to_stdout(&c->files);
}

static void report(struct compare_call *c)
{
    struct compare_job *order[COMPARE_JOBS_MAX];
    for (unsigned i = 0; i < c->jobs; i++)
        order[i] = &c->job[i];
    compare_mark_best(c->job, c->jobs);
    compare_sort(order, c->jobs, c->by);
    if (!to_stdout(c))
        compare_table(order, c->jobs, stdout, isatty(STDOUT_FILENO));
    if (!write_file(c, c->csv, write_csv, order)
        || !write_file(c, c->plot, write_plot, order) || !write_results(c))
        c->status = EXIT_USAGE;
}

static void compare(struct compare_call *c, const char **path, const char *const *set,
                    unsigned sets)
{
    c->status = EXIT_USAGE;
    if (!parse_config(c, set, sets) || !parse_api(c) || !parse_policies(c) || !parse_sort(c)
        || !parse_numbers(c) || !check_outputs(c) || !take_traces(c, path))
        return;
    c->setup.config           = &c->config;
    c->setup.path             = c->path;
    c->setup.run.run_ahead    = true;
    c->setup.run.attacker     = c->attacker != 0;
    struct compare_job *aside = calloc(COMPARE_JOBS_MAX, sizeof *aside);
    CHECK(aside != NULL);
    const unsigned jobs = set_aside(c, aside);
    free(aside);
    c->status = EXIT_CHECK;
    if (jobs > 0 && !compare_run(&c->setup, c->job, jobs, &c->progress, &c->error)) {
        c->status = command_interrupted() ? EXIT_STOPPED : EXIT_CHECK;
        return;
    }
    judge(c);
    if (c->status == EXIT_FINE || c->status == EXIT_CHECK)
        report(c);
}

static void release(struct compare_call *c)
{
    config_free(&c->config);
    report_files_free(&c->files);
    free(c->job);
    char *const text[] = { c->preset,        c->api,       c->policies,      c->sort,
                           c->csv,           c->plot,      c->cpus_text,     c->limit_text,
                           c->progress_mode, c->seed_text, c->processes_text };
    for (unsigned i = 0; i < sizeof text / sizeof text[0]; i++)
        free(text[i]);
}

enum { OPTION_SET = 1, OPTION_FILES };

/* The values of --set; files are added where they are named. */
static int parse_options(struct compare_call *c, poptContext context, char **text,
                         const char **set, unsigned *sets, bool *fine)
{
    int option;
    while ((option = poptGetNextOpt(context)) > 0) {
        if (option == OPTION_SET) {
            set[(*sets)++] = *text;
            continue;
        }
        *fine = *fine
                && report_files_option(&c->files, option - OPTION_FILES, *text, &c->error);
        free(*text);
    }
    return option;
}

static int compare_run_command(int argc, const char **argv)
{
    struct compare_call *c = calloc(1, sizeof *c);
    const char **set       = calloc((size_t)argc, sizeof *set);
    char *assignment       = NULL;
    unsigned sets          = 0;
    bool fine              = true;
    CHECK(c != NULL);
    CHECK(set != NULL);
    const struct poptOption options[] = {
        { "policies", 0, POPT_ARG_STRING, &c->policies, 0, "Flush policies (default all)",
          "all|LIST" },
        { "sort", 0, POPT_ARG_STRING, &c->sort, 0,
          "The best by this one first (default cpu_cycles_per_io)", "METRIC" },
        { "api", 0, POPT_ARG_STRING, &c->api, 0, "iova (default), streaming or sg",
          "NAME" },
        { "attacker", 0, POPT_ARG_NONE, &c->attacker, 0,
          "Add a hostile device (parameters attacker.*)", NULL },
        { "csv", 0, POPT_ARG_STRING, &c->csv, 0,
          "Write every metric there; - is standard output", "FILE" },
        REPORT_FILES_OPTIONS(&assignment, OPTION_FILES),
        { "plot", 0, POPT_ARG_STRING, &c->plot, 0,
          "Draw cycles against what a device can reach", "FILE.svg" },
        { "preset", 0, POPT_ARG_STRING, &c->preset, 0, "Machine (default vtd-server)",
          "NAME" },
        { "set", 0, POPT_ARG_STRING, &assignment, OPTION_SET,
          "One parameter; may be given again", "KEY=VALUE" },
        { "cpus", 0, POPT_ARG_STRING, &c->cpus_text, 0,
          "Simulated CPUs, 1 to 64 (default: as recorded)", "N" },
        { "limit", 0, POPT_ARG_STRING, &c->limit_text, 0,
          "Records to replay, at least 1 (default: all)", "N" },
        { "seed", 0, POPT_ARG_STRING, &c->seed_text, 0,
          "Seed of everything random (default 0)", "N" },
        { "processes", 0, POPT_ARG_STRING, &c->processes_text, 0,
          "Policies at a time, 1 to 64 (default: as many as cores); the same result", "N" },
        { "progress", 0, POPT_ARG_STRING, &c->progress_mode, 0,
          "auto (on a terminal), always or never", "WHEN" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim compare", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "[OPTION...] TRACE...");
    const int option = parse_options(c, context, &assignment, set, &sets, &fine);
    c->status        = EXIT_USAGE;
    if (option < -1) {
        error_set(&c->error, "%s: %s", poptBadOption(context, 0), poptStrerror(option));
    } else if (fine) {
        compare(c, poptGetArgs(context), set, sets);
    }
    const int status =
        c->status == EXIT_FINE ? EXIT_FINE : command_fail(c->status, "%s", c->error.text);
    release(c);
    for (unsigned i = 0; i < sets; i++)
        free((char *)set[i]);
    free(set);
    free(c);
    poptFreeContext(context);
    return status;
}

const struct command cmd_compare = {
    .name    = "compare",
    .summary = "Replay traces under every flush policy: what each costs and leaves open",
    .run     = compare_run_command,
};
