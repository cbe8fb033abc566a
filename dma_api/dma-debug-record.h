/* SPDX-License-Identifier: Apache-2.0 */
/* dma-debug-record - what dma_debug keeps of everything that is mapped, and how it finds
 * it. For dma-debug*.c only. */
#ifndef DMA_API_DMA_DEBUG_RECORD_H
#define DMA_API_DMA_DEBUG_RECORD_H

#include <bsd/sys/tree.h>

#include "dma_api/dma-debug.h"
#include "dma_api/dma-sites.h"

/* A place in a driver's source; file NULL: not known. */
struct dma_place {
    const char *file;
    int line;
};

struct dma_record {
    RB_ENTRY(dma_record) by_address, by_owner;
    struct device *dev;
    struct dma_debug_mapping is;
    uint64_t serial;         /* Orders those of one address. */
    uint64_t owner;          /* The memory's first cache line, or where the state is. */
    bool checked;            /* dma_mapping_error was asked. */
    dma_addr_t range;        /* Of a piece: the range that it is linked in. */
    int nents, mapped, nth;  /* Of a list: as given, as mapped, and which this is. */
    struct dma_place at;     /* Of the mapping. */
    struct dma_place reused; /* Of a range: the state has been taken for another one. */
};
RB_HEAD(dma_addresses, dma_record);
RB_HEAD(dma_owners, dma_record);

enum { DMA_DEBUG_CPUS_MAX = 64, DMA_DEBUG_GONE = 256 };

struct dma_debug {
    struct kernel *kernel;
    struct dma_addresses addresses;
    struct dma_owners owners;
    uint64_t serial;
    struct dma_site *site[DMA_DEBUG_CPUS_MAX]; /* Innermost call of each CPU. */
    struct {                                   /* The newest that went, in a ring. */
        const struct device *dev;
        dma_addr_t addr;
        struct dma_place at;
    } gone[DMA_DEBUG_GONE];
    uint64_t went;
    char finding[512];
};

/* The place of the call that this CPU is in. */
struct dma_place dma_debug_here(const struct dma_debug *d);

/* A finding about the present call; r (or NULL) is the mapping that it is about. */
__attribute__((format(printf, 3, 4))) void
dma_debug_say(struct device *dev, const struct dma_record *r, const char *format, ...);
/* The same about an address that has no mapping; says where it went, if that is known. */
void dma_debug_say_none(struct device *dev, const char *does, dma_addr_t addr);

struct dma_record *dma_record_add(struct device *dev, const struct dma_debug_mapping *m,
                                  uint64_t owner);
void dma_record_remove(struct dma_record *r);

/* The first at or behind an address, and the next one; NULL: no more of this device. */
struct dma_record *dma_record_from(struct device *dev, dma_addr_t addr);
struct dma_record *dma_record_next(struct dma_record *r);
/* Of all at exactly this address, the one that is most like m. */
struct dma_record *dma_record_like(struct device *dev, const struct dma_debug_mapping *m);
/* One with this owner that is out; NULL: there is none. */
struct dma_record *dma_record_owned(struct dma_debug *d, uint64_t owner);

static inline dma_addr_t dma_record_end(const struct dma_record *r)
{
    return r->is.addr + r->is.size;
}

/* How far the pieces of a range are linked one behind the other, from first on. */
dma_addr_t dma_debug_linked_to(struct device *dev, dma_addr_t range, dma_addr_t first);

#endif
