/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_actor_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Single ranges ------------------------------------------------------------------- */

static dma_addr_t map_by_some_name(struct actors *a, struct actor_object *ob, uint64_t phys)
{
    struct device *dev = device(a);
    switch (below(a, 3)) {
    case 0:
        made(a, ACTOR_map_phys);
        return dma_map_phys(dev, phys, ob->size, ob->dir, ob->attrs);
    case 1:
        made(a, ACTOR_map_page);
        return dma_map_page_attrs(dev, phys_to_page(phys), phys % PAGE, ob->size, ob->dir,
                                  ob->attrs);
    default:
        made(a, ACTOR_map_single);
        return dma_map_single_attrs(dev, phys_to_virt(phys), ob->size, ob->dir, ob->attrs);
    }
}

/* A buffer lies in one segment of the pool, and in one of the device's. */
static bool too_large_to_bounce(struct actors *a, uint64_t phys, uint64_t size)
{
    const uint64_t offset = a->keeps_offset ? phys % PAGE : 0;
    const uint64_t bytes  = align_up(size + offset, 12);
    return bytes > BOUNCE_MAX || bytes - 1 > dma_get_seg_boundary(device(a));
}

void actor_map_buffer(struct actors *a)
{
    struct actor_object *ob = actor_object_new(a, SINGLE);
    uint64_t phys;
    if (!actor_place_buffer(a, ob, &phys)) {
        actor_object_free(a, ob);
        return;
    }
    const bool bounced = actor_bounces(a, phys, ob->size, ob->dir);
    ob->extent[0]      = (struct extent){ .phys    = phys,
                                          .bytes   = (uint32_t)ob->size,
                                          .shadow  = actor_shadow_of(a, phys),
                                          .bounced = bounced };
    ob->extents        = 1;
    actor_scribble(a, ob);
    begin(a);
    ob->dma = map_by_some_name(a, ob, phys);
    if (ob->dma == DMA_MAPPING_ERROR) {
        actor_expect_failure(
            a, bounced && (actor_pool_is_low(a) || too_large_to_bounce(a, phys, ob->size)),
            "a map");
        end(a);
        actor_object_free(a, ob);
        return;
    }
    a->made[ACTOR_bounced] += bounced;
    ob->extent[0].dma = ob->dma;
    actor_adopt(a, ob, &ob->extent[0], dma_get_mask(device(a)));
    end(a);
    actor_stock(a, ob);
}

void actor_map_registers(struct actors *a)
{
    struct actor_object *ob = actor_object_new(a, SINGLE);
    const uint64_t phys     = ACTOR_BAR + below(a, 1 << 20);
    ob->size                = 1 + below(a, 3 * PAGE);
    ob->resource            = true;
    const bool bounced      = actor_bounces(a, phys, ob->size, ob->dir);
    ob->extent[0]           = (struct extent){ .phys = phys, .bytes = (uint32_t)ob->size };
    ob->extents             = 1;
    begin(a);
    made(a, ACTOR_map_resource);
    ob->dma = dma_map_resource(device(a), phys, ob->size, ob->dir, ob->attrs);
    if (ob->dma == DMA_MAPPING_ERROR) {
        actor_expect_failure(a, bounced, "a map of registers");
        end(a);
        actor_object_free(a, ob);
        return;
    }
    if (bounced)
        complain(a, "registers that must bounce were mapped");
    ob->extent[0].dma = ob->dma;
    actor_adopt(a, ob, &ob->extent[0], dma_get_mask(device(a)));
    end(a);
    actor_stock(a, ob);
}

