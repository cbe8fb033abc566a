/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_actor - random but legal users of the DMA API on simulated CPUs, each of whose calls
 * is held against the oracle.
 *
 * Buffers lie in an arena whose bytes are known one by one; neighbours share pages. What
 * one CPU maps, any other may use, sync and unmap. An object belongs to whoever has taken
 * it out of the common stock, so that what a call must do to it is known exactly; that
 * calls overlap on the allocator, the tables, the queues and the bounce buffers is the
 * point.
 */
#ifndef SIM_TEST_DMA_ACTOR_H
#define SIM_TEST_DMA_ACTOR_H

#include "sim/base/rng.h"
#include "sim/test/dma_oracle.h"
#include "sim/test/kernel_rig.h"

enum {
    ACTOR_OBJECTS = 160, /* In stock at most. */
    ACTOR_EXTENTS = 12,  /* Of a scatter list. */
    ACTOR_SMALL   = 480,
    ACTOR_MEDIUM  = 24,
    ACTOR_LARGE   = 3,
    ACTOR_SLOTS   = ACTOR_SMALL + ACTOR_MEDIUM + ACTOR_LARGE,
    ACTOR_PAST    = 64,
};
#define ACTOR_ARENA UINT64_C(0x40000000)
#define ACTOR_BAR   UINT64_C(0xd0000000)

/* clang-format off */
#define ACTOR_CALLS(X)                                                                              \
    X(map_phys) X(map_page) X(map_single) X(map_resource) X(unmap) X(map_sg) X(map_sgtable)         \
    X(unmap_sg) X(sync_single) X(sync_range) X(sync_sg) X(coherent) X(write_combined) X(pages)      \
    X(noncoherent) X(noncontiguous) X(vmap) X(memory_freed) X(try_alloc) X(link) X(unlink)          \
    X(iova_sync) X(destroy) X(destroy_none) X(iova_free) X(query) X(refused) X(peers) X(pool)       \
    X(masks) X(no_memory)                                                                           \
    X(device_read) X(device_write) X(device_denied) X(device_past) X(in_interrupt) X(bounced)
/* clang-format on */
#define ACTOR_CALL(name) ACTOR_##name,
enum actor_call { ACTOR_CALLS(ACTOR_CALL) ACTOR_CALL_COUNT };
extern const char *const actor_call_name[];

/* Faults that a test plants, each of which must be complained of. */
enum actor_planted {
    ACTOR_HONEST,
    ACTOR_MISSES_FLUSHES, /* The oracle does not hear of flushes: reuse looks too early. */
    ACTOR_SEES_FLUSHES, /* It hears of flushes that never were: what is stale is reached. */
    ACTOR_FLIPS_BYTE,   /* Memory changes behind everybody's back; */
    ACTOR_CHANGES_ENTRY, /* and so does a leaf, while the tables are audited. */
    ACTOR_SPOILS_BOUNCE, /* The same in a bounce buffer. */
    ACTOR_LEAKS_MAPPING, /* A map that failed leaves an entry. */
    /* The driver forgets, at times: */
    ACTOR_FORGETS_RANGE, /* an invalidation, */
    ACTOR_FORGETS_ALL,   /* a flush of a full ring or the timer, */
    ACTOR_FORGETS_MAP,   /* what caching mode has to be told of a map, */
    ACTOR_DEAF_DEVICE,   /* or the device answers one and keeps what it had. */
    ACTOR_PLANTED,
};

struct actor_object;

struct actors {
    struct kernel_rig *rig;
    struct dma_oracle oracle;
    struct rng rng;
    uint8_t *arena; /* What every byte must be. */
    uint64_t arena_bytes;
    bool slot_taken[ACTOR_SLOTS];
    struct actor_object *stock[ACTOR_OBJECTS];
    unsigned objects;
    uint64_t bounced_bytes; /* In bounce buffers, about. */
    uint64_t past[ACTOR_PAST];
    unsigned pasts;
    bool lazy;                      /* Unmaps are deferred. */
    bool short_of_memory;           /* Allocations fail at random. */
    bool failed[64], sheltered[64]; /* In this call one has; in this call none may. */
    bool keeps_offset;              /* min_align_mask covers a page. */
    bool device_there;              /* Somebody can ask the IOMMU. */
    uint64_t calls, left;           /* Calls made; still to be made by all CPUs together. */
    uint64_t made[ACTOR_CALL_COUNT];
    enum actor_planted planted;
};

/* Once the rig is up: learns what the device is like. */
void actors_init(struct actors *a, struct kernel_rig *r, uint64_t seed);
void actors_free(struct actors *a);

/* One step of the CPU that runs: at least one call. */
void actors_step(struct actors *a);
/* With all others waiting: tables, memory and counters are as they must be. */
void actors_audit(struct actors *a);
/* Gives everything back that is in stock, on the CPU that runs. */
void actors_finish(struct actors *a);

#endif
