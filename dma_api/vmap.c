/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/vmap.h"

/* Far from PAGE_OFFSET, whose addresses stand for physical ones. An area is never used
 * again, as Linux leaves a guard page and flushes lazily. */
#define VMAP_FIRST UINT64_C(0xfe00000000000000)
#define VMAP_LAST  UINT64_C(0xfeffffffffffffff)

struct vmap_area {
    struct vmap_area *next;
    uint64_t start, pages;
    phys_addr_t phys[];
};

bool is_vmalloc_addr(const void *address)
{
    const uint64_t at = (uintptr_t)address;
    return at >= VMAP_FIRST && at <= VMAP_LAST;
}

static struct vmap_area *area_of(const struct kernel *k, const void *address)
{
    struct vmap_area *area = k->vmap;
    const uint64_t at      = (uintptr_t)address;
    while (area != NULL && at - area->start >= area->pages << PAGE_SHIFT)
        area = area->next;
    return area;
}

struct page *vmalloc_to_page(const void *address)
{
    const struct vmap_area *area = area_of(kernel_this(), address);
    if (area == NULL)
        return NULL;
    return phys_to_page(area->phys[((uintptr_t)address - area->start) >> PAGE_SHIFT]);
}

static void spend(struct kernel *k, uint64_t pages)
{
    struct cpu *cpu = cpu_this();
    cpu_spend(cpu, k->cost.slab_cycles + pages * k->cost.vmap_page_cycles);
    cpu_sync(cpu); /* The list of areas is shared. */
}

void *vmap_list(struct kernel *k, struct scatterlist *sgl, unsigned nents)
{
    struct scatterlist *sg;
    uint64_t pages = 0, at = 0;
    unsigned i;
    for_each_sg(sgl, sg, nents, i) pages += sg->length >> PAGE_SHIFT;
    spend(k, pages);
    struct vmap_area *area =
        kernel_host_try(k, 1, sizeof *area + pages * sizeof area->phys[0]);
    if (area == NULL)
        return NULL;
    for_each_sg(sgl, sg, nents, i) for (uint64_t j = 0; j < sg->length >> PAGE_SHIFT; j++)
        area->phys[at++] = sg_phys(sg) + (j << PAGE_SHIFT);
    area->start          = VMAP_FIRST + k->vmap_bytes;
    area->pages          = pages;
    area->next           = k->vmap;
    k->vmap              = area;
    k->vmap_bytes += (pages + 1) << PAGE_SHIFT;
    return (void *)(uintptr_t)area->start;
}

void vmap_remove(struct kernel *k, const void *address)
{
    struct vmap_area *area = area_of(k, address), **link = &k->vmap;
    CHECK(area != NULL);
    CHECK(area->start == (uintptr_t)address);
    spend(k, area->pages);
    while (*link != area)
        link = &(*link)->next;
    *link = area->next;
    kernel_host_free(k, area);
}
