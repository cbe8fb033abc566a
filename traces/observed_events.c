/* SPDX-License-Identifier: Apache-2.0 */
/* observed_events - a recording in its compact form, *.events.txt. */
#include <string.h>

#include "traces/events_line.h"
#include "traces/observed_read.h"
#include "traces/text.h"

static const char *not_understood = "the event is not understood";

typedef bool handler(struct observed *o, const struct observe_line *at, const char *fields,
                     struct error *error);

static bool bad(struct error *error)
{
    return error_set(error, "%s", not_understood);
}

static struct observe_command command_from(const struct events_command *c)
{
    return (struct observe_command){ .controller = c->controller,
                                     .id         = (uint64_t)c->queue << 32 | c->id,
                                     .admin      = c->queue == 0,
                                     .sector     = c->sector,
                                     .sectors    = c->sectors };
}

static bool on_command(struct observed *o, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    struct events_command c;
    if (!events_parse_command(fields, &c))
        return bad(error);
    const struct observe_command command = command_from(&c);
    return observe_command(o, at, &command, error);
}

static bool on_command_end(struct observed *o, const struct observe_line *at,
                           const char *fields, struct error *error)
{
    struct events_command c;
    (void)at;
    if (!events_parse_command(fields, &c))
        return bad(error);
    const struct observe_command command = command_from(&c);
    observe_command_end(o, &command);
    return true;
}

static bool request_take(const char *fields, struct observe_request *request)
{
    struct events_request r;
    if (!events_parse_request(fields, &r) || r.sectors > UINT32_MAX)
        return false;
    *request = (struct observe_request){ .disk   = r.device,
                                         .op     = r.known ? r.op : TRACE_FLUSH,
                                         .known  = r.known,
                                         .sector = r.sector,
                                         .bytes  = r.sectors * TRACE_SECTOR_BYTES };
    return true;
}

static bool on_issue(struct observed *o, const struct observe_line *at, const char *fields,
                     struct error *error)
{
    struct observe_request r;
    return request_take(fields, &r) ? observe_issue(o, at, &r, error) : bad(error);
}

static bool on_complete(struct observed *o, const struct observe_line *at,
                        const char *fields, struct error *error)
{
    struct observe_request r;
    (void)at;
    if (!request_take(fields, &r))
        return bad(error);
    observe_complete(o, &r);
    return true;
}

static bool on_map(struct observed *o, const struct observe_line *at, const char *fields,
                   struct error *error)
{
    struct events_mapping m;
    if (!events_parse_map(fields, &m))
        return bad(error);
    struct observed_call *call = observe_map(
        o, at, OBSERVED_single, observe_device(o, m.device, m.device_bytes), m.iova, error);
    if (call == NULL)
        return false;
    call->dir   = m.dir;
    call->addr  = m.iova;
    call->bytes = m.bytes;
    observe_piece(call, m.pa, m.bytes);
    return true;
}

static bool on_unmap(struct observed *o, const struct observe_line *at, const char *fields,
                     struct error *error)
{
    struct events_mapping m;
    if (!events_parse_unmap(fields, &m))
        return bad(error);
    observe_unmap(o, at->line, OBSERVED_single, observe_device(o, m.device, m.device_bytes),
                  m.iova, m.bytes);
    return true;
}

static bool on_coherent(struct observed *o, const struct observe_line *at,
                        const char *fields, struct error *error)
{
    struct events_mapping m;
    if (!events_parse_coherent(fields, &m))
        return bad(error);
    struct observed_call *call =
        observe_map(o, at, OBSERVED_coherent, observe_device(o, m.device, m.device_bytes),
                    m.iova, error);
    if (call == NULL)
        return false;
    call->addr  = m.iova;
    call->bytes = m.bytes;
    return true;
}

static bool on_coherent_free(struct observed *o, const struct observe_line *at,
                             const char *fields, struct error *error)
{
    struct events_mapping m;
    if (!events_parse_coherent(fields, &m))
        return bad(error);
    observe_unmap(o, at->line, OBSERVED_coherent,
                  observe_device(o, m.device, m.device_bytes), m.iova, m.bytes);
    return true;
}

