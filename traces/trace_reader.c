/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/import.h"
#include "traces/parts.h"
#include "traces/source.h"

struct trace_reader {
    struct trace_source *source;
    const struct trace_importer *importer;
    const struct trace_maker *maker; /* In place of source and importer. */
    void *maker_self;
    void *state; /* The importer's; NULL once it has failed to begin again. */
    struct trace_about about;
    uint64_t index, time_ns; /* Of the next record, and of the last one. */
    int ended;               /* 1 while records come; then what trace_next returns. */
    struct error failure;    /* Why, when ended is -1. */
    char name[];
};

/* "native, ftrace": what there is to choose from. */
static void importer_names(char *out, size_t out_bytes)
{
    size_t used = 0;
    out[0]      = '\0';
    for (const struct trace_importer *const *i = import_table; *i != NULL; i++) {
        const int n = snprintf(out + used, out_bytes - used, "%s%s",
                               i == import_table ? "" : ", ", (*i)->name);
        if (n < 0 || (size_t)n >= out_bytes - used)
            return;
        used += (size_t)n;
    }
}

static const struct trace_importer *importer_named(const char *format, struct error *error)
{
    for (const struct trace_importer *const *i = import_table; *i != NULL; i++)
        if (strcmp((*i)->name, format) == 0)
            return *i;
    char names[400];
    importer_names(names, sizeof names);
    error_set(error, "no trace format is called '%s'; there are: %s", format, names);
    return NULL;
}

static const struct trace_importer *importer_by_content(struct trace_source *source,
                                                        struct error *error)
{
    const uint8_t *first;
    const long bytes = trace_source_peek(source, &first, error);
    if (bytes < 0)
        return NULL;
    for (const struct trace_importer *const *i = import_table; *i != NULL; i++)
        if ((*i)->recognises(first, (size_t)bytes))
            return *i;
    char names[400];
    importer_names(names, sizeof names);
    if (bytes == 0)
        error_set(error, "the file is empty");
    else
        error_set(error, "not a trace in a known format (%s)", names);
    return NULL;
}

static bool reader_begin(struct trace_reader *r, struct error *error)
{
    memset(&r->about, 0, sizeof r->about);
    r->about.format = r->maker != NULL ? r->maker->format : r->importer->name;
    r->index = r->time_ns = 0;
    r->state = r->maker != NULL ? r->maker->open(r->maker_self, &r->about, error)
                                : r->importer->open(r->source, &r->about, error);
    r->ended = r->state != NULL ? 1 : -1;
    return r->state != NULL;
}

static void reader_end(struct trace_reader *r)
{
    if (r->state == NULL)
        return;
    if (r->maker != NULL)
        r->maker->close(r->state);
    else
        r->importer->close(r->state);
    r->state = NULL;
}

static struct trace_reader *reader_new(const char *name)
{
    const size_t name_bytes = strlen(name) + 1;
    struct trace_reader *r  = calloc(1, sizeof *r + name_bytes);
    CHECK(r != NULL);
    memcpy(r->name, name, name_bytes);
    return r;
}

bool trace_open_made(struct trace_reader **reader, const struct trace_maker *maker,
                     void *self, const char *name, struct error *error)
{
    struct trace_reader *r = reader_new(name);
    *reader                = NULL;
    r->maker               = maker;
    r->maker_self          = self;
    if (!reader_begin(r, error)) {
        trace_close(r);
        return error_in(error, "%s", name);
    }
    *reader = r;
    return true;
}

/* A file that lies beside the one that was named. */
struct joining {
    struct trace_source *source;
    struct error *error;
};

static bool part_join(void *arg, const char *path)
{
    struct joining *j = arg;
    struct trace_source *part;
    if (!trace_source_open(&part, path, j->error))
        return error_in(j->error, "with %s", path);
    trace_source_add_part(j->source, part, path);
    return true;
}

/* path NULL: the source is no file, and nothing lies beside it. */
static bool reader_open(struct trace_reader **reader, struct trace_source *source,
                        const char *name, const char *path, const char *format,
                        struct error *error)
{
    struct trace_reader *r = reader_new(name);
    *reader                = NULL;
    r->source              = source;
    r->importer =
        format != NULL ? importer_named(format, error) : importer_by_content(source, error);
    struct joining joining = { source, error };
    bool good              = r->importer != NULL;
    if (good && path != NULL && r->importer->part_infix != NULL)
        good = parts_visit(path, r->importer->part_infix, part_join, &joining);
    if (!good || !reader_begin(r, error)) {
        trace_close(r);
        return error_in(error, "%s", name);
    }
    *reader = r;
    return true;
}

bool trace_open_source(struct trace_reader **reader, struct trace_source *source,
                       const char *name, const char *format, struct error *error)
{
    return reader_open(reader, source, name, NULL, format, error);
}

bool trace_holds(const struct trace_reader *reader, const char *path)
{
    return reader->importer != NULL && reader->importer->part_infix != NULL
           && parts_belong(reader->name, path, reader->importer->part_infix);
}

bool trace_open_as(struct trace_reader **reader, const char *path, const char *format,
                   struct error *error)
{
    const bool standard    = strcmp(path, TRACE_STANDARD_INPUT) == 0;
    const char *const name = standard ? "standard input" : path;
    struct trace_source *source;
    *reader = NULL;
    if (!trace_source_open(&source, path, error))
        return error_in(error, "%s", name);
    return reader_open(reader, source, name, standard ? NULL : path, format, error);
}

bool trace_open(struct trace_reader **reader, const char *path, struct error *error)
{
    return trace_open_as(reader, path, NULL, error);
}

const struct trace_about *trace_about(const struct trace_reader *reader)
{
    return &reader->about;
}

/* The rules that an importer's record must keep, also towards the one before it. */
static bool reader_check(struct trace_reader *r, const struct trace_record *record,
                         struct error *error)
{
    bool good = trace_record_check(record, error);
    if (good && r->index == 0 && record->time_ns != 0)
        good = error_set(error, "time_ns of the first record must be 0");
    if (good && record->time_ns < r->time_ns)
        good = error_set(error, "time_ns decreases");
    r->time_ns = record->time_ns;
    return good || error_in(error, "record %" PRIu64, r->index);
}

int trace_next(struct trace_reader *reader, struct trace_record *record,
               struct error *error)
{
    if (reader->ended == 1) {
        const int got =
            reader->maker != NULL
                ? reader->maker->next(reader->state, record, &reader->failure)
                : reader->importer->next(reader->state, record, &reader->failure);
        if (got == 1 && reader_check(reader, record, &reader->failure)) {
            reader->index++;
            return 1;
        }
        reader->ended = got == 0 ? 0 : -1;
        if (got != 0)
            error_in(&reader->failure, "%s", reader->name);
    }
    if (reader->ended == -1)
        *error = reader->failure;
    return reader->ended;
}

bool trace_rewind(struct trace_reader *reader, struct error *error)
{
    reader_end(reader);
    if ((reader->source == NULL || trace_source_rewind(reader->source, &reader->failure))
        && reader_begin(reader, &reader->failure))
        return true;
    error_in(&reader->failure, "%s", reader->name);
    reader->ended = -1;
    *error        = reader->failure;
    return false;
}

void trace_close(struct trace_reader *reader)
{
    if (reader == NULL)
        return;
    reader_end(reader);
    if (reader->source != NULL)
        trace_source_close(reader->source);
    if (reader->maker != NULL)
        reader->maker->forget(reader->maker_self);
    free(reader);
}
