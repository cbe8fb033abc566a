/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/events_line.h"

#include <string.h>

#include "traces/block_events.h"
#include "traces/text.h"

bool events_line_split(const char *text, struct events_line *line)
{
    static const char letters[] = "tsh";
    const char *at              = text;
    if (!text_number(&at, 10, &line->time_us) || !text_word(&at, " ")
        || !text_number32(&at, &line->cpu) || line->cpu >= TRACE_CPUS_MAX || *at == '\0')
        return false;
    const char *context = strchr(letters, *at);
    if (context == NULL || at[1] != ' ')
        return false;
    line->context = (unsigned)(context - letters);
    at += 2;
    const size_t bytes = strcspn(at, " ");
    if (bytes == 0 || bytes >= sizeof line->code)
        return false;
    memcpy(line->code, at, bytes);
    line->code[bytes] = '\0';
    line->fields      = text_skip_blanks(at + bytes);
    return true;
}

bool events_parse_command(const char *fields, struct events_command *command)
{
    const char *at     = fields;
    const size_t bytes = strcspn(at, " ");
    uint64_t id, queue;
    command->controller = text_hash(at, bytes);
    command->sector = command->sectors = 0;
    at += bytes;
    if (!text_word(&at, " q") || !text_number(&at, 10, &queue) || queue >= TRACE_QUEUES_MAX
        || !text_word(&at, " c") || !text_number(&at, 10, &id) || id > UINT32_MAX)
        return false;
    command->queue = (uint32_t)queue;
    command->id    = (uint32_t)id;
    at             = text_skip_blanks(at);
    at             = text_skip_blanks(at + strcspn(at, " "));
    if (!text_number(&at, 10, &command->sector) || !text_word(&at, "+")
        || !text_number(&at, 10, &command->sectors))
        command->sector = command->sectors = 0;
    return true;
}

bool events_parse_request(const char *fields, struct events_request *request)
{
    const char *at = fields;
    uint32_t major, minor;
    if (!text_number32(&at, &major) || !text_word(&at, ":") || !text_number32(&at, &minor)
        || !text_word(&at, " "))
        return false;
    request->device = (uint64_t)major << 32 | minor;
    request->known  = block_op_of_letters(at, &request->op);
    at += strcspn(at, " ");
    return text_word(&at, " ") && text_number(&at, 10, &request->sector)
           && text_word(&at, "+") && text_number(&at, 10, &request->sectors);
}

/* ---- Single mappings
 * -------------------------------------------------------------------------- */

static bool take_device(const char **at, const char **device, size_t *bytes)
{
    *device = *at;
    *bytes  = strcspn(*at, " ");
    *at += *bytes;
    return *bytes > 0 && text_word(at, " ");
}

static bool take_dir(const char **at, char *dir)
{
    *dir = **at;
    return *dir != '\0' && strchr("RWB", *dir) != NULL && (++*at, text_word(at, " "));
}

static bool take_extent(const char **at, struct events_mapping *m)
{
    m->pa = 0;
    return text_number(at, 16, &m->iova) && text_word(at, " ")
           && text_number(at, 10, &m->bytes);
}

bool events_parse_unmap(const char *fields, struct events_mapping *m)
{
    const char *at = fields;
    return take_device(&at, &m->device, &m->device_bytes) && take_dir(&at, &m->dir)
           && take_extent(&at, m);
}

bool events_parse_map(const char *fields, struct events_mapping *m)
{
    const char *at = fields;
    return take_device(&at, &m->device, &m->device_bytes) && take_dir(&at, &m->dir)
           && take_extent(&at, m) && text_word(&at, " ") && text_number(&at, 16, &m->pa);
}

bool events_parse_coherent(const char *fields, struct events_mapping *m)
{
    const char *at = fields;
    m->dir         = 0;
    return take_device(&at, &m->device, &m->device_bytes) && take_extent(&at, m);
}

/* ---- Ranges
 * ----------------------------------------------------------------------------------- */

static bool take_state(const char **at, struct events_range *range)
{
    *range = (struct events_range){ 0 };
    return text_word(at, "s") && text_number32(at, &range->state) && text_word(at, " ");
}

static bool take_hex(const char **at, uint64_t *value)
{
    return text_number(at, 16, value) && text_word(at, " ");
}

bool events_parse_link(const char *fields, struct events_range *range)
{
    const char *at = fields;
    return take_state(&at, range) && take_hex(&at, &range->base)
           && take_hex(&at, &range->offset) && take_hex(&at, &range->pa)
           && text_number(&at, 10, &range->bytes);
}

bool events_parse_try_alloc(const char *fields, struct events_range *range)
{
    const char *at = fields;
    uint64_t good;
    if (!take_state(&at, range) || !take_hex(&at, &range->pa)
        || !text_number(&at, 10, &range->bytes) || !text_word(&at, " ")
        || !text_number(&at, 10, &good) || !text_word(&at, " ")
        || !text_number(&at, 16, &range->base))
        return false;
    range->good = good != 0;
    return true;
}

bool events_parse_destroy(const char *fields, struct events_range *range)
{
    const char *at = fields;
    return take_state(&at, range) && take_hex(&at, &range->base)
           && text_number(&at, 10, &range->bytes);
}

bool events_parse_cleared(const char *fields, uint64_t *iova, uint64_t *bytes)
{
    const char *at = fields + strcspn(fields, " ");
    return text_word(&at, " ") && take_hex(&at, iova) && text_number(&at, 10, bytes);
}

bool events_parse_flush(const char *fields, uint64_t *first, uint64_t *last)
{
    const char *at = fields;
    return take_hex(&at, first) && take_hex(&at, last) && *first <= *last;
}

/* ---- Lists
 * ------------------------------------------------------------------------------------ */

bool events_parse_list(const char *fields, struct events_lists *lists)
{
    const char *at = fields;
    if (!take_device(&at, &lists->device, &lists->device_bytes)
        || !take_dir(&at, &lists->dir))
        return false;
    lists->iova  = strstr(fields, " addr=");
    lists->bytes = strstr(fields, " len=");
    lists->pa    = strstr(fields, " phys=");
    if (lists->iova == NULL || lists->bytes == NULL || lists->pa == NULL)
        return false;
    lists->iova += 6;
    lists->bytes += 5;
    lists->pa += 6;
    return true;
}

bool events_parse_list_unmap(const char *fields, struct events_mapping *m)
{
    const char *at = fields;
    m->iova        = 0;
    return take_device(&at, &m->device, &m->device_bytes) && take_dir(&at, &m->dir)
           && text_word(&at, "n=") && text_number(&at, 10, &m->bytes)
           && text_word(&at, " first=") && text_number(&at, 16, &m->pa);
}

int events_list_next(const char **list, uint64_t *value)
{
    if (**list == ' ' || **list == '\0')
        return 0;
    if (!text_number(list, 16, value) || (**list != ',' && **list != ' ' && **list != '\0'))
        return -1;
    *list += **list == ',';
    return 1;
}
