/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_fns - fast and safe: addresses of one chunk for what is used together, one
 * invalidation for the chunk, page tables that stay.
 *
 * Each CPU cuts its addresses from a chunk of 64 pages, one after the other, so that what
 * is in flight at a time shares a leaf table and the walk caches hold what leads there. A
 * chunk is invalidated once, when all of it has been unmapped; and all of them when too
 * many unmaps wait.
 *
 * Follows "Fast & Safe IO Memory Protection", SOSP 2024.
 * Inaccuracies: there, the driver unmaps a whole descriptor at once, so that nothing waits;
 * here a chunk's unmaps come one by one and wait for the last one.
 */
#include <bsd/sys/tree.h>

#include "dma_api/domain.h"
#include "sim/base/lg2.h"

/* clang-format off */
#define FNS_PARAMS(P)                                                                               \
    P(u32, chunk_pages,  64, 1, 4096, POW2, "pages", "One chunk of addresses",                      \
      "64 pages of a descriptor (SOSP 2024)")                                                       \
    P(u32, pending_max, 256, 1, 65536, ANY, "unmaps", "Unmaps that may wait for their chunk",       \
      "as a flush queue of Linux")                                                                  \
    P(u32, chunk_cycles, 12, 0, 100000, ANY, "cycles", "Cutting an address from the CPU's chunk",   \
      "about 30 instructions")
/* clang-format on */

