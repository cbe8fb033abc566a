/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostheap - host memory that belongs to one simulated system.
 *
 * Simulated software runs on coroutines. When a run is interrupted or refused they are
 * abandoned where they stand, and what they took cannot be given back by them any more: the
 * owner of the heap releases it. A run that ends in order leaves the heap empty.
 */
#ifndef SIM_BASE_HOSTHEAP_H
#define SIM_BASE_HOSTHEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hostheap_block;

/* All zero is an empty heap. */
struct hostheap {
    struct hostheap_block *newest;
    uint64_t out; /* Blocks that were taken and not given back. */
};

/* count times bytes of zeroes, never NULL; taker, for a message, is kept. */
void *hostheap_take(struct hostheap *heap, size_t count, size_t bytes, const char *taker);

/* Gives back what hostheap_take returned, from the same heap; NULL is nothing. */
void hostheap_give_back(struct hostheap *heap, void *memory);

/* Who took the newest block that is out; NULL: none is. */
const char *hostheap_taker(const struct hostheap *heap);

/* Gives back everything that is out. */
void hostheap_release(struct hostheap *heap);

#ifdef __cplusplus
}
#endif

#endif
