/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_linux_check - holds the DMA API against recordings of real kernels, call by call.
 */
#include <fts.h>
#include <inttypes.h>
#include <jansson.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "sim/app/cmd.h"
#include "sim/app/option.h"
#include "sim/app/output.h"
#include "sim/app/terminal.h"
#include "sim/base/check.h"
#include "sim/linux/check.h"

enum { OPTION_SET = 1 };

/* What the command line said, and what came of it. */
struct linux_check {
    char *json_path;
    long long show;
    const char **set;
    unsigned sets;
    char **file;
    unsigned files, room;
    json_t *json;
    uint64_t differing, over;
    struct error error;
};

/* ---- Files
 * ---------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *end)
{
    const size_t n = strlen(path), e = strlen(end);
    return n >= e && strcmp(path + n - e, end) == 0;
}

static bool is_calls(const char *path)
{
    return ends_in(path, ".oracle.txt.gz");
}

static void add_file(struct linux_check *c, const char *path)
{
    if (c->files == c->room) {
        c->room = c->room == 0 ? 32 : 2 * c->room;
        c->file = realloc(c->file, c->room * sizeof *c->file);
        CHECK(c->file != NULL);
    }
    c->file[c->files] = strdup(path);
    CHECK(c->file[c->files] != NULL);
    c->files++;
}

static bool visit(struct linux_check *c, const FTSENT *at)
{
    if (at->fts_info == FTS_DNR || at->fts_info == FTS_ERR || at->fts_info == FTS_NS)
        return error_set(&c->error, "%s: %s", at->fts_path, strerror(at->fts_errno));
    if (at->fts_info == FTS_F
        && (is_calls(at->fts_path) || ends_in(at->fts_path, ".iova.txt.gz")))
        add_file(c, at->fts_path);
    return true;
}

/* Allocators' recordings first, then by path. */
static int by_kind_and_path(const void *a, const void *b)
{
    const char *const x = *(char *const *)a, *const y = *(char *const *)b;
    return is_calls(x) != is_calls(y) ? is_calls(x) - is_calls(y) : strcmp(x, y);
}

static bool find_files(struct linux_check *c, const char *folder)
{
    char *const folders[] = { (char *)folder, NULL };
    FTS *walk             = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    bool good             = walk != NULL;
    FTSENT *at;
    while (good && (at = fts_read(walk)) != NULL)
        good = visit(c, at);
    if (walk != NULL)
        fts_close(walk);
    if (!good)
        return false;
    if (c->files == 0)
        return error_set(&c->error,
                         "%s: expected recordings (*.oracle.txt.gz, *.iova.txt.gz), found "
                         "none",
                         folder);
    qsort(c->file, c->files, sizeof *c->file, by_kind_and_path);
    return true;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The other recording of the same run, wherever it lies. */
static const char *twin_of(const struct linux_check *c, const char *path)
{
    const char *base = base_of(path);
    const size_t run = strcspn(base, ".");
    for (unsigned i = 0; i < c->files; i++) {
        const char *other = base_of(c->file[i]);
        if (is_calls(c->file[i]) != is_calls(path) && strcspn(other, ".") == run
            && strncmp(base, other, run) == 0)
            return c->file[i];
    }
    return NULL;
}

/* ---- Report
 * ----------------------------------------------------------------------------------- */

static double share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 100.0 : 100.0 * (double)part / (double)whole;
}

static void print_aspects(const struct check_result *r)
{
    printf("  %-12s %10s %10s %8s %10s  %s\n", "", "compared", "agree", "excused", "differ",
           "share");
    for (unsigned a = 0; a < ASPECTS; a++)
        if (r->aspect[a].compared != 0)
            printf("  %-12s %10" PRIu64 " %10" PRIu64 " %8" PRIu64 " %10" PRIu64
                   "  %.3f %%\n",
                   check_aspect_name((enum check_aspect)a), r->aspect[a].compared,
                   r->aspect[a].agreed, r->aspect[a].excused,
                   r->aspect[a].compared - r->aspect[a].agreed - r->aspect[a].excused,
                   share(r->aspect[a].agreed, r->aspect[a].compared));
}

