/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_actor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dma_api/pci-p2pdma.h"
#include "sim/base/lg2.h"

enum { SMALL = 11793, MEDIUM = 300 * 1024 + 717, LARGE = (2 << 20) + 300 * 1024 + 5 };
enum { PAGE = 4096, EXTENTS = 24, TOUCH = 64, BOUNCE_MAX = 256 << 10, VECTOR = 40 };
#define POOL_FIRST  ((UINT64_C(1) << 51) - (UINT64_C(4096) << 20))
#define POOL_END    (UINT64_C(1) << 51)
#define NEVER_THERE UINT64_C(0xfee00000) /* For interrupts: never handed out. */
#define NO_SLOT     ACTOR_SLOTS

#define NAME(name) #name,
const char *const actor_call_name[] = { ACTOR_CALLS(NAME) };

enum kind { SINGLE, LIST, TABLE, COHERENT, PAGES, NONCOHERENT, NONCONTIGUOUS, RANGE };

/* A run of physical memory and where the device has it. */
struct extent {
    uint64_t phys, dma;
    uint32_t bytes;
    uint32_t first;  /* The object's page in which it begins. */
    uint8_t *shadow; /* What its bytes must be; NULL: nobody looks. */
    bool bounced;    /* Some of its pages are. */
    bool linked;     /* Of a range. */
};

struct opage {
    uint64_t iova, pa;
    uint8_t *view; /* Bounced: what the device finds there. */
    bool mapped;
};

struct actor_object {
    enum kind kind;
    enum dma_data_direction dir;
    unsigned long attrs;
    unsigned slot; /* Of the arena. */
    bool resource;
    bool defers;
    uint64_t owner;
    size_t size;
    unsigned extents, pages;
    struct extent extent[EXTENTS];
    struct opage *page;
    uint8_t *own; /* Shadow of memory that the API gave. */
    void *cpu_addr, *view;
    dma_addr_t dma;
    struct scatterlist list[ACTOR_EXTENTS];
    struct sg_table table, *sgt;
    struct dma_iova_state state;
};

static uint32_t below(struct actors *a, uint32_t bound)
{
    return rng_below(&a->rng, bound);
}

static bool chance(struct actors *a, uint32_t percent)
{
    return below(a, 100) < percent;
}

static struct device *device(struct actors *a)
{
    return &a->rig->device;
}

static void made(struct actors *a, enum actor_call call)
{
    a->made[call]++;
    a->calls++;
    a->left -= a->left > 0;
    if (a->oracle.complaints > 0)
        a->left = 0;
    a->oracle.context = actor_call_name[call];
}

#define complain(a, ...) oracle_complain(&(a)->oracle, __VA_ARGS__)

static bool translates(const struct actors *a)
{
    return a->rig->domain != NULL;
}

static unsigned may_of(const struct actors *a, enum dma_data_direction dir)
{
    if (dir == DMA_TO_DEVICE)
        return ORACLE_READ;
    if (dir == DMA_FROM_DEVICE && a->oracle.format == ORACLE_VTD)
        return ORACLE_WRITE;
    return ORACLE_READ | ORACLE_WRITE;
}

static unsigned flight(void)
{
    return 2 * cpu_this()->id + (cpu_this()->irq_off != 0);
}

static void begin(struct actors *a)
{
    a->failed[flight()] = false;
    oracle_begin(&a->oracle, flight());
}

static void end(struct actors *a)
{
    oracle_end(&a->oracle, flight());
}

/* ---- Memory -------------------------------------------------------------------------- */

static uint64_t slot_at(unsigned slot, uint64_t *bytes)
{
    if (slot < ACTOR_SMALL) {
        *bytes = SMALL;
        return (uint64_t)slot * SMALL;
    }
    slot -= ACTOR_SMALL;
    if (slot < ACTOR_MEDIUM) {
        *bytes = MEDIUM;
        return (uint64_t)ACTOR_SMALL * SMALL + (uint64_t)slot * MEDIUM;
    }
    *bytes = LARGE;
    return (uint64_t)ACTOR_SMALL * SMALL + (uint64_t)ACTOR_MEDIUM * MEDIUM
           + (uint64_t)(slot - ACTOR_MEDIUM) * LARGE;
}

static unsigned slot_get(struct actors *a, unsigned first, unsigned count)
{
    const unsigned from = below(a, count);
    for (unsigned i = 0; i < count; i++) {
        const unsigned slot = first + (from + i) % count;
        if (!a->slot_taken[slot]) {
            a->slot_taken[slot] = true;
            return slot;
        }
    }
    return NO_SLOT;
}

static uint8_t *shadow_of(struct actors *a, uint64_t phys)
{
    CHECK(phys - ACTOR_ARENA < a->arena_bytes);
    return a->arena + (phys - ACTOR_ARENA);
}

static size_t random_size(struct actors *a, uint64_t room)
{
    const unsigned pick = below(a, 100);
    const uint64_t most = pick < 35 ? 256 : pick < 60 ? PAGE : room;
    return 1 + below(a, (uint32_t)(most < room ? most : room));
}

/* Where a buffer lies and how long it is, within one slot of a random class. */
static bool place_buffer(struct actors *a, struct actor_object *ob, uint64_t *phys)
{
    const unsigned pick = below(a, 1000);
    uint64_t bytes;
    ob->slot = pick < 2    ? slot_get(a, ACTOR_SMALL + ACTOR_MEDIUM, ACTOR_LARGE)
               : pick < 25 ? slot_get(a, ACTOR_SMALL, ACTOR_MEDIUM)
                           : slot_get(a, 0, ACTOR_SMALL);
    if (ob->slot == NO_SLOT)
        return false;
    *phys              = ACTOR_ARENA + slot_at(ob->slot, &bytes);
    const uint64_t end = *phys + bytes;
    *phys              = chance(a, 40) ? align_up(*phys, 12) : *phys + below(a, PAGE);
    ob->size           = random_size(a, end - *phys);
    if (chance(a, 25) && end - *phys >= PAGE)
        ob->size = (1 + below(a, (uint32_t)((end - *phys) / PAGE))) * PAGE;
    return true;
}

static void write_memory(struct actors *a, struct extent *e, uint32_t at, uint32_t n)
{
    uint8_t data[TOUCH];
    for (uint32_t i = 0; i < n; i++)
        data[i] = (uint8_t)rng_next(&a->rng);
    memcpy(e->shadow + at, data, n);
    memory_write(&a->rig->memory, e->phys + at, data, n);
}

/* Random bytes here and there, the first and the last among them. */
static void scribble(struct actors *a, struct actor_object *ob)
{
    for (unsigned i = 0; i < ob->extents; i++) {
        struct extent *e = &ob->extent[i];
        if (e->shadow == NULL)
            continue;
        write_memory(a, e, 0, 1);
        write_memory(a, e, e->bytes - 1, 1);
        const uint32_t at = below(a, e->bytes);
        write_memory(a, e, at, e->bytes - at < TOUCH ? e->bytes - at : TOUCH);
    }
}

static void compare(struct actors *a, uint64_t phys, const uint8_t *want, uint64_t bytes,
                    const char *what)
{
    uint8_t got[PAGE];
    a->oracle.checked++;
    while (bytes > 0) {
        const uint64_t n = bytes < PAGE ? bytes : PAGE;
        memory_read(&a->rig->memory, phys, got, n);
        for (uint64_t i = 0; i < n; i++)
            if (got[i] != want[i]) {
                complain(a, "%s: 0x%" PRIx64 " holds %02x, expected %02x", what, phys + i,
                         got[i], want[i]);
                return;
            }
        phys += n;
        want += n;
        bytes -= n;
    }
}

static void expect_memory(struct actors *a, const struct actor_object *ob)
{
    for (unsigned i = 0; i < ob->extents; i++) {
        const struct extent *e = &ob->extent[i];
        if (e->shadow == NULL)
            continue;
        const uint32_t n = e->bytes < 2 * PAGE ? e->bytes : PAGE;
        compare(a, e->phys, e->shadow, n, "memory");
        compare(a, e->phys + e->bytes - n, e->shadow + e->bytes - n, n, "memory");
    }
}

/* ---- Objects ------------------------------------------------------------------------- */

static struct actor_object *object_new(struct actors *a, enum kind kind)
{
    static const enum dma_data_direction dirs[] = { DMA_BIDIRECTIONAL, DMA_TO_DEVICE,
                                                    DMA_FROM_DEVICE };
    struct actor_object *ob                     = calloc(1, sizeof *ob);
    CHECK(ob != NULL);
    ob->kind  = kind;
    ob->dir   = dirs[below(a, 3)];
    ob->slot  = NO_SLOT;
    ob->owner = ++a->oracle.clock;
    ob->attrs = (chance(a, 10) ? DMA_ATTR_SKIP_CPU_SYNC : 0)
                | (chance(a, 10) ? DMA_ATTR_WEAK_ORDERING : 0)
                | (chance(a, 10) ? DMA_ATTR_NO_WARN : 0)
                | (chance(a, 5) ? DMA_ATTR_PRIVILEGED : 0);
    ob->defers = a->lazy;
    return ob;
}

static void object_free(struct actors *a, struct actor_object *ob)
{
    for (unsigned i = 0; i < ob->pages; i++)
        free(ob->page[i].view);
    if (ob->slot != NO_SLOT)
        a->slot_taken[ob->slot] = false;
    free(ob->page);
    free(ob->own);
    free(ob);
}

static void stock(struct actors *a, struct actor_object *ob)
{
    for (unsigned i = 0; i < ACTOR_OBJECTS; i++)
        if (a->stock[i] == NULL) {
            a->stock[i] = ob;
            a->objects++;
            return;
        }
    UNREACHABLE("there is room for what was taken out, or it was asked for before");
}

