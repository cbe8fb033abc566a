/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/prices.h"

#include <stdlib.h>

#include "dma_api/domain.h"
#include "sim/host/direct.h"

#define MEM UINT64_C(0x40000000)
enum { ROUNDS = 16, WARM = 8, PAGES_MAX = 512 };

/* ---- One CPU, and an IOMMU that costs nothing -------------------------------------------
 */

struct shop {
    struct engine engine;
    struct memory memory;
    struct cpu cpu, *cpus[1];
    struct cpu_config cpu_config;
    struct linux_config linux_config;
    struct cost_config cost;
    struct kernel kernel;
    struct device device;
    void (*measure)(struct shop *s);
    /* What is measured, and what came out. */
    const char *format;
    unsigned levels, page_lg2, count;
    bool flag;
    size_t bytes;
    struct price price;
};

static void free_tables(void *state, const struct pt_format **format, unsigned *levels,
                        uint64_t *leaf_sizes)
{
    (void)state;
    *format     = ptfmt_find("vtdss");
    *levels     = 4;
    *leaf_sizes = (*format)->leaf_sizes;
}

static bool free_domain_init(void *state, struct dma_domain *d)
{
    (void)state;
    d->id = 1;
    return true;
}

static void free_domain_exit(void *state, struct dma_domain *d)
{
    (void)state;
    (void)d;
}

static bool free_attach(void *state, struct dma_domain *d, struct device *dev)
{
    (void)state;
    (void)d;
    (void)dev;
    return true;
}

static void free_detach(void *state, struct dma_domain *d, struct device *dev)
{
    (void)state;
    (void)d;
    (void)dev;
}

static void free_map_sync(void *state, struct dma_domain *d, uint64_t first, uint64_t last)
{
    (void)state;
    (void)d;
    (void)first;
    (void)last;
}

static void free_flush_range(void *state, struct dma_domain *d, uint64_t first,
                             uint64_t last, bool tables, unsigned leaf_lg2)
{
    (void)state;
    (void)d;
    (void)first;
    (void)last;
    (void)tables;
    (void)leaf_lg2;
}

static void free_flush_all(void *state, struct dma_domain *d)
{
    (void)state;
    (void)d;
}

static const struct backend free_backend = {
    .name        = "free",
    .summary     = "Is told everything for nothing",
    .tables      = free_tables,
    .domain_init = free_domain_init,
    .domain_exit = free_domain_exit,
    .attach      = free_attach,
    .detach      = free_detach,
    .map_sync    = free_map_sync,
    .flush_range = free_flush_range,
    .flush_all   = free_flush_all,
};

static void program(void *arg)
{
    struct shop *s = arg;
    s->measure(s);
}

static struct price visit(struct shop *s)
{
    struct direct_host *host = direct_host_new();
    param_reset(&cpu_param_table, &s->cpu_config);
    param_reset(&linux_param_table, &s->linux_config);
    param_reset(&cost_param_table, &s->cost);
    memory_init(&s->memory);
    engine_init(&s->engine, direct_host_verbs(host), true);
    s->cpus[0] = &s->cpu;
    cpu_init(&s->cpu, 0, &s->engine, &s->memory, &s->cpu_config, program, s);
    kernel_init(&s->kernel, &s->linux_config, &s->cost, &s->memory, s->cpus, 1);
    engine_run(&s->engine);
    CHECK(s->cpu.finished);
    CHECK(s->kernel.heap.out == 0);
    kernel_free(&s->kernel);
    memory_free(&s->memory);
    engine_free(&s->engine);
    direct_host_free(host);
    const struct price price = s->price;
    free(s);
    return price;
}

static struct shop *new_shop(void (*measure)(struct shop *s))
{
    struct shop *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->measure = measure;
    return s;
}

static double cycles_since(const struct shop *s, sim_time_t from)
{
    return (double)((s->cpu.time - from) / s->cpu_config.period_ps);
}

/* ---- Page tables --------------------------------------------------------------------- */

static void measure_range(struct shop *s)
{
    const uint64_t bytes = (uint64_t)s->count << s->page_lg2, iova = UINT64_C(1) << 36;
    struct table_list freed        = { NULL, NULL };
    const struct pt_format *format = ptfmt_find(s->format);
    struct pagetable table;
    uint64_t mapped;
    CHECK(pagetable_init(&table, &s->kernel, format, s->levels, format->leaf_sizes));
    for (unsigned i = 0; i < ROUNDS; i++) {
        sim_time_t from = s->cpu.time;
        CHECK(pagetable_map(&table, iova, MEM << 10, bytes, PT_READ | PT_WRITE, &mapped,
                            &freed)
              == 0);
        s->price.map += i < WARM ? 0 : cycles_since(s, from) / (ROUNDS - WARM);
        from = s->cpu.time;
        CHECK(pagetable_unmap(&table, iova, bytes, &freed, NULL) == bytes);
        s->price.unmap += i < WARM ? 0 : cycles_since(s, from) / (ROUNDS - WARM);
        CHECK(freed.first == NULL); /* No table was empty or covered. */
    }
    pagetable_free(&table);
}

