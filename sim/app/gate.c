/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/gate.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/text.h"
#include "sim/base/check.h"

static bool matches(char *const *pattern, const char *name)
{
    for (; pattern != NULL && *pattern != NULL; pattern++)
        if (fnmatch(*pattern, name, 0) == 0)
            return true;
    return false;
}

static const struct gate_rule *rule_for(const struct gate_config *c, const char *run,
                                        const char *metric)
{
    char *full                   = text_make("%s/%s", run, metric);
    const struct gate_rule *rule = c->rule;
    while (fnmatch(rule->match, metric, 0) != 0 && fnmatch(rule->match, full, 0) != 0)
        rule++; /* The last matches all. */
    free(full);
    return rule;
}

/* ---- One metric ---- */

static enum gate_better better_of(const struct gate_finding *f)
{
    if (f->rule->better != GATE_as_metric)
        return f->rule->better;
    switch (f->before->better) {
    case METRIC_lower:
        return GATE_lower;
    case METRIC_higher:
        return GATE_higher;
    case METRIC_none:
        break;
    }
    return GATE_any;
}

/* The last digits of a quotient are not a change. */
static bool counts(const struct gate_finding *f, double delta)
{
    const double before = fabs(f->before->value);
    return fabs(delta) > f->rule->tolerance * before && fabs(delta) > f->rule->floor
           && fabs(delta) > 1e-12 * before;
}

static enum gate_class class_of(const struct gate_finding *f)
{
    const double delta            = f->after->value - f->before->value;
    const enum gate_better better = better_of(f);
    if (f->rule->severity == GATE_ignore || !counts(f, delta))
        return GATE_UNCHANGED;
    if (better == GATE_any)
        return GATE_CHANGED;
    if (better != GATE_same && (delta < 0.0) == (better == GATE_lower))
        return GATE_IMPROVED;
    return f->rule->severity == GATE_warn ? GATE_WARNED : GATE_REGRESSED;
}

static double change_of(double before, double after)
{
    if (before != 0.0)
        return (after - before) / fabs(before);
    return after == 0.0 ? 0.0 : after > 0.0 ? HUGE_VAL : -HUGE_VAL;
}

static void keep(struct gate *g, const struct gate_finding *f)
{
    g->of_class[f->verdict]++;
    g->metrics++;
    if (f->verdict == GATE_UNCHANGED)
        return;
    g->finding = realloc(g->finding, (g->findings + 1) * sizeof *g->finding);
    CHECK(g->finding != NULL);
    g->finding[g->findings++] = *f;
}

static void explain_failure(struct result_metric *after, const struct gate_finding *f)
{
    char was[32], is[32];
    after->failure = text_make(
        "%s %s: %s before, %s now, %+.3f %% (limit %g %%)", f->before->name,
        f->before->unit, result_digits(f->before->value, was),
        result_digits(after->value, is), 100.0 * f->change, 100.0 * f->rule->tolerance);
}

/* ---- Runs ---- */

static void note_missing(struct gate *g, const struct gate_config *c, char *name)
{
    if (matches(c->allow_missing, name)) {
        free(name);
        return;
    }
    g->missing = realloc(g->missing, (g->missings + 1) * sizeof *g->missing);
    CHECK(g->missing != NULL);
    g->missing[g->missings++] = name;
}

static unsigned count_added(const struct result_run *before, const struct result_run *after)
{
    unsigned n = 0;
    for (unsigned i = 0; i < after->metrics; i++)
        n += result_metric_find(before, after->metric[i].name) == NULL;
    return n;
}

static void judge_run(struct gate *g, const struct gate_config *c,
                      const struct result_run *before, const struct result_run *after)
{
    g->pairs++;
    g->added += count_added(before, after);
    differences_add(&g->differences, before, after,
                    (const char *const *)c->ignore_parameters);
    for (unsigned i = 0; i < before->metrics; i++) {
        const struct result_metric *was = &before->metric[i];
        struct result_metric *is        = result_metric_find(after, was->name);
        if (is == NULL) {
            note_missing(g, c, text_make("%s/%s", before->name, was->name));
            continue;
        }
        struct gate_finding f     = { before,
                                      after,
                                      was,
                                      is,
                                      rule_for(c, before->name, was->name),
                                      GATE_UNCHANGED,
                                      change_of(was->value, is->value) };
        f.verdict                 = class_of(&f);
        g->used[f.rule - c->rule] = true;
        keep(g, &f);
        if (f.verdict == GATE_REGRESSED)
            explain_failure(is, &f);
    }
}

/* By class; the largest change first; then by name, so that nothing else decides. */
static int order(const void *a, const void *b)
{
    const struct gate_finding *x = a, *y = b;
    if (x->verdict != y->verdict)
        return x->verdict < y->verdict ? -1 : 1;
    if (fabs(x->change) != fabs(y->change))
        return fabs(x->change) < fabs(y->change) ? 1 : -1;
    const int run = strcmp(x->before_run->name, y->before_run->name);
    return run != 0 ? run : strcmp(x->before->name, y->before->name);
}

void gate_judge(struct gate *g, const struct gate_config *c, const struct result *before,
                struct result *after)
{
    *g       = (struct gate){ .before = before, .after = after, .rule = c->rule };
    g->rules = c->rules - 1; /* The last is for what is left. */
    g->used  = calloc(c->rules, sizeof *g->used);
    CHECK(g->used != NULL);
    for (unsigned i = 0; i < before->runs; i++) {
        const struct result_run *now = result_find(after, before->run[i].name);
        if (now == NULL)
            note_missing(g, c, text_make("%s", before->run[i].name));
        else
            judge_run(g, c, &before->run[i], now);
    }
    for (unsigned i = 0; i < after->runs; i++)
        g->added += result_find(before, after->run[i].name) == NULL;
    if (g->findings > 0)
        qsort(g->finding, g->findings, sizeof *g->finding, order);
}

bool gate_comparable(const struct gate *g)
{
    return g->pairs > 0 && g->differences.changed == 0 && g->missings == 0;
}

void gate_free(struct gate *g)
{
    differences_free(&g->differences);
    for (unsigned i = 0; i < g->missings; i++)
        free(g->missing[i]);
    free(g->missing);
    free(g->finding);
    free(g->used);
}
