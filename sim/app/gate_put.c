/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cause.h"
#include "sim/app/gate.h"

enum {
    ROWS_MOST    = 20,
    CAUSES_MOST  = 8,
    MISSING_MOST = 10,
    COMMON_ROOM  = 256,
    COMMON_MOST  = 3
};

static void put_change(const struct gate_finding *f, FILE *out)
{
    if (isinf(f->change))
        fputs("from 0", out);
    else
        fprintf(out, "%+.2f %%", 100.0 * f->change);
}

/* Six digits tell 0.1 % apart. */
static void put_row(const struct gate_finding *f, FILE *out)
{
    fputs("| ", out);
    put_change(f, out);
    fprintf(out, " | `%s` | %s | %.6g | %.6g | %s | %g %% |\n", f->before->name,
            f->before_run->name, f->before->value, f->after->value, f->before->unit,
            100.0 * f->rule->tolerance);
}

static const struct gate_finding *first_of(const struct gate *g, enum gate_class class)
{
    const struct gate_finding *f = g->finding;
    for (unsigned c = 0; c < (unsigned)class; c++)
        f += g->of_class[c];
    return f;
}

static void put_class(const struct gate *g, enum gate_class class, const char *heading,
                      FILE *out)
{
    const struct gate_finding *f = first_of(g, class);
    const unsigned count         = g->of_class[class];
    if (count == 0)
        return;
    fprintf(out, "\n### %s: %u\n\n", heading, count);
    fputs("| change | metric | run | before | after | unit | limit |\n"
          "| ---: | --- | --- | ---: | ---: | --- | ---: |\n",
          out);
    for (unsigned i = 0; i < count && i < ROWS_MOST; i++)
        put_row(&f[i], out);
    if (count > ROWS_MOST)
        fprintf(out, "\n... and %u more.\n", count - ROWS_MOST);
}

static void put_causes(const struct gate *g, enum gate_class class, FILE *out)
{
    const struct gate_finding *f = first_of(g, class);
    if (g->of_class[class] == 0)
        return;
    fputs("\n### What grew or shrank\n\n", out);
    for (unsigned i = 0; i < g->of_class[class] && i < CAUSES_MOST; i++) {
        struct cause cause =
            cause_of_metric(f[i].before_run, f[i].after_run, f[i].before->name);
        fprintf(out, "- `%s` of %s: ", f[i].before->name, f[i].before_run->name);
        cause_put_line(&cause, f[i].before, f[i].after, out);
        fputc('\n', out);
        cause_free(&cause);
    }
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
static void put_common(const struct gate *g, FILE *out)
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
    fputs("\n### What grew in most runs\n\n", out);
    for (unsigned i = 0; i < count && i < COMMON_MOST && all[i].grew >= 2; i++)
        fprintf(out, "- %s: in %u of %u runs, %+.2f %% over all\n", all[i].name,
                all[i].grew, g->pairs, 100.0 * growth(&all[i]));
}

static void put_not_comparable(const struct gate *g, FILE *out)
{
    fputs("## iovasim gate: not comparable\n", out);
    if (g->pairs == 0)
        fputs("\nThe two results have no run in common.\n", out);
    if (g->missings > 0)
        fprintf(out, "\n### Missing in %s: %u\n\n", g->after->name, g->missings);
    for (unsigned i = 0; i < g->missings && i < MISSING_MOST; i++)
        fprintf(out, "- %s\n", g->missing[i]);
    if (g->missings > MISSING_MOST)
        fprintf(out, "\n... and %u more.\n", g->missings - MISSING_MOST);
}

static void put_verdict(const struct gate *g, FILE *out)
{
    if (g->of_class[GATE_REGRESSED] == 0)
        fputs("## iovasim gate: passed\n", out);
    else
        fprintf(out, "## iovasim gate: %u regression%s\n", g->of_class[GATE_REGRESSED],
                g->of_class[GATE_REGRESSED] == 1 ? "" : "s");
}

void gate_put(const struct gate *g, FILE *out)
{
    const bool comparable = gate_comparable(g);
    if (comparable)
        put_verdict(g, out);
    else
        put_not_comparable(g, out);
    if (g->differences.count > 0) {
        fputs("\n### Configuration\n\n", out);
        differences_put(&g->differences, g->pairs, "- ", out);
    }
    fprintf(out, "\nBaseline %s (iovasim %s), current %s (iovasim %s): %u runs",
            g->before->name, g->before->version, g->after->name, g->after->version,
            g->pairs);
    if (!comparable) {
        fputs(".\n", out);
        return;
    }
    fprintf(out, ", %u metrics, %u unchanged.\n", g->metrics, g->of_class[GATE_UNCHANGED]);
    if (g->added > 0)
        fprintf(out, "%u runs or metrics are new; `--bless` takes them over.\n", g->added);
    if (g->of_class[GATE_REGRESSED] > 0)
        put_common(g, out);
    put_class(g, GATE_REGRESSED, "Worse", out);
    put_causes(g, GATE_REGRESSED, out);
    put_class(g, GATE_WARNED, "Worse, for information", out);
    put_class(g, GATE_IMPROVED, "Better", out);
    put_class(g, GATE_CHANGED, "Different", out);
}
