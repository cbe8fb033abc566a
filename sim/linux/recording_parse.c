/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/recording_parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/base/check.h"

enum { PAGES_MOST = 1 << 24 };

/* ---- Words
 * ---------------------------------------------------------------------------------- */

static bool wrong(struct error *error, const char *expected, const char *got)
{
    return error_set(error, "expected %s, got '%.60s'", expected,
                     got == NULL ? "the end of the line" : got);
}

/* A number that is the whole of text. */
static bool number(const char *text, int base, uint64_t *out)
{
    char *end;
    if (text == NULL || text[0] == '\0' || text[0] == '-' || text[0] == '+')
        return false;
    *out = strtoull(text, &end, base);
    return *end == '\0';
}

static bool hex(const char *text, const char *what, uint64_t *out, struct error *error)
{
    return number(text, 16, out) || wrong(error, what, text);
}

static bool decimal(const char *text, const char *what, uint64_t *out, struct error *error)
{
    return number(text, 10, out) || wrong(error, what, text);
}

/* Splits at separator in place: returns this part and moves *rest behind it. */
static char *part(char **rest, char separator)
{
    char *now = *rest;
    if (now == NULL)
        return NULL;
    char *end = strchr(now, separator);
    *rest     = end == NULL ? NULL : end + 1;
    if (end != NULL)
        *end = '\0';
    return now;
}

static char *word(char **rest)
{
    while (*rest != NULL && **rest == ' ')
        (*rest)++;
    if (*rest != NULL && **rest == '\0')
        *rest = NULL;
    return part(rest, ' ');
}

/* ---- Invalidations: "psi:3:fff00000:5:1+dev:sid200:fff00000:0"
 * ----------------------------------------------------------------------------------- */

enum { INV_FIELDS = 5 };

static bool inv_fields(char *field[INV_FIELDS], unsigned fields, struct rec_inv *i)
{
    static const struct {
        const char *name;
        enum rec_inv_kind kind;
        unsigned fields;
    } form[]               = { { "psi", INV_page, 4 },        { "dsi", INV_domain, 1 },
                               { "glob", INV_global, 0 },     { "dev", INV_device, 3 },
                               { "ppsi", INV_pasid_page, 5 }, { "pasid", INV_pasid, 2 } };
    uint64_t v[INV_FIELDS] = { 0 };
    unsigned f             = 0;
    while (f < 6 && strcmp(form[f].name, field[0]) != 0)
        f++;
    if (f == 6 || fields != form[f].fields)
        return false;
    const unsigned address = form[f].kind == INV_pasid_page ? 2 : 1;
    const bool device      = form[f].kind == INV_device;
    if (device && strncmp(field[1], "sid", 3) != 0)
        return false;
    for (unsigned n = 0; n < fields; n++)
        if (!number(device && n == 0 ? field[1] + 3 : field[n + 1],
                    n == address || (device && n == 0) ? 16 : 10, &v[n]))
            return false;
    const unsigned am = address + 1;
    *i = (struct rec_inv){ .kind = (uint8_t)form[f].kind, .id = (uint32_t)v[0] };
    if (form[f].kind == INV_page || form[f].kind == INV_pasid_page) {
        i->addr = v[address];
        i->am   = (uint8_t)v[am];
        i->hint = (uint8_t)v[am + 1];
    } else if (device) {
        i->addr = v[1];
        i->hint = (uint8_t)v[2];
    }
    if (form[f].kind == INV_pasid_page || form[f].kind == INV_pasid)
        i->pasid = (uint32_t)v[1];
    return true;
}

static bool parse_inv(struct recording *r, struct rec_list *list, char *text,
                      struct error *error)
{
    for (char *one = part(&text, '+'); one != NULL; one = part(&text, '+')) {
        char *field[INV_FIELDS + 1] = { NULL }, copy[96], *rest = copy;
        unsigned fields = 0;
        struct rec_inv inv;
        snprintf(copy, sizeof copy, "%s", one);
        for (char *f = part(&rest, ':'); f != NULL && fields <= INV_FIELDS;
             f       = part(&rest, ':'))
            field[fields++] = f;
        if (fields == 0 || rest != NULL || !inv_fields(field, fields - 1, &inv))
            return wrong(error, "an invalidation", one);
        rec_add_inv(r, list, inv);
    }
    return true;
}

/* ---- Values of key=value
 * -------------------------------------------------------------------- */

