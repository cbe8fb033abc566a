/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep's database as a result, for the HTML report. */
#include <stdlib.h>
#include <string.h>

#include "sim/app/html.h"
#include "sim/app/sweep_db.h"
#include "sim/app/text.h"

/* Keys of the axes, one a row. */
static const char axes_sql[] =
    "SELECT value FROM sweep WHERE key LIKE 'axis %' ORDER BY key";
static const char runs_sql[] = "SELECT * FROM run WHERE status = 'done' ORDER BY point";

static json_t *column(sqlite3_stmt *s, int at)
{
    switch (sqlite3_column_type(s, at)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(s, at));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(s, at));
    case SQLITE_TEXT:
        return json_string((const char *)sqlite3_column_text(s, at));
    default:
        return json_null();
    }
}

/* The row by names of columns. */
static json_t *row_of(sqlite3_stmt *s)
{
    json_t *row = json_object();
    for (int i = 0; i < sqlite3_column_count(s); i++)
        json_object_set_new(row, sqlite3_column_name(s, i), column(s, i));
    return row;
}

static json_t *metrics_of(const json_t *row)
{
    json_t *all = json_object();
    for (unsigned m = 0; m < METRIC_COUNT; m++)
        json_object_set_new(all, metric_def[m].name,
                            json_pack("{sOssss}", "value",
                                      json_object_get(row, metric_def[m].name), "unit",
                                      metric_def[m].unit, "better",
                                      metric_better_name(metric_def[m].better)));
    return all;
}

/* Owners over all phases. */
static json_t *breakdown_of(const json_t *phases)
{
    const char *phase, *owner;
    json_t *owners, *cycles, *all = json_object();
    json_object_foreach((json_t *)phases, phase, owners)
    {
        json_object_foreach(owners, owner, cycles)
        {
            const json_int_t sum = json_integer_value(json_object_get(all, owner));
            json_object_set_new(all, owner, json_integer(sum + json_integer_value(cycles)));
        }
    }
    return all;
}

static json_t *text_json(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text == NULL ? NULL : json_loads(text, 0, NULL);
}

static json_t *run_of(const json_t *row)
{
    json_t *run                       = json_object();
    json_t *counters                  = text_json(row, "counters");
    static const char *const copied[] = { "preset", "policy", "api", "cpus", "seed" };
    for (unsigned i = 0; i < sizeof copied / sizeof copied[0]; i++)
        json_object_set(run, copied[i], json_object_get(row, copied[i]));
    json_object_update(run, counters);
    json_object_set_new(run, "cpu_breakdown",
                        breakdown_of(json_object_get(counters, "cpu_phases")));
    json_object_set_new(run, "metrics", metrics_of(row));
    json_decref(counters);
    return run;
}

/* The value at "iotlb.sets" of the configuration, or at "policy" of the row. */
static const json_t *axis_value(const json_t *row, const json_t *config, const char *axis)
{
    const char *dot = strchr(axis, '.');
    if (dot == NULL)
        return json_object_get(row, strcmp(axis, "limit") == 0 ? "records" : axis);
    char *table         = text_make("%.*s", (int)(dot - axis), axis);
    const json_t *value = json_object_get(json_object_get(config, table), dot + 1);
    free(table);
    return value;
}

/* "lazy iotlb.sets=4": what tells this point from others. Words stand for themselves. */
static json_t *label_of(const json_t *row, const json_t *config, const json_t *axes)
{
    size_t index, bytes;
    json_t *axis;
    char *text;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    json_array_foreach(axes, index, axis)
    {
        const char *key     = json_string_value(axis);
        const json_t *value = axis_value(row, config, key);
        const char *word    = json_string_value(value);
        const char *slash   = word != NULL ? strrchr(word, '/') : NULL;
        fputs(index == 0 ? "" : " ", out);
        if (word != NULL)
            fputs(slash != NULL ? slash + 1 : word, out);
        else
            fprintf(out, "%s=%.12g", key,
                    json_is_boolean(value) ? json_is_true(value)
                                           : json_number_value(value));
    }
    fclose(out);
    json_t *label = json_string(text);
    free(text);
    return label;
}

/* A case of a suite: its name is the point's number. */
static json_t *case_of(const json_t *row, json_t *config)
{
    json_t *trace = json_pack("{sOsOsO}", "path", json_object_get(row, "trace"), "sha256",
                              json_object_get(row, "sha256"), "records",
                              json_object_get(row, "records"));
    json_t *result =
        json_pack("{sOsos[o]}", "config", config, "trace", trace, "runs", run_of(row));
    return json_pack("{soso}", "name",
                     json_sprintf("point %" JSON_INTEGER_FORMAT,
                                  json_integer_value(json_object_get(row, "point"))),
                     "result", result);
}

static json_t *document_of(sqlite3_stmt *s, const char *name, const char *version,
                           const json_t *axes, json_t *labels)
{
    json_t *cases = json_array();
    while (sqlite3_step(s) == SQLITE_ROW) {
        json_t *row = row_of(s), *config = text_json(row, "config");
        if (config == NULL)
            config = json_object(); /* Which is refused, with what was expected. */
        json_array_append_new(cases, case_of(row, config));
        json_array_append_new(labels, label_of(row, config, axes));
        json_decref(config);
        json_decref(row);
    }
    return json_pack("{sssss{ss}so}", "schema", "iovasim.suite/1", "name", name, "tool",
                     "version", version, "cases", cases);
}

static char *value_of(sqlite3 *db, const char *key)
{
    sqlite3_stmt *s;
    char *text = NULL;
    if (sqlite3_prepare_v2(db, "SELECT value FROM sweep WHERE key = ?1", -1, &s, NULL)
        != SQLITE_OK)
        return NULL;
    sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
    if (sqlite3_step(s) == SQLITE_ROW && sqlite3_column_text(s, 0) != NULL)
        text = text_make("%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    return text;
}

static json_t *axes_of(sqlite3 *db)
{
    sqlite3_stmt *s;
    json_t *axes = json_array();
    if (sqlite3_prepare_v2(db, axes_sql, -1, &s, NULL) != SQLITE_OK)
        return axes;
    while (sqlite3_step(s) == SQLITE_ROW)
        json_array_append_new(axes, column(s, 0));
    sqlite3_finalize(s);
    return axes;
}

static bool load(sqlite3 *db, struct result *result, json_t *labels, const char *path,
                 struct error *error)
{
    sqlite3_stmt *s;
    char *name = value_of(db, "name"), *version = value_of(db, "version");
    bool fine = name != NULL && version != NULL
                && sqlite3_prepare_v2(db, runs_sql, -1, &s, NULL) == SQLITE_OK;
    if (fine) {
        json_t *axes     = axes_of(db);
        json_t *document = document_of(s, name, version, axes, labels);
        sqlite3_finalize(s);
        json_decref(axes);
        fine = json_array_size(labels) > 0
               || error_set(error, "%s: no run of the sweep is done", path);
        if (fine)
            fine = result_adopt(result, document, path, error);
        else
            json_decref(document);
    } else {
        error_set(error, "%s: not the database of a sweep", path);
    }
    free(name);
    free(version);
    return fine;
}

bool html_load_sweep(struct result *result, json_t **labels, const char *path,
                     struct error *error)
{
    sqlite3 *db = sweep_db_read(path, error);
    if (db == NULL)
        return false;
    *labels         = json_array();
    const bool fine = load(db, result, *labels, path, error);
    if (!fine)
        json_decref(*labels);
    sqlite3_close(db);
    return fine;
}
