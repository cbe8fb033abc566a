/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iova_cache - per-CPU magazines of freed addresses, and the depot behind them.
 *
 * Each CPU has two magazines for each size. Both get and put work on the loaded one and
 * swap it with the other when it is empty or full; only when both are does the shared depot
 * come in. Every 100 ms one magazine beyond the number of CPUs goes back into the tree.
 *
 * Follows the rcaches of drivers/iommu/iova.c, Linux 6.12 to 7.3.
 */
#include "dma_api/iova.h"

#include <string.h>

/* ---- Magazines
 * ----------------------------------------------------------------------------- */

static struct line *slot_line(struct iova_magazine *m, uint32_t i)
{
    return &m->line[(i + 1) / 8];
}

static struct iova_magazine *magazine_new(struct iova_domain *d)
{
    struct iova_magazine *m = d->spare_magazine;
    cpu_spend(cpu_this(), d->kernel->cost.slab_cycles);
    if (kernel_no_memory(d->kernel, "magazine"))
        return NULL;
    if (m != NULL)
        d->spare_magazine = m->next;
    else
        m = kernel_host_alloc(d->kernel, 1, sizeof *m);
    m->count = 0;
    m->next  = NULL;
    return m;
}

static void magazine_drop(struct iova_domain *d, struct iova_magazine *m)
{
    cpu_spend(cpu_this(), d->kernel->cost.slab_cycles);
    m->next           = d->spare_magazine;
    d->spare_magazine = m;
}

static void magazine_push(struct iova_magazine *m, uint64_t pfn)
{
    CHECK(m->count < IOVA_MAGAZINE);
    cpu_store(cpu_this(), slot_line(m, m->count));
    m->pfn[m->count++] = pfn;
}

/* The newest address not above limit; the newest of all takes its place. */
static uint64_t magazine_pop(struct iova_domain *d, struct iova_magazine *m, uint64_t limit)
{
    struct cpu *cpu = cpu_this();
    for (uint32_t i = m->count; i-- > 0;) {
        cpu_load(cpu, slot_line(m, i));
        cpu_spend(cpu, d->kernel->cost.tree_step_cycles);
        if (m->pfn[i] > limit)
            continue;
        const uint64_t pfn = m->pfn[i];
        m->pfn[i]          = m->pfn[--m->count];
        cpu_store(cpu, &m->line[0]);
        return pfn;
    }
    return 0;
}

static void magazine_empty(struct iova_domain *d, struct iova_magazine *m)
{
    iova_tree_free(d, m->pfn, m->count);
    m->count = 0;
}

/* ---- Depot
 * --------------------------------------------------------------------------------- */

static struct iova_magazine *depot_pop(struct iova_cache *c)
{
    struct iova_magazine *m = c->depot;
    CHECK(m != NULL);
    c->depot = m->next;
    m->next  = NULL;
    c->depot_size--;
    return m;
}

static void depot_push(struct iova_cache *c, struct iova_magazine *m)
{
    m->next  = c->depot;
    c->depot = m;
    c->depot_size++;
}

static void arm_trim(struct iova_cache *c)
{
    struct cpu *cpu = cpu_this();
    if (c->trim_armed)
        return;
    c->trim_armed = true;
    cpu_timer_arm(cpu, &c->trim, cpu->time + IOVA_TRIM_PERIOD_MS * TIME_MS);
}

static void trim(void *arg)
{
    struct iova_cache *c       = arg;
    struct cpu *cpu            = cpu_this();
    struct iova_magazine *m    = NULL;
    const enum cpu_phase phase = cpu_enter_phase(cpu, PHASE_deferred);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_iova_free);
    c->trim_armed              = false;
    lock_take(cpu, &c->lock);
    if (c->depot_size > c->domain->kernel->cpus)
        m = depot_pop(c);
    lock_release(cpu, &c->lock);
    if (m != NULL) {
        magazine_empty(c->domain, m);
        magazine_drop(c->domain, m);
        c->domain->stats.depot_trim++;
        arm_trim(c);
    }
    cpu_own(cpu, owner);
    cpu_enter_phase(cpu, phase);
}