/* The part of an extent that lies in one of its pages: bytes [*from, *from + length). */
static uint32_t part_in(const struct extent *e, const struct opage *p, uint32_t *from)
{
    const uint64_t first = p->iova > e->dma ? p->iova : e->dma;
    const uint64_t last =
        p->iova + PAGE < e->dma + e->bytes ? p->iova + PAGE : e->dma + e->bytes;
    *from = (uint32_t)(first - e->dma);
    return last > first ? (uint32_t)(last - first) : 0;
}

/* For the tests of the test: somebody else meddles with memory or tables. */
static void meddle(struct actors *a, struct actor_object *ob)
{
    const struct extent *e = &ob->extent[0];
    for (unsigned i = 0; a->planted == ACTOR_SPOILS_BOUNCE && i < ob->pages; i++) {
        uint32_t from;
        if (ob->page[i].view == NULL || part_in(e, &ob->page[i], &from) == 0)
            continue;
        const uint64_t at   = (e->dma + from) % PAGE;
        const uint8_t other = (uint8_t)~ob->page[i].view[at];
        memory_write(&a->rig->memory, ob->page[i].pa + at, &other, 1);
    }
    if (a->planted == ACTOR_FLIPS_BYTE && e->shadow != NULL) {
        const uint8_t other = (uint8_t)~e->shadow[e->bytes / 2];
        memory_write(&a->rig->memory, e->phys + e->bytes / 2, &other, 1);
    }
    if (a->planted == ACTOR_CHANGES_ENTRY && ob->pages > 0)
        oracle_flip_entry(&a->oracle, ob->page[0].iova);
}

static struct actor_object *unstock(struct actors *a, bool only_single)
{
    const unsigned from = below(a, ACTOR_OBJECTS);
    for (unsigned i = 0; i < ACTOR_OBJECTS; i++) {
        struct actor_object **at = &a->stock[(from + i) % ACTOR_OBJECTS];
        if (*at == NULL || (only_single && (*at)->kind != SINGLE))
            continue;
        struct actor_object *ob = *at;
        *at                     = NULL;
        a->objects--;
        return ob;
    }
    return NULL;
}

static void add_pages(struct actor_object *ob, uint64_t iova, unsigned count)
{
    ob->page = realloc(ob->page, (ob->pages + count) * sizeof *ob->page);
    CHECK(ob->page != NULL);
    for (unsigned i = 0; i < count; i++)
        ob->page[ob->pages + i] =
            (struct opage){ .iova = (iova & ~(uint64_t)(PAGE - 1)) + (uint64_t)i * PAGE };
    ob->pages += count;
}

static unsigned pages_of(uint64_t address, uint64_t bytes)
{
    return (unsigned)(((address & (PAGE - 1)) + bytes + PAGE - 1) / PAGE);
}

/* ---- What must bounce ---------------------------------------------------------------- */

static bool bounces(struct actors *a, uint64_t phys, uint64_t size,
                    enum dma_data_direction dir)
{
    const struct device *dev = device(a);
    const bool small         = size <= 32 || (size > 64 && size <= 96);
    const bool unsafe        = dev->noncoherent && dir != DMA_TO_DEVICE && small;
    return translates(a) && (dev->untrusted || unsafe) && ((phys | size) % PAGE) != 0;
}

/* Behind each bounced page: the extent's bytes, and zeroes beside them. */
static void make_view(struct extent *e, struct opage *p)
{
    uint32_t from;
    const uint32_t n = part_in(e, p, &from);
    p->view          = calloc(1, PAGE);
    CHECK(p->view != NULL);
    memcpy(p->view + (e->dma + from) % PAGE, e->shadow + from, n);
}

static void view_to_memory(struct extent *e, const struct opage *p)
{
    uint32_t from;
    const uint32_t n = part_in(e, p, &from);
    memcpy(e->shadow + from, p->view + (e->dma + from) % PAGE, n);
}

static void expect_view(struct actors *a, const struct extent *e, const struct opage *p)
{
    uint32_t from;
    const uint32_t n  = part_in(e, p, &from);
    const uint64_t at = device(a)->untrusted ? 0 : (e->dma + from) % PAGE;
    compare(a, p->pa + at, p->view + at, device(a)->untrusted ? (uint64_t)PAGE : n,
            "bounce buffer");
}

/* ---- Mapping and unmapping, page by page --------------------------------------------- */

static void expect_address(struct actors *a, uint64_t dma, uint64_t bytes, uint64_t mask,
                           uint64_t offset)
{
    if (dma % PAGE != offset)
        complain(a, "address 0x%" PRIx64 ": expected 0x%" PRIx64 " in its page", dma,
                 offset);
    if (dma + bytes - 1 > mask)
        complain(a, "address 0x%" PRIx64 " is beyond the mask", dma);
    const unsigned pages = pages_of(dma, bytes);
    if (translates(a) && ((dma / PAGE) & mask_lg2(lg2_ceil(pages))) != 0)
        complain(a, "address 0x%" PRIx64 " is not aligned to its size", dma);
}

/* The page is mapped now: to pa, or to some bounce buffer. */
static void map_page(struct actors *a, struct actor_object *ob, struct opage *p,
                     uint64_t pa, bool bounced)
{
    uint64_t found     = 0;
    const unsigned may = oracle_walk(&a->oracle, p->iova, &found);
    p->mapped          = true;
    p->pa              = bounced ? found : pa;
    a->oracle.checked++;
    if (may != may_of(a, ob->dir) || found != p->pa)
        complain(
            a, "0x%" PRIx64 " is mapped to 0x%" PRIx64 " (%u), expected 0x%" PRIx64 " (%u)",
            p->iova, found, may, p->pa, may_of(a, ob->dir));
    if (bounced && (found < POOL_FIRST || found >= POOL_END))
        complain(a, "0x%" PRIx64 " is not behind a bounce buffer", p->iova);
    oracle_map(&a->oracle, p->iova, ob->owner, p->pa, may_of(a, ob->dir));
    a->bounced_bytes += bounced ? PAGE : 0;
}

/* An extent that was mapped for itself, whole or as a bounce buffer. */
static void adopt(struct actors *a, struct actor_object *ob, struct extent *e,
                  uint64_t mask)
{
    const uint64_t keep = a->keeps_offset ? PAGE - 1 : 0;
    const unsigned n    = pages_of(e->dma, e->bytes);
    expect_address(a, e->dma, e->bytes, mask, e->bounced ? e->phys & keep : e->phys % PAGE);
    e->first = ob->pages;
    add_pages(ob, e->dma, n);
    if (!translates(a)) {
        if (e->dma != e->phys)
            complain(a, "0x%" PRIx64 " is not the physical address", e->dma);
        for (unsigned i = 0; i < n; i++)
            ob->page[e->first + i].pa = ob->page[e->first + i].iova;
        return;
    }
    oracle_take(&a->oracle, e->dma, n, ob->owner);
    for (unsigned i = 0; i < n; i++) {
        struct opage *p = &ob->page[e->first + i];
        map_page(a, ob, p, align_down(e->phys, 12) + (uint64_t)i * PAGE, e->bounced);
        if (e->bounced) {
            make_view(e, p);
            expect_view(a, e, p);
        }
    }
}

static void unmapping(struct actors *a, struct actor_object *ob, unsigned first,
                      unsigned count, bool defers)
{
    for (unsigned i = first; i < first + count; i++)
        if (ob->page[i].mapped)
            oracle_unmapping(&a->oracle, ob->page[i].iova, ob->owner, defers);
}

static void unmapped(struct actors *a, struct actor_object *ob, unsigned first,
                     unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        struct opage *p = &ob->page[i];
        uint64_t pa;
        if (!p->mapped)
            continue;
        p->mapped = false;
        if (oracle_unmapped(&a->oracle, p->iova, ob->owner)
            && !oracle_unsettled(&a->oracle, a->oracle.clock)
            && oracle_walk(&a->oracle, p->iova, &pa) != 0)
            complain(a, "0x%" PRIx64 " is still mapped to 0x%" PRIx64, p->iova, pa);
        a->bounced_bytes -= p->view != NULL ? PAGE : 0;
        free(p->view);
        p->view                          = NULL;
        a->past[a->pasts++ % ACTOR_PAST] = p->iova;
    }
    if (a->planted == ACTOR_SEES_FLUSHES)
        oracle_flushed(&a->oracle, ++a->oracle.clock);
}

static void leaving(struct actors *a, struct actor_object *ob, bool defers)
{
    if (!translates(a))
        return;
    unmapping(a, ob, 0, ob->pages, defers);
    for (unsigned i = 0; i < ob->pages; i++)
        oracle_leaving(&a->oracle, ob->page[i].iova, 1, ob->owner);
}

static void gone(struct actors *a, struct actor_object *ob)
{
    if (!translates(a))
        return;
    unmapped(a, ob, 0, ob->pages);
    for (unsigned i = 0; i < ob->pages; i++)
        oracle_give(&a->oracle, ob->page[i].iova, 1, ob->owner);
}

/* What an unmap copies out of bounce buffers: known before the call, as it is then. */
static void copy_back(struct actor_object *ob, struct extent *e)
{
    if (ob->dir == DMA_TO_DEVICE || ob->attrs & DMA_ATTR_SKIP_CPU_SYNC)
        return;
    for (unsigned i = 0; i < pages_of(e->dma, e->bytes); i++)
        if (ob->page[e->first + i].view != NULL)
            view_to_memory(e, &ob->page[e->first + i]);
}

/* A mapping of bounced memory may fail only where there is too little of it. */
static void expect_failure(struct actors *a, bool may_fail, const char *what)
{
    const bool narrow = dma_get_mask(device(a)) < DMA_BIT_MASK(32);
    oracle_undone(&a->oracle, flight());
    if (!may_fail && !narrow && !a->failed[flight()])
        complain(a, "%s failed", what);
    if (a->planted == ACTOR_LEAKS_MAPPING && a->failed[flight()] && translates(a)) {
        CHECK(domain_map(a->rig->domain, NEVER_THERE + PAGE, ACTOR_ARENA, PAGE, PT_READ)
              == 0);
        a->planted = ACTOR_HONEST;
    }
}

