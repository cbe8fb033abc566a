/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_sweep - runs all points of a sweep into a database, on all cores; what is there
 * already is not run again.
 */
#include <popt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"
#include "sim/app/pool.h"
#include "sim/app/slurm.h"
#include "sim/app/sweep_db.h"
#include "sim/app/text.h"

struct sweep_call {
    char *db_path, *jobs_text, *progress_mode, *executor, *slurm_options;
    char *task_list, *task_folder, *task_count; /* In a task of a job array. */
    const char *spec;
    unsigned *task_point, task_points; /* Its points. */
    int list;
    uint64_t jobs;
    struct sweep sweep;
    struct sweep_db db;
    bool *done;
    unsigned at, before, finished, refused;
    unsigned refused_point; /* The first of them by number, */
    char *refused_why;      /* and its reason. */
    struct progress progress;
    struct error error;
    int status;
};

/* ---- In a process of its own ---- */

/* The lock on the database is the caller's alone: it ends with it. */
static void begin(void *self)
{
    struct sweep_call *c = self;
    close(c->db.lock);
}

/* The first trace's; the names of several are in the point's line. */
static void describe_trace(json_t *answer, const struct comparison *c)
{
    json_object_set_new(answer, "trace", json_string(c->trace[0].path));
    json_object_set_new(answer, "sha256", json_string(c->trace[0].sha256));
    uint64_t records = 0;
    for (unsigned t = 0; t < c->traces; t++)
        records += c->trace[t].records;
    json_object_set_new(answer, "records", json_integer((json_int_t)records));
}

/* As text already: the caller, who has one answer after another to put away, need not take
 * it apart and write it anew. */
static void add_text(json_t *answer, const char *key, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);
    CHECK(text != NULL);
    json_object_set_new(answer, key, json_string(text));
    free(text);
}

static json_t *answer_of(const struct experiment *e)
{
    static const char *const part[]    = { "preset", "policy", "api", "seed", "metrics" };
    static const char *const counter[] = { "cpu_phases", "software", "device", "iommu" };
    json_t *document                   = comparison_document(&e->comparison);
    const json_t *run = json_array_get(json_object_get(document, "runs"), 0);
    json_t *answer = json_pack("{ss}", "status", "done"), *counters = json_object();
    for (unsigned i = 0; i < sizeof part / sizeof part[0]; i++)
        json_object_set(answer, part[i], json_object_get(run, part[i]));
    for (unsigned i = 0; i < sizeof counter / sizeof counter[0]; i++)
        json_object_set(counters, counter[i], json_object_get(run, counter[i]));
    json_object_set_new(answer, "cpus", json_integer((json_int_t)e->cpus)); /* As asked. */
    describe_trace(answer, &e->comparison);
    add_text(answer, "config", json_object_get(document, "config"));
    add_text(answer, "counters", counters);
    json_decref(counters);
    json_decref(document);
    return answer;
}

/* What was asked for stands in the row; what would have come of it does not. */
static json_t *refusal_of(const struct experiment *e)
{
    const struct experiment_words *w = &e->words;
    const struct {
        const char *column, *word;
    } told[] = { { "trace", e->trace[0] }, { "preset", w->preset }, { "policy", w->policy },
                 { "api", w->api },        { "cpus", w->cpus },     { "seed", w->seed } };
    const char *status = e->status == EXIT_USAGE ? "refused" : "failed";
    json_t *answer =
        json_pack("{sssssi}", "status", status, "error", e->error.text, "exit", e->status);
    CHECK(answer != NULL);
    for (unsigned i = 0; i < sizeof told / sizeof told[0]; i++)
        if (told[i].word != NULL)
            json_object_set_new(answer, told[i].column, json_string(told[i].word));
    return answer;
}

/* A configuration that does not work is an answer, too; anything else stops the sweep. */
static char *work(void *self, unsigned point)
{
    struct sweep_call *c = self;
    struct experiment *e = experiment_new();
    json_t *answer;
    spec_apply(&c->sweep.point[point], e);
    if (experiment_parse(e) && experiment_open(e) && experiment_run(e)
        && experiment_clean(e))
        answer = answer_of(e);
    else
        answer = refusal_of(e);
    char *text = json_dumps(answer, JSON_COMPACT);
    CHECK(text != NULL);
    json_decref(answer);
    experiment_free(e);
    return text;
}

/* ---- In the caller's ---- */

static bool next(void *self, unsigned *point)
{
    struct sweep_call *c = self;
    while (c->at < c->sweep.points && c->done[c->at])
        c->at++;
    *point = c->at;
    return c->at++ < c->sweep.points;
}

static void note_refusal(struct sweep_call *c, unsigned point, const char *why)
{
    if (c->refused++ > 0 && point > c->refused_point)
        return;
    free(c->refused_why);
    c->refused_point = point;
    c->refused_why   = text_make("%s", why);
}

