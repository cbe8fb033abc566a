/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/sweep_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "sim/app/metric.h"
#include "sim/app/text.h"
#include "sim/app/version.h"

#define SCHEMA "iovasim.sweep/1"

enum { LOCK_TURNS = 20, LOCK_TURN_US = 50000 };

static bool failed(struct sweep_db *d)
{
    return error_set(d->error, "%s: %s", d->path, sqlite3_errmsg(d->db));
}

static bool execute(struct sweep_db *d, const char *sql)
{
    return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK || failed(d);
}

/* Runs a statement with text parameters, numbered from 1. */
static bool put(struct sweep_db *d, const char *sql, int number, const char *first,
                const char *second)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) != SQLITE_OK)
        return failed(d);
    int at = 1;
    if (number >= 0)
        sqlite3_bind_int(s, at++, number);
    sqlite3_bind_text(s, at++, first, -1, SQLITE_TRANSIENT);
    if (second != NULL)
        sqlite3_bind_text(s, at, second, -1, SQLITE_TRANSIENT);
    const bool done = sqlite3_step(s) == SQLITE_DONE;
    return sqlite3_finalize(s) == SQLITE_OK && done ? true : failed(d);
}

/* ---- A new one ---- */

static char *table_sql(void)
{
    char *sql;
    size_t bytes;
    FILE *out = open_memstream(&sql, &bytes);
    CHECK(out != NULL);
    fputs("CREATE TABLE sweep (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
          "CREATE TABLE point (id INTEGER PRIMARY KEY, line TEXT NOT NULL UNIQUE);"
          "CREATE TABLE run (point INTEGER PRIMARY KEY REFERENCES point(id),"
          " status TEXT NOT NULL, error TEXT, trace TEXT, sha256 TEXT, records INTEGER,"
          " preset TEXT, policy TEXT, api TEXT, cpus INTEGER, seed INTEGER",
          out);
    for (unsigned m = 0; m < METRIC_COUNT; m++)
        fprintf(out, ", \"%s\" REAL", metric_def[m].name);
    fputs(", config TEXT, counters TEXT);", out);
    fclose(out);
    return sql;
}

/* The runs with a column for each axis that is a parameter. */
static char *view_sql(const struct sweep *sweep)
{
    char *sql;
    size_t bytes;
    FILE *out = open_memstream(&sql, &bytes);
    CHECK(out != NULL);
    fputs("CREATE VIEW result AS SELECT ", out);
    for (unsigned a = 0; a < sweep->axes; a++)
        if (strchr(sweep->axis[a].key, '.') != NULL) {
            char *quoted = sqlite3_mprintf("json_extract(config, '$.%q') AS \"%w\", ",
                                           sweep->axis[a].key, sweep->axis[a].key);
            fputs(quoted, out);
            sqlite3_free(quoted);
        }
    fputs("* FROM run;", out);
    fclose(out);
    return sql;
}

static bool execute_made(struct sweep_db *d, char *sql)
{
    const bool done = execute(d, sql);
    free(sql);
    return done;
}

static bool put_about(struct sweep_db *d, const char *key, const char *value)
{
    return put(d, "INSERT INTO sweep VALUES (?1, ?2)", -1, key, value);
}

/* A generator has nothing that could change but its parameters, which are the point's. */
static bool trace_sha256(const char *path, char sha256[FILE_SHA256_CHARS + 1],
                         struct error *error)
{
    if (!generator_is(path))
        return file_sha256(path, sha256, error);
    text_sha256(path, sha256);
    return true;
}

static bool put_trace(struct sweep_db *d, const char *path)
{
    char sha256[FILE_SHA256_CHARS + 1];
    if (!trace_sha256(path, sha256, d->error))
        return false;
    char *key       = text_make("trace %s", path);
    const bool done = put_about(d, key, sha256);
    free(key);
    return done;
}

/* Every trace of every point, once, with its checksum. */
static bool put_traces(struct sweep_db *d, const struct sweep *sweep)
{
    json_t *seen = json_object();
    bool done    = true;
    for (unsigned i = 0; i < sweep->points; i++)
        for (unsigned t = 0; done && t < sweep->point[i].traces; t++) {
            const char *path = sweep->point[i].trace[t];
            if (json_object_get(seen, path) != NULL)
                continue;
            json_object_set_new_nocheck(seen, path, json_true());
            done = put_trace(d, path);
        }
    json_decref(seen);
    return done;
}

static bool put_axes(struct sweep_db *d, const struct sweep *sweep)
{
    for (unsigned a = 0; a < sweep->axes; a++) {
        char key[32];
        snprintf(key, sizeof key, "axis %02u", a + 1);
        if (!put_about(d, key, sweep->axis[a].key))
            return false;
    }
    return true;
}

