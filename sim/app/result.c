/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/result.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/text.h"
#include "sim/base/check.h"

enum { WHERE_MAX = 160, RUNS_MAX = 100000, DEEP_MAX = 16 };

/* A reader, and where in the document it is. */
struct reader {
    struct result *result;
    struct error *error;
    char where[WHERE_MAX];
};

static const char *kind(const json_t *value)
{
    static const char *const name[] = { "an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null" };
    return value == NULL ? "nothing" : name[json_typeof(value)];
}

/* Of the place alone, without the dot before a member. */
static int where_bytes(const struct reader *r)
{
    const int n = (int)strlen(r->where);
    return n > 0 && r->where[n - 1] == '.' ? n - 1 : n;
}

static bool wrong(struct reader *r, const char *key, const char *expected,
                  const json_t *got)
{
    return error_set(r->error, "%s: %.*s%s: expected %s, got %s", r->result->name,
                     key[0] == '\0' ? where_bytes(r) : (int)strlen(r->where), r->where, key,
                     expected, kind(got));
}

__attribute__((format(printf, 2, 3))) static void at(struct reader *r, const char *format,
                                                     ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->where, sizeof r->where, format, args);
    va_end(args);
}

/* ---- Members of objects, of the type that is expected ---- */

static const json_t *object_of(struct reader *r, const json_t *from, const char *key)
{
    const json_t *value = json_object_get(from, key);
    if (!json_is_object(value))
        wrong(r, key, "an object", value);
    return json_is_object(value) ? value : NULL;
}