void actor_unmap_buffer(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    actor_copy_back(ob, &ob->extent[0]);
    begin(a);
    actor_leaving(a, ob, ob->defers);
    made(a, ACTOR_unmap);
    if (ob->resource)
        dma_unmap_resource(dev, ob->dma, ob->size, ob->dir, ob->attrs);
    else if (chance(a, 50))
        dma_unmap_phys(dev, ob->dma, ob->size, ob->dir, ob->attrs);
    else if (chance(a, 50))
        dma_unmap_page_attrs(dev, ob->dma, ob->size, ob->dir, ob->attrs);
    else
        dma_unmap_single_attrs(dev, ob->dma, ob->size, ob->dir, ob->attrs);
    end(a);
    actor_gone(a, ob);
    actor_expect_memory(a, ob);
}

/* ---- Memory that the API gives ------------------------------------------------------- */

static void adopt_memory(struct actors *a, struct actor_object *ob, uint64_t phys,
                         uint64_t mask)
{
    ob->size      = align_up(ob->size, 12);
    ob->own       = calloc(1, ob->size);
    ob->extent[0] = (struct extent){
        .phys = phys, .dma = ob->dma, .bytes = (uint32_t)ob->size, .shadow = ob->own
    };
    ob->extents = 1;
    CHECK(ob->own != NULL);
    actor_compare(a, phys, ob->own, ob->size, "fresh memory");
    actor_adopt(a, ob, &ob->extent[0], mask);
    actor_scribble(a, ob);
}

static bool get_coherent(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    const bool wc      = chance(a, 30);
    ob->dir            = DMA_BIDIRECTIONAL;
    ob->attrs          = wc ? DMA_ATTR_WRITE_COMBINE : 0;
    made(a, wc ? ACTOR_write_combined : ACTOR_coherent);
    ob->cpu_addr = wc ? dma_alloc_wc(dev, ob->size, &ob->dma, GFP_KERNEL)
                      : dma_alloc_coherent(dev, ob->size, &ob->dma, GFP_ATOMIC);
    if (ob->cpu_addr != NULL)
        adopt_memory(a, ob, virt_to_phys(ob->cpu_addr), dev->coherent_dma_mask);
    return ob->cpu_addr != NULL;
}

static bool get_pages(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    ob->attrs          = DMA_ATTR_SKIP_CPU_SYNC;
    if (ob->kind == PAGES) {
        made(a, ACTOR_pages);
        struct page *page = dma_alloc_pages(dev, ob->size, &ob->dma, ob->dir, GFP_KERNEL);
        ob->cpu_addr      = page == NULL ? NULL : phys_to_virt(page_to_phys(page));
    } else {
        made(a, ACTOR_noncoherent);
        ob->cpu_addr = dma_alloc_noncoherent(dev, ob->size, &ob->dma, ob->dir, GFP_KERNEL);
    }
    if (ob->cpu_addr != NULL)
        adopt_memory(a, ob, virt_to_phys(ob->cpu_addr), dma_get_mask(dev));
    return ob->cpu_addr != NULL;
}

/* One range for the device, pieces for the CPU, and at times a view that joins them. */
static void adopt_pieces(struct actors *a, struct actor_object *ob)
{
    struct scatterlist *sg = ob->sgt->sgl;
    uint64_t at            = 0;
    ob->own                = calloc(1, ob->size);
    CHECK(ob->own != NULL);
    if (ob->sgt->nents != 1 || sg_dma_len(sg) != ob->size)
        complain(a, "noncontiguous memory is %u segments of %u bytes", ob->sgt->nents,
                 sg_dma_len(sg));
    CHECK(ob->sgt->orig_nents <= EXTENTS);
    actor_expect_address(a, ob->dma, ob->size, device(a)->coherent_dma_mask, 0);
    actor_add_pages(ob, ob->dma, (unsigned)(ob->size / PAGE));
    if (translates(a))
        oracle_take(&a->oracle, ob->dma, ob->pages, ob->owner);
    for (unsigned i = 0; i < ob->sgt->orig_nents; i++, sg = sg_next(sg)) {
        struct extent *e = &ob->extent[ob->extents++];
        *e               = (struct extent){ .phys   = sg_phys(sg),
                                            .dma    = ob->dma + at,
                                            .bytes  = sg->length,
                                            .first  = (uint32_t)(at / PAGE),
                                            .shadow = ob->own + at };
        actor_compare(a, e->phys, e->shadow, e->bytes, "fresh memory");
        for (uint64_t done = 0; done < sg->length; done += PAGE, at += PAGE) {
            ob->page[at / PAGE].pa = e->phys + done;
            if (translates(a))
                actor_map_page(a, ob, &ob->page[at / PAGE], e->phys + done, false);
        }
    }
    if (at != ob->size)
        complain(a, "noncontiguous memory has %" PRIu64 " bytes", at);
    actor_scribble(a, ob);
}

