/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nic_ring.h"

#include "dma_api/kernel.h"

/* ---- Descriptors --------------------------------------------------------------------- */

static unsigned next_slot(unsigned slot)
{
    return (slot + 1) % NIC_RING_SLOTS;
}

static unsigned slots_unused(const struct nic_ring *ring)
{
    return (ring->next_to_clean + NIC_RING_SLOTS - ring->next_to_use - 1) % NIC_RING_SLOTS;
}

static phys_addr_t desc_at(const struct nic_ring *ring, unsigned slot)
{
    return virt_to_phys(ring->desc) + 16 * (phys_addr_t)slot;
}

static void desc_write(const struct nic_ring *ring, unsigned slot, dma_addr_t addr,
                       uint64_t word)
{
    cpu_write64(cpu_this(), desc_at(ring, slot), addr);
    cpu_write64(cpu_this(), desc_at(ring, slot) + 8, word);
}

static uint64_t desc_status(const struct nic_ring *ring, unsigned slot)
{
    return cpu_read64(cpu_this(), desc_at(ring, slot) + 8);
}

static int ring_init(struct nic_ring *ring, struct device *dev)
{
    const int error = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
    if (error != 0)
        return error;
    *ring      = (struct nic_ring){ .dev = dev };
    ring->desc = dma_alloc_coherent(dev, NIC_RING_SLOTS * 16, &ring->desc_dma, GFP_KERNEL);
    return ring->desc == NULL ? -ENOMEM : 0;
}

static void ring_free(struct nic_ring *ring)
{
    dma_free_coherent(ring->dev, NIC_RING_SLOTS * 16, ring->desc, ring->desc_dma);
}

/* ---- Receive ------------------------------------------------------------------------- */

int nic_rx_init(struct nic_rx *rx, struct device *dev)
{
    *rx = (struct nic_rx){ .recycled = 0 };
    return ring_init(&rx->ring, dev);
}

static void rx_page_put(struct nic_rx *rx, struct nic_rx_buffer *b)
{
    dma_unmap_page(rx->ring.dev, b->dma, PAGE_SIZE, DMA_FROM_DEVICE);
    kernel_pages_put(rx->ring.dev->kernel, page_to_phys(b->page), 0);
    b->page = NULL;
}

void nic_rx_free(struct nic_rx *rx)
{
    for (unsigned i = 0; i < NIC_RING_SLOTS; i++)
        if (rx->buffer[i].page != NULL)
            rx_page_put(rx, &rx->buffer[i]);
    ring_free(&rx->ring);
}

static bool rx_alloc_mapped_page(struct nic_rx *rx, struct nic_rx_buffer *b)
{
    struct device *dev = rx->ring.dev;
    if (b->page != NULL)
        return true; /* Recycled. */
    const phys_addr_t phys = kernel_pages_get(dev->kernel, 0);
    if (phys == 0) {
        rx->failed++;
        return false;
    }
    const dma_addr_t dma =
        dma_map_page(dev, phys_to_page(phys), 0, PAGE_SIZE, DMA_FROM_DEVICE);
    if (dma_mapping_error(dev, dma)) {
        kernel_pages_put(dev->kernel, phys, 0);
        rx->failed++;
        return false;
    }
    b->page        = phys_to_page(phys);
    b->dma         = dma;
    b->page_offset = 0;
    return true;
}

unsigned nic_rx_refill(struct nic_rx *rx, unsigned count)
{
    struct nic_ring *ring = &rx->ring;
    unsigned filled       = 0;
    while (filled < count && slots_unused(ring) > 0) {
        struct nic_rx_buffer *b = &rx->buffer[ring->next_to_use];
        if (!rx_alloc_mapped_page(rx, b))
            break;
        dma_sync_single_range_for_device(ring->dev, b->dma, b->page_offset, NIC_RX_BYTES,
                                         DMA_FROM_DEVICE);
        desc_write(ring, ring->next_to_use, b->dma + b->page_offset, 0);
        ring->next_to_use = next_slot(ring->next_to_use);
        filled++;
    }
    return filled;
}

