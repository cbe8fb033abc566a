/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_diff - explains the difference between two results.
 */
#include <math.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cause.h"
#include "sim/app/cmd.h"
#include "sim/app/difference.h"
#include "sim/app/option.h"
#include "sim/app/result.h"

struct diff_call {
    char *run, *top_text;
    uint64_t top;
};

/* "+12.3 %", "from 0"; 9 columns. */
static void put_change(double before, double after)
{
    char text[32];
    if (before == 0.0)
        snprintf(text, sizeof text, "from 0");
    else
        snprintf(text, sizeof text, "%+.2f %%", 100.0 * (after - before) / fabs(before));
    printf("%11s", text);
}

static void put_line(const char *name, double before, double after, const char *unit)
{
    printf("  %-32.32s %11.6g %11.6g", name, before, after);
    put_change(before, after);
    printf(" %.8s\n", unit);
}

static void put_metrics(const struct result_run *a, const struct result_run *b)
{
    bool any = false;
    for (unsigned i = 0; i < a->metrics; i++) {
        const struct result_metric *was = &a->metric[i];
        const struct result_metric *is  = result_metric_find(b, was->name);
        if (is == NULL || is->value == was->value)
            continue;
        if (!any)
            puts("metrics");
        any = true;
        put_line(was->name, was->value, is->value, was->unit);
    }
    if (!any)
        puts("no metric differs");
}

static void put_parts(const struct result_run *a, const struct result_run *b,
                      enum cause_kind kind, const char *heading, uint64_t top)
{
    struct cause cause = cause_find(a, b, kind);
    if (cause.parts > 0)
        puts(heading);
    for (unsigned i = 0; i < cause.parts && i < top; i++)
        put_line(cause.part[i].name, cause.part[i].before, cause.part[i].after,
                 cause.part[i].unit);
    if (cause.parts > top)
        printf("  ... and %u smaller ones (--top)\n", cause.parts - (unsigned)top);
    cause_free(&cause);
}

static void put_run(const struct diff_call *c, const struct result_run *a,
                    const struct result_run *b)
{
    if (strcmp(a->name, b->name) == 0)
        printf("\n%s\n", a->name);
    else
        printf("\n%s -> %s\n", a->name, b->name);
    put_metrics(a, b);
    put_parts(a, b, CAUSE_CYCLES, "CPU cycles, by owner and phase", c->top);
    put_parts(a, b, CAUSE_DEVICE, "time of a DMA, by step", c->top);
    put_parts(a, b, CAUSE_ACTIONS, "what API and policy did", c->top);
    put_parts(a, b, CAUSE_BLOCKS, "what the hardware did", c->top);
}

/* Runs of the same name; or the only one of each. */
static const struct result_run *
partner(const struct result *a, const struct result_run *run, const struct result *b)
{
    const struct result_run *other = result_find(b, run->name);
    if (other == NULL && a->runs == 1 && b->runs == 1)
        other = &b->run[0];
    return other;
}

static bool wanted(const struct diff_call *c, const struct result_run *run)
{
    return c->run == NULL || strstr(run->name, c->run) != NULL;
}

static unsigned put_configuration(const struct diff_call *c, const struct result *a,
                                  const struct result *b)
{
    struct differences d = { NULL, 0, 0 };
    unsigned pairs       = 0;
    for (unsigned i = 0; i < a->runs; i++) {
        const struct result_run *other = partner(a, &a->run[i], b);
        if (other == NULL || !wanted(c, &a->run[i]))
            continue;
        pairs++;
        differences_add(&d, &a->run[i], other, NULL);
    }
    if (pairs > 0 && strcmp(a->version, b->version) != 0)
        printf("iovasim %s -> %s\n", a->version, b->version);
    if (d.count > 0)
        puts("configuration");
    else if (pairs > 0)
        puts("the same configuration");
    differences_put(&d, pairs, "  ", stdout);
    differences_free(&d);
    return pairs;
}

static int diff(const struct diff_call *c, const struct result *a, const struct result *b)
{
    if (put_configuration(c, a, b) == 0)
        return command_fail(EXIT_USAGE, "%s and %s have no run in common%s", a->name,
                            b->name, c->run != NULL ? " that --run names" : "");
    for (unsigned i = 0; i < a->runs; i++) {
        const struct result_run *other = partner(a, &a->run[i], b);
        if (wanted(c, &a->run[i]) && other != NULL)
            put_run(c, &a->run[i], other);
    }
    return EXIT_FINE;
}

static int load_and_diff(struct diff_call *c, const char *const *path)
{
    struct error error;
    struct result a, b;
    if (path == NULL || path[0] == NULL || path[1] == NULL || path[2] != NULL)
        return command_fail(EXIT_USAGE, "diff: expected two results");
    if (!option_number("--top", c->top_text, 1, 1000000, &c->top, &error))
        return command_fail(EXIT_USAGE, "%s", error.text);
    if (!result_load(&a, path[0], &error))
        return command_fail(EXIT_INPUT, "%s", error.text);
    if (!result_load(&b, path[1], &error)) {
        result_free(&a);
        return command_fail(EXIT_INPUT, "%s", error.text);
    }
    const int status = diff(c, &a, &b);
    result_free(&a);
    result_free(&b);
    return status;
}

static int diff_run_command(int argc, const char **argv)
{
    struct diff_call c                = { NULL, NULL, 8 };
    const struct poptOption options[] = { { "run", 0, POPT_ARG_STRING, &c.run, 0,
                                            "Only runs whose name contains TEXT", "TEXT" },
                                          { "top", 0, POPT_ARG_STRING, &c.top_text, 0,
                                            "The largest changes of each kind (default 8)",
                                            "N" },
                                          POPT_AUTOHELP POPT_TABLEEND };
    poptContext context = poptGetContext("iovasim diff", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "[OPTION...] RESULT RESULT");
    int status = options_store(context);
    if (status == EXIT_FINE)
        status = load_and_diff(&c, poptGetArgs(context));
    free(c.run);
    free(c.top_text);
    poptFreeContext(context);
    return status;
}

const struct command cmd_diff = {
    .name    = "diff",
    .summary = "Explain two results: configuration, metrics, owners, steps",
    .run     = diff_run_command,
};
