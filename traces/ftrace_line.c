/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/ftrace_line.h"

#include <string.h>

#include "traces/text.h"

/* "10.801435:", with up to nine digits behind the point. */
static bool take_time(const char **at, uint64_t *time_ns)
{
    uint64_t seconds, fraction;
    const char *c = *at;
    if (!text_number(&c, 10, &seconds) || *c++ != '.')
        return false;
    const char *const first = c;
    if (!text_number(&c, 10, &fraction) || c - first > 9 || *c != ':')
        return false;
    if (seconds > UINT64_MAX / UINT64_C(1000000000) - 1)
        return false;
    for (long digits = c - first; digits < 9; digits++)
        fraction *= 10;
    *time_ns = seconds * UINT64_C(1000000000) + fraction;
    *at      = c + 1;
    return true;
}

/* The third flag character is the one about interrupts, in the forms with four and five. */
static enum ftrace_context context_of(const char *flags, size_t bytes)
{
    switch (bytes < 4 ? '.' : flags[2]) {
    case 's':
        return FTRACE_SOFTIRQ;
    case 'h':
    case 'H':
        return FTRACE_HARDIRQ;
    case 'z':
    case 'Z':
        return FTRACE_NMI;
    default:
        return FTRACE_TASK;
    }
}

static bool take_flags_and_time(const char **at, struct ftrace_line *line)
{
    const char *const flags = *at = text_skip_blanks(*at);
    line->context                 = FTRACE_TASK;
    if (take_time(at, &line->time_ns))
        return true;
    const size_t bytes = strcspn(flags, " \t");
    *at                = text_skip_blanks(flags + bytes);
    line->context      = context_of(flags, bytes);
    return take_time(at, &line->time_ns);
}

/* "event: fields"; perf puts the name of the subsystem and a colon in front. */
static bool take_event(const char *at, struct ftrace_line *line)
{
    for (unsigned part = 0; part < 2; part++) {
        line->event       = at;
        line->event_bytes = 0;
        while (text_is_name(at[line->event_bytes]))
            line->event_bytes++;
        at += line->event_bytes;
        if (line->event_bytes == 0 || *at++ != ':')
            return false;
        if (!text_is_name(*at))
            break;
    }
    line->fields = text_skip_blanks(at);
    return true;
}

/* The number that ends before the CPU; a thread group in parentheses may follow it. The
 * name in front may hold anything at all, so this reads backwards. */
static uint32_t pid_before(const char *text, const char *bracket)
{
    const char *end = bracket;
    while (end > text && end[-1] == ' ')
        end--;
    if (end > text && end[-1] == ')') {
        while (end > text && *end != '(')
            end--;
        while (end > text && end[-1] == ' ')
            end--;
    }
    const char *first = end;
    while (first > text && text_is_digit(first[-1]))
        first--;
    uint32_t pid;
    return text_number32(&first, &pid) ? pid : 0;
}

bool ftrace_line_split(const char *text, struct ftrace_line *line)
{
    const char *bracket = strchr(text, '[');
    for (; bracket != NULL; bracket = strchr(bracket + 1, '[')) {
        const char *at = bracket + 1;
        if (!text_number32(&at, &line->cpu) || !text_word(&at, "] "))
            continue;
        if (!take_flags_and_time(&at, line) || !take_event(text_skip_blanks(at), line))
            continue;
        line->pid = pid_before(text, bracket);
        return true;
    }
    return false;
}

bool ftrace_line_probes(const struct ftrace_line *line, const char *function)
{
    const char *at = line->fields, *end = strchr(at, ')');
    const char *of = strstr(at, " <- "); /* Its return: of what is called from here. */
    return text_word(&at, "(") && text_word(&at, function) && (*at == '+' || *at == ')')
           && (of == NULL || end == NULL || of > end);
}

bool ftrace_line_returns(const struct ftrace_line *line, const char *function)
{
    const char *at = line->fields[0] == '(' ? strstr(line->fields, " <- ") : NULL;
    return at != NULL && text_word(&at, " <- ") && text_word(&at, function) && *at == ')';
}

/* Behind "key" where it begins a word, or NULL. */
static const char *field_find(const char *fields, const char *key)
{
    const char *at = strstr(fields, key);
    while (at != NULL && at != fields && text_is_name(at[-1]))
        at = strstr(at + 1, key);
    return at != NULL ? at + strlen(key) : NULL;
}

static bool field_number(const char *fields, const char *key, uint64_t *value)
{
    const char *at = field_find(fields, key);
    return at != NULL && text_any_number(&at, value) && !text_is_name(*at);
}

