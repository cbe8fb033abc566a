/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/experiment.h"

#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/interrupt.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/sources.h"
#include "sim/host/direct.h"
#include "sim/host/systemc.h"

/* ---- The command line
 * ----------------------------------------------------------------------------- */

static bool usage(struct experiment *c, const char *format, const char *what)
{
    error_set(&c->error, format, what);
    c->status = EXIT_USAGE;
    return false;
}

static bool add_api(struct experiment *c, const char *name)
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

static bool add_policy(struct experiment *c, const char *name)
{
    const struct flush_policy *policy = option_policy("--policy", name, &c->error);
    if (policy == NULL) {
        c->status = EXIT_USAGE;
        return false;
    }
    for (unsigned i = 0; i < c->policy_count; i++)
        if (c->policies[i] == policy)
            return true;
    CHECK(c->policy_count < EXPERIMENT_POLICIES_MAX);
    c->policies[c->policy_count++] = policy;
    return true;
}

/* Hands each member of a comma-separated list to add. */
static bool split(struct experiment *c, const char *list,
                  bool (*add)(struct experiment *c, const char *name))
{
    char *rest, *copy = strdup(list);
    bool added = true;
    CHECK(copy != NULL);
    for (char *name = strtok_r(copy, ",", &rest); added && name != NULL;
         name       = strtok_r(NULL, ",", &rest))
        added = add(c, name);
    free(copy);
    return added;
}

static bool any_untrusted(const struct experiment *c)
{
    for (unsigned i = 0; i < c->presets; i++)
        if (c->config[i].kernel.untrusted)
            return true;
    return false;
}

/* An untrusted device has one policy, whatever was wanted. */
static bool check_policies(struct experiment *c)
{
    for (unsigned i = 0; any_untrusted(c) && i < c->policy_count; i++)
        if (c->policies[i] != &flush_strict)
            return usage(c,
                         "--policy: an untrusted device (linux.untrusted) is always "
                         "strict, got '%s'",
                         c->policies[i]->name);
    return true;
}

