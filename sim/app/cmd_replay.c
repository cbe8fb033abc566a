/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_replay - replays traces through the DMA APIs under flush policies, and compares.
 */
#include <inttypes.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/app/cmd.h"
#include "sim/app/findings.h"
#include "sim/app/interrupt.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/progress.h"
#include "sim/app/report.h"
#include "sim/app/sources.h"
#include "sim/app/spool.h"
#include "sim/host/direct.h"
#include "sim/host/systemc.h"

enum { POLICIES_MAX = 64, PRESETS_MAX = 16 };

/* What the command line said. */
struct replay_call {
    char *preset, *api, *policy, *json, *progress_mode, *host, *run_ahead;
    char *cpus_text, *limit_text, *seed_text;
    int attacker;
    uint64_t cpus;  /* 0: as recorded. */
    uint64_t limit; /* Of records; UINT64_MAX: all. */
    uint64_t seed;
    uint64_t records; /* That a run has replayed; 0: none is done. */
    struct findings findings;
    struct config config[PRESETS_MAX];
    unsigned presets;
    bool wants[BLK_API_COUNT];
    const struct flush_policy *policies[POLICIES_MAX];
    unsigned policy_count, api_count;
    struct report report;
    struct replay_source source[REPLAY_SOURCES_MAX];
    struct progress progress;
    struct error error;
    int status;
};

/* ---- The command line
 * ----------------------------------------------------------------------------- */

static bool usage(struct replay_call *c, const char *format, const char *what)
{
    error_set(&c->error, format, what);
    c->status = EXIT_USAGE;
    return false;
}

static bool add_api(struct replay_call *c, const char *name)
{
    if (strcmp(name, "all") == 0 || strcmp(name, "both") == 0) {
        c->wants[BLK_iova] = c->wants[BLK_streaming] = true;
        c->wants[BLK_sg] |= strcmp(name, "all") == 0;
        return true;
    }
    for (unsigned i = 0; i < BLK_API_COUNT; i++)
        if (strcmp(name, blk_api_name[i]) == 0) {
            c->wants[i] = true;
            return true;
        }
    return usage(c, "--api: expected iova, streaming, sg, both or all, got '%s'", name);
}

static bool add_policy(struct replay_call *c, const char *name)
{
    const struct flush_policy *policy = flush_find(name);
    if (policy == NULL)
        return usage(c, "--policy: '%s' is not known; `iovasim policies` lists them", name);
    for (unsigned i = 0; i < c->policy_count; i++)
        if (c->policies[i] == policy)
            return true;
    CHECK(c->policy_count < POLICIES_MAX);
    c->policies[c->policy_count++] = policy;
    return true;
}

/* Hands each member of a comma-separated list to add. */
static bool split(struct replay_call *c, char *list,
                  bool (*add)(struct replay_call *c, const char *name))
{
    char *rest;
    for (char *name = strtok_r(list, ",", &rest); name != NULL;
         name       = strtok_r(NULL, ",", &rest))
        if (!add(c, name))
            return false;
    return true;
}

static bool any_untrusted(const struct replay_call *c)
{
    for (unsigned i = 0; i < c->presets; i++)
        if (c->config[i].kernel.untrusted)
            return true;
    return false;
}

/* An untrusted device has one policy, whatever was wanted. */
static bool check_policies(struct replay_call *c)
{
    for (unsigned i = 0; any_untrusted(c) && i < c->policy_count; i++)
        if (c->policies[i] != &flush_strict)
            return usage(c,
                         "--policy: an untrusted device (linux.untrusted) is always "
                         "strict, got '%s'",
                         c->policies[i]->name);
    return true;
}

static bool parse_lists(struct replay_call *c)
{
    char every[] = "all", three[] = "strict,lazy,passthrough", strict[] = "strict";
    char *usual = any_untrusted(c) ? strict : three;
    if (!split(c, c->api != NULL ? c->api : every, add_api)
        || !split(c, c->policy != NULL ? c->policy : usual, add_policy)
        || !check_policies(c))
        return false;
    for (unsigned i = 0; c->wants[BLK_iova] && i < c->presets; i++) {
        if (strcmp(c->config[i].kernel.release, "6.12") != 0)
            continue;
        if (c->api != NULL && strcmp(c->api, "all") != 0 && strcmp(c->api, "both") != 0)
            return usage(c, "--api: Linux %s has no IOVA API (it came with 6.16)",
                         c->config[i].kernel.release);
        c->wants[BLK_iova] = false;
    }
    for (unsigned i = 0; i < BLK_API_COUNT; i++)
        c->api_count += c->wants[i];
    if (c->api_count == 0 || c->policy_count == 0)
        return usage(c, "%s: the list is empty", c->api_count == 0 ? "--api" : "--policy");
    return true;
}