struct fns_config {
    FNS_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct fns_config
static const struct param_def fns_params[]      = { FNS_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table fns_param_table = { "fns", "Chunks of addresses",
                                                    fns_params, sizeof(struct fns_config),
                                                    NULL };

struct fns_chunk {
    RB_ENTRY(fns_chunk) entry;
    dma_addr_t iova;
    uint64_t handed;  /* Bytes handed out, from the begin on. */
    uint64_t pending; /* Bytes unmapped and not yet invalidated, from first to last. */
    uint64_t given;   /* Bytes that are free again. */
    dma_addr_t first, last;
    uint32_t unmaps; /* That are pending. */
    unsigned cpu;    /* Whose chunk it is, or was. */
    bool closed;     /* Nothing is handed out any more. */
};
RB_HEAD(fns_tree, fns_chunk);

static int compare(const struct fns_chunk *a, const struct fns_chunk *b)
{
    return a->iova < b->iova ? -1 : a->iova > b->iova;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"
RB_PROTOTYPE_INTERNAL(fns_tree, fns_chunk, entry, compare, static)
RB_GENERATE_INTERNAL(fns_tree, fns_chunk, entry, compare, static)
#pragma GCC diagnostic pop

struct fns_cpu {
    struct lock lock;
    struct fns_chunk *open;
};

struct fns {
    struct fns_config config;
    uint64_t chunk_bytes;
    struct fns_tree chunk;
    struct fns_cpu *cpu;
    uint32_t pending; /* Unmaps, in all chunks. */
    struct line counter;
};

static void fns_rules(const void *config, struct flush_rules *r)
{
    (void)config;
    r->keep_tables = true;
}

static uint64_t fns_bound(const void *config)
{
    return ((const struct fns_config *)config)->pending_max + ENGINE_CPUS_MAX;
}

static void fns_init(struct dma_domain *d, void *state, const void *config)
{
    struct fns *s  = state;
    s->config      = *(const struct fns_config *)config;
    s->chunk_bytes = (uint64_t)s->config.chunk_pages << d->table.format->page_lg2;
    s->cpu         = kernel_host_alloc(d->kernel, d->kernel->cpus, sizeof *s->cpu);
    RB_INIT(&s->chunk);
}

/* ---- Chunks -------------------------------------------------------------------------- */

static struct fns_chunk *chunk_of(struct fns *s, dma_addr_t iova)
{
    struct fns_chunk key = { .iova = iova & ~(s->chunk_bytes - 1) };
    return RB_FIND(fns_tree, &s->chunk, &key);
}

/* All of it is free again: the chunk's addresses go back. Its CPU's lock is held. */
static void retire_if_free(struct dma_domain *d, struct fns *s, struct fns_chunk *c)
{
    const unsigned lg2 = d->table.format->page_lg2;
    if (!c->closed || c->given != c->handed)
        return;
    CHECK(c->pending == 0);
    RB_REMOVE(fns_tree, &s->chunk, c);
    iova_free_fast(&d->iova, c->iova >> lg2, s->chunk_bytes >> lg2);
    kernel_host_free(d->kernel, c);
}

/* One command for what is pending of the chunk. Its CPU's lock is held. */
static void flush_chunk(struct dma_domain *d, struct fns *s, struct fns_chunk *c)
{
    struct flush_range range = { .iova     = c->first,
                                 .bytes    = c->last - c->first + 1,
                                 .leaf_lg2 = d->table.format->page_lg2 };
    if (c->pending > 0) {
        domain_flush_range(d, &range);
        cpu_atomic(cpu_this(), &s->counter);
        s->pending -= c->unmaps;
        c->given += c->pending;
        c->pending = c->unmaps = 0;
    }
    retire_if_free(d, s, c);
}

static void close_chunk(struct dma_domain *d, struct fns *s, struct fns_cpu *c)
{
    struct fns_chunk *chunk = c->open;
    c->open                 = NULL;
    if (chunk == NULL)
        return;
    chunk->closed = true;
    if (chunk->given + chunk->pending == chunk->handed)
        flush_chunk(d, s, chunk);
}

static void open_chunk(struct dma_domain *d, struct fns *s, struct fns_cpu *c,
                       struct device *dev, uint64_t mask)
{
    const dma_addr_t iova =
        iova_alloc_for(&d->iova, dev, s->chunk_bytes, mask, d->aperture_last);
    if (iova == 0)
        return;
    c->open       = kernel_host_alloc(d->kernel, 1, sizeof *c->open);
    c->open->iova = iova;
    c->open->cpu  = cpu_this()->id;
    CHECK(RB_INSERT(fns_tree, &s->chunk, c->open) == NULL);
}

static dma_addr_t fns_address(struct dma_domain *d, void *state, struct device *dev,
                              uint64_t bytes, uint64_t mask)
{
    struct fns *s     = state;
    struct cpu *cpu   = cpu_this();
    struct fns_cpu *c = &s->cpu[cpu->id];
    dma_addr_t iova   = 0;
    if (bytes > s->chunk_bytes)
        return 0;
    lock_take(cpu, &c->lock);
    cpu_spend(cpu, s->config.chunk_cycles);
    if (c->open == NULL || s->chunk_bytes - c->open->handed < bytes
        || c->open->iova + s->chunk_bytes - 1 > mask) {
        close_chunk(d, s, c);
        open_chunk(d, s, c, dev, mask);
    }
    if (c->open != NULL) {
        iova = c->open->iova + c->open->handed;
        c->open->handed += bytes;
    }
    lock_release(cpu, &c->lock);
    return iova;
}

/* Addresses that were never mapped, or are invalidated already. */
static bool fns_take_back(struct dma_domain *d, void *state,
                          const struct flush_range *range)
{
    struct fns *s       = state;
    struct cpu *cpu     = cpu_this();
    struct fns_chunk *c = chunk_of(s, range->iova);
    if (c == NULL)
        return false;
    const unsigned owner = c->cpu; /* The chunk may go while we wait for the lock: */
    lock_take(cpu, &s->cpu[owner].lock);
    c->given += range->bytes; /* not before these bytes are free. */
    if (c->given + c->pending == c->handed && c->closed)
        flush_chunk(d, s, c);
    lock_release(cpu, &s->cpu[owner].lock);
    return true;
}

/* ---- Unmap --------------------------------------------------------------------------- */

/* A chunk of which something waits, or NULL. */
static struct fns_chunk *waiting_chunk(struct fns *s)
{
    struct fns_chunk *c;
    RB_FOREACH(c, fns_tree, &s->chunk)
    {
        if (c->pending > 0)
            return c;
    }
    return NULL;
}

static void flush_waiting(struct dma_domain *d, struct fns *s)
{
    struct cpu *cpu = cpu_this();
    for (struct fns_chunk *c; (c = waiting_chunk(s)) != NULL;) {
        const dma_addr_t iova = c->iova;
        const unsigned owner  = c->cpu;
        lock_take(cpu, &s->cpu[owner].lock);
        c = chunk_of(s, iova); /* Somebody else may have been faster. */
        if (c != NULL && c->cpu == owner)
            flush_chunk(d, s, c);
        lock_release(cpu, &s->cpu[owner].lock);
    }
}

static void wait_for_chunk(struct dma_domain *d, struct fns *s, struct fns_chunk *c,
                           const struct flush_range *range)
{
    const dma_addr_t last = range->iova + range->bytes - 1;
    c->first = c->pending == 0 || range->iova < c->first ? range->iova : c->first;
    c->last  = c->pending == 0 || last > c->last ? last : c->last;
    c->pending += range->bytes;
    c->unmaps++;
    cpu_atomic(cpu_this(), &s->counter);
    s->pending++;
    d->kernel->stats.deferred++;
    domain_give_back(d, range);
}

static void fns_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    struct fns *s       = state;
    struct cpu *cpu     = cpu_this();
    struct fns_chunk *c = chunk_of(s, range->iova);
    if (c == NULL) {
        batch_flush_now(d->batch, range);
        return;
    }
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    if (s->pending >= s->config.pending_max)
        flush_waiting(d, s);
    const unsigned whose = c->cpu;
    lock_take(cpu, &s->cpu[whose].lock);
    wait_for_chunk(d, s, c, range);
    if (c->closed && c->given + c->pending == c->handed)
        flush_chunk(d, s, c);
    lock_release(cpu, &s->cpu[whose].lock);
    cpu_own(cpu, owner);
}

static void fns_exit(struct dma_domain *d, void *state)
{
    struct fns *s = state;
    for (unsigned i = 0; i < d->kernel->cpus; i++)
        close_chunk(d, s, &s->cpu[i]);
    flush_waiting(d, s);
    CHECK(RB_EMPTY(&s->chunk)); /* Every mapping has been unmapped. */
    kernel_host_free(d->kernel, s->cpu);
}

const struct flush_policy flush_fns = {
    .name = "fns",
    .summary =
        "Contiguous chunks of addresses, one invalidation for each, tables that stay",
    .source      = "Fast & Safe IO Memory Protection, SOSP 2024 (catalogue 21)",
    .promise     = PROMISE_BOUNDED_COUNT,
    .bound       = fns_bound,
    .translates  = true,
    .params      = &fns_param_table,
    .state_bytes = sizeof(struct fns),
    .rules       = fns_rules,
    .init        = fns_init,
    .exit        = fns_exit,
    .unmap       = fns_unmap,
    .address     = fns_address,
    .take_back   = fns_take_back,
};