static bool fill(struct sweep_db *d, const struct sweep *sweep)
{
    if (!execute(d, "BEGIN IMMEDIATE") || !execute_made(d, table_sql())
        || !execute_made(d, view_sql(sweep)) || !put_about(d, "schema", SCHEMA)
        || !put_about(d, "version", IOVASIM_VERSION) || !put_about(d, "name", sweep->name)
        || !put_axes(d, sweep) || !put_traces(d, sweep))
        return false;
    for (unsigned i = 0; i < sweep->points; i++)
        if (!put(d, "INSERT INTO point VALUES (?1, ?2)", (int)i, sweep->line[i], NULL))
            return false;
    return execute(d, "COMMIT");
}

/* ---- One that is there ---- */

/* The first column of the first row as text, or "". */
static void ask(struct sweep_db *d, const char *sql, const char *with, char text[256])
{
    sqlite3_stmt *s;
    text[0] = '\0';
    if (sqlite3_prepare_v2(d->db, sql, -1, &s, NULL) != SQLITE_OK)
        return;
    if (with != NULL)
        sqlite3_bind_text(s, 1, with, -1, SQLITE_TRANSIENT);
    if (sqlite3_step(s) == SQLITE_ROW && sqlite3_column_text(s, 0) != NULL)
        snprintf(text, 256, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
}

static bool same_about(struct sweep_db *d, const char *key, const char *value)
{
    char text[256];
    ask(d, "SELECT value FROM sweep WHERE key = ?1", key, text);
    return strcmp(text, value) == 0
           || error_set(d->error, "%s: its %s is %s, not %s; name another file with --db",
                        d->path, key, text[0] != '\0' ? text : "not there", value);
}

static bool same_traces(struct sweep_db *d)
{
    sqlite3_stmt *s;
    bool same = true;
    char sha256[FILE_SHA256_CHARS + 1];
    if (sqlite3_prepare_v2(
            d->db, "SELECT substr(key, 7), value FROM sweep WHERE key LIKE 'trace %'", -1,
            &s, NULL)
        != SQLITE_OK)
        return failed(d);
    while (same && sqlite3_step(s) == SQLITE_ROW) {
        const char *path = (const char *)sqlite3_column_text(s, 0);
        same             = trace_sha256(path, sha256, d->error);
        if (same && strcmp(sha256, (const char *)sqlite3_column_text(s, 1)) != 0)
            same =
                error_set(d->error, "%s: it has changed since %s was begun", path, d->path);
    }
    sqlite3_finalize(s);
    return same;
}

static bool same_points(struct sweep_db *d, const struct sweep *sweep)
{
    sqlite3_stmt *s;
    unsigned n = 0;
    bool same  = true;
    if (sqlite3_prepare_v2(d->db, "SELECT line FROM point ORDER BY id", -1, &s, NULL)
        != SQLITE_OK)
        return failed(d);
    while (same && sqlite3_step(s) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(s, 0);
        same = n < sweep->points && line != NULL && strcmp(line, sweep->line[n]) == 0;
        n += same;
    }
    sqlite3_finalize(s);
    return (same && n == sweep->points)
           || error_set(d->error,
                        "%s: it belongs to another sweep: point %u is not the same; name "
                        "another file with --db",
                        d->path, n);
}

static bool mark_done(struct sweep_db *d, const struct sweep *sweep, bool *done)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(d->db, "SELECT point FROM run", -1, &s, NULL) != SQLITE_OK)
        return failed(d);
    while (sqlite3_step(s) == SQLITE_ROW) {
        const int point = sqlite3_column_int(s, 0);
        if (point >= 0 && (unsigned)point < sweep->points)
            done[point] = true;
    }
    sqlite3_finalize(s);
    return true;
}

static bool make_or_check(struct sweep_db *d, const struct sweep *sweep)
{
    char tables[256];
    ask(d, "SELECT count(*) FROM sqlite_schema", NULL, tables);
    if (strcmp(tables, "0") == 0)
        return fill(d, sweep);
    if (tables[0] == '\0')
        return failed(d);
    return same_about(d, "schema", SCHEMA) && same_about(d, "version", IOVASIM_VERSION)
           && same_points(d, sweep) && same_traces(d);
}

static char *insert_sql(void)
{
    char *sql;
    size_t bytes;
    FILE *out = open_memstream(&sql, &bytes);
    CHECK(out != NULL);
    fputs("INSERT INTO run VALUES (?", out);
    for (unsigned i = 1; i < 11 + METRIC_COUNT + 2; i++)
        fputs(", ?", out);
    fputs(")", out);
    fclose(out);
    return sql;
}

static bool prepare(struct sweep_db *d)
{
    char *sql       = insert_sql();
    const bool done = sqlite3_prepare_v2(d->db, sql, -1, &d->insert, NULL) == SQLITE_OK;
    free(sql);
    return done || failed(d);
}

/* Opened first and closed last: closing any descriptor of the file would give up SQLite's
 * own locks. */
