/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/hmm_dma.h"

#include "dma_api/kernel.h"

/* Of the kernel's memory; NULL: there is none. */
static void *new_array(struct kernel *k, size_t count, size_t bytes)
{
    cpu_spend(cpu_this(), k->cost.slab_cycles);
    if (kernel_no_memory(k, "hmm array"))
        return NULL;
    return kernel_host_alloc(k, count, bytes);
}

int hmm_dma_map_alloc(struct device *dev, struct hmm_dma_map *map, size_t nr_entries,
                      size_t dma_entry_size)
{
    struct kernel *k = dev->kernel;
    if (nr_entries * PAGE_SIZE / dma_entry_size == 0)
        kernel_warn_once(k, "hmm_dma_map_alloc: an entry is larger than all pages");
    *map = (struct hmm_dma_map){ .dma_entry_size = dma_entry_size };
    /* A bounce buffer needs syncs, too; it will not come if every address fits. */
    if (dma_need_sync(dev, 0) || dma_addressing_limited(dev))
        return -EOPNOTSUPP;
    map->pfn_list = new_array(k, nr_entries, sizeof map->pfn_list[0]);
    if (map->pfn_list == NULL)
        return -ENOMEM;
    if (dma_iova_try_alloc(dev, &map->state, 0, nr_entries * PAGE_SIZE)
        || !dma_need_unmap(dev))
        return 0;
    map->dma_list = new_array(k, nr_entries, sizeof map->dma_list[0]);
    if (map->dma_list != NULL)
        return 0;
    kernel_host_free(k, map->pfn_list);
    map->pfn_list = NULL;
    return -ENOMEM;
}

void hmm_dma_map_free(struct device *dev, struct hmm_dma_map *map)
{
    if (dma_use_iova(&map->state))
        dma_iova_free(dev, &map->state);
    kernel_host_free(dev->kernel, map->dma_list);
    kernel_host_free(dev->kernel, map->pfn_list);
    map->dma_list = NULL;
    map->pfn_list = NULL;
}

static unsigned long attrs_of(unsigned long entry)
{
    return DMA_ATTR_REQUIRE_COHERENT | (entry & HMM_PFN_P2PDMA ? DMA_ATTR_MMIO : 0);
}

/* Links and syncs one entry, or leaves nothing linked. */
static dma_addr_t link_entry(struct device *dev, struct hmm_dma_map *map, size_t idx)
{
    const size_t size = map->dma_entry_size, offset = idx * size;
    const unsigned long attrs = attrs_of(map->pfn_list[idx]);
    if (dma_iova_link(dev, &map->state, hmm_pfn_to_phys(map->pfn_list[idx]), offset, size,
                      DMA_BIDIRECTIONAL, attrs)
        != 0)
        return DMA_MAPPING_ERROR;
    if (dma_iova_sync(dev, &map->state, offset, size) != 0) {
        dma_iova_unlink(dev, &map->state, offset, size, DMA_BIDIRECTIONAL, attrs);
        return DMA_MAPPING_ERROR;
    }
    return map->state.addr + offset;
}

static dma_addr_t map_entry(struct device *dev, struct hmm_dma_map *map, size_t idx)
{
    const dma_addr_t addr =
        dma_map_phys(dev, hmm_pfn_to_phys(map->pfn_list[idx]), map->dma_entry_size,
                     DMA_BIDIRECTIONAL, attrs_of(map->pfn_list[idx]));
    if (dma_mapping_error(dev, addr))
        return DMA_MAPPING_ERROR;
    if (map->dma_list != NULL)
        map->dma_list[idx] = addr;
    return addr;
}

dma_addr_t hmm_dma_map_pfn(struct device *dev, struct hmm_dma_map *map, size_t idx,
                           struct pci_p2pdma_map_state *p2pdma)
{
    unsigned long *entry      = &map->pfn_list[idx];
    const phys_addr_t phys    = hmm_pfn_to_phys(*entry);
    const unsigned long taken = *entry & (HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA_BUS);
    if (taken == HMM_PFN_DMA_MAPPED) { /* Only its permissions have changed. */
        if (dma_use_iova(&map->state))
            return map->state.addr + idx * map->dma_entry_size;
        if (map->dma_list != NULL)
            return map->dma_list[idx];
    }
    switch (pci_p2pdma_state(p2pdma, dev, phys_to_page(phys))) {
    case PCI_P2PDMA_MAP_NONE:
        break;
    case PCI_P2PDMA_MAP_THRU_HOST_BRIDGE:
        *entry |= HMM_PFN_P2PDMA;
        break;
    case PCI_P2PDMA_MAP_BUS_ADDR:
        *entry |= HMM_PFN_P2PDMA_BUS | HMM_PFN_DMA_MAPPED;
        return pci_p2pdma_bus_addr_map(p2pdma, phys);
    default:
        return DMA_MAPPING_ERROR;
    }
    const dma_addr_t addr =
        dma_use_iova(&map->state) ? link_entry(dev, map, idx) : map_entry(dev, map, idx);
    if (addr != DMA_MAPPING_ERROR)
        *entry |= HMM_PFN_DMA_MAPPED;
    else
        *entry &= ~HMM_PFN_P2PDMA;
    return addr;
}

bool hmm_dma_unmap_pfn(struct device *dev, struct hmm_dma_map *map, size_t idx)
{
    unsigned long *entry         = &map->pfn_list[idx];
    const unsigned long is_taken = HMM_PFN_VALID | HMM_PFN_DMA_MAPPED;
    const size_t size            = map->dma_entry_size;
    if ((*entry & is_taken) != is_taken)
        return false;
    if (*entry & HMM_PFN_P2PDMA_BUS)
        ; /* The IOMMU was never told. */
    else if (dma_use_iova(&map->state))
        dma_iova_unlink(dev, &map->state, idx * size, size, DMA_BIDIRECTIONAL,
                        attrs_of(*entry));
    else if (map->dma_list != NULL)
        dma_unmap_phys(dev, map->dma_list[idx], size, DMA_BIDIRECTIONAL, attrs_of(*entry));
    *entry &= ~HMM_PFN_STICKY;
    return true;
}