static bool parse_ranges(struct recording *r, struct rec_list *list, char *text,
                         struct error *error)
{
    for (char *one = part(&text, ','); one != NULL; one = part(&text, ',')) {
        struct rec_range range;
        char *pages = one, *pfn = part(&pages, '/');
        if (!hex(pfn, "a page number", &range.pfn, error)
            || !decimal(pages, "a number of pages", &range.pages, error))
            return false;
        if (range.pages == 0 || range.pages > PAGES_MOST)
            return wrong(error, "1 to 2^24 pages", pages);
        rec_add_range(r, list, range);
    }
    return true;
}

/* pfn/pages/vN/f|s; several when an interrupt's were credited to the row, none when this
 * row's were credited to another. The row's own is that of its address. Page 0 is a search
 * below 4 GiB that found nothing. */
static bool parse_alloc(struct row *row, char *text, struct error *error)
{
    unsigned allocations = 0;
    for (char *one = text[0] == '\0' ? NULL : part(&text, ','); one != NULL;
         one       = part(&text, ',')) {
        char *rest = one, *pfn = part(&rest, '/'), *pages = part(&rest, '/');
        char *space = part(&rest, '/'), *path = part(&rest, '/');
        uint64_t v, found, count;
        if (!hex(pfn, "a page number", &found, error)
            || !decimal(pages, "a number of pages", &count, error))
            return false;
        if (space == NULL || space[0] != 'v' || !number(space + 1, 10, &v) || v >= NO_SPACE)
            return wrong(error, "an address space vN", space);
        if (path == NULL || (strcmp(path, "f") != 0 && strcmp(path, "s") != 0))
            return wrong(error, "f or s", path);
        allocations += found != 0;
        if (found == 0 || (allocations > 1 && found != row->iova >> PAGE_SHIFT))
            continue;
        row->pfn   = found;
        row->pages = count;
        row->space = (uint8_t)v;
        row->path  = path[0];
    }
    row->nested = allocations != 1;
    if (row->nested && row->pfn != row->iova >> PAGE_SHIFT) {
        row->pages = row->pfn = 0; /* None of them is its own. */
        row->path             = 0;
    }
    return true;
}

/* phys+len@offset,... */
static bool parse_links(struct recording *r, struct row *row, char *text,
                        struct error *error)
{
    for (char *one = part(&text, ','); one != NULL; one = part(&text, ',')) {
        struct rec_piece p;
        char *rest = one, *phys = part(&rest, '+'), *bytes = part(&rest, '@');
        if (!hex(phys, "a physical address", &p.addr, error)
            || !decimal(bytes, "a length", &p.bytes, error)
            || !hex(rest, "an offset", &p.offset, error))
            return false;
        rec_add_piece(r, &row->in, p);
    }
    return true;
}

static bool parse_hex_list(struct recording *r, struct rec_list *list, char *text,
                           struct error *error)
{
    for (char *one = part(&text, ','); one != NULL; one = part(&text, ',')) {
        struct rec_piece p = { 0, 0, 0 };
        if (!hex(one, "an address", &p.addr, error))
            return false;
        rec_add_piece(r, list, p);
    }
    return true;
}

/* The addresses of the outputs, whose lengths have been read. */
static bool parse_out(struct recording *r, struct row *row, char *text, struct error *error)
{
    uint32_t n = 0;
    for (char *one = part(&text, ','); one != NULL; one = part(&text, ','), n++) {
        uint64_t addr;
        if (!hex(one, "an address", &addr, error))
            return false;
        if (n >= row->out.count)
            return wrong(error, "as many addresses as lengths", one);
        struct rec_piece *p = &r->piece[row->out.first + n];
        p->bytes            = p->addr;
        p->addr             = addr;
    }
    row->iova = row->out.count == 0 ? 0 : r->piece[row->out.first].addr;
    return n == row->out.count || wrong(error, "as many addresses as lengths", "less");
}