static void view_pieces(struct actors *a, struct actor_object *ob)
{
    made(a, ACTOR_vmap);
    ob->view = dma_vmap_noncontiguous(device(a), ob->size, ob->sgt);
    if (ob->view == NULL) {
        actor_expect_failure(a, false, "a view of noncontiguous memory");
        return;
    }
    for (unsigned i = 0; i < ob->extents && is_vmalloc_addr(ob->view); i++) {
        const struct extent *e = &ob->extent[i];
        const char *at         = (const char *)ob->view + (e->shadow - ob->own);
        if (page_to_phys(vmalloc_to_page(at)) != e->phys)
            complain(a, "piece %u is not where its view says", i);
    }
}

static bool get_pieces(struct actors *a, struct actor_object *ob)
{
    struct device *dev        = device(a);
    const unsigned long attrs = chance(a, 50) ? DMA_ATTR_ALLOC_SINGLE_PAGES : 0;
    /* The pages of an IOMMU are mapped both ways, whatever was asked for. */
    const enum dma_data_direction asked = ob->dir;
    ob->attrs                           = DMA_ATTR_SKIP_CPU_SYNC;
    if (translates(a))
        ob->dir = DMA_BIDIRECTIONAL;
    ob->size = align_up(ob->size, 12);
    made(a, ACTOR_noncontiguous);
    ob->sgt = dma_alloc_noncontiguous(dev, ob->size, asked, GFP_KERNEL, attrs);
    if (ob->sgt == NULL)
        return false;
    ob->dma = sg_dma_address(ob->sgt->sgl);
    adopt_pieces(a, ob);
    if (chance(a, 50))
        view_pieces(a, ob);
    return true;
}

void actor_get_memory(struct actors *a)
{
    struct actor_object *ob = actor_object_new(a, COHERENT + below(a, 4));
    ob->size                = 1 + below(a, (chance(a, 90) ? 3 : 20) * PAGE);
    begin(a);
    const bool good = ob->kind == COHERENT        ? get_coherent(a, ob)
                      : ob->kind == NONCONTIGUOUS ? get_pieces(a, ob)
                                                  : get_pages(a, ob);
    if (!good)
        actor_expect_failure(a, false, "an allocation");
    end(a);
    if (good)
        actor_stock(a, ob);
    else
        actor_object_free(a, ob);
}

void actor_put_memory(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    actor_expect_memory(a, ob);
    if (ob->view != NULL)
        dma_vunmap_noncontiguous(dev, ob->view);
    begin(a);
    actor_leaving(a, ob, ob->defers);
    made(a, ACTOR_memory_freed);
    if (ob->kind == COHERENT)
        dma_free_attrs(dev, ob->size, ob->cpu_addr, ob->dma, ob->attrs);
    else if (ob->kind == PAGES)
        dma_free_pages(dev, ob->size, phys_to_page(virt_to_phys(ob->cpu_addr)), ob->dma,
                       ob->dir);
    else if (ob->kind == NONCOHERENT)
        dma_free_noncoherent(dev, ob->size, ob->cpu_addr, ob->dma, ob->dir);
    else
        dma_free_noncontiguous(dev, ob->size, ob->sgt, ob->dir);
    end(a);
    actor_gone(a, ob);
}
