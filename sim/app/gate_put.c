/* SPDX-License-Identifier: Apache-2.0 */
#include <libsmartcols/libsmartcols.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cause.h"
#include "sim/app/gate.h"
#include "sim/app/terminal.h"
#include "sim/app/text.h"

enum {
    ROWS_MOST    = 20,
    CAUSES_MOST  = 8,
    MISSING_MOST = 10,
    COMMON_ROOM  = 256,
    COMMON_MOST  = 3
};

/* Where it is written to, and how. */
struct page {
    FILE *out;
    bool terminal, colour;
};

static void put_heading(const struct page *p, const char *text)
{
    if (p->terminal)
        fprintf(p->out, "\n%s%s%s\n", p->colour ? "\033[1m" : "", text,
                p->colour ? "\033[0m" : "");
    else
        fprintf(p->out, "\n### %s\n\n", text);
}

/* Takes over the text of an item of a list. */
static void put_item(const struct page *p, char *text)
{
    if (p->terminal)
        terminal_wrap(p->out, (unsigned)fprintf(p->out, "  - "), 4, text);
    else
        fprintf(p->out, "- %s\n", text);
    free(text);
}

static char *change_text(const struct gate_finding *f)
{
    return isinf(f->change) ? text_make("from 0")
                            : text_make("%+.2f %%", 100.0 * f->change);
}

/* Six digits tell 0.1 % apart. */
static void put_row(const struct gate_finding *f, FILE *out)
{
    char *change = change_text(f);
    fprintf(out, "| %s | `%s` | %s | %.6g | %.6g | %s | %g %% |\n", change, f->before->name,
            f->before_run->name, f->before->value, f->after->value, f->before->unit,
            100.0 * f->rule->tolerance);
    free(change);
}

static void put_markdown(const struct gate_finding *f, unsigned count, FILE *out)
{
    fputs("| change | metric | run | before | after | unit | limit |\n"
          "| ---: | --- | --- | ---: | ---: | --- | ---: |\n",
          out);
    for (unsigned i = 0; i < count; i++)
        put_row(&f[i], out);
}

/* What the names of all runs begin with, up to a slash, is not said in each row. */
static size_t common_bytes(const struct gate *g)
{
    const char *first = g->before->run[0].name;
    size_t common =
        strrchr(first, '/') == NULL ? 0 : (size_t)(strrchr(first, '/') + 1 - first);
    for (unsigned i = 1; i < g->before->runs; i++)
        while (common > 0 && strncmp(first, g->before->run[i].name, common) != 0)
            for (common--; common > 0 && first[common - 1] != '/';)
                common--;
    return common;
}

static void put_cells(struct libscols_line *line, const struct gate_finding *f,
                      size_t common)
{
    char *cell[] = { change_text(f), text_make("%s", f->before->name),
                     text_make("%.6g", f->before->value),
                     text_make("%.6g", f->after->value),
                     text_make("%s", f->before_run->name + common) };
    for (size_t i = 0; i < sizeof cell / sizeof cell[0]; i++) {
        CHECK(scols_line_set_data(line, i, cell[i]) == 0);
        free(cell[i]);
    }
}

static void put_columns(const struct page *p, const struct gate *g,
                        const struct gate_finding *f, unsigned count, const char *colour)
{
    struct libscols_table *table = scols_new_table();
    const size_t common          = common_bytes(g);
    CHECK(table != NULL);
    scols_table_set_stream(table, p->out);
    scols_table_enable_colors(table, p->colour);
    scols_table_set_termforce(table, SCOLS_TERMFORCE_ALWAYS);
    scols_table_set_termwidth(table, terminal_columns(p->out));
    scols_table_set_column_separator(table, " ");
    scols_table_new_column(table, "change", 0, SCOLS_FL_RIGHT);
    scols_table_new_column(table, "metric", 0, 0);
    scols_table_new_column(table, "before", 0, SCOLS_FL_RIGHT);
    scols_table_new_column(table, "after", 0, SCOLS_FL_RIGHT);
    scols_table_new_column(table, "run", 0, SCOLS_FL_TRUNC);
    for (unsigned i = 0; i < count; i++) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        put_cells(line, &f[i], common);
        if (colour != NULL)
            scols_cell_set_color(scols_line_get_cell(line, 0), colour);
    }
    scols_print_table(table);
    scols_unref_table(table);
}