static bool parse_value(struct recording *r, struct row *row, const char *key, char *value,
                        struct error *error)
{
    uint64_t v;
    if (strcmp(key, "phys") == 0 && row->kind == ROW_map_sg)
        return parse_hex_list(r, &row->in, value, error);
    if (strcmp(key, "len") == 0 && row->kind == ROW_map_sg)
        return parse_hex_list(r, &row->out, value, error);
    if (strcmp(key, "phys") == 0 || strcmp(key, "first") == 0)
        return hex(value, "a physical address", &row->phys, error);
    if (strcmp(key, "len") == 0)
        return decimal(value, "a length", &row->bytes, error);
    if (strcmp(key, "iova") == 0 || strcmp(key, "base") == 0)
        return hex(value, "an address", &row->iova, error);
    if (strcmp(key, "addr") == 0)
        return parse_out(r, row, value, error);
    if (strcmp(key, "links") == 0)
        return parse_links(r, row, value, error);
    if (strcmp(key, "alloc") == 0)
        return parse_alloc(row, value, error);
    if (strcmp(key, "inv") == 0)
        return parse_inv(r, &row->inv, value, error);
    if (strcmp(key, "free") == 0)
        return parse_ranges(r, &row->freed, value, error);
    if (strcmp(key, "rng") == 0 || strcmp(key, "rbdel") == 0)
        return true; /* They follow from inv and free. */
    if (strcmp(key, "segs") != 0 && strcmp(key, "pt") != 0 && strcmp(key, "n") != 0)
        return wrong(error, "a known field", key);
    if (!decimal(value, "a number", &v, error))
        return false;
    if (strcmp(key, "segs") == 0) {
        row->segments     = (uint32_t)v;
        row->has_segments = true;
    } else if (strcmp(key, "pt") == 0) {
        row->tables = (uint32_t)v;
    } else {
        row->pages = v; /* Entries of a list that is unmapped. */
    }
    return true;
}

/* ---- Calls
 * ---------------------------------------------------------------------------------- */

static bool parse_device(struct recording *r, struct row *row, const char *text,
                         struct error *error)
{
    unsigned domain, bus, slot, function;
    int end = 0;
    if (text == NULL
        || sscanf(text, "%4x:%2x:%2x.%1u%n", &domain, &bus, &slot, &function, &end) != 4
        || text[end] != '\0' || end > 15)
        return wrong(error, "a device as 0000:00:05.0", text);
    for (unsigned i = 0; i < r->devices; i++)
        if (strcmp(r->device[i].name, text) == 0) {
            row->device = (uint8_t)i;
            return true;
        }
    if (r->devices == REC_DEVICES_MAX)
        return error_set(error, "more than %d devices", REC_DEVICES_MAX);
    struct rec_device *d = &r->device[r->devices];
    *d                   = (struct rec_device){ .space     = NO_SPACE,
                                                .requester = (uint16_t)(bus << 8 | slot << 3 | function) };
    snprintf(d->name, sizeof d->name, "%s", text);
    row->device = (uint8_t)r->devices++;
    return true;
}

static bool parse_kind(struct row *row, const char *text, struct error *error)
{
    static const char *const form[] = { "MAP",      "MAPSG",   "MAPIOVA",
                                        "UNMAP",    "UNMAPSG", "UNMAPIOVA",
                                        "COHALLOC", "COHFREE", "FQFLUSH" };
    for (unsigned i = 0; text != NULL && i < sizeof form / sizeof form[0]; i++)
        if (strcmp(form[i], text) == 0) {
            row->kind = (uint8_t)i;
            return true;
        }
    return wrong(error, "a recorded call", text);
}

static bool parse_dir(struct row *row, const char *text, struct error *error)
{
    if (text == NULL || text[0] == '\0' || text[1] != '\0'
        || strchr("WRB", text[0]) == NULL)
        return wrong(error, "W, R or B", text);
    row->dir = text[0] == 'W'   ? DMA_TO_DEVICE
               : text[0] == 'R' ? DMA_FROM_DEVICE
                                : DMA_BIDIRECTIONAL;
    return true;
}

/* The words between the kind and the fields. */
static bool parse_arguments(struct recording *r, struct row *row, char **rest,
                            struct error *error)
{
    if (row->kind == ROW_timer) {
        const char *timer = word(rest);
        return (timer != NULL && strcmp(timer, "timer") == 0)
               || wrong(error, "timer", timer);
    }
    if (row->kind == ROW_map_iova)
        return true;
    if (row->kind != ROW_unmap_iova && !parse_device(r, row, word(rest), error))
        return false;
    if (row->kind == ROW_coherent_alloc || row->kind == ROW_coherent_free)
        return hex(word(rest), "an address", &row->iova, error)
               && decimal(word(rest), "a length", &row->bytes, error);
    return parse_dir(row, word(rest), error);
}

