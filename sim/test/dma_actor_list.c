/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/dma_actor_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Scatter lists ------------------------------------------------------------------- */

/* Cuts a slot into elements, some of them neighbours, and shuffles them at times. */
static bool make_list(struct actors *a, struct actor_object *ob)
{
    uint64_t bytes;
    ob->slot = actor_slot_get(a, 0, ACTOR_SMALL);
    if (ob->slot == NO_SLOT)
        return false;
    const uint64_t base    = ACTOR_ARENA + actor_slot_at(ob->slot, &bytes);
    const bool whole_pages = chance(a, 40);
    uint64_t at            = whole_pages ? align_up(base, 12) : base + below(a, PAGE);
    while (ob->extents < ACTOR_EXTENTS && at < base + bytes) {
        const uint64_t left       = base + bytes - at;
        uint64_t n                = whole_pages ? PAGE : 1 + below(a, 2000);
        n                         = n < left ? n : left;
        ob->extent[ob->extents++] = (struct extent){ .phys   = at,
                                                     .bytes  = (uint32_t)n,
                                                     .shadow = actor_shadow_of(a, at) };
        at += n + (!whole_pages && chance(a, 50) ? below(a, 1500) : 0);
    }
    for (unsigned i = ob->extents; i-- > 1 && chance(a, 50);) {
        const unsigned j        = below(a, i + 1);
        const struct extent was = ob->extent[i];
        ob->extent[i]           = ob->extent[j];
        ob->extent[j]           = was;
    }
    sg_init_table(ob->list, ob->extents);
    for (unsigned i = 0; i < ob->extents; i++)
        sg_set_page(&ob->list[i], phys_to_page(ob->extent[i].phys), ob->extent[i].bytes,
                    (unsigned)(ob->extent[i].phys % PAGE));
    ob->table = (struct sg_table){ ob->list, 0, ob->extents };
    return true;
}

static bool is_mapped_one_by_one(struct actors *a, const struct actor_object *ob)
{
    const struct device *dev = device(a);
    if (!translates(a) || dev->untrusted)
        return translates(a);
    for (unsigned i = 0; i < ob->extents; i++) {
        const uint32_t n = ob->extent[i].bytes;
        if (dev->noncoherent && ob->dir != DMA_TO_DEVICE
            && (n <= 32 || (n > 64 && n <= 96)))
            return true;
    }
    return false;
}

static void adopt_one_by_one(struct actors *a, struct actor_object *ob, int mapped)
{
    if (mapped != (int)ob->extents)
        complain(a, "%d segments for %u elements", mapped, ob->extents);
    for (unsigned i = 0; i < ob->extents; i++) {
        struct extent *e = &ob->extent[i];
        e->dma           = sg_dma_address(&ob->list[i]);
        e->bounced       = actor_bounces(a, e->phys, e->bytes, ob->dir);
        if (sg_dma_len(&ob->list[i]) != e->bytes)
            complain(a, "an element has %u bytes, expected %u", sg_dma_len(&ob->list[i]),
                     e->bytes);
        actor_adopt(a, ob, e, dma_get_mask(device(a)));
    }
}

/* Every element follows the one before it in the same segment or begins the next. */
static void expect_segments(struct actors *a, const struct actor_object *ob, int mapped)
{
    const uint64_t boundary = dma_get_seg_boundary(device(a));
    int segment             = -1;
    uint64_t filled         = 0;
    for (unsigned i = 0; i < ob->extents; i++) {
        const struct extent *e = &ob->extent[i];
        if (segment < 0 || filled == sg_dma_len(&ob->list[segment])) {
            segment++;
            filled = 0;
        }
        if (segment >= mapped || sg_dma_address(&ob->list[segment]) + filled != e->dma) {
            complain(a, "element %u of a list is not where the segments say", i);
            return;
        }
        filled += e->bytes;
        const uint64_t first = sg_dma_address(&ob->list[segment]);
        const uint64_t bytes = sg_dma_len(&ob->list[segment]);
        if (((first ^ (first + bytes - 1)) & ~boundary) != 0)
            complain(a, "a segment crosses the boundary");
        if (bytes > dma_get_max_seg_size(device(a)))
            complain(a, "a segment of %" PRIu64 " bytes is too long", bytes);
    }
    if (segment + 1 != mapped || filled != sg_dma_len(&ob->list[segment]))
        complain(a, "%d segments, expected %d", mapped, segment + 1);
}

