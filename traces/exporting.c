/* SPDX-License-Identifier: Apache-2.0 */
/* exporting - what exporters of text share. */
#include <inttypes.h>
#include <stdlib.h>

#include "sim/base/check.h"
#include "traces/export.h"

void *export_text_create(const char *path, struct error *error)
{
    struct export_text *e = calloc(1, sizeof *e);
    CHECK(e != NULL);
    if (outfile_open(&e->out, path, error))
        return e;
    free(e);
    return NULL;
}

bool export_text_put_done(struct export_text *e, struct error *error)
{
    e->records++;
    return !ferror(e->out.file) || outfile_failed(&e->out, error);
}

bool export_text_refuse(struct export_text *e, const char *why, struct error *error)
{
    return error_set(error, "%s: record %" PRIu64 ": %s", e->out.path, e->records, why);
}

bool export_text_finish(void *state, struct error *error)
{
    struct export_text *e = state;
    const bool good       = outfile_finish(&e->out, error);
    free(e);
    return good;
}

void export_text_abandon(void *state)
{
    struct export_text *e = state;
    outfile_abandon(&e->out);
    free(e);
}