static bool pool_is_low(const struct actors *a)
{
    return a->bounced_bytes > 8 << 20;
}

/* ---- Single ranges ------------------------------------------------------------------- */

static dma_addr_t map_by_some_name(struct actors *a, struct actor_object *ob, uint64_t phys)
{
    struct device *dev = device(a);
    switch (below(a, 3)) {
    case 0:
        made(a, ACTOR_map_phys);
        return dma_map_phys(dev, phys, ob->size, ob->dir, ob->attrs);
    case 1:
        made(a, ACTOR_map_page);
        return dma_map_page_attrs(dev, phys_to_page(phys), phys % PAGE, ob->size, ob->dir,
                                  ob->attrs);
    default:
        made(a, ACTOR_map_single);
        return dma_map_single_attrs(dev, phys_to_virt(phys), ob->size, ob->dir, ob->attrs);
    }
}

/* A buffer lies in one segment of the pool, and in one of the device's. */
static bool too_large_to_bounce(struct actors *a, uint64_t phys, uint64_t size)
{
    const uint64_t offset = a->keeps_offset ? phys % PAGE : 0;
    const uint64_t bytes  = align_up(size + offset, 12);
    return bytes > BOUNCE_MAX || bytes - 1 > dma_get_seg_boundary(device(a));
}

static void map_buffer(struct actors *a)
{
    struct actor_object *ob = object_new(a, SINGLE);
    uint64_t phys;
    if (!place_buffer(a, ob, &phys)) {
        object_free(a, ob);
        return;
    }
    const bool bounced = bounces(a, phys, ob->size, ob->dir);
    ob->extent[0]      = (struct extent){ .phys    = phys,
                                          .bytes   = (uint32_t)ob->size,
                                          .shadow  = shadow_of(a, phys),
                                          .bounced = bounced };
    ob->extents        = 1;
    scribble(a, ob);
    begin(a);
    ob->dma = map_by_some_name(a, ob, phys);
    if (ob->dma == DMA_MAPPING_ERROR) {
        expect_failure(
            a, bounced && (pool_is_low(a) || too_large_to_bounce(a, phys, ob->size)),
            "a map");
        end(a);
        object_free(a, ob);
        return;
    }
    a->made[ACTOR_bounced] += bounced;
    ob->extent[0].dma = ob->dma;
    adopt(a, ob, &ob->extent[0], dma_get_mask(device(a)));
    end(a);
    stock(a, ob);
}

static void map_registers(struct actors *a)
{
    struct actor_object *ob = object_new(a, SINGLE);
    const uint64_t phys     = ACTOR_BAR + below(a, 1 << 20);
    ob->size                = 1 + below(a, 3 * PAGE);
    ob->resource            = true;
    const bool bounced      = bounces(a, phys, ob->size, ob->dir);
    ob->extent[0]           = (struct extent){ .phys = phys, .bytes = (uint32_t)ob->size };
    ob->extents             = 1;
    begin(a);
    made(a, ACTOR_map_resource);
    ob->dma = dma_map_resource(device(a), phys, ob->size, ob->dir, ob->attrs);
    if (ob->dma == DMA_MAPPING_ERROR) {
        expect_failure(a, bounced, "a map of registers");
        end(a);
        object_free(a, ob);
        return;
    }
    if (bounced)
        complain(a, "registers that must bounce were mapped");
    ob->extent[0].dma = ob->dma;
    adopt(a, ob, &ob->extent[0], dma_get_mask(device(a)));
    end(a);
    stock(a, ob);
}

static void unmap_buffer(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    copy_back(ob, &ob->extent[0]);
    begin(a);
    leaving(a, ob, ob->defers);
    made(a, ACTOR_unmap);
    if (ob->resource)
        dma_unmap_resource(dev, ob->dma, ob->size, ob->dir, ob->attrs);
    else if (chance(a, 50))
        dma_unmap_phys(dev, ob->dma, ob->size, ob->dir, ob->attrs);
    else if (chance(a, 50))
        dma_unmap_page_attrs(dev, ob->dma, ob->size, ob->dir, ob->attrs);
    else
        dma_unmap_single_attrs(dev, ob->dma, ob->size, ob->dir, ob->attrs);
    end(a);
    gone(a, ob);
    expect_memory(a, ob);
}

/* ---- Scatter lists ------------------------------------------------------------------- */

/* Cuts a slot into elements, some of them neighbours, and shuffles them at times. */
static bool make_list(struct actors *a, struct actor_object *ob)
{
    uint64_t bytes;
    ob->slot = slot_get(a, 0, ACTOR_SMALL);
    if (ob->slot == NO_SLOT)
        return false;
    const uint64_t base    = ACTOR_ARENA + slot_at(ob->slot, &bytes);
    const bool whole_pages = chance(a, 40);
    uint64_t at            = whole_pages ? align_up(base, 12) : base + below(a, PAGE);
    while (ob->extents < ACTOR_EXTENTS && at < base + bytes) {
        const uint64_t left = base + bytes - at;
        uint64_t n          = whole_pages ? PAGE : 1 + below(a, 2000);
        n                   = n < left ? n : left;
        ob->extent[ob->extents++] =
            (struct extent){ .phys = at, .bytes = (uint32_t)n, .shadow = shadow_of(a, at) };
        at += n + (!whole_pages && chance(a, 50) ? below(a, 1500) : 0);
    }
    for (unsigned i = ob->extents; i-- > 1 && chance(a, 50);) {
        const unsigned j        = below(a, i + 1);
        const struct extent was = ob->extent[i];
        ob->extent[i]           = ob->extent[j];
        ob->extent[j]           = was;
    }
    sg_init_table(ob->list, ob->extents);
    for (unsigned i = 0; i < ob->extents; i++)
        sg_set_page(&ob->list[i], phys_to_page(ob->extent[i].phys), ob->extent[i].bytes,
                    (unsigned)(ob->extent[i].phys % PAGE));
    ob->table = (struct sg_table){ ob->list, 0, ob->extents };
    return true;
}

static bool is_mapped_one_by_one(struct actors *a, const struct actor_object *ob)
{
    const struct device *dev = device(a);
    if (!translates(a) || dev->untrusted)
        return translates(a);
    for (unsigned i = 0; i < ob->extents; i++) {
        const uint32_t n = ob->extent[i].bytes;
        if (dev->noncoherent && ob->dir != DMA_TO_DEVICE
            && (n <= 32 || (n > 64 && n <= 96)))
            return true;
    }
    return false;
}

static void adopt_one_by_one(struct actors *a, struct actor_object *ob, int mapped)
{
    if (mapped != (int)ob->extents)
        complain(a, "%d segments for %u elements", mapped, ob->extents);
    for (unsigned i = 0; i < ob->extents; i++) {
        struct extent *e = &ob->extent[i];
        e->dma           = sg_dma_address(&ob->list[i]);
        e->bounced       = bounces(a, e->phys, e->bytes, ob->dir);
        if (sg_dma_len(&ob->list[i]) != e->bytes)
            complain(a, "an element has %u bytes, expected %u", sg_dma_len(&ob->list[i]),
                     e->bytes);
        adopt(a, ob, e, dma_get_mask(device(a)));
    }
}

/* Every element follows the one before it in the same segment or begins the next. */
static void expect_segments(struct actors *a, const struct actor_object *ob, int mapped)
{
    const uint64_t boundary = dma_get_seg_boundary(device(a));
    int segment             = -1;
    uint64_t filled         = 0;
    for (unsigned i = 0; i < ob->extents; i++) {
        const struct extent *e = &ob->extent[i];
        if (segment < 0 || filled == sg_dma_len(&ob->list[segment])) {
            segment++;
            filled = 0;
        }
        if (segment >= mapped || sg_dma_address(&ob->list[segment]) + filled != e->dma) {
            complain(a, "element %u of a list is not where the segments say", i);
            return;
        }
        filled += e->bytes;
        const uint64_t first = sg_dma_address(&ob->list[segment]);
        const uint64_t bytes = sg_dma_len(&ob->list[segment]);
        if (((first ^ (first + bytes - 1)) & ~boundary) != 0)
            complain(a, "a segment crosses the boundary");
        if (bytes > dma_get_max_seg_size(device(a)))
            complain(a, "a segment of %" PRIu64 " bytes is too long", bytes);
    }
    if (segment + 1 != mapped || filled != sg_dma_len(&ob->list[segment]))
        complain(a, "%d segments, expected %d", mapped, segment + 1);
}

/* One range for all: each element in whole granules, moved up where it would cross the
 * boundary; then what lies behind the element before fills the gap. */
static void lay_out(struct actors *a, struct actor_object *ob, uint64_t base)
{
    const uint64_t boundary = dma_get_seg_boundary(device(a));
    uint64_t at = 0, end_phys = 0;
    for (unsigned i = 0; i < ob->extents; i++) {
        struct extent *e      = &ob->extent[i];
        const uint64_t inside = e->phys % PAGE, bytes = align_up(e->bytes + inside, 12);
        const uint64_t pad = (boundary - at + 1) & boundary;
        const bool moves   = i > 0 && pad != 0 && pad < bytes - 1;
        add_pages(ob, base + at, (unsigned)(((moves ? pad : 0) + bytes) / PAGE));
        for (; moves && at % (boundary + 1) != 0; at += PAGE, end_phys += PAGE)
            ob->page[at / PAGE].pa = end_phys;
        e->dma   = base + at + inside;
        e->first = (uint32_t)(at / PAGE);
        end_phys = e->phys - inside + bytes;
        for (uint64_t done = 0; done < bytes; done += PAGE, at += PAGE)
            ob->page[at / PAGE].pa = e->phys - inside + done;
    }
}

