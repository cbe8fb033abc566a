/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_actor_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Syncs --------------------------------------------------------------------------- */

static void model_sync(struct actor_object *ob, struct extent *e, uint32_t from, uint32_t n,
                       bool for_cpu)
{
    if (ob->dir == (for_cpu ? DMA_TO_DEVICE : DMA_FROM_DEVICE))
        return;
    for (uint32_t i = from; i < from + n; i++) {
        struct opage *p =
            &ob->page[(e->dma + i) / PAGE - ob->page[e->first].iova / PAGE + e->first];
        if (p->view == NULL)
            continue;
        uint8_t *at = &p->view[(e->dma + i) % PAGE];
        if (for_cpu)
            e->shadow[i] = *at;
        else
            *at = e->shadow[i];
    }
}

static void sync_part(struct actors *a, struct actor_object *ob, struct extent *e)
{
    struct device *dev  = device(a);
    const bool for_cpu  = chance(a, 50);
    const uint32_t from = below(a, e->bytes);
    uint32_t n          = 1 + below(a, e->bytes - from);
    if (ob->kind == RANGE && n > PAGE - (e->dma + from) % PAGE)
        n = (uint32_t)(PAGE - (e->dma + from) % PAGE);
    if (!for_cpu)
        actor_scribble(a, ob);
    if (e->shadow != NULL)
        model_sync(ob, e, from, n, for_cpu);
    if (chance(a, 50)) {
        made(a, ACTOR_sync_single);
        if (for_cpu)
            dma_sync_single_for_cpu(dev, e->dma + from, n, ob->dir);
        else
            dma_sync_single_for_device(dev, e->dma + from, n, ob->dir);
        return;
    }
    made(a, ACTOR_sync_range);
    if (for_cpu)
        dma_sync_single_range_for_cpu(dev, e->dma, from, n, ob->dir);
    else
        dma_sync_single_range_for_device(dev, e->dma, from, n, ob->dir);
}

static void sync_list(struct actors *a, struct actor_object *ob)
{
    struct device *dev = device(a);
    const bool for_cpu = chance(a, 50);
    if (!for_cpu)
        actor_scribble(a, ob);
    for (unsigned i = 0; i < ob->extents; i++)
        model_sync(ob, &ob->extent[i], 0, ob->extent[i].bytes, for_cpu);
    made(a, ACTOR_sync_sg);
    if (ob->kind == LIST && for_cpu)
        dma_sync_sg_for_cpu(dev, ob->list, (int)ob->extents, ob->dir);
    else if (ob->kind == LIST)
        dma_sync_sg_for_device(dev, ob->list, (int)ob->extents, ob->dir);
    else if (for_cpu)
        dma_sync_sgtable_for_cpu(dev, &ob->table, ob->dir);
    else
        dma_sync_sgtable_for_device(dev, &ob->table, ob->dir);
}

void actor_sync_object(struct actors *a, struct actor_object *ob)
{
    struct extent *e = &ob->extent[below(a, ob->extents)];
    if (ob->resource)
        return;
    if (ob->kind == LIST || ob->kind == TABLE)
        sync_list(a, ob);
    else if (ob->kind == SINGLE || ob->kind == NONCOHERENT || ob->kind == PAGES
             || (ob->kind == RANGE && e->linked))
        sync_part(a, ob, e);
    else
        actor_scribble(a, ob);
    actor_expect_memory(a, ob);
}

/* ---- The device ---------------------------------------------------------------------- */

/* Which extent has this byte of a page; NULL: none that anybody looks at. */
static struct extent *extent_at(struct actor_object *ob, const struct opage *p, uint32_t at)
{
    for (unsigned i = 0; i < ob->extents; i++) {
        struct extent *e = &ob->extent[i];
        if (e->shadow != NULL && p->iova + at - e->dma < e->bytes)
            return e;
    }
    return NULL;
}

static uint32_t room_at(const struct extent *e, const struct opage *p, uint32_t at)
{
    const uint64_t left = e->dma + e->bytes - (p->iova + at);
    const uint64_t page = PAGE - at;
    const uint64_t n    = left < page ? left : page;
    return (uint32_t)(n < TOUCH ? n : TOUCH);
}

static void device_writes(struct actors *a, struct actor_object *ob, struct opage *p,
                          uint32_t at)
{
    uint8_t data[TOUCH];
    struct extent *e = extent_at(ob, p, at);
    uint32_t n       = e == NULL ? 0 : room_at(e, p, at);
    if (p->view != NULL && device(a)->untrusted)
        n = PAGE - at < TOUCH ? PAGE - at : TOUCH; /* Also beside the data. */
    made(a, ACTOR_device_write);
    for (uint32_t i = 0; i < n; i++)
        data[i] = (uint8_t)rng_next(&a->rng);
    if (n == 0)
        return;
    memory_device_write(&a->rig->memory, p->pa + at, data, n);
    memcpy(p->view != NULL ? p->view + at : e->shadow + (p->iova + at - e->dma), data, n);
}

