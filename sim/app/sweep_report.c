/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/sweep_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/metric.h"
#include "sim/app/option.h"
#include "sim/app/sweep_db.h"
#include "sim/app/text.h"
#include "sim/base/check.h"

enum { METRICS_MAX = 6 };

/* All runs that were done: values of axes as text, and of metrics. */
struct table {
    const struct metric_def *metric[METRICS_MAX];
    unsigned metrics, axes, rows;
    json_t *keys; /* Of the axes. */
    const char *axis[SWEEP_AXES_MAX];
    int width[SWEEP_AXES_MAX + METRICS_MAX]; /* Of the axes' columns, then the metrics'. */
    struct row {
        int point;
        char *axis[SWEEP_AXES_MAX];
        double value[METRICS_MAX];
    } * row;
};

/* ---- Reading ---- */

static bool read_metrics(struct table *t, const char *list, struct error *error)
{
    char *copy = text_make("%s", list), *rest;
    bool fine  = true;
    for (char *name = strtok_r(copy, ",", &rest); fine && name != NULL;
         name       = strtok_r(NULL, ",", &rest)) {
        if (t->metrics == METRICS_MAX)
            fine = error_set(error, "more than %d metrics", METRICS_MAX);
        else
            fine = (t->metric[t->metrics++] = option_metric(name, error)) != NULL;
    }
    free(copy);
    return fine && (t->metrics > 0 || error_set(error, "expected a metric"));
}

static bool failed(sqlite3 *db, struct error *error)
{
    return error_set(error, "the database: %s", sqlite3_errmsg(db));
}

static void read_axes(struct table *t, sqlite3 *db)
{
    size_t index;
    json_t *key;
    t->keys                                                = sweep_db_axes(db);
    json_array_foreach(t->keys, index, key) t->axis[index] = json_string_value(key);
    t->axes = (unsigned)json_array_size(t->keys);
}

static char *select_sql(const struct table *t)
{
    char *sql;
    size_t bytes;
    FILE *out = open_memstream(&sql, &bytes);
    CHECK(out != NULL);
    fputs("SELECT point", out);
    for (unsigned a = 0; a < t->axes; a++) {
        char *value = sweep_db_axis_sql(t->axis[a]);
        fprintf(out, ", %s", value);
        sqlite3_free(value);
    }
    for (unsigned m = 0; m < t->metrics; m++)
        fprintf(out, ", \"%s\"", t->metric[m]->name);
    fputs(" FROM result WHERE status = 'done' ORDER BY point", out);
    fclose(out);
    return sql;
}

static void read_row(struct table *t, sqlite3_stmt *s)
{
    if ((t->rows & (t->rows - 1)) == 0) { /* Room for twice as many. */
        t->row = realloc(t->row, (2 * t->rows + 1) * sizeof *t->row);
        CHECK(t->row != NULL);
    }
    struct row *row = &t->row[t->rows++];
    int at          = 0;
    row->point      = sqlite3_column_int(s, at++);
    for (unsigned a = 0; a < t->axes; a++) {
        const char *text = (const char *)sqlite3_column_text(s, at++);
        const char *base = text == NULL ? "" : text;
        if (strcmp(t->axis[a], "trace") == 0 && strrchr(base, '/') != NULL)
            base = strrchr(base, '/') + 1;
        row->axis[a] = text_make("%s", base);
    }
    for (unsigned m = 0; m < t->metrics; m++)
        row->value[m] = sqlite3_column_double(s, at++);
}

static bool read_table(struct table *t, sqlite3 *db, const char *metrics,
                       struct error *error)
{
    sqlite3_stmt *s;
    if (!read_metrics(t, metrics, error))
        return false;
    read_axes(t, db);
    char *sql       = select_sql(t);
    const bool fine = sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK;
    free(sql);
    if (!fine)
        return failed(db, error);
    while (sqlite3_step(s) == SQLITE_ROW)
        read_row(t, s);
    sqlite3_finalize(s);
    return t->rows > 0 || error_set(error, "the database has no run that was done");
}

static void free_table(struct table *t)
{
    for (unsigned i = 0; i < t->rows; i++)
        for (unsigned a = 0; a < t->axes; a++)
            free(t->row[i].axis[a]);
    free(t->row);
    json_decref(t->keys);
    free(t);
}

/* ---- Pareto ---- */

static bool beats(const struct table *t, const struct row *a, const struct row *b)
{
    bool better = false;
    for (unsigned m = 0; m < t->metrics; m++) {
        const bool higher = t->metric[m]->better == METRIC_higher;
        const double gain = higher ? a->value[m] - b->value[m] : b->value[m] - a->value[m];
        if (gain < 0.0)
            return false;
        better |= gain > 0.0;
    }
    return better;
}

/* Of one metric, the best first; a run can then be beaten by an earlier one only. */
static const struct table *sorting;