static void adopt_list(struct actors *a, struct actor_object *ob, int mapped)
{
    const uint64_t base = align_down(sg_dma_address(&ob->list[0]), 12);
    if (is_mapped_one_by_one(a, ob) || !translates(a)) {
        adopt_one_by_one(a, ob, mapped);
        return;
    }
    lay_out(a, ob, base);
    expect_segments(a, ob, mapped);
    expect_address(a, base, (uint64_t)ob->pages * PAGE, dma_get_mask(device(a)), 0);
    oracle_take(&a->oracle, base, ob->pages, ob->owner);
    for (unsigned i = 0; i < ob->pages; i++)
        map_page(a, ob, &ob->page[i], ob->page[i].pa, false);
}

static int map_list(struct actors *a, struct actor_object *ob)
{
    if (ob->kind == TABLE) {
        made(a, ACTOR_map_sgtable);
        const int error = dma_map_sgtable(device(a), &ob->table, ob->dir, ob->attrs);
        return error != 0 ? error : (int)ob->table.nents;
    }
    made(a, ACTOR_map_sg);
    return (int)dma_map_sg_attrs(device(a), ob->list, (int)ob->extents, ob->dir, ob->attrs);
}

static void map_some_list(struct actors *a)
{
    struct actor_object *ob = object_new(a, chance(a, 50) ? LIST : TABLE);
    if (!make_list(a, ob)) {
        object_free(a, ob);
        return;
    }
    const bool one_by_one = is_mapped_one_by_one(a, ob);
    scribble(a, ob);
    begin(a);
    const int mapped = map_list(a, ob);
    if (mapped > 0) {
        adopt_list(a, ob, mapped);
        end(a);
        stock(a, ob);
        return;
    }
    expect_failure(a, one_by_one && pool_is_low(a), "a map of a list");
    if (ob->kind == TABLE && mapped != (one_by_one ? -EIO : -ENOMEM))
        complain(a, "a map of a list gave %d", mapped);
    end(a);
    object_free(a, ob);
}

static void unmap_list(struct actors *a, struct actor_object *ob)
{
    for (unsigned i = 0; i < ob->extents; i++)
        copy_back(ob, &ob->extent[i]);
    begin(a);
    leaving(a, ob, ob->defers);
    made(a, ACTOR_unmap_sg);
    if (ob->kind == TABLE)
        dma_unmap_sgtable(device(a), &ob->table, ob->dir, ob->attrs);
    else
        dma_unmap_sg_attrs(device(a), ob->list, (int)ob->extents, ob->dir, ob->attrs);
    end(a);
    gone(a, ob);
    expect_memory(a, ob);
}

/* ---- Memory that the API gives ------------------------------------------------------- */

static void adopt_memory(struct actors *a, struct actor_object *ob, uint64_t phys,
                         uint64_t mask)
{
    ob->size      = align_up(ob->size, 12);
    ob->own       = calloc(1, ob->size);
    ob->extent[0] = (struct extent){
        .phys = phys, .dma = ob->dma, .bytes = (uint32_t)ob->size, .shadow = ob->own
    };
    ob->extents = 1;
    CHECK(ob->own != NULL);
    compare(a, phys, ob->own, ob->size, "fresh memory");
    adopt(a, ob, &ob->extent[0], mask);
    scribble(a, ob);
}

static bool get_coherent(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    const bool wc      = chance(a, 30);
    ob->dir            = DMA_BIDIRECTIONAL;
    ob->attrs          = wc ? DMA_ATTR_WRITE_COMBINE : 0;
    made(a, wc ? ACTOR_write_combined : ACTOR_coherent);
    ob->cpu_addr = wc ? dma_alloc_wc(dev, ob->size, &ob->dma, GFP_KERNEL)
                      : dma_alloc_coherent(dev, ob->size, &ob->dma, GFP_ATOMIC);
    if (ob->cpu_addr != NULL)
        adopt_memory(a, ob, virt_to_phys(ob->cpu_addr), dev->coherent_dma_mask);
    return ob->cpu_addr != NULL;
}

static bool get_pages(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    ob->attrs          = DMA_ATTR_SKIP_CPU_SYNC;
    if (ob->kind == PAGES) {
        made(a, ACTOR_pages);
        struct page *page = dma_alloc_pages(dev, ob->size, &ob->dma, ob->dir, GFP_KERNEL);
        ob->cpu_addr      = page == NULL ? NULL : phys_to_virt(page_to_phys(page));
    } else {
        made(a, ACTOR_noncoherent);
        ob->cpu_addr = dma_alloc_noncoherent(dev, ob->size, &ob->dma, ob->dir, GFP_KERNEL);
    }
    if (ob->cpu_addr != NULL)
        adopt_memory(a, ob, virt_to_phys(ob->cpu_addr), dma_get_mask(dev));
    return ob->cpu_addr != NULL;
}

/* One range for the device, pieces for the CPU, and at times a view that joins them. */
static void adopt_pieces(struct actors *a, struct actor_object *ob)
{
    struct scatterlist *sg = ob->sgt->sgl;
    uint64_t at            = 0;
    ob->own                = calloc(1, ob->size);
    CHECK(ob->own != NULL);
    if (ob->sgt->nents != 1 || sg_dma_len(sg) != ob->size)
        complain(a, "noncontiguous memory is %u segments of %u bytes", ob->sgt->nents,
                 sg_dma_len(sg));
    CHECK(ob->sgt->orig_nents <= EXTENTS);
    expect_address(a, ob->dma, ob->size, device(a)->coherent_dma_mask, 0);
    add_pages(ob, ob->dma, (unsigned)(ob->size / PAGE));
    if (translates(a))
        oracle_take(&a->oracle, ob->dma, ob->pages, ob->owner);
    for (unsigned i = 0; i < ob->sgt->orig_nents; i++, sg = sg_next(sg)) {
        struct extent *e = &ob->extent[ob->extents++];
        *e               = (struct extent){ .phys   = sg_phys(sg),
                                            .dma    = ob->dma + at,
                                            .bytes  = sg->length,
                                            .first  = (uint32_t)(at / PAGE),
                                            .shadow = ob->own + at };
        compare(a, e->phys, e->shadow, e->bytes, "fresh memory");
        for (uint64_t done = 0; done < sg->length; done += PAGE, at += PAGE) {
            ob->page[at / PAGE].pa = e->phys + done;
            if (translates(a))
                map_page(a, ob, &ob->page[at / PAGE], e->phys + done, false);
        }
    }
    if (at != ob->size)
        complain(a, "noncontiguous memory has %" PRIu64 " bytes", at);
    scribble(a, ob);
}

static void view_pieces(struct actors *a, struct actor_object *ob)
{
    made(a, ACTOR_vmap);
    ob->view = dma_vmap_noncontiguous(device(a), ob->size, ob->sgt);
    if (ob->view == NULL) {
        expect_failure(a, false, "a view of noncontiguous memory");
        return;
    }
    for (unsigned i = 0; i < ob->extents && is_vmalloc_addr(ob->view); i++) {
        const struct extent *e = &ob->extent[i];
        const char *at         = (const char *)ob->view + (e->shadow - ob->own);
        if (page_to_phys(vmalloc_to_page(at)) != e->phys)
            complain(a, "piece %u is not where its view says", i);
    }
}

static bool get_pieces(struct actors *a, struct actor_object *ob)
{
    struct device *dev        = device(a);
    const unsigned long attrs = chance(a, 50) ? DMA_ATTR_ALLOC_SINGLE_PAGES : 0;
    /* The pages of an IOMMU are mapped both ways, whatever was asked for. */
    const enum dma_data_direction asked = ob->dir;
    ob->attrs                           = DMA_ATTR_SKIP_CPU_SYNC;
    if (translates(a))
        ob->dir = DMA_BIDIRECTIONAL;
    ob->size = align_up(ob->size, 12);
    made(a, ACTOR_noncontiguous);
    ob->sgt = dma_alloc_noncontiguous(dev, ob->size, asked, GFP_KERNEL, attrs);
    if (ob->sgt == NULL)
        return false;
    ob->dma = sg_dma_address(ob->sgt->sgl);
    adopt_pieces(a, ob);
    if (chance(a, 50))
        view_pieces(a, ob);
    return true;
}

static void get_memory(struct actors *a)
{
    struct actor_object *ob = object_new(a, COHERENT + below(a, 4));
    ob->size                = 1 + below(a, (chance(a, 90) ? 3 : 20) * PAGE);
    begin(a);
    const bool good = ob->kind == COHERENT        ? get_coherent(a, ob)
                      : ob->kind == NONCONTIGUOUS ? get_pieces(a, ob)
                                                  : get_pages(a, ob);
    if (!good)
        expect_failure(a, false, "an allocation");
    end(a);
    if (good)
        stock(a, ob);
    else
        object_free(a, ob);
}

static void put_memory(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    expect_memory(a, ob);
    if (ob->view != NULL)
        dma_vunmap_noncontiguous(dev, ob->view);
    begin(a);
    leaving(a, ob, ob->defers);
    made(a, ACTOR_memory_freed);
    if (ob->kind == COHERENT)
        dma_free_attrs(dev, ob->size, ob->cpu_addr, ob->dma, ob->attrs);
    else if (ob->kind == PAGES)
        dma_free_pages(dev, ob->size, phys_to_page(virt_to_phys(ob->cpu_addr)), ob->dma,
                       ob->dir);
    else if (ob->kind == NONCOHERENT)
        dma_free_noncoherent(dev, ob->size, ob->cpu_addr, ob->dma, ob->dir);
    else
        dma_free_noncontiguous(dev, ob->size, ob->sgt, ob->dir);
    end(a);
    gone(a, ob);
}

