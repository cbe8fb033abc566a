/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/placement.h"

#include <stdio.h>
#include <string.h>

#include "sim/base/check.h"

#define PARAM_OWNER struct placement_config
static const struct param_def placement_params[] = { PLACEMENT_PARAMS(PARAM_ROW)
                                                         PARAM_END };
const struct param_table placement_param_table   = { "placement",
                                                     "Where the memory of requests lies",
                                                     placement_params,
                                                     sizeof(struct placement_config), NULL };

enum { HUGE_PAGES = 512, SECTOR_LG2 = 9 };
#define PAGES_MASK ((UINT64_C(1) << 22) - 1)

struct placement_model {
    const char *name;
    uint32_t folio_kib; /* Unless placement.folio_kib says so; 0: a run is one folio. */
    bool keeps;
    bool unaligned;
    bool reuses; /* The same buffers again and again. */
    /* The length of the next run, in pages; pages are left. */
    uint64_t (*run)(struct placement *p, uint64_t pages);
    /* The first page of a run of so many. */
    uint64_t (*page)(struct placement *p, uint64_t run);
};

static uint64_t random_page(struct placement *p, uint64_t run)
{
    (void)run;
    return rng_next(&p->rng) & PAGES_MASK;
}

static uint64_t next_page(struct placement *p, uint64_t run)
{
    const uint64_t first = p->pages & PAGES_MASK;
    p->pages += run;
    return first;
}

/* Aligned to its length, so that no run crosses a huge page. */
static uint64_t huge_page(struct placement *p, uint64_t run)
{
    uint64_t room       = 1;
    const uint64_t page = rng_next(&p->rng) & PAGES_MASK;
    while (room < run)
        room <<= 1;
    return page & ~(room - 1);
}

static uint64_t one_page(struct placement *p, uint64_t pages)
{
    (void)p;
    (void)pages;
    return 1;
}

static uint64_t all_pages(struct placement *p, uint64_t pages)
{
    (void)p;
    return pages;
}

static uint64_t huge_run(struct placement *p, uint64_t pages)
{
    (void)p;
    return pages < HUGE_PAGES ? pages : HUGE_PAGES;
}

/* Lengths and how often each was recorded. */
struct length {
    uint32_t pages, count;
};

static uint64_t draw(struct placement *p, const struct length *table, unsigned rows)
{
    uint32_t sum = 0, at, i = 0;
    for (unsigned k = 0; k < rows; k++)
        sum += table[k].count;
    for (at = rng_below(&p->rng, sum); at >= table[i].count; i++)
        at -= table[i].count;
    return table[i].pages;
}

static uint64_t heap_run(struct placement *p, uint64_t pages)
{
    static const struct length length[] = {
        { 1, 44364 }, { 2, 926 }, { 3, 428 }, { 4, 246 }, { 5, 184 },  { 6, 63 },
        { 7, 120 },   { 8, 57 },  { 9, 134 }, { 10, 88 }, { 23, 108 }, { 32, 861 },
    };
    (void)pages;
    return draw(p, length, sizeof length / sizeof length[0]);
}

static uint64_t cache_run(struct placement *p, uint64_t pages)
{
    static const struct length length[] = { { 1, 16 }, { 8, 2 }, { 16, 6 }, { 32, 252 } };
    (void)pages;
    return draw(p, length, sizeof length / sizeof length[0]);
}

static const struct placement_model models[] = {
    { "captured", 0, true, false, false, one_page, random_page },
    { "scattered", 0, false, false, false, one_page, random_page },
    { "contiguous", 0, false, false, false, all_pages, next_page },
    { "pagecache", 0, false, false, false, cache_run, random_page },
    { "hugepages", 0, false, false, false, huge_run, huge_page },
    { "heap", 4, false, false, true, heap_run, random_page },
    { "unaligned", 4, false, true, true, heap_run, random_page },
};
enum { MODELS = sizeof models / sizeof models[0] };