static void print_rows(const struct check_result *r)
{
    printf("  %-12s %10" PRIu64 " %10" PRIu64 " %8" PRIu64 " %10" PRIu64 "  %.3f %%\n",
           "rows", r->rows, r->rows_agreed, r->rows_excused, r->rows_differing,
           share(r->rows_agreed, r->rows));
    if (r->rows_excused != 0) {
        printf("  excused, %.3f %%:", share(r->rows_excused, r->rows));
        for (unsigned i = RULE_none + 1; i < RULES; i++)
            if (r->rule[i] != 0)
                printf(" %s %" PRIu64, resync_rule_name((enum resync_rule)i), r->rule[i]);
        if (r->credited != 0)
            printf(" credited %" PRIu64, r->credited);
        putchar('\n');
    }
    if (r->moved + r->outside + r->stand_ins != 0)
        terminal_wrapf(stdout, 0, 2,
                       "order: %" PRIu64 " calls began before or after their line, %" PRIu64
                       " calls of the allocator outside the lines, %" PRIu64
                       " unmaps of what was mapped there",
                       r->moved, r->outside, r->stand_ins);
}

static void print_result(const char *path, const struct check_result *r)
{
    printf("%s (%s)\n", path, r->settings); /* What names a file is one line. */
    print_aspects(r);
    print_rows(r);
    for (unsigned i = 0; i < r->shown; i++)
        printf("  %s, line %" PRIu64 ": %s, %s: recorded %s; ours %s\n", path,
               r->difference[i].line, row_kind_name(r->difference[i].kind),
               check_aspect_name(r->difference[i].aspect), r->difference[i].recorded,
               r->difference[i].ours);
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *aspects_json(const struct check_result *r)
{
    json_t *all = json_object();
    for (unsigned a = 0; a < ASPECTS; a++)
        if (r->aspect[a].compared != 0)
            json_object_set_new(all, check_aspect_name((enum check_aspect)a),
                                json_pack("{s:o,s:o,s:o}", "compared",
                                          number(r->aspect[a].compared), "agree",
                                          number(r->aspect[a].agreed), "excused",
                                          number(r->aspect[a].excused)));
    return all;
}

static json_t *differences_json(const struct check_result *r)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < r->shown; i++)
        json_array_append_new(
            all, json_pack("{s:o,s:s,s:s,s:s,s:s}", "line", number(r->difference[i].line),
                           "call", row_kind_name(r->difference[i].kind), "aspect",
                           check_aspect_name(r->difference[i].aspect), "recorded",
                           r->difference[i].recorded, "ours", r->difference[i].ours));
    return all;
}

static json_t *result_json(const char *path, const struct check_result *r)
{
    json_t *rules = json_object();
    for (unsigned i = RULE_none + 1; i < RULES; i++)
        json_object_set_new(rules, resync_rule_name((enum resync_rule)i),
                            number(r->rule[i]));
    json_object_set_new(rules, "credited", number(r->credited));
    return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "file", path, "settings",
                     r->settings, "rows", number(r->rows), "agree", number(r->rows_agreed),
                     "excused", number(r->rows_excused), "differ",
                     number(r->rows_differing), "rules", rules, "aspects", aspects_json(r),
                     "differences", differences_json(r));
}

/* ---- The work
 * --------------------------------------------------------------------------------- */

static bool set_all(struct linux_check *c, struct check_settings *settings)
{
    for (unsigned i = 0; i < c->sets; i++)
        if (!settings_set(settings, c->set[i], &c->error))
            return error_in(&c->error, "--set");
    return true;
}

/* What is wrong for every recording is said once. */
static bool try_sets(struct linux_check *c)
{
    struct check_settings any;
    return settings_of_name(&any, "k73-strict", &c->error) && set_all(c, &any);
}

static bool check_file(struct linux_check *c, const char *path)
{
    struct check_settings settings;
    struct check_result *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->show   = (unsigned)c->show;
    bool good = settings_of_name(&settings, path, &c->error) && set_all(c, &settings);
    good      = good && check_recording(r, path, twin_of(c, path), &settings, &c->error);
    if (good) {
        snprintf(r->settings, sizeof r->settings,
                 "Linux %s, %s%s, cap %" PRIx64 " ecap %" PRIx64, settings.kernel.release,
                 settings.recorded.policy, settings.kernel.forcedac ? ", forcedac" : "",
                 settings.recorded.cap, settings.recorded.ecap);
        print_result(path, r);
        c->differing += r->rows_differing;
        c->over += r->rows_differing == 0 && !check_good(r);
        json_array_append_new(c->json, result_json(path, r));
    }
    free(r);
    return good;
}

