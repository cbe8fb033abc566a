/* SPDX-License-Identifier: Apache-2.0 */
/* verbs_core - what the files of the RDMA driver ask of each other. */
#ifndef WORKLOADS_VERBS_CORE_H
#define WORKLOADS_VERBS_CORE_H

#include "workloads/verbs.h"

/* Zeroed coherent memory; false: there is none. */
bool verbs_memory_alloc(struct verbs_device *d, struct verbs_memory *m, size_t bytes);
void verbs_memory_free(struct verbs_device *d, struct verbs_memory *m);
/* 64-bit words of it. */
void verbs_write(const struct verbs_memory *m, size_t offset, uint64_t value);
void verbs_write_bytes(const struct verbs_memory *m, size_t offset, const void *data,
                       size_t bytes);
void verbs_read_bytes(const struct verbs_memory *m, size_t offset, void *data,
                      size_t bytes);

/* A ring of entries of 2^lg2 bytes; false: there is no memory. verbs_ring_free in either
 * case. */
bool verbs_ring_alloc(struct verbs_device *d, struct verbs_ring *r, uint32_t entries,
                      uint32_t lg2);
void verbs_ring_free(struct verbs_device *d, struct verbs_ring *r);

/* In the interrupt: takes what a completion queue holds. */
void verbs_cq_drain(struct verbs_cq *cq);
/* The NIC wants a page. */
void verbs_note_fault(struct verbs_device *d, uint32_t key, uint64_t address,
                      uint64_t bytes);

#endif
