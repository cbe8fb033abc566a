/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger - what the audit knows about pages: notes of the few that matter at the moment,
 * and for every page whether software has given it back and not handed it out again.
 *
 * A page matters while something can still hold a stale translation of it, or while only a
 * part of it has been lent to a device. Notes lie in one hash table; making or dropping one
 * may move all others. Pools are ranges, as they may be all of memory.
 */
#ifndef IOMMU_MODEL_LEDGER_H
#define IOMMU_MODEL_LEDGER_H

#include <stdbool.h>

#include "iommu_model/space.h"
#include "sim/base/simtime.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LEDGER_PAGE_LG2 = 12, LEDGER_LINE_LG2 = 6, LEDGER_CHUNK_LG2 = 9 };
#define LEDGER_ALL_LENT UINT64_MAX

struct ledger_note {
    uint64_t page; /* iova >> 12 */
    space_t space;
    sim_time_t since;    /* Stale since its unmap returned; TIME_NEVER: it is not. */
    sim_time_t reusable; /* Its frame may hold other data; TIME_NEVER: not yet. */
    uint64_t unmap; /* How many unmaps of its CPU had returned, and how many bytes they */
    uint64_t bytes; /* had given back, this one included. */
    uint64_t lent;  /* Bit n: bytes 64 n to 64 n + 63 are a device's to use. */
    uint32_t in_flight; /* Walks and transactions that know the stale translation. */
    uint8_t cpu;
    bool used;
    bool partial; /* Mapped, and only a part of it lent. */
    bool loan;    /* In a pool, and a part of it lent. */
    bool renewed; /* Stale, and handed out again. */
    bool counted; /* Stale, and its exposure is measured. */
};

/* When each page of one aligned stretch of 2 MiB was given back; 0: it is not, or was
 * handed out since. */
struct ledger_chunk {
    uint64_t index; /* page >> 9 */
    space_t space;
    sim_time_t *at; /* NULL: the place is free. */
};

/* Pages first .. last belong to a pool. */
struct ledger_pool {
    uint64_t first, last;
    space_t space;
};

struct ledger {
    struct ledger_note *note;
    uint32_t places_lg2, notes;
    struct ledger_chunk *chunk;
    uint32_t chunk_places_lg2, chunks;
    struct ledger_chunk last; /* The one found last. */
    struct ledger_pool *pool; /* In order of space and page; they do not overlap. */
    uint32_t pools, pool_room;
};

/* All zero is an empty ledger. */
void ledger_free(struct ledger *l);

/* The note of a page, or NULL; _make makes an empty one where there is none. */
struct ledger_note *ledger_find(const struct ledger *l, space_t space, uint64_t page);
struct ledger_note *ledger_make(struct ledger *l, space_t space, uint64_t page);

/* Drops the note if nothing in it matters any more. */
void ledger_tidy(struct ledger *l, struct ledger_note *note);

/* Sets the time at which count pages from page on were given back, 0: they are not. */
void ledger_give_back(struct ledger *l, space_t space, uint64_t page, uint64_t count,
                      sim_time_t at);
sim_time_t ledger_given_back(struct ledger *l, space_t space, uint64_t page);

/* Pages that become part of a pool, or are none any more; returns how many it made so. */
uint64_t ledger_pool_add(struct ledger *l, space_t space, uint64_t first, uint64_t last);
uint64_t ledger_pool_remove(struct ledger *l, space_t space, uint64_t first, uint64_t last);
bool ledger_in_pool(const struct ledger *l, space_t space, uint64_t page);

/* Calls visit for every note; visit must neither make nor drop any. */
void ledger_visit(struct ledger *l, void (*visit)(void *self, struct ledger_note *note),
                  void *self);

#ifdef __cplusplus
}
#endif

#endif