/* ---- The IOVA API -------------------------------------------------------------------- */

static uint32_t offset_of(const struct actor_object *ob, const struct extent *e)
{
    return (uint32_t)(e->dma - ob->state.addr);
}

/* Cuts the range at granules; whole pieces of the same length may change places. */
static void cut_range(struct actors *a, struct actor_object *ob, uint64_t phys)
{
    uint64_t at = 0;
    while (at < ob->size) {
        const uint64_t granule = PAGE - (phys + at) % PAGE;
        const bool last        = ob->extents == EXTENTS - 1;
        const uint64_t n       = granule + (uint64_t)below(a, 4) * PAGE;
        struct extent *e       = &ob->extent[ob->extents++];
        *e                     = (struct extent){ .phys  = phys + at,
                                                  .dma   = ob->state.addr + at,
                                                  .first = (uint32_t)((ob->state.addr % PAGE + at) / PAGE),
                                                  .bytes = (uint32_t)(last || n > ob->size - at ? ob->size - at
                                                                                                : n) };
        at += e->bytes;
    }
    for (unsigned i = 1; i + 1 < ob->extents && chance(a, 50); i++) {
        const unsigned j    = 1 + below(a, i);
        const uint64_t was  = ob->extent[i].phys;
        const bool are_same = ob->extent[i].bytes == ob->extent[j].bytes && was % PAGE == 0
                              && ob->extent[j].phys % PAGE == 0;
        ob->extent[i].phys = are_same ? ob->extent[j].phys : was;
        ob->extent[j].phys = are_same ? was : ob->extent[j].phys;
    }
    for (unsigned i = 0; i < ob->extents; i++)
        ob->extent[i].shadow = shadow_of(a, ob->extent[i].phys);
}

static void alloc_range(struct actors *a)
{
    struct actor_object *ob = object_new(a, RANGE);
    struct device *dev      = device(a);
    uint64_t phys;
    const bool placed = place_buffer(a, ob, &phys);
    if (placed && (dev->untrusted || dev->noncoherent) && !a->keeps_offset) {
        ob->size = ob->size > phys % PAGE ? ob->size : phys % PAGE + 1;
        ob->size -= phys % PAGE; /* The slot of a first granule would not fit. */
        phys = align_up(phys, 12);
        uint64_t bytes;
        const uint64_t end = ACTOR_ARENA + slot_at(ob->slot, &bytes) + bytes;
        ob->size           = ob->size < end - phys ? ob->size : end - phys;
    }
    if (placed)
        made(a, ACTOR_try_alloc);
    begin(a);
    const bool got = placed && dma_iova_try_alloc(dev, &ob->state, phys, ob->size);
    if (placed && !got && translates(a) && a->rig->kernel.release >= LINUX_6_18)
        expect_failure(a, false, "dma_iova_try_alloc");
    if (got && (!translates(a) || a->rig->kernel.release < LINUX_6_18))
        complain(a, "a range that cannot be had");
    if (!got) {
        if (placed && (dma_use_iova(&ob->state) || ob->state.addr != 0))
            complain(a, "a state that is not in use is not zeroed");
        end(a);
        object_free(a, ob);
        return;
    }
    expect_address(a, ob->state.addr, ob->size, dma_get_mask(dev), phys % PAGE);
    add_pages(ob, ob->state.addr, pages_of(ob->state.addr, ob->size));
    oracle_take(&a->oracle, ob->state.addr, ob->pages, ob->owner);
    end(a);
    cut_range(a, ob, phys);
    scribble(a, ob);
    stock(a, ob);
}

static void sync_range(struct actors *a, struct actor_object *ob, const struct extent *e)
{
    made(a, ACTOR_iova_sync);
    const int error = dma_iova_sync(device(a), &ob->state, offset_of(ob, e), e->bytes);
    if (error != 0)
        complain(a, "dma_iova_sync gave %d", error);
    for (unsigned i = 0; i < pages_of(e->dma, e->bytes); i++)
        if (ob->page[e->first + i].mapped)
            oracle_synced(&a->oracle, ob->page[e->first + i].iova, ob->owner);
}

/* Only the granules at the ends bounce, where they are partly used. */
static void link_piece(struct actors *a, struct actor_object *ob, struct extent *e)
{
    const unsigned n   = pages_of(e->dma, e->bytes);
    const bool bounced = bounces(a, e->phys, e->bytes, ob->dir);
    begin(a);
    made(a, ACTOR_link);
    const int error = dma_iova_link(device(a), &ob->state, e->phys, offset_of(ob, e),
                                    e->bytes, ob->dir, ob->attrs);
    if (error != 0) {
        if (error != -ENOMEM || !((bounced && pool_is_low(a)) || a->failed[flight()]))
            complain(a, "dma_iova_link gave %d", error);
        oracle_undone(&a->oracle, flight());
        end(a);
        return;
    }
    e->linked  = true;
    e->bounced = bounced;
    a->made[ACTOR_bounced] += bounced;
    for (unsigned i = 0; i < n; i++) {
        struct opage *p = &ob->page[e->first + i];
        uint32_t from;
        const bool part = part_in(e, p, &from) < PAGE;
        map_page(a, ob, p, align_down(e->phys, 12) + (uint64_t)i * PAGE, bounced && part);
        oracle_awaits_sync(&a->oracle, p->iova, ob->owner);
        if (bounced && part) {
            make_view(e, p);
            expect_view(a, e, p);
        }
    }
    end(a);
    sync_range(a, ob, e);
}

static void unlink_piece(struct actors *a, struct actor_object *ob, struct extent *e)
{
    const unsigned n = pages_of(e->dma, e->bytes);
    copy_back(ob, e);
    begin(a);
    unmapping(a, ob, e->first, n, false); /* Never deferred. */
    made(a, ACTOR_unlink);
    dma_iova_unlink(device(a), &ob->state, offset_of(ob, e), e->bytes, ob->dir, ob->attrs);
    end(a);
    unmapped(a, ob, e->first, n);
    e->linked = false;
}

/* Links or unlinks a piece; false when there is none to link. */
static void work_on_range(struct actors *a, struct actor_object *ob)
{
    struct extent *e = &ob->extent[below(a, ob->extents)];
    if (!e->linked)
        link_piece(a, ob, e);
    else if (chance(a, 30))
        unlink_piece(a, ob, e);
    else
        sync_range(a, ob, e);
}

/* The bytes that are linked from the beginning on; *only: and nothing else is. */
static uint32_t linked_prefix(const struct actor_object *ob, bool *only)
{
    uint32_t bytes = 0;
    unsigned i     = 0;
    for (; i < ob->extents && ob->extent[i].linked; i++)
        bytes += ob->extent[i].bytes;
    *only = true;
    for (; i < ob->extents; i++)
        *only = *only && !ob->extent[i].linked;
    return bytes;
}

static void destroy_range(struct actors *a, struct actor_object *ob, uint32_t bytes)
{
    const bool defers = a->lazy && a->rig->kernel.release < LINUX_7_3;
    for (unsigned i = 0; i < ob->extents; i++)
        if (ob->extent[i].linked)
            copy_back(ob, &ob->extent[i]);
    begin(a);
    leaving(a, ob, defers);
    made(a, bytes == 0 ? ACTOR_destroy_none : ACTOR_destroy);
    dma_iova_destroy(device(a), &ob->state, bytes, ob->dir, ob->attrs);
    end(a);
    gone(a, ob);
}

static void end_range(struct actors *a, struct actor_object *ob)
{
    bool only;
    uint32_t bytes = linked_prefix(ob, &only);
    for (unsigned i = 0; i < ob->extents && !only; i++)
        if (ob->extent[i].linked)
            unlink_piece(a, ob, &ob->extent[i]);
    bytes = linked_prefix(ob, &only);
    CHECK(only);
    if (bytes > 0 || chance(a, 50)) {
        destroy_range(a, ob, bytes);
    } else {
        begin(a);
        leaving(a, ob, false);
        made(a, ACTOR_iova_free);
        dma_iova_free(device(a), &ob->state);
        end(a);
        gone(a, ob);
    }
    expect_memory(a, ob);
}

/* ---- Syncs --------------------------------------------------------------------------- */

static void model_sync(struct actor_object *ob, struct extent *e, uint32_t from, uint32_t n,
                       bool for_cpu)
{
    if (ob->dir == (for_cpu ? DMA_TO_DEVICE : DMA_FROM_DEVICE))
        return;
    for (uint32_t i = from; i < from + n; i++) {
        struct opage *p =
            &ob->page[(e->dma + i) / PAGE - ob->page[e->first].iova / PAGE + e->first];
        if (p->view == NULL)
            continue;
        uint8_t *at = &p->view[(e->dma + i) % PAGE];
        if (for_cpu)
            e->shadow[i] = *at;
        else
            *at = e->shadow[i];
    }
}

static void sync_part(struct actors *a, struct actor_object *ob, struct extent *e)
{
    struct device *dev  = device(a);
    const bool for_cpu  = chance(a, 50);
    const uint32_t from = below(a, e->bytes);
    uint32_t n          = 1 + below(a, e->bytes - from);
    if (ob->kind == RANGE && n > PAGE - (e->dma + from) % PAGE)
        n = (uint32_t)(PAGE - (e->dma + from) % PAGE);
    if (!for_cpu)
        scribble(a, ob);
    if (e->shadow != NULL)
        model_sync(ob, e, from, n, for_cpu);
    if (chance(a, 50)) {
        made(a, ACTOR_sync_single);
        if (for_cpu)
            dma_sync_single_for_cpu(dev, e->dma + from, n, ob->dir);
        else
            dma_sync_single_for_device(dev, e->dma + from, n, ob->dir);
        return;
    }
    made(a, ACTOR_sync_range);
    if (for_cpu)
        dma_sync_single_range_for_cpu(dev, e->dma, from, n, ob->dir);
    else
        dma_sync_single_range_for_device(dev, e->dma, from, n, ob->dir);
}

