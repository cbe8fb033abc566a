/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/source.h"

struct csv {
    struct trace_source *source;
    char *name;
    char *columns; /* The line of their names, cut at the commas. */
    unsigned column_count;
    const char *column[CSV_COLUMNS_MAX];
    size_t word_count;
    struct csv_word *word; /* Their keys are allocated; a value stands behind its key. */
    uint64_t line;
    const char *field[CSV_COLUMNS_MAX]; /* In the source's buffer. */
};

void csv_close(struct csv *c)
{
    for (size_t i = 0; i < c->word_count; i++)
        free((char *)c->word[i].key);
    trace_source_close(c->source);
    free(c->word);
    free(c->columns);
    free(c->name);
    free(c);
}

const char *csv_name(const struct csv *c)
{
    return c->name;
}

static bool fail_at(const struct csv *c, uint64_t line, const char *what,
                    struct error *error)
{
    return error_set(error, "%s, line %" PRIu64 ": %s", c->name, line, what);
}

/* ---- Header ----------------------------------------------------------------------------
 */

static bool add_word(struct csv *c, const char *text, size_t bytes, struct error *error)
{
    const uint64_t line = trace_source_line_number(c->source);
    if (c->word_count == CSV_WORDS_MAX)
        return fail_at(c, line, "expected fewer words in the header", error);
    char *const key    = strndup(text, bytes);
    char *const equals = key == NULL ? NULL : strchr(key, '=');
    CHECK(key != NULL);
    if (equals != NULL)
        *equals = '\0';
    c->word[c->word_count++] =
        (struct csv_word){ line, key, equals == NULL ? NULL : equals + 1 };
    return true;
}

static bool add_words(struct csv *c, const char *text, struct error *error)
{
    for (;;) {
        text += strspn(text, " \t");
        const size_t bytes = strcspn(text, " \t");
        if (bytes == 0)
            return true;
        if (!add_word(c, text, bytes, error))
            return false;
        text += bytes;
    }
}

/* The comma behind a field, or NULL. A comma between parentheses belongs to the field. */
static char *comma_behind(char *field)
{
    unsigned open = 0;
    for (; *field != '\0'; field++) {
        if (*field == ',' && open == 0)
            return field;
        open += *field == '(';
        open -= *field == ')' && open > 0;
    }
    return NULL;
}

/* Cuts a line at its commas. Returns how many fields it has, which may be more than max. */
static unsigned cut(char *line, const char **field, unsigned max)
{
    unsigned count = 0;
    for (char *end = line; end != NULL; count++) {
        char *const start = end;
        end               = comma_behind(start);
        if (end != NULL)
            *end++ = '\0';
        if (count < max)
            field[count] = start;
    }
    return count;
}

static bool duplicate(const struct csv *c, unsigned column)
{
    for (unsigned i = 0; i < column; i++)
        if (strcmp(c->column[i], c->column[column]) == 0)
            return true;
    return false;
}

static bool take_columns(struct csv *c, const char *line, struct error *error)
{
    const uint64_t number = trace_source_line_number(c->source);
    c->columns            = strdup(line);
    CHECK(c->columns != NULL);
    c->column_count = cut(c->columns, c->column, CSV_COLUMNS_MAX);
    if (c->column_count > CSV_COLUMNS_MAX)
        return fail_at(c, number, "expected fewer columns", error);
    for (unsigned i = 0; i < c->column_count; i++)
        if (c->column[i][0] == '\0' || duplicate(c, i))
            return error_set(error,
                             "%s, line %" PRIu64
                             ": expected column names, all different, got '%s'",
                             c->name, number, c->column[i]);
    return true;
}

/* The source's own errors begin with "line N" or with a verb. */
static bool source_failed(const struct csv *c, struct error *error)
{
    return error_in(error, "%s", c->name);
}

/* The next line that is not empty; NULL at the end, with error->text empty, or on error. */
static const char *next_line(struct csv *c, size_t *bytes, struct error *error)
{
    const char *line;
    do
        line = trace_source_line(c->source, bytes, error);
    while (line != NULL && *bytes == 0);
    if (line == NULL && error->text[0] != '\0')
        source_failed(c, error);
    return line;
}

static bool read_header(struct csv *c, struct error *error)
{
    size_t bytes;
    const char *line;
    while ((line = next_line(c, &bytes, error)) != NULL) {
        if (line[0] != '#')
            return take_columns(c, line, error);
        if (!add_words(c, line + 1, error))
            return false;
    }
    return error->text[0] != '\0'
               ? false
               : error_set(error, "%s: no line of column names", c->name);
}

bool csv_open_source(struct csv **csv, struct trace_source *source, const char *name,
                     struct error *error)
{
    struct csv *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->source = source;
    c->name   = strdup(name);
    c->word   = calloc(CSV_WORDS_MAX, sizeof *c->word);
    CHECK(c->name != NULL);
    CHECK(c->word != NULL);
    if (read_header(c, error)) {
        *csv = c;
        return true;
    }
    csv_close(c);
    *csv = NULL;
    return false;
}