static bool parse_numbers(struct replay_call *c)
{
    return option_number("--cpus", c->cpus_text, 1, ENGINE_CPUS_MAX, &c->cpus, &c->error)
           && option_number("--limit", c->limit_text, 1, OPTION_NO_MOST, &c->limit,
                            &c->error)
           && option_number("--seed", c->seed_text, 0, OPTION_NO_MOST, &c->seed, &c->error);
}

static bool parse_modes(struct replay_call *c)
{
    if (!progress_init(&c->progress, c->progress_mode != NULL ? c->progress_mode : "auto"))
        return usage(c, "--progress: expected auto, always or never, got '%s'",
                     c->progress_mode);
    if (c->host != NULL && strcmp(c->host, "systemc") != 0
        && strcmp(c->host, "direct") != 0)
        return usage(c, "--host: expected systemc or direct, got '%s'", c->host);
    if (c->run_ahead != NULL && strcmp(c->run_ahead, "on") != 0
        && strcmp(c->run_ahead, "off") != 0)
        return usage(c, "--run-ahead: expected on or off, got '%s'", c->run_ahead);
    return true;
}

enum { OPTION_SET = 1, OPTION_PRESET };

static bool add_preset(struct replay_call *c, const char *name)
{
    if (c->presets == PRESETS_MAX)
        return usage(c, "--preset: too many, at '%s'", name);
    for (unsigned i = 0; i < c->presets; i++)
        if (strcmp(c->config[i].preset, name) == 0)
            return true;
    return config_init(&c->config[c->presets++], name, &c->error);
}

/* The presets come first, wherever they stand; then every --set in order, for each. */
static bool parse_config(struct replay_call *c, const char *const *set, unsigned sets)
{
    char usual[] = "vtd-server";
    if (!split(c, c->preset != NULL ? c->preset : usual, add_preset))
        return false;
    if (c->presets == 0)
        return usage(c, "%s: the list is empty", "--preset");
    for (unsigned p = 0; p < c->presets; p++) {
        for (unsigned i = 0; i < sets; i++)
            if (!config_set(&c->config[p], set[i], &c->error))
                return error_in(&c->error, "--set");
        if (!config_check(&c->config[p], &c->error))
            return c->presets > 1 && error_in(&c->error, "preset %s", c->config[p].preset);
    }
    return true;
}

/* Whether the file has been read as a piece of a recording before it: blktrace has one for
 * each CPU. */
static bool is_piece(const struct replay_call *c, const char *path)
{
    for (unsigned i = 0; i < c->report.traces; i++)
        if (trace_holds(c->source[i].reader, path))
            return true;
    return false;
}

/* A trace is read once for each run, and for its digest. */
static bool open_trace(struct replay_call *c, const char *path, struct report_trace *t)
{
    const bool standard = strcmp(path, TRACE_STANDARD_INPUT) == 0;
    return (!standard || spool_standard_input(&c->error))
           && file_sha256(standard ? "/dev/stdin" : path, t->sha256, &c->error)
           && trace_open(&c->source[c->report.traces].reader, path, &c->error);
}

static bool open_traces(struct replay_call *c, const char **path)
{
    for (; path != NULL && *path != NULL; path++) {
        if (is_piece(c, *path))
            continue;
        if (c->report.traces == REPLAY_SOURCES_MAX)
            return usage(c, "%s: too many traces", *path);
        struct report_trace *t = &c->report.trace[c->report.traces];
        c->status              = EXIT_INPUT;
        t->path                = *path;
        if (!open_trace(c, *path, t))
            return false;
        c->source[c->report.traces].name = *path;
        t->format = trace_about(c->source[c->report.traces].reader)->format;
        c->report.traces++;
    }
    if (c->report.traces == 0)
        return usage(c, "%s", "replay: expected a trace; `iovasim replay --help` explains");
    return true;
}

static bool choose_cpus(struct replay_call *c)
{
    unsigned cpus = (unsigned)c->cpus;
    if (cpus == 0 && !sources_cpus(c->source, c->report.traces, &cpus, &c->error))
        return false;
    c->cpus = cpus;
    return true;
}

