/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rtl/directed.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/rtl/directed_result.h"

#define NAME(name, text) #name,
#define TEXT(name, text) text,
const char *const directed_rule_name[DIRECTED_RULE_COUNT] = { DIRECTED_RULES(NAME) };
const char *const directed_rule_text[DIRECTED_RULE_COUNT] = { DIRECTED_RULES(TEXT) };

/* An experiment's name, or, where it ends in a dot, the beginning of several. In a file of
 * accesses the name may go on behind a dot, with the part of the experiment they are of. */
static const struct {
    const char *name;
    directed_experiment *run;
} experiments[] = {
    { "latency", directed_latency_experiment },
    { "latency_pdt", directed_latency_process_experiment },
    { "misc.off_bare", directed_bare_experiment },
    { "throughput", directed_throughput_experiment },
    { "hit_under_miss", directed_hit_under_miss_experiment },
    { "queued_misses", directed_queued_misses_experiment },
    { "cq_fetch_concurrent_with_walk", directed_concurrent_fetch_experiment },
    { "fault.b2b_hit_faults", directed_fault_burst_experiment },
    { "fault.", directed_fault_experiment },
    { "cmd.", directed_command_experiment },
    { "plru", directed_replacement_experiment },
    { "mmio.back_to_back_writes", directed_register_experiment },
    { "inflight.", directed_sweep_experiment },
    { "inflight_hit.", directed_hit_sweep_experiment },
};

static directed_experiment *find(const char *name, bool accesses)
{
    for (size_t i = 0; i < sizeof experiments / sizeof *experiments; i++) {
        const size_t bytes = strlen(experiments[i].name);
        if (strncmp(name, experiments[i].name, bytes) != 0)
            continue;
        if (name[bytes] == '\0' || experiments[i].name[bytes - 1] == '.'
            || (accesses && name[bytes] == '.'))
            return experiments[i].run;
    }
    return NULL;
}

/* ---- The report ------------------------------------------------------------------------
 */

static struct directed_tally *tally_of(struct directed_report *r, const char *experiment)
{
    uint32_t i = 0;
    while (i < r->experiment_count && strcmp(r->experiment[i].name, experiment) != 0)
        i++;
    if (i == r->experiment_count) {
        CHECK(i < DIRECTED_EXPERIMENTS_MAX);
        CHECK(strlen(experiment) < sizeof r->experiment[i].name);
        strcpy(r->experiment[i].name, experiment);
        r->experiment_count++;
    }
    return &r->experiment[i].tally;
}

static void add(struct directed_tally *to, const struct directed_tally *t)
{
    to->rows += t->rows;
    to->agreed += t->agreed;
    to->disagreed += t->disagreed;
    for (unsigned i = 0; i < DIRECTED_RULE_COUNT; i++) {
        to->excluded[i] += t->excluded[i];
        to->partly[i] += t->partly[i];
    }
}

__attribute__((format(printf, 4, 5))) static void disagree(const struct directed_run *run,
                                                           struct directed_report *report,
                                                           const struct directed_row *row,
                                                           const char *format, ...)
{
    if (report->shown == DIRECTED_DISAGREEMENTS_MAX)
        return;
    char *const text = report->disagreement[report->shown++].text;
    const size_t max = sizeof report->disagreement[0].text;
    const int at     = snprintf(text, max, "%s, line %" PRIu64 ": %s: ", run->file->name,
                                row->line, row->experiment);
    va_list args;
    va_start(args, format);
    if (at > 0 && (size_t)at < max)
        vsnprintf(text + at, max - (size_t)at, format, args);
    va_end(args);
}

/* ---- Metrics ---------------------------------------------------------------------------
 */

static size_t length_without_space(const char *text)
{
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    return length;
}

static bool has_word(const char *text, const char *word, size_t bytes)
{
    for (const char *at = text; *at != '\0'; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (strncmp(at, word, bytes) == 0 && (at[bytes] == ' ' || at[bytes] == '\0'))
            return true;
    }
    return false;
}

static bool has_words(const char *text, const char *words)
{
    for (const char *at = words; *(at += strspn(at, " ")) != '\0'; at += strcspn(at, " "))
        if (!has_word(text, at, strcspn(at, " ")))
            return false;
    return true;
}

static bool note_agrees(const struct directed_row *row, const struct directed_measure *m)
{
    if (m->kind == DIRECTED_NOTE_ANY)
        return true;
    if (m->kind == DIRECTED_NOTE_WORDS)
        return has_words(row->note, m->note);
    const size_t length = length_without_space(row->note);
    return length == length_without_space(m->note)
           && memcmp(row->note, m->note, length) == 0;
}

static const struct directed_measure *measure_of(const struct directed_run *run,
                                                 const struct directed_row *row)
{
    for (size_t i = 0; i < run->measures; i++) {
        const struct directed_measure *const m = &run->measure[i];
        if (m->row == row || (m->row == NULL && strcmp(m->metric, row->metric) == 0))
            return m;
    }
    return NULL;
}

static bool compare_metric(const struct directed_run *run, const struct directed_row *row,
                           struct directed_report *report, struct directed_tally *tally)
{
    const struct directed_measure *const m = measure_of(run, row);
    if (m == NULL)
        return directed_fail(run, row, "%s: unknown metric '%s'", row->experiment,
                             row->metric);
    const bool ruled = m->rule != DIRECTED_NO_RULE;
    tally->rows++;
    if (m->value == row->value && note_agrees(row, m)) {
        tally->agreed++;
        if (ruled && m->partly)
            tally->partly[m->rule]++;
    } else if (ruled && !m->partly) {
        tally->excluded[m->rule]++;
    } else {
        tally->disagreed++;
        disagree(run, report, row, "%s: RTL %" PRId64 " '%.60s', model %" PRId64 " '%.60s'",
                 row->metric, row->value, row->note, m->value,
                 m->note == NULL ? "" : m->note);
    }
    return true;
}

