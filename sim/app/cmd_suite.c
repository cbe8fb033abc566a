/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_suite - runs a list of workloads and configurations into one result.
 *
 *     name: storage
 *     defaults: { policy: [strict, lazy], limit: 1000 }
 *     cases:
 *       - { name: randread, trace: randread.iovatrace }
 *       - { name: small-iotlb, trace: randread.iovatrace, set: { iotlb.sets: 4 } }
 */
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/pool.h"
#include "sim/app/report.h"
#include "sim/app/spec.h"
#include "sim/app/text.h"
#include "sim/app/version.h"

struct suite_case {
    char *name;
    struct spec spec;
    unsigned line;
    json_t *result;
};

struct suite {
    const char *path;
    char *name;
    struct suite_case *one;
    unsigned cases, handed, finished;
    struct progress progress;
    int status; /* When a case failed. */
};

struct suite_call {
    char *jobs_text, *progress_mode;
    uint64_t jobs;
    struct report_files files;
    struct error error;
};

/* ---- The file ---- */

static bool read_case(struct suite *s, struct yaml_file *y, yaml_node_t *node,
                      const struct spec *defaults)
{
    const char *key, *name = NULL;
    yaml_node_t *value;
    bool known;
    if (!yaml_is_map(y, node, "a case"))
        return false;
    s->one = realloc(s->one, (s->cases + 1) * sizeof *s->one);
    CHECK(s->one != NULL);
    struct suite_case *one = &s->one[s->cases++];
    *one = (struct suite_case){ .line = (unsigned)node->start_mark.line + 1 };
    spec_copy(&one->spec, defaults);
    for (unsigned i = 0; yaml_pair(y, node, i, &key, &value); i++) {
        if (strcmp(key, "name") == 0) {
            if ((name = yaml_text(y, value, "name")) == NULL)
                return false;
            one->name = text_make("%s", name);
            continue;
        }
        if (!spec_read(&one->spec, y, key, value, &known))
            return false;
        if (!known)
            return yaml_refuse(y, value,
                               "'%s': expected name, trace, preset, policy, api, cpus, "
                               "limit, seed, attacker or set",
                               key);
    }
    if (name == NULL || strpbrk(name, "/\n") != NULL)
        return yaml_refuse(y, node, "a case: expected a name without '/'");
    for (unsigned i = 0; i + 1 < s->cases; i++)
        if (strcmp(s->one[i].name, name) == 0)
            return yaml_refuse(y, node, "a second case '%s'", name);
    return one->spec.traces > 0 || yaml_refuse(y, node, "case %s: expected a trace", name);
}

static bool read_defaults(struct yaml_file *y, yaml_node_t *map, struct spec *defaults)
{
    const char *key;
    yaml_node_t *value;
    bool known;
    if (!yaml_is_map(y, map, "defaults"))
        return false;
    for (unsigned i = 0; yaml_pair(y, map, i, &key, &value); i++) {
        if (!spec_read(defaults, y, key, value, &known))
            return false;
        if (!known)
            return yaml_refuse(y, value,
                               "'%s': expected trace, preset, policy, api, cpus, limit, "
                               "seed, attacker or set",
                               key);
    }
    return true;
}

static bool read_suite(struct suite *s, struct yaml_file *y, struct spec *defaults)
{
    const char *key, *name     = NULL;
    yaml_node_t *value, *cases = NULL, *one;
    for (unsigned i = 0; yaml_pair(y, yaml_root(y), i, &key, &value); i++) {
        if (strcmp(key, "name") == 0) {
            if ((name = yaml_text(y, value, key)) == NULL)
                return false;
        } else if (strcmp(key, "defaults") == 0) {
            if (!read_defaults(y, value, defaults))
                return false;
        } else if (strcmp(key, "cases") == 0) {
            cases = value;
        } else {
            return yaml_refuse(y, value, "'%s': expected name, defaults or cases", key);
        }
    }
    if (cases == NULL || cases->type != YAML_SEQUENCE_NODE)
        return yaml_refuse(y, cases, "expected cases: and a list");
    for (unsigned i = 0; (one = yaml_item(y, cases, i)) != NULL; i++)
        if (!read_case(s, y, one, defaults))
            return false;
    if (s->cases == 0)
        return yaml_refuse(y, cases, "cases: the list is empty");
    s->name = text_make("%s", name != NULL ? name : "suite");
    return true;
}

static bool load_suite(struct suite *s, struct error *error)
{
    struct yaml_file y;
    struct spec defaults = { .preset = NULL };
    if (!yaml_file_open(&y, s->path, error))
        return false;
    const bool read = read_suite(s, &y, &defaults);
    spec_free(&defaults);
    yaml_file_close(&y);
    return read;
}

static void free_suite(struct suite *s)
{
    for (unsigned i = 0; i < s->cases; i++) {
        free(s->one[i].name);
        spec_free(&s->one[i].spec);
        json_decref(s->one[i].result);
    }
    free(s->one);
    free(s->name);
}

/* ---- The runs ---- */

