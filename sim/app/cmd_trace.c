/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_trace - looks at trace files of any known format, and makes others of them.
 */
#include <inttypes.h>
#include <limits.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/trace_call.h"
#include "sim/app/trace_check.h"
#include "sim/app/trace_stats.h"
#include "sim/base/check.h"
#include "traces/export.h"
#include "traces/text.h"
#include "traces/trace.h"

/* stats */

static bool svg_write(const struct trace_call *call, const struct trace_stats *stats,
                      struct error *error)
{
    struct output out;
    if (!output_open(&out, call->svg, error))
        return false;
    trace_stats_svg(stats, call->file[0], out.stream);
    return output_finish(&out, error);
}

static int trace_stats_run(const struct trace_call *call)
{
    static struct trace_stats stats;
    struct trace_reader *reader;
    struct trace_record record;
    struct error error;
    int got = 0;

    if (!trace_call_open(call, call->file[0], &reader, &error))
        return command_fail(EXIT_INPUT, "%s", error.text);
    trace_stats_init(&stats);
    while (stats.records < call->limit && !command_interrupted()
           && (got = trace_next(reader, &record, &error)) == 1)
        trace_stats_add(&stats, &record);
    trace_close(reader);
    if (command_interrupted())
        return EXIT_STOPPED;
    if (got < 0)
        return command_fail(EXIT_INPUT, "%s", error.text);
    if (call->svg != NULL && !svg_write(call, &stats, &error))
        return command_fail(EXIT_USAGE, "%s", error.text);
    trace_stats_print(&stats, stdout);
    return EXIT_FINE;
}

/* validate */

static bool file_validate(const struct trace_call *call, const char *path)
{
    struct trace_reader *reader;
    struct trace_record record;
    struct error error;
    uint64_t records = 0;
    int got;

    if (!trace_call_open(call, path, &reader, &error)) {
        printf("%s\n", error.text);
        return false;
    }
    while ((got = trace_next(reader, &record, &error)) == 1 && !command_interrupted())
        records++;
    if (got == 0)
        printf("%s: ok, %" PRIu64 " records, %s\n", path, records,
               trace_about(reader)->format);
    else if (got < 0)
        printf("%s\n", error.text);
    trace_close(reader);
    return got == 0;
}

static int trace_validate(const struct trace_call *call)
{
    bool good = true;
    for (const char **file = call->file; *file != NULL && !command_interrupted(); file++)
        good = file_validate(call, *file) && good;
    if (command_interrupted())
        return EXIT_STOPPED;
    return good ? EXIT_FINE : EXIT_INPUT;
}

/* check */

static int trace_check_recordings(const struct trace_call *call)
{
    const char *const release = call->release_set ? call->config.kernel.release : NULL;
    const struct trace_check_call check = { .config = &call->config,
                                            .chosen = { release, call->policy },
                                            .json   = call->json != 0,
                                            .show   = (unsigned)call->show };
    if (call->policy != NULL && !trace_check_has_mode(call->policy))
        return command_fail(EXIT_USAGE,
                            "--policy: expected strict, lazy or passthrough, got '%s'",
                            call->policy);
    return trace_check_command(&check, call->file);
}

enum { TAKES_COPY = TAKES_FROM | TAKES_TO | TAKES_LIMIT | TAKES_NOTE };

