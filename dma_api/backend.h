/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend - the family of IOMMU drivers: what one architecture's registers, tables and
 * queues look like from the software's side.
 *
 * dma_api/backend_X.c defines `const struct backend backend_X`, whose name is that of the
 * architecture it drives. It knows the specification's headers and simulated memory,
 * nothing else of the model.
 */
#ifndef DMA_API_BACKEND_H
#define DMA_API_BACKEND_H

#include "dma_api/pagetable.h"
#include "dma_api/rules.h"
#include "sim/base/mmio.h"

struct dma_domain;
struct flush_span;

/* How several spans are to be invalidated. */
struct flush_how {
    enum flush_grain grain;
    uint32_t hybrid_pages; /* GRAIN_hybrid: page by page up to so many. */
    bool tables;           /* Page-table pages were taken out: pointers to them go, too. */
};

struct backend {
    const char *name, *summary;
    uint8_t leaf_prot; /* What every leaf allows beside reading and writing: PT_* bits. */

    /* Brings the hardware up through its registers; NULL with *error set when it is not
     * what the driver needs. Runs on CPU 0 before any device is attached. */
    void *(*probe)(struct kernel *k, struct mmio_window *registers, struct error *error);
    void (*remove)(void *state);

    /* The tables a new domain is to have. */
    void (*tables)(void *state, const struct pt_format **format, unsigned *levels,
                   uint64_t *leaf_sizes);

    /* Gives the domain an id, and takes it back. */
    bool (*domain_init)(void *state, struct dma_domain *d);
    void (*domain_exit)(void *state, struct dma_domain *d);

    /* Lets the device translate through the domain's tables, or through none (identity). */
    bool (*attach)(void *state, struct dma_domain *d, struct device *dev);
    bool (*attach_identity)(void *state, struct device *dev);
    void (*detach)(void *state, struct dma_domain *d, struct device *dev);

    /* What a map must tell the hardware about first .. last; often nothing. */
    void (*map_sync)(void *state, struct dma_domain *d, uint64_t first, uint64_t last);

    /* On return no cache holds a translation of first .. last, and no earlier DMA through
     * one is under way. tables: page-table pages were taken out, so pointers to them go,
     * too. leaf_lg2: the span of the smallest entries that held a leaf; 0: not known. */
    void (*flush_range)(void *state, struct dma_domain *d, uint64_t first, uint64_t last,
                        bool tables, unsigned leaf_lg2);
    void (*flush_all)(void *state, struct dma_domain *d);

    /* As flush_range, for several spans at this grain, with as few waits as it takes; what
     * the hardware has not got is made up by more. */
    void (*flush_spans)(void *state, struct dma_domain *d, const struct flush_span *span,
                        unsigned spans, const struct flush_how *how);

    /* The same, but nobody waits: posted_done says whether it is over, once. NULL: the
     * queue cannot be used in this way. */
    uint64_t (*post)(void *state, struct dma_domain *d, const struct flush_span *span,
                     const struct flush_how *how);
    bool (*posted_done)(void *state, uint64_t ticket);
};

extern const struct backend *const backend_table[];
const struct backend *backend_find(const char *name); /* NULL when there is none. */

#endif
