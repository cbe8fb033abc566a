/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/kernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dma_api/dma-debug.h"
#include "sim/base/lg2.h"

static const char *const releases[] = { "6.12", "6.18", "7.3", NULL };

const char *linux_release_member(unsigned index)
{
    return releases[index];
}

#define PARAM_OWNER struct linux_config
static const struct param_def linux_params[] = { LINUX_PARAMS(PARAM_ROW) PARAM_END };
#undef PARAM_OWNER
#define PARAM_OWNER struct cost_config
#define STAT_OWNER  struct kernel_stats
static const struct param_def cost_params[] = { COST_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def kernel_stats[] = { KERNEL_STATS(STAT_ROW) STAT_END };

static bool linux_config_check(const void *config, struct error *error)
{
    const struct linux_config *c = config;
    if (c->msi_first > c->msi_last)
        return error_set(
            error, "linux.msi_last: expected at least linux.msi_first (%#llx), got %#llx",
            (unsigned long long)c->msi_first, (unsigned long long)c->msi_last);
    return true;
}

const struct param_table linux_param_table = { "linux", "The Linux that is followed",
                                               linux_params, sizeof(struct linux_config),
                                               linux_config_check };
const struct param_table cost_param_table  = { "cost", "Prices of the DMA API's work",
                                               cost_params, sizeof(struct cost_config),
                                               NULL };
const struct stat_table kernel_stat_table  = { "kernel", "The DMA API", kernel_stats,
                                               sizeof(struct kernel_stats) };

static enum linux_release release_called(const char *name)
{
    for (unsigned i = 0; releases[i] != NULL; i++)
        if (strcmp(releases[i], name) == 0)
            return (enum linux_release)i;
    UNREACHABLE("linux.release is a member of its list");
}

enum { REGION_PAGES_LG2 = 24 };
#define REGION_FIRST (UINT64_C(1) << 51)

void kernel_init(struct kernel *k, const struct linux_config *config,
                 const struct cost_config *cost, struct memory *memory,
                 struct cpu *const *cpu, unsigned cpus)
{
    memset(k, 0, sizeof *k);
    k->config  = *config;
    k->release = release_called(config->release);
    k->cost    = *cost;
    k->memory  = memory;
    k->cpu     = cpu;
    k->cpus    = cpus;
    for (unsigned i = 0; i < cpus; i++)
        cpu[i]->software = k;
    if (config->dma_debug)
        k->debug = dma_debug_new(k);
    k->pages.next = REGION_FIRST;
    k->pages.end  = REGION_FIRST + (UINT64_C(1) << (REGION_PAGES_LG2 + PAGE_SHIFT));
}

void kernel_free(struct kernel *k)
{
    dma_debug_free(k->debug);
    for (unsigned i = 0; i < KERNEL_ORDERS; i++)
        free(k->pages.free[i]);
    hostheap_release(&k->heap);
}

void kernel_reserve(struct kernel *k, uint64_t first, uint64_t last)
{
    CHECK(k->windows < KERNEL_WINDOWS_MAX);
    CHECK(first <= last);
    k->window[k->windows].first  = first;
    k->window[k->windows++].last = last;
}

void kernel_add_device(struct kernel *k, struct device *dev, const char *name,
                       uint16_t requester)
{
    memset(dev, 0, sizeof *dev);
    dev->name              = name;
    dev->kernel            = k;
    dev->requester         = requester;
    dev->dma_mask_bits     = DMA_BIT_MASK(32);
    dev->dma_mask          = &dev->dma_mask_bits;
    dev->coherent_dma_mask = DMA_BIT_MASK(32);
    dev->dac_first         = k->config.forcedac;
    if (k->config.bus_limit_mib != 0)
        dev->bus_dma_limit = ((uint64_t)k->config.bus_limit_mib << 20) - 1;
}

void kernel_remove_device(struct device *dev)
{
    if (dma_debug_on(dev))
        dma_debug_release(dev);
}

void kernel_panic(struct kernel *k, const char *format, ...)
{
    struct cpu *cpu = cpu_this();
    va_list args;
    va_start(args, format);
    vsnprintf(k->panic.text, sizeof k->panic.text, format, args);
    va_end(args);
    k->panicked          = true;
    cpu->engine->stopped = true;
    for (;;) { /* Nobody will ever resume it. */
        engine_set_cpu_due(cpu->engine, cpu->place, TIME_NEVER);
        cpu_yield(cpu);
    }
}

/* ---- Pages
 * --------------------------------------------------------------------------------- */

static phys_addr_t take_pages(struct page_pool *p, unsigned order)
{
    if (order >= KERNEL_ORDERS)
        return 0;
    if (p->free_count[order] > 0)
        return p->free[order][--p->free_count[order]];
    const uint64_t bytes = UINT64_C(1) << (order + PAGE_SHIFT);
    const uint64_t first = align_up(p->next, order + PAGE_SHIFT);
    if (first + bytes > p->end)
        return 0;
    p->next = first + bytes;
    return first;
}

phys_addr_t kernel_pages_get(struct kernel *k, unsigned order)
{
    struct cpu *cpu = cpu_this();
    cpu_spend(cpu, k->cost.page_cycles);
    cpu_sync(cpu); /* The pool is shared: in the order of simulated time. */
    if (kernel_no_memory(k, "pages"))
        return 0;
    const phys_addr_t phys = take_pages(&k->pages, order);
    if (phys != 0)
        k->pages.out += UINT64_C(1) << order;
    return phys;
}

/* Clearing leaves every line of the page in this CPU's cache. */
static void zero_page(struct kernel *k, phys_addr_t phys)
{
    struct cpu *cpu = cpu_this();
    memory_clear_page(k->memory, phys);
    struct mem_page *page = memory_page_make(k->memory, phys);
    for (unsigned i = 0; i < MEM_LINES; i++)
        page->line[i] = (struct line){ UINT64_C(1) << cpu->id, LINE_MODIFIED };
    cpu_spend(cpu, k->cost.page_zero_cycles);
}

phys_addr_t kernel_pages_get_zeroed(struct kernel *k, unsigned order)
{
    const phys_addr_t phys = kernel_pages_get(k, order);
    for (uint64_t i = 0; phys != 0 && i < UINT64_C(1) << order; i++)
        zero_page(k, phys + (i << PAGE_SHIFT));
    return phys;
}

void kernel_pages_put(struct kernel *k, phys_addr_t phys, unsigned order)
{
    struct cpu *cpu     = cpu_this();
    struct page_pool *p = &k->pages;
    CHECK(order < KERNEL_ORDERS);
    CHECK(phys >= REGION_FIRST);
    CHECK(phys < p->next);
    cpu_spend(cpu, k->cost.page_cycles);
    cpu_sync(cpu);
    if (p->free_count[order] == p->free_room[order]) {
        p->free_room[order] = p->free_room[order] == 0 ? 64 : 2 * p->free_room[order];
        p->free[order] = realloc(p->free[order], p->free_room[order] * sizeof *p->free[0]);
        CHECK(p->free[order] != NULL);
    }
    p->free[order][p->free_count[order]++] = phys;
    CHECK(p->out >= UINT64_C(1) << order);
    p->out -= UINT64_C(1) << order;
}

void kernel_warn(struct kernel *k, const char *text)
{
    k->last_warning = text;
    k->stats.warning++;
}

static bool warned_before(const struct kernel *k, const char *text)
{
    for (unsigned i = 0; i < k->warned_count; i++)
        if (strcmp(k->warned[i], text) == 0)
            return true;
    return false;
}

void kernel_warn_once(struct kernel *k, const char *text)
{
    if (warned_before(k, text)) {
        k->stats.warning_repeated++;
        return;
    }
    CHECK(k->warned_count < KERNEL_WARNINGS_MAX);
    k->warned[k->warned_count++] = text;
    kernel_warn(k, text);
}
