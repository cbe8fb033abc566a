/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/dma_pool.h"

#include "dma_api/kernel.h"

void dma_pool_init(struct dma_pool *p, struct device *dev, size_t block_bytes)
{
    CHECK(PAGE_SIZE % block_bytes == 0);
    *p = (struct dma_pool){ .dev = dev, .block_bytes = block_bytes };
}

static void add_block(struct dma_pool *p, const struct dma_pool_page *page, size_t offset)
{
    struct dma_block *b = kernel_host_alloc(p->dev->kernel, 1, sizeof *b);
    *b = (struct dma_block){ (char *)page->cpu_addr + offset, page->dma + offset, p->free };
    p->free = b;
}

static bool grow(struct dma_pool *p)
{
    struct dma_pool_page *page = kernel_host_alloc(p->dev->kernel, 1, sizeof *page);
    page->cpu_addr = dma_alloc_coherent(p->dev, PAGE_SIZE, &page->dma, GFP_ATOMIC);
    if (page->cpu_addr == NULL) {
        kernel_host_free(p->dev->kernel, page);
        return false;
    }
    page->next = p->pages;
    p->pages   = page;
    for (size_t at = PAGE_SIZE; at >= p->block_bytes; at -= p->block_bytes)
        add_block(p, page, at - p->block_bytes);
    return true;
}

struct dma_block *dma_pool_alloc(struct dma_pool *p)
{
    cpu_spend(cpu_this(), p->dev->kernel->cost.slab_cycles);
    if (p->free == NULL && !grow(p))
        return NULL;
    struct dma_block *b = p->free;
    p->free             = b->next;
    p->out++;
    return b;
}

void dma_pool_free(struct dma_pool *p, struct dma_block *b)
{
    CHECK(p->out > 0);
    cpu_spend(cpu_this(), p->dev->kernel->cost.slab_cycles);
    b->next = p->free;
    p->free = b;
    p->out--;
}

void dma_pool_destroy(struct dma_pool *p)
{
    CHECK(p->out == 0);
    while (p->free != NULL) {
        struct dma_block *b = p->free;
        p->free             = b->next;
        kernel_host_free(p->dev->kernel, b);
    }
    while (p->pages != NULL) {
        struct dma_pool_page *page = p->pages;
        p->pages                   = page->next;
        dma_free_coherent(p->dev, PAGE_SIZE, page->cpu_addr, page->dma);
        kernel_host_free(p->dev->kernel, page);
    }
}
