/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/registry.h"

#include "dma_api/dma-iommu.h"

static int order_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* By address last: the same memory may be registered twice, by two CPUs at a time. */
static int memory_order(const struct registered *a, const struct registered *b)
{
    int order = order_u64(a->phys, b->phys);
    order     = order != 0 ? order : order_u64(a->bytes, b->bytes);
    order     = order != 0 ? order : order_u64(a->prot, b->prot);
    return order != 0 ? order : order_u64(a->iova, b->iova);
}

static int address_order(const struct registered *a, const struct registered *b)
{
    return order_u64(a->iova, b->iova);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"
RB_PROTOTYPE_INTERNAL(registered_memory, registered, by_memory, memory_order, static)
RB_GENERATE_INTERNAL(registered_memory, registered, by_memory, memory_order, static)
RB_PROTOTYPE_INTERNAL(registered_address, registered, by_address, address_order, static)
RB_GENERATE_INTERNAL(registered_address, registered, by_address, address_order, static)
#pragma GCC diagnostic pop

void registry_init(struct registry *r, struct dma_domain *d)
{
    *r = (struct registry){ .domain = d };
    RB_INIT(&r->memory);
    RB_INIT(&r->address);
    TAILQ_INIT(&r->idle);
}

void registry_free(struct registry *r)
{
    registry_retire(r, TIME_NEVER, 0);
    CHECK(RB_EMPTY(&r->memory));
}

/* ---- Use ----------------------------------------------------------------------------- */

/* The lock is held. */
static struct registered *find(struct registry *r, const struct flush_mapping *m)
{
    struct registered key    = { .phys = m->phys, .bytes = m->bytes, .prot = m->prot };
    struct registered *found = RB_NFIND(registered_memory, &r->memory, &key);
    return found != NULL && found->phys == m->phys && found->bytes == m->bytes
                   && found->prot == m->prot
               ? found
               : NULL;
}

static dma_addr_t use(struct registry *r, struct registered *e)
{
    cpu_store(cpu_this(), &e->line);
    if (e->users++ == 0)
        TAILQ_REMOVE(&r->idle, e, idle);
    return e->iova;
}

static dma_addr_t register_now(struct registry *r, const struct flush_mapping *m)
{
    struct dma_domain *d  = r->domain;
    struct cpu *cpu       = cpu_this();
    const dma_addr_t iova = dma_iova_get(m->dev, m->bytes, m->mask);
    if (iova == 0)
        return 0;
    if (domain_map(d, iova, m->phys, m->bytes, m->prot) != 0) {
        struct flush_range none = { .iova = iova, .bytes = m->bytes };
        domain_release(d, &none);
        return 0;
    }
    domain_map_sync(d, iova, m->bytes);
    struct registered *e = kernel_host_alloc(d->kernel, 1, sizeof *e);
    e->phys              = m->phys;
    e->bytes             = m->bytes;
    e->prot              = m->prot;
    e->iova              = iova;
    e->users             = 1;
    lock_take(cpu, &r->lock);
    cpu_store(cpu, &e->line);
    CHECK(RB_INSERT(registered_memory, &r->memory, e) == NULL);
    CHECK(RB_INSERT(registered_address, &r->address, e) == NULL);
    r->bytes += e->bytes;
    domain_pool(d, e->iova, e->bytes, true);
    lock_release(cpu, &r->lock);
    return iova;
}

dma_addr_t registry_map(struct registry *r, const struct flush_mapping *m,
                        uint32_t search_cycles)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_iova_alloc);
    lock_take(cpu, &r->lock);
    cpu_spend(cpu, search_cycles);
    struct registered *e  = find(r, m);
    const dma_addr_t iova = e != NULL ? use(r, e) : 0;
    lock_release(cpu, &r->lock);
    cpu_own(cpu, owner);
    return iova != 0 ? iova : register_now(r, m);
}

bool registry_unmap(struct registry *r, dma_addr_t iova)
{
    struct registered key      = { .iova = iova };
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_iova_free);
    lock_take(cpu, &r->lock);
    struct registered *e = RB_FIND(registered_address, &r->address, &key);
    if (e != NULL) {
        CHECK(e->users > 0);
        cpu_store(cpu, &e->line);
        e->idle_since = cpu->time;
        if (--e->users == 0)
            TAILQ_INSERT_TAIL(&r->idle, e, idle);
    }
    lock_release(cpu, &r->lock);
    cpu_own(cpu, owner);
    return e != NULL;
}

/* ---- Retirement ---------------------------------------------------------------------- */

/* The longest idle range, taken out, if it is to go. */
static struct registered *take_retired(struct registry *r, sim_time_t idle_since,
                                       uint64_t bytes_most)
{
    struct cpu *cpu = cpu_this();
    lock_take(cpu, &r->lock);
    struct registered *e = TAILQ_FIRST(&r->idle);
    if (e != NULL && e->idle_since > idle_since && r->bytes <= bytes_most)
        e = NULL;
    if (e != NULL) {
        cpu_store(cpu, &e->line);
        TAILQ_REMOVE(&r->idle, e, idle);
        RB_REMOVE(registered_memory, &r->memory, e);
        RB_REMOVE(registered_address, &r->address, e);
        r->bytes -= e->bytes;
    }
    lock_release(cpu, &r->lock);
    return e;
}

static void retire(struct registry *r, struct registered *e)
{
    struct dma_domain *d     = r->domain;
    struct flush_range range = { .iova = e->iova, .bytes = e->bytes };
    domain_unmap(d, &range);
    domain_flush_range(d, &range);
    domain_pool(d, e->iova, e->bytes, false);
    domain_release(d, &range);
    kernel_host_free(d->kernel, e);
}

void registry_retire(struct registry *r, sim_time_t idle_since, uint64_t bytes_most)
{
    struct registered *e;
    while ((e = take_retired(r, idle_since, bytes_most)) != NULL)
        retire(r, e);
}

sim_time_t registry_idle_since(const struct registry *r)
{
    const struct registered *e = TAILQ_FIRST(&r->idle);
    return e == NULL ? TIME_NEVER : e->idle_since;
}
