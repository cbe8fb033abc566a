/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/domain.h"

#include <string.h>

#include "dma_api/swiotlb.h"

const struct flush_policy *flush_find(const char *name)
{
    for (unsigned i = 0; flush_table[i] != NULL; i++)
        if (strcmp(flush_table[i]->name, name) == 0)
            return flush_table[i];
    return NULL;
}

const char *flush_member(unsigned index)
{
    return flush_table[index] == NULL ? NULL : flush_table[index]->name;
}

const struct flush_policy *flush_for_device(const struct device *dev,
                                            const struct flush_policy *wanted)
{
    return dev->untrusted ? &flush_strict : wanted;
}

struct flush_rules flush_policy_rules(const struct flush_policy *policy, const void *config,
                                      const struct policy_config *moves)
{
    struct flush_rules rules = { .batch = BATCH_each };
    if (policy->rules != NULL)
        policy->rules(config, &rules);
    flush_rules_move(&rules, moves);
    return rules;
}

enum flush_promise flush_policy_promise(const struct flush_policy *policy,
                                        const void *config,
                                        const struct policy_config *moves, uint64_t *bound)
{
    const struct flush_rules rules   = flush_policy_rules(policy, config, moves);
    const enum flush_promise promise = flush_rules_promise(&rules, bound);
    if (policy->bound != NULL)
        *bound = policy->bound(config);
    /* Rules never promise more than the verbs beside them. */
    const bool verbs = policy->unmap != NULL || policy->map != NULL || !policy->translates;
    return promise == PROMISE_NOTHING_STALE || verbs ? policy->promise : promise;
}

static bool is_safe_for(const struct dma_domain *d, const struct device *dev)
{
    uint64_t bound;
    return !dev->untrusted
           || (d->policy->promise == PROMISE_NOTHING_STALE
               && flush_rules_promise(&d->rules, &bound) == PROMISE_NOTHING_STALE);
}

static bool may_bounce(const struct dma_domain *d, const struct device *dev)
{
    return dev->untrusted || dev->noncoherent || d->policy->bounces;
}

const char *flush_promise_text(enum flush_promise promise)
{
    switch (promise) {
    case PROMISE_NOTHING_STALE:
        return "nothing stale";
    case PROMISE_BOUNDED_TIME:
        return "bounded time";
    case PROMISE_BOUNDED_COUNT:
        return "bounded count";
    case PROMISE_BOUNDED_BYTES:
        return "bounded bytes";
    case PROMISE_POOL_ONLY:
        return "pool only";
    case PROMISE_NONE:
        return "none";
    }
    UNREACHABLE("a promise is one of these");
}

const struct backend *backend_find(const char *name)
{
    for (unsigned i = 0; backend_table[i] != NULL; i++)
        if (strcmp(backend_table[i]->name, name) == 0)
            return backend_table[i];
    return NULL;
}

/* ---- Life
 * ----------------------------------------------------------------------------------- */

static void reserve_windows(struct dma_domain *d)
{
    const struct linux_config *c = &d->kernel->config;
    const unsigned lg2           = d->table.format->page_lg2;
    iova_reserve(&d->iova, c->msi_first >> lg2, c->msi_last >> lg2);
    for (unsigned i = 0; i < d->kernel->windows; i++)
        iova_reserve(&d->iova, d->kernel->window[i].first >> lg2,
                     d->kernel->window[i].last >> lg2);
}

/* As Linux: a domain without memory for a flush queue is strict, and says nothing. */
static const struct flush_policy *policy_with_memory(struct kernel *k,
                                                     const struct flush_policy *policy)
{
    if (policy == &flush_strict || !kernel_no_memory(k, "flush queue"))
        return policy;
    return &flush_strict;
}

/* Without a state of its own it finds its configuration in its place. */
static void begin_policy(struct dma_domain *d, const void *config)
{
    const struct flush_policy *policy = d->policy;
    const bool keeps_config =
        policy->state_bytes == 0 && policy->params != NULL && config != NULL;
    const size_t bytes = keeps_config ? policy->params->bytes : policy->state_bytes;
    if (bytes > 0)
        d->policy_state = kernel_host_alloc(d->kernel, 1, bytes);
    if (keeps_config)
        memcpy(d->policy_state, config, bytes);
    if (policy->init != NULL)
        policy->init(d, d->policy_state, config);
}

