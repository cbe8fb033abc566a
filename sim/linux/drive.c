/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/drive.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/lg2.h"
#include "sim/linux/shape.h"

/* Where memory lies that a stand-in maps: nothing recorded is there. */
#define STAND_IN_PHYS (UINT64_C(1) << 45)

struct coherent {
    struct coherent *next;
    unsigned device;
    uint64_t handle;
    void *memory;
};

struct list {
    unsigned entries;
    struct scatterlist entry[];
};

void drive_init(struct drive *d)
{
    d->state   = calloc(d->calls->rows + 1u, sizeof *d->state);
    d->flushed = calloc(d->calls->rows + 1u, sizeof *d->flushed);
    d->made_up = calloc(d->calls->rows + 1u, sizeof *d->made_up);
    CHECK(d->state != NULL && d->flushed != NULL && d->made_up != NULL);
}

void drive_free(struct drive *d)
{
    for (uint32_t i = 0; i < d->calls->rows; i++)
        free(d->state[i]);
    while (d->coherent != NULL) {
        struct coherent *c = d->coherent;
        d->coherent        = c->next;
        free(c);
    }
    free(d->state);
    free(d->flushed);
    free(d->made_up);
}

/* ---- Maps
 * ----------------------------------------------------------------------------------- */

static struct list *list_new(const struct drive *d, const struct row *row,
                             const struct device *dev)
{
    const struct recording *r = d->calls;
    uint32_t length[SHAPE_ELEMENTS_MAX];
    struct list *list = calloc(1, sizeof *list + row->elements * sizeof list->entry[0]);
    CHECK(list != NULL);
    CHECK(row->elements <= SHAPE_ELEMENTS_MAX);
    list->entries = row->elements;
    sg_init_table(list->entry, list->entries);
    if (!shape_elements(r, row, dma_get_max_seg_size((struct device *)dev), length))
        for (unsigned i = 0; i < list->entries; i++)
            length[i] = PAGE_SIZE; /* Not consistent: the comparison will say so. */
    for (unsigned i = 0; i < list->entries; i++) {
        const uint64_t phys = shape_phys(r, row, i);
        sg_set_page(&list->entry[i], phys_to_page(phys), length[i],
                    (unsigned)(phys & ~PAGE_MASK));
    }
    return list;
}

static void map_list(struct drive *d, uint32_t index)
{
    const struct row *row = &d->calls->row[index];
    struct device *dev    = &d->machine.device[row->device];
    struct list *list     = list_new(d, row, dev);
    d->outs =
        dma_map_sg(dev, list->entry, (int)list->entries, (enum dma_data_direction)row->dir);
    for (unsigned i = 0; i < d->outs && i < sizeof d->out / sizeof d->out[0]; i++) {
        d->out[i].addr  = sg_dma_address(&list->entry[i]);
        d->out[i].bytes = sg_dma_len(&list->entry[i]);
    }
    d->addr         = d->outs == 0 ? 0 : d->out[0].addr;
    d->state[index] = list;
}

/* The direction of a range is not recorded with its map; both ways writes the same. */
static void map_range(struct drive *d, uint32_t index)
{
    const struct row *row        = &d->calls->row[index];
    struct device *dev           = &d->machine.device[row->device];
    struct dma_iova_state *state = calloc(1, sizeof *state);
    const struct rec_piece *link = &d->calls->piece[row->in.first];
    uint64_t linked              = 0;
    CHECK(state != NULL);
    d->addr         = 0;
    d->state[index] = state;
    if (!dma_iova_try_alloc(dev, state, link->addr, row->bytes))
        return;
    for (uint32_t i = 0; i < row->in.count; i++) {
        if (dma_iova_link(dev, state, link[i].addr, link[i].offset, link[i].bytes,
                          DMA_BIDIRECTIONAL, 0)
            != 0)
            break;
        linked += link[i].bytes;
    }
    if (linked == row->bytes && dma_iova_sync(dev, state, 0, linked) == 0)
        d->addr = state->addr;
}

static void allocate_coherent(struct drive *d, const struct row *row)
{
    struct device *dev = &d->machine.device[row->device];
    struct coherent *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->device   = row->device;
    c->memory   = dma_alloc_coherent(dev, row->bytes, &c->handle, GFP_KERNEL);
    c->next     = d->coherent;
    d->coherent = c;
    d->addr     = c->memory == NULL ? 0 : c->handle;
}

/* ---- Unmaps
 * --------------------------------------------------------------------------------- */

static void map_stand_in(struct dma_domain *domain, uint64_t pfn, uint64_t pages)
{
    const uint64_t first = pfn << PAGE_SHIFT;
    domain_map(domain, first, STAND_IN_PHYS + first, pages << PAGE_SHIFT,
               PT_READ | PT_WRITE);
}

