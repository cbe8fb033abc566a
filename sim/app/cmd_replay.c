/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_replay - replays traces through the DMA APIs under flush policies, and compares.
 */
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/drawing.h"
#include "sim/app/experiment.h"
#include "sim/app/option.h"
#include "sim/app/report.h"
#include "sim/app/terminal.h"

enum { OPTION_SET = 1 };

struct replay_call {
    struct experiment *experiment;
    struct report_files files;
    struct drawing drawing;
    const char **set; /* What experiment->set shows. */
};

static bool write_files(struct replay_call *c)
{
    struct experiment *e = c->experiment;
    struct result result;
    if (c->files.files == 0)
        return true;
    e->status = EXIT_USAGE;
    if (!result_adopt(&result, comparison_document(&e->comparison), "result", &e->error))
        return false;
    const bool written = report_files_write(&c->files, &result, &e->error);
    result_free(&result);
    return written;
}

static bool run(struct replay_call *c)
{
    struct experiment *e = c->experiment;
    const bool ran       = drawing_begin(&c->drawing, e) && experiment_run(e);
    const bool drawn     = drawing_finish(&c->drawing, ran, &e->error);
    if (ran && !drawn)
        e->status = EXIT_USAGE;
    return drawn;
}

static bool replay(struct replay_call *c)
{
    struct experiment *e = c->experiment;
    if (!experiment_parse(e) || !experiment_open(e) || !run(c) || !write_files(c))
        return false;
    e->status = EXIT_FINE;
    if (!report_files_to_stdout(&c->files))
        comparison_table(&e->comparison, stdout, terminal_colours(stdout));
    return experiment_clean(e);
}

static bool take_option(void *self, int option, char *text, struct error *error)
{
    struct replay_call *c = self;
    struct experiment *e  = c->experiment;
    if (option != OPTION_SET)
        return report_files_take(&c->files, option, text, error);
    c->set[e->sets++] = text;
    return true;
}

static void release(struct replay_call *c)
{
    const struct experiment_words w = c->experiment->words;
    const char *const text[]        = { w.preset,       w.api,
                                        w.policy,       w.cpus,
                                        w.limit,        w.seed,
                                        w.host,         w.run_ahead,
                                        w.progress,     c->drawing.timeline,
                                        c->drawing.vcd, c->drawing.window_text };
    for (unsigned i = 0; i < c->experiment->sets; i++)
        free((char *)c->set[i]);
    free(c->set);
    for (unsigned i = 0; i < sizeof text / sizeof text[0]; i++)
        free((char *)text[i]);
    report_files_free(&c->files);
    experiment_free(c->experiment);
}

static int replay_run_command(int argc, const char **argv)
{
    struct replay_call c       = { .experiment = experiment_new() };
    struct experiment *e       = c.experiment;
    struct experiment_words *w = &e->words;
    int attacker               = 0;
    c.set                      = calloc((size_t)argc + 1, sizeof *c.set);
    CHECK(c.set != NULL);
    e->set                            = c.set;
    const struct poptOption options[] = {
        { "preset", 0, POPT_ARG_STRING, &w->preset, 0, "Machines (default vtd-server)",
          "LIST" },
        { "set", 0, POPT_ARG_STRING, NULL, OPTION_SET, "One parameter; may be given again",
          "KEY=VALUE" },
        { "api", 0, POPT_ARG_STRING, &w->api, 0,
          "iova, streaming, sg, both or all (default)", "LIST" },
        { "policy", 0, POPT_ARG_STRING, &w->policy, 0,
          "Flush policies (default strict,lazy,passthrough)", "LIST" },
        { "policies", 0, POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &w->policy, 0, NULL,
          NULL }, /* As compare has it. */
        { "attacker", 0, POPT_ARG_NONE, &attacker, 0,
          "A hostile device beside each drive and NIC (attacker.*)", NULL },
        { "cpus", 0, POPT_ARG_STRING, &w->cpus, 0,
          "Simulated CPUs, 1 to 64 (default: as recorded)", "N" },
        { "limit", 0, POPT_ARG_STRING, &w->limit, 0,
          "Records to replay, at least 1 (default: all)", "N" },
        REPORT_FILES_OPTIONS,
        { "timeline", 0, POPT_ARG_STRING, &c.drawing.timeline, 0,
          "Draw the runs there, for ui.perfetto.dev", "FILE" },
        { "vcd", 0, POPT_ARG_STRING, &c.drawing.vcd, 0,
          "Write the IOMMUs' signals of one run there, for GTKWave", "FILE" },
        { "timeline-window", 0, POPT_ARG_STRING, &c.drawing.window_text, 0,
          "What of the replay both show (default 200us)", "[FROM+]LENGTH|all" },
        { "seed", 0, POPT_ARG_STRING, &w->seed, 0, "Seed of everything random (default 0)",
          "N" },
        { "progress", 0, POPT_ARG_STRING, &w->progress, 0,
          "auto (on a terminal), always or never", "WHEN" },
        { "host", 0, POPT_ARG_STRING, &w->host, 0,
          "systemc (default) or direct: the same result", "NAME" },
        { "run-ahead", 0, POPT_ARG_STRING, &w->run_ahead, 0,
          "on (default) or off: the same result, slower", "on|off" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim replay", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "[OPTION...] TRACE...");
    e->status       = EXIT_USAGE;
    const bool read = options_read(context, take_option, &c, &e->error);
    e->trace        = poptGetArgs(context);
    w->attacker     = attacker ? "on" : NULL;
    if (read && e->trace == NULL)
        error_set(&e->error, "replay: expected a trace; `iovasim replay --help` explains");
    else if (read)
        replay(&c);
    const int status =
        e->status == EXIT_FINE ? EXIT_FINE : command_fail(e->status, "%s", e->error.text);
    release(&c);
    poptFreeContext(context);
    return status;
}

const struct command cmd_replay = {
    .name    = "replay",
    .summary = "Replay traces through the DMA APIs under flush policies",
    .run     = replay_run_command,
};
