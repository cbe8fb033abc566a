/* SPDX-License-Identifier: Apache-2.0 */
/* vmap - contiguous addresses for the CPU over pages that are not. */
#ifndef DMA_API_VMAP_H
#define DMA_API_VMAP_H

#include "dma_api/kernel.h"

/* NULL: no memory. The pages stay the caller's. */
void *vmap_list(struct kernel *k, struct scatterlist *sgl, unsigned nents);
void vmap_remove(struct kernel *k, const void *address);

#endif