static int best_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    for (unsigned m = 0; m < sorting->metrics; m++) {
        const bool higher = sorting->metric[m]->better == METRIC_higher;
        if (x->value[m] != y->value[m])
            return (x->value[m] < y->value[m]) == higher ? 1 : -1;
    }
    return x->point - y->point;
}

/* ---- A table whose headings are long: they are cut at dots and lines into pieces that
 * stand above each other. ---- */

enum { FIGURE_WIDTH = 10, HEADING_LINES = 8 };

/* The next piece of a heading, with the mark that it ends in; bytes of it. */
static int piece_of(const char *heading)
{
    int n = (int)strcspn(heading, "._");
    n += heading[n] != '\0';
    for (;;) { /* As much as fits into a figure's width. */
        int next = (int)strcspn(heading + n, "._");
        next += heading[n + next] != '\0';
        if (next == 0 || n + next > FIGURE_WIDTH)
            return n;
        n += next;
    }
}

/* Columns by number: the axes, then the metrics. */
static const char *heading_of(const struct table *t, unsigned column)
{
    return column < t->axes ? t->axis[column] : t->metric[column - t->axes]->name;
}

/* The line-th piece, from the top; NULL: there is none. */
static const char *heading_line(const char *heading, unsigned line, int *bytes)
{
    for (; *heading != '\0'; heading += piece_of(heading))
        if (line-- == 0) {
            *bytes = piece_of(heading);
            return heading;
        }
    return NULL;
}

static int column_width(const struct table *t, unsigned column)
{
    int width = FIGURE_WIDTH, bytes;
    for (unsigned i = 0; heading_line(heading_of(t, column), i, &bytes) != NULL; i++)
        width = bytes > width ? bytes : width;
    for (unsigned i = 0; column < t->axes && i < t->rows; i++) {
        const int n = (int)strlen(t->row[i].axis[column]);
        width       = n > width ? n : width;
    }
    return width;
}

static void put_head(struct table *t, FILE *out)
{
    bool more = true;
    for (unsigned c = 0; c < t->axes + t->metrics; c++)
        t->width[c] = column_width(t, c);
    for (unsigned line = 0; more && line < HEADING_LINES; line++) {
        more = false;
        fprintf(out, "%5s", line == 0 ? "point" : "");
        for (unsigned c = 0; c < t->axes + t->metrics; c++) {
            int bytes        = 0, ignored;
            const char *text = heading_line(heading_of(t, c), line, &bytes);
            fprintf(out, " %*.*s", t->width[c], bytes, text != NULL ? text : "");
            more |= heading_line(heading_of(t, c), line + 1, &ignored) != NULL;
        }
        fputc('\n', out);
    }
}

static void put_row(const struct table *t, const struct row *row, FILE *out)
{
    fprintf(out, "%5d", row->point);
    for (unsigned a = 0; a < t->axes; a++)
        fprintf(out, " %*s", t->width[a], row->axis[a]);
    for (unsigned m = 0; m < t->metrics; m++)
        fprintf(out, " %*.7g", t->width[t->axes + m], row->value[m]);
    fputc('\n', out);
}

static void put_front(struct table *t, FILE *out)
{
    unsigned front = 0;
    sorting        = t;
    qsort(t->row, t->rows, sizeof *t->row, best_first);
    put_head(t, out);
    for (unsigned i = 0; i < t->rows; i++) {
        bool beaten = false;
        for (unsigned f = 0; f < front && !beaten; f++)
            beaten = beats(t, &t->row[f], &t->row[i]);
        if (beaten)
            continue;
        put_row(t, &t->row[i], out);
        const struct row kept = t->row[i];
        t->row[i]             = t->row[front];
        t->row[front++]       = kept;
    }
    fprintf(out, "%u of %u runs\n", front, t->rows);
}

bool sweep_pareto(sqlite3 *db, const char *metrics, FILE *out, struct error *error)
{
    struct table *t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    bool fine = read_table(t, db, metrics, error);
    for (unsigned m = 0; fine && m < t->metrics; m++)
        if (t->metric[m]->better == METRIC_none)
            fine = error_set(error, "'%s' describes a run; it is neither better nor worse",
                             t->metric[m]->name);
    if (fine)
        put_front(t, out);
    free_table(t);
    return fine;
}

/* ---- Sensitivity ---- */

struct group {
    const char *first, *last; /* Values; those of a row. */
    double sum;
    unsigned runs;
};

struct axis_effect {
    const char *name;
    double share;
    struct group least, most;
};

static unsigned sort_axis;

/* Numbers by size, words by letters. */
static int by_axis(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    const char *s = x->axis[sort_axis], *t = y->axis[sort_axis];
    char *end_s, *end_t;
    const double m = strtod(s, &end_s), n = strtod(t, &end_t);
    if (*s != '\0' && *t != '\0' && *end_s == '\0' && *end_t == '\0' && m != n)
        return m < n ? -1 : 1;
    const int order = strcmp(s, t);
    return order != 0 ? order : x->point - y->point;
}

