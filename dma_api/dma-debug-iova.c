/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma-debug-iova - the calls of the IOVA API: ranges, and the pieces that are linked.
 *
 * Linux's checker does not look at these. The rules are those of core-api/dma-api, part Ie.
 */
#include <inttypes.h>

#include "dma_api/dma-debug-record.h"

/* The key of where a state is; a cache line's has no such bit. */
static uint64_t owner_of(const struct dma_iova_state *state)
{
    return (uint64_t)(uintptr_t)state | UINT64_C(1) << 63;
}

void dma_debug_alloc(struct device *dev, struct dma_iova_state *state)
{
    struct dma_debug *d       = dev->kernel->debug;
    struct dma_record *before = dma_record_owned(d, owner_of(state));
    if (before != NULL)
        before->reused = dma_debug_here(d);
    if (!dma_use_iova(state))
        return;
    const struct dma_debug_mapping m                  = { .kind = DMA_DEBUG_RANGE,
                                                          .addr = state->addr,
                                                          .size = dma_iova_size(state) };
    dma_record_add(dev, &m, owner_of(state))->checked = true;
}

/* The range of a state; NULL, after a finding: it has none. */
static struct dma_record *range_of(struct device *dev, struct dma_iova_state *state,
                                   const char *does)
{
    const struct dma_debug_mapping m = { .kind = DMA_DEBUG_RANGE,
                                         .addr = state->addr,
                                         .size = dma_iova_size(state) };
    if (!dma_use_iova(state)) {
        dma_debug_say(dev, NULL, "%s a state without addresses", does);
        return NULL;
    }
    struct dma_record *r = dma_record_like(dev, &m);
    if (r == NULL)
        dma_debug_say_none(dev, does, state->addr);
    return r;
}

/* ---- Pieces -------------------------------------------------------------------------- */

static bool is_link(const struct dma_record *r, dma_addr_t range)
{
    return r->is.kind == DMA_DEBUG_LINK && r->range == range;
}

/* The first piece that has bytes in [first, end). */
static struct dma_record *link_in(struct device *dev, dma_addr_t range, dma_addr_t first,
                                  dma_addr_t end)
{
    for (struct dma_record *r = dma_record_from(dev, range); r != NULL && r->is.addr < end;
         r                    = dma_record_next(r))
        if (is_link(r, range) && dma_record_end(r) > first)
            return r;
    return NULL;
}

dma_addr_t dma_debug_linked_to(struct device *dev, dma_addr_t range, dma_addr_t first)
{
    for (struct dma_record *r                = dma_record_from(dev, range);
         r != NULL && r->is.addr <= first; r = dma_record_next(r))
        if (is_link(r, range) && dma_record_end(r) > first)
            first = dma_record_end(r);
    return first;
}

static void add_link(struct device *dev, dma_addr_t range,
                     const struct dma_debug_mapping *m, const struct dma_place *at)
{
    struct dma_record *r = dma_record_add(dev, m, 0);
    r->checked           = true;
    r->range             = range;
    if (at != NULL)
        r->at = *at;
}

static void remove_links(struct device *dev, dma_addr_t range, dma_addr_t first,
                         dma_addr_t end)
{
    for (struct dma_record *r; (r = link_in(dev, range, first, end)) != NULL;) {
        const struct dma_debug_mapping was = r->is;
        const struct dma_place at          = r->at;
        const struct {
            dma_addr_t first, end;
        } rest[2] = { { was.addr, first }, { end, was.addr + was.size } };
        dma_record_remove(r);
        for (unsigned i = 0; i < 2; i++) {
            if (rest[i].end <= rest[i].first)
                continue;
            struct dma_debug_mapping m = was;
            m.addr                     = rest[i].first;
            m.size                     = rest[i].end - rest[i].first;
            add_link(dev, range, &m, &at);
        }
    }
}

static void expect_dirs(struct device *dev, dma_addr_t range, dma_addr_t first,
                        dma_addr_t end, enum dma_data_direction dir)
{
    for (const struct dma_record *r; (r = link_in(dev, range, first, end)) != NULL;
         first = dma_record_end(r))
        if (r->is.dir != dir) {
            dma_debug_say(dev, r, "unlinks 0x%" PRIx64 " with another direction", first);
            return;
        }
}

