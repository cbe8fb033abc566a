/* SPDX-License-Identifier: Apache-2.0 */
/* What software does beside the traffic: changes entries, and sends commands. */
#include "sim/test/rtl_fsm_generate.h"

enum { BATCH_MAX = 4 };

#define VMA       UINT64_C(0x001)
#define GVMA      UINT64_C(0x081)
#define FENCE     UINT64_C(0x002)
#define INVAL_DDT UINT64_C(0x003)
#define INVAL_PDT UINT64_C(0x083)
#define AV        (UINT64_C(1) << 10)
#define PSCV      (UINT64_C(1) << 32)
#define GV        (UINT64_C(1) << 33)
#define DV        (UINT64_C(1) << 33)
#define DATA      (UINT64_C(0xabcd) << 32)

static void command(struct fsm_generator *g, uint64_t low, uint64_t high)
{
    const uint64_t at = FSM_COMMANDS + 16 * (uint64_t)g->tail;
    fsm_bench_software_store(&g->bench, at, low);
    fsm_bench_software_store(&g->bench, at + 8, high);
    g->tail = (g->tail + 1) & ((1u << FSM_QUEUE_LG2) - 1);
}

static uint64_t at_page(uint64_t address)
{
    return address >> 12 << 10;
}

/* The page of the guest that a page of the device's goes to. */
static uint64_t guest_of(const struct fsm_generator *g, const struct fsm_device *d,
                         const struct fsm_page *p)
{
    return d->stages == FSM_NESTED ? fsm_bench_load(&g->bench.memory, p->leaf) >> 10 << 12
                                   : p->iova;
}

static void invalidate_first(struct fsm_generator *g, const struct fsm_device *d,
                             const struct fsm_target *t, const struct fsm_page *p)
{
    uint64_t low = VMA, high = 0;
    if (fsm_chance(g, 50)) {
        low |= AV;
        high = at_page(p->iova);
    }
    if (fsm_chance(g, 40))
        low |= PSCV | (uint64_t)t->pscid << 12;
    if (d->stages == FSM_NESTED ? fsm_chance(g, 90) : fsm_chance(g, 5))
        low |= GV | (uint64_t)d->gscid << 44;
    command(g, low, high);
}

static void invalidate_second(struct fsm_generator *g, const struct fsm_device *d,
                              const struct fsm_page *p)
{
    uint64_t low = GVMA | (uint64_t)d->gscid << 44, high = 0;
    if (fsm_chance(g, 85))
        low |= GV;
    if (fsm_chance(g, 50)) {
        low |= AV;
        high = at_page(guest_of(g, d, p));
    }
    command(g, low, high);
}

static void invalidate_context(struct fsm_generator *g, const struct fsm_device *d,
                               const struct fsm_target *t)
{
    const uint64_t device = DV | (uint64_t)d->id << 40;
    if (d->directory && fsm_chance(g, 40))
        command(g, INVAL_PDT | device | (uint64_t)t->process << 12, 0);
    else
        command(g, INVAL_DDT | (fsm_chance(g, 75) ? device : 0), 0);
}

static void fence(struct fsm_generator *g)
{
    const bool writes = fsm_chance(g, 50);
    command(g, FENCE | DATA | (writes ? AV : 0), writes ? FSM_FENCE >> 2 : 0);
}

/* The page goes elsewhere, with two stages to where another goes; what is kept of it goes
 * stale. */
static void remap(struct fsm_generator *g, const struct fsm_device *d,
                  const struct fsm_target *t, const struct fsm_page *p)
{
    const struct fsm_page *other = &t->page[fsm_below(g, t->pages)];
    if (d->stages == FSM_BARE || (d->stages == FSM_NESTED && other->level != p->level))
        return;
    const uint64_t leaf = d->stages == FSM_NESTED
                              ? fsm_bench_load(&g->bench.memory, other->leaf)
                              : fsm_new_page(g, p->level) >> 12 << 10 | FSM_PTE;
    fsm_bench_software_store(&g->bench, p->leaf, leaf);
}

void fsm_generate_commands(struct fsm_generator *g)
{
    const unsigned count = 1 + fsm_below(g, BATCH_MAX);
    for (unsigned i = 0; i < count; i++) {
        const struct fsm_device *d = &g->device[fsm_below(g, g->plan.devices)];
        const struct fsm_target *t = &d->target[fsm_below(g, d->targets)];
        const struct fsm_page *p   = &t->page[fsm_below(g, t->pages)];
        const bool second          = d->stages == FSM_S2 || d->stages == FSM_NESTED;
        if (fsm_chance(g, 30))
            remap(g, d, t, p);
        if (fsm_chance(g, 20))
            fence(g);
        else if (fsm_chance(g, 12))
            invalidate_context(g, d, t);
        else if (second && fsm_chance(g, 60))
            invalidate_second(g, d, p);
        else
            invalidate_first(g, d, t, p);
    }
    fsm_bench_ring(&g->bench, g->tail);
}

void fsm_generate_rescue(struct fsm_generator *g, uint32_t device)
{
    command(g, INVAL_DDT | DV | (uint64_t)device << 40, 0);
    fsm_bench_ring(&g->bench, g->tail);
}