static bool is_mapped(const struct drive *d, const struct row *row, uint64_t iova)
{
    return pagetable_lookup(&d->machine.device[row->device].domain->table, iova & PAGE_MASK)
           != 0;
}

/* Whether what is to be unmapped is there. What was mapped outside the recorded calls is
 * mapped now, if it is not. False: it waits in a queue already, or is nobody's, and the
 * comparison will say so. */
static bool can_unmap(struct drive *d, const struct row *row, uint64_t iova, uint64_t bytes)
{
    const uint64_t pfn   = iova >> PAGE_SHIFT;
    const uint64_t pages = (align_up(iova + bytes, PAGE_SHIFT) >> PAGE_SHIFT) - pfn;
    const bool mapped    = is_mapped(d, row, iova);
    if (!resync_is_live(&d->resync, row->space, pfn))
        return false;
    if (!resync_is_outside(&d->resync, row->space, pfn))
        return mapped;
    resync_adopt(&d->resync, row->space, pfn);
    d->stand_ins++;
    d->made_up[row - d->calls->row] = true;
    if (!mapped)
        map_stand_in(d->machine.device[row->device].domain, pfn, pages);
    return true;
}

static void unmap(struct drive *d, const struct row *row, uint64_t iova, uint64_t bytes)
{
    if (can_unmap(d, row, iova, bytes))
        dma_unmap_phys(&d->machine.device[row->device], iova, bytes,
                       (enum dma_data_direction)row->dir, 0);
}

/* Of a list that no recorded call mapped, the address is known only if it is given back at
 * once; if it is queued, the drain says it. */
static void unmap_foreign_list(struct drive *d, const struct row *row)
{
    if (row->queued || row->freed.count != 1)
        return;
    const struct rec_range *f = &d->calls->range[row->freed.first];
    unmap(d, row, f->pfn << PAGE_SHIFT, f->pages << PAGE_SHIFT);
}

static void unmap_list(struct drive *d, const struct row *row)
{
    struct device *dev = &d->machine.device[row->device];
    if (row->pair == NO_ROW || d->state[row->pair] == NULL) {
        unmap_foreign_list(d, row);
        return;
    }
    struct list *list = d->state[row->pair];
    if (can_unmap(d, row, sg_dma_address(&list->entry[0]), sg_dma_len(&list->entry[0])))
        dma_unmap_sg(dev, list->entry, (int)list->entries,
                     (enum dma_data_direction)row->dir);
    free(list);
    d->state[row->pair] = NULL;
}

static void unmap_range(struct drive *d, const struct row *row)
{
    struct device *dev           = &d->machine.device[row->device];
    struct dma_iova_state *state = row->pair == NO_ROW ? NULL : d->state[row->pair];
    if (state == NULL) { /* No recorded call made it. */
        struct dma_iova_state foreign = { .addr = row->iova, .__size = row->bytes };
        if (can_unmap(d, row, row->iova, row->bytes))
            dma_iova_destroy(dev, &foreign, row->bytes, (enum dma_data_direction)row->dir,
                             0);
        return;
    }
    if (dma_use_iova(state) && can_unmap(d, row, state->addr, row->bytes))
        dma_iova_destroy(dev, state, row->bytes, (enum dma_data_direction)row->dir, 0);
    free(state);
    d->state[row->pair] = NULL;
}

static void free_coherent(struct drive *d, const struct row *row)
{
    struct device *dev     = &d->machine.device[row->device];
    struct coherent **link = &d->coherent;
    if (row->iova == 0) { /* A driver frees what it never had. */
        dma_free_coherent(dev, row->bytes, NULL, 0);
        return;
    }
    while (*link != NULL
           && ((*link)->device != row->device || (*link)->handle != row->iova))
        link = &(*link)->next;
    struct coherent *c = *link;
    if (c == NULL) { /* No recorded call allocated it: its pages are not ours. */
        unmap(d, row, row->iova, row->bytes);
        return;
    }
    if (can_unmap(d, row, row->iova, row->bytes))
        dma_free_coherent(dev, row->bytes, c->memory, row->iova);
    *link = c->next;
    free(c);
}

/* ---- Timers
 * --------------------------------------------------------------------------------- */

static void expire(struct drive *d, const struct row *row, enum flush_stage stage)
{
    struct dma_domain *domain = d->machine.device[row->device].domain;
    domain_expire(domain, stage);
}

/* Whether no recorded call has queued the range. */
static bool was_queued_outside(struct drive *d, const struct row *row,
                               const struct rec_range *f, bool mapped)
{
    return resync_is_live(&d->resync, row->space, f->pfn)
           && (mapped || resync_is_outside(&d->resync, row->space, f->pfn));
}

/* What a drain gives back and no recorded call has queued was queued outside of them, after
 * it had been mapped by a recorded call or, likewise, outside. */
