/* SPDX-License-Identifier: Apache-2.0 */
/* export_native - the format of FORMAT.md. */
#include "traces/export.h"

static void *native_create(const char *path, const struct trace_about *about,
                           struct error *error)
{
    struct trace_writer *writer;
    return trace_create(&writer, path, about, error) ? writer : NULL;
}

static bool native_put_record(void *state, const struct trace_record *record,
                              struct error *error)
{
    return trace_put(state, record, error);
}

static void native_note(void *state, const char *key, const char *value)
{
    trace_writer_note(state, key, value);
}

static bool native_finish(void *state, struct error *error)
{
    return trace_finish(state, error);
}

static void native_abandon(void *state)
{
    trace_abandon(state);
}

const struct trace_exporter export_native = {
    .name    = "native",
    .summary = "The simulator's own compact format (traces/FORMAT.md)",
    .create  = native_create,
    .put     = native_put_record,
    .note    = native_note,
    .finish  = native_finish,
    .abandon = native_abandon,
};