static void device_reads(struct actors *a, struct actor_object *ob, const struct opage *p,
                         uint32_t at)
{
    struct extent *e = extent_at(ob, p, at);
    made(a, ACTOR_device_read);
    if (p->view != NULL && device(a)->untrusted)
        actor_compare(a, p->pa, p->view, PAGE, "what the device reads");
    else if (e != NULL && p->view != NULL)
        actor_compare(a, p->pa + at, p->view + at, room_at(e, p, at),
                      "what the device reads");
    else if (e != NULL)
        actor_compare(a, p->pa + at, e->shadow + (p->iova + at - e->dma), room_at(e, p, at),
                      "what the device reads");
}

/* Nobody else changes the object meanwhile: the answer is known exactly. */
void actor_touch(struct actors *a, struct actor_object *ob)
{
    struct opage *p       = &ob->page[below(a, ob->pages)];
    const uint32_t at     = below(a, PAGE);
    const unsigned access = chance(a, 50) ? ORACLE_READ : ORACLE_WRITE;
    uint64_t pa           = 0;
    if (!a->device_there || (translates(a) && !p->mapped))
        return;
    const uint64_t began = ++a->oracle.clock;
    const bool reached   = kernel_rig_reach(a->rig, p->iova + at,
                                          access == ORACLE_READ ? PT_READ : PT_WRITE, &pa);
    const uint64_t ended = ++a->oracle.clock;
    const bool allowed   = !translates(a) || may_of(a, ob->dir) & access;
    if (translates(a))
        oracle_access(&a->oracle, p->iova, access, began, ended, reached, pa);
    if (reached != allowed || (reached && pa != p->pa + at))
        complain(a, "the device %s 0x%" PRIx64 " at 0x%" PRIx64 ", expected 0x%" PRIx64,
                 reached ? "reached" : "did not reach", p->iova + at, pa, p->pa + at);
    else if (!reached)
        made(a, ACTOR_device_denied);
    else if (access == ORACLE_READ)
        device_reads(a, ob, p, at);
    else
        device_writes(a, ob, p, at);
}

/* A page that was unmapped a while ago, or by now belongs to somebody else. */
void actor_touch_past(struct actors *a)
{
    const unsigned filled = a->pasts < ACTOR_PAST ? a->pasts : ACTOR_PAST;
    const unsigned access = chance(a, 50) ? ORACLE_READ : ORACLE_WRITE;
    uint64_t pa           = 0;
    if (!a->device_there || !translates(a) || filled == 0)
        return;
    const uint64_t iova  = a->past[below(a, filled)];
    const uint64_t began = ++a->oracle.clock;
    const bool reached =
        kernel_rig_reach(a->rig, iova, access == ORACLE_READ ? PT_READ : PT_WRITE, &pa);
    const uint64_t ended = ++a->oracle.clock;
    made(a, ACTOR_device_past);
    while (!oracle_access(&a->oracle, iova, access, began, ended, reached, pa))
        kernel_rig_sleep_until(cpu_this()->time + TIME_US);
}

/* ---- Questions, and calls that are refused ------------------------------------------- */

void actor_ask(struct actors *a)
{
    struct device *dev  = device(a);
    const bool iommu    = translates(a);
    const size_t opt    = iommu ? 32 * PAGE : SIZE_MAX;
    const size_t bounce = BOUNCE_MAX - (a->keeps_offset ? PAGE : 0);
    const size_t most   = iommu && dev->untrusted ? bounce : SIZE_MAX;
    made(a, ACTOR_query);
    if (dma_get_merge_boundary(dev) != (iommu ? PAGE - 1 : 0))
        complain(a, "the merge boundary is %lu", dma_get_merge_boundary(dev));
    if (dma_opt_mapping_size(dev) != (opt < most ? opt : most))
        complain(a, "the best size is %zu", dma_opt_mapping_size(dev));
    if (dma_max_mapping_size(dev) != most)
        complain(a, "the largest size is %zu", dma_max_mapping_size(dev));
    if (iommu && !dma_need_unmap(dev))
        complain(a, "no unmap is needed behind an IOMMU");
    if (dma_mapping_error(dev, DMA_MAPPING_ERROR) != -ENOMEM
        || dma_mapping_error(dev, 0) != 0)
        complain(a, "dma_mapping_error");
}

static void refuse_address(struct actors *a, dma_addr_t addr, const char *what)
{
    if (addr != DMA_MAPPING_ERROR)
        complain(a, "%s was mapped", what);
}

