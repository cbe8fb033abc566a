/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/bare.h"

#include <stdlib.h>
#include <string.h>

#include "dma_api/kernel.h"

enum { FIRST_ROOM = 1024 };

void bare_init(struct bare *b, struct device *dev, struct mmio_window *registers)
{
    *b       = (struct bare){ .dev = dev, .registers = registers, .room = FIRST_ROOM };
    b->table = calloc(b->room, sizeof *b->table);
    b->mapping.range = calloc(BLK_SEGMENTS_MAX, sizeof *b->mapping.range);
    b->mapping.sgl   = calloc(BLK_SEGMENTS_MAX, sizeof *b->mapping.sgl);
    b->mapping.run   = calloc(BLK_SEGMENTS_MAX, sizeof *b->mapping.run);
    CHECK(b->table != NULL);
    CHECK(b->mapping.range != NULL);
    CHECK(b->mapping.sgl != NULL);
    CHECK(b->mapping.run != NULL);
}

void bare_free(struct bare *b)
{
    free(b->table);
    free(b->mapping.range);
    free(b->mapping.sgl);
    free(b->mapping.run);
}

int bare_map(struct bare *b, struct device *dev, const struct blk_config *config,
             enum blk_api api, const struct blk_segment *segment, uint32_t segments)
{
    CHECK(segments <= BLK_SEGMENTS_MAX);
    const int error =
        blk_map(dev, config, api, segment, segments, DMA_BIDIRECTIONAL, &b->mapping);
    if (error == 0)
        blk_unmap(dev, &b->mapping);
    return error;
}

/* ---- Memory that stays mapped ---------------------------------------------------------
 */

static struct bare_page *find(struct bare *b, uint64_t page)
{
    uint64_t at = (page * UINT64_C(0x9e3779b97f4a7c15)) >> 20;
    for (;; at++) {
        struct bare_page *p = &b->table[at & (b->room - 1)];
        if (p->page == 0 || p->page == page + 1)
            return p;
    }
}

static void grow(struct bare *b)
{
    struct bare_page *old   = b->table;
    const uint64_t old_room = b->room;
    b->room *= 2;
    b->table = calloc(b->room, sizeof *b->table);
    CHECK(b->table != NULL);
    for (uint64_t i = 0; i < old_room; i++)
        if (old[i].page != 0)
            *find(b, old[i].page - 1) = old[i];
    free(old);
}

static bool mapped(struct bare *b, phys_addr_t phys, dma_addr_t *dma)
{
    struct bare_page *p = find(b, phys >> PAGE_SHIFT);
    if (p->page == 0) {
        const dma_addr_t addr =
            dma_map_page(b->dev, phys_to_page(phys), 0, PAGE_SIZE, DMA_BIDIRECTIONAL);
        if (dma_mapping_error(b->dev, addr))
            return false;
        if (2 * ++b->pages > b->room) {
            grow(b);
            p = find(b, phys >> PAGE_SHIFT);
        }
        *p = (struct bare_page){ (phys >> PAGE_SHIFT) + 1, addr };
    }
    *dma = p->dma + (phys & ~PAGE_MASK);
    return true;
}

void bare_end(struct bare *b)
{
    for (uint64_t i = 0; i < b->room; i++)
        if (b->table[i].page != 0)
            dma_unmap_page(b->dev, b->table[i].dma, PAGE_SIZE, DMA_BIDIRECTIONAL);
    memset(b->table, 0, b->room * sizeof *b->table);
    b->pages = 0;
}

/* ---- Lists ----------------------------------------------------------------------------
 */

bool bare_full(const struct bare *b, uint32_t bytes)
{
    return b->listed == EXERCISER_LIST_MAX || (b->listed > 0 && b->bytes != bytes);
}

bool bare_access(struct bare *b, phys_addr_t phys, uint32_t bytes, bool writes)
{
    dma_addr_t dma;
    CHECK(!bare_full(b, bytes));
    if (!mapped(b, phys, &dma))
        return false;
    if (b->listed == 0)
        mmio_write64(b->registers, EXERCISER_BYTES, bytes);
    b->bytes = bytes;
    mmio_write64(b->registers, EXERCISER_LIST + 8 * b->listed++,
                 dma | (writes ? EXERCISER_WRITES : 0));
    return true;
}

void bare_flush(struct bare *b)
{
    struct cpu *cpu = cpu_this();
    if (b->listed == 0)
        return;
    mmio_write64(b->registers, EXERCISER_GO, b->listed);
    while (mmio_read64(b->registers, EXERCISER_BUSY) != 0)
        cpu_wait(cpu, cpu->time + TIME_US);
    b->listed = 0;
}