/* ---- The runs
 * ----------------------------------------------------------------------------------------
 */

static void progress(void *self, uint64_t records)
{
    struct replay_call *c = self;
    progress_update(&c->progress, records);
}

static void finding(void *self, const char *text)
{
    struct replay_call *c = self;
    progress_end(&c->progress);
    findings_note(&c->findings, text);
}

static int status_of(enum machine_outcome outcome)
{
    switch (outcome) {
    case MACHINE_RAN:
        return EXIT_FINE;
    case MACHINE_STOPPED:
        return EXIT_STOPPED;
    case MACHINE_REFUSED:
        return EXIT_USAGE;
    case MACHINE_TRACE:
        return EXIT_INPUT;
    case MACHINE_BROKEN:
        return EXIT_CHECK;
    }
    UNREACHABLE("a machine ends in one of these ways");
}

/* Only the trace's own mistakes have the trace's name in front. */
static void explain(struct replay_call *c, enum machine_outcome outcome)
{
    if (outcome == MACHINE_STOPPED)
        error_set(&c->error, "interrupted");
    if (outcome == MACHINE_BROKEN)
        error_in(&c->error, "check failed");
    c->status = status_of(outcome);
}

static void note_records(struct replay_call *c, const struct machine_result *result)
{
    c->records = result->counters.replay.record;
    for (unsigned i = 0; i < c->report.traces; i++)
        c->report.trace[i].records = result->source_records[i];
}

static unsigned runs(const struct replay_call *c)
{
    return c->presets * c->policy_count * c->api_count;
}

static bool run_one(struct replay_call *c, const struct sim_host *host,
                    const struct config *config, enum blk_api api,
                    const struct flush_policy *policy)
{
    struct machine_result *result = &c->report.run[c->report.runs];
    const struct machine_run run  = {
         .api           = api,
         .policy        = policy,
         .cpus          = (unsigned)c->cpus,
         .limit         = c->limit,
         .seed          = c->seed,
         .run_ahead     = c->run_ahead == NULL || strcmp(c->run_ahead, "on") == 0,
         .attacker      = c->attacker != 0,
         .source        = c->source,
         .sources       = c->report.traces,
         .interrupted   = &interrupt_seen,
         .progress      = progress,
         .progress_self = c,
         .finding       = finding,
         .finding_self  = c,
    };
    char what[64];
    for (unsigned i = 0; i < c->report.traces; i++)
        if (!trace_rewind(c->source[i].reader, &c->error)) {
            c->status = EXIT_INPUT;
            return false;
        }
    snprintf(what, sizeof what, "%s, %s", policy->name, blk_api_name[api]);
    progress_begin(&c->progress, what, c->report.runs + 1, runs(c),
                   c->limit != UINT64_MAX ? c->limit : c->records);
    const enum machine_outcome outcome = machine_run(config, &run, host, result, &c->error);
    progress_end(&c->progress);
    findings_sum_up(&c->findings, what);
    if (outcome != MACHINE_RAN) {
        explain(c, outcome);
        return false;
    }
    note_records(c, result);
    c->report.runs++;
    return true;
}

static void run_all(void *arg, const struct sim_host *host)
{
    struct replay_call *c = arg;
    c->status             = EXIT_FINE;
    for (unsigned i = 0; i < c->presets * c->policy_count; i++)
        for (unsigned a = 0; a < BLK_API_COUNT; a++)
            if (c->wants[a]
                && !run_one(c, host, &c->config[i / c->policy_count], (enum blk_api)a,
                            c->policies[i % c->policy_count]))
                return;
}

static void run_on_host(struct replay_call *c)
{
    c->report.run = calloc(runs(c), sizeof *c->report.run);
    CHECK(c->report.run != NULL);
    if (c->host != NULL && strcmp(c->host, "direct") == 0) {
        struct direct_host *h = direct_host_new();
        run_all(c, direct_host_verbs(h));
        direct_host_free(h);
    } else {
        systemc_host_call(run_all, c);
    }
}

static bool write_json(struct replay_call *c)
{
    struct output o;
    if (!output_open(&o, c->json, &c->error))
        return false;
    if (report_json(&c->report, o.stream))
        return output_finish(&o, &c->error);
    output_abandon(&o);
    return error_set(&c->error, "%s: cannot write", c->json);
}