static void sync_list(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    const bool for_cpu = chance(a, 50);
    if (!for_cpu)
        scribble(a, ob);
    for (unsigned i = 0; i < ob->extents; i++)
        model_sync(ob, &ob->extent[i], 0, ob->extent[i].bytes, for_cpu);
    made(a, ACTOR_sync_sg);
    if (ob->kind == LIST && for_cpu)
        dma_sync_sg_for_cpu(dev, ob->list, (int)ob->extents, ob->dir);
    else if (ob->kind == LIST)
        dma_sync_sg_for_device(dev, ob->list, (int)ob->extents, ob->dir);
    else if (for_cpu)
        dma_sync_sgtable_for_cpu(dev, &ob->table, ob->dir);
    else
        dma_sync_sgtable_for_device(dev, &ob->table, ob->dir);
}

static void sync_object(struct actors *a, struct actor_object *ob)
{
    struct extent *e = &ob->extent[below(a, ob->extents)];
    if (ob->resource)
        return;
    if (ob->kind == LIST || ob->kind == TABLE)
        sync_list(a, ob);
    else if (ob->kind == SINGLE || ob->kind == NONCOHERENT || ob->kind == PAGES
             || (ob->kind == RANGE && e->linked))
        sync_part(a, ob, e);
    else
        scribble(a, ob);
    expect_memory(a, ob);
}

/* ---- The device ---------------------------------------------------------------------- */

/* Which extent has this byte of a page; NULL: none that anybody looks at. */
static struct extent *extent_at(struct actor_object *ob, const struct opage *p, uint32_t at)
{
    for (unsigned i = 0; i < ob->extents; i++) {
        struct extent *e = &ob->extent[i];
        if (e->shadow != NULL && p->iova + at - e->dma < e->bytes)
            return e;
    }
    return NULL;
}

static uint32_t room_at(const struct extent *e, const struct opage *p, uint32_t at)
{
    const uint64_t left = e->dma + e->bytes - (p->iova + at);
    const uint64_t page = PAGE - at;
    const uint64_t n    = left < page ? left : page;
    return (uint32_t)(n < TOUCH ? n : TOUCH);
}

static void device_writes(struct actors *a, struct actor_object *ob, struct opage *p,
                          uint32_t at)
{
    uint8_t data[TOUCH];
    struct extent *e = extent_at(ob, p, at);
    uint32_t n       = e == NULL ? 0 : room_at(e, p, at);
    if (p->view != NULL && device(a)->untrusted)
        n = PAGE - at < TOUCH ? PAGE - at : TOUCH; /* Also beside the data. */
    made(a, ACTOR_device_write);
    for (uint32_t i = 0; i < n; i++)
        data[i] = (uint8_t)rng_next(&a->rng);
    if (n == 0)
        return;
    memory_device_write(&a->rig->memory, p->pa + at, data, n);
    memcpy(p->view != NULL ? p->view + at : e->shadow + (p->iova + at - e->dma), data, n);
}

static void device_reads(struct actors *a, struct actor_object *ob, const struct opage *p,
                         uint32_t at)
{
    struct extent *e = extent_at(ob, p, at);
    made(a, ACTOR_device_read);
    if (p->view != NULL && device(a)->untrusted)
        compare(a, p->pa, p->view, PAGE, "what the device reads");
    else if (e != NULL && p->view != NULL)
        compare(a, p->pa + at, p->view + at, room_at(e, p, at), "what the device reads");
    else if (e != NULL)
        compare(a, p->pa + at, e->shadow + (p->iova + at - e->dma), room_at(e, p, at),
                "what the device reads");
}

/* Nobody else changes the object meanwhile: the answer is known exactly. */
static void touch(struct actors *a, struct actor_object *ob)
{
    struct opage *p       = &ob->page[below(a, ob->pages)];
    const uint32_t at     = below(a, PAGE);
    const unsigned access = chance(a, 50) ? ORACLE_READ : ORACLE_WRITE;
    uint64_t pa           = 0;
    if (!a->device_there || (translates(a) && !p->mapped))
        return;
    const uint64_t began = ++a->oracle.clock;
    const bool reached   = kernel_rig_reach(a->rig, p->iova + at,
                                          access == ORACLE_READ ? PT_READ : PT_WRITE, &pa);
    const uint64_t ended = ++a->oracle.clock;
    const bool allowed   = !translates(a) || may_of(a, ob->dir) & access;
    if (translates(a))
        oracle_access(&a->oracle, p->iova, access, began, ended, reached, pa);
    if (reached != allowed || (reached && pa != p->pa + at))
        complain(a, "the device %s 0x%" PRIx64 " at 0x%" PRIx64 ", expected 0x%" PRIx64,
                 reached ? "reached" : "did not reach", p->iova + at, pa, p->pa + at);
    else if (!reached)
        made(a, ACTOR_device_denied);
    else if (access == ORACLE_READ)
        device_reads(a, ob, p, at);
    else
        device_writes(a, ob, p, at);
}

/* A page that was unmapped a while ago, or by now belongs to somebody else. */
static void touch_past(struct actors *a)
{
    const unsigned filled = a->pasts < ACTOR_PAST ? a->pasts : ACTOR_PAST;
    const unsigned access = chance(a, 50) ? ORACLE_READ : ORACLE_WRITE;
    uint64_t pa           = 0;
    if (!a->device_there || !translates(a) || filled == 0)
        return;
    const uint64_t iova  = a->past[below(a, filled)];
    const uint64_t began = ++a->oracle.clock;
    const bool reached =
        kernel_rig_reach(a->rig, iova, access == ORACLE_READ ? PT_READ : PT_WRITE, &pa);
    const uint64_t ended = ++a->oracle.clock;
    made(a, ACTOR_device_past);
    while (!oracle_access(&a->oracle, iova, access, began, ended, reached, pa))
        kernel_rig_sleep_until(cpu_this()->time + TIME_US);
}

/* ---- Questions, and calls that are refused ------------------------------------------- */

static void ask(struct actors *a)
{
    struct device *dev  = device(a);
    const bool iommu    = translates(a);
    const size_t opt    = iommu ? 32 * PAGE : SIZE_MAX;
    const size_t bounce = BOUNCE_MAX - (a->keeps_offset ? PAGE : 0);
    const size_t most   = iommu && dev->untrusted ? bounce : SIZE_MAX;
    made(a, ACTOR_query);
    if (dma_get_merge_boundary(dev) != (iommu ? PAGE - 1 : 0))
        complain(a, "the merge boundary is %lu", dma_get_merge_boundary(dev));
    if (dma_opt_mapping_size(dev) != (opt < most ? opt : most))
        complain(a, "the best size is %zu", dma_opt_mapping_size(dev));
    if (dma_max_mapping_size(dev) != most)
        complain(a, "the largest size is %zu", dma_max_mapping_size(dev));
    if (iommu && !dma_need_unmap(dev))
        complain(a, "no unmap is needed behind an IOMMU");
    if (dma_mapping_error(dev, DMA_MAPPING_ERROR) != -ENOMEM
        || dma_mapping_error(dev, 0) != 0)
        complain(a, "dma_mapping_error");
}

static void refuse_address(struct actors *a, dma_addr_t addr, const char *what)
{
    if (addr != DMA_MAPPING_ERROR)
        complain(a, "%s was mapped", what);
}

static void refused_maps(struct actors *a)
{
    struct device *dev  = device(a);
    const uint64_t phys = ACTOR_ARENA + 64;
    struct page *page   = phys_to_page(phys);
    refuse_address(a, dma_map_page_attrs(dev, page, 0, 64, DMA_TO_DEVICE, DMA_ATTR_MMIO),
                   "a page with MMIO");
    refuse_address(
        a, dma_map_single(dev, (void *)(uintptr_t)0xfe00000000000000, 64, DMA_TO_DEVICE),
        "vmalloc memory");
    if (translates(a))
        refuse_address(a, dma_map_phys(dev, phys, 64, DMA_TO_DEVICE, DMA_ATTR_CC_SHARED),
                       "CC_SHARED");
    if (dev->noncoherent)
        refuse_address(
            a, dma_map_phys(dev, phys, 64, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT),
            "a device that is not coherent");
    if (translates(a) && dev->untrusted)
        refuse_address(
            a,
            dma_map_phys(dev, phys, 64, DMA_TO_DEVICE,
                         chance(a, 50) ? DMA_ATTR_REQUIRE_COHERENT : DMA_ATTR_MMIO),
            "what may not bounce");
    if (translates(a)) {
        dma_unmap_phys(dev, NEVER_THERE, 64, DMA_TO_DEVICE, 0); /* A warning, no more. */
        refuse_address(a,
                       dma_map_phys(dev, UINT64_C(1) << 57, PAGE, DMA_TO_DEVICE,
                                    DMA_ATTR_SKIP_CPU_SYNC),
                       "memory beyond the tables");
    }
}

static void refused_memory(struct actors *a)
{
    struct device *dev = device(a);
    dma_addr_t addr;
    bool any = dma_alloc_attrs(dev, PAGE, &addr, GFP_KERNEL | __GFP_COMP, 0) != NULL;
    any |=
        dma_alloc_pages(dev, PAGE, &addr, DMA_TO_DEVICE, GFP_KERNEL | __GFP_DMA32) != NULL;
    any |= dma_alloc_noncontiguous(dev, PAGE, DMA_TO_DEVICE, GFP_KERNEL, DMA_ATTR_MMIO)
           != NULL;
    any |= dma_alloc_noncontiguous(dev, 0, DMA_TO_DEVICE, GFP_KERNEL, 0) != NULL;
    if (any)
        complain(a, "memory was given that had to be refused");
    dma_free_coherent(dev, 0, NULL, 0);
}