static const struct subcommand subcommands[] = {
    { "info", "FILE", "What a trace holds, in numbers", TAKES_FROM | TAKES_JSON, 1, 1,
      trace_info },
    { "stats", "FILE", "Sizes, alignment, gaps, requests in flight, reuse",
      TAKES_FROM | TAKES_LIMIT | TAKES_SVG, 1, 1, trace_stats_run },
    { "cat", "FILE", "Prints the records, one line each",
      TAKES_FROM | TAKES_JSON | TAKES_LIMIT, 1, 1, trace_cat },
    { "convert", "IN... OUT", "Writes a trace in another format", TAKES_COPY, 2, INT_MAX,
      trace_convert },
    { "cut", "IN OUT", "Takes a part of a trace", TAKES_COPY | TAKES_CUT, 2, 2,
      trace_convert },
    { "merge", "IN... OUT", "Joins traces by time, each with its own devices", TAKES_COPY,
      2, INT_MAX, trace_merge },
    { "scale", "IN OUT", "Makes a trace slower or faster", TAKES_COPY | TAKES_SCALE, 2, 2,
      trace_convert },
    { "anonymise", "IN OUT", "Hides places, memory and notes, but not how they relate",
      TAKES_COPY | TAKES_SEED, 2, 2, trace_convert },
    { "validate", "FILE...", "Reads traces to their ends: one line for each", TAKES_FROM, 1,
      INT_MAX, trace_validate },
    { "check", "PATH...", "Our driver's mappings against those of a recorded kernel",
      TAKES_CHECK | TAKES_JSON, 1, INT_MAX, trace_check_recordings },
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

enum { NOTE_VALUE = 'n', SET_VALUE = 's', OPTIONS_MAX = 16 };

/* The options that the subcommand takes, and --help. */
static void options_fill(struct trace_call *call, struct poptOption out[OPTIONS_MAX])
{
    const struct {
        unsigned takes;
        struct poptOption option;
    } all[] = {
        { TAKES_FROM,
          { "from", 0, POPT_ARG_STRING, &call->from, 0,
            "Do not look at the content for the format", "FORMAT" } },
        { TAKES_TO,
          { "to", 0, POPT_ARG_STRING, &call->to, 0,
            "native (default), csv, fio or blkparse", "FORMAT" } },
        { TAKES_JSON, { "json", 0, POPT_ARG_NONE, &call->json, 0, "Print JSON", NULL } },
        { TAKES_CUT,
          { "skip", 0, POPT_ARG_STRING, &call->skip_text, 0,
            "Leave out the first N records", "N" } },
        { TAKES_CUT,
          { "begin", 0, POPT_ARG_STRING, &call->begin_text, 0,
            "Leave out what was issued before", "NS" } },
        { TAKES_CUT,
          { "end", 0, POPT_ARG_STRING, &call->end_text, 0,
            "Leave out what was issued then or later", "NS" } },
        { TAKES_CUT,
          { "device", 0, POPT_ARG_STRING, &call->device_text, 0, "Only this device",
            "N" } },
        { TAKES_CUT,
          { "cpu", 0, POPT_ARG_STRING, &call->cpu_text, 0, "Only what this CPU issued",
            "N" } },
        { TAKES_SCALE,
          { "time", 0, POPT_ARG_STRING, &call->factor_text, 0,
            "Times become so many times as long: 0.5 is twice as fast", "FACTOR" } },
        { TAKES_FROM,
          { "set", 0, POPT_ARG_STRING, NULL, SET_VALUE,
            "A parameter of a generator (gen:NAME); repeatable", "KEY=VALUE" } },
        { TAKES_CHECK,
          { "set", 0, POPT_ARG_STRING, NULL, SET_VALUE,
            "A parameter of the machine, as linux.release (default: the recording's); "
            "repeatable",
            "KEY=VALUE" } },
        { TAKES_CHECK,
          { "policy", 0, POPT_ARG_STRING, &call->policy, 0,
            "The recorded mode: strict, lazy or passthrough (default: the recording's)",
            "NAME" } },
        { TAKES_CHECK,
          { "show", 0, POPT_ARG_STRING, &call->show_text, 0,
            "How many differences of each recording to show (default 5)", "N" } },
        { TAKES_FROM,
          { "seed", 0, POPT_ARG_STRING, &call->seed_text, 0,
            call->sub->takes & TAKES_SEED
                ? "The secret that the change depends on; and of a generator"
                : "Seed of a generator (default 0)",
            "N" } },
        { TAKES_SVG,
          { "svg", 0, POPT_ARG_STRING, &call->svg, 0,
            "Draw the picture into a file as well", "FILE" } },
        { TAKES_LIMIT,
          { "limit", 0, POPT_ARG_STRING, &call->limit_text, 0, "Stop after N records",
            "N" } },
        { TAKES_NOTE,
          { "note", 0, POPT_ARG_STRING, NULL, NOTE_VALUE,
            "Add a note, or replace one; repeatable", "KEY=VALUE" } },
    };
    const struct poptOption tail[] = { POPT_AUTOHELP POPT_TABLEEND };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        if (call->sub->takes & all[i].takes)
            *out++ = all[i].option;
    memcpy(out, tail, sizeof tail);
}

static bool note_take(struct trace_call *call, char *text, struct error *error)
{
    char *const equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return error_set(error, "--note: expected KEY=VALUE, got '%s'", text);
    *equals = '\0';
    trace_about_note(&call->notes, text, equals + 1);
    return true;
}

static bool option_taken(void *self, int option, char *text, struct error *error)
{
    struct trace_call *call = self;
    call->release_set |= strncmp(text, "linux.release=", 14) == 0;
    const bool good = option == NOTE_VALUE ? note_take(call, text, error)
                                           : config_set(&call->config, text, error)
                                                 || error_in(error, "--set");
    free(text);
    return good;
}

static bool files_take(struct trace_call *call, poptContext context)
{
    static const char *none[] = { NULL };
    int count                 = 0;

    call->file = poptGetArgs(context);
    if (call->file == NULL)
        call->file = none;
    while (call->file[count] != NULL)
        count++;
    if (count >= call->sub->files_min && count <= call->sub->files_max)
        return true;
    command_fail(EXIT_USAGE, "trace %s: expected %s, got %d argument%s", call->sub->name,
                 call->sub->usage, count, count == 1 ? "" : "s");
    return false;
}

static bool exporter_take(struct trace_call *call)
{
    const char *const name = call->to != NULL ? call->to : "native";
    for (const struct trace_exporter *const *e = export_table; *e != NULL; e++)
        if (strcmp((*e)->name, name) == 0)
            call->exporter = *e;
    if (call->exporter != NULL)
        return true;
    command_fail(EXIT_USAGE, "--to: expected native, csv, fio or blkparse, got '%s'", name);
    return false;
}

/* "0.5" as millionths. */
static bool factor_take(struct trace_call *call, struct error *error)
{
    const char *at = call->factor_text;
    if (!(call->sub->takes & TAKES_SCALE))
        return true;
    if (at == NULL)
        return error_set(error, "trace scale: expected --time FACTOR");
    if (text_decimal(&at, 1000000, &call->millionths) && *at == '\0'
        && call->millionths >= 1 && call->millionths <= UINT64_C(1000000000000))
        return true;
    return error_set(error, "--time: expected 0.000001 to 1000000, got '%s'",
                     call->factor_text);
}

static bool numbers_take(struct trace_call *call, struct error *error)
{
    call->cut =
        (struct edit_cut){ .end_ns = UINT64_MAX, .device = UINT64_MAX, .cpu = UINT64_MAX };
    return option_number("--limit", call->limit_text, 0, OPTION_NO_MOST, &call->limit,
                         error)
           && option_number("--skip", call->skip_text, 0, OPTION_NO_MOST, &call->cut.skip,
                            error)
           && option_number("--begin", call->begin_text, 0, OPTION_NO_MOST,
                            &call->cut.begin_ns, error)
           && option_number("--end", call->end_text, 0, OPTION_NO_MOST, &call->cut.end_ns,
                            error)
           && option_number("--device", call->device_text, 0, TRACE_DEVICES_MAX - 1,
                            &call->cut.device, error)
           && option_number("--cpu", call->cpu_text, 0, TRACE_CPUS_MAX - 1, &call->cut.cpu,
                            error)
           && option_number("--show", call->show_text, 0, CHECK_DIFFERENCES_MAX,
                            &call->show, error)
           && option_number("--seed", call->seed_text, 0, OPTION_NO_MOST, &call->seed,
                            error)
           && factor_take(call, error);
}

/* Fills call in; the files live as long as context. False with a line printed. */
static bool arguments_take(struct trace_call *call, poptContext context)
{
    struct error error;
    if (!options_read(context, option_taken, call, &error) || !numbers_take(call, &error)
        || !config_check(&call->config, &error)) {
        command_fail(EXIT_USAGE, "%s", error.text);
        return false;
    }
    return exporter_take(call) && files_take(call, context);
}

static int subcommand_run(const struct subcommand *sub, int argc, const char **argv)
{
    struct trace_call call = { .sub = sub, .limit = UINT64_MAX, .show = 5 };
    struct poptOption options[OPTIONS_MAX];
    struct error error;
    char name[64], usage[64];

    CHECK(
        config_init(&call.config, sub->takes & TAKES_CHECK ? "vtd-server" : NULL, &error));
    options_fill(&call, options);
    snprintf(name, sizeof name, "iovasim trace %s", sub->name);
    snprintf(usage, sizeof usage, "[OPTION...] %s", sub->usage);
    argv[0]             = name; /* For the usage line of --help. */
    poptContext context = poptGetContext(NULL, argc, argv, options, 0);
    CHECK(context != NULL);
    poptSetOtherOptionHelp(context, usage);

    const int status = arguments_take(&call, context) ? sub->run(&call) : EXIT_USAGE;
    if (status == EXIT_STOPPED)
        command_fail(status, "interrupted");
    char *const text[] = { call.from,        call.to,         call.svg,
                           call.skip_text,   call.begin_text, call.end_text,
                           call.device_text, call.cpu_text,   call.factor_text,
                           call.seed_text,   call.limit_text, call.show_text,
                           call.policy };
    for (unsigned i = 0; i < sizeof text / sizeof text[0]; i++)
        free(text[i]);
    config_free(&call.config);
    poptFreeContext(context);
    return status;
}

static void usage_print(FILE *out)
{
    fprintf(out, "Usage: iovasim trace SUBCOMMAND [OPTION...] FILE...\n\n");
    for (unsigned i = 0; i < SUBCOMMANDS; i++)
        fprintf(out, "  %-9s %-9s %s\n", subcommands[i].name, subcommands[i].usage,
                subcommands[i].summary);
    fprintf(out, "\n`iovasim trace SUBCOMMAND --help` lists the options.\n");
}

static int trace_run(int argc, const char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        usage_print(stdout);
        return EXIT_FINE;
    }
    for (unsigned i = 0; argc >= 2 && i < SUBCOMMANDS; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommand_run(&subcommands[i], argc - 1, argv + 1);
    if (argc >= 2)
        command_fail(EXIT_USAGE, "trace has no subcommand '%s'", argv[1]);
    usage_print(stderr);
    return EXIT_USAGE;
}

const struct command cmd_trace = {
    .name    = "trace",
    .summary = "Look at trace files, check them, and make others of them",
    .run     = trace_run,
};