static const struct gate_finding *first_of(const struct gate *g, enum gate_class class)
{
    const struct gate_finding *f = g->finding;
    for (unsigned c = 0; c < (unsigned)class; c++)
        f += g->of_class[c];
    return f;
}

static void put_class(const struct page *p, const struct gate *g, enum gate_class class,
                      const char *name, const char *colour)
{
    const struct gate_finding *f = first_of(g, class);
    const unsigned count         = g->of_class[class];
    const unsigned shown         = count < ROWS_MOST ? count : ROWS_MOST;
    const size_t common          = p->terminal ? common_bytes(g) : 0;
    char *heading = text_make("%s: %u%s%.*s", name, count, common > 0 ? ", all of " : "",
                              (int)common, g->before->run[0].name);
    if (count > 0) {
        put_heading(p, heading);
        if (p->terminal)
            put_columns(p, g, f, shown, colour);
        else
            put_markdown(f, shown, p->out);
    }
    if (count > ROWS_MOST)
        fprintf(p->out, "\n... and %u more.\n", count - ROWS_MOST);
    free(heading);
}

static void put_cause(const struct page *p, const struct gate_finding *f)
{
    char *text;
    size_t bytes;
    FILE *out          = open_memstream(&text, &bytes);
    const char *mark   = p->terminal ? "" : "`";
    struct cause cause = cause_of_metric(f->before_run, f->after_run, f->before->name);
    CHECK(out != NULL);
    fprintf(out, "%s%s%s of %s: ", mark, f->before->name, mark, f->before_run->name);
    cause_put_line(&cause, f->before, f->after, out);
    cause_free(&cause);
    CHECK(fclose(out) == 0);
    put_item(p, text);
}

static void put_causes(const struct page *p, const struct gate *g, enum gate_class class)
{
    const struct gate_finding *f = first_of(g, class);
    if (g->of_class[class] == 0)
        return;
    put_heading(p, "What grew or shrank");
    for (unsigned i = 0; i < g->of_class[class] && i < CAUSES_MOST; i++)
        put_cause(p, &f[i]);
}

/* ---- What grew everywhere ---- */

/* One part, over all runs. */
struct common {
    char name[96];
    unsigned runs, grew;
    double before, after; /* Summed over the runs. */
};

