/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hmm_dma - one device mapping for memory whose pages come and go one by one.
 *
 * What RDMA's on-demand paging and GPU drivers use (linux/hmm-dma.h, mm/hmm.c of Linux 6.16
 * to 7.3): a range of addresses for all pages at once where the IOVA API has one, and each
 * page linked, synced and unlinked by itself as it is faulted in and taken away.
 *
 * Different entries may be mapped and unmapped by several CPUs at a time; one entry's calls
 * exclude each other.
 */
#ifndef WORKLOADS_HMM_DMA_H
#define WORKLOADS_HMM_DMA_H

#include "dma_api/pci-p2pdma.h"

/* An entry of the list of pages: page frame number, and these. */
#define HMM_PFN_VALID      (1UL << 63)
#define HMM_PFN_WRITE      (1UL << 62)
#define HMM_PFN_ERROR      (1UL << 61)
#define HMM_PFN_DMA_MAPPED (1UL << 60) /* These three stay over a fault of the range. */
#define HMM_PFN_P2PDMA     (1UL << 59)
#define HMM_PFN_P2PDMA_BUS (1UL << 58)
#define HMM_PFN_STICKY     (HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA | HMM_PFN_P2PDMA_BUS)
#define HMM_PFN_FLAGS      (~0UL << 53)

struct hmm_dma_map {
    struct dma_iova_state state;
    unsigned long *pfn_list;
    dma_addr_t *dma_list; /* NULL when nothing of it has to be kept. */
    size_t dma_entry_size;
};

static inline phys_addr_t hmm_pfn_to_phys(unsigned long entry)
{
    return (phys_addr_t)(entry & ~HMM_PFN_FLAGS) << PAGE_SHIFT;
}

/* What hmm_range_fault writes: the page, its permissions, and the sticky flags as before.
 */
static inline void hmm_pfn_fault(struct hmm_dma_map *map, size_t idx, phys_addr_t phys,
                                 unsigned long flags)
{
    map->pfn_list[idx] =
        (unsigned long)(phys >> PAGE_SHIFT) | flags | (map->pfn_list[idx] & HMM_PFN_STICKY);
}

/*
 * For nr_entries pages of PAGE_SIZE, mapped dma_entry_size bytes at a time (more of them
 * than there are bytes: a warning). 0, or -EOPNOTSUPP when the device has to sync, or
 * cannot reach all memory, since nobody would sync; -ENOMEM.
 */
int hmm_dma_map_alloc(struct device *dev, struct hmm_dma_map *map, size_t nr_entries,
                      size_t dma_entry_size);

/* Every entry has been unmapped. */
void hmm_dma_map_free(struct device *dev, struct hmm_dma_map *map);

/* Maps the page of an entry, which is valid, for both directions; p2pdma as of this page.
 * A mapped one keeps its address. DMA_MAPPING_ERROR: no table page, no addresses, or a peer
 * that cannot be reached; the entry is as before. */
dma_addr_t hmm_dma_map_pfn(struct device *dev, struct hmm_dma_map *map, size_t idx,
                           struct pci_p2pdma_map_state *p2pdma);

/* False: the entry is not mapped. On return the device does not reach the page any more. */
bool hmm_dma_unmap_pfn(struct device *dev, struct hmm_dma_map *map, size_t idx);

#endif
