/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pagetable - the driver's side of a page table: writing it, in simulated memory.
 *
 * One algorithm over every format (iommu_model/ptfmt.h), with the behaviour of Linux's
 * generic page table (drivers/iommu/generic_pt, 6.19 and later; the older engines differ in
 * nothing that the DMA API can see). Tables are built by compare and exchange, so that CPUs
 * may map disjoint ranges at the same time; a table is taken out only by an unmap that
 * covers all it spans, and goes to the caller, who frees it once no walk can be in it.
 */
#ifndef DMA_API_PAGETABLE_H
#define DMA_API_PAGETABLE_H

#include "dma_api/kernel.h"
#include "iommu_model/ptfmt.h"

/* Table pages that have been taken out of a table but may still be walked. */
struct table_list {
    struct table_page *first, *last;
};

struct table_page {
    phys_addr_t phys;
    struct table_page *next;
};

struct pagetable {
    struct kernel *kernel;
    const struct pt_format *format;
    unsigned levels;
    uint64_t leaf_sizes; /* A subset of the format's. */
    phys_addr_t root;
    bool keeps_tables; /* An unmap never takes tables out, however empty. */
    uint8_t leaf_prot; /* What every leaf allows beside what a map asks for. */
};

/* False when there is no page for the root. */
bool pagetable_init(struct pagetable *t, struct kernel *k, const struct pt_format *format,
                    unsigned levels, uint64_t leaf_sizes);

/* Gives back every table, whatever is still mapped. No walk may be under way. */
void pagetable_free(struct pagetable *t);

/*
 * Maps bytes at iova to phys; all are multiples of the granule. prot is PT_READ, PT_WRITE.
 * 0, or -EINVAL (no bytes, no permission), -ENXIO (misaligned), -ERANGE (beyond the table),
 * -EADDRINUSE (something is mapped there), -ENOMEM. *mapped says how much is mapped now,
 * also on error: the caller unmaps it. Empty tables that a large leaf replaced are in
 * *freed.
 */
int pagetable_map(struct pagetable *t, uint64_t iova, phys_addr_t phys, uint64_t bytes,
                  unsigned prot, uint64_t *mapped, struct table_list *freed);

/* Unmaps; returns how much was: less when there was a hole or the range begins inside a
 * leaf, more when it ends inside one. Tables that it emptied and covers are in *freed. The
 * span of the smallest entries that held a leaf is in *leaf_lg2, 0 when none did; NULL:
 * nobody asks. */
uint64_t pagetable_unmap(struct pagetable *t, uint64_t iova, uint64_t bytes,
                         struct table_list *freed, unsigned *leaf_lg2);

/* The physical address of iova, or 0. */
phys_addr_t pagetable_lookup(struct pagetable *t, uint64_t iova);

/* The pages themselves go back; tells the observer. */
void table_list_free(struct kernel *k, struct table_list *list);
void table_list_move(struct table_list *to, struct table_list *from);

#endif