bool csv_open(struct csv **csv, const char *path, struct error *error)
{
    struct trace_source *source;
    *csv = NULL;
    if (!trace_source_open(&source, path, error))
        return error_in(error, "%s", path);
    return csv_open_source(csv, source, path, error);
}

const struct csv_word *csv_words(const struct csv *c, size_t *count)
{
    *count = c->word_count;
    return c->word;
}

/* ---- Columns ---------------------------------------------------------------------------
 */

const char *csv_column_name(const struct csv *c, unsigned column)
{
    return column < c->column_count ? c->column[column] : NULL;
}

static bool find_column(const struct csv *c, const char *name, size_t bytes,
                        unsigned *column, struct error *error)
{
    for (*column = 0; *column < c->column_count; ++*column)
        if (strncmp(c->column[*column], name, bytes) == 0
            && c->column[*column][bytes] == '\0')
            return true;
    return error_set(error, "%s: expected a column %.*s", c->name, (int)bytes, name);
}

bool csv_column(const struct csv *c, const char *name, unsigned *column,
                struct error *error)
{
    return find_column(c, name, strlen(name), column, error);
}

bool csv_columns(const struct csv *c, const char *names, unsigned *column,
                 struct error *error)
{
    for (;; names++, column++) {
        const size_t bytes = strcspn(names, ",");
        if (!find_column(c, names, bytes, column, error))
            return false;
        names += bytes;
        if (*names == '\0')
            return true;
    }
}

/* ---- Rows ------------------------------------------------------------------------------
 */

int csv_next(struct csv *c, struct error *error)
{
    size_t bytes;
    const char *line = next_line(c, &bytes, error);
    if (line == NULL)
        return error->text[0] == '\0' ? 0 : -1;
    c->line = trace_source_line_number(c->source);
    if (strlen(line) != bytes) {
        fail_at(c, c->line, "expected text, got a zero byte", error);
        return -1;
    }
    /* The line is the source's, which does not look at it again. */
    const unsigned fields = cut((char *)line, c->field, CSV_COLUMNS_MAX);
    if (fields == c->column_count)
        return 1;
    error_set(error, "%s, line %" PRIu64 ": expected %u fields, got %u", c->name, c->line,
              c->column_count, fields);
    return -1;
}

uint64_t csv_line(const struct csv *c)
{
    return c->line;
}

const char *csv_field(const struct csv *c, unsigned column)
{
    CHECK(column < c->column_count);
    CHECK(c->line != 0);
    return c->field[column];
}

bool csv_expected(const struct csv *c, unsigned column, const char *what,
                  struct error *error)
{
    return error_set(error, "%s, line %" PRIu64 ": column %s: expected %s, got '%.80s'",
                     c->name, c->line, c->column[column], what, csv_field(c, column));
}

bool csv_parse_u64(const char *text, uint64_t *value)
{
    const bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits     = hexadecimal ? text + 2 : text;
    const char *const set  = hexadecimal ? "0123456789abcdefABCDEF" : "0123456789";
    if (digits[0] == '\0' || digits[strspn(digits, set)] != '\0')
        return false;
    errno  = 0;
    *value = strtoull(digits, NULL, hexadecimal ? 16 : 10);
    return errno == 0;
}

static bool parse_i64(const char *text, int64_t *value)
{
    const bool negative = text[0] == '-';
    uint64_t size;
    if (!csv_parse_u64(text + negative, &size) || size > INT64_MAX)
        return false;
    *value = negative ? -(int64_t)size : (int64_t)size;
    return true;
}

bool csv_u64(const struct csv *c, unsigned column, uint64_t *value, struct error *error)
{
    return csv_parse_u64(csv_field(c, column), value)
           || csv_expected(c, column, "a number", error);
}

bool csv_i64(const struct csv *c, unsigned column, int64_t *value, struct error *error)
{
    return parse_i64(csv_field(c, column), value)
           || csv_expected(c, column, "a number", error);
}

bool csv_below(const struct csv *c, unsigned column, uint64_t max, uint64_t *value,
               struct error *error)
{
    char what[64];
    if (csv_parse_u64(csv_field(c, column), value) && *value <= max)
        return true;
    snprintf(what, sizeof what, "a number of at most %" PRIu64, max);
    return csv_expected(c, column, what, error);
}

bool csv_keyed_i64(const struct csv *c, unsigned column, const char *key, int64_t *value,
                   struct error *error)
{
    const char *const field = csv_field(c, column);
    const size_t bytes      = strlen(key);
    char what[96];
    if (strncmp(field, key, bytes) == 0 && field[bytes] == '='
        && parse_i64(field + bytes + 1, value))
        return true;
    snprintf(what, sizeof what, "%s=NUMBER", key);
    return csv_expected(c, column, what, error);
}
