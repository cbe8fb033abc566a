/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare - the driver of what is no block request: memory that is mapped and unmapped at
 * once, as Linux's dma_map_benchmark does, and accesses of a device to memory that stays
 * mapped, as in pcie-bench.
 *
 * A page is mapped at its first access, by itself, in both directions, and stays so until
 * bare_end. Accesses are handed to the exerciser in lists.
 */
#ifndef WORKLOADS_BARE_H
#define WORKLOADS_BARE_H

#include "traces/trace.h"
#include "workloads/blk_dma.h"
#include "workloads/exerciser.h"

struct bare_page {
    uint64_t page; /* Its number, and 1 more: 0 is nobody's. */
    dma_addr_t dma;
};

struct bare {
    struct device *dev;            /* Of the exerciser; NULL: there is none. */
    struct mmio_window *registers; /* Likewise. */
    struct bare_page *table;       /* Of the pages that are mapped: open addressing. */
    uint64_t room, pages;
    uint32_t listed, bytes; /* Accesses of the list that is being made, and their size. */
    struct blk_mapping mapping;
};

void bare_init(struct bare *b, struct device *dev, struct mmio_window *registers);
void bare_free(struct bare *b);

/* Maps and unmaps the segments on a driver's device. 0 or the error of blk_map. */
int bare_map(struct bare *b, struct device *dev, const struct blk_config *config,
             enum blk_api api, const struct blk_segment *segment, uint32_t segments);

/* Adds an access, which lies within one page, to the list. False: it could not be mapped.
 * Until bare_flush, or when the list is full, nothing happens. */
bool bare_access(struct bare *b, phys_addr_t phys, uint32_t bytes, bool writes);

/* Whether the list has to be carried out before an access of so many bytes. */
bool bare_full(const struct bare *b, uint32_t bytes);

/* Carries the list out, and waits for it. */
void bare_flush(struct bare *b);

/* Unmaps every page. */
void bare_end(struct bare *b);

#endif
