/* SPDX-License-Identifier: Apache-2.0 */
/* observed_ftrace - a recording as text of ftrace. */
#include <string.h>

#include "traces/ftrace_gather.h"
#include "traces/observed_read.h"

static uint32_t device_of(struct observed *o, const char *fields)
{
    const size_t bytes = ftrace_device_bytes(fields);
    return bytes == 0 ? OBSERVED_NONE : observe_device(o, fields, bytes);
}

/* ---- Requests
 * -------------------------------------------------------------------------------- */

static bool command_take(const char *fields, struct observe_command *command)
{
    struct ftrace_command c;
    if (!ftrace_parse_command(fields, &c))
        return false;
    *command = (struct observe_command){ .controller = c.controller,
                                         .id         = (uint64_t)c.queue << 32 | c.id,
                                         .admin      = c.queue == 0 };
    return true;
}

static bool request_take(const char *fields, struct observe_request *request)
{
    struct ftrace_request r;
    if (!ftrace_parse_request(fields, &r))
        return false;
    *request = (struct observe_request){ .disk   = (uint64_t)r.major << 32 | r.minor,
                                         .op     = r.known ? r.op : TRACE_FLUSH,
                                         .known  = r.known,
                                         .sector = r.sector,
                                         .bytes  = r.bytes };
    return true;
}

/* ---- Single mappings and lists
 * --------------------------------------------------------------- */

static bool map_single(struct observed_reader *reader, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    struct ftrace_mapping m, to;
    if (!ftrace_parse_dma_map(fields, &m))
        return observed_bad(reader, error);
    if (!ftrace_parse_dma_alloc(fields, &to))
        return true; /* It failed: the address is all ones. */
    struct observed_call *call = observe_map(reader->o, at, OBSERVED_single,
                                             device_of(reader->o, fields), to.iova, error);
    if (call == NULL)
        return false;
    call->dir   = ftrace_direction(fields);
    call->addr  = to.iova;
    call->bytes = m.bytes;
    observe_piece(call, m.pa, m.bytes);
    return true;
}

static bool on_map_page(struct observed_reader *reader, const struct observe_line *at,
                        const char *fields, struct error *error)
{
    reader->o->old_maps = true;
    return map_single(reader, at, fields, error);
}

static bool on_map_phys(struct observed_reader *reader, const struct observe_line *at,
                        const char *fields, struct error *error)
{
    reader->o->new_maps = true;
    return map_single(reader, at, fields, error);
}

static bool on_unmap(struct observed_reader *reader, const struct observe_line *at,
                     const char *fields, struct error *error)
{
    struct ftrace_mapping m;
    if (!ftrace_parse_dma_unmap(fields, &m))
        return observed_bad(reader, error);
    observe_unmap(reader->o, at->line, OBSERVED_single, device_of(reader->o, fields),
                  m.iova, m.bytes);
    return true;
}

static bool on_map_list(struct observed_reader *reader, const struct observe_line *at,
                        const char *fields, struct error *error)
{
    struct ftrace_lists l;
    if (!ftrace_parse_dma_map_sg(fields, &l))
        return observed_bad(reader, error);
    const struct observed_lists lists = { .device = device_of(reader->o, fields),
                                          .dir    = ftrace_direction(fields),
                                          .pa     = l.pa,
                                          .iova   = l.iova,
                                          .bytes  = l.bytes };
    struct observed_call *call        = observed_list(reader, at, &lists, error);
    if (call != NULL && ftrace_list_elements(fields) > call->elements)
        call->elements = ftrace_list_elements(fields);
    return call != NULL;
}

static bool on_unmap_list(struct observed_reader *reader, const struct observe_line *at,
                          const char *fields, struct error *error)
{
    uint64_t pa;
    if (!ftrace_parse_dma_unmap_sg(fields, &pa))
        return observed_bad(reader, error);
    struct observed_call *call = observe_unmap(reader->o, at->line, OBSERVED_list,
                                               device_of(reader->o, fields), pa, 0);
    if (call != NULL) /* The event does not say of how many elements. */
        call->unmap_bytes = call->elements;
    return true;
}

static bool on_alloc(struct observed_reader *reader, const struct observe_line *at,
                     const char *fields, struct error *error)
{
    struct ftrace_mapping m;
    if (!ftrace_parse_dma_alloc(fields, &m))
        return observed_bad(reader, error);
    struct observed_call *call = observe_map(reader->o, at, OBSERVED_coherent,
                                             device_of(reader->o, fields), m.iova, error);
    if (call == NULL)
        return false;
    call->addr  = m.iova;
    call->bytes = m.bytes;
    return true;
}

static bool on_free(struct observed_reader *reader, const struct observe_line *at,
                    const char *fields, struct error *error)
{
    struct ftrace_mapping m;
    if (!ftrace_parse_dma_alloc(fields, &m)) /* Freeing nothing is allowed. */
        return strstr(fields, " size=0 ") != NULL || observed_bad(reader, error);
    observe_unmap(reader->o, at->line, OBSERVED_coherent, device_of(reader->o, fields),
                  m.iova, m.bytes);
    return true;
}