static bool parse_head(struct row *row, char **rest, struct error *error)
{
    char *time = word(rest), *cpu = word(rest);
    uint64_t v;
    if (!decimal(time, "microseconds", &row->time_us, error))
        return false;
    const size_t n = cpu == NULL ? 0 : strlen(cpu);
    if (n < 2 || strchr("tsh", cpu[n - 1]) == NULL)
        return wrong(error, "a CPU and its context, as 0t", cpu);
    row->context = cpu[n - 1];
    cpu[n - 1]   = '\0';
    if (!number(cpu, 10, &v) || v >= REC_CPUS_MAX)
        return wrong(error, "a CPU below 16", cpu);
    row->cpu = (uint8_t)v;
    return parse_kind(row, word(rest), error);
}

static bool complete(const struct row *row, struct error *error)
{
    const bool maps = row_kind_maps(row->kind);
    if (maps && row->iova == 0)
        return error_set(error, "the outcome of the map is missing");
    if (row->kind == ROW_map_sg && (row->in.count == 0 || row->out.count == 0))
        return error_set(error, "phys= or len= is missing");
    if (row->kind == ROW_map_iova && row->in.count == 0)
        return error_set(error, "links= is missing");
    if ((row->kind == ROW_map || row->kind == ROW_unmap) && row->bytes == 0)
        return error_set(error, "len= is missing");
    if (row->bytes > (uint64_t)PAGES_MOST << 12)
        return error_set(error, "len= is beyond 2^24 pages");
    return true;
}

bool rec_parse_call(struct recording *r, struct row *row, char *line, struct error *error)
{
    char *rest = line;
    if (!parse_head(row, &rest, error) || !parse_arguments(r, row, &rest, error))
        return false;
    for (char *one = word(&rest); one != NULL; one = word(&rest)) {
        char *value = one, *key = part(&value, '=');
        if (strcmp(one, "->") == 0)
            continue;
        if (strcmp(one, "QUEUED") == 0)
            row->queued = true;
        else if (strcmp(one, "flushall") == 0)
            row->flush_all = row->queued = true;
        else if (value == NULL)
            return wrong(error, "key=value", one);
        else if (!parse_value(r, row, key, value, error))
            return false;
    }
    if (row_kind_maps(row->kind) && row->nested)
        row->pfn = row->iova >> PAGE_SHIFT;
    if (row->device != NO_DEVICE && row->space != NO_SPACE && !row->nested)
        r->device[row->device].space = row->space;
    row->elements = row->in.count;
    if (row->in.count == REC_SHOWN_MAX && row->segments > REC_SHOWN_MAX
        && row->segments <= 4096)
        row->elements = row->segments;
    return complete(row, error);
}

/* ---- The allocator: "A cpu vN pages limit pfn f|s [!]", "F cpu vN pfn pages"
 * ------------------------------------------------------------------------------------ */

bool rec_parse_allocator(struct recording *r, struct row *row, char *line,
                         struct error *error)
{
    char *rest = line, *kind = word(&rest), *cpu = word(&rest), *space = word(&rest);
    uint64_t v, s;
    (void)r;
    if (kind == NULL || (strcmp(kind, "A") != 0 && strcmp(kind, "F") != 0))
        return wrong(error, "A or F", kind);
    if (!number(cpu, 10, &v) || v >= REC_CPUS_MAX)
        return wrong(error, "a CPU below 16", cpu);
    if (space == NULL || space[0] != 'v' || !number(space + 1, 10, &s) || s >= NO_SPACE)
        return wrong(error, "an address space vN", space);
    row->cpu   = (uint8_t)v;
    row->space = (uint8_t)s;
    row->kind  = kind[0] == 'A' ? ROW_allocate : ROW_release;
    if (row->kind == ROW_release)
        return hex(word(&rest), "a page number", &row->pfn, error)
               && decimal(word(&rest), "a number of pages", &row->pages, error);
    if (!decimal(word(&rest), "a number of pages", &row->pages, error)
        || !hex(word(&rest), "a limit", &row->limit, error)
        || !hex(word(&rest), "a page number", &row->pfn, error))
        return false;
    const char *path = word(&rest), *race = word(&rest);
    if (path == NULL || (strcmp(path, "f") != 0 && strcmp(path, "s") != 0))
        return wrong(error, "f or s", path);
    row->path = path[0];
    return race == NULL || strcmp(race, "!") == 0 || wrong(error, "!", race);
}
