/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/pci-p2pdma.h"

#include "dma_api/kernel.h"

void pci_p2pdma_add_windows(struct kernel *k, const struct p2pdma_window *windows,
                            unsigned count)
{
    k->peer  = windows;
    k->peers = count;
}

enum pci_p2pdma_map_type pci_p2pdma_state(struct pci_p2pdma_map_state *state,
                                          struct device *dev, const struct page *page)
{
    const phys_addr_t phys = page_to_phys(page);
    const bool all         = state->windows == NULL;
    const unsigned count   = all ? dev->kernel->peers : state->count;
    state->map             = PCI_P2PDMA_MAP_NONE;
    state->bus_off         = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct p2pdma_window *w = all ? &dev->kernel->peer[i] : &state->windows[i];
        if (phys < w->first || phys > w->last)
            continue;
        state->map = dma_pci_p2pdma_supported(dev) ? w->map : PCI_P2PDMA_MAP_NOT_SUPPORTED;
        state->bus_off = w->bus_off;
    }
    return state->map;
}