struct price price_of_range(const char *format, unsigned levels, unsigned page_lg2,
                            unsigned count)
{
    struct shop *s = new_shop(measure_range);
    s->format      = format;
    s->levels      = levels;
    s->page_lg2    = page_lg2;
    s->count       = count;
    return visit(s);
}

/* ---- The DMA API --------------------------------------------------------------------- */

static struct dma_domain *open_domain(struct shop *s, bool untrusted)
{
    struct dma_domain *d =
        domain_new(&s->kernel, &free_backend, s, flush_find("strict"), NULL);
    kernel_add_device(&s->kernel, &s->device, "device", 8);
    s->device.untrusted = untrusted;
    dma_set_mask(&s->device, DMA_BIT_MASK(64));
    CHECK(d != NULL);
    CHECK(domain_attach(d, &s->device));
    return d;
}

static void close_domain(struct shop *s, struct dma_domain *d)
{
    kernel_remove_device(&s->device);
    domain_detach(d, &s->device);
    domain_free(d);
}

static phys_addr_t page_of(unsigned i)
{
    return MEM + 2 * (phys_addr_t)i * PAGE_SIZE;
}

static void map_pages(struct shop *s, struct dma_iova_state *state, dma_addr_t *addr)
{
    struct device *dev = &s->device;
    if (s->flag)
        CHECK(dma_iova_try_alloc(dev, state, 0, s->count * PAGE_SIZE));
    for (unsigned i = 0; i < s->count; i++) {
        if (s->flag) {
            CHECK(dma_iova_link(dev, state, page_of(i), i * PAGE_SIZE, PAGE_SIZE,
                                DMA_BIDIRECTIONAL, 0)
                  == 0);
        } else {
            addr[i] = dma_map_phys(dev, page_of(i), PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
            CHECK(dma_mapping_error(dev, addr[i]) == 0);
        }
    }
    if (s->flag)
        CHECK(dma_iova_sync(dev, state, 0, s->count * PAGE_SIZE) == 0);
}

static void unmap_pages(struct shop *s, struct dma_iova_state *state,
                        const dma_addr_t *addr)
{
    if (s->flag)
        dma_iova_destroy(&s->device, state, s->count * PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
    for (unsigned i = 0; !s->flag && i < s->count; i++)
        dma_unmap_phys(&s->device, addr[i], PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
}

static void measure_pages(struct shop *s)
{
    struct dma_domain *d = open_domain(s, false);
    struct dma_iova_state state;
    dma_addr_t addr[PAGES_MAX];
    CHECK(s->count <= PAGES_MAX);
    for (unsigned i = 0; i < ROUNDS; i++) {
        sim_time_t from = s->cpu.time;
        map_pages(s, &state, addr);
        s->price.map += i < WARM ? 0 : cycles_since(s, from) / (ROUNDS - WARM);
        from = s->cpu.time;
        unmap_pages(s, &state, addr);
        s->price.unmap += i < WARM ? 0 : cycles_since(s, from) / (ROUNDS - WARM);
    }
    close_domain(s, d);
}

struct price price_of_pages(unsigned pages, bool iova)
{
    struct shop *s = new_shop(measure_pages);
    s->count       = pages;
    s->flag        = iova;
    return visit(s);
}

static void measure_copy(struct shop *s)
{
    struct dma_domain *d  = open_domain(s, true);
    struct device *dev    = &s->device;
    const dma_addr_t addr = dma_map_phys(dev, MEM + 64, s->bytes, DMA_TO_DEVICE, 0);
    CHECK(dma_mapping_error(dev, addr) == 0);
    const uint64_t before = cpu_owner_cycles(&s->cpu, OWNER_bounce_copy);
    dma_sync_single_for_device(dev, addr, s->bytes, DMA_TO_DEVICE);
    s->price.map = (double)(cpu_owner_cycles(&s->cpu, OWNER_bounce_copy) - before);
    dma_unmap_phys(dev, addr, s->bytes, DMA_TO_DEVICE, 0);
    close_domain(s, d);
}

double price_of_copy(size_t bytes)
{
    struct shop *s = new_shop(measure_copy);
    s->bytes       = bytes;
    return visit(s).map;
}
