/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_report - makes a page with charts of results, of a sweep, or of what changed against
 * a baseline.
 */
#include <popt.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/html.h"
#include "sim/app/option.h"
#include "sim/app/output.h"

struct report_call {
    char *html, *baseline;
    struct result result[HTML_RESULTS_MOST], before;
    json_t *labels[HTML_RESULTS_MOST];
    struct html_input input;
    struct error error;
};

/* A sweep's database says so in its first bytes; anything else is to be a result. */
static bool is_database(const char *path)
{
    static const char magic[] = "SQLite format 3";
    char begin[sizeof magic]  = "";
    FILE *in                  = strcmp(path, "-") == 0 ? NULL : fopen(path, "r");
    if (in == NULL)
        return false;
    const size_t got = fread(begin, 1, sizeof begin, in);
    fclose(in);
    return got == sizeof begin && memcmp(begin, magic, sizeof magic) == 0;
}

static bool load_all(struct report_call *c, const char *const *path)
{
    struct html_input *in = &c->input;
    for (; *path != NULL; path++) {
        const unsigned n = in->results;
        if (n == HTML_RESULTS_MOST)
            return error_set(&c->error, "%s: more than %d results", *path,
                             HTML_RESULTS_MOST);
        const bool loaded =
            is_database(*path)
                ? html_load_sweep(&c->result[n], &c->labels[n], *path, &c->error)
                : result_load(&c->result[n], *path, &c->error);
        if (!loaded)
            return false;
        in->result[n] = &c->result[n];
        in->labels[n] = c->labels[n];
        in->results++;
    }
    return true;
}

static int write_page(struct report_call *c)
{
    struct output o;
    if (!output_open(&o, c->html, &c->error))
        return EXIT_USAGE;
    html_write(html_view(&c->input), o.stream);
    return output_finish(&o, &c->error) ? EXIT_FINE : EXIT_USAGE;
}

static int write_against_baseline(struct report_call *c)
{
    struct gate_config config;
    struct gate gate;
    if (!result_load(&c->before, c->baseline, &c->error))
        return EXIT_INPUT;
    gate_config_init(&config);
    gate_judge(&gate, &config, &c->before, &c->result[0]);
    c->input.gate    = &gate;
    const int status = write_page(c);
    gate_free(&gate);
    gate_config_free(&config);
    result_free(&c->before);
    return status;
}

static int report(struct report_call *c, const char *const *path)
{
    if (path == NULL)
        return command_fail(EXIT_USAGE,
                            "report: expected results; `iovasim report --help` explains");
    if (c->html == NULL)
        return command_fail(EXIT_USAGE, "report: expected --html FILE");
    if (c->baseline != NULL && path[1] != NULL)
        return command_fail(EXIT_USAGE, "report: --baseline: expected one result");
    bool fine = output_try(c->html, &c->error)
                && (c->baseline == NULL || output_spares(c->baseline, &c->error));
    for (unsigned i = 0; fine && path[i] != NULL; i++)
        fine = output_spares(path[i], &c->error);
    if (!fine)
        return command_fail(EXIT_USAGE, "%s", c->error.text);
    if (!load_all(c, path))
        return command_fail(EXIT_INPUT, "%s", c->error.text);
    const int status = c->baseline != NULL ? write_against_baseline(c) : write_page(c);
    return status == EXIT_FINE ? status : command_fail(status, "%s", c->error.text);
}

static int report_run_command(int argc, const char **argv)
{
    struct report_call *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    const struct poptOption options[] = {
        { "html", 0, POPT_ARG_STRING, &c->html, 0,
          "Write the page there; - is standard output", "FILE" },
        { "baseline", 0, POPT_ARG_STRING, &c->baseline, 0,
          "Say what has changed since this result", "FILE" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim report", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "--html FILE [OPTION...] RESULT|SWEEP.db...");
    int status = options_store(context);
    if (status == EXIT_FINE)
        status = report(c, poptGetArgs(context));
    for (unsigned i = 0; i < c->input.results; i++) {
        result_free(&c->result[i]);
        json_decref(c->labels[i]);
    }
    free(c->html);
    free(c->baseline);
    free(c);
    poptFreeContext(context);
    return status;
}

const struct command cmd_report = {
    .name    = "report",
    .summary = "Make a page with charts of results: --html FILE",
    .run     = report_run_command,
};