static bool lock(struct sweep_db *d)
{
    d->lock = open(d->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (d->lock < 0)
        return error_set(d->error, "%s: cannot write: %s", d->path, strerror(errno));
    for (unsigned turn = 0; turn < LOCK_TURNS; turn++) { /* One that was killed just now. */
        if (flock(d->lock, LOCK_EX | LOCK_NB) == 0)
            return true;
        usleep(LOCK_TURN_US);
    }
    return error_set(d->error, "%s: another sweep is writing it", d->path);
}

/* A run is 9 kB; while the log is copied back, which waits for the disk, nothing is handed
 * out. Hence few writes a run, and a long log. */
bool sweep_db_open(struct sweep_db *d, const char *path, const struct sweep *sweep,
                   bool **done, struct error *error)
{
    *d    = (struct sweep_db){ .path = path, .lock = -1, .error = error };
    *done = calloc(sweep->points, sizeof **done);
    CHECK(*done != NULL);
    if (lock(d)
        && (sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL)
                == SQLITE_OK
            || failed(d))
        && execute(d, "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
                      "PRAGMA wal_autocheckpoint = 256; PRAGMA synchronous = NORMAL")
        && make_or_check(d, sweep) && prepare(d) && mark_done(d, sweep, *done))
        return true;
    sweep_db_close(d);
    free(*done);
    *done = NULL;
    return false;
}

void sweep_db_close(struct sweep_db *d)
{
    sqlite3_finalize(d->insert);
    sqlite3_close(d->db);
    if (d->lock >= 0)
        close(d->lock);
    d->db   = NULL;
    d->lock = -1;
}

/* ---- Rows ---- */

static void bind_value(sqlite3_stmt *s, int at, const json_t *value)
{
    if (json_is_string(value)) /* The answer lives until the row is in. */
        sqlite3_bind_text(s, at, json_string_value(value), (int)json_string_length(value),
                          SQLITE_STATIC);
    else if (json_is_integer(value))
        sqlite3_bind_int64(s, at, json_integer_value(value));
    else if (json_is_real(value))
        sqlite3_bind_double(s, at, json_real_value(value));
}

bool sweep_db_add(struct sweep_db *d, unsigned point, const json_t *answer)
{
    static const char *const column[] = { "status", "error",  "trace", "sha256", "records",
                                          "preset", "policy", "api",   "cpus",   "seed" };
    sqlite3_stmt *s                   = d->insert;
    int at                            = 1;
    sqlite3_bind_int(s, at++, (int)point);
    for (unsigned i = 0; i < sizeof column / sizeof column[0]; i++)
        bind_value(s, at++, json_object_get(answer, column[i]));
    const json_t *metrics = json_object_get(answer, "metrics");
    for (unsigned m = 0; m < METRIC_COUNT; m++)
        bind_value(s, at++,
                   json_object_get(json_object_get(metrics, metric_def[m].name), "value"));
    bind_value(s, at++, json_object_get(answer, "config"));
    bind_value(s, at, json_object_get(answer, "counters"));
    const bool added = sqlite3_step(s) == SQLITE_DONE || failed(d);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return added;
}

sqlite3 *sweep_db_read(const char *path, struct error *error)
{
    sqlite3 *db       = NULL;
    struct sweep_db d = { .path = path, .error = error };
    if (access(path, R_OK) != 0) {
        error_set(error, "%s: cannot open: %s", path, strerror(errno));
        return NULL;
    }
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
        char schema[256];
        d.db = db;
        ask(&d, "SELECT value FROM sweep WHERE key = 'schema'", NULL, schema);
        if (strcmp(schema, SCHEMA) == 0)
            return db;
    }
    error_set(error, "%s: expected a database of `iovasim sweep`", path);
    sqlite3_close(db);
    return NULL;
}

/* ---- Questions ---- */

json_t *sweep_db_axes(sqlite3 *db)
{
    sqlite3_stmt *s;
    json_t *axes = json_array();
    if (sqlite3_prepare_v2(db,
                           "SELECT value FROM sweep WHERE key LIKE 'axis %' ORDER BY key",
                           -1, &s, NULL)
        != SQLITE_OK)
        return axes;
    while (json_array_size(axes) < SWEEP_AXES_MAX && sqlite3_step(s) == SQLITE_ROW)
        json_array_append_new(axes, json_string((const char *)sqlite3_column_text(s, 0)));
    sqlite3_finalize(s);
    return axes;
}

/* Two have no column of their own: the records that were replayed stand for "limit", the
 * counters of a hostile device for "attacker". */
char *sweep_db_axis_sql(const char *axis)
{
    char *sql =
        strcmp(axis, "limit") == 0 ? sqlite3_mprintf("records")
        : strcmp(axis, "attacker") == 0
            ? sqlite3_mprintf("json_type(counters, '$.device.attacker') IS NOT NULL")
            : sqlite3_mprintf("\"%w\"", axis);
    CHECK(sql != NULL);
    return sql;
}

json_t *sweep_db_value(sqlite3_stmt *s, int column)
{
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(s, column));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(s, column));
    case SQLITE_NULL:
        return json_null();
    default:
        return json_string((const char *)sqlite3_column_text(s, column));
    }
}

json_t *sweep_db_row(sqlite3_stmt *s)
{
    json_t *row = json_object();
    for (int i = 0; i < sqlite3_column_count(s); i++)
        json_object_set_new(row, sqlite3_column_name(s, i), sweep_db_value(s, i));
    return row;
}
