/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/linux/shape.h"

#include <stdlib.h>
#include <string.h>

#include "dma_api/dma-mapping.h"
#include "sim/base/check.h"
#include "sim/base/lg2.h"

#define NOT_SHOWN_PHYS (UINT64_C(1) << 44)
enum { NOT_SHOWN_LG2 = 30 };

/*
 * Goes through elements and pages: cell (element, page, joins) is reachable when elements
 * 0 .. element-1 can fill pages 0 .. page-1 and joins of them continue the one before
 * physically. Each element ends at or before the end of an output, and fills whole pages
 * except at both ends of the list. An output that could be longer ends because the next
 * element does not fit.
 */
struct shape {
    const struct recording *r;
    const struct row *row;
    unsigned elements, pages, joins; /* joins: recorded. */
    unsigned longest;                /* Pages of one element. */
    uint8_t *end;                    /* Of pages: an output ends behind it. */
    uint16_t *least; /* Of pages: the least of an element that begins there. */
    uint16_t *step;  /* Of cells: pages of the last element, 0: not reached. */
};

uint64_t shape_phys(const struct recording *r, const struct row *row, unsigned element)
{
    if (element < row->in.count)
        return r->piece[row->in.first + element].addr;
    return NOT_SHOWN_PHYS + ((uint64_t)element << NOT_SHOWN_LG2);
}

static uint64_t page_of(const struct shape *s, unsigned element)
{
    return shape_phys(s->r, s->row, element) >> PAGE_SHIFT;
}

static uint16_t *cell(const struct shape *s, unsigned element, unsigned page,
                      unsigned joins)
{
    return &s->step[((size_t)element * (s->pages + 1) + page) * (s->joins + 2) + joins];
}

/* How long the element may be: not into another of the list. */
static unsigned room_of(const struct shape *s, unsigned element)
{
    unsigned room = s->longest;
    for (unsigned i = 0; i < s->elements; i++)
        if (page_of(s, i) > page_of(s, element)
            && page_of(s, i) - page_of(s, element) < room)
            room = (unsigned)(page_of(s, i) - page_of(s, element));
    return room;
}

static bool joins_next(const struct shape *s, unsigned element, unsigned pages)
{
    return element + 1 < s->elements
           && page_of(s, element) + pages == page_of(s, element + 1);
}

static void reach(struct shape *s, unsigned element, unsigned page, unsigned joins,
                  unsigned room)
{
    for (unsigned n = 1; n <= room && page + n <= s->pages; n++) {
        const unsigned j = joins + joins_next(s, element, n);
        if (n >= s->least[page] && j <= s->joins && *cell(s, element + 1, page + n, j) == 0)
            *cell(s, element + 1, page + n, j) = (uint16_t)n;
        if (s->end[page + n - 1])
            break;
    }
}

static bool search(struct shape *s)
{
    *cell(s, 0, 0, 0) = 1;
    for (unsigned e = 0; e < s->elements; e++) {
        const unsigned room = room_of(s, e);
        for (unsigned p = e; p <= s->pages; p++)
            for (unsigned j = 0; j <= s->joins; j++)
                if (*cell(s, e, p, j) != 0)
                    reach(s, e, p, j, room);
    }
    return *cell(s, s->elements, s->pages, s->joins) != 0;
}

/* Pages of the outputs; false when one within the list is not whole pages. */
static bool mark_ends(struct shape *s, uint64_t *bytes)
{
    const struct rec_list out = s->row->out;
    uint64_t at               = s->r->piece[s->row->in.first].addr & ~PAGE_MASK;
    *bytes                    = 0;
    for (unsigned i = 0; i < s->pages; i++)
        s->least[i] = 1;
    for (uint32_t i = 0; i < out.count; i++) {
        const uint64_t pages = s->r->piece[out.first + i].bytes >> PAGE_SHIFT;
        *bytes += s->r->piece[out.first + i].bytes;
        at += s->r->piece[out.first + i].bytes;
        if (i + 1 < out.count && (at & ~PAGE_MASK) != 0)
            return false;
        s->end[(at + PAGE_SIZE - 1) / PAGE_SIZE - 1] = 1;
        if (i + 1 < out.count && s->longest > pages)
            s->least[at / PAGE_SIZE] = (uint16_t)(s->longest - pages + 1);
    }
    return true;
}

static unsigned pages_of(const struct recording *r, const struct row *row)
{
    uint64_t bytes = r->piece[row->in.first].addr & ~PAGE_MASK;
    for (uint32_t i = 0; i < row->out.count; i++)
        bytes += r->piece[row->out.first + i].bytes;
    return bytes > UINT64_C(65535) << PAGE_SHIFT
               ? 0
               : (unsigned)(align_up(bytes, PAGE_SHIFT) >> PAGE_SHIFT);
}

/* Back along the cells; then the first and last page are cut to what is recorded. */
static void write_lengths(const struct shape *s, uint64_t bytes, uint32_t *length)
{
    const uint64_t offset = s->r->piece[s->row->in.first].addr & ~PAGE_MASK;
    unsigned page = s->pages, joins = s->joins;
    for (unsigned e = s->elements; e-- > 0;) {
        const unsigned n = *cell(s, e + 1, page, joins);
        length[e]        = n << PAGE_SHIFT;
        page -= n;
        joins -= joins_next(s, e, n);
    }
    length[0] -= (uint32_t)offset;
    length[s->elements - 1] -=
        (uint32_t)(((uint64_t)s->pages << PAGE_SHIFT) - offset - bytes);
}

bool shape_elements(const struct recording *r, const struct row *row,
                    unsigned max_segment_size, uint32_t *length)
{
    struct shape s = { .r        = r,
                       .row      = row,
                       .elements = row->elements,
                       .pages    = pages_of(r, row),
                       .longest  = max_segment_size >> PAGE_SHIFT };
    uint64_t bytes;
    s.joins = row->has_segments && row->segments <= s.elements && !row->nested
                  ? s.elements - row->segments
                  : 0;
    if (s.elements > SHAPE_ELEMENTS_MAX || s.pages < s.elements || s.pages > 4096)
        return false;
    s.end   = calloc(s.pages, sizeof *s.end);
    s.least = calloc(s.pages + 1u, sizeof *s.least);
    s.step =
        calloc((size_t)(s.elements + 1) * (s.pages + 1) * (s.joins + 2), sizeof *s.step);
    CHECK(s.end != NULL && s.least != NULL && s.step != NULL);
    const bool good = mark_ends(&s, &bytes) && search(&s);
    if (good)
        write_lengths(&s, bytes, length);
    free(s.end);
    free(s.least);
    free(s.step);
    return good;
}
