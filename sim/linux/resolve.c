/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/resolve.h"

#include <stdlib.h>
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/base/check.h"
#include "sim/base/lg2.h"
#include "sim/linux/names.h"

enum { PENDING_MAX = 1024 };

/* ---- Descriptors of maps
 * --------------------------------------------------------------------
 *
 * In caching mode each map sends its own invalidation. The line of a range stands where its
 * synchronisation began, so that its descriptor is found in the next line of the same CPU:
 * a range that waits for a descriptor of its address gets it from there.
 */
static bool is_for(const struct row *row, const struct rec_inv *inv)
{
    return (row->iova & ~mask_lg2(12u + inv->am)) == inv->addr;
}

/* Whether the descriptor is for the range before; it is then moved there. */
static bool credit(struct recording *r, uint32_t owing, uint32_t at)
{
    if (owing == NO_ROW || r->row[owing].inv.count != 0
        || !is_for(&r->row[owing], &r->inv[at]))
        return false;
    r->row[owing].inv = (struct rec_list){ at, 1 };
    return true;
}

/* A map that is no range has its own descriptor in its line. */
static bool is_only_own(const struct row *row, const struct rec_list *in,
                        const struct rec_inv *inv)
{
    return row->kind != ROW_map_iova && in->count == 1 && is_for(row, inv);
}

/* owing: the CPU's map before this one, if it is a range that waits; returns that for the
 * next one. A range that finds none in the next line had its descriptor lost. */
static uint32_t credit_row(struct recording *r, uint32_t index, uint32_t owing)
{
    struct row *row          = &r->row[index];
    const struct rec_list in = row->inv;
    row->inv.count           = 0;
    for (uint32_t i = in.first; i < in.first + in.count; i++)
        if (is_only_own(row, &in, &r->inv[i]) || !credit(r, owing, i)) {
            row->inv.first = row->inv.count == 0 ? i : row->inv.first;
            row->inv.count = i - row->inv.first + 1;
        }
    return row->kind == ROW_map_iova && row->inv.count == 0 ? index : NO_ROW;
}

static void credit_descriptors(struct recording *r)
{
    uint32_t owing[REC_CPUS_MAX];
    bool any = false;
    for (unsigned i = 0; i < REC_CPUS_MAX; i++)
        owing[i] = NO_ROW;
    for (uint32_t i = 0; i < r->rows; i++)
        if (row_kind_maps(r->row[i].kind)) {
            any |= r->row[i].inv.count > 0;
            owing[r->row[i].cpu] = credit_row(r, i, owing[r->row[i].cpu]);
        }
    for (uint32_t i = 0; any && i < r->rows; i++)
        r->row[i].inv_lost = r->row[i].kind == ROW_map_iova && r->row[i].inv.count == 0;
}

/* ---- Who is who
 * ----------------------------------------------------------------------------- */

static unsigned device_of_space(const struct recording *r, unsigned space)
{
    for (unsigned i = 0; i < r->devices; i++)
        if (space != NO_SPACE && r->device[i].space == space)
            return i;
    return NO_DEVICE;
}

static unsigned device_of_id(const struct recording *r, const struct row *row)
{
    for (uint32_t i = 0; i < row->inv.count; i++) {
        const struct rec_inv *inv = &r->inv[row->inv.first + i];
        for (unsigned d = 0; d < r->devices && inv->kind != INV_device; d++)
            if (r->device[d].domain_id == inv->id)
                return d;
    }
    return NO_DEVICE;
}

static void learn_id(struct recording *r, unsigned device, const struct row *row)
{
    const struct rec_inv *inv = &r->inv[row->inv.first];
    if (device != NO_DEVICE && row->inv.count > 0 && inv->kind != INV_device
        && inv->kind != INV_global && r->device[device].domain_id == 0)
        r->device[device].domain_id = inv->id;
}

/* ---- Pairs
 * ---------------------------------------------------------------------------------- */

struct open {
    uint32_t *row, count, room;
};

static void open_add(struct open *open, uint32_t row)
{
    if (open->count == open->room) {
        open->room = open->room == 0 ? 256 : 2 * open->room;
        open->row  = realloc(open->row, open->room * sizeof *open->row);
        CHECK(open->row != NULL);
    }
    open->row[open->count++] = row;
}

static bool shows(const struct row *map, uint64_t elements)
{
    return map->in.count == elements
           || (map->in.count == REC_SHOWN_MAX && elements > REC_SHOWN_MAX);
}

