/* SPDX-License-Identifier: Apache-2.0 */
/*
 * p2pdma - memory of another PCI device, and how this device reaches it.
 *
 * The names are those of linux/pci-p2pdma.h. Which memory belongs to a peer is said by
 * windows of physical addresses, each with the way to it: once for the kernel, whose
 * scatter lists then know it, or by the caller.
 */
#ifndef DMA_API_PCI_P2PDMA_H
#define DMA_API_PCI_P2PDMA_H

#include "dma_api/dma-mapping.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pci_p2pdma_map_type {
    PCI_P2PDMA_MAP_UNKNOWN = 0,
    PCI_P2PDMA_MAP_NONE,             /* Ordinary memory. */
    PCI_P2PDMA_MAP_NOT_SUPPORTED,    /* There is no way. */
    PCI_P2PDMA_MAP_BUS_ADDR,         /* Below one switch: by bus address, past the IOMMU. */
    PCI_P2PDMA_MAP_THRU_HOST_BRIDGE, /* Through the IOMMU, as registers. */
};

struct p2pdma_window {
    phys_addr_t first, last;
    enum pci_p2pdma_map_type map;
    uint64_t bus_off; /* Bus address less physical address. */
};

/* From now on this is what the kernel knows of peers' memory; windows is kept. */
void pci_p2pdma_add_windows(struct kernel *k, const struct p2pdma_window *windows,
                            unsigned count);

/* windows NULL: the kernel's. map and bus_off: of the page last seen. */
struct pci_p2pdma_map_state {
    const struct p2pdma_window *windows;
    unsigned count;
    enum pci_p2pdma_map_type map;
    uint64_t bus_off;
};

enum pci_p2pdma_map_type pci_p2pdma_state(struct pci_p2pdma_map_state *state,
                                          struct device *dev, const struct page *page);

static inline dma_addr_t pci_p2pdma_bus_addr_map(const struct pci_p2pdma_map_state *state,
                                                 phys_addr_t paddr)
{
    return paddr + state->bus_off;
}

#ifdef __cplusplus
}
#endif

#endif
