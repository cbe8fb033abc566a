/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/derive.h"

#include <stdlib.h>
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "dma_api/iova.h"
#include "sim/base/check.h"
#include "sim/base/lg2.h"

enum { BUCKETS = 1 << 14, NEAR = 64 };

/* One line of the allocator's recording to be. */
struct entry {
    uint64_t place; /* Twice the number of the event, one less: before it. */
    uint32_t order; /* Among those of one place. */
    uint32_t call;  /* Of an event: its row; NO_ROW: it happened outside of the calls. */
    bool release, unseen, gap;
    uint8_t cpu, space;
    char path;
    uint64_t pfn, pages;
};

/* An address that has been named. */
struct known {
    struct known *next;
    uint64_t pfn, pages;
    uint8_t space, cpu;
    bool live;
    uint32_t section; /* Where it was last named. */
};

struct derive {
    struct recording *calls;
    struct entry *entry;
    uint32_t entries, room;
    struct known **bucket;
    uint64_t *searched;     /* See went_to_tree. */
    bool *added;            /* Of rows. */
    uint64_t first[256];    /* Of each space: the first address; 0: none yet. */
    uint32_t new_in[256];   /* Of each: one more than the section in which it was new. */
    uint64_t limit;         /* The last page number. */
    uint64_t events;        /* So far. */
    uint64_t section_event; /* How many there were when this section began. */
    uint32_t section;
};

static struct entry *entry_add(struct derive *d, struct entry e)
{
    if (d->entries == d->room) {
        d->room  = d->room == 0 ? 4096 : 2 * d->room;
        d->entry = realloc(d->entry, d->room * sizeof *d->entry);
        CHECK(d->entry != NULL);
    }
    e.order              = d->entries;
    d->entry[d->entries] = e;
    return &d->entry[d->entries++];
}

/* ---- What is known of an address
 * ---------------------------------------------------------------- */

static struct known *known_find(const struct derive *d, uint8_t space, uint64_t pfn)
{
    struct known *k = d->bucket[(pfn * 2654435761u + space) % BUCKETS];
    while (k != NULL && (k->space != space || k->pfn != pfn))
        k = k->next;
    return k;
}

static struct known *known_add(struct derive *d, uint8_t space, uint64_t pfn)
{
    struct known **first = &d->bucket[(pfn * 2654435761u + space) % BUCKETS];
    struct known *k      = calloc(1, sizeof *k);
    CHECK(k != NULL);
    *k     = (struct known){ .next = *first, .pfn = pfn, .space = space };
    *first = k;
    return k;
}

static void forget_all(struct derive *d)
{
    for (unsigned b = 0; b < BUCKETS; b++)
        while (d->bucket[b] != NULL) {
            struct known *k = d->bucket[b];
            d->bucket[b]    = k->next;
            free(k);
        }
    free(d->bucket);
}

/* ---- Events
 * --------------------------------------------------------------------------------- */

/* By space, size and CPU: the event behind that with which it last went to the tree. */
static uint64_t *went_to_tree(struct derive *d, const struct entry *e, unsigned order)
{
    return &d->searched[(e->space * IOVA_ORDERS + order) * REC_CPUS_MAX + e->cpu];
}

/* Something that is not recorded may have come before the section: not if the space was
 * seen to be new in it. */
static bool is_behind_gap(const struct derive *d, uint8_t space)
{
    return d->new_in[space] != d->section + 1;
}

/* Whether the address may have come into a magazine where nothing is recorded. Not when
 * the section has named it; nor on a CPU that has gone to the tree in this section, which
 * had nothing left then. */
static bool is_unseen(struct derive *d, const struct known *k, const struct entry *e)
{
    const unsigned order = lg2_ceil(e->pages);
    if (!is_behind_gap(d, e->space) || order >= IOVA_ORDERS)
        return false;
    uint64_t *searched = went_to_tree(d, e, order);
    if (e->path == 's')
        *searched = d->events + 1;
    return *searched <= d->section_event && (k == NULL || k->section != d->section);
}