const char *placement_model_member(unsigned index)
{
    return index < MODELS ? models[index].name : NULL;
}

void placement_init(struct placement *p, const struct placement_config *config,
                    uint64_t seed, unsigned who)
{
    char name[32];
    snprintf(name, sizeof name, "placement %u", who);
    *p      = (struct placement){ .config = *config, .rng = rng_make(seed, name) };
    p->seed = rng_next(&(struct rng){ p->rng.state });
    for (unsigned i = 0; i < MODELS; i++)
        if (strcmp(config->model, models[i].name) == 0)
            p->model = &models[i];
    CHECK(p->model != NULL);
}

bool placement_keeps(const struct placement *p)
{
    return p->model->keeps;
}

/* ---- Cutting --------------------------------------------------------------------------
 */

static uint64_t folio_bytes(const struct placement *p)
{
    const uint32_t kib =
        p->config.folio_kib != 0 ? p->config.folio_kib : p->model->folio_kib;
    return (uint64_t)kib << 10;
}

static uint32_t pieces(const struct blk_segment *s, uint64_t folio)
{
    return (uint32_t)((s->phys + s->bytes - 1) / folio - s->phys / folio + 1);
}

/* From the back, so that nothing is overwritten before it has been read. */
uint32_t placement_cut(const struct placement *p, struct blk_segment *segment,
                       uint32_t segments, uint32_t segments_max)
{
    const uint64_t folio = folio_bytes(p);
    uint64_t all         = 0;
    for (uint32_t i = 0; folio != 0 && i < segments; i++)
        all += pieces(&segment[i], folio);
    if (folio == 0 || all > segments_max)
        return segments;
    uint32_t to = (uint32_t)all;
    for (uint32_t i = segments; i-- > 0;) {
        struct blk_segment s = segment[i];
        while (s.bytes > 0) {
            const uint64_t last  = (s.phys + s.bytes - 1) / folio * folio;
            const uint64_t first = last > s.phys ? last : s.phys;
            const uint32_t bytes = (uint32_t)(s.phys + s.bytes - first);
            segment[--to]        = (struct blk_segment){ first, bytes };
            s.bytes -= bytes;
        }
    }
    CHECK(to == 0);
    return (uint32_t)all;
}

/* ---- Placing --------------------------------------------------------------------------
 */

/* A buffer's layout is that of its number. */
static void choose_buffer(struct placement *p)
{
    char name[40];
    if (!p->model->reuses)
        return;
    snprintf(name, sizeof name, "buffer %llu",
             (unsigned long long)(p->requests % p->config.buffers));
    p->rng = rng_make(p->seed, name);
}

uint32_t placement_place(struct placement *p, uint32_t bytes, struct blk_segment *segment,
                         uint32_t segments_max)
{
    CHECK(bytes > 0);
    choose_buffer(p);
    const uint32_t offset =
        p->model->unaligned ? (1 + rng_below(&p->rng, 7)) << SECTOR_LG2 : 0;
    const uint64_t pages = (offset + (uint64_t)bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    const uint64_t least = (pages + segments_max - 1) / segments_max;
    uint32_t count       = 0;
    p->requests++;
    for (uint64_t left = bytes, at = offset; left > 0; count++) {
        const uint64_t pages_left = (at + left + PAGE_SIZE - 1) >> PAGE_SHIFT;
        uint64_t run              = p->model->run(p, pages_left);
        run                       = run < least ? least : run;
        run                       = run > pages_left ? pages_left : run;
        const uint64_t room       = (run << PAGE_SHIFT) - at;
        const uint64_t piece      = left < room ? left : room;
        /* More pieces than there may be: the runs are longer, and follow each other. */
        const uint64_t page = least > 1 ? next_page(p, run) : p->model->page(p, run);
        segment[count] = (struct blk_segment){ PLACEMENT_FIRST + (page << PAGE_SHIFT) + at,
                                               (uint32_t)piece };
        left -= piece;
        at = 0;
    }
    return placement_cut(p, segment, count, segments_max);
}
