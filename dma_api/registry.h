/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry - mappings that outlive their use: kept for the next one of the same memory.
 *
 * Each is one contiguous physical range with the permission that it was mapped with. While
 * somebody uses it, it stays; idle ones wait in the order in which they became so, until
 * the owner of the registry retires them.
 */
#ifndef DMA_API_REGISTRY_H
#define DMA_API_REGISTRY_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "dma_api/flush.h"
#include "sim/base/lock.h"

struct registered {
    RB_ENTRY(registered) by_memory, by_address;
    TAILQ_ENTRY(registered) idle;
    phys_addr_t phys;
    uint64_t bytes;
    dma_addr_t iova;
    unsigned prot;
    uint32_t users;
    sim_time_t idle_since;
    struct line line;
};
RB_HEAD(registered_memory, registered);
RB_HEAD(registered_address, registered);
TAILQ_HEAD(registered_idle, registered);

struct registry {
    struct dma_domain *domain;
    struct lock lock;
    struct registered_memory memory;
    struct registered_address address;
    struct registered_idle idle;
    uint64_t bytes; /* Registered in all. */
};

void registry_init(struct registry *r, struct dma_domain *d);
/* Retires everything; nothing may be in use. */
void registry_free(struct registry *r);

/* The address of the memory: registered already, or mapped now; 0: there is no room.
 * search_cycles is the price of finding what is there. */
dma_addr_t registry_map(struct registry *r, const struct flush_mapping *m,
                        uint32_t search_cycles);

/* One use has ended. False: the address is not of this registry. */
bool registry_unmap(struct registry *r, dma_addr_t iova);

/* Unmaps and invalidates the ranges that have been idle since then or longer, and the
 * longest idle ones until no more than so many bytes are registered. */
void registry_retire(struct registry *r, sim_time_t idle_since, uint64_t bytes_most);

/* When the longest idle range became so; TIME_NEVER: none is idle. */
sim_time_t registry_idle_since(const struct registry *r);

#endif
