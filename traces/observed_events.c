/* SPDX-License-Identifier: Apache-2.0 */
/* observed_events - a recording in its compact form, *.events.txt. */
#include <string.h>

#include "traces/events_line.h"
#include "traces/observed_read.h"
#include "traces/text.h"

static bool command_take(const char *fields, struct observe_command *command)
{
    struct events_command c;
    if (!events_parse_command(fields, &c))
        return false;
    *command = (struct observe_command){ .controller = c.controller,
                                         .id         = (uint64_t)c.queue << 32 | c.id,
                                         .admin      = c.queue == 0,
                                         .sector     = c.sector,
                                         .sectors    = c.sectors };
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

static bool on_map(struct observed_reader *reader, const struct observe_line *at,
                   const char *fields, struct error *error)
{
    struct events_mapping m;
    if (!events_parse_map(fields, &m))
        return observed_bad(reader, error);
    struct observed_call *call =
        observe_map(reader->o, at, OBSERVED_single,
                    observe_device(reader->o, m.device, m.device_bytes), m.iova, error);
    if (call == NULL)
        return false;
    call->dir   = m.dir;
    call->addr  = m.iova;
    call->bytes = m.bytes;
    observe_piece(call, m.pa, m.bytes);
    return true;
}

static bool on_unmap(struct observed_reader *reader, const struct observe_line *at,
                     const char *fields, struct error *error)
{
    struct events_mapping m;
    if (!events_parse_unmap(fields, &m))
        return observed_bad(reader, error);
    observe_unmap(reader->o, at->line, OBSERVED_single,
                  observe_device(reader->o, m.device, m.device_bytes), m.iova, m.bytes);
    return true;
}

static bool on_coherent(struct observed_reader *reader, const struct observe_line *at,
                        const char *fields, struct error *error)
{
    struct events_mapping m;
    if (!events_parse_coherent(fields, &m))
        return observed_bad(reader, error);
    struct observed_call *call =
        observe_map(reader->o, at, OBSERVED_coherent,
                    observe_device(reader->o, m.device, m.device_bytes), m.iova, error);
    if (call == NULL)
        return false;
    call->addr  = m.iova;
    call->bytes = m.bytes;
    return true;
}

static bool on_coherent_free(struct observed_reader *reader, const struct observe_line *at,
                             const char *fields, struct error *error)
{
    struct events_mapping m;
    if (!events_parse_coherent(fields, &m))
        return observed_bad(reader, error);
    observe_unmap(reader->o, at->line, OBSERVED_coherent,
                  observe_device(reader->o, m.device, m.device_bytes), m.iova, m.bytes);
    return true;
}

static bool on_try_alloc(struct observed_reader *reader, const struct observe_line *at,
                         const char *fields, struct error *error)
{
    struct events_range range;
    if (!events_parse_try_alloc(fields, &range))
        return observed_bad(reader, error);
    struct observed_call *call =
        observe_map(reader->o, at, OBSERVED_range, OBSERVED_NONE, range.state, error);
    if (call == NULL)
        return false;
    call->addr  = range.good ? range.base : 0; /* Nothing will be linked into it. */
    call->bytes = range.bytes;
    return true;
}

static bool on_link(struct observed_reader *reader, const struct observe_line *at,
                    const char *fields, struct error *error)
{
    struct events_range range;
    if (!events_parse_link(fields, &range))
        return observed_bad(reader, error);
    struct observed_call *call =
        observe_range(reader->o, at, range.state, range.offset, error);
    if (call == NULL)
        return false;
    call->addr = range.base;
    observe_piece(call, range.pa, range.bytes);
    return true;
}

static bool on_destroy(struct observed_reader *reader, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    struct events_range range;
    if (!events_parse_destroy(fields, &range))
        return observed_bad(reader, error);
    observe_unmap(reader->o, at->line, OBSERVED_range, OBSERVED_NONE, range.state,
                  range.bytes);
    return true;
}

static bool on_cleared(struct observed_reader *reader, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    uint64_t iova, bytes;
    (void)at;
    if (!events_parse_cleared(fields, &iova, &bytes))
        return observed_bad(reader, error);
    observe_cleared(reader->o, iova, bytes);
    return true;
}

static bool on_list(struct observed_reader *reader, const struct observe_line *at,
                    const char *fields, struct error *error)
{
    struct events_lists l;
    if (!events_parse_list(fields, &l))
        return observed_bad(reader, error);
    const struct observed_lists lists = { .device = observe_device(reader->o, l.device,
                                                                   l.device_bytes),
                                          .dir    = l.dir,
                                          .pa     = l.pa,
                                          .iova   = l.iova,
                                          .bytes  = l.bytes };
    return observed_list(reader, at, &lists, error) != NULL;
}

static bool on_list_unmap(struct observed_reader *reader, const struct observe_line *at,
                          const char *fields, struct error *error)
{
    struct events_mapping m;
    if (!events_parse_list_unmap(fields, &m))
        return observed_bad(reader, error);
    observe_unmap(reader->o, at->line, OBSERVED_list,
                  observe_device(reader->o, m.device, m.device_bytes), m.pa, m.bytes);
    return true;
}

static const struct {
    const char *code;
    observed_handler *handle;
} handlers[] = {
    { "N", observed_on_command },
    { "n", observed_on_command_end },
    { "I", observed_on_issue },
    { "C", observed_on_complete },
    { "DM", on_map },
    { "DU", on_unmap },
    { "TA", on_try_alloc },
    { "TL", on_link },
    { "TD", on_destroy },
    { "DS", on_list },
    { "DV", on_list_unmap },
    { "CA", on_coherent },
    { "CF", on_coherent_free },
    { "U", on_cleared },
    { "FR", observed_on_flush },
    { "FA", observed_on_flush_all },
};

static bool take_line(struct observed_reader *reader, uint64_t number, const char *text,
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
        return observed_bad(reader, error);
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
            return handlers[i].handle(reader, &at, line.fields, error);
    return true;
}

extern const struct trace_importer import_events;
const struct observed_form observed_events = { .importer = &import_events,
                                               .not_understood =
                                                   "the event is not understood",
                                               .line      = take_line,
                                               .command   = command_take,
                                               .request   = request_take,
                                               .flush     = events_parse_flush,
                                               .list_next = events_list_next };