/* The dma events print addresses as bare hexadecimal. */
static bool field_hex(const char *fields, const char *key, uint64_t *value)
{
    const char *at = field_find(fields, key);
    return at != NULL && text_number(&at, 16, value) && !text_is_name(*at);
}

static bool field_number32(const char *fields, const char *key, uint32_t *value)
{
    uint64_t wide;
    if (!field_number(fields, key, &wide) || wide > UINT32_MAX)
        return false;
    *value = (uint32_t)wide;
    return true;
}

/* FNV-1a over the letters before the colon. */
static uint64_t name_hash(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; text_is_name(*name); name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return hash;
}

bool ftrace_parse_command(const char *fields, struct ftrace_command *command)
{
    const char *disk = field_find(fields, "disk=");

    command->controller = name_hash(fields);
    command->disk[0]    = '\0';
    if (disk != NULL) {
        size_t bytes = strcspn(disk, ", ");
        if (bytes >= sizeof command->disk)
            bytes = sizeof command->disk - 1;
        memcpy(command->disk, disk, bytes);
        command->disk[bytes] = '\0';
    }
    return text_is_name(*fields) && field_number32(fields, "qid=", &command->queue)
           && command->queue < TRACE_QUEUES_MAX
           && field_number32(fields, "cmdid=", &command->id);
}

/*
 * The kernel's letters: F for a preceding flush, then the operation (W, D, DE, F, R, WZ,
 * zone operations with Z, N for none of these), then modifiers, none of which is Z or E.
 * A lone F is an operation; in front of another one it is not.
 */
static void request_op(const char *letters, struct ftrace_request *request)
{
    if (letters[0] == 'F' && letters[1] != '\0' && strchr("WDFR", letters[1]) != NULL)
        letters++;
    request->known = true;
    switch (letters[0]) {
    case 'R':
        request->op = TRACE_READ;
        break;
    case 'W':
        request->op = letters[1] == 'Z' ? TRACE_WRITE_ZEROES : TRACE_WRITE;
        break;
    case 'D':
        request->op = TRACE_DISCARD;
        break;
    case 'F':
        request->op = TRACE_FLUSH;
        break;
    default:
        request->known = false;
    }
}

/* "259,0 R 4096 () 412320 + 8 be,0,4 [fio]"; the size is missing from completions, and a
 * command in hexadecimal may stand in the parentheses. */
bool ftrace_parse_request(const char *fields, struct ftrace_request *request)
{
    const char *at = fields;
    if (!text_number32(&at, &request->major) || !text_word(&at, ",")
        || !text_number32(&at, &request->minor) || !text_word(&at, " "))
        return false;
    request_op(at, request);
    at += strcspn(at, " ");
    at                    = text_skip_blanks(at);
    const bool with_bytes = text_number(&at, 10, &request->bytes);
    at                    = text_skip_blanks(at);
    if (*at != '(' || (at = strchr(at, ')')) == NULL || !text_word(&at, ") "))
        return false;
    if (!text_number(&at, 10, &request->sector) || !text_word(&at, " + ")
        || !text_number(&at, 10, &request->sectors) || request->sectors > UINT32_MAX)
        return false;
    if (!with_bytes)
        request->bytes = request->sectors * TRACE_SECTOR_BYTES;
    return *at == '\0' || *at == ' ';
}

static bool mapping_check(const struct ftrace_mapping *mapping)
{
    return mapping->bytes != 0 && mapping->iova <= UINT64_MAX - mapping->bytes
           && mapping->pa <= UINT64_MAX - mapping->bytes;
}

bool ftrace_parse_dma_map(const char *fields, struct ftrace_mapping *mapping)
{
    /* The device's address is ~0 when the mapping failed, and is not used. */
    mapping->iova = 0;
    return field_hex(fields, "phys_addr=", &mapping->pa)
           && field_number(fields, "size=", &mapping->bytes) && mapping_check(mapping);
}

bool ftrace_parse_dma_alloc(const char *fields, struct ftrace_mapping *mapping)
{
    mapping->pa = 0;
    return field_hex(fields, "dma_addr=", &mapping->iova)
           && field_number(fields, "size=", &mapping->bytes) && mapping_check(mapping);
}

bool ftrace_parse_iommu_map(const char *fields, struct ftrace_mapping *mapping)
{
    return field_number(fields, "iova=", &mapping->iova)
           && field_number(fields, "paddr=", &mapping->pa)
           && field_number(fields, "size=", &mapping->bytes) && mapping_check(mapping);
}