/* In a process of its own: the result, or "!STATUS what went wrong". */
static char *work(void *self, unsigned index)
{
    struct suite *s      = self;
    struct experiment *e = experiment_new();
    char *answer;
    spec_apply(&s->one[index].spec, e);
    if (experiment_parse(e) && experiment_open(e) && experiment_run(e)
        && experiment_clean(e)) {
        json_t *document = comparison_document(&e->comparison);
        answer           = json_dumps(document, JSON_COMPACT);
        CHECK(answer != NULL);
        json_decref(document);
    } else {
        answer = text_make("!%d %s", e->status, e->error.text);
    }
    experiment_free(e);
    return answer;
}

static bool next(void *self, unsigned *index)
{
    struct suite *s = self;
    *index          = s->handed;
    return s->handed < s->cases && ++s->handed > 0;
}

static bool done(void *self, unsigned index, const char *answer, struct error *error)
{
    struct suite *s        = self;
    struct suite_case *one = &s->one[index];
    char *text;
    if (answer[0] == '!') {
        s->status = (int)strtol(answer + 1, &text, 10);
        return error_set(error, "%s:%u: case %s: %s", s->path, one->line, one->name,
                         text + 1);
    }
    one->result = json_loads(answer, 0, NULL);
    CHECK(one->result != NULL);
    progress_update(&s->progress, ++s->finished);
    return true;
}

static json_t *suite_document(struct suite *s)
{
    json_t *cases = json_array();
    for (unsigned i = 0; i < s->cases; i++)
        json_array_append_new(
            cases, json_pack("{sssO}", "name", s->one[i].name, "result", s->one[i].result));
    return json_pack("{sss{ssss}ssso}", "schema", "iovasim.suite/1", "tool", "name",
                     "iovasim", "version", IOVASIM_VERSION, "name", s->name, "cases",
                     cases);
}

static bool write_suite(struct suite_call *c, struct suite *s)
{
    struct result result;
    s->status = EXIT_USAGE;
    if (!result_adopt(&result, suite_document(s), s->path, &c->error))
        return false;
    const bool written = report_files_write(&c->files, &result, &c->error);
    if (written && !report_files_to_stdout(&c->files))
        printf("%s: %u cases, %u runs\n", s->name, s->cases, result.runs);
    result_free(&result);
    return written;
}

static bool run_suite(struct suite_call *c, struct suite *s)
{
    const struct pool pool = {
        .workers = (unsigned)c->jobs,
        .self    = s,
        .work    = work,
        .next    = next,
        .done    = done,
        .stop    = command_interrupted,
    };
    s->status        = EXIT_USAGE;
    s->progress.unit = "cases";
    progress_begin(&s->progress, s->name, 1, 1, s->cases);
    const enum pool_outcome outcome = pool_run(&pool, &c->error);
    progress_end(&s->progress);
    if (outcome == POOL_DONE)
        return write_suite(c, s);
    if (outcome == POOL_STOPPED) {
        s->status = EXIT_STOPPED;
        error_set(&c->error, "interrupted");
    }
    return false;
}

static int suite(struct suite_call *c, const char *path)
{
    struct suite s = { .path = path, .status = EXIT_USAGE };
    bool fine      = option_number("--jobs", c->jobs_text, 1, 256, &c->jobs, &c->error)
                && progress_init(&s.progress, c->progress_mode, &c->error);
    if (fine && c->files.files == 0)
        fine = error_set(&c->error,
                         "suite: expected --json FILE, --html FILE or --format NAME=FILE");
    fine = fine && output_spares(path, &c->error) && load_suite(&s, &c->error)
           && run_suite(c, &s);
    free_suite(&s);
    return fine ? EXIT_FINE : command_fail(s.status, "%s", c->error.text);
}

/* ---- The command line ---- */

static int with_arguments(struct suite_call *c, const char **argument)
{
    if (argument == NULL || argument[0] == NULL || strcmp(argument[0], "run") != 0
        || argument[1] == NULL || argument[2] != NULL)
        return command_fail(
            EXIT_USAGE, "suite: expected run SUITE.yaml; `iovasim suite --help` explains");
    return suite(c, argument[1]);
}

static int suite_run_command(int argc, const char **argv)
{
    struct suite_call c               = { .jobs = 0 };
    const struct poptOption options[] = {
        REPORT_FILES_OPTIONS,
        { "jobs", 'j', POPT_ARG_STRING, &c.jobs_text, 0,
          "Cases at a time (default: one on each core)", "N" },
        { "progress", 0, POPT_ARG_STRING, &c.progress_mode, 0,
          "auto (on a terminal), always or never", "WHEN" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim suite", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "run SUITE.yaml [OPTION...]");
    const int status = options_read(context, report_files_take, &c.files, &c.error)
                           ? with_arguments(&c, poptGetArgs(context))
                           : command_fail(EXIT_USAGE, "%s", c.error.text);
    free(c.jobs_text);
    free(c.progress_mode);
    report_files_free(&c.files);
    poptFreeContext(context);
    return status;
}

const struct command cmd_suite = {
    .name    = "suite",
    .summary = "Run a list of workloads and configurations into one result",
    .run     = suite_run_command,
};
