/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-debug - the calls of the streaming API and of memory for devices.
 *
 * What is asked follows check_unmap, check_sync and the tracking of cache lines in
 * kernel/dma/debug.c of Linux 6.12 to 7.3.
 *
 * Inaccuracies: a cache line that is mapped twice while the device may write it is a
 * finding only for a device that is not coherent, to which it does harm; Linux asks always.
 * As there, the first line of each mapping counts. Where nothing has to be unmapped
 * (dma_need_unmap) streaming mappings are not watched; in Linux the checker makes drivers
 * unmap them.
 */
#include "dma_api/dma-debug.h"

#include <inttypes.h>

#include "dma_api/dma-debug-record.h"

static const char *name_of(enum dma_debug_kind kind)
{
    static const char *const name[] = {
        [DMA_DEBUG_SINGLE]        = "a single range",
        [DMA_DEBUG_LIST]          = "a scatter list",
        [DMA_DEBUG_COHERENT]      = "coherent memory",
        [DMA_DEBUG_PAGES]         = "pages",
        [DMA_DEBUG_NONCONTIGUOUS] = "noncontiguous memory",
        [DMA_DEBUG_LINK]          = "a linked piece",
        [DMA_DEBUG_RANGE]         = "a range of addresses",
    };
    return name[kind];
}

static const char *name_of_dir(enum dma_data_direction dir)
{
    static const char *const name[] = { "DMA_BIDIRECTIONAL", "DMA_TO_DEVICE",
                                        "DMA_FROM_DEVICE", "DMA_NONE" };
    return (unsigned)dir < 4 ? name[dir] : "no direction";
}

/* ---- Mapping ------------------------------------------------------------------------- */

static bool watches(struct device *dev, enum dma_debug_kind kind)
{
    return kind > DMA_DEBUG_LIST || dma_need_unmap(dev);
}

/* The key of memory that the device may write: its first cache line; 0: none. */
static uint64_t written_line(const struct device *dev, const struct dma_debug_mapping *m)
{
    const unsigned long alone =
        DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_DEBUGGING_IGNORE_CACHELINES | DMA_ATTR_MMIO;
    if (!dev->noncoherent || m->dir == DMA_TO_DEVICE || m->attrs & alone
        || m->kind > DMA_DEBUG_LIST)
        return 0;
    return (m->phys >> MEM_LINE_LG2) + 1;
}

static struct dma_record *add(struct device *dev, const struct dma_debug_mapping *m)
{
    const uint64_t line            = written_line(dev, m);
    const struct dma_record *other = NULL;
    if (line != 0)
        other = dma_record_owned(dev->kernel->debug, line);
    if (other != NULL)
        dma_debug_say(dev, other,
                      "maps memory at 0x%" PRIx64 " that is mapped, while the device may "
                      "write it",
                      m->phys);
    return dma_record_add(dev, m, line);
}

void dma_debug_map(struct device *dev, const struct dma_debug_mapping *m)
{
    if (!watches(dev, m->kind))
        return;
    struct dma_record *r = add(dev, m);
    r->checked           = m->kind != DMA_DEBUG_SINGLE;
}

void dma_debug_ask_error(struct device *dev, dma_addr_t addr)
{
    for (struct dma_record *r = dma_record_from(dev, addr); r != NULL && r->is.addr == addr;
         r                    = dma_record_next(r))
        if (!r->checked) {
                               r->checked = true;
                               return;
        }
}

/* ---- Unmapping ----------------------------------------------------------------------- */

static void expect_checked(struct device *dev, struct dma_record *r, const char *does)
{
    if (!r->checked)
        dma_debug_say(dev, r, "%s 0x%" PRIx64 ", of which dma_mapping_error was not asked",
                      does, r->is.addr);
    r->checked = true;
}

static void expect_dir(struct device *dev, const struct dma_record *r, const char *does,
                       enum dma_data_direction dir)
{
    if (r->is.dir != dir)
        dma_debug_say(dev, r, "%s 0x%" PRIx64 " as %s, which is %s", does, r->is.addr,
                      name_of_dir(dir), name_of_dir(r->is.dir));
}

/* The mapping at m->addr, if it can be unmapped as m is. */
static struct dma_record *find(struct device *dev, const struct dma_debug_mapping *m)
{
    struct dma_record *r = dma_record_like(dev, m);
    if (m->addr == DMA_MAPPING_ERROR) {
        dma_debug_say(dev, NULL, "unmaps the result of a mapping that failed");
        return NULL;
    }
    if (r == NULL) {
        dma_debug_say_none(dev, "unmaps", m->addr);
        return NULL;
    }
    if (r->is.kind == m->kind)
        return r;
    dma_debug_say(dev, r, "unmaps 0x%" PRIx64 " as %s, which is %s", m->addr,
                  name_of(m->kind), name_of(r->is.kind));
    return NULL;
}

bool dma_debug_unmap(struct device *dev, struct dma_debug_mapping *m)
{
    struct dma_record *r;
    if (!watches(dev, m->kind))
        return true;
    if ((r = find(dev, m)) == NULL)
        return false;
    if (m->phys != 0 && m->phys != r->is.phys) {
        dma_debug_say(dev, r,
                      "frees memory at 0x%" PRIx64 " with address 0x%" PRIx64
                      ", whose memory is at 0x%" PRIx64,
                      m->phys, m->addr, r->is.phys);
        return false;
    }
    if (r->is.size != m->size)
        dma_debug_say(dev, r, "unmaps %zu bytes at 0x%" PRIx64 ", which are %zu", m->size,
                      m->addr, r->is.size);
    m->size = r->is.size;
    expect_dir(dev, r, "unmaps", m->dir);
    expect_checked(dev, r, "unmaps");
    dma_record_remove(r);
    return true;
}