unsigned nic_rx_poll(struct nic_rx *rx, unsigned budget,
                     bool (*deliver)(void *self, struct page *page, unsigned offset,
                                     unsigned len),
                     void *self)
{
    struct nic_ring *ring = &rx->ring;
    unsigned packets      = 0;
    while (packets < budget && ring->next_to_clean != ring->next_to_use) {
        struct nic_rx_buffer *b = &rx->buffer[ring->next_to_clean];
        const uint64_t status   = desc_status(ring, ring->next_to_clean);
        const unsigned len      = (unsigned)(status & NIC_DESC_LEN);
        if (!(status & NIC_DESC_DONE))
            break;
        dma_sync_single_range_for_cpu(ring->dev, b->dma, b->page_offset, len,
                                      DMA_FROM_DEVICE);
        if (deliver(self, b->page, b->page_offset, len)) {
            dma_unmap_page(ring->dev, b->dma, PAGE_SIZE, DMA_FROM_DEVICE);
            b->page = NULL;
            rx->taken++;
        } else {
            b->page_offset ^= NIC_RX_BYTES; /* The other half is next. */
            rx->recycled++;
        }
        ring->next_to_clean = next_slot(ring->next_to_clean);
        packets++;
    }
    return packets;
}

/* ---- Transmit ------------------------------------------------------------------------ */

int nic_tx_init(struct nic_tx *tx, struct device *dev,
                void (*sent)(void *self, const struct nic_packet *packet), void *self)
{
    *tx = (struct nic_tx){ .sent = sent, .self = self };
    return ring_init(&tx->ring, dev);
}

static void tx_unmap(struct nic_tx *tx, struct nic_tx_buffer *b)
{
    if (b->is_page)
        dma_unmap_page(tx->ring.dev, dma_unmap_addr(b, dma), dma_unmap_len(b, len),
                       DMA_TO_DEVICE);
    else
        dma_unmap_single(tx->ring.dev, dma_unmap_addr(b, dma), dma_unmap_len(b, len),
                         DMA_TO_DEVICE);
    dma_unmap_len_set(b, len, 0);
}

void nic_tx_free(struct nic_tx *tx)
{
    for (unsigned i = 0; i < NIC_RING_SLOTS; i++)
        if (dma_unmap_len(&tx->buffer[i], len) != 0)
            tx_unmap(tx, &tx->buffer[i]);
    ring_free(&tx->ring);
}

static bool tx_map_one(struct nic_tx *tx, unsigned slot, dma_addr_t dma, unsigned len,
                       bool is_page)
{
    struct nic_tx_buffer *b = &tx->buffer[slot];
    if (dma_mapping_error(tx->ring.dev, dma))
        return false;
    dma_unmap_addr_set(b, dma, dma);
    dma_unmap_len_set(b, len, len);
    b->is_page = is_page;
    b->packet  = NULL;
    return true;
}

int nic_tx_xmit(struct nic_tx *tx, const struct nic_packet *packet)
{
    struct nic_ring *ring = &tx->ring;
    struct device *dev    = ring->dev;
    const unsigned first  = ring->next_to_use;
    unsigned slot = first, last = first;
    if (slots_unused(ring) < packet->nr_frags + 1)
        return -EBUSY;
    dma_addr_t dma = dma_map_single(dev, packet->data, packet->headlen, DMA_TO_DEVICE);
    if (!tx_map_one(tx, slot, dma, packet->headlen, false))
        return -ENOMEM;
    for (unsigned f = 0; f < packet->nr_frags; f++) {
        const struct nic_frag *frag = &packet->frag[f];
        slot                        = next_slot(slot);
        dma = dma_map_page(dev, frag->page, frag->offset, frag->size, DMA_TO_DEVICE);
        if (!tx_map_one(tx, slot, dma, frag->size, true))
            goto unwind;
        last = slot;
    }
    for (slot = first;; slot = next_slot(slot)) {
        const struct nic_tx_buffer *b = &tx->buffer[slot];
        desc_write(ring, slot, dma_unmap_addr(b, dma),
                   dma_unmap_len(b, len) | (slot == last ? NIC_DESC_LAST : 0));
        if (slot == last)
            break;
    }
    tx->buffer[last].packet = packet;
    ring->next_to_use       = next_slot(last);
    return 0;
unwind:
    for (slot = last; slot != first; slot = (slot + NIC_RING_SLOTS - 1) % NIC_RING_SLOTS)
        tx_unmap(tx, &tx->buffer[slot]);
    tx_unmap(tx, &tx->buffer[first]);
    return -ENOMEM;
}

unsigned nic_tx_clean(struct nic_tx *tx)
{
    struct nic_ring *ring = &tx->ring;
    unsigned packets      = 0;
    while (ring->next_to_clean != ring->next_to_use
           && desc_status(ring, ring->next_to_clean) & NIC_DESC_DONE) {
        struct nic_tx_buffer *b         = &tx->buffer[ring->next_to_clean];
        const struct nic_packet *packet = b->packet;
        tx_unmap(tx, b);
        b->packet           = NULL;
        ring->next_to_clean = next_slot(ring->next_to_clean);
        if (packet != NULL) {
            tx->sent(tx->self, packet);
            packets++;
        }
    }
    return packets;
}