static bool take(struct sweep_call *c, unsigned point, const json_t *answer,
                 struct error *error)
{
    const char *status = json_string_value(json_object_get(answer, "status"));
    if (strcmp(status, "failed") == 0) {
        c->status = (int)json_integer_value(json_object_get(answer, "exit"));
        return error_set(error, "point %u: %s", point,
                         json_string_value(json_object_get(answer, "error")));
    }
    if (!sweep_db_add(&c->db, point, answer))
        return false;
    if (strcmp(status, "refused") == 0)
        note_refusal(c, point, json_string_value(json_object_get(answer, "error")));
    progress_update(&c->progress, ++c->finished);
    return true;
}

static bool done(void *self, unsigned point, const char *text, struct error *error)
{
    json_t *answer = json_loads(text, 0, NULL);
    CHECK(answer != NULL);
    const bool taken = take(self, point, answer, error);
    json_decref(answer);
    return taken;
}

/* ---- On a cluster ---- */

static bool taken(void *self, unsigned point, const char *text, struct error *error)
{
    struct sweep_call *c = self;
    if (!done(c, point, text, error))
        return false;
    c->done[point] = true;
    return true;
}

static bool run_on_slurm(struct sweep_call *c, const char *db)
{
    char *where = realpath(db, NULL), *spec = realpath(c->spec, NULL);
    CHECK(where != NULL);
    CHECK(spec != NULL);
    char *folder       = text_make("%s.slurm", where);
    struct slurm slurm = { .folder  = folder,
                           .spec    = spec,
                           .options = c->slurm_options != NULL ? c->slurm_options : "",
                           .points  = c->sweep.points,
                           .done    = c->done,
                           .self    = c,
                           .taken   = taken,
                           .stop    = command_interrupted };
    c->progress.unit   = "points";
    progress_begin(&c->progress, c->sweep.name, 1, 1, c->sweep.points - c->before);
    const enum slurm_outcome outcome = slurm_run(&slurm, &c->error);
    progress_end(&c->progress);
    free(folder);
    free(spec);
    free(where);
    if (outcome != SLURM_STOPPED)
        return outcome == SLURM_DONE;
    c->status = EXIT_STOPPED;
    return error_set(&c->error, "interrupted; the same command goes on with what is left");
}

static bool next_of_task(void *self, unsigned *point)
{
    struct sweep_call *c = self;
    if (c->at >= c->task_points)
        return false;
    *point = c->task_point[c->at++];
    return true;
}

static bool done_in_task(void *self, unsigned point, const char *text, struct error *error)
{
    const struct sweep_call *c = self;
    return slurm_task_answer(c->task_folder, point, text, error);
}

/* A task of the array: its points, one result file for each. */
static bool run_task(struct sweep_call *c)
{
    uint64_t tasks         = 0;
    const struct pool pool = { .workers = 1,
                               .self    = c,
                               .work    = work,
                               .next    = next_of_task,
                               .done    = done_in_task,
                               .stop    = command_interrupted };
    if (c->task_folder == NULL || c->task_count == NULL)
        return error_set(&c->error,
                         "--slurm-task: expected --slurm-folder and --slurm-tasks");
    if (!option_number("--slurm-tasks", c->task_count, 1, SLURM_TASKS_MAX, &tasks,
                       &c->error)
        || !slurm_task_points(c->task_list, (unsigned)tasks, c->task_folder, &c->task_point,
                              &c->task_points, &c->error))
        return false;
    for (unsigned i = 0; i < c->task_points; i++)
        if (c->task_point[i] >= c->sweep.points)
            return error_set(&c->error, "%s: the sweep has no point %u", c->task_list,
                             c->task_point[i]);
    const enum pool_outcome outcome = pool_run(&pool, &c->error);
    free(c->task_point);
    if (outcome == POOL_STOPPED)
        c->status = EXIT_STOPPED;
    return outcome == POOL_DONE
           || (outcome == POOL_STOPPED && error_set(&c->error, "interrupted"));
}

static bool run_points(struct sweep_call *c)
{
    const struct pool pool = {
        .workers = (unsigned)c->jobs,
        .self    = c,
        .begin   = begin,
        .work    = work,
        .next    = next,
        .done    = done,
        .stop    = command_interrupted,
    };
    c->progress.unit = "points";
    progress_begin(&c->progress, c->sweep.name, 1, 1, c->sweep.points - c->before);
    const enum pool_outcome outcome = pool_run(&pool, &c->error);
    progress_end(&c->progress);
    if (outcome != POOL_STOPPED)
        return outcome == POOL_DONE;
    c->status = EXIT_STOPPED;
    return error_set(&c->error, "interrupted; the same command goes on with what is left");
}

static bool sweep(struct sweep_call *c)
{
    char *usual      = text_make("%s.db", c->sweep.name);
    const char *path = c->db_path != NULL ? c->db_path : usual;
    bool fine        = sweep_db_open(&c->db, path, &c->sweep, &c->done, &c->error);
    if (fine) {
        for (unsigned i = 0; i < c->sweep.points; i++)
            c->before += c->done[i];
        const bool slurm = c->executor != NULL && strcmp(c->executor, "slurm") == 0;
        fine             = slurm ? run_on_slurm(c, path) : run_points(c);
        sweep_db_close(&c->db);
    }
    if (fine)
        printf("%s: %u point%s, %u run now, %u were there: %s\n", c->sweep.name,
               c->sweep.points, c->sweep.points == 1 ? "" : "s", c->finished, c->before,
               path);
    if (fine && c->refused > 0)
        printf("%u of those run now were refused; the column error says why\n"
               "  point %u: %s\n",
               c->refused, c->refused_point, c->refused_why);
    free(c->refused_why);
    free(usual);
    free(c->done);
    return fine;
}

