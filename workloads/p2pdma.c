/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/p2pdma.h"

enum pci_p2pdma_map_type pci_p2pdma_state(struct pci_p2pdma_map_state *state,
                                          struct device *dev, const struct page *page)
{
    const phys_addr_t phys = page_to_phys(page);
    state->map             = PCI_P2PDMA_MAP_NONE;
    state->bus_off         = 0;
    for (unsigned i = 0; state->windows != NULL && i < state->count; i++) {
        const struct p2pdma_window *w = &state->windows[i];
        if (phys < w->first || phys > w->last)
            continue;
        state->map = dma_pci_p2pdma_supported(dev) ? w->map : PCI_P2PDMA_MAP_NOT_SUPPORTED;
        state->bus_off = w->bus_off;
    }
    return state->map;
}