static bool on_cleared(struct observed_reader *reader, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    struct ftrace_mapping m;
    (void)at;
    if (strncmp(fields, "IOMMU:", 6) != 0)
        return true; /* Somebody's probe of this name. */
    if (!ftrace_parse_iommu_unmap(fields, &m))
        return observed_bad(reader, error);
    observe_cleared(reader->o, m.iova, m.bytes);
    return true;
}

/* ---- The IOVA API, by probes
 * ----------------------------------------------------------------- */

/* A probe that does not record the state: a thread has one range at a time. */
static void state_take(const struct observe_line *at, const char *fields, uint64_t *state,
                       struct ftrace_mapping *m)
{
    if (!ftrace_parse_iova_state(fields, state, m))
        *state = at->thread;
}

/* The probe knows that it was tried; whether there were addresses is seen by the links. One
 * probe may stand where the function is called and another one where it returns. */
static bool on_try_alloc(struct observed_reader *reader, const struct observe_line *at,
                         const char *fields, struct error *error)
{
    struct ftrace_mapping m;
    uint64_t state;
    state_take(at, fields, &state, &m);
    reader->o->new_maps        = true;
    struct observed_call *call = observe_range(reader->o, at, state, 0, error);
    if (call == NULL)
        return false;
    call->addr  = m.iova;
    call->bytes = m.bytes;
    return true;
}

static bool on_link(struct observed_reader *reader, const struct observe_line *at,
                    const char *fields, struct error *error)
{
    struct ftrace_mapping m, to;
    uint64_t state;
    if (!ftrace_parse_iova_link(fields, &m))
        return error_set(error, "the probe must record phys= and size=");
    state_take(at, fields, &state, &to);
    reader->o->new_maps = true;
    struct observed_call *call =
        observe_range(reader->o, at, state, ftrace_link_offset(fields), error);
    if (call == NULL)
        return false;
    call->addr = to.iova != 0 ? to.iova : call->addr;
    observe_piece(call, m.pa, m.bytes);
    return true;
}

static bool on_destroy(struct observed_reader *reader, const struct observe_line *at,
                       const char *fields, struct error *error)
{
    struct ftrace_mapping m;
    uint64_t state;
    if (!ftrace_parse_iova_state(fields, &state, &m))
        return error_set(error, "the probe must record state=");
    observe_unmap(reader->o, at->line, OBSERVED_range, OBSERVED_NONE, state, m.bytes);
    return true;
}

/* ---- Lines
 * ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    observed_handler *handle;
} handlers[] = {
    { "nvme_setup_cmd", observed_on_command },
    { "nvme_complete_rq", observed_on_command_end },
    { "block_rq_issue", observed_on_issue },
    { "block_rq_complete", observed_on_complete },
    { "dma_map_page", on_map_page },
    { "dma_map_phys", on_map_phys },
    { "dma_unmap_page", on_unmap },
    { "dma_unmap_phys", on_unmap },
    { "dma_map_sg", on_map_list },
    { "dma_unmap_sg", on_unmap_list },
    { "dma_alloc", on_alloc },
    { "dma_free", on_free },
    { "unmap", on_cleared },
    { "cache_tag_flush_range", observed_on_flush },
    { "cache_tag_flush_all", observed_on_flush_all },
}, probes[] = {
    { "dma_iova_try_alloc", on_try_alloc },
    { "dma_iova_link", on_link },
    { "dma_iova_destroy", on_destroy },
};

static observed_handler *handler_of(const struct ftrace_line *line)
{
    if (line->fields[0] == '(') {
        for (unsigned i = 0; i < sizeof probes / sizeof probes[0]; i++)
            if (ftrace_line_probes(line, probes[i].name)
                || (i == 0 && ftrace_line_returns(line, probes[i].name)))
                return probes[i].handle;
        return NULL;
    }
    for (unsigned i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (strlen(handlers[i].name) == line->event_bytes
            && memcmp(handlers[i].name, line->event, line->event_bytes) == 0)
            return handlers[i].handle;
    return NULL;
}

static bool take_line(struct observed_reader *reader, uint64_t number, const char *text,
                      struct error *error)
{
    struct ftrace_line line;
    if (text[0] == '#')
        return true;
    if (!ftrace_line_split(text, &line)) {
        reader->lost += ftrace_lost_events(text);
        return true;
    }
    if (line.cpu >= TRACE_CPUS_MAX)
        return error_set(error, "cpu %u must be below %d", line.cpu, TRACE_CPUS_MAX);
    const struct observe_line at   = { .line    = number,
                                       .thread  = ftrace_thread(&line),
                                       .time_ns = line.time_ns,
                                       .cpu     = line.cpu };
    observed_handler *const handle = handler_of(&line);
    return handle == NULL || handle(reader, &at, line.fields, error)
           || error_in(error, "%.*s", (int)line.event_bytes, line.event);
}

extern const struct trace_importer import_ftrace;
const struct observed_form observed_ftrace = { .importer = &import_ftrace,
                                               .not_understood =
                                                   "its fields are not understood",
                                               .line      = take_line,
                                               .command   = command_take,
                                               .request   = request_take,
                                               .flush     = ftrace_parse_flush,
                                               .list_next = ftrace_list_next };