/* One range for all: each element in whole granules, moved up where it would cross the
 * boundary; then what lies behind the element before fills the gap. */
static void lay_out(struct actors *a, struct actor_object *ob, uint64_t base)
{
    const uint64_t boundary = dma_get_seg_boundary(device(a));
    uint64_t at = 0, end_phys = 0;
    for (unsigned i = 0; i < ob->extents; i++) {
        struct extent *e      = &ob->extent[i];
        const uint64_t inside = e->phys % PAGE, bytes = align_up(e->bytes + inside, 12);
        const uint64_t pad = (boundary - at + 1) & boundary;
        const bool moves   = i > 0 && pad != 0 && pad < bytes - 1;
        actor_add_pages(ob, base + at, (unsigned)(((moves ? pad : 0) + bytes) / PAGE));
        for (; moves && at % (boundary + 1) != 0; at += PAGE, end_phys += PAGE)
            ob->page[at / PAGE].pa = end_phys;
        e->dma   = base + at + inside;
        e->first = (uint32_t)(at / PAGE);
        end_phys = e->phys - inside + bytes;
        for (uint64_t done = 0; done < bytes; done += PAGE, at += PAGE)
            ob->page[at / PAGE].pa = e->phys - inside + done;
    }
}

static void adopt_list(struct actors *a, struct actor_object *ob, int mapped)
{
    const uint64_t base = align_down(sg_dma_address(&ob->list[0]), 12);
    if (is_mapped_one_by_one(a, ob) || !translates(a)) {
        adopt_one_by_one(a, ob, mapped);
        return;
    }
    lay_out(a, ob, base);
    expect_segments(a, ob, mapped);
    actor_expect_address(a, base, (uint64_t)ob->pages * PAGE, dma_get_mask(device(a)), 0);
    oracle_take(&a->oracle, base, ob->pages, ob->owner);
    for (unsigned i = 0; i < ob->pages; i++)
        actor_map_page(a, ob, &ob->page[i], ob->page[i].pa, false);
}

static int map_list(struct actors *a, struct actor_object *ob)
{
    if (ob->kind == TABLE) {
        made(a, ACTOR_map_sgtable);
        const int error = dma_map_sgtable(device(a), &ob->table, ob->dir, ob->attrs);
        return error != 0 ? error : (int)ob->table.nents;
    }
    made(a, ACTOR_map_sg);
    return (int)dma_map_sg_attrs(device(a), ob->list, (int)ob->extents, ob->dir, ob->attrs);
}

void actor_map_some_list(struct actors *a)
{
    struct actor_object *ob = actor_object_new(a, chance(a, 50) ? LIST : TABLE);
    if (!make_list(a, ob)) {
        actor_object_free(a, ob);
        return;
    }
    const bool one_by_one = is_mapped_one_by_one(a, ob);
    actor_scribble(a, ob);
    begin(a);
    const int mapped = map_list(a, ob);
    if (mapped > 0) {
        adopt_list(a, ob, mapped);
        end(a);
        actor_stock(a, ob);
        return;
    }
    actor_expect_failure(a, one_by_one && actor_pool_is_low(a), "a map of a list");
    if (ob->kind == TABLE && mapped != (one_by_one ? -EIO : -ENOMEM))
        complain(a, "a map of a list gave %d", mapped);
    end(a);
    actor_object_free(a, ob);
}

void actor_unmap_list(struct actors *a, struct actor_object *ob)
{
    for (unsigned i = 0; i < ob->extents; i++)
        actor_copy_back(ob, &ob->extent[i]);
    begin(a);
    actor_leaving(a, ob, ob->defers);
    made(a, ACTOR_unmap_sg);
    if (ob->kind == TABLE)
        dma_unmap_sgtable(device(a), &ob->table, ob->dir, ob->attrs);
    else
        dma_unmap_sg_attrs(device(a), ob->list, (int)ob->extents, ob->dir, ob->attrs);
    end(a);
    actor_gone(a, ob);
    actor_expect_memory(a, ob);
}

/* ---- Lists with other devices' memory --------------------------------------------------
 */

