/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch - carries out struct flush_rules: from the unmap of a range to its release.
 *
 * batch=each invalidates inside the unmap; otherwise ranges wait in rings, stamped with the
 * number of flushes that have been started, and are released once more than that have
 * finished, so that at least one began after them. Follows queue_iova and fq_flush_timeout
 * of drivers/iommu/dma-iommu.c, which are batch=cpu with 256 entries and 10 ms.
 */
#ifndef DMA_API_BATCH_H
#define DMA_API_BATCH_H

#include "dma_api/flush.h"
#include "dma_api/rules.h"

struct batch;

/* The two halves of what a timer does. */
enum flush_stage { FLUSH_INVALIDATE, FLUSH_RELEASE };

enum { BATCH_POSTED_MAX = 64 }; /* Flushes that nobody waits for, under way at a time. */

struct batch *batch_new(struct dma_domain *d, const struct flush_rules *rules);
/* Flushes what waits, releases it, and frees. On CPU 0. */
void batch_free(struct batch *b);

/* As flush_policy.unmap. */
void batch_unmap(struct batch *b, struct flush_range *range);
/* The same, but inside the unmap, whatever the rules say of when. */
void batch_flush_now(struct batch *b, struct flush_range *range);

/* The driver has ended a batch of unmaps on this CPU: batch=driver flushes. */
void batch_driver_done(struct batch *b);

/* There is no room for an address. True: some have been released. */
bool batch_make_room(struct batch *b);

/* An address is about to be used again. */
void batch_reused(struct batch *b);

/* A stage of the timer, now and on this CPU, in place of the timer itself: for replays,
 * whose recordings say when it fired. */
void batch_expire(struct batch *b, enum flush_stage stage);

/* Whether somebody works on the ring of that CPU, so that an unmap there would wait. */
bool batch_ring_is_locked(const struct batch *b, unsigned cpu);

/* What the rules guarantee, and how far: in ps, or in unmaps or
 * bytes of one ring. */
enum flush_promise flush_rules_promise(const struct flush_rules *rules, uint64_t *bound);

#endif
