/* SPDX-License-Identifier: Apache-2.0 */
/* trace_check_command - `iovasim trace check`: which recordings, and what came of them. */
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "sim/app/cmd.h"
#include "sim/app/trace_check.h"
#include "sim/base/check.h"

/* The recordings that were named, and those in folders that were. */
struct files {
    struct {
        char *path;
        bool named; /* By itself, not by its folder. */
    } * file;
    unsigned count, room;
};

static void add_file(struct files *f, const char *path, bool named)
{
    if (f->count == f->room) {
        f->room = f->room == 0 ? 16 : 2 * f->room;
        f->file = realloc(f->file, f->room * sizeof *f->file);
        CHECK(f->file != NULL);
    }
    f->file[f->count].path  = strdup(path);
    f->file[f->count].named = named;
    CHECK(f->file[f->count].path != NULL);
    f->count++;
}

static bool is_recording(const char *name)
{
    static const char *const kind[] = { ".events.txt", ".oracle.txt", ".ftrace.txt",
                                        ".trace" };
    static const char *const pack[] = { "", ".gz", ".xz", ".zst", ".bz2" };
    for (unsigned k = 0; k < sizeof kind / sizeof kind[0]; k++)
        for (unsigned p = 0; p < sizeof pack / sizeof pack[0]; p++) {
            char end[32];
            const int n    = snprintf(end, sizeof end, "%s%s", kind[k], pack[p]);
            const size_t m = strlen(name);
            if (m > (size_t)n && strcmp(name + m - n, end) == 0)
                return true;
        }
    return false;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b); /* The path is in front. */
}

static bool add_folder(struct files *f, const char *folder, struct error *error)
{
    char *const folders[] = { (char *)folder, NULL };
    const unsigned before = f->count;
    FTS *walk             = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    bool good             = walk != NULL;
    FTSENT *at;
    while (good && (at = fts_read(walk)) != NULL) {
        if (at->fts_info == FTS_DNR || at->fts_info == FTS_ERR || at->fts_info == FTS_NS)
            good = error_set(error, "%s: %s", at->fts_path, strerror(at->fts_errno));
        else if (at->fts_info == FTS_F && is_recording(at->fts_name))
            add_file(f, at->fts_path, false);
    }
    if (walk != NULL)
        fts_close(walk);
    if (good && f->count == before)
        good = error_set(error,
                         "%s: expected recordings (*.events.txt, *.oracle.txt, "
                         "*.ftrace.txt, plain or compressed), found none",
                         folder);
    if (good)
        qsort(f->file + before, f->count - before, sizeof *f->file, by_path);
    return good;
}

static bool find_files(struct files *f, const char **argument, struct error *error)
{
    struct stat status;
    for (; *argument != NULL; argument++) {
        if (stat(*argument, &status) == 0 && S_ISDIR(status.st_mode)) {
            if (!add_folder(f, *argument, error))
                return false;
        } else {
            add_file(f, *argument, true);
        }
    }
    return true;
}

/* ---- The work
 * --------------------------------------------------------------------------------- */

struct outcome {
    uint64_t recordings, compared, agree, given;
    uint64_t below;   /* Recordings that agree in too little. */
    uint64_t foreign; /* Files of folders that are no such recordings. */
    int status;
    json_t *json;
};

static void check_file(struct outcome *out, const char *path, bool named,
                       const struct trace_check_call *call)
{
    struct trace_check *check = calloc(1, sizeof *check);
    struct config config      = *call->config; /* What it points to stays shared. */
    struct error error        = { "" };
    CHECK(check != NULL);
    check->show = call->show;
    if (trace_check_run(check, path, &config, &call->chosen, &error)) {
        if (call->json)
            json_array_append_new(out->json, trace_check_json(check, path));
        else
            trace_check_print(check, path);
        out->recordings++;
        out->compared += check->compared;
        out->agree += check->agree;
        out->given += check->given;
        out->below += !trace_check_good(check);
    } else if (check->foreign && !named) {
        out->foreign++;
    } else if (!command_interrupted()) {
        fflush(stdout);
        out->status = command_fail(EXIT_USAGE, "%s", error.text);
    }
    free(check);
}

static void print_sum(const struct outcome *out)
{
    printf("%" PRIu64 " recordings: %" PRIu64 " requests compared, %" PRIu64
           " agree (%.3f %%), the choice of %" PRIu64 " given\n",
           out->recordings, out->compared, out->agree,
           out->compared == 0 ? 100.0 : 100.0 * (double)out->agree / (double)out->compared,
           out->given);
    if (out->foreign > 0)
        printf("%" PRIu64 " other files have no calls of the DMA API that map\n",
               out->foreign);
}

static int finish(const struct outcome *out)
{
    if (out->status != EXIT_FINE)
        return out->status;
    if (out->compared == 0)
        return command_fail(EXIT_USAGE,
                            "trace check: expected requests of the NVMe driver, "
                            "found none to compare");
    if (out->below != 0)
        return command_fail(EXIT_REGRESSED,
                            "trace check: in %" PRIu64
                            " recording%s less than %d %% of the "
                            "requests agree",
                            out->below, out->below == 1 ? "" : "s", TRACE_CHECK_LEAST);
    return EXIT_FINE;
}

int trace_check_command(const struct trace_check_call *call, const char **argument)
{
    struct files files = { 0 };
    struct outcome out = { .status = EXIT_FINE, .json = json_array() };
    struct error error = { "" };
    if (!find_files(&files, argument, &error))
        out.status = command_fail(EXIT_USAGE, "%s", error.text);
    for (unsigned i = 0; i < files.count && !command_interrupted(); i++)
        check_file(&out, files.file[i].path, files.file[i].named, call);
    if (command_interrupted()) {
        out.status = command_fail(EXIT_STOPPED, "interrupted");
    } else {
        if (!call->json && out.recordings + out.foreign > 1)
            print_sum(&out);
        if (call->json
            && (json_dumpf(out.json, stdout, JSON_INDENT(1)) != 0 || putchar('\n') == EOF))
            out.status = command_fail(EXIT_USAGE, "cannot write to standard output");
        if (fflush(stdout) != 0 || ferror(stdout))
            out.status = command_fail(EXIT_USAGE, "cannot write to standard output");
        out.status = finish(&out);
    }
    for (unsigned i = 0; i < files.count; i++)
        free(files.file[i].path);
    free(files.file);
    json_decref(out.json);
    return out.status;
}
