/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/blk-mq-dma.h"

unsigned long blk_req_gap_mask(const struct blk_segment *segment, uint32_t segments)
{
    phys_addr_t bits = 0;
    for (uint32_t i = 1; i < segments; i++)
        bits |= (segment[i - 1].phys + segment[i - 1].bytes) | segment[i].phys;
    return (unsigned long)-(bits & -bits);
}

static unsigned long attrs_of(enum pci_p2pdma_map_type map)
{
    return map == PCI_P2PDMA_MAP_THRU_HOST_BRIDGE ? DMA_ATTR_MMIO : 0;
}

static blk_status_t errno_to_blk_status(int error)
{
    return error == -ENOMEM ? BLK_STS_RESOURCE : BLK_STS_IOERR;
}

/* By bus address: neither the IOMMU nor the DMA API has part in it. */
static bool blk_dma_map_bus(const struct blk_segment *vec, struct blk_dma_iter *iter)
{
    iter->addr = pci_p2pdma_bus_addr_map(&iter->p2pdma, vec->phys);
    iter->len  = vec->bytes;
    return true;
}

static bool blk_dma_map_direct(const struct blk_dma_request *req, struct device *dev,
                               const struct blk_segment *vec, struct blk_dma_iter *iter)
{
    iter->addr =
        dma_map_phys(dev, vec->phys, vec->bytes, req->dir, attrs_of(iter->p2pdma.map));
    if (dma_mapping_error(dev, iter->addr)) {
        iter->status = BLK_STS_RESOURCE;
        return false;
    }
    iter->len = vec->bytes;
    return true;
}

/* Links every segment into the range that has been allocated, or leaves nothing of it. */
static bool blk_rq_dma_map_iova(const struct blk_dma_request *req, struct device *dev,
                                struct dma_iova_state *state, struct blk_dma_iter *iter)
{
    const unsigned long attrs = attrs_of(iter->p2pdma.map);
    size_t mapped             = 0;
    int error                 = 0;
    for (uint32_t i = 0; i < req->segments && error == 0; i++) {
        const struct blk_segment *vec = &req->segment[i];
        error = dma_iova_link(dev, state, vec->phys, mapped, vec->bytes, req->dir, attrs);
        if (error == 0)
            mapped += vec->bytes;
    }
    if (error == 0)
        error = dma_iova_sync(dev, state, 0, mapped);
    if (error != 0) {
        dma_iova_destroy(dev, state, mapped, req->dir, attrs);
        iter->status = errno_to_blk_status(error);
        return false;
    }
    iter->addr = state->addr;
    iter->len  = (uint32_t)dma_iova_size(state);
    iter->next = req->segments;
    return true;
}

static bool blk_can_dma_map_iova(const struct blk_dma_request *req, struct device *dev)
{
    return (blk_req_gap_mask(req->segment, req->segments) & dma_get_merge_boundary(dev))
           == 0;
}

bool blk_rq_dma_map_iter_start(const struct blk_dma_request *req, struct device *dev,
                               struct dma_iova_state *state, struct blk_dma_iter *iter)
{
    const struct blk_segment *vec = &req->segment[0];
    *state                        = (struct dma_iova_state){ 0, 0 };
    *iter                = (struct blk_dma_iter){ .status = BLK_STS_OK, .next = 1 };
    iter->p2pdma.windows = req->peer;
    iter->p2pdma.count   = req->peers;
    switch (pci_p2pdma_state(&iter->p2pdma, dev, phys_to_page(vec->phys))) {
    case PCI_P2PDMA_MAP_BUS_ADDR:
        return blk_dma_map_bus(vec, iter);
    case PCI_P2PDMA_MAP_NONE:
    case PCI_P2PDMA_MAP_THRU_HOST_BRIDGE:
        break;
    default:
        iter->status = BLK_STS_INVAL;
        return false;
    }
    if (blk_can_dma_map_iova(req, dev)
        && dma_iova_try_alloc(dev, state, vec->phys, req->bytes))
        return blk_rq_dma_map_iova(req, dev, state, iter);
    return blk_dma_map_direct(req, dev, vec, iter);
}

bool blk_rq_dma_map_iter_next(const struct blk_dma_request *req, struct device *dev,
                              struct dma_iova_state *state, struct blk_dma_iter *iter)
{
    (void)state;
    if (iter->next == req->segments)
        return false;
    const struct blk_segment *vec = &req->segment[iter->next++];
    if (iter->p2pdma.map == PCI_P2PDMA_MAP_BUS_ADDR)
        return blk_dma_map_bus(vec, iter);
    return blk_dma_map_direct(req, dev, vec, iter);
}

bool blk_rq_dma_unmap(const struct blk_dma_request *req, struct device *dev,
                      struct dma_iova_state *state, size_t mapped_len,
                      enum pci_p2pdma_map_type map)
{
    if (map == PCI_P2PDMA_MAP_BUS_ADDR)
        return true;
    if (blk_rq_dma_map_coalesced(state)) {
        dma_iova_destroy(dev, state, mapped_len, req->dir, attrs_of(map));
        return true;
    }
    return !dma_need_unmap(dev);
}
