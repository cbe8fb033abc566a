/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_db - a sweep's results: an SQLite file (WAL), schema iovasim.sweep/1.
 *
 * A run is written in one transaction of its own and known by its point's number, so it is
 * there whole and once, or not at all, whenever the program is killed. Only one process
 * writes; it holds a lock on the file. No time and no speed is in it: the same sweep gives
 * the same rows.
 */
#ifndef SIM_APP_SWEEP_DB_H
#define SIM_APP_SWEEP_DB_H

#include <jansson.h>
#include <sqlite3.h>

#include "sim/app/sweep_spec.h"

struct sweep_db {
    sqlite3 *db;
    sqlite3_stmt *insert;
    const char *path;
    int lock; /* The file once more. */
    struct error *error;
};

/* Makes it, or goes on with one of the same sweep, program version and traces; done[] then
 * says which points are there (freed by the caller). */
bool sweep_db_open(struct sweep_db *d, const char *path, const struct sweep *sweep,
                   bool **done, struct error *error);

/* A run as sweep_answer says it. */
bool sweep_db_add(struct sweep_db *d, unsigned point, const json_t *answer);
void sweep_db_close(struct sweep_db *d);

/* For reading only. */
sqlite3 *sweep_db_read(const char *path, struct error *error);

/* The keys of the axes, in order: an array of strings. */
json_t *sweep_db_axes(sqlite3 *db);

/* What of a row of result is the value of an axis: SQL, to be freed with sqlite3_free. */
char *sweep_db_axis_sql(const char *axis);

/* A value of the row that a statement is at, and all of them by the names of columns. */
json_t *sweep_db_value(sqlite3_stmt *s, int column);
json_t *sweep_db_row(sqlite3_stmt *s);

#endif
