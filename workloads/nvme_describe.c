/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvme_describe.h"

#include <string.h>

#include "dma_api/kernel.h"

/* ---- PRPs
 * ----------------------------------------------------------------------------------------
 */

static struct nvme_list_page *new_list(struct nvme_request *r, bool small)
{
    struct nvme_driver *d = r->queue->driver;
    if (r->lists == NVME_LISTS_MAX)
        return NULL;
    struct nvme_list_page *list = &r->list[r->lists];
    list->cpu_addr =
        dma_pool_alloc(small ? d->small_pool : d->page_pool, GFP_ATOMIC, &list->dma);
    if (list->cpu_addr == NULL)
        return NULL;
    r->small_list = small;
    r->lists++;
    return list;
}

static void put_entry(struct nvme_request *r, const struct nvme_list_page *list,
                      uint32_t slot, uint64_t entry)
{
    struct cpu *cpu = cpu_this();
    cpu_spend(cpu, r->queue->driver->config.prp_cycles);
    cpu_write64(cpu, virt_to_phys(list->cpu_addr) + slot * NVME_PRP_BYTES, entry);
}

/* The pages of a mapping's ranges, one after the other. */
struct page_cursor {
    const struct blk_range *range;
    uint32_t left; /* Ranges, this one included. */
    dma_addr_t addr;
    uint64_t bytes; /* Of this range from addr on. */
};

static void cursor_advance(struct page_cursor *c, uint64_t bytes)
{
    CHECK(bytes <= c->bytes);
    c->addr += bytes;
    c->bytes -= bytes;
    if (c->bytes == 0 && --c->left > 0) {
        c->range++;
        c->addr  = c->range->addr;
        c->bytes = c->range->bytes;
    }
}

/* The list goes on in another page: its last entry moves there and points to it instead. */
static int fill_lists(struct nvme_request *r, struct page_cursor *c, uint32_t pages,
                      uint64_t *first)
{
    const bool small            = pages * NVME_PRP_BYTES <= NVME_SMALL_BYTES;
    struct nvme_list_page *list = new_list(r, small);
    if (list == NULL)
        return -ENOMEM;
    *first        = list->dma;
    uint32_t slot = 0;
    for (; pages > 0; pages--) {
        if (slot == NVME_PRP_SLOTS - 1 && pages > 1) {
            struct nvme_list_page *next = new_list(r, false);
            if (next == NULL)
                return -ENOMEM;
            put_entry(r, list, slot, next->dma);
            list = next;
            slot = 0;
        }
        put_entry(r, list, slot++, c->addr);
        cursor_advance(c, c->bytes < NVME_PAGE_BYTES ? c->bytes : NVME_PAGE_BYTES);
    }
    return 0;
}

static uint32_t pages_left(const struct page_cursor *c)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < c->left; i++) {
        const uint64_t bytes = i == 0 ? c->bytes : c->range[i].bytes;
        pages += (bytes + NVME_PAGE_BYTES - 1) >> NVME_PAGE_LG2;
    }
    return (uint32_t)pages;
}

static int describe_prp(struct nvme_request *r, union nvme_data_pointer *data)
{
    const struct blk_mapping *m = &r->mapping;
    struct page_cursor c = { m->range, m->ranges, m->range[0].addr, m->range[0].bytes };
    const uint64_t room  = NVME_PAGE_BYTES - (c.addr & (NVME_PAGE_BYTES - 1));
    data->prp[0]         = c.addr;
    cursor_advance(&c, c.bytes < room ? c.bytes : room);
    const uint32_t pages = c.left == 0 ? 0 : pages_left(&c);
    r->queue->stats.described_prp++;
    if (pages > 1)
        return fill_lists(r, &c, pages, &data->prp[1]);
    data->prp[1] = pages == 1 ? c.addr : 0;
    return 0;
}

/* ---- SGLs
 * ----------------------------------------------------------------------------------------
 */

static struct nvme_sgl data_block(const struct blk_range *range)
{
    return (struct nvme_sgl){ .iova  = range->addr,
                              .bytes = range->bytes,
                              .type  = NVME_SGL_DATA };
}

static void put_descriptor(struct nvme_request *r, const struct nvme_list_page *list,
                           uint32_t slot, const struct nvme_sgl *sgl)
{
    struct cpu *cpu        = cpu_this();
    const phys_addr_t phys = virt_to_phys(list->cpu_addr) + slot * sizeof *sgl;
    uint64_t word[2];
    memcpy(word, sgl, sizeof word);
    cpu_spend(cpu, r->queue->driver->config.sgl_cycles);
    cpu_write64(cpu, phys, word[0]);
    cpu_write64(cpu, phys + 8, word[1]);
}

static int describe_sgl(struct nvme_request *r, union nvme_data_pointer *data)
{
    const struct blk_mapping *m = &r->mapping;
    const uint32_t bytes        = m->ranges * (uint32_t)sizeof(struct nvme_sgl);
    r->queue->stats.described_sgl++;
    if (m->ranges == 1) {
        data->sgl = data_block(&m->range[0]);
        return 0;
    }
    struct nvme_list_page *list = new_list(r, bytes <= NVME_SMALL_BYTES);
    if (list == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < m->ranges; i++) {
        const struct nvme_sgl sgl = data_block(&m->range[i]);
        put_descriptor(r, list, i, &sgl);
    }
    data->sgl = (struct nvme_sgl){ .iova  = list->dma,
                                   .bytes = bytes,
                                   .type  = NVME_SGL_LAST_SEGMENT };
    return 0;
}