static struct common *common_of(struct common *all, unsigned *count, const char *name)
{
    for (unsigned i = 0; i < *count; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    if (*count == COMMON_ROOM)
        return NULL;
    struct common *one = &all[(*count)++];
    *one               = (struct common){ .runs = 0 };
    snprintf(one->name, sizeof one->name, "%s", name);
    return one;
}

static void add_common(struct common *all, unsigned *count, const struct result_run *before,
                       const struct result_run *after)
{
    struct cause cause = cause_find(before, after, CAUSE_CYCLES | CAUSE_DEVICE);
    for (unsigned i = 0; i < cause.parts; i++) {
        const struct cause_part *part = &cause.part[i];
        struct common *one            = common_of(all, count, part->name);
        if (one == NULL)
            continue;
        one->runs++;
        one->grew += part->after > part->before;
        one->before += part->before;
        one->after += part->after;
    }
    cause_free(&cause);
}

static double growth(const struct common *one)
{
    return (one->after - one->before) / (one->before > 0.0 ? one->before : 1.0);
}

/* In most runs first, then by how much. */
static int common_order(const void *a, const void *b)
{
    const struct common *x = a, *y = b;
    if (x->grew != y->grew)
        return x->grew < y->grew ? 1 : -1;
    if (growth(x) != growth(y))
        return growth(x) < growth(y) ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* A change of order moves parts up here and down there; a cost that rose moves one part up
 * in every run that has it. */
static void put_common(const struct page *p, const struct gate *g)
{
    static struct common all[COMMON_ROOM];
    unsigned count = 0;
    for (unsigned i = 0; i < g->before->runs; i++) {
        const struct result_run *now = result_find(g->after, g->before->run[i].name);
        if (now != NULL)
            add_common(all, &count, &g->before->run[i], now);
    }
    qsort(all, count, sizeof *all, common_order);
    if (g->pairs < 2 || count == 0 || all[0].grew < 2)
        return;
    put_heading(p, "What grew in most runs");
    for (unsigned i = 0; i < count && i < COMMON_MOST && all[i].grew >= 2; i++)
        put_item(p, text_make("%s: in %u of %u runs, %+.2f %% over all", all[i].name,
                              all[i].grew, g->pairs, 100.0 * growth(&all[i])));
}

static void put_title(const struct page *p, const char *text, const char *colour)
{
    if (p->terminal)
        fprintf(p->out, "%siovasim gate: %s%s\n", p->colour ? colour : "", text,
                p->colour ? "\033[0m" : "");
    else
        fprintf(p->out, "## iovasim gate: %s\n", text);
}

static void put_not_comparable(const struct page *p, const struct gate *g)
{
    put_title(p, "not comparable", "\033[1;31m");
    if (g->pairs == 0)
        fputs("\nThe two results have no run in common.\n", p->out);
    if (g->missings > 0) {
        char *heading = text_make("Missing in %s: %u", g->after->name, g->missings);
        put_heading(p, heading);
        free(heading);
    }
    for (unsigned i = 0; i < g->missings && i < MISSING_MOST; i++)
        put_item(p, text_make("%s", g->missing[i]));
    if (g->missings > MISSING_MOST)
        fprintf(p->out, "\n... and %u more.\n", g->missings - MISSING_MOST);
}

static void put_verdict(const struct page *p, const struct gate *g)
{
    const unsigned n = g->of_class[GATE_REGRESSED];
    char *text =
        n == 0 ? text_make("passed") : text_make("%u regression%s", n, n == 1 ? "" : "s");
    put_title(p, text, n == 0 ? "\033[1;32m" : "\033[1;31m");
    free(text);
}

static void put_sides(const struct page *p, const struct gate *g, bool comparable)
{
    char *text = text_make("Baseline %s (iovasim %s), current %s (iovasim %s): %u runs",
                           g->before->name, g->before->version, g->after->name,
                           g->after->version, g->pairs);
    char *rest = comparable ? text_make(", %u metrics, %u unchanged.", g->metrics,
                                        g->of_class[GATE_UNCHANGED])
                            : text_make(".");
    fputc('\n', p->out);
    if (p->terminal)
        terminal_wrapf(p->out, 0, 0, "%s%s", text, rest);
    else
        fprintf(p->out, "%s%s\n", text, rest);
    free(text);
    free(rest);
}

/* A pattern that is misspelt guards nothing. */
static void put_idle_rules(const struct page *p, const struct gate *g)
{
    unsigned idle = 0;
    for (unsigned i = 0; i < g->rules; i++)
        if (!g->used[i])
            fprintf(p->out, "%s%s", idle++ == 0 ? "Rules that no metric went by: " : ", ",
                    g->rule[i].match);
    if (idle > 0)
        fputs(".\n", p->out);
}

static void put_all(const struct page *p, const struct gate *g)
{
    const bool comparable = gate_comparable(g);
    if (comparable)
        put_verdict(p, g);
    else
        put_not_comparable(p, g);
    if (g->differences.count > 0) {
        put_heading(p, "Configuration");
        differences_put(&g->differences, g->pairs, p->terminal ? "  " : "- ", p->out);
    }
    put_sides(p, g, comparable);
    if (!comparable)
        return;
    if (g->added > 0)
        fprintf(p->out, "%u %s new; `--bless` takes %s over.\n", g->added,
                g->added == 1 ? "run or metric is" : "runs or metrics are",
                g->added == 1 ? "it" : "them");
    put_idle_rules(p, g);
    if (g->of_class[GATE_REGRESSED] > 0)
        put_common(p, g);
    put_class(p, g, GATE_REGRESSED, "Worse", "red");
    put_causes(p, g, GATE_REGRESSED);
    put_class(p, g, GATE_WARNED, "Worse, for information", "yellow");
    put_class(p, g, GATE_IMPROVED, "Better", "green");
    put_class(p, g, GATE_CHANGED, "Different", NULL);
}

void gate_put(const struct gate *g, FILE *out)
{
    put_all(&(struct page){ .out = out }, g);
}

void gate_put_on_terminal(const struct gate *g, FILE *out)
{
    put_all(&(struct page){ .out = out, .terminal = true, .colour = terminal_colours(out) },
            g);
}
