/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/blk_dma.h"

#include "dma_api/kernel.h"

#define NAME(name, text) #name,
#define TEXT(name, text) text,
const char *const blk_api_name[BLK_API_COUNT] = { BLK_APIS(NAME) };
const char *const blk_api_text[BLK_API_COUNT] = { BLK_APIS(TEXT) };

#define PARAM_OWNER struct blk_config
static const struct param_def blk_params[] = { BLK_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table blk_param_table   = { "blk",
                                               "The block layer's mapping of a request",
                                               blk_params, sizeof(struct blk_config), NULL };

bool blk_has_gap(const struct blk_segment *segment, uint32_t segments,
                 unsigned long granule_mask)
{
    return (blk_req_gap_mask(segment, segments) & granule_mask) != 0;
}

/* ---- One segment
 * ------------------------------------------------------------------------------ */

static int map_single(struct device *dev, const struct blk_segment *segment,
                      struct blk_mapping *m)
{
    const dma_addr_t addr =
        dma_map_page(dev, phys_to_page(segment->phys), segment->phys & ~PAGE_MASK,
                     segment->bytes, m->dir);
    if (dma_mapping_error(dev, addr))
        return -ENOMEM;
    m->kind     = BLK_SINGLE;
    m->range[0] = (struct blk_range){ addr, segment->bytes };
    m->ranges   = 1;
    return 0;
}

/* ---- Segment by segment
 * -------------------------------------------------------------------------- */

static void unmap_pieces(struct device *dev, struct blk_mapping *m)
{
    for (uint32_t i = 0; m->must_unmap && i < m->ranges; i++)
        dma_unmap_phys(dev, m->range[i].addr, m->range[i].bytes, m->dir, 0);
}

static int map_pieces(struct device *dev, const struct blk_config *config,
                      const struct blk_segment *segment, uint32_t segments,
                      struct blk_mapping *m)
{
    struct cpu *cpu = cpu_this();
    m->kind         = BLK_PIECES;
    for (m->ranges = 0; m->ranges < segments; m->ranges++) {
        const struct blk_segment *s = &segment[m->ranges];
        const dma_addr_t addr       = dma_map_phys(dev, s->phys, s->bytes, m->dir, 0);
        if (dma_mapping_error(dev, addr)) {
            unmap_pieces(dev, m);
            return -ENOMEM;
        }
        m->range[m->ranges] = (struct blk_range){ addr, s->bytes };
        if (m->must_unmap)
            cpu_spend(cpu, config->vec_cycles);
    }
    return 0;
}

/* ---- The block layer's iterator
 * -------------------------------------------------------------------------- */

static struct blk_dma_request request_of(const struct blk_segment *segment,
                                         const struct blk_mapping *m)
{
    return (struct blk_dma_request){ segment, m->segments, m->bytes, m->dir, NULL, 0 };
}

static int map_iterator(struct device *dev, const struct blk_config *config,
                        const struct blk_segment *segment, struct blk_mapping *m)
{
    const struct blk_dma_request req = request_of(segment, m);
    struct blk_dma_iter iter;
    m->ranges = 0;
    if (!blk_rq_dma_map_iter_start(&req, dev, &m->state, &iter))
        return iter.status == BLK_STS_RESOURCE ? -ENOMEM : -EIO;
    m->kind = blk_rq_dma_map_coalesced(&m->state) ? BLK_COALESCED : BLK_PIECES;
    do {
        m->range[m->ranges++] = (struct blk_range){ iter.addr, iter.len };
        if (m->must_unmap && m->kind == BLK_PIECES)
            cpu_spend(cpu_this(), config->vec_cycles);
    } while (blk_rq_dma_map_iter_next(&req, dev, &m->state, &iter));
    if (iter.status == BLK_STS_OK)
        return 0;
    unmap_pieces(dev, m);
    return -ENOMEM;
}

/* ---- A scatter list
 * -------------------------------------------------------------------------------- */

static int map_list(struct device *dev, const struct blk_config *config,
                    const struct blk_segment *segment, uint32_t segments,
                    struct blk_mapping *m)
{
    struct cpu *cpu     = cpu_this();
    struct sg_table sgt = { .sgl = m->sgl, .orig_nents = segments };
    struct scatterlist *sg;
    unsigned int i;
    sg_init_table(m->sgl, segments);
    cpu_spend(cpu, config->sg_alloc_cycles);
    for_each_sg(m->sgl, sg, segments, i)
    {
        cpu_spend(cpu, config->scatterlist_cycles);
        sg_set_page(sg, phys_to_page(segment[i].phys), segment[i].bytes,
                    (unsigned int)(segment[i].phys & ~PAGE_MASK));
    }
    const int error = dma_map_sgtable(dev, &sgt, m->dir, 0);
    if (error != 0)
        return error == -ENOMEM ? -ENOMEM : -EIO;
    m->kind   = BLK_LIST;
    m->ranges = sgt.nents;
    for_each_sg(m->sgl, sg, sgt.nents, i) m->range[i] =
        (struct blk_range){ sg_dma_address(sg), sg_dma_len(sg) };
    return 0;
}

/* ---- Choice
 * -----------------------------------------------------------------------------------------
 */

/* The physically contiguous runs of a request's segments. */
static uint32_t join_runs(const struct blk_segment *segment, uint32_t segments,
                          struct blk_segment *run)
{
    uint32_t runs = 0;
    for (uint32_t i = 0; i < segments; i++) {
        struct blk_segment *last = runs > 0 ? &run[runs - 1] : NULL;
        if (last != NULL && last->phys + last->bytes == segment[i].phys)
            last->bytes += segment[i].bytes;
        else
            run[runs++] = segment[i];
    }
    return runs;
}

int blk_map(struct device *dev, const struct blk_config *config, enum blk_api api,
            const struct blk_segment *segment, uint32_t segments,
            enum dma_data_direction dir, struct blk_mapping *m)
{
    CHECK(segments > 0);
    CHECK(segments <= BLK_SEGMENTS_MAX);
    m->dir        = dir;
    m->must_unmap = dma_need_unmap(dev);
    m->segments   = segments;
    m->bytes      = 0;
    for (uint32_t i = 0; i < segments; i++)
        m->bytes += segment[i].bytes;
    cpu_spend(cpu_this(), (uint64_t)segments * config->segment_cycles);
    if (segments == 1 && !m->general)
        return map_single(dev, segment, m);
    if (m->run != NULL) {
        m->segments = segments = join_runs(segment, segments, m->run);
        segment                = m->run;
    }
    if (api == BLK_sg)
        return map_list(dev, config, segment, segments, m);
    if (api == BLK_iova)
        return map_iterator(dev, config, segment, m);
    return map_pieces(dev, config, segment, segments, m);
}

/* ---- A mapping that stays
 * ---------------------------------------------------------------------------- */

static void hand_over(struct device *dev, const struct blk_mapping *m,
                      void (*sync)(struct device *dev, dma_addr_t addr, size_t size,
                                   enum dma_data_direction dir))
{
    for (uint32_t i = 0; i < m->ranges; i++)
        if (dma_need_sync(dev, m->range[i].addr))
            sync(dev, m->range[i].addr, m->range[i].bytes, m->dir);
}

void blk_borrow(struct device *dev, const struct blk_config *config,
                const struct blk_mapping *whole, uint32_t offset, uint32_t bytes,
                uint32_t segments, enum dma_data_direction dir, struct blk_mapping *m)
{
    CHECK(bytes > 0);
    CHECK(bytes <= whole->bytes - offset);
    m->kind       = BLK_PREMAPPED;
    m->dir        = dir;
    m->must_unmap = false;
    m->bytes      = bytes;
    m->segments   = segments;
    m->ranges     = 0;
    cpu_spend(cpu_this(), config->buffer_cycles);
    for (const struct blk_range *r = whole->range; bytes > 0; r++) {
        if (offset >= r->bytes) {
            offset -= r->bytes;
            continue;
        }
        const uint32_t room = r->bytes - offset;
        const uint32_t part = bytes < room ? bytes : room;
        CHECK(m->ranges < segments);
        m->range[m->ranges++] = (struct blk_range){ r->addr + offset, part };
        bytes -= part;
        offset = 0;
    }
    hand_over(dev, m, dma_sync_single_for_device);
}

void blk_unmap(struct device *dev, struct blk_mapping *m)
{
    switch (m->kind) {
    case BLK_SINGLE:
        dma_unmap_page(dev, m->range[0].addr, m->range[0].bytes, m->dir);
        break;
    case BLK_COALESCED: {
        const struct blk_dma_request req = request_of(NULL, m);
        blk_rq_dma_unmap(&req, dev, &m->state, m->bytes, PCI_P2PDMA_MAP_NONE);
        break;
    }
    case BLK_PIECES:
        unmap_pieces(dev, m);
        break;
    case BLK_LIST: {
        struct sg_table sgt = { .sgl        = m->sgl,
                                .nents      = m->ranges,
                                .orig_nents = m->segments };
        dma_unmap_sgtable(dev, &sgt, m->dir, 0);
        break;
    }
    case BLK_PREMAPPED:
        hand_over(dev, m, dma_sync_single_for_cpu);
        break;
    case BLK_UNMAPPED:
        break;
    }
    m->kind = BLK_UNMAPPED;
}

uint32_t blk_address_bytes(const struct blk_mapping *m)
{
    if (!m->must_unmap)
        return 0;
    switch (m->kind) {
    case BLK_UNMAPPED:
        return 0;
    case BLK_SINGLE:
        return sizeof(dma_addr_t); /* The length is the request's. */
    case BLK_COALESCED:
        return sizeof(struct dma_iova_state);
    case BLK_PIECES:
        return m->ranges * 16; /* Address and length, padded, as struct nvme_dma_vec. */
    case BLK_LIST:
        return m->segments * (uint32_t)sizeof(struct scatterlist);
    case BLK_PREMAPPED:
        return 0;
    }
    UNREACHABLE("a mapping is of one of these kinds");
}
