/* SPDX-License-Identifier: Apache-2.0 */
/*
 * csv - recorded tables: `#` lines of words, a line of column names, rows of fields.
 *
 * A file may be gzipped. The words of the `#` lines are kept, as they hold what the rows
 * were recorded under; the rows are read one at a time. A row has exactly as many fields as
 * there are columns. Fields are not quoted; a comma between parentheses belongs to its
 * field. Every error names the file, the line and the column, what was expected and what
 * was found.
 */
#ifndef SIM_RTL_CSV_H
#define SIM_RTL_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct csv;
struct trace_source;

/* A word of the header: key=value, or a bare word (value NULL), which is then the key. */
struct csv_word {
    uint64_t line;
    const char *key, *value;
};

enum { CSV_COLUMNS_MAX = 64, CSV_WORDS_MAX = 4096 };

/* Opens the file and reads up to the column names. */
bool csv_open(struct csv **csv, const char *path, struct error *error);
/* The same of a source, which is the csv's from here on, also when this fails; name stands
 * for the path in messages. */
bool csv_open_source(struct csv **csv, struct trace_source *source, const char *name,
                     struct error *error);
void csv_close(struct csv *csv);

const char *csv_name(const struct csv *csv);

/* All words of the header in order, and how many. */
const struct csv_word *csv_words(const struct csv *csv, size_t *count);

/* The columns by index; NULL behind the last. */
const char *csv_column_name(const struct csv *csv, unsigned column);
/* The index of a column, or false: the file has none of that name. */
bool csv_column(const struct csv *csv, const char *name, unsigned *column,
                struct error *error);
/* The same for several at once, names separated by commas, into column[0] and so on. */
bool csv_columns(const struct csv *csv, const char *names, unsigned *column,
                 struct error *error);

/* The next row: 1, 0 behind the last one, -1 with error set. Empty lines are skipped. */
int csv_next(struct csv *csv, struct error *error);

/* Of the row that csv_next found; fields last until the next call. */
uint64_t csv_line(const struct csv *csv);
const char *csv_field(const struct csv *csv, unsigned column);

/* Numbers are decimal or 0x hexadecimal; only csv_i64 takes a sign. */
bool csv_u64(const struct csv *csv, unsigned column, uint64_t *value, struct error *error);
bool csv_i64(const struct csv *csv, unsigned column, int64_t *value, struct error *error);
/* A number of at most max. */
bool csv_below(const struct csv *csv, unsigned column, uint64_t max, uint64_t *value,
               struct error *error);
/* A field of the form key=NUMBER. */
bool csv_keyed_i64(const struct csv *csv, unsigned column, const char *key, int64_t *value,
                   struct error *error);

/* "FILE, line N: column X: expected WHAT, got 'FIELD'"; returns false. */
bool csv_expected(const struct csv *csv, unsigned column, const char *what,
                  struct error *error);

/* A number as it stands in a header word or a field; the whole text must be one. */
bool csv_parse_u64(const char *text, uint64_t *value);

#ifdef __cplusplus
}
#endif

#endif