/* ---- Which of the two
 * ------------------------------------------------------------------------------ */

static bool has_gap(const struct nvme_request *r)
{
    return blk_has_gap(r->io.segment, r->io.segments, NVME_PAGE_BYTES - 1);
}

/* A user's command says itself how long its buffers are: the drive is told, too. */
static bool of_user(const struct nvme_request *r)
{
    return r->io.user && r->queue->driver->kernel->release >= LINUX_6_18;
}

/* A gap that PRPs cannot express forces SGLs; so do several pieces of metadata, for which
 * there is no flag beside PRPs. */
static bool sgl_forced(const struct nvme_request *r)
{
    return has_gap(r) || r->metadata_segments > 1 || of_user(r);
}

/* Two PRPs are enough for the first segment: no need for an SGL or a list. */
static bool two_prps_reach(const struct nvme_request *r)
{
    const struct blk_segment *s = &r->io.segment[0];
    return (s->phys & (NVME_PAGE_BYTES - 1)) + s->bytes <= 2 * NVME_PAGE_BYTES;
}

/* 6.12 asks for the threshold, too. */
bool nvme_describes_single(const struct nvme_request *r)
{
    const struct nvme_driver *d = r->queue->driver;
    const bool switched_off =
        d->kernel->release < LINUX_6_18 && d->config.sgl_threshold_kib == 0;
    return two_prps_reach(r) || (d->has_sgl && !switched_off);
}

static bool sgl_preferred(const struct nvme_request *r)
{
    const struct nvme_driver *d = r->queue->driver;
    const struct blk_mapping *m = &r->mapping;
    const uint64_t threshold    = (uint64_t)d->config.sgl_threshold_kib << 10;
    const uint64_t average      = (m->bytes + m->ranges - 1) / m->ranges;
    if (m->kind == BLK_SINGLE)
        return !two_prps_reach(r);
    return threshold != 0 && average >= threshold;
}

int nvme_describe(struct nvme_request *r, struct nvme_sqe *sqe)
{
    const bool has_sgl = r->queue->driver->has_sgl;
    if (has_gap(r) && !has_sgl)
        return -EIO; /* The block layer would have split it at the gap. */
    if (!has_sgl || (!sgl_forced(r) && !sgl_preferred(r)))
        return describe_prp(r, &sqe->data);
    sqe->flags = NVME_FLAGS_SGL;
    return describe_sgl(r, &sqe->data);
}

/* ---- Metadata
 * ----------------------------------------------------------------------------------------
 */

/* The pointer's segment is one descriptor: of the one piece, or of those behind it. */
static int describe_metadata_sgl(struct nvme_request *r, struct nvme_sqe *sqe)
{
    const struct blk_mapping *m = &r->metadata;
    struct nvme_list_page *list = &r->metadata_list;
    CHECK((m->ranges + 1) * sizeof(struct nvme_sgl) <= NVME_SMALL_BYTES);
    list->cpu_addr = dma_pool_alloc(r->queue->driver->small_pool, GFP_ATOMIC, &list->dma);
    if (list->cpu_addr == NULL)
        return -ENOMEM;
    struct nvme_sgl first = data_block(&m->range[0]);
    if (r->metadata_segments > 1 && m->kind != BLK_COALESCED) {
        for (uint32_t i = 0; i < m->ranges; i++) {
            const struct nvme_sgl sgl = data_block(&m->range[i]);
            put_descriptor(r, list, i + 1, &sgl);
        }
        first = (struct nvme_sgl){ .iova  = list->dma + sizeof first,
                                   .bytes = m->ranges * (uint32_t)sizeof first,
                                   .type  = NVME_SGL_LAST_SEGMENT };
    }
    put_descriptor(r, list, 0, &first);
    sqe->flags    = NVME_FLAGS_SGL_METADATA;
    sqe->metadata = list->dma;
    r->queue->stats.metadata_sgl++;
    return 0;
}

/* Pieces that touch are still several, unless the IOVA API made one range of them. Of one
 * the pointer says where it is, but not how long. */
int nvme_describe_metadata(struct nvme_request *r, struct nvme_sqe *sqe)
{
    const bool several = r->metadata_segments > 1 && r->metadata.kind != BLK_COALESCED;
    if (several || (r->queue->driver->metadata_sgl && of_user(r)))
        return describe_metadata_sgl(r, sqe);
    sqe->metadata = r->metadata.range[0].addr;
    r->queue->stats.metadata_pointer++;
    return 0;
}

/* ---- The end
 * ----------------------------------------------------------------------------------------
 */

void nvme_undescribe(struct nvme_request *r)
{
    struct nvme_driver *d = r->queue->driver;
    for (uint32_t i = 0; i < r->lists; i++)
        dma_pool_free(r->small_list ? d->small_pool : d->page_pool, r->list[i].cpu_addr,
                      r->list[i].dma);
    r->lists = 0;
    if (r->metadata_list.cpu_addr != NULL)
        dma_pool_free(d->small_pool, r->metadata_list.cpu_addr, r->metadata_list.dma);
    r->metadata_list.cpu_addr = NULL;
}
