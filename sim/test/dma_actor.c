/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_actor_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME(name) #name,
const char *const actor_call_name[] = { ACTOR_CALLS(NAME) };

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
        actor_expect_failure(a, false, "a pool");
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
            actor_borrow(a, &b, dma[n], virt_to_phys(block[n]), ORACLE_READ | ORACLE_WRITE);
    }
    if (pool != NULL && n < BLOCKS)
        actor_expect_failure(a, false, "a block of a pool");
    for (unsigned i = 0; i < n; i++)
        dma_pool_free(pool, block[i], dma[i]);
    actor_returning(a, &b);
    dma_pool_destroy(pool);
    end(a);
    actor_returned(a, &b);
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
        actor_unmap_buffer(a, ob);
        break;
    case LIST:
    case TABLE:
        actor_unmap_list(a, ob);
        break;
    case RANGE:
        actor_end_range(a, ob);
        break;
    default:
        actor_put_memory(a, ob);
    }
    actor_object_free(a, ob);
}

static void use_object(struct actors *a, struct actor_object *ob)
{
    if (ob->kind == RANGE && chance(a, 70))
        actor_work_on_range(a, ob);
    for (unsigned i = below(a, 3); i > 0; i--)
        actor_touch(a, ob);
    if (chance(a, 50))
        actor_sync_object(a, ob);
    actor_meddle(a, ob);
    actor_stock(a, ob);
}

static void make_object(struct actors *a)
{
    const unsigned pick = below(a, 100);
    if (a->objects + 4 * a->rig->cpus + 2 > ACTOR_OBJECTS) /* Others make some, too. */
        return;
    if (pick < 45)
        actor_map_buffer(a);
    else if (pick < 50)
        actor_map_registers(a);
    else if (pick < 65)
        actor_map_some_list(a);
    else if (pick < 75)
        actor_get_memory(a);
    else
        actor_alloc_range(a);
}

/* In an interrupt: a map, and an unmap of what may be anybody's. */
static void interrupt(void *arg)
{
    struct actors *a = arg;
    if (a->left == 0) /* The round is over. */
        return;
    a->made[ACTOR_in_interrupt]++;
    if (chance(a, 50) && a->objects + 4 * a->rig->cpus + 2 <= ACTOR_OBJECTS)
        actor_map_buffer(a);
    struct actor_object *ob = actor_unstock(a, true);
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
        actor_map_peers(a);
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
        actor_try_refused(a);
    else if (pick < 3)
        try_more(a);
    else if (pick < 4)
        actor_ask(a);
    else if (pick < 12)
        actor_touch_past(a);
    else if (pick < 45) {
        make_object(a);
    } else {
        struct actor_object *ob = actor_unstock(a, false);
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
    a->arena_bytes  = actor_slot_at(ACTOR_SLOTS - 1, &bytes);
    a->arena_bytes  = align_up(a->arena_bytes + bytes, 12);
    a->arena        = calloc(1, a->arena_bytes);
    a->device_there = r->hardware == RIG_VTD || r->hardware == RIG_RISCV;
    a->keeps_offset = dma_get_min_align_mask(&r->device) == PAGE - 1;
    CHECK(a->arena != NULL);
    r->kernel.fails      = fails;
    r->kernel.fails_self = a;
    pci_p2pdma_add_windows(&r->kernel, actor_windows, ACTOR_WINDOWS);
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
            actor_compare(a, ACTOR_ARENA + at, a->arena + at, PAGE, "the arena");
}

void actors_finish(struct actors *a)
{
    struct actor_object *ob;
    while ((ob = actor_unstock(a, false)) != NULL)
        end_object(a, ob);
    for (unsigned i = 0; i < ACTOR_SLOTS; i++)
        CHECK(!a->slot_taken[i]);
    if (a->rig->domain != NULL)
        a->rig->domain->backend = watched_real;
}