/* ---- Get and put
 * --------------------------------------------------------------------------- */

static bool reload(struct iova_domain *d, struct iova_cache *c, struct iova_cpu_cache *mine)
{
    struct cpu *cpu = cpu_this();
    bool found      = false;
    lock_take(cpu, &c->lock);
    if (c->depot != NULL) {
        magazine_drop(d, mine->loaded);
        mine->loaded = depot_pop(c);
        d->stats.depot_pop++;
        found = true;
    }
    lock_release(cpu, &c->lock);
    return found;
}

static void swap(struct iova_cpu_cache *mine)
{
    struct iova_magazine *m = mine->loaded;
    mine->loaded            = mine->previous;
    mine->previous          = m;
}

uint64_t iova_cache_get(struct iova_domain *d, unsigned order, uint64_t limit)
{
    struct cpu *cpu             = cpu_this();
    struct iova_cache *c        = &d->cache[order];
    struct iova_cpu_cache *mine = &c->cpu[cpu->id];
    uint64_t pfn                = 0;
    bool has_some               = true;
    lock_take(cpu, &mine->lock);
    cpu_spend(cpu, d->kernel->cost.magazine_cycles);
    cpu_load(cpu, &mine->loaded->line[0]);
    if (mine->loaded->count == 0) {
        cpu_load(cpu, &mine->previous->line[0]);
        if (mine->previous->count > 0)
            swap(mine);
        else
            has_some = reload(d, c, mine);
    }
    if (has_some)
        pfn = magazine_pop(d, mine->loaded, limit);
    lock_release(cpu, &mine->lock);
    return pfn;
}

/* A third magazine, and the full one into the depot. */
static bool unload(struct iova_domain *d, struct iova_cache *c, struct iova_cpu_cache *mine)
{
    struct cpu *cpu             = cpu_this();
    struct iova_magazine *fresh = magazine_new(d);
    if (fresh == NULL)
        return false;
    lock_take(cpu, &c->lock);
    depot_push(c, mine->loaded);
    lock_release(cpu, &c->lock);
    arm_trim(c);
    d->stats.depot_push++;
    mine->loaded = fresh;
    return true;
}

bool iova_cache_put(struct iova_domain *d, unsigned order, uint64_t pfn)
{
    struct cpu *cpu             = cpu_this();
    struct iova_cache *c        = &d->cache[order];
    struct iova_cpu_cache *mine = &c->cpu[cpu->id];
    bool room                   = true;
    lock_take(cpu, &mine->lock);
    cpu_spend(cpu, d->kernel->cost.magazine_cycles);
    cpu_load(cpu, &mine->loaded->line[0]);
    if (mine->loaded->count == IOVA_MAGAZINE) {
        cpu_load(cpu, &mine->previous->line[0]);
        if (mine->previous->count < IOVA_MAGAZINE)
            swap(mine);
        else
            room = unload(d, c, mine);
    }
    if (room)
        magazine_push(mine->loaded, pfn);
    lock_release(cpu, &mine->lock);
    return room;
}

/* ---- Held to a recording
 * ------------------------------------------------------------------- */

void iova_cache_image(const struct iova_domain *d, unsigned order, unsigned cpu,
                      struct iova_image *image)
{
    const struct iova_cache *c        = &d->cache[order];
    const struct iova_magazine *in[2] = { c->cpu[cpu].loaded, c->cpu[cpu].previous };
    for (unsigned m = 0; m < 2; m++) {
        image->count[m] = in[m]->count;
        memcpy(image->pfn[m], in[m]->pfn, in[m]->count * sizeof in[m]->pfn[0]);
    }
    image->depot        = c->depot_size;
    image->depot_pushed = d->stats.depot_push;
    image->depot_popped = d->stats.depot_pop;
}

