/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-pool - small blocks of coherent memory (linux/dmapool.h).
 *
 * Memory is taken from dma_alloc_coherent when the free blocks run out and stays mapped
 * until the pool is destroyed. One lock for all CPUs; it is not held while the pool grows.
 * Follows mm/dmapool.c of Linux 6.12 to 7.3.
 */
#include "dma_api/kernel.h"
#include "sim/base/lg2.h"

enum { BLOCK_MIN = 16 }; /* What a free block says of itself. */

struct block {
    void *cpu_addr;
    dma_addr_t dma;
    struct block *next;
};

struct chunk {
    void *cpu_addr;
    dma_addr_t dma;
    struct chunk *next;
};

struct dma_pool {
    struct device *dev;
    struct lock lock;
    size_t size, bytes, boundary; /* Of a block, and of what is allocated at once. */
    struct block *free, *spare;   /* spare: of blocks that are out. */
    struct chunk *chunks;
    uint64_t out;
};

static bool power_of_two(size_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

struct dma_pool *dma_pool_create(const char *name, struct device *dev, size_t size,
                                 size_t align, size_t boundary)
{
    (void)name;
    align = align == 0 ? 1 : align;
    if (dev == NULL || !power_of_two(align) || size == 0 || size > INT32_MAX)
        return NULL;
    size               = size < BLOCK_MIN ? BLOCK_MIN : size;
    size               = (size + align - 1) & ~(align - 1);
    const size_t bytes = size < PAGE_SIZE ? PAGE_SIZE : size;
    if (boundary != 0 && (boundary < size || !power_of_two(boundary)))
        return NULL;
    struct dma_pool *p = kernel_host_try(dev->kernel, 1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->dev      = dev;
    p->size     = size;
    p->bytes    = bytes;
    p->boundary = boundary == 0 || boundary > bytes ? bytes : boundary;
    return p;
}

static struct block *new_block(struct dma_pool *p, const struct chunk *c, size_t offset)
{
    struct block *b = kernel_host_alloc(p->dev->kernel, 1, sizeof *b);
    *b              = (struct block){ (char *)c->cpu_addr + offset, c->dma + offset, NULL };
    return b;
}

/* Where the block behind offset lies: blocks do not cross the boundary. */
static size_t block_at(const struct dma_pool *p, size_t offset)
{
    const size_t inside = offset & (p->boundary - 1);
    if (p->boundary == p->bytes || inside + p->size <= p->boundary)
        return offset;
    return offset - inside + p->boundary;
}

static struct chunk *new_chunk(struct dma_pool *p, gfp_t gfp)
{
    struct chunk *c = kernel_host_try(p->dev->kernel, 1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->cpu_addr = dma_alloc_coherent(p->dev, p->bytes, &c->dma, gfp);
    if (c->cpu_addr == NULL) {
        kernel_host_free(p->dev->kernel, c);
        return NULL;
    }
    return c;
}

static void add_chunk(struct dma_pool *p, struct chunk *c)
{
    c->next             = p->chunks;
    p->chunks           = c;
    struct block **link = &p->free, *rest = p->free;
    for (size_t at = 0; at + p->size <= p->bytes; at = block_at(p, at + p->size)) {
        *link = new_block(p, c, at); /* The lowest is taken first. */
        link  = &(*link)->next;
    }
    *link = rest;
}

void *dma_pool_alloc(struct dma_pool *p, gfp_t gfp, dma_addr_t *handle)
{
    struct cpu *cpu = cpu_this();
    cpu_spend(cpu, p->dev->kernel->cost.slab_cycles);
    lock_take(cpu, &p->lock);
    if (p->free == NULL) {
        lock_release(cpu, &p->lock);
        struct chunk *c = new_chunk(p, gfp);
        if (c == NULL)
            return NULL;
        lock_take(cpu, &p->lock);
        add_chunk(p, c);
    }
    struct block *b = p->free;
    p->free         = b->next;
    b->next         = p->spare;
    p->spare        = b;
    p->out++;
    *handle             = b->dma;
    void *const address = b->cpu_addr;
    lock_release(cpu, &p->lock);
    return address;
}

void *dma_pool_zalloc(struct dma_pool *p, gfp_t gfp, dma_addr_t *handle)
{
    static const char zeroes[64];
    struct kernel *k = p->dev->kernel;
    void *memory     = dma_pool_alloc(p, gfp, handle);
    for (size_t at = 0; memory != NULL && at < p->size; at += sizeof zeroes) {
        const size_t left = p->size - at;
        memory_write(k->memory, virt_to_phys(memory) + at, zeroes,
                     left < sizeof zeroes ? left : sizeof zeroes);
    }
    cpu_spend(cpu_this(), k->cost.page_zero_cycles * p->size / PAGE_SIZE);
    return memory;
}

void dma_pool_free(struct dma_pool *p, void *cpu_addr, dma_addr_t dma)
{
    struct cpu *cpu = cpu_this();
    cpu_spend(cpu, p->dev->kernel->cost.slab_cycles);
    lock_take(cpu, &p->lock);
    struct block *b = p->spare;
    CHECK(p->out > 0);
    CHECK(b != NULL);
    p->spare = b->next;
    *b       = (struct block){ cpu_addr, dma, p->free };
    p->free  = b;
    p->out--;
    lock_release(cpu, &p->lock);
}

static void free_blocks(struct dma_pool *p, struct block *b)
{
    while (b != NULL) {
        struct block *next = b->next;
        kernel_host_free(p->dev->kernel, b);
        b = next;
    }
}

void dma_pool_destroy(struct dma_pool *p)
{
    if (p == NULL)
        return;
    CHECK(p->out == 0);
    free_blocks(p, p->free);
    free_blocks(p, p->spare);
    while (p->chunks != NULL) {
        struct chunk *c = p->chunks;
        p->chunks       = c->next;
        dma_free_coherent(p->dev, p->bytes, c->cpu_addr, c->dma);
        kernel_host_free(p->dev->kernel, c);
    }
    kernel_host_free(p->dev->kernel, p);
}
