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
#include "sim/app/spool.h"
#include "sim/app/terminal.h"

/* Traces that are replayed together. */
struct compare_traces {
    const char *path[REPLAY_SOURCES_MAX];
    struct comparison_trace trace[REPLAY_SOURCES_MAX];
    unsigned paths, cpus;
};

/* What the command line said. */
struct compare_call {
    char *preset, *api, *policies, *sort, *csv, *plot, *progress_mode;
    char *cpus_text, *limit_text, *seed_text, *processes_text;
    const char **set;
    unsigned sets;
    struct report_files files;
    int attacker;
    enum metric_id by;
    struct config config;
    struct compare_setup setup;
    struct compare_traces traces[2]; /* Of block requests, of RDMA work. */
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

static bool parse_config(struct compare_call *c)
{
    if (!config_init(&c->config, c->preset != NULL ? c->preset : "vtd-server", &c->error))
        return false;
    for (unsigned i = 0; i < c->sets; i++)
        if (!config_set(&c->config, c->set[i], &c->error))
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
    const struct flush_policy *policy = option_policy("--policies", name, &c->error);
    if (policy == NULL)
        return false;
    add_policy(c, policy);
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
    const struct metric_def *metric = option_metric(c->sort, &c->error);
    if (metric == NULL)
        return error_in(&c->error, "--sort");
    c->by = (enum metric_id)(metric - metric_def);
    return true;
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
    return progress_init(&c->progress, c->progress_mode, &c->error);
}

/* An output that cannot be written is found before the work, not after it. */
static bool try_output(struct compare_call *c, const char *option, const char *path)
{
    if (path == NULL)
        return true;
    if (path[0] == '\0')
        return usage(c, "%s: expected a file", option);
    return output_try(path, &c->error);
}

static bool check_outputs(struct compare_call *c)
{
    const size_t n = c->plot == NULL ? 0 : strlen(c->plot);
    if (n > 0 && (n < 4 || strcmp(c->plot + n - 4, ".svg") != 0))
        return usage(c, "--plot: expected a name that ends in .svg, got '%s'", c->plot);
    return try_output(c, "--csv", c->csv) && try_output(c, "--plot", c->plot);
}

/* For the result; only if there is to be one, as the whole file has to be read. */
static bool describe_trace(struct compare_call *c, struct comparison_trace *t,
                           const char *path, const struct trace_reader *reader)
{
    *t = (struct comparison_trace){ .path = path, .format = trace_about(reader)->format };
    return c->files.files == 0
           || sources_sha256(path, &c->config, c->setup.run.seed, t->sha256, &c->error);
}

/* Opened here only to find mistakes, and its kind, before the work. */
static bool take_trace(struct compare_call *c, const char *path)
{
    struct replay_source source = { NULL, NULL };
    bool rdma                   = false;
    bool fine = (strcmp(path, TRACE_STANDARD_INPUT) != 0 || spool_standard_input(&c->error))
                && sources_open(&source.reader, path, NULL, &c->config, c->setup.run.seed,
                                &c->error)
                && sources_rdma(&source, 1, &rdma, &c->error);
    if (fine) {
        struct compare_traces *t = &c->traces[rdma];
        t->path[t->paths]        = path;
        fine = describe_trace(c, &t->trace[t->paths++], path, source.reader);
    }
    trace_close(source.reader);
    return fine;
}

/* As many CPUs as were asked for, or as the traces name. */
static bool count_cpus(struct compare_call *c, struct compare_traces *t)
{
    struct replay_source source[REPLAY_SOURCES_MAX] = { { NULL, NULL } };
    bool fine                                       = true;
    t->cpus                                         = c->setup.run.cpus;
    if (t->paths == 0 || t->cpus > 0)
        return true;
    for (unsigned i = 0; fine && i < t->paths; i++)
        fine = sources_open(&source[i].reader, t->path[i], NULL, &c->config,
                            c->setup.run.seed, &c->error);
    fine = fine && sources_cpus(source, t->paths, &t->cpus, &c->error);
    for (unsigned i = 0; i < t->paths; i++)
        trace_close(source[i].reader);
    return fine;
}

static bool take_traces(struct compare_call *c, const char **path)
{
    unsigned paths = 0;
    for (; path != NULL && path[paths] != NULL; paths++)
        if (paths == REPLAY_SOURCES_MAX)
            return usage(c, "%s: too many traces", path[paths]);
    if (paths == 0)
        return usage(c, "%s",
                     "compare: expected a trace; `iovasim compare --help` explains");
    for (unsigned i = 0; i < paths; i++)
        if (!output_spares(path[i], &c->error))
            return false;
    c->status = EXIT_INPUT;
    for (unsigned i = 0; i < paths; i++)
        if (!take_trace(c, path[i]))
            return false;
    if (c->traces[0].paths > 0 && c->traces[1].paths > 0
        && (c->csv != NULL || c->plot != NULL || c->files.files > 0))
        return usage(
            c, "%s",
            "--csv, --plot, --json, --html, --format: expected traces of block requests "
            "or of RDMA work, got both");
    return count_cpus(c, &c->traces[0]) && count_cpus(c, &c->traces[1]);
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
    snprintf(title, sizeof title, "%s%s, preset %s, %u CPUs, API %s%s", c->setup.path[0],
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
static bool write_results(struct compare_call *c, const struct compare_traces *t)
{
    struct comparison all = { .config = &c->config, .configs = 1, .traces = t->paths };
    struct result result;
    if (c->files.files == 0)
        return true;
    all.run = calloc(c->jobs, sizeof *all.run);
    CHECK(all.run != NULL);
    for (unsigned i = 0; i < c->jobs; i++)
        if (c->job[i].outcome == MACHINE_RAN)
            all.run[all.runs++] = c->job[i].result;
    for (unsigned i = 0; i < t->paths; i++) {
        all.trace[i]         = t->trace[i];
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

static void report(struct compare_call *c, const struct compare_traces *t)
{
    struct compare_job *order[COMPARE_JOBS_MAX];
    for (unsigned i = 0; i < c->jobs; i++)
        order[i] = &c->job[i];
    compare_mark_best(c->job, c->jobs);
    compare_sort(order, c->jobs, c->by);
    if (!to_stdout(c))
        compare_table(order, c->jobs, stdout, terminal_colours(stdout));
    if (!write_file(c, c->csv, write_csv, order)
        || !write_file(c, c->plot, write_plot, order) || !write_results(c, t))
        c->status = EXIT_USAGE;
}

/* The table of traces that are replayed together; false when there is no going on. */
static bool compare_traces(struct compare_call *c, const struct compare_traces *t,
                           unsigned jobs)
{
    c->setup.path     = t->path;
    c->setup.paths    = t->paths;
    c->setup.run.cpus = t->cpus;
    c->setup.run.rdma = t == &c->traces[1];
    c->status         = EXIT_CHECK;
    if (jobs > 0 && !compare_run(&c->setup, c->job, jobs, &c->progress, &c->error)) {
        c->status = command_interrupted() ? EXIT_STOPPED : EXIT_CHECK;
        return false;
    }
    judge(c);
    if (c->status == EXIT_FINE || c->status == EXIT_CHECK)
        report(c, t);
    return c->status == EXIT_FINE;
}

/* As before any of these has run. */
static void forget(struct compare_call *c, unsigned jobs)
{
    for (unsigned i = 0; i < jobs; i++)
        c->job[i] = (struct compare_job){ .policy = c->job[i].policy };
}

static bool compare_both(struct compare_call *c, unsigned jobs)
{
    printf("block requests\n");
    if (!compare_traces(c, &c->traces[0], jobs))
        return false;
    forget(c, jobs);
    printf("RDMA work\n");
    return compare_traces(c, &c->traces[1], jobs);
}

static void compare(struct compare_call *c, const char **path)
{
    c->status = EXIT_USAGE;
    if (!parse_config(c) || !parse_api(c) || !parse_policies(c) || !parse_sort(c)
        || !parse_numbers(c) || !check_outputs(c) || !take_traces(c, path))
        return;
    c->setup.config           = &c->config;
    c->setup.run.run_ahead    = true;
    c->setup.run.attacker     = c->attacker != 0;
    struct compare_job *aside = calloc(COMPARE_JOBS_MAX, sizeof *aside);
    CHECK(aside != NULL);
    const unsigned jobs = set_aside(c, aside);
    free(aside);
    if (c->traces[0].paths > 0 && c->traces[1].paths > 0)
        compare_both(c, jobs);
    else
        compare_traces(c, &c->traces[c->traces[1].paths > 0], jobs);
}

static void release(struct compare_call *c)
{
    config_free(&c->config);
    report_files_free(&c->files);
    free(c->job);
    for (unsigned i = 0; i < c->sets; i++)
        free((char *)c->set[i]);
    free(c->set);
    char *const text[] = { c->preset,        c->api,       c->policies,      c->sort,
                           c->csv,           c->plot,      c->cpus_text,     c->limit_text,
                           c->progress_mode, c->seed_text, c->processes_text };
    for (unsigned i = 0; i < sizeof text / sizeof text[0]; i++)
        free(text[i]);
}

enum { OPTION_SET = 1 };

static bool take_option(void *self, int option, char *text, struct error *error)
{
    struct compare_call *c = self;
    if (option != OPTION_SET)
        return report_files_take(&c->files, option, text, error);
    c->set[c->sets++] = text;
    return true;
}

static int compare_run_command(int argc, const char **argv)
{
    struct compare_call *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->set = calloc((size_t)argc, sizeof *c->set);
    CHECK(c->set != NULL);
    const struct poptOption options[] = {
        { "policies", 0, POPT_ARG_STRING, &c->policies, 0, "Flush policies (default all)",
          "all|LIST" },
        { "policy", 0, POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &c->policies, 0, NULL,
          NULL }, /* As replay has it. */
        { "sort", 0, POPT_ARG_STRING, &c->sort, 0,
          "The best by this one first (default cpu_cycles_per_io)", "METRIC" },
        { "api", 0, POPT_ARG_STRING, &c->api, 0, "iova (default), streaming or sg",
          "NAME" },
        { "attacker", 0, POPT_ARG_NONE, &c->attacker, 0,
          "A hostile device beside each drive and NIC (attacker.*)", NULL },
        { "csv", 0, POPT_ARG_STRING, &c->csv, 0,
          "Write every metric there; - is standard output", "FILE" },
        REPORT_FILES_OPTIONS,
        { "plot", 0, POPT_ARG_STRING, &c->plot, 0,
          "Draw cycles against what a device can reach", "FILE.svg" },
        { "preset", 0, POPT_ARG_STRING, &c->preset, 0, "Machine (default vtd-server)",
          "NAME" },
        { "set", 0, POPT_ARG_STRING, NULL, OPTION_SET, "One parameter; may be given again",
          "KEY=VALUE" },
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
    c->status = EXIT_USAGE;
    if (options_read(context, take_option, c, &c->error))
        compare(c, poptGetArgs(context));
    const int status =
        c->status == EXIT_FINE ? EXIT_FINE : command_fail(c->status, "%s", c->error.text);
    release(c);
    free(c);
    poptFreeContext(context);
    return status;
}

const struct command cmd_compare = {
    .name    = "compare",
    .summary = "Replay under every flush policy: what each costs and leaves open",
    .run     = compare_run_command,
};
