/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk_integrity - the memory for metadata of block requests.
 *
 * When nobody above brings any, the block layer gets a buffer for each bio of a request on
 * a device whose blocks have metadata (bio_integrity_prep, block/bio-integrity-auto.c),
 * from kmalloc: several of them share a page, though each is mapped on its own. What is
 * going to be written is cleared first; there is no protection information to compute.
 *
 * Inaccuracies: the least buffer is a cache line. A pool belongs to one CPU's queue: what
 * another CPU completes comes back to it without cost.
 */
#ifndef WORKLOADS_BLK_INTEGRITY_H
#define WORKLOADS_BLK_INTEGRITY_H

#include "workloads/blk-mq-dma.h"

struct kernel;

enum { INTEGRITY_LEAST_LG2 = 6, INTEGRITY_CLASSES = 6 }; /* 64 bytes to half a page. */

/* A stack of page frames or of pieces of them. */
struct integrity_stack {
    phys_addr_t *item;
    uint32_t count, room;
};

struct integrity_pool {
    struct kernel *kernel;
    struct integrity_stack slab; /* Pages that were cut up, */
    struct integrity_stack
        free[INTEGRITY_CLASSES]; /* and their pieces, last in first out. */
    uint64_t out;                /* Buffers that are in use. */
};

void integrity_pool_init(struct integrity_pool *p, struct kernel *kernel);
/* Every buffer must have come back. */
void integrity_pool_free(struct integrity_pool *p);

/* The bytes of metadata for so many bytes of data in blocks of that size. */
struct integrity_format {
    uint32_t block_bytes, metadata_bytes; /* Of one block; 0: none. */
};
uint32_t integrity_bytes(const struct integrity_format *f, uint32_t bytes);

/*
 * Gets the buffers of a request of bytes that is made of bios of bio_bytes (0: it is one);
 * write: they are cleared. Returns how many segments there are, at most segments_max, in
 * the order of the blocks; 0: no memory. The last bio's bytes need not be whole.
 */
uint32_t integrity_get(struct integrity_pool *p, const struct integrity_format *f,
                       uint32_t bytes, uint32_t bio_bytes, bool write,
                       struct blk_segment *segment, uint32_t segments_max);
void integrity_put(struct integrity_pool *p, const struct blk_segment *segment,
                   uint32_t segments);

#endif
