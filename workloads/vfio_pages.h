/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfio_pages - a list of single pages that a device fills or reads as one buffer.
 *
 * The shape of the migration buffers of mlx5's VFIO driver (drivers/vfio/pci/mlx5/cmd.c,
 * Linux 6.16 and later): one range of addresses with a link for each page, or, where there
 * is no range, a mapping for each page.
 */
#ifndef WORKLOADS_VFIO_PAGES_H
#define WORKLOADS_VFIO_PAGES_H

#include "dma_api/dma-mapping.h"

struct vfio_pages {
    struct page **page_list;
    size_t npages;
    enum dma_data_direction dir;
    struct dma_iova_state state;
    dma_addr_t *mtts; /* The address of each page, for the device. npages of room. */
};

/* 0, or -ENOMEM or what dma_iova_link returned; nothing stays mapped then. */
int vfio_register_pages(struct device *dev, struct vfio_pages *p);
void vfio_unregister_pages(struct device *dev, struct vfio_pages *p);

#endif