bool ftrace_parse_iova_link(const char *fields, struct ftrace_mapping *mapping)
{
    mapping->iova = 0;
    return field_number(fields, "phys=", &mapping->pa)
           && field_number(fields, "size=", &mapping->bytes) && mapping_check(mapping);
}

bool ftrace_parse_dma_unmap(const char *fields, struct ftrace_mapping *mapping)
{
    return ftrace_parse_dma_alloc(fields, mapping);
}

bool ftrace_parse_iommu_unmap(const char *fields, struct ftrace_mapping *mapping)
{
    mapping->pa = 0;
    return field_number(fields, "iova=", &mapping->iova)
           && field_number(fields, "unmapped_size=", &mapping->bytes)
           && (mapping->bytes == 0 || mapping_check(mapping));
}

bool ftrace_parse_flush(const char *fields, uint64_t *first, uint64_t *last)
{
    const char *at = strchr(fields, '[');
    while (at != NULL && strncmp(at, "[0x", 3) != 0) /* dmar0[0] */
        at = strchr(at + 1, '[');
    if (at == NULL)
        return false;
    at++;
    return text_any_number(&at, first) && text_word(&at, "-") && text_any_number(&at, last)
           && *at == ']' && *first <= *last;
}

bool ftrace_parse_iova_state(const char *fields, uint64_t *state,
                             struct ftrace_mapping *mapping)
{
    *mapping = (struct ftrace_mapping){ 0, 0, 0 };
    if (!field_number(fields, "addr=", &mapping->iova))
        field_number(fields, "base=", &mapping->iova);
    if (!field_number(fields, "mapped_len=", &mapping->bytes))
        field_number(fields, "size=", &mapping->bytes);
    field_number(fields, "phys=", &mapping->pa);
    return field_number(fields, "state=", state);
}

uint64_t ftrace_link_offset(const char *fields)
{
    uint64_t offset;
    return field_number(fields, "offset=", &offset) ? offset : UINT64_MAX;
}

size_t ftrace_device_bytes(const char *fields)
{
    const size_t bytes = strcspn(fields, " ");
    return fields[bytes] == ' ' && memchr(fields, '=', bytes) == NULL ? bytes : 0;
}

char ftrace_direction(const char *fields)
{
    const char *at = field_find(fields, "dir=");
    if (at == NULL)
        return 0;
    return text_word(&at, "FROM_DEVICE")     ? 'R'
           : text_word(&at, "TO_DEVICE")     ? 'W'
           : text_word(&at, "BIDIRECTIONAL") ? 'B'
                                             : 0;
}

uint32_t ftrace_list_elements(const char *fields)
{
    const char *at = field_find(fields, "nents=");
    uint32_t shown, all;
    return at != NULL && text_number32(&at, &shown) && text_word(&at, "/")
                   && text_number32(&at, &all)
               ? all
               : 0;
}

bool ftrace_parse_dma_unmap_sg(const char *fields, uint64_t *pa)
{
    const char *at = field_find(fields, "phys_addrs={");
    return at != NULL && ftrace_list_next(&at, pa) == 1;
}

bool ftrace_parse_dma_map_sg(const char *fields, struct ftrace_lists *lists)
{
    lists->iova  = field_find(fields, "dma_addrs={");
    lists->bytes = field_find(fields, "sizes={");
    lists->pa    = field_find(fields, "phys_addrs={");
    return lists->iova != NULL && lists->bytes != NULL && lists->pa != NULL;
}

int ftrace_list_next(const char **list, uint64_t *value)
{
    if (**list == '}')
        return 0;
    if (!text_any_number(list, value) || (**list != ',' && **list != '}'))
        return -1;
    *list += **list == ',';
    return 1;
}

bool ftrace_direction_fits(const char *fields, enum trace_op op)
{
    const char *at = field_find(fields, "dir=");
    if (at == NULL || text_word(&at, "BIDIRECTIONAL"))
        return at != NULL;
    return op == TRACE_READ ? text_word(&at, "FROM_DEVICE") : text_word(&at, "TO_DEVICE");
}

uint64_t ftrace_lost_events(const char *text)
{
    uint64_t events;
    const char *at = text;
    if (!text_word(&at, "CPU:") || (at = strchr(at, '[')) == NULL)
        return 0;
    at++;
    text_word(&at, "LOST ");
    return text_number(&at, 10, &events) && text_word(&at, " EVENTS") ? events : 0;
}
