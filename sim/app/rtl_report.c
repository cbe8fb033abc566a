/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/rtl_report.h"

#include <inttypes.h>
#include <string.h>

#include "sim/app/terminal.h"

static void add(struct rtl_tally *sum, const struct rtl_tally *part)
{
    sum->rows += part->rows;
    for (unsigned v = 0; v < RTL_VERDICTS; v++)
        sum->verdict[v] += part->verdict[v];
}

void rtl_totals_add(struct rtl_totals *totals, const struct rtl_report *report)
{
    add(&totals->requests, &report->requests);
    add(&totals->commands, &report->commands);
    add(&totals->faults, &report->faults);
}

void rtl_totals_add_directed(struct rtl_totals *totals, const struct directed_tally *tally)
{
    struct directed_tally *sum = &totals->directed;
    sum->rows += tally->rows;
    sum->agreed += tally->agreed;
    sum->disagreed += tally->disagreed;
    for (unsigned r = 0; r < DIRECTED_RULE_COUNT; r++) {
        sum->excluded[r] += tally->excluded[r];
        sum->partly[r] += tally->partly[r];
    }
}

bool rtl_totals_agree(const struct rtl_totals *t)
{
    return t->directed.disagreed == 0 && t->requests.verdict[RTL_disagrees] == 0
           && t->commands.verdict[RTL_disagrees] == 0
           && t->faults.verdict[RTL_disagrees] == 0;
}

/* Never rounded up to 100. */
static double share(uint64_t agree, uint64_t rows)
{
    if (rows == 0)
        return 100.0;
    const double exact = 100.0 * (double)agree / (double)rows;
    return agree < rows && exact > 99.99 ? 99.99 : exact;
}

enum { NAME_WIDTH = 34 };

void rtl_report_heading(FILE *out)
{
    fprintf(out, "%-*s %9s %8s %8s %8s %8s\n", NAME_WIDTH, "", "rows", "agree", "%",
            "excluded", "disagree");
}

static void print_line(FILE *out, const char *name, const char *what, uint64_t rows,
                       uint64_t agree, uint64_t disagree)
{
    char label[512];
    snprintf(label, sizeof label, "%s%s%s", name, name[0] == '\0' ? "  " : " ", what);
    if (strlen(label) > NAME_WIDTH) { /* On a line of its own. */
        fprintf(out, "%s\n", label);
        label[0] = '\0';
    }
    fprintf(out, "%-*s %9" PRIu64 " %8" PRIu64 " %8.2f %8" PRIu64 " %8" PRIu64 "\n",
            NAME_WIDTH, label, rows, agree, share(agree, rows), rows - agree - disagree,
            disagree);
}

static void print_tally(FILE *out, const char *name, const char *what,
                        const struct rtl_tally *t)
{
    print_line(out, name, what, t->rows, t->verdict[RTL_agrees], t->verdict[RTL_disagrees]);
    for (unsigned v = RTL_disagrees + 1; v < RTL_VERDICTS; v++)
        if (t->verdict[v] != 0)
            terminal_wrapf(out, 0, 4, "%" PRIu64 " %s: %s", t->verdict[v],
                           rtl_verdict_name[v], rtl_verdict_text[v]);
}

/* A part that a rule leaves out of a row is said, too. */
static void print_directed(FILE *out, const char *name, const struct directed_tally *t)
{
    print_line(out, name, "rows", t->rows, t->agreed, t->disagreed);
    for (unsigned r = 0; r < DIRECTED_RULE_COUNT; r++) {
        if (t->excluded[r] != 0)
            terminal_wrapf(out, 0, 4, "%" PRIu64 " %s: %s", t->excluded[r],
                           directed_rule_name[r], directed_rule_text[r]);
        if (t->partly[r] != 0)
            terminal_wrapf(out, 0, 4, "%" PRIu64 " in part %s: %s", t->partly[r],
                           directed_rule_name[r], directed_rule_text[r]);
    }
}

void rtl_report_print(FILE *out, const char *name, const struct rtl_totals *t)
{
    if (t->requests.rows != 0)
        print_tally(out, name, "requests", &t->requests);
    if (t->commands.rows != 0)
        print_tally(out, "", "commands", &t->commands);
    if (t->faults.rows != 0)
        print_tally(out, "", "fault records", &t->faults);
    if (t->directed.rows != 0)
        print_directed(out, name, &t->directed);
}

static json_t *tally_json(const struct rtl_tally *t)
{
    json_t *o        = json_object();
    json_t *by_rules = json_object();
    json_object_set_new(o, "rows", json_integer((json_int_t)t->rows));
    json_object_set_new(o, "agree", json_integer((json_int_t)t->verdict[RTL_agrees]));
    json_object_set_new(o, "disagree", json_integer((json_int_t)t->verdict[RTL_disagrees]));
    for (unsigned v = RTL_disagrees + 1; v < RTL_VERDICTS; v++)
        json_object_set_new(by_rules, rtl_verdict_name[v],
                            json_integer((json_int_t)t->verdict[v]));
    json_object_set_new(o, "excluded", by_rules);
    return o;
}

static json_t *directed_json(const struct directed_tally *t)
{
    json_t *o = json_object(), *excluded = json_object(), *partly = json_object();
    json_object_set_new(o, "rows", json_integer((json_int_t)t->rows));
    json_object_set_new(o, "agree", json_integer((json_int_t)t->agreed));
    json_object_set_new(o, "disagree", json_integer((json_int_t)t->disagreed));
    for (unsigned r = 0; r < DIRECTED_RULE_COUNT; r++) {
        json_object_set_new(excluded, directed_rule_name[r],
                            json_integer((json_int_t)t->excluded[r]));
        json_object_set_new(partly, directed_rule_name[r],
                            json_integer((json_int_t)t->partly[r]));
    }
    json_object_set_new(o, "excluded", excluded);
    json_object_set_new(o, "in_part", partly);
    return o;
}

json_t *rtl_report_json(const char *name, const struct rtl_totals *t)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(name));
    json_object_set_new(o, "requests", tally_json(&t->requests));
    json_object_set_new(o, "commands", tally_json(&t->commands));
    json_object_set_new(o, "faults", tally_json(&t->faults));
    json_object_set_new(o, "directed", directed_json(&t->directed));
    return o;
}
