/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/directed_result.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/rtl/grow.h"

struct directed_bench *directed_bench_of(const struct directed_run *run)
{
    return directed_bench_make(&run->row->scenario, run->settings);
}

static struct directed_measure *add_measure(struct directed_run *run, int64_t value)
{
    struct directed_measure *m;
    GROW(run, measure, measures, m);
    m->value = value;
    m->rule  = DIRECTED_NO_RULE;
    return m;
}

struct directed_measure *directed_measure(struct directed_run *run, int64_t value,
                                          const char *metric, ...)
{
    struct directed_measure *const m = add_measure(run, value);
    va_list args;
    va_start(args, metric);
    const int length = vsnprintf(m->metric, sizeof m->metric, metric, args);
    va_end(args);
    CHECK(length > 0);
    CHECK((size_t)length < sizeof m->metric);
    return m;
}

struct directed_measure *directed_measure_row(struct directed_run *run,
                                              const struct directed_row *row, int64_t value)
{
    struct directed_measure *const m = add_measure(run, value);
    m->row                           = row;
    return m;
}

void directed_note(struct directed_measure *m, enum directed_note kind, const char *format,
                   ...)
{
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(length >= 0);
    free(m->note);
    m->kind = kind;
    m->note = malloc((size_t)length + 1);
    CHECK(m->note != NULL);
    va_start(args, format);
    vsnprintf(m->note, (size_t)length + 1, format, args);
    va_end(args);
}

void directed_exclude(struct directed_measure *m, enum directed_rule rule)
{
    m->rule   = rule;
    m->partly = false;
}

void directed_exclude_partly(struct directed_measure *m, enum directed_rule rule)
{
    m->rule   = rule;
    m->partly = true;
}

bool directed_wrong_address(const struct directed_scenario *s)
{
    return s->stages == (DIRECTED_STAGE1 | DIRECTED_STAGE2)
           && s->stage1_lg2 < s->stage2_lg2;
}

static void shift(struct directed_access *a, cycle_t origin)
{
    a->presented -= (int64_t)origin;
    a->accepted -= (int64_t)origin;
    a->data -= (int64_t)origin;
    a->last -= (int64_t)origin;
}

struct directed_window *directed_window(struct directed_run *run,
                                        const struct directed_bench *b, const char *name,
                                        cycle_t origin, cycle_t first, cycle_t last)
{
    struct directed_window *w;
    GROW(run, window, windows, w);
    CHECK(strlen(name) < sizeof w->experiment);
    strcpy(w->experiment, name);
    w->rule        = DIRECTED_NO_RULE;
    w->valid_below = INT64_MAX;
    for (size_t i = 0; i < b->access_count; i++) {
        const cycle_t presented = (cycle_t)b->access[i].presented;
        if (presented < first || presented > last)
            continue;
        struct directed_access *a;
        GROW(w, access, count, a);
        *a = b->access[i];
        shift(a, origin);
    }
    return w;
}

bool directed_fail(const struct directed_run *run, const struct directed_row *row,
                   const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(run->error, "%s, line %" PRIu64 ": %s", run->file->name, row->line,
                     what);
}

const struct directed_row *directed_row_of(const struct directed_run *run,
                                           const char *metric)
{
    for (size_t i = 0; i < run->rows; i++)
        if (run->row[i].metric != NULL && strcmp(run->row[i].metric, metric) == 0)
            return &run->row[i];
    return NULL;
}
