/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/vfio_pages.h"

static int register_range(struct device *dev, struct vfio_pages *p)
{
    size_t mapped_len = 0;
    int ret           = 0;
    for (size_t i = 0; ret == 0 && i < p->npages; i++) {
        ret = dma_iova_link(dev, &p->state, page_to_phys(p->page_list[i]), mapped_len,
                            PAGE_SIZE, p->dir, 0);
        if (ret != 0)
            break;
        p->mtts[i] = p->state.addr + mapped_len;
        mapped_len += PAGE_SIZE;
    }
    if (ret == 0)
        ret = dma_iova_sync(dev, &p->state, 0, mapped_len);
    if (ret != 0)
        dma_iova_destroy(dev, &p->state, mapped_len, p->dir, 0);
    return ret;
}

static void unmap_pages(struct device *dev, struct vfio_pages *p, size_t count)
{
    while (count-- > 0)
        dma_unmap_page(dev, p->mtts[count], PAGE_SIZE, p->dir);
}

static int register_one_by_one(struct device *dev, struct vfio_pages *p)
{
    for (size_t i = 0; i < p->npages; i++) {
        p->mtts[i] = dma_map_page(dev, p->page_list[i], 0, PAGE_SIZE, p->dir);
        if (dma_mapping_error(dev, p->mtts[i])) {
            unmap_pages(dev, p, i);
            return -ENOMEM;
        }
    }
    return 0;
}

int vfio_register_pages(struct device *dev, struct vfio_pages *p)
{
    if (dma_iova_try_alloc(dev, &p->state, 0, p->npages * PAGE_SIZE))
        return register_range(dev, p);
    return register_one_by_one(dev, p);
}

void vfio_unregister_pages(struct device *dev, struct vfio_pages *p)
{
    if (dma_use_iova(&p->state))
        dma_iova_destroy(dev, &p->state, p->npages * PAGE_SIZE, p->dir, 0);
    else
        unmap_pages(dev, p, p->npages);
}