static bool parse_lists(struct experiment *c)
{
    const char *usual = any_untrusted(c) ? "strict" : "strict,lazy,passthrough";
    if (!split(c, c->words.api != NULL ? c->words.api : "all", add_api)
        || !split(c, c->words.policy != NULL ? c->words.policy : usual, add_policy)
        || !check_policies(c))
        return false;
    for (unsigned i = 0; c->wants[BLK_iova] && i < c->presets; i++) {
        if (strcmp(c->config[i].kernel.release, "6.12") != 0)
            continue;
        if (c->words.api != NULL && strcmp(c->words.api, "all") != 0
            && strcmp(c->words.api, "both") != 0)
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

static bool parse_numbers(struct experiment *c)
{
    return option_number("--cpus", c->words.cpus, 1, ENGINE_CPUS_MAX, &c->cpus, &c->error)
           && option_number("--limit", c->words.limit, 1, OPTION_NO_MOST, &c->limit,
                            &c->error)
           && option_number("--seed", c->words.seed, 0, OPTION_NO_MOST, &c->seed,
                            &c->error);
}

static bool word_is(const char *word, const char *value)
{
    return word != NULL && strcmp(word, value) == 0;
}

/* Not said, or one of two words. */
static bool either(struct experiment *c, const char *option, const char *word,
                   const char *one, const char *other)
{
    if (word == NULL || word_is(word, one) || word_is(word, other))
        return true;
    return error_set(&c->error, "%s: expected %s or %s, got '%s'", option, one, other,
                     word);
}

static bool parse_modes(struct experiment *c)
{
    return progress_init(&c->progress, c->words.progress, &c->error)
           && either(c, "--host", c->words.host, "systemc", "direct")
           && either(c, "--attacker", c->words.attacker, "on", "off")
           && either(c, "--run-ahead", c->words.run_ahead, "on", "off");
}

static bool add_preset(struct experiment *c, const char *name)
{
    if (c->presets == EXPERIMENT_PRESETS_MAX)
        return usage(c, "--preset: too many, at '%s'", name);
    for (unsigned i = 0; i < c->presets; i++)
        if (strcmp(c->config[i].preset, name) == 0)
            return true;
    return config_init(&c->config[c->presets++], name, &c->error);
}

/* The presets come first, wherever they stand; then every --set in order, for each. */
static bool parse_config(struct experiment *c)
{
    if (!split(c, c->words.preset != NULL ? c->words.preset : "vtd-server", add_preset))
        return false;
    if (c->presets == 0)
        return usage(c, "%s: the list is empty", "--preset");
    for (unsigned p = 0; p < c->presets; p++) {
        for (unsigned i = 0; i < c->sets; i++)
            if (!config_set(&c->config[p], c->set[i], &c->error))
                return error_in(&c->error, "--set");
        if (!config_check(&c->config[p], &c->error))
            return c->presets > 1 && error_in(&c->error, "preset %s", c->config[p].preset);
    }
    return true;
}

/* Whether the file has been read as a piece of a recording before it: blktrace has one for
 * each CPU. */
static bool is_piece(const struct experiment *c, const char *path)
{
    for (unsigned i = 0; i < c->comparison.traces; i++)
        if (trace_holds(c->source[i].reader, path))
            return true;
    return false;
}

/* A trace is read once for each run, and for its digest; that of a generator is of what it
 * was told. The first preset's parameters hold for all. */
static bool open_trace(struct experiment *c, const char *path, struct comparison_trace *t)
{
    struct trace_reader **reader = &c->source[c->comparison.traces].reader;
    if (!sources_sha256(path, &c->config[0], c->seed, t->sha256, &c->error))
        return false;
    return sources_open(reader, path, NULL, &c->config[0], c->seed, &c->error);
}

static bool open_traces(struct experiment *c)
{
    const char *const *path = c->trace;
    for (; path != NULL && *path != NULL; path++) {
        if (is_piece(c, *path))
            continue;
        if (c->comparison.traces == REPLAY_SOURCES_MAX)
            return usage(c, "%s: too many traces", *path);
        struct comparison_trace *t = &c->comparison.trace[c->comparison.traces];
        c->status                  = EXIT_USAGE;
        if (!output_spares(*path, &c->error))
            return false;
        c->status = EXIT_INPUT;
        t->path   = *path;
        if (!open_trace(c, *path, t))
            return false;
        c->source[c->comparison.traces].name = *path;
        t->format = trace_about(c->source[c->comparison.traces].reader)->format;
        c->comparison.traces++;
    }
    if (c->comparison.traces == 0)
        return usage(c, "%s", "expected a trace");
    return true;
}

static bool choose_cpus(struct experiment *c)
{
    unsigned cpus = (unsigned)c->cpus;
    if (cpus == 0 && !sources_cpus(c->source, c->comparison.traces, &cpus, &c->error))
        return false;
    c->cpus = cpus;
    return true;
}

/* ---- The runs
 * ----------------------------------------------------------------------------------------
 */

static void progress(void *self, uint64_t records)
{
    struct experiment *c = self;
    progress_update(&c->progress, records);
}

static void finding(void *self, const char *text)
{
    struct experiment *c = self;
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
static void explain(struct experiment *c, enum machine_outcome outcome)
{
    if (outcome == MACHINE_STOPPED)
        error_set(&c->error, "interrupted");
    if (outcome == MACHINE_BROKEN)
        error_in(&c->error, "check failed");
    c->status = status_of(outcome);
}

static void note_records(struct experiment *c, const struct machine_result *result)
{
    c->records = result->counters.replay.record;
    for (unsigned i = 0; i < c->comparison.traces; i++)
        c->comparison.trace[i].records = result->source_records[i];
}

unsigned experiment_runs(const struct experiment *c)
{
    return c->presets * c->policy_count * c->api_count;
}

static bool run_one(struct experiment *c, const struct sim_host *host,
                    const struct config *config, enum blk_api api,
                    const struct flush_policy *policy)
{
    struct machine_result *result = &c->comparison.run[c->comparison.runs];
    const struct machine_run run  = {
         .api           = api,
         .policy        = policy,
         .cpus          = (unsigned)c->cpus,
         .limit         = c->limit,
         .seed          = c->seed,
         .run_ahead     = !word_is(c->words.run_ahead, "off"),
         .attacker      = word_is(c->words.attacker, "on"),
         .rdma          = c->rdma,
         .timeline      = c->timeline,
         .waves         = c->waves,
         .source        = c->source,
         .sources       = c->comparison.traces,
         .interrupted   = &interrupt_seen,
         .progress      = progress,
         .progress_self = c,
         .finding       = finding,
         .finding_self  = c,
    };
    char what[64];
    for (unsigned i = 0; i < c->comparison.traces; i++)
        if (!trace_rewind(c->source[i].reader, &c->error)) {
            c->status = EXIT_INPUT;
            return false;
        }
    snprintf(what, sizeof what, "%s, %s", policy->name, blk_api_name[api]);
    progress_begin(&c->progress, what, c->comparison.runs + 1, experiment_runs(c),
                   c->limit != UINT64_MAX ? c->limit : c->records);
    const enum machine_outcome outcome = machine_run(config, &run, host, result, &c->error);
    progress_end(&c->progress);
    findings_sum_up(&c->findings, what);
    if (outcome != MACHINE_RAN) {
        explain(c, outcome);
        return false;
    }
    note_records(c, result);
    c->comparison.runs++;
    return true;
}

static void run_all(void *arg, const struct sim_host *host)
{
    struct experiment *c = arg;
    c->status            = EXIT_FINE;
    for (unsigned i = 0; i < c->presets * c->policy_count; i++)
        for (unsigned a = 0; a < BLK_API_COUNT; a++)
            if (c->wants[a]
                && !run_one(c, host, &c->config[i / c->policy_count], (enum blk_api)a,
                            c->policies[i % c->policy_count]))
                return;
}

bool experiment_run(struct experiment *c)
{
    c->comparison.run = calloc(experiment_runs(c), sizeof *c->comparison.run);
    CHECK(c->comparison.run != NULL);
    if (word_is(c->words.host, "direct")) {
        struct direct_host *h = direct_host_new();
        run_all(c, direct_host_verbs(h));
        direct_host_free(h);
    } else {
        systemc_host_call(run_all, c);
    }
    return c->status == EXIT_FINE;
}

bool experiment_clean(struct experiment *c)
{
    if (findings_none(&c->findings, &c->error))
        return true;
    c->status = EXIT_CHECK;
    return false;
}

bool experiment_parse(struct experiment *c)
{
    c->status = EXIT_USAGE;
    return parse_config(c) && parse_lists(c) && parse_numbers(c) && parse_modes(c);
}

bool experiment_open(struct experiment *c)
{
    c->comparison.config  = c->config;
    c->comparison.configs = c->presets;
    return open_traces(c) && choose_cpus(c)
           && sources_rdma(c->source, c->comparison.traces, &c->rdma, &c->error);
}

struct experiment *experiment_new(void)
{
    struct experiment *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->limit        = UINT64_MAX;
    c->findings.out = stderr;
    return c;
}

void experiment_free(struct experiment *c)
{
    for (unsigned i = 0; i < c->comparison.traces; i++)
        trace_close(c->source[i].reader);
    free(c->comparison.run);
    for (unsigned i = 0; i < c->presets; i++)
        config_free(&c->config[i]);
    free(c);
}