#define PEER_BY_BUS UINT64_C(0xe0000000)
#define PEER_BRIDGE UINT64_C(0xe1000000)
#define PEER_NO_WAY UINT64_C(0xe2000000)
#define PEER_OFFSET UINT64_C(0x1000000000)

const struct p2pdma_window actor_windows[ACTOR_WINDOWS] = {
    { PEER_BY_BUS, PEER_BY_BUS + 0xffffff, PCI_P2PDMA_MAP_BUS_ADDR, PEER_OFFSET },
    { PEER_BRIDGE, PEER_BRIDGE + 0xffffff, PCI_P2PDMA_MAP_THRU_HOST_BRIDGE, 0 },
    { PEER_NO_WAY, PEER_NO_WAY + 0xffffff, PCI_P2PDMA_MAP_NOT_SUPPORTED, 0 },
};

static unsigned make_peers(struct actors *a, struct scatterlist *list, bool *no_way)
{
    const unsigned n = 1 + below(a, ACTOR_EXTENTS);
    *no_way          = false;
    sg_init_table(list, n);
    for (unsigned i = 0; i < n; i++) {
        const unsigned pick = below(a, 100);
        const uint64_t base = pick < 40   ? ACTOR_BAR
                              : pick < 75 ? PEER_BY_BUS
                              : pick < 97 ? PEER_BRIDGE
                                          : PEER_NO_WAY;
        *no_way |= base == PEER_NO_WAY;
        sg_set_page(&list[i], phys_to_page(base + (uint64_t)below(a, 4096) * PAGE), PAGE,
                    0);
    }
    return n;
}

/* Each element is where the segments say, and those by bus address have one each. */
static void expect_peers(struct actors *a, struct borrowed *b, struct scatterlist *list,
                         unsigned n, unsigned mapped, enum dma_data_direction dir)
{
    unsigned segment = 0, filled = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t phys = sg_phys(&list[i]);
        const bool bus      = phys >= PEER_BY_BUS && phys < PEER_BRIDGE;
        if (segment >= mapped) {
            complain(a, "%u segments do not hold %u elements", mapped, n);
            return;
        }
        const struct scatterlist *out = &list[segment];
        const uint64_t at             = sg_dma_address(out) + filled;
        filled += PAGE;
        if (bus != ((out->dma_flags & SG_DMA_BUS_ADDRESS) != 0)
            || (bus && (at != phys + PEER_OFFSET || sg_dma_len(out) != PAGE)))
            complain(a, "element %u of %u: segment %u has 0x%" PRIx64 ", flags %x", i, n,
                     segment, at, out->dma_flags);
        else if (!bus && translates(a))
            actor_borrow(a, b, at, phys, may_of(a, dir));
        else if (!bus && at != phys)
            complain(a, "0x%" PRIx64 " is not the physical address", at);
        segment += filled == sg_dma_len(out);
        filled = filled == sg_dma_len(out) ? 0 : filled;
    }
    if (segment != mapped || filled != 0)
        complain(a, "%u segments, expected %u", mapped, segment);
}

void actor_map_peers(struct actors *a)
{
    struct scatterlist list[ACTOR_EXTENTS];
    struct borrowed b = { .owner = ++a->oracle.clock };
    struct sg_table t = { .sgl = list };
    bool no_way;
    if (translates(a)
        && device(a)->untrusted) /* Each element for itself: no way is looked */
        return;                  /* for. */
    t.orig_nents                      = make_peers(a, list, &no_way);
    const enum dma_data_direction dir = chance(a, 50) ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
    begin(a);
    made(a, ACTOR_peers);
    const int error = dma_map_sgtable(device(a), &t, dir, DMA_ATTR_SKIP_CPU_SYNC);
    if (error != 0) {
        if (!no_way || error != -EREMOTEIO)
            actor_expect_failure(a, !no_way && !translates(a), "a list with peers");
        end(a);
        return;
    }
    if (no_way)
        complain(a, "a list was mapped to which there is no way");
    expect_peers(a, &b, list, t.orig_nents, t.nents, dir);
    actor_returning(a, &b);
    dma_unmap_sgtable(device(a), &t, dir, DMA_ATTR_SKIP_CPU_SYNC);
    end(a);
    actor_returned(a, &b);
}