/* An output that cannot be written is found before the work, not after it. */
static bool try_output(struct replay_call *c)
{
    struct output o;
    if (c->json != NULL && c->json[0] == '\0')
        return usage(c, "%s", "--json: expected a file, or - for standard output");
    if (c->json == NULL || !output_open(&o, c->json, &c->error))
        return c->json == NULL;
    output_abandon(&o);
    return true;
}

static void replay(struct replay_call *c, const char **path, const char *const *set,
                   unsigned sets)
{
    c->status = EXIT_USAGE;
    if (!parse_config(c, set, sets) || !parse_lists(c) || !parse_numbers(c)
        || !parse_modes(c) || !try_output(c))
        return;
    c->report.config  = c->config;
    c->report.configs = c->presets;
    if (!open_traces(c, path) || !choose_cpus(c))
        return;
    run_on_host(c);
    if (c->status != EXIT_FINE)
        return;
    c->status = EXIT_USAGE;
    if (c->json != NULL && !write_json(c))
        return;
    if (c->json == NULL || strcmp(c->json, "-") != 0)
        report_table(&c->report, stdout, isatty(STDOUT_FILENO));
    c->status = EXIT_FINE;
    if (!findings_none(&c->findings, &c->error))
        c->status = EXIT_CHECK;
}

static void release(struct replay_call *c)
{
    for (unsigned i = 0; i < c->report.traces; i++)
        trace_close(c->source[i].reader);
    free(c->report.run);
    for (unsigned i = 0; i < c->presets; i++)
        config_free(&c->config[i]);
    char *const text[] = { c->preset,        c->api,      c->policy,    c->json,
                           c->progress_mode, c->host,     c->run_ahead, c->cpus_text,
                           c->limit_text,    c->seed_text };
    for (unsigned i = 0; i < sizeof text / sizeof text[0]; i++)
        free(text[i]);
}

static int replay_run_command(int argc, const char **argv)
{
    struct replay_call *c = calloc(1, sizeof *c);
    const char **set      = calloc((size_t)argc + 1, sizeof *set);
    char *assignment      = NULL;
    unsigned sets         = 0;
    int option;
    CHECK(c != NULL);
    CHECK(set != NULL);
    c->findings.out                   = stderr;
    c->limit                          = UINT64_MAX;
    const struct poptOption options[] = {
        { "preset", 0, POPT_ARG_STRING, &c->preset, 0, "Machines (default vtd-server)",
          "LIST" },
        { "set", 0, POPT_ARG_STRING, &assignment, OPTION_SET,
          "One parameter; may be given again", "KEY=VALUE" },
        { "api", 0, POPT_ARG_STRING, &c->api, 0,
          "iova, streaming, sg, both or all (default)", "LIST" },
        { "policy", 0, POPT_ARG_STRING, &c->policy, 0,
          "Flush policies (default strict,lazy,passthrough)", "LIST" },
        { "attacker", 0, POPT_ARG_NONE, &c->attacker, 0,
          "Add a hostile device (parameters attacker.*)", NULL },
        { "cpus", 0, POPT_ARG_STRING, &c->cpus_text, 0,
          "Simulated CPUs, 1 to 64 (default: as recorded)", "N" },
        { "limit", 0, POPT_ARG_STRING, &c->limit_text, 0,
          "Records to replay, at least 1 (default: all)", "N" },
        { "json", 0, POPT_ARG_STRING, &c->json, 0,
          "Write the result there; - is standard output", "FILE" },
        { "seed", 0, POPT_ARG_STRING, &c->seed_text, 0,
          "Seed of everything random (default 0)", "N" },
        { "progress", 0, POPT_ARG_STRING, &c->progress_mode, 0,
          "auto (on a terminal), always or never", "WHEN" },
        { "host", 0, POPT_ARG_STRING, &c->host, 0,
          "systemc (default) or direct: the same result", "NAME" },
        { "run-ahead", 0, POPT_ARG_STRING, &c->run_ahead, 0,
          "on (default) or off: the same result, slower", "on|off" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim replay", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "[OPTION...] TRACE...");
    while ((option = poptGetNextOpt(context)) > 0)
        set[sets++] = assignment;
    if (option < -1) {
        error_set(&c->error, "%s: %s", poptBadOption(context, 0), poptStrerror(option));
        c->status = EXIT_USAGE;
    } else {
        replay(c, poptGetArgs(context), set, sets);
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

const struct command cmd_replay = {
    .name    = "replay",
    .summary = "Replay traces through the DMA APIs under flush policies, and compare",
    .run     = replay_run_command,
};