/* ---- The calls ----------------------------------------------------------------------- */

bool dma_debug_link(struct device *dev, struct dma_iova_state *state, size_t offset,
                    size_t size)
{
    const struct dma_record *r = range_of(dev, state, "links into");
    if (r == NULL)
        return false;
    const dma_addr_t first = state->addr + offset;
    if (offset + size > r->is.size)
        dma_debug_say(dev, r,
                      "links %zu bytes at offset %zu, beyond the %zu of the range at "
                      "0x%" PRIx64,
                      size, offset, r->is.size, r->is.addr);
    const struct dma_record *other = link_in(dev, r->is.addr, first, first + size);
    if (other != NULL)
        dma_debug_say(dev, other, "links 0x%" PRIx64 ", which is linked", first);
    return true;
}

void dma_debug_linked(struct device *dev, struct dma_iova_state *state, size_t offset,
                      size_t size, enum dma_data_direction dir)
{
    const struct dma_debug_mapping m = {
        .kind = DMA_DEBUG_LINK, .addr = state->addr + offset, .size = size, .dir = dir
    };
    add_link(dev, state->addr, &m, NULL);
}

void dma_debug_sync_links(struct device *dev, struct dma_iova_state *state, size_t offset,
                          size_t size)
{
    const struct dma_record *r = range_of(dev, state, "syncs");
    if (r == NULL)
        return;
    const dma_addr_t first = state->addr + offset;
    if (link_in(dev, r->is.addr, first, first + size) == NULL)
        dma_debug_say(dev, r, "syncs %zu bytes at offset %zu, where nothing is linked",
                      size, offset);
}

bool dma_debug_unlink(struct device *dev, struct dma_iova_state *state, size_t offset,
                      size_t size, enum dma_data_direction dir)
{
    const struct dma_record *r = range_of(dev, state, "unlinks");
    if (r == NULL)
        return false;
    const dma_addr_t first = state->addr + offset, end = first + size;
    if (dma_debug_linked_to(dev, r->is.addr, first) < end) {
        dma_debug_say(dev, r, "unlinks %zu bytes at offset %zu, which are not all linked",
                      size, offset);
        return false;
    }
    expect_dirs(dev, r->is.addr, first, end, dir);
    remove_links(dev, r->is.addr, first, end);
    return true;
}

bool dma_debug_free_range(struct device *dev, struct dma_iova_state *state)
{
    struct dma_record *r = range_of(dev, state, "frees");
    if (r == NULL)
        return false;
    const struct dma_record *left = link_in(dev, r->is.addr, r->is.addr, dma_record_end(r));
    if (left != NULL) {
        dma_debug_say(dev, left, "frees 0x%" PRIx64 ", where 0x%" PRIx64 " is still linked",
                      r->is.addr, left->is.addr);
        return false;
    }
    dma_record_remove(r);
    return true;
}

bool dma_debug_destroy(struct device *dev, struct dma_iova_state *state, size_t *mapped_len,
                       enum dma_data_direction dir)
{
    struct dma_record *r = range_of(dev, state, "destroys");
    if (r == NULL)
        return false;
    const dma_addr_t first = r->is.addr, linked = dma_debug_linked_to(dev, first, first);
    const struct dma_record *beyond = link_in(dev, first, linked, dma_record_end(r));
    if (linked != first + *mapped_len || beyond != NULL)
        dma_debug_say(
            dev, beyond != NULL ? beyond : r,
            "destroys 0x%" PRIx64 " as %zu bytes, of which %" PRIu64 " are linked%s", first,
            *mapped_len, linked - first, beyond != NULL ? ", and more behind a gap" : "");
    if (beyond != NULL)
        return false;
    *mapped_len = linked - first;
    expect_dirs(dev, first, first, linked, dir);
    remove_links(dev, first, first, linked);
    dma_record_remove(r);
    return true;
}
