/* SPDX-License-Identifier: Apache-2.0 */
/* observed_read - reads a recording, and what the kinds of recordings have in common. */
#include "traces/observed_read.h"

#include <inttypes.h>
#include <string.h>

#include "traces/source.h"

/* ---- Events of every kind ------------------------------------------------------------ */

bool observed_bad(const struct observed_reader *reader, struct error *error)
{
    return error_set(error, "%s", reader->form->not_understood);
}

bool observed_on_command(struct observed_reader *reader, const struct observe_line *at,
                         const char *fields, struct error *error)
{
    struct observe_command c;
    return reader->form->command(fields, &c) ? observe_command(reader->o, at, &c, error)
                                             : observed_bad(reader, error);
}

bool observed_on_command_end(struct observed_reader *reader, const struct observe_line *at,
                             const char *fields, struct error *error)
{
    struct observe_command c;
    (void)at;
    if (!reader->form->command(fields, &c))
        return observed_bad(reader, error);
    observe_command_end(reader->o, &c);
    return true;
}

bool observed_on_issue(struct observed_reader *reader, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    struct observe_request r;
    return reader->form->request(fields, &r) ? observe_issue(reader->o, at, &r, error)
                                             : observed_bad(reader, error);
}

bool observed_on_complete(struct observed_reader *reader, const struct observe_line *at,
                          const char *fields, struct error *error)
{
    struct observe_request r;
    (void)at;
    if (!reader->form->request(fields, &r))
        return observed_bad(reader, error);
    observe_complete(reader->o, &r);
    return true;
}

/* It only tells the mode: one that is written otherwise is left alone. */
bool observed_on_flush(struct observed_reader *reader, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    uint64_t first, last;
    (void)at;
    (void)error;
    if (reader->form->flush(fields, &first, &last))
        observe_flushed(reader->o, first, last);
    return true;
}

bool observed_on_flush_all(struct observed_reader *reader, const struct observe_line *at,
                           const char *fields, struct error *error)
{
    (void)at;
    (void)fields;
    (void)error;
    observe_flushed(reader->o, 0, UINT64_MAX);
    return true;
}

/* Memory, and the device's view of it. */
static bool list_take(const struct observed_reader *reader, struct observed_call *call,
                      struct observed_lists lists)
{
    int (*const next)(const char **list, uint64_t *value) = reader->form->list_next;
    uint64_t iova, bytes, pa;
    int more;
    while ((more = next(&lists.pa, &pa)) > 0)
        observe_piece(call, pa, 0);
    if (more < 0)
        return false;
    while ((more = next(&lists.bytes, &bytes)) > 0) {
        if (next(&lists.iova, &iova) != 1)
            return false;
        observe_out(call, iova, bytes);
    }
    return more == 0 && call->outs > 0;
}

struct observed_call *observed_list(struct observed_reader *reader,
                                    const struct observe_line *at,
                                    const struct observed_lists *lists, struct error *error)
{
    uint64_t pa;
    const char *first = lists->pa;
    if (reader->form->list_next(&first, &pa) != 1) {
        observed_bad(reader, error);
        return NULL;
    }
    struct observed_call *call =
        observe_map(reader->o, at, OBSERVED_list, lists->device, pa, error);
    if (call == NULL)
        return NULL;
    call->dir = lists->dir;
    if (list_take(reader, call, *lists))
        return call;
    observed_bad(reader, error);
    return NULL;
}

/* ---- A file -------------------------------------------------------------------------- */

static const struct observed_form *form_of(struct observed *o, struct trace_source *source,
                                           struct error *error)
{
    static const struct observed_form *const form[] = { &observed_events,
                                                        &observed_ftrace };
    const uint8_t *first;
    const long bytes = trace_source_peek(source, &first, error);
    for (unsigned i = 0; bytes > 0 && i < sizeof form / sizeof form[0]; i++)
        if (form[i]->importer->recognises(first, (size_t)bytes))
            return form[i];
    o->foreign = bytes >= 0;
    if (o->foreign)
        error_set(error, "expected a recording of block requests and calls of the DMA API "
                         "(*.events.txt, *.oracle.txt, or text of ftrace)");
    return NULL;
}

static bool read_lines(struct observed_reader *reader, struct trace_source *source,
                       struct error *error)
{
    const char *text;
    size_t bytes;
    while ((text = trace_source_line(source, &bytes, error)) != NULL) {
        const uint64_t number = trace_source_line_number(source);
        if (!reader->form->line(reader, number, text, error))
            return error_in(error, "line %" PRIu64, number);
    }
    if (error->text[0] != '\0')
        return false;
    return reader->lost == 0
           || error_set(error, "%" PRIu64 " events were lost: nothing can be compared",
                        reader->lost);
}

bool observed_read(struct observed *o, const char *path, struct error *error)
{
    struct trace_source *source;
    struct observed_reader reader = { .o = o };
    memset(o, 0, sizeof *o);
    error->text[0] = '\0';
    if (!trace_source_open(&source, path, error))
        return error_in(error, "%s", path);
    reader.form = form_of(o, source, error);
    bool good   = reader.form != NULL;
    if (good) {
        observe_begin(o, path, reader.form->importer->name);
        good = read_lines(&reader, source, error) && observe_end(o, error);
    }
    trace_source_close(source);
    return good || error_in(error, "%s", path);
}