static bool on_try_alloc(struct observed *o, const struct observe_line *at,
                         const char *fields, struct error *error)
{
    struct events_range range;
    if (!events_parse_try_alloc(fields, &range))
        return bad(error);
    struct observed_call *call =
        observe_map(o, at, OBSERVED_range, OBSERVED_NONE, range.state, error);
    if (call == NULL)
        return false;
    call->addr  = range.good ? range.base : 0; /* Nothing will be linked into it. */
    call->bytes = range.bytes;
    return true;
}

static bool on_link(struct observed *o, const struct observe_line *at, const char *fields,
                    struct error *error)
{
    struct events_range range;
    if (!events_parse_link(fields, &range))
        return bad(error);
    struct observed_call *call = observe_range(o, at, range.state, range.offset, error);
    if (call == NULL)
        return false;
    call->addr = range.base;
    observe_piece(call, range.pa, range.bytes);
    return true;
}

static bool on_destroy(struct observed *o, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    struct events_range range;
    if (!events_parse_destroy(fields, &range))
        return bad(error);
    observe_unmap(o, at->line, OBSERVED_range, OBSERVED_NONE, range.state, range.bytes);
    return true;
}

static bool on_cleared(struct observed *o, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    uint64_t iova, bytes;
    (void)at;
    if (!events_parse_cleared(fields, &iova, &bytes))
        return bad(error);
    observe_cleared(o, iova, bytes);
    return true;
}

static bool on_list(struct observed *o, const struct observe_line *at, const char *fields,
                    struct error *error)
{
    struct events_lists lists;
    uint64_t iova, bytes, pa;
    int more, length;
    if (!events_parse_list(fields, &lists))
        return bad(error);
    const char *first = lists.pa;
    if (events_list_next(&first, &pa) != 1)
        return bad(error);
    struct observed_call *call =
        observe_map(o, at, OBSERVED_list,
                    observe_device(o, lists.device, lists.device_bytes), pa, error);
    if (call == NULL)
        return false;
    call->dir = lists.dir;
    while ((more = events_list_next(&lists.pa, &pa)) > 0)
        observe_piece(call, pa, 0);
    while ((length = events_list_next(&lists.bytes, &bytes)) > 0) {
        if (events_list_next(&lists.iova, &iova) != 1)
            return bad(error);
        observe_out(call, iova, bytes);
    }
    return (more == 0 && length == 0 && call->outs > 0) || bad(error);
}

static bool on_list_unmap(struct observed *o, const struct observe_line *at,
                          const char *fields, struct error *error)
{
    struct events_mapping m;
    if (!events_parse_list_unmap(fields, &m))
        return bad(error);
    observe_unmap(o, at->line, OBSERVED_list, observe_device(o, m.device, m.device_bytes),
                  m.pa, m.bytes);
    return true;
}

static const struct {
    const char *code;
    handler *handle;
} handlers[] = {
    { "N", on_command },        { "n", on_command_end }, { "I", on_issue },
    { "C", on_complete },       { "DM", on_map },        { "DU", on_unmap },
    { "TA", on_try_alloc },     { "TL", on_link },       { "TD", on_destroy },
    { "DS", on_list },          { "DV", on_list_unmap }, { "CA", on_coherent },
    { "CF", on_coherent_free }, { "U", on_cleared },
};

bool observed_events_line(struct observed_reader *reader, uint64_t number, const char *text,
                          struct error *error)
{
    struct events_line line;
    if (strncmp(text, "### ", 4) == 0) {
        reader->base_us = reader->last_us;
        observe_gap(reader->o);
        return true;
    }
    if (*text == '\0')
        return true;
    if (!events_line_split(text, &line) || line.time_us > TRACE_TIME_MAX_NS / 1000)
        return bad(error);
    const uint64_t now = reader->base_us + line.time_us;
    if (now > reader->last_us)
        reader->last_us = now;
    const struct observe_line at = { .line   = number,
                                     .thread = (uint64_t)line.cpu * EVENTS_CONTEXTS
                                               + line.context,
                                     .time_ns = reader->last_us * 1000,
                                     .cpu     = line.cpu };
    for (unsigned i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (strcmp(handlers[i].code, line.code) == 0)
            return handlers[i].handle(reader->o, &at, line.fields, error);
    return true;
}
