/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_damn - buffers come from a pool of the device's own, whose pages are mapped for
 * good.
 *
 * The allocator of the buffers and the IOMMU's mapping are one: a page is mapped when it
 * comes into the pool, at an address that follows from it, and a map is an addition. The
 * pool grows with use and never shrinks; what the device may read and what it may write are
 * mapped apart.
 *
 * Inaccuracies: buffers lie where the trace has them, and their surroundings of a chunk's
 * size are taken for the pool.
 */
#include "dma_api/domain.h"
#include "sim/base/lg2.h"

#include <bsd/sys/tree.h>

/* clang-format off */
#define DAMN_PARAMS(P) \
    P(u32, chunk_kib, 64, 4, 2048, POW2, "KiB", "By which the pool grows", \
      "DAMN takes 64 KiB at a time from the page allocator") \
    P(u32, lookup_cycles, 10, 0, 100000, ANY, "cycles", "From a buffer to its address", \
      "a field beside the page: about 25 instructions")
/* clang-format on */

struct damn_config {
    DAMN_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct damn_config
static const struct param_def damn_params[]      = { DAMN_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table damn_param_table = { "damn", "The device's own pool",
                                                     damn_params,
                                                     sizeof(struct damn_config), NULL };

struct damn_chunk {
    RB_ENTRY(damn_chunk) entry;
    dma_addr_t iova;
};
RB_HEAD(damn_tree, damn_chunk);

static int compare(const struct damn_chunk *a, const struct damn_chunk *b)
{
    return a->iova < b->iova ? -1 : a->iova > b->iova;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"
RB_PROTOTYPE_INTERNAL(damn_tree, damn_chunk, entry, compare, static)
RB_GENERATE_INTERNAL(damn_tree, damn_chunk, entry, compare, static)
#pragma GCC diagnostic pop

struct damn {
    struct damn_config config;
    unsigned window_lg2; /* Of addresses, for each permission: an eighth of all. */
    struct lock lock;
    struct damn_tree chunk;
};

static void damn_init(struct dma_domain *d, void *state, const void *config)
{
    struct damn *s       = state;
    const unsigned lg2   = d->table.format->page_lg2;
    const uint64_t first = (d->aperture_last + 1) / 2;
    s->config            = *(const struct damn_config *)config;
    s->window_lg2        = lg2_floor(d->aperture_last) + 1 - 3;
    RB_INIT(&s->chunk);
    iova_reserve(&d->iova, first >> lg2, d->aperture_last >> lg2);
}

static void damn_exit(struct dma_domain *d, void *state)
{
    struct damn *s       = state;
    const uint64_t bytes = (uint64_t)s->config.chunk_kib << 10;
    struct damn_chunk *c;
    while ((c = RB_MIN(damn_tree, &s->chunk)) != NULL) {
        struct flush_range range = { .iova = c->iova, .bytes = bytes };
        RB_REMOVE(damn_tree, &s->chunk, c);
        domain_unmap(d, &range);
        domain_flush_range(d, &range);
        domain_pool(d, c->iova, bytes, false);
        kernel_host_free(d->kernel, c);
    }
}

static bool damn_serves(const void *state, uint64_t bytes)
{
    return bytes <= UINT64_C(1) << ((const struct damn *)state)->window_lg2;
}

/* The window of a permission: 1 to 3. */
static dma_addr_t window(const struct damn *s, unsigned prot)
{
    const unsigned which = (prot & PT_READ ? 1u : 0) | (prot & PT_WRITE ? 2u : 0);
    return (dma_addr_t)(4 + which) << s->window_lg2;
}

/* Takes the chunk into the pool if it is not there yet. The lock is held. */
static bool has_chunk(struct dma_domain *d, struct damn *s, dma_addr_t iova,
                      phys_addr_t phys, unsigned prot)
{
    const uint64_t bytes  = (uint64_t)s->config.chunk_kib << 10;
    struct damn_chunk key = { .iova = iova };
    if (RB_FIND(damn_tree, &s->chunk, &key) != NULL)
        return true;
    if (domain_map(d, iova, phys, bytes, prot) != 0)
        return false;
    domain_map_sync(d, iova, bytes);
    domain_pool(d, iova, bytes, true);
    struct damn_chunk *c = kernel_host_alloc(d->kernel, 1, sizeof *c);
    c->iova              = iova;
    CHECK(RB_INSERT(damn_tree, &s->chunk, c) == NULL);
    return true;
}

static dma_addr_t damn_map(struct dma_domain *d, void *state, const struct flush_mapping *m)
{
    struct damn *s         = state;
    struct cpu *cpu        = cpu_this();
    const uint64_t bytes   = (uint64_t)s->config.chunk_kib << 10;
    const dma_addr_t base  = window(s, m->prot);
    const phys_addr_t last = m->phys + m->bytes - 1;
    bool pooled            = base + last <= m->mask && last >> s->window_lg2 == 0;
    cpu_spend(cpu, s->config.lookup_cycles);
    lock_take(cpu, &s->lock);
    for (phys_addr_t at = m->phys & ~(bytes - 1); pooled && at <= last; at += bytes)
        pooled = has_chunk(d, s, base + at, at, m->prot);
    lock_release(cpu, &s->lock);
    return pooled ? base + m->phys : 0;
}

static bool damn_owns(struct dma_domain *d, void *state, dma_addr_t iova, uint64_t bytes)
{
    const struct damn *s = state;
    (void)d;
    (void)bytes;
    return iova >> s->window_lg2 >= 4;
}

const struct flush_policy flush_damn = {
    .name    = "damn",
    .summary = "Buffers from a pool of the device's own that stays mapped and only grows",
    .source  = "DAMN, ASPLOS 2018 (catalogue 26)",
    .promise = PROMISE_POOL_ONLY,
    .translates  = true,
    .params      = &damn_param_table,
    .state_bytes = sizeof(struct damn),
    .init        = damn_init,
    .exit        = damn_exit,
    .serves      = damn_serves,
    .map         = damn_map,
    .owns        = damn_owns,
};
