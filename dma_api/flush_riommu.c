/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_riommu - addresses of a ring for each CPU, used in order, of which the IOMMU caches
 * only the newest.
 *
 * The next page of a ring displaces the one before, so that a burst of unmaps needs one
 * explicit invalidation at its end (dma_unmap_batch_end). Addresses come from a counter.
 *
 * Follows "rIOMMU: Efficient IOMMU for I/O devices that employ ring buffers", ASPLOS 2015.
 * Inaccuracies: the rings' pages are in the usual tables, not in flat ones; walk caches
 * make up for it. Slots that are still in use when the ring comes around are skipped by a
 * request, which then takes an address as usual.
 */
#include "sim/base/lg2.h"

#include "dma_api/domain.h"
#include "dma_api/extension.h"

/* clang-format off */
#define RIOMMU_PARAMS(P)                                                                            \
    P(u32, ring_pages, 4096, 1, 65536, POW2, "pages", "Addresses of each CPU's ring",              \
      "a queue of 1024 requests of 4 pages; a choice of the replay")                                \
    P(u32, burst_max,   256, 2, 65536, POW2, "ranges", "Unmaps of a burst; one slot stays empty",   \
      "as a flush queue of Linux")                                                                  \
    P(u32, slot_cycles,  10, 0, 100000, ANY, "cycles", "Taking the next slots of a ring",           \
      "an increment and a comparison (ASPLOS 2015: constant time)")
/* clang-format on */

struct riommu_config {
    RIOMMU_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct riommu_config
static const struct param_def riommu_params[]      = { RIOMMU_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table riommu_param_table = { "riommu", "Rings of addresses",
                                                       riommu_params,
                                                       sizeof(struct riommu_config), NULL };

struct riommu_ring {
    struct lock lock;
    uint64_t next;  /* Page. */
    uint64_t *used; /* A bit for each page. */
};

struct riommu {
    struct riommu_config config;
    struct extension_driver *extension;
    dma_addr_t base;
    unsigned page_lg2, ring_lg2; /* Of bytes. */
    unsigned rings;
    struct riommu_ring *ring;
};

static void riommu_rules(const void *config, struct flush_rules *r)
{
    const struct riommu_config *c = config;
    r->batch                      = BATCH_driver;
    r->grain                      = GRAIN_domain;
    r->ring_entries               = c->burst_max;
    r->keep_tables                = true;
}

static void riommu_init(struct dma_domain *d, void *state, const void *config)
{
    struct riommu *s = state;
    struct kernel *k = d->kernel;
    s->config        = *(const struct riommu_config *)config;
    s->extension     = extension_probe(k);
    CHECK(s->extension != NULL);
    s->page_lg2 = d->table.format->page_lg2;
    s->ring_lg2 = s->page_lg2 + (unsigned)__builtin_ctz(s->config.ring_pages);
    s->base     = (d->aperture_last + 1) / 2;
    s->rings    = k->cpus;
    s->ring     = kernel_host_alloc(k, k->cpus, sizeof *s->ring);
    for (unsigned i = 0; i < k->cpus; i++)
        s->ring[i].used =
            kernel_host_alloc(k, (s->config.ring_pages + 63) / 64, sizeof *s->ring[i].used);
    iova_reserve(&d->iova, s->base >> s->page_lg2, d->aperture_last >> s->page_lg2);
    extension_place_rings(s->extension, s->base, s->ring_lg2);
}

static void riommu_exit(struct dma_domain *d, void *state)
{
    struct riommu *s = state;
    for (unsigned i = 0; i < s->rings; i++)
        kernel_host_free(d->kernel, s->ring[i].used);
    kernel_host_free(d->kernel, s->ring);
    extension_remove(s->extension);
}

static bool any_used(const struct riommu_ring *r, uint64_t first, uint64_t pages)
{
    for (uint64_t i = first; i < first + pages; i++)
        if (r->used[i / 64] >> i % 64 & 1)
            return true;
    return false;
}

static void mark(struct riommu_ring *r, uint64_t first, uint64_t pages, bool used)
{
    for (uint64_t i = first; i < first + pages; i++) {
        CHECK((r->used[i / 64] >> i % 64 & 1) != used);
        r->used[i / 64] ^= UINT64_C(1) << i % 64;
    }
}

static dma_addr_t riommu_address(struct dma_domain *d, void *state, struct device *dev,
                                 uint64_t bytes, uint64_t mask)
{
    struct riommu *s      = state;
    struct cpu *cpu       = cpu_this();
    struct riommu_ring *r = &s->ring[cpu->id];
    const uint64_t pages  = bytes >> s->page_lg2;
    const dma_addr_t base = s->base + ((dma_addr_t)cpu->id << s->ring_lg2);
    dma_addr_t iova       = 0;
    (void)d;
    (void)dev;
    if (pages > s->config.ring_pages || base + mask_lg2(s->ring_lg2) > mask)
        return 0;
    lock_take(cpu, &r->lock);
    cpu_spend(cpu, s->config.slot_cycles);
    if (r->next + pages > s->config.ring_pages)
        r->next = 0;
    if (!any_used(r, r->next, pages)) {
        mark(r, r->next, pages, true);
        iova = base + (r->next << s->page_lg2);
        r->next += pages;
    }
    lock_release(cpu, &r->lock);
    return iova;
}

static bool riommu_take_back(struct dma_domain *d, void *state,
                             const struct flush_range *range)
{
    struct riommu *s     = state;
    struct cpu *cpu      = cpu_this();
    const uint64_t index = (range->iova - s->base) >> s->ring_lg2;
    (void)d;
    if (range->iova < s->base || index >= s->rings)
        return false;
    struct riommu_ring *r = &s->ring[index];
    const uint64_t first  = (range->iova & mask_lg2(s->ring_lg2)) >> s->page_lg2;
    lock_take(cpu, &r->lock);
    mark(r, first, range->bytes >> s->page_lg2, false);
    lock_release(cpu, &r->lock);
    return true;
}

const struct flush_policy flush_riommu = {
    .name = "riommu",
    .summary =
        "Rings of addresses whose newest pages alone are cached; one flush for each burst",
    .source      = "rIOMMU, ASPLOS 2015 (catalogue 22)",
    .promise     = PROMISE_BOUNDED_COUNT,
    .needs       = EXT_CAP_RINGS,
    .translates  = true,
    .params      = &riommu_param_table,
    .state_bytes = sizeof(struct riommu),
    .init        = riommu_init,
    .exit        = riommu_exit,
    .rules       = riommu_rules,
    .address     = riommu_address,
    .take_back   = riommu_take_back,
};