/* A name is shown, compared and made a part of other formats' names: it is printable. */
static bool printable(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static const char *text_of(struct reader *r, const json_t *from, const char *key)
{
    const json_t *value = json_object_get(from, key);
    const char *text    = json_string_value(value);
    if (text != NULL && text[0] != '\0' && printable(text))
        return text;
    wrong(r, key, text == NULL ? "a string" : "printable text", value);
    return NULL;
}

static bool count_of(struct reader *r, const json_t *from, const char *key, uint64_t *count)
{
    const json_t *value = json_object_get(from, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return wrong(r, key, "an integer of at least 0", value);
    *count = (uint64_t)json_integer_value(value);
    return true;
}

/* ---- The parts of a run ---- */

static bool better_of(const char *text, enum metric_better *better)
{
    static const enum metric_better all[] = { METRIC_none, METRIC_lower, METRIC_higher };
    for (unsigned i = 0; text != NULL && i < sizeof all / sizeof all[0]; i++)
        if (strcmp(text, metric_better_name(all[i])) == 0) {
            *better = all[i];
            return true;
        }
    return false;
}

static bool read_metric(struct reader *r, const json_t *from, struct result_metric *m)
{
    const json_t *one = object_of(r, from, m->name);
    if (one == NULL)
        return false;
    const size_t end = strlen(r->where);
    snprintf(r->where + end, sizeof r->where - end, "%s.", m->name);
    const json_t *value = json_object_get(one, "value");
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return wrong(r, "value", "a number", value);
    if ((m->unit = text_of(r, one, "unit")) == NULL)
        return false;
    if (!better_of(json_string_value(json_object_get(one, "better")), &m->better))
        return wrong(r, "better", "\"none\", \"lower\" or \"higher\"",
                     json_object_get(one, "better"));
    m->value      = json_number_value(value);
    r->where[end] = '\0';
    return true;
}

static bool read_metrics(struct reader *r, struct result_run *run)
{
    const char *key;
    json_t *member;
    const json_t *all = object_of(r, run->json, "metrics");
    if (all == NULL)
        return false;
    run->metric = calloc(json_object_size(all) + 1, sizeof *run->metric);
    CHECK(run->metric != NULL);
    const size_t end = strlen(r->where);
    snprintf(r->where + end, sizeof r->where - end, "metrics.");
    json_object_foreach((json_t *)all, key, member)
    {
        if (!printable(key) || key[0] == '\0')
            return wrong(r, "", "a printable name of a metric", NULL);
        run->metric[run->metrics] = (struct result_metric){ .name = key };
        if (!read_metric(r, all, &run->metric[run->metrics]))
            return false;
        run->metrics++;
    }
    r->where[end] = '\0';
    return run->metrics > 0 || wrong(r, "metrics", "at least one metric", NULL);
}

/* Objects of objects of numbers, DEEP_MAX at most: what differences are explained from. */
static bool counters_only(struct reader *r, const json_t *from, const char *path)
{
    struct {
        json_t *object;
        void *iter;
    } level[DEEP_MAX];
    unsigned depth = 0;
    if (!json_is_object(from))
        return wrong(r, path, "an object", from);
    level[0].object = (json_t *)from;
    level[0].iter   = json_object_iter(level[0].object);
    for (;;) {
        if (level[depth].iter == NULL) {
            if (depth-- == 0)
                return true;
            continue;
        }
        json_t *value     = json_object_iter_value(level[depth].iter);
        level[depth].iter = json_object_iter_next(level[depth].object, level[depth].iter);
        if (json_is_object(value) && depth + 1 < DEEP_MAX) {
            level[++depth].object = value;
            level[depth].iter     = json_object_iter(value);
        } else if (!json_is_number(value)) {
            return wrong(r, path, "counters only", value);
        }
    }
}

static bool read_counters(struct reader *r, const json_t *run)
{
    static const char *const group[] = { "cpu_breakdown", "cpu_phases", "software",
                                         "device", "iommu" };
    for (unsigned i = 0; i < sizeof group / sizeof group[0]; i++)
        if (!counters_only(r, json_object_get(run, group[i]), group[i]))
            return false;
    return true;
}

/* By the whole name: parts with a '/' in them could come to the same. */
static bool name_run(struct reader *r, struct result_run *run)
{
    struct result *result = r->result;
    run->name = text_make("%s/%s/%s/%s", run->workload, run->preset, run->policy, run->api);
    if (json_object_get(result->place, run->name) != NULL)
        return error_set(r->error, "%s: %.*s: the run %s stands there twice", result->name,
                         where_bytes(r), r->where, run->name);
    const int set =
        json_object_set_new(result->place, run->name, json_integer(run - result->run));
    CHECK(set == 0);
    return true;
}

static bool read_run(struct reader *r, struct result_run *run)
{
    if ((run->preset = text_of(r, run->json, "preset")) == NULL
        || (run->policy = text_of(r, run->json, "policy")) == NULL
        || (run->api = text_of(r, run->json, "api")) == NULL)
        return false;
    return count_of(r, run->json, "cpus", &run->cpus)
           && count_of(r, run->json, "seed", &run->seed) && read_metrics(r, run)
           && read_counters(r, run->json) && name_run(r, run);
}

/* ---- A document of one replay ---- */

/* Tables of parameters, each a number, a flag or a word. */
static bool read_config(struct reader *r, const json_t *config)
{
    const char *key, *name;
    json_t *table, *value;
    if (!json_is_object(config))
        return wrong(r, "config", "an object", config);
    if (text_of(r, config, "preset") == NULL)
        return false;
    json_object_foreach((json_t *)config, key, table)
    {
        if (strcmp(key, "preset") == 0)
            continue;
        if (!json_is_object(table))
            return wrong(r, key, "an object", table);
        json_object_foreach(table, name, value)
        {
            if (json_is_object(value) || json_is_array(value) || json_is_null(value))
                return wrong(r, name, "a parameter's value", value);
        }
    }
    return true;
}

/* Of several, that of the run's preset. */
static const json_t *config_for(const json_t *document, const char *preset)
{
    size_t index;
    json_t *one;
    const json_t *configs = json_object_get(document, "configs");
    json_array_foreach(configs, index, one)
    {
        const char *name = json_string_value(json_object_get(one, "preset"));
        if (name != NULL && strcmp(name, preset) == 0)
            return one;
    }
    return json_object_get(document, "config");
}

static bool read_traces(struct reader *r, const json_t *traces)
{
    size_t index;
    json_t *trace;
    uint64_t records;
    json_array_foreach(traces, index, trace)
    {
        if (!json_is_object(trace))
            return wrong(r, "traces", "objects", trace);
        if (text_of(r, trace, "path") == NULL || text_of(r, trace, "sha256") == NULL
            || !count_of(r, trace, "records", &records))
            return false;
    }
    return json_array_size(traces) > 0 || wrong(r, "traces", "a trace", NULL);
}

/* "mixed+tiny" of "a/mixed.iovatrace" and "b/tiny.ftrace.txt.gz". */
static char *workload_of(const json_t *traces)
{
    size_t index, room;
    json_t *trace;
    char *text;
    FILE *out = open_memstream(&text, &room);
    CHECK(out != NULL);
    json_array_foreach(traces, index, trace)
    {
        const char *path  = json_string_value(json_object_get(trace, "path"));
        const char *slash = strrchr(path, '/');
        const char *name  = slash == NULL || slash[1] == '\0' ? path : slash + 1;
        const size_t stem = strcspn(name, ".");
        fprintf(out, "%s%.*s", index == 0 ? "" : "+",
                stem == 0 ? (int)strlen(name) : (int)stem, name);
    }
    fclose(out);
    return text;
}

/* The runs of a document; name: of the case, NULL: it is the whole result. */
static bool read_document(struct reader *r, json_t *document, const char *name)
{
    struct result *result = r->result;
    const json_t *runs    = json_object_get(document, "runs");
    json_t *traces        = json_object_get(document, "traces");
    char where[WHERE_MAX];
    size_t index;
    json_t *run;
    snprintf(where, sizeof where, "%s", r->where);
    if (traces == NULL) { /* One trace stands by itself. */
        traces = json_array();
        json_array_append(traces, json_object_get(document, "trace"));
        json_array_append_new(result->held, traces);
    }
    if (!json_is_array(traces))
        return wrong(r, "traces", "an array", traces);
    if (!read_traces(r, traces))
        return false;
    if (!json_is_array(runs) || json_array_size(runs) == 0)
        return wrong(r, "runs", "an array of runs", runs);
    json_array_foreach(runs, index, run)
    {
        struct result_run *into = &result->run[result->runs++];
        at(r, "%sruns[%zu].", where, index);
        if (!json_is_object(run))
            return wrong(r, "", "an object", run);
        into->json     = run;
        into->traces   = traces;
        into->workload = name != NULL ? strdup(name) : workload_of(traces);
        CHECK(into->workload != NULL);
        if (!read_run(r, into))
            return false;
        at(r, "%sconfig.", where);
        into->config = config_for(document, into->preset);
        if (!read_config(r, into->config))
            return false;
    }
    return true;
}

static bool read_cases(struct reader *r)
{
    const json_t *cases = json_object_get(r->result->document, "cases");
    size_t index;
    json_t *one;
    json_array_foreach(cases, index, one)
    {
        at(r, "cases[%zu].", index);
        const char *name = text_of(r, one, "name");
        if (name == NULL)
            return false;
        json_t *document = json_object_get(one, "result");
        if (!json_is_object(document))
            return wrong(r, "result", "an object", document);
        at(r, "cases[%zu].result.", index);
        if (!read_document(r, document, name))
            return false;
    }
    return true;
}

/* How many runs there can be, at most. */
static size_t count_runs(const json_t *document)
{
    size_t index, runs = json_array_size(json_object_get(document, "runs"));
    json_t *one;
    json_array_foreach(json_object_get(document, "cases"), index, one) runs +=
        json_array_size(json_object_get(json_object_get(one, "result"), "runs"));
    return runs;
}

static bool read_all(struct reader *r)
{
    struct result *result = r->result;
    if (!json_is_object(result->document))
        return wrong(r, "", "an object with a \"schema\"", result->document);
    const char *schema = json_string_value(json_object_get(result->document, "schema"));
    const bool suite   = schema != NULL && strcmp(schema, "iovasim.suite/1") == 0;
    if (!suite && (schema == NULL || strcmp(schema, "iovasim.result/1") != 0))
        return error_set(r->error,
                         "%s: schema: expected iovasim.result/1 or iovasim.suite/1, got "
                         "%.40s",
                         result->name,
                         schema != NULL && printable(schema) ? schema : "none");
    const json_t *tool = object_of(r, result->document, "tool");
    at(r, "tool.");
    if (tool == NULL || (result->version = text_of(r, tool, "version")) == NULL)
        return false;
    at(r, "%s", "");
    const size_t runs = count_runs(result->document);
    if (runs == 0 || runs > RUNS_MAX)
        return error_set(r->error, "%s: expected 1 to %d runs, got %zu", result->name,
                         RUNS_MAX, runs);
    result->run = calloc(runs, sizeof *result->run);
    CHECK(result->run != NULL);
    return suite ? read_cases(r) : read_document(r, result->document, NULL);
}

bool result_adopt(struct result *result, json_t *document, const char *name,
                  struct error *error)
{
    struct reader r = { .result = result, .error = error };
    *result         = (struct result){ .document = document, .commit = "unknown" };
    result->name    = strdup(name);
    result->held    = json_array();
    result->place   = json_object();
    CHECK(result->name != NULL);
    if (read_all(&r))
        return true;
    result_free(result);
    return false;
}

/* jansson quotes what it did not like, over several lines. */
static bool not_json(const char *path, const json_error_t *what, struct error *error)
{
    char text[sizeof what->text];
    snprintf(text, sizeof text, "%s", what->text);
    for (char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return error_set(error, "%s: line %d, column %d: not JSON: %s", path, what->line,
                     what->column, text);
}

bool result_load(struct result *result, const char *path, struct error *error)
{
    json_error_t what;
    const bool standard = strcmp(path, "-") == 0;
    FILE *in            = standard ? stdin : fopen(path, "r");
    if (in == NULL)
        return error_set(error, "%s: cannot open: %s", path, strerror(errno));
    json_t *document = json_loadf(in, JSON_REJECT_DUPLICATES, &what);
    const bool bad   = ferror(in) != 0;
    if (!standard)
        fclose(in);
    if (bad) {
        json_decref(document);
        return error_set(error, "%s: cannot read", path);
    }
    if (document == NULL)
        return not_json(path, &what, error);
    return result_adopt(result, document, path, error);
}

void result_free(struct result *r)
{
    for (unsigned i = 0; i < r->runs; i++) {
        for (unsigned m = 0; m < r->run[i].metrics; m++)
            free(r->run[i].metric[m].failure);
        free(r->run[i].metric);
        free(r->run[i].workload);
        free(r->run[i].name);
    }
    free(r->run);
    free(r->name);
    json_decref(r->held);
    json_decref(r->place);
    json_decref(r->document);
    *r = (struct result){ .name = NULL };
}

/* ---- Looking things up ---- */

const struct result_run *result_find(const struct result *r, const char *run)
{
    const json_t *at = json_object_get(r->place, run);
    return at == NULL ? NULL : &r->run[json_integer_value(at)];
}

struct result_metric *result_metric_find(const struct result_run *run, const char *name)
{
    for (unsigned i = 0; i < run->metrics; i++)
        if (strcmp(run->metric[i].name, name) == 0)
            return &run->metric[i];
    return NULL;
}

double result_metric_value(const struct result_run *run, const char *name)
{
    const struct result_metric *m = result_metric_find(run, name);
    return m == NULL ? 0.0 : m->value;
}

double result_records(const struct result_run *run)
{
    return result_number(run->json, "software.replay.record",
                         result_number(run->json, "software.fabric.record", 0.0));
}

double result_number(const json_t *from, const char *path, double fallback)
{
    char key[64];
    while (*path != '\0') {
        const size_t n = strcspn(path, ".");
        CHECK(n < sizeof key);
        memcpy(key, path, n);
        key[n] = '\0';
        from   = json_object_get(from, key);
        path += n + (path[n] == '.');
    }
    return json_is_number(from) ? json_number_value(from) : fallback;
}

const char *result_digits(double value, char text[32])
{
    if (fabs(value) < 1e15 && value == floor(value)) {
        snprintf(text, 32, "%.0f", value);
        return text;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}
