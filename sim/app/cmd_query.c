/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_query - asks a sweep's database: by SQL, or for one of the ready reports.
 */
#include <libsmartcols/libsmartcols.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"
#include "sim/app/report.h"
#include "sim/app/sweep_db.h"
#include "sim/app/sweep_report.h"
#include "sim/app/terminal.h"

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

/* For reading: seven digits are enough. */
static const char *short_text(sqlite3_stmt *s, int at, char digits[32])
{
    if (sqlite3_column_type(s, at) != SQLITE_FLOAT)
        return column_text(s, at, digits);
    snprintf(digits, 32, "%.7g", sqlite3_column_double(s, at));
    return digits;
}

/* The columns that a table of all rows needs; of the last there is no padding. */
static size_t table_width(sqlite3_stmt *s)
{
    const int columns = sqlite3_column_count(s);
    size_t *most = calloc((size_t)columns, sizeof *most), width = 0;
    char digits[32];
    CHECK(most != NULL);
    for (int i = 0; i < columns; i++)
        most[i] = strlen(sqlite3_column_name(s, i));
    while (sqlite3_step(s) == SQLITE_ROW)
        for (int i = 0; i < columns; i++) {
            const size_t n = strlen(short_text(s, i, digits));
            most[i]        = n > most[i] ? n : most[i];
        }
    for (int i = 0; i < columns; i++)
        width += most[i] + (i > 0);
    free(most);
    sqlite3_reset(s);
    return width;
}

/* Each row as lines of a name and a value; what is long goes on in further lines. */
static int put_records(sqlite3_stmt *s)
{
    const int columns = sqlite3_column_count(s);
    char digits[32];
    int got, label = 0;
    for (int i = 0; i < columns; i++) {
        const int n = (int)strlen(sqlite3_column_name(s, i));
        label       = n > label ? n : label;
    }
    for (unsigned row = 1; (got = sqlite3_step(s)) == SQLITE_ROW; row++) {
        printf("%s-- row %u\n", row > 1 ? "\n" : "", row);
        for (int i = 0; i < columns; i++)
            printf("%-*s %s\n", label, sqlite3_column_name(s, i), short_text(s, i, digits));
    }
    return got;
}

static int put_table(sqlite3_stmt *s)
{
    char digits[32];
    int got;
    if (isatty(STDOUT_FILENO) && table_width(s) > terminal_columns(stdout))
        return put_records(s);
    struct libscols_table *table = scols_new_table();
    CHECK(table != NULL);
    scols_table_set_column_separator(table, " ");
    for (int i = 0; i < sqlite3_column_count(s); i++)
        scols_table_new_column(table, sqlite3_column_name(s, i), 0, 0);
    while ((got = sqlite3_step(s)) == SQLITE_ROW) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        for (int i = 0; i < sqlite3_column_count(s); i++)
            scols_line_set_data(line, (size_t)i, short_text(s, i, digits));
    }
    scols_print_table(table);
    scols_unref_table(table);
    return got;
}

/* Whether another statement, or what is none, follows the first. */
static bool more_follows(sqlite3 *db, const char *rest)
{
    sqlite3_stmt *s  = NULL;
    const bool wrong = sqlite3_prepare_v2(db, rest, -1, &s, NULL) != SQLITE_OK;
    sqlite3_finalize(s);
    return wrong || s != NULL;
}

static int run_sql(struct query_call *c, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    const char *rest;
    if (sqlite3_prepare_v2(db, sql, -1, &s, &rest) != SQLITE_OK || s == NULL)
        return command_fail(EXIT_USAGE, "SQL: %s",
                            sqlite3_errcode(db) != SQLITE_OK ? sqlite3_errmsg(db)
                                                             : "expected a statement");
    if (more_follows(db, rest)) {
        sqlite3_finalize(s);
        return command_fail(EXIT_USAGE, "SQL: expected one statement");
    }
    const int got = c->csv ? put_csv(s) : c->json ? put_json(s) : put_table(s);
    int status    = EXIT_FINE;
    if (got != SQLITE_DONE)
        status = command_fail(EXIT_USAGE, "SQL: %s", sqlite3_errmsg(db));
    sqlite3_finalize(s);
    return status;
}

/* ---- What is in it ---- */

#define DESCRIPTION                                                                        \
    "SELECT key AS 'what', value AS 'is' FROM sweep UNION ALL "                            \
    "SELECT 'points', count(*) FROM point UNION ALL "                                      \
    "SELECT 'runs ' || status, count(*) FROM run GROUP BY status"

/* Traces have long names and checksums, which go below them. */
static int describe(struct query_call *c, sqlite3 *db)
{
    sqlite3_stmt *s;
    int got;
    if (c->csv || c->json)
        return run_sql(c, db, DESCRIPTION);
    if (sqlite3_prepare_v2(db, DESCRIPTION, -1, &s, NULL) != SQLITE_OK)
        return command_fail(EXIT_USAGE, "SQL: %s", sqlite3_errmsg(db));
    while ((got = sqlite3_step(s)) == SQLITE_ROW) {
        const char *what = (const char *)sqlite3_column_text(s, 0);
        const char *is   = (const char *)sqlite3_column_text(s, 1);
        if (strncmp(what, "trace ", 6) == 0)
            printf("%s\n  sha256 %s\n", what, is);
        else
            printf("%-12s %s\n", what, is);
    }
    sqlite3_finalize(s);
    return got == SQLITE_DONE ? EXIT_FINE
                              : command_fail(EXIT_USAGE, "SQL: %s", sqlite3_errmsg(db));
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
    if (c->csv && c->json)
        return command_fail(EXIT_USAGE, "query: expected one of --csv and --json");
    if ((c->csv || c->json) && (c->pareto != NULL || c->sensitivity != NULL))
        return command_fail(EXIT_USAGE, "query: --csv and --json are for rows, not for "
                                        "--pareto and --sensitivity");
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