struct dma_domain *domain_new(struct kernel *k, const struct backend *backend,
                              void *backend_state, const struct flush_policy *policy,
                              const void *policy_config)
{
    struct dma_domain *d = kernel_host_try(k, 1, sizeof *d);
    const struct pt_format *format;
    unsigned levels;
    uint64_t leaf_sizes;
    CHECK(policy->translates);
    if (d == NULL)
        return NULL;
    d->kernel        = k;
    d->backend       = backend;
    d->backend_state = backend_state;
    d->policy        = policy;
    backend->tables(backend_state, &format, &levels, &leaf_sizes);
    if (!backend->domain_init(backend_state, d)) {
        kernel_host_free(k, d);
        return NULL;
    }
    if (!pagetable_init(&d->table, k, format, levels, leaf_sizes)) {
        backend->domain_exit(backend_state, d);
        kernel_host_free(k, d);
        return NULL;
    }
    d->table.leaf_prot   = backend->leaf_prot;
    const unsigned width = pt_input_lg2(format, levels);
    d->aperture_last     = mask_lg2(format->sign_extended ? width - 1 : width);
    if (!iova_init(&d->iova, k, format->page_lg2, 0)) {
        pagetable_free(&d->table);
        backend->domain_exit(backend_state, d);
        kernel_host_free(k, d);
        return NULL;
    }
    reserve_windows(d);
    policy                = policy_with_memory(k, policy);
    d->policy             = policy;
    d->rules              = flush_policy_rules(policy, policy_config, k->policy);
    d->batch              = batch_new(d, &d->rules);
    d->table.keeps_tables = d->rules.keep_tables;
    begin_policy(d, policy_config);
    return d;
}

uint64_t domain_drain(struct dma_domain *d)
{
    CHECK(d->devices == 0);
    if (!d->drained) {
        batch_free(d->batch); /* What waits there is released through the policy. */
        if (d->policy->exit != NULL)
            d->policy->exit(d, d->policy_state);
    }
    d->drained = true;
    return d->iova.live;
}

void domain_free(struct dma_domain *d)
{
    domain_drain(d);
    iova_free_domain(&d->iova);
    pagetable_free(&d->table);
    d->backend->domain_exit(d->backend_state, d);
    kernel_host_free(d->kernel, d->policy_state);
    kernel_host_free(d->kernel, d);
}

/*
 * iommu_dma_init_domain: the allocator must be what the domain's tables are now, and the
 * device's bus must pass something on that they can map. The first device's bus also says
 * what is never handed out.
 */
static int init_addresses(struct dma_domain *d, const struct device *dev)
{
    const unsigned lg2 = d->table.format->page_lg2;
    if (dev->dma_range_last != 0 && dev->dma_range_first > d->aperture_last) {
        kernel_warn(d->kernel, "attach: the DMA range lies outside of the IOMMU's reach");
        return -EFAULT;
    }
    if (d->iova.granule_lg2 != lg2) {
        kernel_warn(d->kernel, "attach: the addresses were set up for another granule");
        return -EFAULT;
    }
    const bool first = !d->ranged;
    d->ranged        = true;
    if (dev->dma_range_last == 0 || !first)
        return 0;
    if (dev->dma_range_first >> lg2 != 0)
        iova_reserve(&d->iova, 0, (dev->dma_range_first >> lg2) - 1);
    if (dev->dma_range_last < d->aperture_last)
        iova_reserve(&d->iova, (dev->dma_range_last >> lg2) + 1, d->aperture_last >> lg2);
    return 0;
}

bool domain_attach(struct dma_domain *d, struct device *dev)
{
    CHECK(dev->domain == NULL);
    CHECK(d->devices < DOMAIN_DEVICES_MAX);
    const bool defers = d->kernel->config.kdump && !d->unmanaged;
    if (!is_safe_for(d, dev) || (!defers && !d->backend->attach(d->backend_state, d, dev)))
        return false;
    if (may_bounce(d, dev))
        swiotlb_user_add(d->kernel);
    d->device[d->devices++] = dev;
    dev->domain             = d;
    dev->attach_deferred    = defers;
    /* As Linux: where that fails, the device translates, and its driver is not told. */
    dev->dma_iommu = init_addresses(d, dev) == 0;
    return true;
}