static bool is_pair(const struct recording *r, const struct row *map,
                    const struct row *unmap)
{
    if (unmap->kind == ROW_unmap_sg)
        return map->kind == ROW_map_sg && map->device == unmap->device
               && r->piece[map->in.first].addr == unmap->phys && shows(map, unmap->pages)
               && map->dir == unmap->dir
               && (unmap->queued || unmap->freed.count != 1
                   || r->range[unmap->freed.first].pfn == map->pfn);
    return map->kind == ROW_map_iova && map->iova == unmap->iova
           && map->bytes == unmap->bytes
           && (unmap->device == NO_DEVICE || map->device == unmap->device);
}

static void pair(struct recording *r, struct open *open, struct row *unmap)
{
    if (unmap->kind == ROW_unmap_iova)
        unmap->device = (uint8_t)device_of_id(r, unmap);
    for (uint32_t i = 0; i < open->count; i++) {
        struct row *map = &r->row[open->row[i]];
        if (!is_pair(r, map, unmap))
            continue;
        unmap->pair   = open->row[i];
        unmap->device = map->device;
        if (unmap->kind == ROW_unmap_sg) {
            unmap->iova   = map->iova;
            map->elements = (uint32_t)unmap->pages;
        }
        learn_id(r, unmap->device, unmap);
        memmove(&open->row[i], &open->row[i + 1],
                (--open->count - i) * sizeof open->row[0]);
        return;
    }
}

/* ---- Timers
 * ---------------------------------------------------------------------------------
 *
 * A drain names its domain by id only; until a device is known to have that id, it is the
 * device whose waiting addresses the drain gives back.
 */
struct pending {
    uint64_t pfn[PENDING_MAX];
    unsigned count;
};

static unsigned matches(const struct recording *r, const struct pending *p,
                        const struct row *timer)
{
    unsigned found = 0;
    for (uint32_t i = 0; i < timer->freed.count; i++)
        for (unsigned k = p->count; k-- > 0;)
            if (p->pfn[k] == r->range[timer->freed.first + i].pfn) {
                found++;
                break;
            }
    return found;
}

/* The device most of whose waiting addresses the drain gives back; unknown: among those
 * whose id is not known. */
static unsigned device_waiting(const struct recording *r, const struct pending *pending,
                               const struct row *timer, bool unknown)
{
    unsigned device = NO_DEVICE, most = 0;
    for (unsigned d = 0; d < r->devices; d++) {
        const unsigned found =
            unknown && r->device[d].domain_id != 0 ? 0 : matches(r, &pending[d], timer);
        if (found > most) {
            most   = found;
            device = d;
        }
    }
    return device;
}

static void resolve_timer(struct recording *r, struct pending *pending, struct row *timer)
{
    unsigned device = device_of_id(r, timer);
    if (device == NO_DEVICE)
        device = device_waiting(r, pending, timer, true);
    if (device == NO_DEVICE) /* The id is wrong, and will differ. */
        device = device_waiting(r, pending, timer, false);
    timer->device = (uint8_t)device;
    learn_id(r, device, timer);
    if (device != NO_DEVICE)
        pending[device].count = 0;
}

static void note_pending(struct pending *p, const struct row *row)
{
    if (p->count == PENDING_MAX)
        memmove(&p->pfn[0], &p->pfn[1], --p->count * sizeof p->pfn[0]);
    p->pfn[p->count++] = row->iova >> PAGE_SHIFT;
}

/* A device that only unmaps in the recording has an allocator all the same. */
static void name_spaces(struct recording *r)
{
    for (unsigned d = 0; d < r->devices; d++)
        if (r->device[d].space == NO_SPACE && r->spaces < NO_SPACE)
            r->device[d].space = (uint8_t)r->spaces++;
}

void recording_resolve(struct recording *r)
{
    struct open open        = { NULL, 0, 0 };
    struct pending *pending = calloc(REC_DEVICES_MAX, sizeof *pending);
    CHECK(pending != NULL);
    credit_descriptors(r);
    names_find(r);
    name_spaces(r);
    for (uint32_t i = 0; i < r->rows; i++) {
        struct row *row = &r->row[i];
        if (row->kind == ROW_map_iova)
            row->device = (uint8_t)device_of_space(r, row->space);
        if (row->kind == ROW_map_iova || row->kind == ROW_map_sg)
            open_add(&open, i);
        if (row->kind == ROW_unmap_iova || row->kind == ROW_unmap_sg)
            pair(r, &open, row);
        if (row->kind == ROW_timer)
            resolve_timer(r, pending, row);
        if (row->queued && row->device != NO_DEVICE)
            note_pending(&pending[row->device], row);
        if (row->device != NO_DEVICE)
            row->space = r->device[row->device].space;
    }
    free(open.row);
    free(pending);
}
