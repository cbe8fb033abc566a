/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/bouncepool.h"

#include "dma_api/dma-iommu.h"
#include "dma_api/swiotlb.h"

void bouncepool_init(struct bouncepool *p, struct dma_domain *d)
{
    *p = (struct bouncepool){ .domain = d };
}

void bouncepool_free(struct bouncepool *p)
{
    struct flush_range all = { .iova = p->iova, .bytes = p->bytes };
    if (p->iova == 0)
        return;
    domain_unmap(p->domain, &all);
    domain_flush_range(p->domain, &all);
    domain_pool(p->domain, p->iova, p->bytes, false);
    domain_release(p->domain, &all);
}

/* The lock is held. */
static void map_pool(struct bouncepool *p, const struct flush_mapping *m)
{
    struct dma_domain *d = p->domain;
    if (!swiotlb_pool(d->kernel, &p->start, &p->bytes))
        return;
    const dma_addr_t iova = dma_iova_get(m->dev, p->bytes, m->mask);
    if (iova == 0)
        return;
    if (domain_map(d, iova, p->start, p->bytes, PT_READ | PT_WRITE) != 0) {
        struct flush_range none = { .iova = iova, .bytes = p->bytes };
        domain_release(d, &none);
        return;
    }
    domain_map_sync(d, iova, p->bytes);
    domain_pool(d, iova, p->bytes, true);
    p->iova = iova;
}

dma_addr_t bouncepool_map(struct bouncepool *p, const struct flush_mapping *m)
{
    struct cpu *cpu = cpu_this();
    if (!swiotlb_holds(p->domain->kernel, m->phys))
        return 0;
    if (p->iova == 0) {
        lock_take(cpu, &p->lock);
        if (p->iova == 0)
            map_pool(p, m);
        lock_release(cpu, &p->lock);
    }
    return p->iova == 0 ? 0 : p->iova + (m->phys - p->start);
}

bool bouncepool_owns(const struct bouncepool *p, dma_addr_t iova)
{
    return p->iova != 0 && iova >= p->iova && iova - p->iova < p->bytes;
}