static void refused_link(struct actors *a, struct dma_iova_state *s, uint64_t phys,
                         size_t offset, size_t size, enum dma_data_direction dir, int want)
{
    const int error =
        dma_iova_link(device(a), s, phys, offset, size, dir, DMA_ATTR_SKIP_CPU_SYNC);
    if (error != want)
        complain(a, "dma_iova_link(0x%" PRIx64 ", %zu, %zu) gave %d, expected %d", phys,
                 offset, size, error, want);
}

static void refused_links(struct actors *a)
{
    struct device *dev = device(a);
    struct dma_iova_state s;
    const uint64_t phys = ACTOR_BAR;
    begin(a);
    if (dma_iova_try_alloc(dev, &s, 0, 0)
        || dma_iova_try_alloc(dev, &s, 0, PAGE | UINT64_C(1) << 63))
        complain(a, "a range without a possible size");
    if (!dma_iova_try_alloc(dev, &s, phys, 4 * PAGE)) {
        end(a);
        return;
    }
    const uint64_t owner = ++a->oracle.clock;
    oracle_take(&a->oracle, s.addr, 4, owner);
    refused_link(a, &s, phys, 0, PAGE, DMA_TO_DEVICE, 0);
    oracle_map(&a->oracle, s.addr, owner, phys, may_of(a, DMA_TO_DEVICE));
    oracle_awaits_sync(&a->oracle, s.addr, owner); /* It never is. */
    refused_link(a, &s, phys + PAGE, 0, PAGE, DMA_TO_DEVICE, -EADDRINUSE);
    refused_link(a, &s, phys + 64, PAGE, 64, DMA_TO_DEVICE, -EIO);
    refused_link(a, &s, phys, PAGE, 0, DMA_TO_DEVICE, -EINVAL);
    refused_link(a, &s, phys, PAGE, PAGE, DMA_NONE, -EINVAL);
    refused_link(a, &s, UINT64_C(1) << 57, PAGE, PAGE, DMA_TO_DEVICE, -ERANGE);
    refused_link(a, &s, phys, PAGE + 512, PAGE, DMA_TO_DEVICE, -ENXIO);
    oracle_unmapping(&a->oracle, s.addr, owner,
                     a->lazy && a->rig->kernel.release < LINUX_7_3);
    oracle_leaving(&a->oracle, s.addr, 4, owner);
    dma_iova_destroy(dev, &s, PAGE, DMA_TO_DEVICE, 0);
    end(a);
    oracle_unmapped(&a->oracle, s.addr, owner);
    oracle_give(&a->oracle, s.addr, 4, owner);
}

static void try_refused(struct actors *a)
{
    made(a, ACTOR_refused);
    a->sheltered[flight()] = true;
    switch (below(a, 3)) {
    case 0:
        refused_maps(a);
        break;
    case 1:
        refused_memory(a);
        break;
    default:
        refused_links(a);
    }
    a->sheltered[flight()] = false;
}

/* ---- Pages that are taken and given back within one step -------------------------------
 */

struct borrowed {
    uint64_t owner, iova[EXTENTS];
    unsigned count;
};

/* The device has the page at pa, which others may share with this one. */
static void borrow(struct actors *a, struct borrowed *b, uint64_t iova, uint64_t pa,
                   unsigned may)
{
    uint64_t found = 0;
    iova &= ~(uint64_t)(PAGE - 1);
    pa &= ~(uint64_t)(PAGE - 1);
    for (unsigned i = 0; i < b->count; i++)
        if (b->iova[i] == iova)
            return;
    CHECK(b->count < EXTENTS);
    b->iova[b->count++] = iova;
    oracle_take(&a->oracle, iova, 1, b->owner);
    a->oracle.checked++;
    if (oracle_walk(&a->oracle, iova, &found) != may || found != pa)
        complain(a, "0x%" PRIx64 " is mapped to 0x%" PRIx64 ", expected 0x%" PRIx64, iova,
                 found, pa);
    oracle_map(&a->oracle, iova, b->owner, pa, may);
}

/* Before the call that unmaps all of it, and after. */
static void returning(struct actors *a, const struct borrowed *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        oracle_unmapping(&a->oracle, b->iova[i], b->owner, a->lazy);
        oracle_leaving(&a->oracle, b->iova[i], 1, b->owner);
    }
}

static void returned(struct actors *a, const struct borrowed *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        oracle_unmapped(&a->oracle, b->iova[i], b->owner);
        oracle_give(&a->oracle, b->iova[i], 1, b->owner);
    }
}

/* ---- Lists with other devices' memory --------------------------------------------------
 */

#define PEER_BY_BUS UINT64_C(0xe0000000)
#define PEER_BRIDGE UINT64_C(0xe1000000)
#define PEER_NO_WAY UINT64_C(0xe2000000)
#define PEER_OFFSET UINT64_C(0x1000000000)

static const struct p2pdma_window windows[] = {
    { PEER_BY_BUS, PEER_BY_BUS + 0xffffff, PCI_P2PDMA_MAP_BUS_ADDR, PEER_OFFSET },
    { PEER_BRIDGE, PEER_BRIDGE + 0xffffff, PCI_P2PDMA_MAP_THRU_HOST_BRIDGE, 0 },
    { PEER_NO_WAY, PEER_NO_WAY + 0xffffff, PCI_P2PDMA_MAP_NOT_SUPPORTED, 0 },
};

static unsigned make_peers(struct actors *a, struct scatterlist *list, bool *no_way)
{
    const unsigned n = 1 + below(a, ACTOR_EXTENTS);
    *no_way          = false;
    sg_init_table(list, n);
    for (unsigned i = 0; i < n; i++) {
        const unsigned pick = below(a, 100);
        const uint64_t base = pick < 40   ? ACTOR_BAR
                              : pick < 75 ? PEER_BY_BUS
                              : pick < 97 ? PEER_BRIDGE
                                          : PEER_NO_WAY;
        *no_way |= base == PEER_NO_WAY;
        sg_set_page(&list[i], phys_to_page(base + (uint64_t)below(a, 4096) * PAGE), PAGE,
                    0);
    }
    return n;
}

/* Each element is where the segments say, and those by bus address have one each. */
static void expect_peers(struct actors *a, struct borrowed *b, struct scatterlist *list,
                         unsigned n, unsigned mapped, enum dma_data_direction dir)
{
    unsigned segment = 0, filled = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t phys = sg_phys(&list[i]);
        const bool bus      = phys >= PEER_BY_BUS && phys < PEER_BRIDGE;
        if (segment >= mapped) {
            complain(a, "%u segments do not hold %u elements", mapped, n);
            return;
        }
        const struct scatterlist *out = &list[segment];
        const uint64_t at             = sg_dma_address(out) + filled;
        filled += PAGE;
        if (bus != ((out->dma_flags & SG_DMA_BUS_ADDRESS) != 0)
            || (bus && (at != phys + PEER_OFFSET || sg_dma_len(out) != PAGE)))
            complain(a, "element %u of %u: segment %u has 0x%" PRIx64 ", flags %x", i, n,
                     segment, at, out->dma_flags);
        else if (!bus && translates(a))
            borrow(a, b, at, phys, may_of(a, dir));
        else if (!bus && at != phys)
            complain(a, "0x%" PRIx64 " is not the physical address", at);
        segment += filled == sg_dma_len(out);
        filled = filled == sg_dma_len(out) ? 0 : filled;
    }
    if (segment != mapped || filled != 0)
        complain(a, "%u segments, expected %u", mapped, segment);
}

static void map_peers(struct actors *a)
{
    struct scatterlist list[ACTOR_EXTENTS];
    struct borrowed b = { .owner = ++a->oracle.clock };
    struct sg_table t = { .sgl = list };
    bool no_way;
    if (translates(a)
        && device(a)->untrusted) /* Each element for itself: no way is looked */
        return;                  /* for. */
    t.orig_nents                      = make_peers(a, list, &no_way);
    const enum dma_data_direction dir = chance(a, 50) ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
    begin(a);
    made(a, ACTOR_peers);
    const int error = dma_map_sgtable(device(a), &t, dir, DMA_ATTR_SKIP_CPU_SYNC);
    if (error != 0) {
        if (!no_way || error != -EREMOTEIO)
            expect_failure(a, !no_way && !translates(a), "a list with peers");
        end(a);
        return;
    }
    if (no_way)
        complain(a, "a list was mapped to which there is no way");
    expect_peers(a, &b, list, t.orig_nents, t.nents, dir);
    returning(a, &b);
    dma_unmap_sgtable(device(a), &t, dir, DMA_ATTR_SKIP_CPU_SYNC);
    end(a);
    returned(a, &b);
}

/* ---- Pools -----------------------------------------------------------------------------
 */

static void use_pool(struct actors *a)
{
    enum { BLOCKS = 12 };
    struct device *dev = device(a);
    const size_t size = 1 + below(a, 600), align = (size_t)1 << below(a, 9);
    struct borrowed b = { .owner = ++a->oracle.clock };
    void *block[BLOCKS];
    dma_addr_t dma[BLOCKS];
    unsigned n = 0;
    begin(a);
    made(a, ACTOR_pool);
    struct dma_pool *pool = dma_pool_create("actors", dev, size, align, 0);
    if (pool == NULL)
        expect_failure(a, false, "a pool");
    for (; pool != NULL && n < BLOCKS; n++) {
        block[n] = dma_pool_zalloc(pool, GFP_ATOMIC, &dma[n]);
        if (block[n] == NULL)
            break;
        if ((dma[n] & (align - 1)) != 0 || dma[n] + size - 1 > dev->coherent_dma_mask)
            complain(a, "block 0x%" PRIx64 " of a pool: not aligned, or out of reach",
                     dma[n]);
        for (unsigned i = 0; i < n; i++)
            if (dma[i] < dma[n] + size && dma[n] < dma[i] + size)
                complain(a, "blocks 0x%" PRIx64 " and 0x%" PRIx64 " overlap", dma[i],
                         dma[n]);
        if (translates(a))
            borrow(a, &b, dma[n], virt_to_phys(block[n]), ORACLE_READ | ORACLE_WRITE);
    }
    if (pool != NULL && n < BLOCKS)
        expect_failure(a, false, "a block of a pool");
    for (unsigned i = 0; i < n; i++)
        dma_pool_free(pool, block[i], dma[i]);
    returning(a, &b);
    dma_pool_destroy(pool);
    end(a);
    returned(a, &b);
}

