/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep's database as a result, for the HTML report. */
#include <stdlib.h>
#include <string.h>

#include "sim/app/html.h"
#include "sim/app/sweep_db.h"
#include "sim/app/text.h"

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

/* "lazy iotlb.sets=4": what tells this point from others. Words stand for themselves. */
static json_t *label_of(sqlite3_stmt *s, const json_t *axes)
{
    size_t index, bytes;
    json_t *axis;
    char *text;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    json_array_foreach(axes, index, axis)
    {
        const int at = (int)index;
        fputs(index == 0 ? "" : " ", out);
        if (sqlite3_column_type(s, at) == SQLITE_TEXT) {
            const char *word  = (const char *)sqlite3_column_text(s, at);
            const char *slash = strrchr(word, '/');
            fputs(slash != NULL ? slash + 1 : word, out);
        } else {
            fprintf(out, "%s=%.12g", json_string_value(axis), sqlite3_column_double(s, at));
        }
    }
    fclose(out);
    json_t *label = json_string(text);
    free(text);
    return label;
}

/* The runs that were done: the values of the axes, and then the whole row. */
static char *runs_sql(const json_t *axes)
{
    size_t index, bytes;
    json_t *axis;
    char *sql;
    FILE *out = open_memstream(&sql, &bytes);
    CHECK(out != NULL);
    fputs("SELECT ", out);
    json_array_foreach(axes, index, axis)
    {
        char *value = sweep_db_axis_sql(json_string_value(axis));
        fprintf(out, "%s, ", value);
        sqlite3_free(value);
    }
    fputs("* FROM result WHERE status = 'done' ORDER BY point", out);
    fclose(out);
    return sql;
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
        json_t *row = sweep_db_row(s), *config = text_json(row, "config");
        if (config == NULL)
            config = json_object(); /* Which is refused, with what was expected. */
        json_array_append_new(cases, case_of(row, config));
        json_array_append_new(labels, label_of(s, axes));
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

static bool load(sqlite3 *db, struct result *result, json_t *labels, const char *path,
                 struct error *error)
{
    sqlite3_stmt *s = NULL;
    json_t *axes    = sweep_db_axes(db);
    char *name = value_of(db, "name"), *version = value_of(db, "version");
    char *sql = runs_sql(axes);
    bool fine = name != NULL && version != NULL
                && sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK;
    if (fine) {
        json_t *document = document_of(s, name, version, axes, labels);
        fine             = json_array_size(labels) > 0
               || error_set(error, "%s: no run of the sweep is done", path);
        if (fine)
            fine = result_adopt(result, document, path, error);
        else
            json_decref(document);
    } else {
        error_set(error, "%s: not the database of a sweep", path);
    }
    sqlite3_finalize(s);
    json_decref(axes);
    free(sql);
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