/* Whether the tree gives what lies just below in the same section. */
static bool is_followed(const struct derive *d, const struct entry *e)
{
    for (uint32_t i = e->call + 1; i < d->calls->rows; i++) {
        const struct row *row = &d->calls->row[i];
        if (row->section != d->section)
            break;
        if (row->space == e->space && row_kind_maps((enum row_kind)row->kind)
            && row->path == 's')
            return row->iova >> PAGE_SHIFT < e->pfn
                   && e->pfn - (row->iova >> PAGE_SHIFT) <= NEAR;
    }
    return false;
}

/* A search that finds the topmost range of all is the first one, whatever one line says if
 * the next search goes on from there: nothing was taken before. */
static void note_first(struct derive *d, const struct entry *e)
{
    const uint64_t below = DMA_BIT_MASK(32) >> PAGE_SHIFT;
    const uint64_t end   = e->pfn + (UINT64_C(1) << lg2_ceil(e->pages));
    d->first[e->space]   = e->pfn;
    if ((e->path == 's' || is_followed(d, e)) && (end == d->limit + 1 || end == below + 1))
        d->new_in[e->space] = d->section + 1;
}

static void note_allocation(struct derive *d, struct entry *e)
{
    struct known *k = known_find(d, e->space, e->pfn);
    if (d->first[e->space] == 0)
        note_first(d, e);
    e->unseen                     = is_unseen(d, k, e);
    e->gap                        = is_behind_gap(d, e->space);
    d->calls->row[e->call].unseen = e->unseen;
    d->calls->row[e->call].gap    = e->gap;
    if (k == NULL)
        k = known_add(d, e->space, e->pfn);
    if (k->live && k->section != d->section)
        entry_add(d, (struct entry){ .place   = 2 * d->section_event,
                                     .call    = NO_ROW,
                                     .release = true,
                                     .cpu     = k->cpu,
                                     .space   = e->space,
                                     .pfn     = k->pfn,
                                     .pages   = k->pages });
    k->live    = true;
    k->cpu     = e->cpu;
    k->pages   = e->pages;
    k->section = d->section;
}

/* Whether the address may have been allocated where nothing is recorded: since the section
 * has named it, or since a space was seen to be new in it, nothing was. */
static bool may_be_outside(const struct derive *d, const struct known *k, uint8_t space)
{
    return k != NULL ? k->section != d->section : is_behind_gap(d, space);
}

static void note_release(struct derive *d, const struct entry *e)
{
    struct known *k   = known_find(d, e->space, e->pfn);
    const bool before = k == NULL && e->pfn > d->first[e->space];
    if ((k == NULL || !k->live) && may_be_outside(d, k, e->space))
        entry_add(d, (struct entry){ .place = before ? 0 : 2 * d->section_event,
                                     .call  = NO_ROW,
                                     .cpu   = e->cpu,
                                     .space = e->space,
                                     .pfn   = e->pfn,
                                     .pages = e->pages });
    if (k == NULL)
        k = known_add(d, e->space, e->pfn);
    k->live    = false;
    k->section = d->section;
}

static void add_event(struct derive *d, struct entry e)
{
    if (e.release)
        note_release(d, &e);
    else
        note_allocation(d, &e);
    e.place = 2 * d->events++ + 1;
    entry_add(d, e);
}

/* An allocation that was credited to another row has its size from what was mapped. */
static uint64_t pages_of(const struct recording *r, const struct row *row)
{
    uint64_t bytes = row->bytes;
    if (row->pages != 0)
        return row->pages;
    for (uint32_t i = 0; row->kind == ROW_map_sg && i < row->out.count; i++)
        bytes += r->piece[row->out.first + i].bytes;
    return align_up((row->iova & ~PAGE_MASK) + bytes, PAGE_SHIFT) >> PAGE_SHIFT;
}

/* What the row allocated and gave back. */
static void add_events(struct derive *d, uint32_t index)
{
    const struct recording *r = d->calls;
    const struct row *row     = &r->row[index];
    if (row->space == NO_SPACE || d->added[index])
        return;
    d->added[index] = true;
    struct entry e  = { .call = index, .cpu = row->cpu, .space = row->space };
    if (row_kind_maps((enum row_kind)row->kind)) {
        e.pfn   = row->iova >> PAGE_SHIFT;
        e.pages = pages_of(r, row);
        e.path  = row->path;
        add_event(d, e);
    }
    e.release = true;
    e.path    = 0;
    for (uint32_t i = 0; i < row->freed.count; i++) {
        e.pfn   = r->range[row->freed.first + i].pfn;
        e.pages = r->range[row->freed.first + i].pages;
        add_event(d, e);
    }
}