/* What a driver may set at any time, and what it reads back. */
static void set_limits(struct actors *a)
{
    struct device *dev  = device(a);
    const uint64_t mask = dma_get_mask(dev);
    made(a, ACTOR_masks);
    if (dma_set_mask(dev, mask) != 0 || dma_get_mask(dev) != mask
        || dma_set_coherent_mask(dev, dev->coherent_dma_mask) != 0)
        complain(a, "a mask that was set is refused");
    if (dma_get_required_mask(dev)
        != (translates(a) ? DMA_BIT_MASK(32) : DMA_BIT_MASK(MEM_PA_LG2)))
        complain(a, "the required mask is 0x%" PRIx64, dma_get_required_mask(dev));
    if (dma_addressing_limited(dev) != (mask < dma_get_required_mask(dev)))
        complain(a, "dma_addressing_limited");
    if (dma_get_seg_boundary_nr_pages(dev, 12) != (dma_get_seg_boundary(dev) >> 12) + 1)
        complain(a, "dma_get_seg_boundary_nr_pages");
    dma_unmap_batch_end(dev);
}

/* ---- Steps --------------------------------------------------------------------------- */

static void end_object(struct actors *a, struct actor_object *ob)
{
    switch (ob->kind) {
    case SINGLE:
        unmap_buffer(a, ob);
        break;
    case LIST:
    case TABLE:
        unmap_list(a, ob);
        break;
    case RANGE:
        end_range(a, ob);
        break;
    default:
        put_memory(a, ob);
    }
    object_free(a, ob);
}

static void use_object(struct actors *a, struct actor_object *ob)
{
    if (ob->kind == RANGE && chance(a, 70))
        work_on_range(a, ob);
    for (unsigned i = below(a, 3); i > 0; i--)
        touch(a, ob);
    if (chance(a, 50))
        sync_object(a, ob);
    meddle(a, ob);
    stock(a, ob);
}

static void make_object(struct actors *a)
{
    const unsigned pick = below(a, 100);
    if (a->objects + 4 * a->rig->cpus + 2 > ACTOR_OBJECTS) /* Others make some, too. */
        return;
    if (pick < 45)
        map_buffer(a);
    else if (pick < 50)
        map_registers(a);
    else if (pick < 65)
        map_some_list(a);
    else if (pick < 75)
        get_memory(a);
    else
        alloc_range(a);
}

/* In an interrupt: a map, and an unmap of what may be anybody's. */
static void interrupt(void *arg)
{
    struct actors *a = arg;
    if (a->left == 0) /* The round is over. */
        return;
    a->made[ACTOR_in_interrupt]++;
    if (chance(a, 50) && a->objects + 4 * a->rig->cpus + 2 <= ACTOR_OBJECTS)
        map_buffer(a);
    struct actor_object *ob = unstock(a, true);
    if (ob != NULL)
        end_object(a, ob);
}

static void pass_time(struct actors *a)
{
    struct cpu *cpu     = cpu_this();
    const unsigned pick = below(a, 3000);
    if (pick == 0)
        kernel_rig_sleep_until(cpu->time + 12 * TIME_MS);
    else if (pick < 60)
        kernel_rig_sleep_until(cpu->time + below(a, 50) * TIME_US);
    else if (pick < 1500)
        cpu_spend(cpu, below(a, 3000));
    if (pick % 64 == 5)
        cpu_interrupt(&a->rig->cpu[below(a, a->rig->cpus)], VECTOR, cpu->time);
}

static void try_more(struct actors *a)
{
    const unsigned pick = below(a, 7);
    if (pick < 3)
        map_peers(a);
    else if (pick < 6)
        use_pool(a);
    else
        set_limits(a);
}

void actors_step(struct actors *a)
{
    const unsigned pick = below(a, 100);
    pass_time(a);
    cpu_sync(cpu_this());
    if (pick < 2)
        try_refused(a);
    else if (pick < 3)
        try_more(a);
    else if (pick < 4)
        ask(a);
    else if (pick < 12)
        touch_past(a);
    else if (pick < 45) {
        make_object(a);
    } else {
        struct actor_object *ob = unstock(a, false);
        if (ob == NULL)
            return;
        if (chance(a, 50))
            use_object(a, ob);
        else
            end_object(a, ob);
    }
}

/* ---- Life ---------------------------------------------------------------------------- */

/* Everything that was unmapped must become unreachable, by the timer if by nothing else. */
static struct actors *watcher;
static struct backend watched;
static const struct backend *watched_real;

static bool forgets(enum actor_planted what)
{
    return watcher->planted == what && below(watcher, 4) == 0;
}

static void watched_flush_range(void *state, struct dma_domain *d, uint64_t first,
                                uint64_t last, bool tables, unsigned leaf_lg2)
{
    if (tables || !forgets(ACTOR_FORGETS_RANGE))
        watched_real->flush_range(state, d, first, last, tables, leaf_lg2);
}

static void watched_map_sync(void *state, struct dma_domain *d, uint64_t first,
                             uint64_t last)
{
    if (!forgets(ACTOR_FORGETS_MAP))
        watched_real->map_sync(state, d, first, last);
}

/* None of the policies here flushes what is listed: the oracle would not hear of it. */
static void watched_flush_spans(void *state, struct dma_domain *d,
                                const struct flush_span *span, unsigned spans,
                                const struct flush_how *how)
{
    oracle_complain(&watcher->oracle, "%u listed spans were flushed", spans);
    watched_real->flush_spans(state, d, span, spans, how);
}

static void watched_flush_all(void *state, struct dma_domain *d)
{
    const uint64_t began = ++watcher->oracle.clock;
    if (watcher->planted != ACTOR_FORGETS_ALL)
        watched_real->flush_all(state, d);
    if (watcher->planted != ACTOR_MISSES_FLUSHES)
        oracle_flushed(&watcher->oracle, began);
}

static void watch_flushes(struct actors *a)
{
    struct dma_domain *d = a->rig->domain;
    watcher              = a;
    watched_real         = d->backend;
    watched              = *d->backend;
    watched.flush_all    = watched_flush_all;
    watched.flush_range  = watched_flush_range;
    watched.flush_spans  = watched_flush_spans;
    watched.map_sync     = watched_map_sync;
    d->backend           = &watched;
}

static bool fails(void *self, const char *what)
{
    struct actors *a = self;
    (void)what;
    if (!a->short_of_memory || a->sheltered[flight()] || below(a, 150) != 0)
        return false;
    a->failed[flight()] = true;
    a->made[ACTOR_no_memory]++;
    return true;
}

void actors_init(struct actors *a, struct kernel_rig *r, uint64_t seed)
{
    uint64_t bytes;
    memset(a, 0, sizeof *a);
    a->rig          = r;
    a->rng          = rng_make(seed, "dma actors");
    a->arena_bytes  = slot_at(ACTOR_SLOTS - 1, &bytes);
    a->arena_bytes  = align_up(a->arena_bytes + bytes, 12);
    a->arena        = calloc(1, a->arena_bytes);
    a->device_there = r->hardware == RIG_VTD || r->hardware == RIG_RISCV;
    a->keeps_offset = dma_get_min_align_mask(&r->device) == PAGE - 1;
    CHECK(a->arena != NULL);
    r->kernel.fails      = fails;
    r->kernel.fails_self = a;
    pci_p2pdma_add_windows(&r->kernel, windows, 3);
    oracle_init(&a->oracle, &r->memory);
    a->oracle.context = "set-up";
    for (unsigned i = 0; i < r->cpus; i++)
        cpu_handle(&r->cpu[i], VECTOR, interrupt, a);
    if (r->domain == NULL)
        return;
    a->lazy          = r->policy->promise != PROMISE_NOTHING_STALE;
    a->oracle.levels = r->domain->table.levels;
    a->oracle.root   = r->domain->table.root;
    a->oracle.format = r->domain->table.format == ptfmt_find("vtdss") ? ORACLE_VTD
                       : r->domain->table.format == ptfmt_find("x86") ? ORACLE_X86
                                                                      : ORACLE_RISCV;
    watch_flushes(a);
}

void actors_free(struct actors *a)
{
    oracle_free(&a->oracle);
    free(a->arena);
}

void actors_audit(struct actors *a)
{
    a->oracle.context = "audit";
    if (translates(a)) {
        oracle_audit(&a->oracle);
        iova_audit(&a->rig->domain->iova);
    }
    for (uint64_t at = 0; at < a->arena_bytes; at += PAGE)
        if (memory_page(&a->rig->memory, ACTOR_ARENA + at) != NULL)
            compare(a, ACTOR_ARENA + at, a->arena + at, PAGE, "the arena");
}

void actors_finish(struct actors *a)
{
    struct actor_object *ob;
    while ((ob = unstock(a, false)) != NULL)
        end_object(a, ob);
    for (unsigned i = 0; i < ACTOR_SLOTS; i++)
        CHECK(!a->slot_taken[i]);
    if (a->rig->domain != NULL)
        a->rig->domain->backend = watched_real;
}
