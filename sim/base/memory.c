/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/lg2.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "simulated memory is little-endian");

enum { RADIX = 1 << MEM_RADIX_LG2, CHUNK_FIRST = 16, CHUNK_MOST = 4096 };

/* Pages that the host is asked for at once: of a large piece it clears what is touched. */
struct mem_chunk {
    struct mem_chunk *older;
    uint32_t used, pages;
    struct mem_page page[];
};

void memory_init(struct memory *m)
{
    memset(m, 0, sizeof *m);
    m->last_number = UINT64_MAX;
}

void memory_free(struct memory *m)
{
    for (size_t i = 0; i < sizeof m->root / sizeof m->root[0]; i++) {
        void **middle = m->root[i];
        for (size_t j = 0; middle != NULL && j < RADIX; j++)
            free(middle[j]);
        free(middle);
    }
    while (m->chunk != NULL) {
        struct mem_chunk *older = m->chunk->older;
        free(m->chunk);
        m->chunk = older;
    }
    memory_init(m);
}

static void *grow(void **slot, size_t bytes)
{
    if (*slot == NULL) {
        *slot = calloc(1, bytes);
        CHECK(*slot != NULL); /* Out of host memory. */
    }
    return *slot;
}

static struct mem_page *new_page(struct memory *m)
{
    struct mem_chunk *c = m->chunk;
    if (c == NULL || c->used == c->pages) {
        const uint32_t more = c == NULL ? CHUNK_FIRST : 2 * c->pages;
        const uint32_t n    = more < CHUNK_MOST ? more : CHUNK_MOST;
        c                   = calloc(1, sizeof *c + n * sizeof(struct mem_page));
        CHECK(c != NULL);
        c->older = m->chunk;
        c->pages = n;
        m->chunk = c;
    }
    m->pages++;
    return &c->page[c->used++];
}

static struct mem_page *remember(struct memory *m, uint64_t number, struct mem_page *page)
{
    m->last_number = number;
    m->last        = page;
    return page;
}

struct mem_page *memory_page(struct memory *m, uint64_t pa)
{
    const uint64_t number = pa >> MEM_PAGE_LG2;
    if (number == m->last_number)
        return m->last;
    CHECK(pa >> MEM_PA_LG2 == 0);
    void **middle = m->root[number >> (2 * MEM_RADIX_LG2)];
    void **leaf   = middle == NULL ? NULL : middle[(number >> MEM_RADIX_LG2) & (RADIX - 1)];
    struct mem_page *page = leaf == NULL ? NULL : leaf[number & (RADIX - 1)];
    return page == NULL ? NULL : remember(m, number, page);
}

struct mem_page *memory_page_make(struct memory *m, uint64_t pa)
{
    struct mem_page *page = memory_page(m, pa);
    if (page != NULL)
        return page;
    const uint64_t number = pa >> MEM_PAGE_LG2;
    void **middle = grow(&m->root[number >> (2 * MEM_RADIX_LG2)], RADIX * sizeof(void *));
    void **leaf =
        grow(&middle[(number >> MEM_RADIX_LG2) & (RADIX - 1)], RADIX * sizeof(void *));
    void **slot = &leaf[number & (RADIX - 1)];
    *slot       = new_page(m);
    return remember(m, number, *slot);
}

static uint64_t *word_of(struct mem_page *page, uint64_t pa)
{
    return &page->word[(pa & mask_lg2(MEM_PAGE_LG2)) >> 3];
}

uint64_t memory_read64(struct memory *m, uint64_t pa)
{
    CHECK((pa & 7) == 0);
    struct mem_page *page = memory_page(m, pa);
    return page == NULL ? 0 : *word_of(page, pa);
}

uint32_t memory_read32(struct memory *m, uint64_t pa)
{
    CHECK((pa & 3) == 0);
    const uint64_t word = memory_read64(m, pa & ~UINT64_C(7));
    return (uint32_t)(pa & 4 ? word >> 32 : word);
}

void memory_write64(struct memory *m, uint64_t pa, uint64_t value)
{
    CHECK((pa & 7) == 0);
    *word_of(memory_page_make(m, pa), pa) = value;
}

void memory_write32(struct memory *m, uint64_t pa, uint32_t value)
{
    CHECK((pa & 3) == 0);
    uint64_t *word       = word_of(memory_page_make(m, pa), pa & ~UINT64_C(7));
    const unsigned shift = pa & 4 ? 32 : 0;
    *word = (*word & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;
}

static size_t piece_of(uint64_t pa, size_t bytes)
{
    const size_t to_page_end = (size_t)1 << MEM_PAGE_LG2;
    const size_t room        = to_page_end - (pa & (to_page_end - 1));
    return bytes < room ? bytes : room;
}

static char *bytes_of(struct mem_page *page, uint64_t pa)
{
    return (char *)page->word + (pa & mask_lg2(MEM_PAGE_LG2));
}

void memory_read(struct memory *m, uint64_t pa, void *out, size_t bytes)
{
    for (char *to = out; bytes > 0;) {
        const size_t n        = piece_of(pa, bytes);
        struct mem_page *page = memory_page(m, pa);
        if (page == NULL)
            memset(to, 0, n);
        else
            memcpy(to, bytes_of(page, pa), n);
        to += n;
        pa += n;
        bytes -= n;
    }
}

void memory_write(struct memory *m, uint64_t pa, const void *data, size_t bytes)
{
    for (const char *from = data; bytes > 0;) {
        const size_t n = piece_of(pa, bytes);
        memcpy(bytes_of(memory_page_make(m, pa), pa), from, n);
        from += n;
        pa += n;
        bytes -= n;
    }
}

static void take_lines(struct mem_page *page, uint64_t pa, size_t bytes)
{
    const uint64_t first = (pa >> MEM_LINE_LG2) & (MEM_LINES - 1);
    const uint64_t last  = ((pa + bytes - 1) >> MEM_LINE_LG2) & (MEM_LINES - 1);
    for (uint64_t i = first; i <= last; i++)
        line_device_wrote(&page->line[i]);
}

void memory_device_write(struct memory *m, uint64_t pa, const void *data, size_t bytes)
{
    for (const char *from = data; bytes > 0;) {
        const size_t n        = piece_of(pa, bytes);
        struct mem_page *page = data == NULL ? memory_page(m, pa) : memory_page_make(m, pa);
        if (page != NULL)
            take_lines(page, pa, n);
        if (data != NULL) {
            memcpy(bytes_of(page, pa), from, n);
            from += n;
        }
        pa += n;
        bytes -= n;
    }
}

void memory_clear_page(struct memory *m, uint64_t pa)
{
    struct mem_page *page = memory_page(m, pa);
    if (page != NULL)
        memset(page, 0, sizeof *page);
}

struct mem_access_times mem_channel_access(struct mem_channel *c, sim_time_t accepted,
                                           uint32_t bytes)
{
    CHECK(bytes > 0);
    const uint64_t beats            = (bytes + c->beat_bytes - 1) / c->beat_bytes;
    const sim_time_t first          = time_max(accepted + c->latency_ps, c->free_at);
    const struct mem_access_times t = { first, first + (beats - 1) * c->beat_ps };
    c->free_at                      = t.last + c->beat_ps;
    return t;
}