/* ---- Accesses --------------------------------------------------------------------------
 */

static bool same_access(const struct directed_access *a, const struct directed_access *b)
{
    return a->write == b->write && a->engine == b->engine && a->beats == b->beats
           && a->presented == b->presented && a->accepted == b->accepted
           && a->data == b->data && a->last == b->last && strcmp(a->kind, b->kind) == 0;
}

static void access_text(const struct directed_access *a, char *out, size_t bytes)
{
    snprintf(out, bytes,
             "%c id %u %s x%u at %" PRId64 "/%" PRId64 ", data %" PRId64 "..%" PRId64,
             a->write ? 'W' : 'R', a->engine, a->kind, a->beats, a->presented, a->accepted,
             a->data, a->last);
}

static const struct directed_window *window_of(const struct directed_run *run,
                                               const char *experiment)
{
    for (size_t i = 0; i < run->windows; i++)
        if (strcmp(run->window[i].experiment, experiment) == 0)
            return &run->window[i];
    return NULL;
}

static void compare_access(const struct directed_run *run, const struct directed_row *row,
                           const struct directed_window *w, struct directed_report *report,
                           struct directed_tally *tally)
{
    char rtl[96], model[96] = "none";
    const size_t n = (size_t)(row - run->row);
    tally->rows++;
    if (n < w->count && same_access(&row->access, &w->access[n])) {
        tally->agreed++;
    } else if (w->rule != DIRECTED_NO_RULE && row->access.presented >= w->valid_below) {
        tally->excluded[w->rule]++;
    } else {
        tally->disagreed++;
        access_text(&row->access, rtl, sizeof rtl);
        if (n < w->count)
            access_text(&w->access[n], model, sizeof model);
        disagree(run, report, row, "access %zu: RTL %s, model %s", n, rtl, model);
    }
}

/* The model's accesses are as many as the RTL's, but for those that a rule leaves out. */
static void compare_count(const struct directed_run *run, const struct directed_window *w,
                          struct directed_report *report, struct directed_tally *tally)
{
    const struct directed_row *const last = &run->row[run->rows - 1];
    char model[96];
    if (w->count <= run->rows || w->access[run->rows].presented >= w->valid_below)
        return;
    tally->disagreed++;
    tally->agreed--; /* The last row's: it is not the last. */
    access_text(&w->access[run->rows], model, sizeof model);
    disagree(run, report, last, "the RTL's last access, model goes on with %s", model);
}

static bool compare_accesses(const struct directed_run *run, struct directed_report *report,
                             struct directed_tally *tally)
{
    const struct directed_window *const w = window_of(run, run->row->experiment);
    const uint64_t disagreed              = tally->disagreed;
    if (w == NULL)
        return directed_fail(run, run->row, "unknown experiment '%s'",
                             run->row->experiment);
    for (size_t i = 0; i < run->rows; i++) {
        if (run->row[i].index != i)
            return directed_fail(run, &run->row[i], "expected access %zu, got %" PRIu64, i,
                                 run->row[i].index);
        compare_access(run, &run->row[i], w, report, tally);
    }
    if (tally->disagreed == disagreed)
        compare_count(run, w, report, tally);
    return true;
}

/* ---- Files -----------------------------------------------------------------------------
 */

static bool compare(const struct directed_run *run, struct directed_report *report)
{
    struct directed_tally tally = { 0 };
    bool ok                     = true;
    if (run->file->accesses)
        ok = compare_accesses(run, report, &tally);
    else
        for (size_t i = 0; ok && i < run->rows; i++)
            ok = compare_metric(run, &run->row[i], report, &tally);
    add(tally_of(report, run->row->experiment), &tally);
    add(&report->all, &tally);
    return ok;
}

static void release(struct directed_run *run)
{
    for (size_t i = 0; i < run->measures; i++)
        free(run->measure[i].note);
    for (size_t i = 0; i < run->windows; i++)
        free(run->window[i].access);
    free(run->measure);
    free(run->window);
}

static bool check_scenario(struct directed_run *run, struct directed_report *report)
{
    directed_experiment *const experiment = find(run->row->experiment, run->file->accesses);
    if (experiment == NULL)
        return directed_fail(run, run->row, "unknown experiment '%s'",
                             run->row->experiment);
    const bool ok = experiment(run) && compare(run, report);
    release(run);
    return ok;
}

bool directed_is(const char *path)
{
    return directed_file_is(path);
}

bool directed_check(const char *path, const struct iommu_settings *settings,
                    struct directed_report *report, struct error *error)
{
    struct directed_file file;
    bool ok = directed_file_load(&file, path, error);
    for (size_t first = 0, n; ok && first < file.count; first += n) {
        n                       = directed_group(&file, first);
        struct directed_run run = { .file     = &file,
                                    .row      = &file.row[first],
                                    .rows     = n,
                                    .settings = settings,
                                    .error    = error };
        ok                      = check_scenario(&run, report);
    }
    report->files += ok;
    directed_file_free(&file);
    return ok;
}
