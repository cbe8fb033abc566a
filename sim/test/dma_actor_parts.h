/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_actor_parts - what the files of dma_actor share: an object that is mapped, as the
 * test knows it, and what is done to it.
 */
#ifndef SIM_TEST_DMA_ACTOR_PARTS_H
#define SIM_TEST_DMA_ACTOR_PARTS_H

#include "dma_api/pci-p2pdma.h"
#include "sim/base/lg2.h"
#include "sim/test/dma_actor.h"

enum { SMALL = 11793, MEDIUM = 300 * 1024 + 717, LARGE = (2 << 20) + 300 * 1024 + 5 };
enum { ACTOR_WINDOWS = 3 };
extern const struct p2pdma_window actor_windows[ACTOR_WINDOWS]; /* Other devices' memory. */

enum { PAGE = 4096, EXTENTS = 24, TOUCH = 64, BOUNCE_MAX = 256 << 10, VECTOR = 40 };
#define POOL_FIRST  ((UINT64_C(1) << 51) - (UINT64_C(4096) << 20))
#define POOL_END    (UINT64_C(1) << 51)
#define NEVER_THERE UINT64_C(0xfee00000) /* For interrupts: never handed out. */
#define NO_SLOT     ACTOR_SLOTS

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

struct borrowed {
    uint64_t owner, iova[EXTENTS];
    unsigned count;
};

static inline uint32_t below(struct actors *a, uint32_t bound)
{
    return rng_below(&a->rng, bound);
}

static inline bool chance(struct actors *a, uint32_t percent)
{
    return below(a, 100) < percent;
}

static inline struct device *device(struct actors *a)
{
    return &a->rig->device;
}

static inline void made(struct actors *a, enum actor_call call)
{
    a->made[call]++;
    a->calls++;
    a->left -= a->left > 0;
    if (a->oracle.complaints > 0)
        a->left = 0;
    a->oracle.context = actor_call_name[call];
}

#define complain(a, ...) oracle_complain(&(a)->oracle, __VA_ARGS__)

static inline bool translates(const struct actors *a)
{
    return a->rig->domain != NULL;
}

static inline unsigned may_of(const struct actors *a, enum dma_data_direction dir)
{
    if (dir == DMA_TO_DEVICE)
        return ORACLE_READ;
    if (dir == DMA_FROM_DEVICE && a->oracle.format == ORACLE_VTD)
        return ORACLE_WRITE;
    return ORACLE_READ | ORACLE_WRITE;
}

static inline unsigned flight(void)
{
    return 2 * cpu_this()->id + (cpu_this()->irq_off != 0);
}

static inline void begin(struct actors *a)
{
    a->failed[flight()] = false;
    oracle_begin(&a->oracle, flight());
}

static inline void end(struct actors *a)
{
    oracle_end(&a->oracle, flight());
}

/* ---- Memory and objects: dma_actor_memory.c */

uint64_t actor_slot_at(unsigned slot, uint64_t *bytes);
unsigned actor_slot_get(struct actors *a, unsigned first, unsigned count);
uint8_t *actor_shadow_of(struct actors *a, uint64_t phys);
bool actor_place_buffer(struct actors *a, struct actor_object *ob, uint64_t *phys);
void actor_scribble(struct actors *a, struct actor_object *ob);
void actor_compare(struct actors *a, uint64_t phys, const uint8_t *want, uint64_t bytes,
                   const char *what);
void actor_expect_memory(struct actors *a, const struct actor_object *ob);
struct actor_object *actor_object_new(struct actors *a, enum kind kind);
void actor_object_free(struct actors *a, struct actor_object *ob);
void actor_stock(struct actors *a, struct actor_object *ob);
uint32_t actor_part_in(const struct extent *e, const struct opage *p, uint32_t *from);
void actor_meddle(struct actors *a, struct actor_object *ob);
struct actor_object *actor_unstock(struct actors *a, bool only_single);
void actor_add_pages(struct actor_object *ob, uint64_t iova, unsigned count);
unsigned actor_pages_of(uint64_t address, uint64_t bytes);

/* ---- Page by page, and what must bounce: dma_actor_map.c */

bool actor_bounces(struct actors *a, uint64_t phys, uint64_t size,
                   enum dma_data_direction dir);
void actor_make_view(struct extent *e, struct opage *p);
void actor_expect_view(struct actors *a, const struct extent *e, const struct opage *p);
void actor_expect_address(struct actors *a, uint64_t dma, uint64_t bytes, uint64_t mask,
                          uint64_t offset);
void actor_map_page(struct actors *a, struct actor_object *ob, struct opage *p, uint64_t pa,
                    bool bounced);
void actor_adopt(struct actors *a, struct actor_object *ob, struct extent *e,
                 uint64_t mask);
void actor_unmapping(struct actors *a, struct actor_object *ob, unsigned first,
                     unsigned count, bool defers);
void actor_unmapped(struct actors *a, struct actor_object *ob, unsigned first,
                    unsigned count);
void actor_leaving(struct actors *a, struct actor_object *ob, bool defers);
void actor_gone(struct actors *a, struct actor_object *ob);
void actor_copy_back(struct actor_object *ob, struct extent *e);
void actor_expect_failure(struct actors *a, bool may_fail, const char *what);
bool actor_pool_is_low(const struct actors *a);
void actor_borrow(struct actors *a, struct borrowed *b, uint64_t iova, uint64_t pa,
                  unsigned may);
void actor_returning(struct actors *a, const struct borrowed *b);
void actor_returned(struct actors *a, const struct borrowed *b);

/* ---- Single ranges, and memory that the API gives: dma_actor_single.c */

void actor_map_buffer(struct actors *a);
void actor_map_registers(struct actors *a);
void actor_unmap_buffer(struct actors *a, struct actor_object *ob);
void actor_get_memory(struct actors *a);
void actor_put_memory(struct actors *a, struct actor_object *ob);

/* ---- Scatter lists: dma_actor_list.c */

void actor_map_some_list(struct actors *a);
void actor_unmap_list(struct actors *a, struct actor_object *ob);
void actor_map_peers(struct actors *a);

/* ---- The IOVA API: dma_actor_range.c */

void actor_alloc_range(struct actors *a);
void actor_work_on_range(struct actors *a, struct actor_object *ob);
void actor_end_range(struct actors *a, struct actor_object *ob);

/* ---- Syncs, the device, questions and refusals: dma_actor_ask.c */

void actor_sync_object(struct actors *a, struct actor_object *ob);
void actor_touch(struct actors *a, struct actor_object *ob);
void actor_touch_past(struct actors *a);
void actor_ask(struct actors *a);
void actor_try_refused(struct actors *a);

#endif