static void refused_maps(struct actors *a)
{
    struct device *dev  = device(a);
    const uint64_t phys = ACTOR_ARENA + 64;
    struct page *page   = phys_to_page(phys);
    refuse_address(a, dma_map_page_attrs(dev, page, 0, 64, DMA_TO_DEVICE, DMA_ATTR_MMIO),
                   "a page with MMIO");
    refuse_address(
        a, dma_map_single(dev, (void *)(uintptr_t)0xfe00000000000000, 64, DMA_TO_DEVICE),
        "vmalloc memory");
    if (translates(a))
        refuse_address(a, dma_map_phys(dev, phys, 64, DMA_TO_DEVICE, DMA_ATTR_CC_SHARED),
                       "CC_SHARED");
    if (dev->noncoherent)
        refuse_address(
            a, dma_map_phys(dev, phys, 64, DMA_TO_DEVICE, DMA_ATTR_REQUIRE_COHERENT),
            "a device that is not coherent");
    if (translates(a) && dev->untrusted)
        refuse_address(
            a,
            dma_map_phys(dev, phys, 64, DMA_TO_DEVICE,
                         chance(a, 50) ? DMA_ATTR_REQUIRE_COHERENT : DMA_ATTR_MMIO),
            "what may not bounce");
    if (translates(a)) {
        dma_unmap_phys(dev, NEVER_THERE, 64, DMA_TO_DEVICE, 0); /* A warning, no more. */
        refuse_address(a,
                       dma_map_phys(dev, UINT64_C(1) << 57, PAGE, DMA_TO_DEVICE,
                                    DMA_ATTR_SKIP_CPU_SYNC),
                       "memory beyond the tables");
    }
}

static void refused_memory(struct actors *a)
{
    struct device *dev = device(a);
    dma_addr_t addr;
    bool any = dma_alloc_attrs(dev, PAGE, &addr, GFP_KERNEL | __GFP_COMP, 0) != NULL;
    any |=
        dma_alloc_pages(dev, PAGE, &addr, DMA_TO_DEVICE, GFP_KERNEL | __GFP_DMA32) != NULL;
    any |= dma_alloc_noncontiguous(dev, PAGE, DMA_TO_DEVICE, GFP_KERNEL, DMA_ATTR_MMIO)
           != NULL;
    any |= dma_alloc_noncontiguous(dev, 0, DMA_TO_DEVICE, GFP_KERNEL, 0) != NULL;
    if (any)
        complain(a, "memory was given that had to be refused");
    dma_free_coherent(dev, 0, NULL, 0);
}

static void refused_link(struct actors *a, struct dma_iova_state *s, uint64_t phys,
                         size_t offset, size_t size, enum dma_data_direction dir, int want)
{
    const int error =
        dma_iova_link(device(a), s, phys, offset, size, dir, DMA_ATTR_SKIP_CPU_SYNC);
    if (error != want)
        complain(a, "dma_iova_link(0x%" PRIx64 ", %zu, %zu) gave %d, expected %d", phys,
                 offset, size, error, want);
}

static void refused_links(struct actors *a)
{
    struct device *dev = device(a);
    struct dma_iova_state s;
    const uint64_t phys = ACTOR_BAR;
    begin(a);
    if (dma_iova_try_alloc(dev, &s, 0, 0)
        || dma_iova_try_alloc(dev, &s, 0, PAGE | UINT64_C(1) << 63))
        complain(a, "a range without a possible size");
    if (!dma_iova_try_alloc(dev, &s, phys, 4 * PAGE)) {
        end(a);
        return;
    }
    const uint64_t owner = ++a->oracle.clock;
    oracle_take(&a->oracle, s.addr, 4, owner);
    refused_link(a, &s, phys, 0, PAGE, DMA_TO_DEVICE, 0);
    oracle_map(&a->oracle, s.addr, owner, phys, may_of(a, DMA_TO_DEVICE));
    oracle_awaits_sync(&a->oracle, s.addr, owner); /* It never is. */
    refused_link(a, &s, phys + PAGE, 0, PAGE, DMA_TO_DEVICE, -EADDRINUSE);
    refused_link(a, &s, phys + 64, PAGE, 64, DMA_TO_DEVICE, -EIO);
    refused_link(a, &s, phys, PAGE, 0, DMA_TO_DEVICE, -EINVAL);
    refused_link(a, &s, phys, PAGE, PAGE, DMA_NONE, -EINVAL);
    refused_link(a, &s, UINT64_C(1) << 57, PAGE, PAGE, DMA_TO_DEVICE, -ERANGE);
    refused_link(a, &s, phys, PAGE + 512, PAGE, DMA_TO_DEVICE, -ENXIO);
    oracle_unmapping(&a->oracle, s.addr, owner,
                     a->lazy && a->rig->kernel.release < LINUX_7_3);
    oracle_leaving(&a->oracle, s.addr, 4, owner);
    dma_iova_destroy(dev, &s, PAGE, DMA_TO_DEVICE, 0);
    end(a);
    oracle_unmapped(&a->oracle, s.addr, owner);
    oracle_give(&a->oracle, s.addr, 4, owner);
}

void actor_try_refused(struct actors *a)
{
    made(a, ACTOR_refused);
    a->sheltered[flight()] = true;
    switch (below(a, 3)) {
    case 0:
        refused_maps(a);
        break;
    case 1:
        refused_memory(a);
        break;
    default:
        refused_links(a);
    }
    a->sheltered[flight()] = false;
}