int domain_attach_deferred(struct device *dev)
{
    struct dma_domain *d = dev->domain;
    if (!dev->attach_deferred)
        return 0;
    if (!d->backend->attach(d->backend_state, d, dev))
        return -ENOMEM;
    dev->attach_deferred = false;
    return 0;
}

void domain_detach(struct dma_domain *d, struct device *dev)
{
    unsigned kept = 0;
    CHECK(dev->domain == d);
    if (!dev->attach_deferred)
        d->backend->detach(d->backend_state, d, dev);
    dev->attach_deferred = false;
    if (may_bounce(d, dev))
        swiotlb_user_remove(d->kernel);
    for (unsigned i = 0; i < d->devices; i++)
        if (d->device[i] != dev)
            d->device[kept++] = d->device[i];
    CHECK(kept + 1 == d->devices);
    d->devices     = kept;
    dev->domain    = NULL;
    dev->dma_iommu = false;
}

bool domain_attach_identity(const struct backend *backend, void *backend_state,
                            struct device *dev)
{
    CHECK(dev->domain == NULL);
    return !dev->untrusted && backend->attach_identity(backend_state, dev);
}

void domain_detach_identity(const struct backend *backend, void *backend_state,
                            struct device *dev)
{
    backend->detach(backend_state, NULL, dev);
}

/* ---- Steps
 * ---------------------------------------------------------------------------------- */

int domain_map(struct dma_domain *d, dma_addr_t iova, phys_addr_t phys, uint64_t bytes,
               unsigned prot)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_pt_map);
    struct table_list freed    = { NULL, NULL };
    uint64_t mapped;
    const int error = pagetable_map(&d->table, iova, phys, bytes, prot, &mapped, &freed);
    if (freed.first != NULL) { /* Walks may still be in the replaced tables. */
        struct flush_range all = { .iova = iova, .bytes = bytes, .tables = freed };
        domain_flush_range(d, &all);
    }
    if (error != 0 && mapped > 0) {
        struct flush_range part = { .iova = iova, .bytes = mapped };
        domain_unmap(d, &part);
        domain_flush_range(d, &part);
    }
    cpu_own(cpu, owner);
    return error;
}

void domain_map_sync(struct dma_domain *d, dma_addr_t iova, uint64_t bytes)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_map_sync);
    d->backend->map_sync(d->backend_state, d, iova, iova + bytes - 1);
    cpu_own(cpu, owner);
}

/* The range's addresses are used again although nothing was invalidated. */
static void plant_reuse(struct dma_domain *d, const struct flush_range *range)
{
    const struct observer *o = &d->kernel->observer;
    if (d->policy->map != NULL) /* What is unmapped is part of a pool no more. */
        domain_pool(d, range->iova, range->bytes, false);
    domain_give_back(d, range);
    if (o->handed_out != NULL)
        o->handed_out(o->self, d->id, range->iova, range->bytes, cpu_this()->time);
}

bool domain_unmap(struct dma_domain *d, struct flush_range *range)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_pt_unmap);
    const uint64_t unmapped    = pagetable_unmap(&d->table, range->iova, range->bytes,
                                                 &range->tables, &range->leaf_lg2);
    if (unmapped != range->bytes)
        kernel_warn(d->kernel, "unmap: not what was mapped");
    if (d->kernel->plant_reuse != 0 && --d->kernel->plant_reuse == 0)
        plant_reuse(d, range);
    cpu_own(cpu, owner);
    return unmapped == range->bytes;
}

void domain_retire(struct dma_domain *d, struct flush_range *range)
{
    if (d->policy->unmap != NULL)
        d->policy->unmap(d, d->policy_state, range);
    else
        batch_unmap(d->batch, range);
}

static struct flush_how how_to_flush(const struct dma_domain *d, bool tables)
{
    return (struct flush_how){ d->rules.grain, d->rules.hybrid_pages, tables };
}