void iova_cache_restore(struct iova_domain *d, unsigned order, unsigned cpu,
                        const struct iova_image *image)
{
    struct iova_cache *c        = &d->cache[order];
    struct iova_magazine *to[2] = { c->cpu[cpu].loaded, c->cpu[cpu].previous };
    CHECK(c->depot_size >= image->depot);
    while (c->depot_size > image->depot)
        magazine_drop(d, depot_pop(c));
    for (unsigned m = 0; m < 2; m++) {
        to[m]->count = image->count[m];
        memcpy(to[m]->pfn, image->pfn[m], image->count[m] * sizeof to[m]->pfn[0]);
    }
    d->stats.depot_push = image->depot_pushed;
}

static bool magazine_take(struct iova_magazine *m, uint64_t pfn)
{
    for (uint32_t i = m->count; i-- > 0;)
        if (m->pfn[i] == pfn) {
            m->count--;
            memmove(&m->pfn[i], &m->pfn[i + 1], (m->count - i) * sizeof m->pfn[0]);
            return true;
        }
    return false;
}

bool iova_cache_take(struct iova_domain *d, unsigned order, uint64_t pfn)
{
    struct iova_cache *c = &d->cache[order];
    const unsigned cpus = d->kernel->cpus, first = cpu_this()->id;
    for (unsigned i = 0; i < cpus; i++) {
        struct iova_cpu_cache *at = &c->cpu[(first + i) % cpus];
        if (magazine_take(at->loaded, pfn) || magazine_take(at->previous, pfn))
            return true;
    }
    for (struct iova_magazine *m = c->depot; m != NULL; m = m->next)
        if (magazine_take(m, pfn))
            return true;
    return false;
}

/* ---- Set-up
 * --------------------------------------------------------------------------------- */

void iova_caches_init(struct iova_domain *d)
{
    struct kernel *k = d->kernel;
    for (unsigned order = 0; order < IOVA_ORDERS; order++) {
        struct iova_cache *c = &d->cache[order];
        c->domain            = d;
        c->order             = order;
        c->trim              = (struct cpu_timer){ .fire = trim, .arg = c };
        c->cpu               = kernel_host_alloc(k, k->cpus, sizeof *c->cpu);
        for (unsigned i = 0; i < k->cpus; i++) {
            c->cpu[i].loaded   = kernel_host_alloc(k, 1, sizeof *c->cpu[i].loaded);
            c->cpu[i].previous = kernel_host_alloc(k, 1, sizeof *c->cpu[i].previous);
        }
    }
}

static void empty_cpu(struct iova_domain *d, unsigned id)
{
    struct cpu *cpu = cpu_this();
    for (unsigned order = 0; order < IOVA_ORDERS; order++) {
        struct iova_cpu_cache *mine = &d->cache[order].cpu[id];
        lock_take(cpu, &mine->lock);
        magazine_empty(d, mine->loaded);
        magazine_empty(d, mine->previous);
        lock_release(cpu, &mine->lock);
    }
}

static void empty_depot(struct iova_domain *d, struct iova_cache *c)
{
    struct cpu *cpu = cpu_this();
    lock_take(cpu, &c->lock);
    while (c->depot != NULL) {
        struct iova_magazine *m = depot_pop(c);
        magazine_empty(d, m);
        magazine_drop(d, m);
    }
    lock_release(cpu, &c->lock);
}

void iova_caches_empty(struct iova_domain *d)
{
    for (unsigned id = 0; id < d->kernel->cpus; id++)
        empty_cpu(d, id);
    for (unsigned order = 0; order < IOVA_ORDERS; order++)
        empty_depot(d, &d->cache[order]);
}

void iova_caches_free(struct iova_domain *d)
{
    struct kernel *k = d->kernel;
    for (unsigned order = 0; order < IOVA_ORDERS; order++) {
        struct iova_cache *c = &d->cache[order];
        CHECK(c->depot == NULL);
        cpu_timer_cancel(&c->trim);
        for (unsigned i = 0; i < k->cpus; i++) {
            kernel_host_free(k, c->cpu[i].loaded);
            kernel_host_free(k, c->cpu[i].previous);
        }
        kernel_host_free(k, c->cpu);
    }
    while (d->spare_magazine != NULL) {
        struct iova_magazine *m = d->spare_magazine;
        d->spare_magazine       = m->next;
        kernel_host_free(k, m);
    }
}
