/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extension - the driver of the extension block (iommu_model/extension_spec.h), for the
 * flush policies that need it.
 *
 * Each CPU uses the registers and the queue of its own bank; no lock is taken.
 */
#ifndef DMA_API_EXTENSION_H
#define DMA_API_EXTENSION_H

#include "dma_api/flush.h"
#include "iommu_model/extension_spec.h"
#include "sim/base/mmio.h"

struct extension_driver;

/* One for all domains of the kernel, from the first probe to the last remove. NULL: the
 * machine has no such block. */
struct extension_driver *extension_probe(struct kernel *k);
void extension_remove(struct extension_driver *x);

/* EXT_CAP_* of the machine; 0: it has no such block. */
uint64_t extension_capabilities(struct kernel *k);

/* An operation on first .. last of the domain; returns when it has taken effect and earlier
 * DMA is over. */
void extension_operate(struct extension_driver *x, const struct dma_domain *d,
                       enum ext_operation operation, uint64_t first, uint64_t last);

/* Drops exactly the range, through the queue of a bank, and waits. Of another CPU's bank:
 * the caller serialises. tables: page-table pages were taken out. */
void extension_flush(struct extension_driver *x, const struct dma_domain *d, unsigned bank,
                     const struct flush_range *range);

/* For who uses the queue of bank 0 on every CPU. */
struct lock *extension_shared_lock(struct extension_driver *x);

/* Where rings of addresses lie, and the size of each. */
void extension_place_rings(struct extension_driver *x, dma_addr_t base, unsigned ring_lg2);

#endif