/* ---- Syncing ------------------------------------------------------------------------- */

/* Some mapping with this address inside; NULL: there is none. */
static struct dma_record *around(struct device *dev, dma_addr_t addr)
{
    for (struct dma_record *r = dma_record_from(dev, 0); r != NULL && r->is.addr <= addr;
         r                    = dma_record_next(r))
        if (r->is.kind != DMA_DEBUG_RANGE && dma_record_end(r) > addr)
            return r;
    return NULL;
}

static struct dma_record *of_sync(struct device *dev, dma_addr_t addr, size_t size)
{
    for (struct dma_record *r = dma_record_from(dev, addr); r != NULL && r->is.addr == addr;
         r                    = dma_record_next(r))
        if (r->is.kind != DMA_DEBUG_RANGE && r->is.size >= size)
            return r;
    return around(dev, addr);
}

void dma_debug_sync(struct device *dev, dma_addr_t addr, size_t size,
                    enum dma_data_direction dir)
{
    struct dma_record *r = of_sync(dev, addr, size);
    if (r == NULL && !watches(dev, DMA_DEBUG_SINGLE))
        return;
    if (r == NULL) {
        dma_debug_say_none(dev, "syncs", addr);
        return;
    }
    const bool inside = r->is.kind == DMA_DEBUG_LINK
                            ? dma_debug_linked_to(dev, r->range, addr) >= addr + size
                            : addr + size <= dma_record_end(r);
    if (!inside)
        dma_debug_say(dev, r,
                      "syncs %zu bytes at 0x%" PRIx64 ", beyond the %zu at 0x%" PRIx64,
                      size, addr, r->is.size, r->is.addr);
    if (r->is.dir != DMA_BIDIRECTIONAL)
        expect_dir(dev, r, "syncs", dir);
    expect_checked(dev, r, "syncs");
}

/* ---- Scatter lists ------------------------------------------------------------------- */

void dma_debug_map_sg(struct device *dev, struct scatterlist *sgl, int nents, int mapped,
                      enum dma_data_direction dir, unsigned long attrs)
{
    struct scatterlist *sg;
    int i;
    if (!watches(dev, DMA_DEBUG_LIST))
        return;
    for_each_sg(sgl, sg, mapped, i)
    {
        const struct dma_debug_mapping m = { .kind  = DMA_DEBUG_LIST,
                                             .addr  = sg->dma_address,
                                             .size  = sg->dma_length,
                                             .dir   = dir,
                                             .phys  = sg_phys(sg),
                                             .attrs = attrs };
        struct dma_record *r             = add(dev, &m);
        r->checked                       = true;
        r->nents                         = nents;
        r->mapped                        = mapped;
        r->nth                           = i;
    }
}

/* The first segment of a mapped list; NULL: it is none. */
static struct dma_record *head_of(struct device *dev, const struct scatterlist *sgl,
                                  enum dma_data_direction dir)
{
    const struct dma_debug_mapping m = { .kind = DMA_DEBUG_LIST,
                                         .addr = sgl->dma_address,
                                         .size = sgl->dma_length,
                                         .dir  = dir };
    return find(dev, &m);
}

bool dma_debug_unmap_sg(struct device *dev, struct scatterlist *sgl, int *nents,
                        enum dma_data_direction dir)
{
    struct dma_record *head;
    struct scatterlist *sg;
    int i;
    if (!watches(dev, DMA_DEBUG_LIST))
        return true;
    if ((head = head_of(dev, sgl, dir)) == NULL)
        return false;
    if (head->nth != 0) {
        dma_debug_say(dev, head, "unmaps a list from its segment %d on", head->nth);
        return false;
    }
    if (head->nents != *nents)
        dma_debug_say(dev, head, "unmaps a list of %d elements as one of %d", head->nents,
                      *nents);
    *nents = head->nents;
    expect_dir(dev, head, "unmaps", dir);
    const int mapped = head->mapped;
    for_each_sg(sgl, sg, mapped, i)
    {
        struct dma_record *r = head_of(dev, sg, dir);
        if (r != NULL)
            dma_record_remove(r);
    }
    return true;
}

void dma_debug_sync_sg(struct device *dev, struct scatterlist *sgl, int nents,
                       enum dma_data_direction dir)
{
    const struct dma_debug_mapping m = { .kind = DMA_DEBUG_LIST,
                                         .addr = sgl->dma_address,
                                         .size = sgl->dma_length,
                                         .dir  = dir };
    const struct dma_record *r       = dma_record_like(dev, &m);
    if (!watches(dev, DMA_DEBUG_LIST))
        return;
    if (r == NULL) {
        dma_debug_say_none(dev, "syncs", m.addr);
        return;
    }
    if (r->is.kind != DMA_DEBUG_LIST && r->is.kind != DMA_DEBUG_NONCONTIGUOUS)
        dma_debug_say(dev, r, "syncs 0x%" PRIx64 " as %s, which is %s", m.addr,
                      name_of(m.kind), name_of(r->is.kind));
    else if (r->is.kind == DMA_DEBUG_LIST && r->nents != nents)
        dma_debug_say(dev, r, "syncs a list of %d elements as one of %d", r->nents, nents);
    if (r->is.dir != DMA_BIDIRECTIONAL)
        expect_dir(dev, r, "syncs", dir);
}

/* ---- The end of a device ------------------------------------------------------------- */

void dma_debug_release(struct device *dev)
{
    struct dma_record *r, *next;
    for (r = dma_record_from(dev, 0); r != NULL; r = next) {
        next = dma_record_next(r);
        dma_debug_say(dev, r, "leaves %s behind, %zu bytes at 0x%" PRIx64,
                      name_of(r->is.kind), r->is.size, r->is.addr);
        dma_record_remove(r);
    }
}
