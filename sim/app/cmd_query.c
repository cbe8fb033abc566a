/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_query - asks a sweep's database: by SQL, or for one of the ready reports.
 */
#include <libsmartcols/libsmartcols.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"
#include "sim/app/report.h"
#include "sim/app/sweep_db.h"
#include "sim/app/sweep_report.h"
#include "sim/app/text.h"

struct query_call {
    char *pareto, *sensitivity;
    int csv, json;
    struct error error;
};

/* ---- Rows of a statement ---- */

/* As it is stored; whole digits of a figure. */
static const char *column_text(sqlite3_stmt *s, int at, char digits[32])
{
    if (sqlite3_column_type(s, at) == SQLITE_FLOAT)
        return result_digits(sqlite3_column_double(s, at), digits);
    const char *text = (const char *)sqlite3_column_text(s, at);
    return text != NULL ? text : "";
}

static int put_csv(sqlite3_stmt *s)
{
    char digits[32];
    int got;
    const int columns = sqlite3_column_count(s);
    for (int i = 0; i < columns; i++) {
        fputs(i == 0 ? "" : ",", stdout);
        report_csv_text(stdout, sqlite3_column_name(s, i));
    }
    fputs("\r\n", stdout);
    while ((got = sqlite3_step(s)) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++) {
            fputs(i == 0 ? "" : ",", stdout);
            report_csv_text(stdout, column_text(s, i, digits));
        }
        fputs("\r\n", stdout);
    }
    return got;
}

static int put_json(sqlite3_stmt *s)
{
    json_t *all = json_array();
    int got;
    while ((got = sqlite3_step(s)) == SQLITE_ROW)
        json_array_append_new(all, sweep_db_row(s));
    report_put_json(stdout, all);
    return got;
}

static int put_table(sqlite3_stmt *s)
{
    struct libscols_table *table = scols_new_table();
    char text[32];
    int got;
    CHECK(table != NULL);
    scols_table_set_column_separator(table, " ");
    for (int i = 0; i < sqlite3_column_count(s); i++)
        scols_table_new_column(table, sqlite3_column_name(s, i), 0, 0);
    while ((got = sqlite3_step(s)) == SQLITE_ROW) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            if (sqlite3_column_type(s, i) == SQLITE_FLOAT) /* For reading. */
                snprintf(text, sizeof text, "%.7g", sqlite3_column_double(s, i));
            scols_line_set_data(
                line, (size_t)i,
                sqlite3_column_type(s, i) == SQLITE_FLOAT ? text : column_text(s, i, text));
        }
    }
    scols_print_table(table);
    scols_unref_table(table);
    return got;
}

static int run_sql(struct query_call *c, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    const char *rest;
    if (sqlite3_prepare_v2(db, sql, -1, &s, &rest) != SQLITE_OK || s == NULL)
        return command_fail(EXIT_USAGE, "SQL: %s",
                            sqlite3_errcode(db) != SQLITE_OK ? sqlite3_errmsg(db)
                                                             : "expected a statement");
    const int got = c->csv ? put_csv(s) : c->json ? put_json(s) : put_table(s);
    int status    = EXIT_FINE;
    if (got != SQLITE_DONE)
        status = command_fail(EXIT_USAGE, "SQL: %s", sqlite3_errmsg(db));
    sqlite3_finalize(s);
    return status;
}

/* ---- What is in it ---- */

static int describe(struct query_call *c, sqlite3 *db)
{
    return run_sql(c, db,
                   "SELECT key AS 'what', value AS 'is' FROM sweep UNION ALL "
                   "SELECT 'points', count(*) FROM point UNION ALL "
                   "SELECT 'runs ' || status, count(*) FROM run GROUP BY status");
}

static int query(struct query_call *c, const char *path, const char *sql)
{
    int status;
    sqlite3 *db = sweep_db_read(path, &c->error);
    if (db == NULL)
        return command_fail(EXIT_INPUT, "%s", c->error.text);
    if (c->pareto != NULL || c->sensitivity != NULL) {
        const bool made = c->pareto != NULL
                              ? sweep_pareto(db, c->pareto, stdout, &c->error)
                              : sweep_sensitivity(db, c->sensitivity, stdout, &c->error);
        status          = made ? EXIT_FINE : command_fail(EXIT_USAGE, "%s", c->error.text);
    } else {
        status = sql != NULL ? run_sql(c, db, sql) : describe(c, db);
    }
    sqlite3_close(db);
    return status;
}

static int with_arguments(struct query_call *c, const char **argument)
{
    const char *path = argument != NULL ? argument[0] : NULL;
    const char *sql  = path != NULL ? argument[1] : NULL;
    if (path == NULL || (sql != NULL && argument[2] != NULL))
        return command_fail(EXIT_USAGE, "query: expected a database, and SQL or a report");
    if ((sql != NULL) + (c->pareto != NULL) + (c->sensitivity != NULL) > 1)
        return command_fail(EXIT_USAGE,
                            "query: expected one of SQL, --pareto and --sensitivity");
    return query(c, path, sql);
}

static int query_run_command(int argc, const char **argv)
{
    struct query_call c               = { .csv = 0 };
    const struct poptOption options[] = {
        { "pareto", 0, POPT_ARG_STRING, &c.pareto, 0,
          "The runs that no other run beats in all of these metrics", "METRIC,METRIC" },
        { "sensitivity", 0, POPT_ARG_STRING, &c.sensitivity, 0,
          "How much of the metric's variance each axis explains", "METRIC" },
        { "csv", 0, POPT_ARG_NONE, &c.csv, 0, "Rows as CSV", NULL },
        { "json", 0, POPT_ARG_NONE, &c.json, 0, "Rows as JSON", NULL },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim query", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "DATABASE [SQL] (table: result)");
    int status = options_store(context);
    if (status == EXIT_FINE)
        status = with_arguments(&c, poptGetArgs(context));
    free(c.pareto);
    free(c.sensitivity);
    poptFreeContext(context);
    return status;
}

const struct command cmd_query = {
    .name    = "query",
    .summary = "Ask a sweep's database: SQL, Pareto front, sensitivity",
    .run     = query_run_command,
};
