/* SPDX-License-Identifier: Apache-2.0 */
/* compare_report - a comparison of flush policies as a table and as CSV. */
#include <libsmartcols/libsmartcols.h>
#include <math.h>
#include <string.h>

#include "sim/app/compare.h"
#include "sim/app/text.h"

/* Three digits and a letter for thousands, at most five characters. */
static void figure(char *text, size_t room, double value)
{
    if (isinf(value)) {
        snprintf(text, room, "all");
        return;
    }
    const char letter = text_thousands(&value);
    const int digits  = value == 0.0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, room, letter == 0 ? "%.*f" : "%.*f%c", digits, value, letter);
}

static const char *promise_word(enum flush_promise promise)
{
    switch (promise) {
    case PROMISE_NOTHING_STALE:
        return "never";
    case PROMISE_BOUNDED_TIME:
        return "time";
    case PROMISE_BOUNDED_COUNT:
        return "count";
    case PROMISE_BOUNDED_BYTES:
        return "bytes";
    case PROMISE_POOL_ONLY:
        return "pool";
    case PROMISE_NONE:
        return "any";
    }
    UNREACHABLE("a promise is one of these");
}

/* Stale accesses, and those of a hostile device that reached something else by no right. */
static double wrong_accesses(const struct compare_job *j)
{
    const struct audit_stats *a = &j->result.counters.audit;
    return (double)(a->stale_access + a->hostile_access_pool + a->hostile_access_other
                    + a->hostile_access_untranslated);
}

static double refills_per_io(const struct compare_job *j)
{
    return (j->metric[METRIC_ID_collateral_refills]
            + j->metric[METRIC_ID_collateral_pointer_refills])
           / j->metric[METRIC_ID_ios];
}

enum { COLUMNS_OF_FIGURES = 10 };
static const char *const heading[COLUMNS_OF_FIGURES] = { "kIOPS", "cycles", "us",    "inv",
                                                         "fill",  "held",   "reuse", "pool",
                                                         "max",   "wrong" };

static void figures_of(const struct compare_job *j, double *value)
{
    const double *m                       = j->metric;
    const double list[COLUMNS_OF_FIGURES] = {
        m[METRIC_ID_iops] / 1000.0,
        m[METRIC_ID_cpu_cycles_per_io],
        m[METRIC_ID_io_latency_ns_p50] / 1000.0,
        m[METRIC_ID_invalidations_per_io],
        refills_per_io(j),
        m[METRIC_ID_exposure_held_page_us_per_io],
        j->result.translates ? m[METRIC_ID_exposure_reuse_page_us_per_io] : INFINITY,
        m[METRIC_ID_pool_page_us_per_io],
        j->result.translates ? m[METRIC_ID_exposure_us_max] : INFINITY,
        wrong_accesses(j),
    };
    memcpy(value, list, sizeof list);
}

static void row(struct libscols_table *table, const struct compare_job *j)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    char text[32];
    double value[COLUMNS_OF_FIGURES];
    size_t at = 0;
    snprintf(text, sizeof text, "%s%s", j->cheap ? "c" : " ", j->fast ? "t" : " ");
    CHECK(scols_line_set_data(line, at++, text) == 0);
    CHECK(scols_line_set_data(line, at++, j->policy->name) == 0);
    figures_of(j, value);
    for (unsigned i = 0; i < COLUMNS_OF_FIGURES; i++) {
        const bool whole =
            i == 1 /* Cycles are compared to the last digit, */
            || (i == COLUMNS_OF_FIGURES - 1 && value[i] < 1000.0); /* a count. */
        if (whole)
            snprintf(text, sizeof text, "%.0f", value[i]);
        else
            figure(text, sizeof text, value[i]);
        CHECK(scols_line_set_data(line, at++, text) == 0);
    }
    CHECK(scols_line_set_data(line, at, promise_word(j->result.promise)) == 0);
    if (j->cheap || j->fast)
        CHECK(scols_line_set_color(line, "green") == 0);
    if (wrong_accesses(j) > 0.0)
        CHECK(scols_cell_set_color(scols_line_get_cell(line, at - 1), "red") == 0);
}