static bool gives_back(const struct derive *d, uint32_t index, uint8_t space, uint64_t pfn)
{
    const struct row *row = &d->calls->row[index];
    for (uint32_t i = 0; row->space == space && i < row->freed.count; i++)
        if (d->calls->range[row->freed.first + i].pfn == pfn)
            return true;
    return false;
}

/* The line of an unmap stands where it ends: an address that another CPU takes from what it
 * gives back stands before. */
static void add_earlier(struct derive *d, uint32_t index)
{
    const struct row *row = &d->calls->row[index];
    const uint64_t pfn    = row->iova >> PAGE_SHIFT;
    const struct known *k = known_find(d, row->space, pfn);
    if (k == NULL || !k->live)
        return;
    for (uint32_t i = index + 1; i < d->calls->rows && i - index < NEAR; i++)
        if (d->calls->row[i].section == row->section && d->calls->row[i].kind == ROW_unmap
            && gives_back(d, i, row->space, pfn)) {
            add_events(d, i);
            return;
        }
}

static void add_row(struct derive *d, uint32_t index)
{
    const struct row *row = &d->calls->row[index];
    if (row->space != NO_SPACE && row_kind_maps((enum row_kind)row->kind))
        add_earlier(d, index);
    add_events(d, index);
}

/* ---- The recording
 * -------------------------------------------------------------------------- */

/* Before the first event from the top down, elsewhere as they were found. */
static int by_place(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    if (x->place == 0 && x->pfn != y->pfn)
        return x->pfn > y->pfn ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void write_row(struct recording *out, const struct entry *e, uint64_t limit,
                      bool forcedac)
{
    const uint64_t below = DMA_BIT_MASK(32) >> PAGE_SHIFT;
    struct row *row      = rec_add_row(out);
    row->kind            = e->release ? ROW_release : ROW_allocate;
    row->line            = out->rows;
    row->cpu             = e->cpu;
    row->space           = e->space;
    row->path            = e->path;
    row->unseen          = e->unseen;
    row->gap             = e->gap;
    row->pfn             = e->pfn;
    row->pages           = e->pages;
    row->limit           = forcedac || e->pfn > below || limit < below ? limit : below;
}

/* The rows of a section have its name, those between two have none. */
static void write_all(struct derive *d, struct recording *out, uint64_t limit,
                      bool forcedac)
{
    uint32_t section = NO_ROW;
    bool between     = false;
    for (uint32_t i = 0; i < d->entries; i++) {
        const struct entry *e = &d->entry[i];
        if (e->call == NO_ROW) {
            if (!between)
                rec_add_section(out, "");
            between = true;
        } else if (between || d->calls->row[e->call].section != section) {
            section = d->calls->row[e->call].section;
            rec_add_section(out, d->calls->section[section]);
            between = false;
        }
        write_row(out, e, limit, forcedac);
    }
}

void derive_allocator(struct recording *allocator, struct recording *calls, uint64_t limit,
                      bool forcedac)
{
    struct derive d = { .calls = calls, .section = 0, .limit = limit };
    memset(allocator, 0, sizeof *allocator);
    d.bucket = calloc(BUCKETS, sizeof(struct known *));
    d.searched =
        calloc((size_t)calls->spaces * IOVA_ORDERS * REC_CPUS_MAX, sizeof *d.searched);
    d.added = calloc(calls->rows, sizeof *d.added);
    CHECK(d.bucket != NULL && d.searched != NULL && d.added != NULL);
    for (uint32_t i = 0; i < calls->rows; i++) {
        if (calls->row[i].section != d.section) {
            d.section       = calls->row[i].section;
            d.section_event = d.events;
        }
        add_row(&d, i);
    }
    qsort(d.entry, d.entries, sizeof *d.entry, by_place);
    allocator->path           = strdup(calls->path);
    allocator->allocator_only = true;
    allocator->cpus           = calls->cpus;
    allocator->spaces         = calls->spaces;
    CHECK(allocator->path != NULL);
    write_all(&d, allocator, limit, forcedac);
    forget_all(&d);
    free(d.searched);
    free(d.added);
    free(d.entry);
}
