/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/recording.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/linux/recording_parse.h"
#include "traces/source.h"

enum { SECTION_GAP_US = 1000000 };

static const char *const kind_name[ROW_KINDS] = { "map",        "map sg",      "map iova",
                                                  "unmap",      "unmap sg",    "unmap iova",
                                                  "coh. alloc", "coh. free",   "timer",
                                                  "iova alloc", "iova release" };

const char *row_kind_name(enum row_kind kind)
{
    return kind_name[kind];
}

/* ---- Growing
 * -------------------------------------------------------------------------------- */

static void *grown(void *array, uint32_t count, uint32_t *room, size_t bytes)
{
    if (count < *room)
        return array;
    *room = *room == 0 ? 1024 : 2 * *room;
    array = realloc(array, *room * bytes);
    CHECK(array != NULL);
    return array;
}

struct row *rec_add_row(struct recording *r)
{
    r->row          = grown(r->row, r->rows, &r->rows_room, sizeof *r->row);
    r->row[r->rows] = (struct row){ .device  = NO_DEVICE,
                                    .space   = NO_SPACE,
                                    .pair    = NO_ROW,
                                    .section = r->sections == 0 ? 0 : r->sections - 1 };
    return &r->row[r->rows++];
}

void rec_add_piece(struct recording *r, struct rec_list *list, struct rec_piece piece)
{
    r->piece = grown(r->piece, r->pieces, &r->pieces_room, sizeof *r->piece);
    if (list->count++ == 0)
        list->first = r->pieces;
    r->piece[r->pieces++] = piece;
}

void rec_add_inv(struct recording *r, struct rec_list *list, struct rec_inv inv)
{
    r->inv = grown(r->inv, r->invs, &r->invs_room, sizeof *r->inv);
    if (list->count++ == 0)
        list->first = r->invs;
    r->inv[r->invs++] = inv;
}

void rec_add_range(struct recording *r, struct rec_list *list, struct rec_range range)
{
    r->range = grown(r->range, r->ranges, &r->ranges_room, sizeof *r->range);
    if (list->count++ == 0)
        list->first = r->ranges;
    r->range[r->ranges++] = range;
}

void rec_add_section(struct recording *r, const char *name)
{
    r->section = grown(r->section, r->sections, &r->sections_room, sizeof *r->section);
    snprintf(r->section[r->sections++], sizeof *r->section, "%s", name);
}

/* ---- Lines
 * ---------------------------------------------------------------------------------- */

/* Each section counts its time from 0: they are put behind one another. */
struct clock {
    uint64_t base, last;
};

static bool read_line(struct recording *r, char *line, struct clock *clock,
                      struct error *error)
{
    if (strncmp(line, "### ", 4) == 0) {
        rec_add_section(r, line + 4);
        clock->base = clock->last + SECTION_GAP_US;
        return true;
    }
    struct row *row = rec_add_row(r);
    if (!(r->allocator_only ? rec_parse_allocator(r, row, line, error)
                            : rec_parse_call(r, row, line, error)))
        return false;
    row->time_us += clock->base;
    if (row->time_us > clock->last)
        clock->last = row->time_us;
    if (row->cpu >= r->cpus)
        r->cpus = row->cpu + 1u;
    if (row->space != NO_SPACE && row->space >= r->spaces)
        r->spaces = row->space + 1u;
    return true;
}

/* "# cap_begin NAME" and "# cap_end NAME" of the allocator's files. */
static void read_marker(struct recording *r, const char *line)
{
    char name[48];
    if (sscanf(line, "# cap_begin %47s", name) == 1)
        rec_add_section(r, name);
    else if (strncmp(line, "# cap_end", 9) == 0)
        rec_add_section(r, ""); /* What happened between the recorded sections. */
}

static bool read_all(struct recording *r, struct trace_source *source, struct error *error)
{
    const char *text;
    size_t bytes;
    struct clock clock = { 0, 0 };
    while ((text = trace_source_line(source, &bytes, error)) != NULL) {
        if (bytes == 0)
            continue;
        if (text[0] == '#' && text[1] != '#') {
            read_marker(r, text);
            continue;
        }
        char *line = strdup(text);
        CHECK(line != NULL);
        const bool good = read_line(r, line, &clock, error);
        free(line);
        const uint64_t number = trace_source_line_number(source);
        if (!good)
            return error_in(error, "line %" PRIu64, number);
        if (r->rows > 0 && r->row[r->rows - 1].line == 0)
            r->row[r->rows - 1].line = number;
    }
    return error->text[0] == '\0';
}

bool recording_read(struct recording *r, const char *path, struct error *error)
{
    struct trace_source *source;
    memset(r, 0, sizeof *r);
    r->path           = strdup(path);
    r->allocator_only = strstr(path, ".iova.txt") != NULL;
    CHECK(r->path != NULL);
    if (!trace_source_open(&source, path, error))
        return error_in(error, "%s", path);
    bool good = read_all(r, source, error);
    trace_source_close(source);
    if (good && r->rows == 0)
        good = error_set(error, "expected recorded calls, got none");
    if (r->sections == 0)
        rec_add_section(r, "recording");
    return good || error_in(error, "%s", path);
}

void recording_free(struct recording *r)
{
    free(r->path);
    free(r->row);
    free(r->piece);
    free(r->inv);
    free(r->range);
    free(r->section);
    memset(r, 0, sizeof *r);
}

/* ---- Text
 * ----------------------------------------------------------------------------------- */

static int one_inv(const struct rec_inv *i, char *out, size_t bytes)
{
    switch ((enum rec_inv_kind)i->kind) {
    case INV_page:
        return snprintf(out, bytes, "psi:%u:%" PRIx64 ":%u:%u", i->id, i->addr, i->am,
                        i->hint);
    case INV_domain:
        return snprintf(out, bytes, "dsi:%u", i->id);
    case INV_global:
        return snprintf(out, bytes, "glob");
    case INV_device:
        return snprintf(out, bytes, "dev:sid%x:%" PRIx64 ":%u", i->id, i->addr, i->hint);
    case INV_pasid_page:
        return snprintf(out, bytes, "ppsi:%u:%u:%" PRIx64 ":%u:%u", i->id, i->pasid,
                        i->addr, i->am, i->hint);
    case INV_pasid:
        return snprintf(out, bytes, "pasid:%u:%u", i->id, i->pasid);
    case INV_other:
        return snprintf(out, bytes, "other:%u", i->id);
    }
    UNREACHABLE("a descriptor has one of these kinds");
}

void rec_inv_text(const struct rec_inv *inv, uint32_t count, char *out, size_t bytes)
{
    size_t used = 0;
    snprintf(out, bytes, "none");
    for (uint32_t i = 0; i < count && used + 64 < bytes; i++) {
        if (i > 0)
            out[used++] = '+';
        used += (size_t)one_inv(&inv[i], out + used, bytes - used);
    }
}

void rec_range_text(const struct rec_range *range, uint32_t count, char *out, size_t bytes)
{
    size_t used = 0;
    snprintf(out, bytes, "none");
    for (uint32_t i = 0; i < count && used + 48 < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%" PRIx64 "/%" PRIu64,
                                 i > 0 ? "," : "", range[i].pfn, range[i].pages);
}
