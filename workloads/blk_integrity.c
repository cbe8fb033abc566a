/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/blk_integrity.h"

#include <string.h>

#include "dma_api/kernel.h"
#include "sim/base/lg2.h"

enum { LINE = 64 };

/* ---- Stacks ---------------------------------------------------------------------------
 */

static void push(struct kernel *k, struct integrity_stack *s, phys_addr_t phys)
{
    if (s->count == s->room) {
        const uint32_t room = s->room == 0 ? 16 : 2 * s->room;
        phys_addr_t *item   = kernel_host_alloc(k, room, sizeof *item);
        if (s->count > 0)
            memcpy(item, s->item, s->count * sizeof *item);
        kernel_host_free(k, s->item);
        s->item = item;
        s->room = room;
    }
    s->item[s->count++] = phys;
}

/* ---- Buffers --------------------------------------------------------------------------
 */

static unsigned lg2_of(uint32_t bytes)
{
    const unsigned lg2 = (unsigned)lg2_ceil(bytes);
    return lg2 < INTEGRITY_LEAST_LG2 ? INTEGRITY_LEAST_LG2 : lg2;
}

static bool is_cut(unsigned lg2)
{
    return lg2 < INTEGRITY_LEAST_LG2 + INTEGRITY_CLASSES;
}

/* The lowest address is handed out first. */
static bool cut_page(struct integrity_pool *p, unsigned lg2)
{
    const phys_addr_t page = kernel_pages_get(p->kernel, 0);
    if (page == 0)
        return false;
    push(p->kernel, &p->slab, page);
    for (uint64_t at = PAGE_SIZE; at > 0; at -= UINT64_C(1) << lg2)
        push(p->kernel, &p->free[lg2 - INTEGRITY_LEAST_LG2],
             page + at - (UINT64_C(1) << lg2));
    return true;
}

/* The bio's payload and the buffer come from slabs each. */
static void spend_slabs(const struct integrity_pool *p)
{
    cpu_spend(cpu_this(), 2 * (uint64_t)p->kernel->cost.slab_cycles);
}

static phys_addr_t take(struct integrity_pool *p, uint32_t bytes)
{
    const unsigned lg2 = lg2_of(bytes);
    spend_slabs(p);
    if (!is_cut(lg2))
        return kernel_pages_get(p->kernel, lg2 - PAGE_SHIFT);
    struct integrity_stack *free = &p->free[lg2 - INTEGRITY_LEAST_LG2];
    return free->count > 0 || cut_page(p, lg2) ? free->item[--free->count] : 0;
}

static void give_back(struct integrity_pool *p, phys_addr_t phys, uint32_t bytes)
{
    const unsigned lg2 = lg2_of(bytes);
    spend_slabs(p);
    if (is_cut(lg2))
        push(p->kernel, &p->free[lg2 - INTEGRITY_LEAST_LG2], phys);
    else
        kernel_pages_put(p->kernel, phys, lg2 - PAGE_SHIFT);
}

static void clear(phys_addr_t phys, uint32_t bytes)
{
    static const uint8_t zeroes[LINE];
    struct cpu *cpu = cpu_this();
    for (uint32_t at = 0; at < bytes; at += LINE) {
        cpu_store(cpu, memory_line(cpu->memory, phys + at));
        memory_write(cpu->memory, phys + at, zeroes, bytes - at < LINE ? bytes - at : LINE);
    }
}

/* ---- The pool -------------------------------------------------------------------------
 */

void integrity_pool_init(struct integrity_pool *p, struct kernel *kernel)
{
    *p = (struct integrity_pool){ .kernel = kernel };
}

void integrity_pool_free(struct integrity_pool *p)
{
    CHECK(p->out == 0);
    for (uint32_t i = 0; i < p->slab.count; i++)
        kernel_pages_put(p->kernel, p->slab.item[i], 0);
    kernel_host_free(p->kernel, p->slab.item);
    for (unsigned i = 0; i < INTEGRITY_CLASSES; i++)
        kernel_host_free(p->kernel, p->free[i].item);
}

/* ---- Requests -------------------------------------------------------------------------
 */

uint32_t integrity_bytes(const struct integrity_format *f, uint32_t bytes)
{
    return (bytes + f->block_bytes - 1) / f->block_bytes * f->metadata_bytes;
}

void integrity_put(struct integrity_pool *p, const struct blk_segment *segment,
                   uint32_t segments)
{
    CHECK(p->out >= segments);
    for (uint32_t i = 0; i < segments; i++)
        give_back(p, segment[i].phys, segment[i].bytes);
    p->out -= segments;
}

uint32_t integrity_get(struct integrity_pool *p, const struct integrity_format *f,
                       uint32_t bytes, uint32_t bio_bytes, bool write,
                       struct blk_segment *segment, uint32_t segments_max)
{
    uint32_t count = 0;
    CHECK(f->metadata_bytes > 0);
    CHECK(bytes > 0);
    for (uint32_t left = bytes; left > 0; count++) {
        const uint32_t bio  = bio_bytes == 0 || left < bio_bytes ? left : bio_bytes;
        const uint32_t size = integrity_bytes(f, bio);
        CHECK(count < segments_max);
        const phys_addr_t phys = take(p, size);
        if (phys == 0) {
            integrity_put(p, segment, count);
            return 0;
        }
        if (write)
            clear(phys, size);
        segment[count] = (struct blk_segment){ phys, size };
        p->out++;
        left -= bio;
    }
    return count;
}
