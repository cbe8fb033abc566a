/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export - the family of formats that traces are written in.
 *
 * traces/export_X.c defines `const struct trace_exporter export_X` whose name is "X"; the
 * file's name is its registration. The file appears under its path only when it is whole.
 */
#ifndef TRACES_EXPORT_H
#define TRACES_EXPORT_H

#include "traces/outfile.h"
#include "traces/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trace_exporter {
    const char *name;
    const char *summary; /* One line for `iovasim formats`. */

    /* Begins a file; NULL with a line that names the path. */
    void *(*create)(const char *path, const struct trace_about *about, struct error *error);

    /* False with a line that names the path and the record. */
    bool (*put)(void *state, const struct trace_record *record, struct error *error);

    /* A note that was not known at create. NULL: the format has none at its end. */
    void (*note)(void *state, const char *key, const char *value);

    /* A file ends with exactly one of them. */
    bool (*finish)(void *state, struct error *error);
    void (*abandon)(void *state);
};

extern const struct trace_exporter *const export_table[];

/* What exporters of text share: the file, and how many records are in it. */
struct export_text {
    struct outfile out;
    uint64_t records;
};
void *export_text_create(const char *path, struct error *error);
bool export_text_put_done(struct export_text *e, struct error *error);
bool export_text_refuse(struct export_text *e, const char *why, struct error *error);
bool export_text_finish(void *state, struct error *error);
void export_text_abandon(void *state);

#ifdef __cplusplus
}
#endif

#endif