static void column(struct libscols_table *table, const char *name, int flags)
{
    struct libscols_column *c = scols_table_new_column(table, name, 0, flags);
    CHECK(c != NULL);
    CHECK(scols_cell_set_color(scols_column_get_header(c), "bold") == 0);
}

static void rows(struct compare_job *const *job, unsigned jobs, FILE *out, bool colour)
{
    struct libscols_table *table = scols_new_table();
    CHECK(table != NULL);
    scols_table_set_stream(table, out);
    scols_table_enable_colors(table, colour);
    scols_table_set_termforce(table, SCOLS_TERMFORCE_ALWAYS);
    scols_table_set_termwidth(table, 80);
    scols_table_set_column_separator(table, " ");
    column(table, "", 0);
    column(table, "policy", 0);
    for (unsigned i = 0; i < COLUMNS_OF_FIGURES; i++)
        column(table, heading[i], SCOLS_FL_RIGHT);
    column(table, "stale", 0);
    for (unsigned i = 0; i < jobs; i++)
        if (job[i]->outcome == MACHINE_RAN)
            row(table, job[i]);
    scols_print_table(table);
    fputc('\n', out);
    scols_unref_table(table);
}

static void others(struct compare_job *const *job, unsigned jobs, FILE *out)
{
    bool any = false;
    for (unsigned i = 0; i < jobs; i++) {
        const struct compare_job *j = job[i];
        if (j->outcome == MACHINE_RAN && j->result.broken.text[0] != '\0')
            fprintf(out, "%s breaks, as %s%s: %s\n", j->policy->name,
                    j->result.negative ? "a negative control must"
                                       : "this hardware lets it by ",
                    j->result.negative ? "" : j->result.leak, j->result.broken.text);
        else if (j->outcome != MACHINE_RAN)
            fprintf(out, "%s %s: %s\n", j->policy->name,
                    j->outcome == MACHINE_BROKEN ? "failed its check" : "did not run",
                    j->error.text);
        else
            continue;
        any = true;
    }
    if (any)
        fputc('\n', out);
}

void compare_table(struct compare_job *const *job, unsigned jobs, FILE *out, bool colour)
{
    rows(job, jobs, out, colour);
    /* clang-format off */
    fputs("Per I/O: cycles, CPU cycles that were not idle; inv, invalidations; fill,\n"
          "refills of entries that an invalidation dropped though they were of use; in\n"
          "page-microseconds of pages given back that the device could reach: held, while\n"
          "they were kept from other use; reuse, when they could hold other data; and pool,\n"
          "of pages that stay mapped by design. us: median latency. max: longest that a\n"
          "page given back was reachable, us. wrong: device accesses that went through\n"
          "without a right to. stale: what the policy allows of those to pages given back:\n"
          "never any, within a bounded time, count of unmaps or bytes, to pools alone, any.\n"
          "c, t: no other is better in reach (held + reuse + pool) and as good in cycles,\n"
          "in throughput, or the other way round.\n\n", out);
    /* clang-format on */
    others(job, jobs, out);
}

void compare_csv(struct compare_job *const *job, unsigned jobs, FILE *out)
{
    fputs("policy,promise,best_cycles,best_throughput,reach_page_us_per_io", out);
    for (unsigned m = 0; m < METRIC_COUNT; m++)
        fprintf(out, ",%s", metric_def[m].name);
    fputc('\n', out);
    for (unsigned i = 0; i < jobs; i++) {
        const struct compare_job *j = job[i];
        if (j->outcome != MACHINE_RAN)
            continue;
        fprintf(out, "%s,%s,%d,%d,%.6g", j->policy->name,
                flush_promise_text(j->result.promise), j->cheap, j->fast, compare_reach(j));
        for (unsigned m = 0; m < METRIC_COUNT; m++)
            fprintf(out, ",%.9g", j->metric[m]);
        fputc('\n', out);
    }
}