void domain_flush_spans(struct dma_domain *d, const struct flush_span *span, unsigned spans,
                        bool tables)
{
    const struct flush_how how = how_to_flush(d, tables);
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_submit);
    d->backend->flush_spans(d->backend_state, d, span, spans, &how);
    cpu_own(cpu, owner);
}

uint64_t domain_post(struct dma_domain *d, const struct flush_range *range)
{
    const struct flush_how how   = how_to_flush(d, range->tables.first != NULL);
    const struct flush_span span = { range->iova, range->iova + range->bytes - 1,
                                     range->leaf_lg2 };
    struct cpu *cpu              = cpu_this();
    const enum cpu_owner owner   = cpu_own(cpu, OWNER_inval_submit);
    const uint64_t ticket        = d->backend->post(d->backend_state, d, &span, &how);
    cpu_own(cpu, owner);
    return ticket;
}

static void flush_one(struct dma_domain *d, const struct flush_range *range)
{
    const bool tables            = range->tables.first != NULL;
    const struct flush_span span = { range->iova, range->iova + range->bytes - 1,
                                     range->leaf_lg2 };
    const struct flush_how how   = how_to_flush(d, tables);
    /* The grain of a ring is that of its flushes; who cannot wait for one does as usual. */
    if (how.grain == GRAIN_usual || d->rules.batch != BATCH_each)
        d->backend->flush_range(d->backend_state, d, span.first, span.last, tables,
                                span.leaf_lg2);
    else
        d->backend->flush_spans(d->backend_state, d, &span, 1, &how);
}

void domain_flush_range(struct dma_domain *d, struct flush_range *range)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_submit);
    flush_one(d, range);
    cpu_own(cpu, OWNER_pt_unmap);
    table_list_free(d->kernel, &range->tables);
    cpu_own(cpu, owner);
}

void domain_flush_all(struct dma_domain *d)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_inval_submit);
    d->backend->flush_all(d->backend_state, d);
    cpu_own(cpu, owner);
}

bool domain_make_room(struct dma_domain *d)
{
    return batch_make_room(d->batch);
}

void domain_expire(struct dma_domain *d, enum flush_stage stage)
{
    batch_expire(d->batch, stage);
}

void domain_give_back_held(struct dma_domain *d, const struct flush_range *range)
{
    const struct observer *o = &d->kernel->observer;
    struct cpu *cpu          = cpu_this();
    cpu_sync(cpu);
    if (o->given_back != NULL)
        o->given_back(o->self, d->id, range->iova, range->bytes, cpu->time);
}

void domain_reusable(struct dma_domain *d, const struct flush_range *range)
{
    const struct observer *o = &d->kernel->observer;
    if (o->reusable != NULL)
        o->reusable(o->self, d->id, range->iova, range->bytes, cpu_this()->time);
}

void domain_give_back(struct dma_domain *d, const struct flush_range *range)
{
    domain_give_back_held(d, range);
    domain_reusable(d, range);
}

void domain_lend(struct dma_domain *d, dma_addr_t addr, uint64_t bytes)
{
    const struct observer *o = &d->kernel->observer;
    if (o->lent != NULL)
        o->lent(o->self, d->id, addr, bytes, cpu_this()->time);
}

void domain_pool(struct dma_domain *d, dma_addr_t iova, uint64_t bytes, bool grows)
{
    const struct observer *o = &d->kernel->observer;
    if (o->pooled != NULL)
        o->pooled(o->self, d->id, iova, bytes, grows, cpu_this()->time);
}

void domain_release(struct dma_domain *d, struct flush_range *range)
{
    struct cpu *cpu            = cpu_this();
    const enum cpu_owner owner = cpu_own(cpu, OWNER_iova_free);
    const unsigned lg2         = d->table.format->page_lg2;
    table_list_free(d->kernel, &range->tables);
    if (d->policy->take_back == NULL || !d->policy->take_back(d, d->policy_state, range))
        iova_free_fast(&d->iova, range->iova >> lg2, range->bytes >> lg2);
    cpu_own(cpu, owner);
}