static unsigned distinct(const struct table *t, unsigned axis)
{
    unsigned n = 1;
    for (unsigned i = 1; i < t->rows; i++)
        n += strcmp(t->row[i].axis[axis], t->row[i - 1].axis[axis]) != 0;
    return n;
}

/* Sorted by the axis: equal values stay together, groups are about equally large. */
static unsigned make_groups(const struct table *t, unsigned axis, struct group *group)
{
    const bool each = distinct(t, axis) <= SWEEP_GROUPS_MAX;
    unsigned groups = 0;
    for (unsigned i = 0; i < t->rows; i++) {
        const char *value = t->row[i].axis[axis];
        const bool same   = groups > 0 && strcmp(group[groups - 1].last, value) == 0;
        const bool full   = (size_t)i * SWEEP_GROUPS_MAX >= (size_t)groups * t->rows;
        if (!same && (groups == 0 || each || (full && groups < SWEEP_GROUPS_MAX))) {
            group[groups++] = (struct group){ .first = value };
        }
        struct group *g = &group[groups - 1];
        g->last         = value;
        g->sum += t->row[i].value[0];
        g->runs++;
    }
    return groups;
}

static double mean_of(const struct group *g)
{
    return g->sum / g->runs;
}

static struct axis_effect effect_of(struct table *t, unsigned axis, double mean,
                                    double variance)
{
    struct group group[SWEEP_GROUPS_MAX] = { { .sum = 0.0 } };
    struct axis_effect e                 = { .name = t->axis[axis] };
    sort_axis                            = axis;
    qsort(t->row, t->rows, sizeof *t->row, by_axis);
    const unsigned groups = make_groups(t, axis, group);
    double between        = 0.0;
    e.least = e.most = group[0];
    for (unsigned g = 0; g < groups; g++) {
        const double off = mean_of(&group[g]) - mean;
        between += group[g].runs * off * off / t->rows;
        if (mean_of(&group[g]) < mean_of(&e.least))
            e.least = group[g];
        if (mean_of(&group[g]) > mean_of(&e.most))
            e.most = group[g];
    }
    e.share = variance > 0.0 ? round(1e9 * between / variance) / 1e9 : 0.0;
    return e;
}

static int by_share(const void *a, const void *b)
{
    const struct axis_effect *x = a, *y = b;
    if (x->share != y->share)
        return x->share < y->share ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void put_group(const struct group *g, int width, FILE *out)
{
    const bool one = strcmp(g->first, g->last) == 0;
    char *text     = text_make("%s%s%s", g->first, one ? "" : "..", one ? "" : g->last);
    fprintf(out, " %11.6g at %-*s", mean_of(g), width, text);
    free(text);
}

static bool all_equal(const struct table *t)
{
    unsigned i = 1;
    while (i < t->rows && t->row[i].value[0] == t->row[0].value[0])
        i++;
    return i >= t->rows;
}

static void put_effects(struct table *t, FILE *out)
{
    struct axis_effect effect[SWEEP_AXES_MAX];
    double mean = 0.0, variance = 0.0;
    int name = 4;
    if (all_equal(t)) { /* Rounding would leave a variance, and shares of it. */
        fprintf(out, "%s: %u runs, %.6g %s in each: no axis moves it\n", t->metric[0]->name,
                t->rows, t->row[0].value[0], t->metric[0]->unit);
        return;
    }
    for (unsigned i = 0; i < t->rows; i++)
        mean += t->row[i].value[0] / t->rows;
    for (unsigned i = 0; i < t->rows; i++)
        variance += (t->row[i].value[0] - mean) * (t->row[i].value[0] - mean) / t->rows;
    for (unsigned a = 0; a < t->axes; a++)
        effect[a] = effect_of(t, a, mean, variance);
    qsort(effect, t->axes, sizeof *effect, by_share);
    fprintf(out, "%s: %u runs, mean %.6g %s\n", t->metric[0]->name, t->rows, mean,
            t->metric[0]->unit);
    for (unsigned a = 0; a < t->axes; a++) {
        const int n = (int)strlen(effect[a].name);
        name        = n > name ? n : name;
    }
    fprintf(out, "%-*s %8s  %-26s  %s\n", name, "axis", "share", "least mean",
            "greatest mean");
    for (unsigned a = 0; a < t->axes; a++) {
        fprintf(out, "%-*s %6.1f %%", name, effect[a].name, 100.0 * effect[a].share);
        put_group(&effect[a].least, 12, out);
        put_group(&effect[a].most, 0, out);
        fputc('\n', out);
    }
}

bool sweep_sensitivity(sqlite3 *db, const char *metric, FILE *out, struct error *error)
{
    struct table *t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    bool fine = read_table(t, db, metric, error);
    if (fine && t->metrics != 1)
        fine = error_set(error, "--sensitivity: expected one metric");
    if (fine)
        put_effects(t, out);
    free_table(t);
    return fine;
}