/* Each as the words of `iovasim replay`. */
static int list_points(const struct sweep *s)
{
    for (unsigned i = 0; i < s->points; i++) {
        printf("%u\t", i);
        spec_put_words(&s->point[i], stdout);
        putchar('\n');
    }
    return EXIT_FINE;
}

/* A name that is none is a slip, not a configuration that does not work. */
static bool check_names(const struct spec *s, struct error *error)
{
    unsigned api = 0;
    while (api < BLK_API_COUNT && strcmp(s->api, blk_api_name[api]) != 0)
        api++;
    if (api == BLK_API_COUNT)
        return error_set(error, "api: expected iova, streaming or sg, got '%s'", s->api);
    if (option_policy("policy", s->policy, error) == NULL)
        return false;
    for (unsigned i = 0; i < s->sets; i++)
        if (!config_knows(s->set[i], error))
            return false;
    struct config config;
    if (s->preset == NULL)
        return true;
    const bool known = config_init(&config, s->preset, error);
    if (known)
        config_free(&config);
    return known;
}

static bool check_points(struct sweep_call *c)
{
    for (unsigned i = 0; i < c->sweep.points; i++)
        if (!check_names(&c->sweep.point[i], &c->error))
            return error_in(&c->error, "%s: point %u", c->spec, i);
    return true;
}

static int load_and_sweep(struct sweep_call *c, const char **argument)
{
    c->status = EXIT_USAGE;
    if (argument == NULL || argument[0] == NULL || argument[1] != NULL)
        return command_fail(EXIT_USAGE, "sweep: expected one SPEC.yaml");
    if (c->executor != NULL && strcmp(c->executor, "local") != 0
        && strcmp(c->executor, "slurm") != 0)
        return command_fail(EXIT_USAGE, "--executor: expected local or slurm, got '%s'",
                            c->executor);
    c->spec = argument[0];
    if (!progress_init(&c->progress, c->progress_mode, &c->error)
        || !option_number("--jobs", c->jobs_text, 1, 256, &c->jobs, &c->error)
        || !sweep_load(&c->sweep, argument[0], &c->error))
        return command_fail(EXIT_USAGE, "%s", c->error.text);
    if (!check_points(c)) {
        sweep_free(&c->sweep);
        return command_fail(EXIT_USAGE, "%s", c->error.text);
    }
    const bool task = c->task_list != NULL;
    const int status =
        c->list ? list_points(&c->sweep)
        : task  ? (run_task(c) ? EXIT_FINE : command_fail(c->status, "%s", c->error.text))
        : sweep(c) ? EXIT_FINE
                   : command_fail(c->status, "%s", c->error.text);
    sweep_free(&c->sweep);
    return status;
}

static int sweep_run_command(int argc, const char **argv)
{
    static struct sweep_call c;
    const struct poptOption options[] = {
        { "db", 0, POPT_ARG_STRING, &c.db_path, 0,
          "The database (default: the sweep's name with .db)", "FILE" },
        { "jobs", 'j', POPT_ARG_STRING, &c.jobs_text, 0,
          "Points at a time (default: one on each core)", "N" },
        { "executor", 0, POPT_ARG_STRING, &c.executor, 0,
          "local (default), or slurm: a job array of a Slurm cluster", "NAME" },
        { "slurm-options", 0, POPT_ARG_STRING, &c.slurm_options, 0,
          "More for sbatch, as in \"--partition=long\"", "TEXT" },
        { "slurm-task", 0, POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &c.task_list, 0, NULL,
          NULL },
        { "slurm-folder", 0, POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &c.task_folder, 0,
          NULL, NULL },
        { "slurm-tasks", 0, POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &c.task_count, 0,
          NULL, NULL },
        { "list", 0, POPT_ARG_NONE, &c.list, 0, "Print the points and run nothing", NULL },
        { "progress", 0, POPT_ARG_STRING, &c.progress_mode, 0,
          "auto (on a terminal), always or never", "WHEN" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim sweep", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "SPEC.yaml [OPTION...]");
    int status = options_store(context);
    if (status == EXIT_FINE)
        status = load_and_sweep(&c, poptGetArgs(context));
    free(c.db_path);
    free(c.jobs_text);
    free(c.progress_mode);
    free(c.executor);
    free(c.slurm_options);
    free(c.task_list);
    free(c.task_folder);
    free(c.task_count);
    poptFreeContext(context);
    return status;
}

const struct command cmd_sweep = {
    .name    = "sweep",
    .summary = "Run all points of a parameter sweep into a database, on all cores",
    .run     = sweep_run_command,
};
