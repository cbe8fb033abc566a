/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/dmacalls.h"

#include <stdio.h>
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/linux/recording.h"
#include "sim/linux/resolve.h"

/* The driver's admin queues of 32 entries: completions of 16 bytes, commands of 64. */
enum { ADMIN_CQ_BYTES = 32 * 16, ADMIN_SQ_BYTES = 32 * 64 };

bool dmacalls_is(const char *path)
{
    const char *base = strrchr(path, '/');
    return strstr(base == NULL ? path : base, ".oracle.txt") != NULL;
}

/* ---- Which devices are drives
 * ---------------------------------------------------------------- */

struct signs {
    uint64_t coherent[2], singles, sectors;
    unsigned coherents;
    bool
        larger; /* Coherent memory of more than a page, which no pool of the driver asks. */
};

static void look_at(struct signs *s, const struct row *row)
{
    if (row->kind == ROW_coherent_alloc) {
        if (s->coherents < 2)
            s->coherent[s->coherents++] = row->bytes;
        s->larger |= row->bytes > PAGE_SIZE;
    } else if (row->kind == ROW_map) {
        s->singles++;
        s->sectors +=
            row->bytes % TRACE_SECTOR_BYTES == 0 && row->phys % TRACE_SECTOR_BYTES == 0;
    }
}

static bool is_drive(const struct signs *s)
{
    if (s->coherents == 2 && s->coherent[0] == ADMIN_CQ_BYTES
        && s->coherent[1] == ADMIN_SQ_BYTES)
        return true;
    return !s->larger && s->singles > 0 && s->sectors * 10 >= s->singles * 9;
}

static void find_drives(struct observed *o, const struct recording *r)
{
    struct signs signs[REC_DEVICES_MAX] = { 0 };
    for (uint32_t i = 0; i < r->rows; i++)
        if (r->row[i].device != NO_DEVICE)
            look_at(&signs[r->row[i].device], &r->row[i]);
    for (unsigned d = 0; d < r->devices; d++) {
        const uint32_t index =
            observe_device(o, r->device[d].name, strlen(r->device[d].name));
        o->device[index].nvme = is_drive(&signs[d]);
    }
}

/* ---- Calls
 * ----------------------------------------------------------------------------------- */

static enum observed_kind kind_of(enum row_kind kind)
{
    switch (kind) {
    case ROW_map_iova:
    case ROW_unmap_iova:
        return OBSERVED_range;
    case ROW_map_sg:
    case ROW_unmap_sg:
        return OBSERVED_list;
    case ROW_coherent_alloc:
    case ROW_coherent_free:
        return OBSERVED_coherent;
    default:
        return OBSERVED_single;
    }
}

static char dir_of(const struct row *row)
{
    return row->dir == DMA_TO_DEVICE ? 'W' : row->dir == DMA_FROM_DEVICE ? 'R' : 'B';
}

static void add_pieces(struct observed_call *call, const struct recording *r,
                       const struct row *row)
{
    if (row->kind == ROW_map)
        observe_piece(call, row->phys, row->bytes);
    for (uint32_t i = 0; i < row->in.count; i++) {
        const struct rec_piece *p = &r->piece[row->in.first + i];
        observe_piece(call, p->addr, row->kind == ROW_map_sg ? 0 : p->bytes);
    }
    for (uint32_t i = 0; i < row->out.count; i++)
        observe_out(call, r->piece[row->out.first + i].addr,
                    r->piece[row->out.first + i].bytes);
    if (row->elements > call->elements)
        call->elements = row->elements;
}

static bool add_map(struct observed *o, const struct recording *r, const struct row *row,
                    const struct observe_line *at, struct error *error)
{
    const uint32_t device         = row->device == NO_DEVICE ? OBSERVED_NONE : row->device;
    const enum observed_kind kind = kind_of((enum row_kind)row->kind);
    const uint64_t value          = kind == OBSERVED_range  ? (uint64_t)(row - r->row)
                                    : kind == OBSERVED_list ? r->piece[row->in.first].addr
                                                            : row->iova;
    struct observed_call *call    = observe_map(o, at, kind, device, value, error);
    if (call == NULL)
        return false;
    call->addr  = row->iova;
    call->bytes = row->kind == ROW_map_sg ? 0 : row->bytes;
    call->dir   = row->kind == ROW_map_iova ? 0 : dir_of(row);
    add_pieces(call, r, row);
    if (row->kind != ROW_coherent_alloc)
        observe_alone(o, at,
                      row->kind == ROW_map_iova || row->dir != DMA_TO_DEVICE ? TRACE_READ
                                                                             : TRACE_WRITE);
    return true;
}

/* The unmap of a range says in which direction it was mapped. */
static void add_unmap(struct observed *o, const struct row *row, uint64_t line)
{
    const enum observed_kind kind = kind_of((enum row_kind)row->kind);
    const uint32_t device         = row->device == NO_DEVICE ? OBSERVED_NONE : row->device;
    const uint64_t value          = kind == OBSERVED_range  ? row->pair
                                    : kind == OBSERVED_list ? row->phys
                                                            : row->iova;
    if (kind == OBSERVED_single || kind == OBSERVED_list) {
        o->cleared++;
        o->flushed += !row->queued;
        o->has_flushes = true;
    }
    struct observed_call *call =
        observe_unmap(o, line, kind, kind == OBSERVED_range ? OBSERVED_NONE : device, value,
                      kind == OBSERVED_list ? row->pages : row->bytes);
    if (call == NULL || call->request == OBSERVED_NONE)
        return;
    o->request[call->request].completed = true;
    if (kind == OBSERVED_range && row->dir == DMA_TO_DEVICE)
        o->request[call->request].op = TRACE_WRITE;
}

static bool build(struct observed *o, const struct recording *r, struct error *error)
{
    find_drives(o, r);
    for (uint32_t i = 0; i < r->rows; i++) {
        const struct row *row        = &r->row[i];
        const struct observe_line at = { .line    = row->line,
                                         .thread  = row->cpu,
                                         .time_ns = row->time_us * 1000,
                                         .cpu     = row->cpu };
        if (row_kind_maps((enum row_kind)row->kind)) {
            if (!add_map(o, r, row, &at, error))
                return error_in(error, "%s", r->path);
        } else if (row->kind != ROW_timer) {
            add_unmap(o, row, row->line);
        }
    }
    return observe_end(o, error) || error_in(error, "%s", r->path);
}

bool dmacalls_read(struct observed *o, const char *path, struct error *error)
{
    struct recording r;
    memset(o, 0, sizeof *o);
    error->text[0] = '\0';
    bool good      = recording_read(&r, path, error);
    if (good) {
        recording_resolve(&r);
        observe_begin(o, path, "oracle");
        good = build(o, &r, error);
    }
    recording_free(&r);
    return good;
}
