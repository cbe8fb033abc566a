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
    for (uint32_t i = 1; i < segments; i++)
        if (((segment[i - 1].phys + segment[i - 1].bytes) | segment[i].phys) & granule_mask)
            return true;
    return false;
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

/* ---- The IOVA API
 * ------------------------------------------------------------------------------ */

/* Links every segment at the running offset; what was linked goes again on an error. */
static int link_all(struct device *dev, const struct blk_segment *segment,
                    uint32_t segments, struct blk_mapping *m)
{
    size_t linked = 0;
    int error     = 0;
    for (uint32_t i = 0; i < segments && error == 0; i++) {
        error = dma_iova_link(dev, &m->state, segment[i].phys, linked, segment[i].bytes,
                              m->dir, 0);
        if (error == 0)
            linked += segment[i].bytes;
    }
    if (error == 0)
        error = dma_iova_sync(dev, &m->state, 0, linked);
    if (error != 0)
        dma_iova_destroy(dev, &m->state, linked, m->dir, 0);
    return error;
}

static bool can_coalesce(struct device *dev, const struct blk_segment *segment,
                         uint32_t segments, struct blk_mapping *m)
{
    if (blk_has_gap(segment, segments, dma_get_merge_boundary(dev))) {
        m->state = (struct dma_iova_state){ 0, 0 };
        return false;
    }
    return dma_iova_try_alloc(dev, &m->state, segment[0].phys, m->bytes);
}

static int map_coalesced(struct device *dev, const struct blk_segment *segment,
                         uint32_t segments, struct blk_mapping *m)
{
    const int error = link_all(dev, segment, segments, m);
    if (error != 0)
        return error;
    m->kind     = BLK_COALESCED;
    m->range[0] = (struct blk_range){ m->state.addr, m->bytes };
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
    if (segments == 1)
        return map_single(dev, segment, m);
    if (api == BLK_sg)
        return map_list(dev, config, segment, segments, m);
    if (api == BLK_iova && can_coalesce(dev, segment, segments, m))
        return map_coalesced(dev, segment, segments, m);
    return map_pieces(dev, config, segment, segments, m);
}

void blk_unmap(struct device *dev, struct blk_mapping *m)
{
    switch (m->kind) {
    case BLK_SINGLE:
        dma_unmap_page(dev, m->range[0].addr, m->range[0].bytes, m->dir);
        break;
    case BLK_COALESCED:
        dma_iova_destroy(dev, &m->state, m->bytes, m->dir, 0);
        break;
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
    }
    UNREACHABLE("a mapping is of one of these kinds");
}
