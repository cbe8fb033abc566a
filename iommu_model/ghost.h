/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ghost - which entries an invalidation has dropped although they were of use.
 *
 * A directory of their keys, of fixed size: each key has one place, and a newer ghost takes
 * it from an older one. A fill that finds its key here is the cost of that invalidation.
 */
#ifndef IOMMU_MODEL_GHOST_H
#define IOMMU_MODEL_GHOST_H

#include <stdbool.h>

#include "iommu_model/space.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ghost {
    uint64_t first; /* Of the addresses that the entry served. */
    space_t space;
    uint64_t target; /* Where it led. */
    uint8_t lg2;     /* It served 2^lg2 of them. */
    bool used;
};

struct ghosts {
    struct ghost *place;
    unsigned places_lg2;
    uint32_t count;
    uint64_t sizes; /* Bit n: there has been one of 2^n addresses. */
};

/* With 2^places_lg2 places. */
void ghosts_init(struct ghosts *g, unsigned places_lg2);
void ghosts_free(struct ghosts *g);

/* Adds one; true when another was forgotten for it. */
bool ghosts_add(struct ghosts *g, const struct ghost *ghost);

/* Removes the one of these addresses, if it is there and leads to the same target. */
bool ghosts_take(struct ghosts *g, space_t space, uint64_t first, unsigned lg2,
                 uint64_t target);

/* Removes all that serve any address of first .. last. */
void ghosts_forget(struct ghosts *g, space_t space, uint64_t first, uint64_t last);
/* Removes all that lead there. */
void ghosts_forget_target(struct ghosts *g, uint64_t target);

#ifdef __cplusplus
}
#endif

#endif