static void queue_for(struct drive *d, const struct row *row)
{
    struct dma_domain *domain = d->machine.device[row->device].domain;
    for (uint32_t i = 0; i < row->freed.count; i++) {
        const struct rec_range *f = &d->calls->range[row->freed.first + i];
        struct flush_range range  = { .iova  = f->pfn << PAGE_SHIFT,
                                      .bytes = f->pages << PAGE_SHIFT };
        const bool mapped         = pagetable_lookup(&domain->table, range.iova) != 0;
        if (!was_queued_outside(d, row, f, mapped))
            continue; /* It is queued, or cannot have been. */
        if (mapped)
            domain_unmap(domain, &range);
        resync_adopt(&d->resync, row->space, f->pfn); /* Queueing may give it back. */
        domain_retire(domain, &range);
        d->stand_ins++;
        d->made_up[row - d->calls->row] = true;
    }
}

void drive_flush(struct drive *d, uint32_t row)
{
    if (d->flushed[row])
        return;
    d->flushed[row] = true;
    if (d->calls->row[row].freed.count > 0 && d->after_gap)
        queue_for(d, &d->calls->row[row]);
    machine_log_clear(&d->machine);
    expire(d, &d->calls->row[row], FLUSH_INVALIDATE);
}

/* ---- Any
 * ------------------------------------------------------------------------------------ */

void drive_call(struct drive *d, uint32_t index)
{
    const struct row *row = &d->calls->row[index];
    struct device *dev    = &d->machine.device[row->device];
    d->addr               = 0;
    d->in_halves          = row->kind == ROW_timer && d->flushed[index];
    switch ((enum row_kind)row->kind) {
    case ROW_map:
        d->addr =
            dma_map_phys(dev, row->phys, row->bytes, (enum dma_data_direction)row->dir, 0);
        return;
    case ROW_map_sg:
        map_list(d, index);
        return;
    case ROW_map_iova:
        map_range(d, index);
        return;
    case ROW_unmap:
        unmap(d, row, row->iova, row->bytes);
        return;
    case ROW_unmap_sg:
        unmap_list(d, row);
        return;
    case ROW_unmap_iova:
        unmap_range(d, row);
        return;
    case ROW_coherent_alloc:
        allocate_coherent(d, row);
        return;
    case ROW_coherent_free:
        free_coherent(d, row);
        return;
    case ROW_timer:
        drive_flush(d, index);
        expire(d, row, FLUSH_RELEASE);
        return;
    case ROW_allocate:
    case ROW_release:
    case ROW_KINDS:
        break;
    }
    UNREACHABLE("rows of calls have one of these kinds");
}

static void expire_all(struct dma_domain *domain)
{
    domain_expire(domain, FLUSH_INVALIDATE);
    domain_expire(domain, FLUSH_RELEASE);
}

/* Given back while nothing was recorded: a recorded call had mapped it, or it had queued it
 * and the timer came then. */
static void release_between(struct dma_domain *domain, const struct row *row)
{
    struct flush_range range = { .iova  = row->pfn << PAGE_SHIFT,
                                 .bytes = row->pages << PAGE_SHIFT };
    if (pagetable_lookup(&domain->table, range.iova) == 0) {
        expire_all(domain);
        return;
    }
    domain_unmap(domain, &range);
    table_list_free(domain->kernel, &range.tables);
    iova_free_fast(&domain->iova, row->pfn, row->pages);
}

static void release_outside(struct dma_domain *domain, const struct row *row)
{
    struct flush_range range = { .iova  = row->pfn << PAGE_SHIFT,
                                 .bytes = row->pages << PAGE_SHIFT };
    if (pagetable_lookup(&domain->table, range.iova) != 0) {
        domain_unmap(domain, &range);
        table_list_free(domain->kernel, &range.tables);
    }
    iova_free_fast(&domain->iova, row->pfn, row->pages);
}

void drive_outside(struct drive *d, const struct row *row, unsigned space, bool between)
{
    struct dma_domain *domain = NULL;
    bool cached;
    for (unsigned i = 0; i < d->calls->devices; i++)
        if (d->calls->device[i].space == space)
            domain = d->machine.device[i].domain;
    if (domain == NULL)
        return;
    d->resync.outside = true;
    if (row->kind == ROW_allocate) {
        const uint64_t pfn =
            row->pfn == 0
                ? 0 /* A search that found nothing is the call's own. */
                : iova_alloc_fast(&domain->iova, row->pages, row->limit, false, &cached);
        if (pfn != 0 && pfn == row->pfn)
            map_stand_in(domain, pfn, row->pages);
    } else if (resync_is_outside(&d->resync, space, row->pfn))
        release_outside(domain, row);
    else if (between && resync_is_live(&d->resync, space, row->pfn))
        release_between(domain, row);
}
