/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nic_ring - the two rings of a network driver, as far as they map memory.
 *
 * Receive: each slot has a page of which a half is mapped for the device at a time. A
 * packet that the stack takes its page with is unmapped, one that it copied leaves the page
 * where it is (recycled). Transmit: a linear head and fragments, each mapped by itself,
 * unmapped again when one of them cannot be. Descriptors are in coherent memory; bit 63 of
 * the second word is the device's sign that it is done.
 */
#ifndef WORKLOADS_NIC_RING_H
#define WORKLOADS_NIC_RING_H

#include "dma_api/dma-mapping.h"

enum { NIC_RING_SLOTS = 64, NIC_RX_BYTES = 2048, NIC_FRAGS_MAX = 17 };

#define NIC_DESC_DONE (1ULL << 63)
#define NIC_DESC_LAST (1ULL << 62) /* Of a packet. */
#define NIC_DESC_LEN  0xffffULL

/* One descriptor: an address, then length and flags. 16 bytes in simulated memory. */
struct nic_ring {
    struct device *dev;
    void *desc; /* Coherent: NIC_RING_SLOTS descriptors. */
    dma_addr_t desc_dma;
    unsigned next_to_use, next_to_clean; /* Slots; use is the driver's, clean the oldest. */
};

struct nic_rx_buffer {
    struct page *page;
    dma_addr_t dma;
    unsigned page_offset;
};

struct nic_rx {
    struct nic_ring ring;
    struct nic_rx_buffer buffer[NIC_RING_SLOTS];
    uint64_t recycled, taken, failed;
};

/* A packet to be sent. */
struct nic_packet {
    void *data;
    unsigned int headlen, nr_frags;
    struct nic_frag {
        struct page *page;
        unsigned int offset, size;
    } frag[NIC_FRAGS_MAX];
};

struct nic_tx_buffer {
    const struct nic_packet *packet; /* Of its last slot: to be given back. */
    DEFINE_DMA_UNMAP_ADDR(dma);
    DEFINE_DMA_UNMAP_LEN(len);
    bool is_page;
};

struct nic_tx {
    struct nic_ring ring;
    struct nic_tx_buffer buffer[NIC_RING_SLOTS];
    void (*sent)(void *self, const struct nic_packet *packet);
    void *self;
};

/* 0, -ENOMEM, or -EIO: the machine has no 64-bit DMA. */
int nic_rx_init(struct nic_rx *rx, struct device *dev);
/* The device has stopped. */
void nic_rx_free(struct nic_rx *rx);
/* Fills up to count empty slots; returns how many it could. One slot always stays empty. */
unsigned nic_rx_refill(struct nic_rx *rx, unsigned count);
/*
 * Hands packets that are there to the stack, at most budget; returns how many. deliver
 * returns true when the stack keeps the page; it then gives it back to the kernel.
 */
unsigned nic_rx_poll(struct nic_rx *rx, unsigned budget,
                     bool (*deliver)(void *self, struct page *page, unsigned offset,
                                     unsigned len),
                     void *self);

int nic_tx_init(struct nic_tx *tx, struct device *dev,
                void (*sent)(void *self, const struct nic_packet *packet), void *self);
void nic_tx_free(struct nic_tx *tx);
/* 0: the packet belongs to the ring until sent is called. -EBUSY: no room; -ENOMEM: it
 * could not be mapped, and nothing of it is. */
int nic_tx_xmit(struct nic_tx *tx, const struct nic_packet *packet);
/* Gives back what the device has sent; returns how many packets. */
unsigned nic_tx_clean(struct nic_tx *tx);

#endif