static bool write_json(struct linux_check *c)
{
    struct output o;
    if (c->json_path == NULL)
        return true;
    if (!output_open(&o, c->json_path, &c->error))
        return false;
    if (json_dumpf(c->json, o.stream, JSON_INDENT(1)) == 0 && fputc('\n', o.stream) == '\n')
        return output_finish(&o, &c->error);
    output_abandon(&o);
    return error_set(&c->error, "%s: cannot write", c->json_path);
}

static int check_all(struct linux_check *c, const char **folder)
{
    if (folder == NULL || folder[0] == NULL || folder[1] != NULL)
        return command_fail(EXIT_USAGE, "linux-check: expected one folder of recordings");
    if (c->show < 0 || c->show > CHECK_SHOWN_MAX)
        return command_fail(EXIT_USAGE, "--show: expected 0 to %d, got %lld",
                            CHECK_SHOWN_MAX, c->show);
    int unreadable = EXIT_FINE;
    if (!try_sets(c) || !find_files(c, folder[0]))
        return command_fail(EXIT_USAGE, "%s", c->error.text);
    for (unsigned i = 0; i < c->files; i++) {
        if (command_interrupted())
            return command_fail(EXIT_STOPPED, "interrupted");
        if (!check_file(c, c->file[i])) { /* The others are checked all the same. */
            fflush(stdout);
            unreadable = command_fail(EXIT_USAGE, "%s", c->error.text);
        }
    }
    if (!write_json(c))
        return command_fail(EXIT_USAGE, "%s", c->error.text);
    if (fflush(stdout) != 0 || ferror(stdout))
        return command_fail(EXIT_USAGE, "standard output: cannot write");
    if (c->over != 0)
        command_fail(EXIT_REGRESSED, "more than 0.5 %% of a recording had to be excused");
    if (unreadable != EXIT_FINE)
        return unreadable;
    return c->differing + c->over == 0 ? EXIT_FINE : EXIT_REGRESSED;
}

static void release(struct linux_check *c)
{
    for (unsigned i = 0; i < c->sets; i++)
        free((char *)c->set[i]);
    for (unsigned i = 0; i < c->files; i++)
        free(c->file[i]);
    free(c->set);
    free(c->file);
    free(c->json_path);
    json_decref(c->json);
}

/* --set is the only option that popt does not store. */
static bool take_set(void *self, int option, char *text, struct error *error)
{
    struct linux_check *c = self;
    (void)option, (void)error;
    c->set[c->sets++] = text;
    return true;
}

static int linux_check_run(int argc, const char **argv)
{
    struct linux_check c = { .show = 5,
                             .set  = calloc((size_t)argc + 1, sizeof *c.set),
                             .json = json_array() };
    CHECK(c.set != NULL);
    const struct poptOption options[] = {
        { "set", 0, POPT_ARG_STRING, NULL, OPTION_SET,
          "Overrides what the recordings' names say: linux.NAME or recorded.NAME; may be "
          "given again",
          "KEY=VALUE" },
        { "show", 0, POPT_ARG_LONGLONG, &c.show, 0,
          "How many differences of each recording to show (default 5)", "N" },
        { "json", 0, POPT_ARG_STRING, &c.json_path, 0,
          "Write the result there; - is standard output", "FILE" },
        POPT_AUTOHELP POPT_TABLEEND
    };
    poptContext context = poptGetContext("iovasim linux-check", argc, argv, options, 0);
    poptSetOtherOptionHelp(context, "[OPTION...] DIR");
    struct error error;
    const int status = options_read(context, take_set, &c, &error)
                           ? check_all(&c, poptGetArgs(context))
                           : command_fail(EXIT_USAGE, "%s", error.text);
    release(&c);
    poptFreeContext(context);
    return status;
}

const struct command cmd_linux_check = {
    .name    = "linux-check",
    .summary = "Hold the DMA API against recordings of real kernels, call by call",
    .run     = linux_check_run,
};
