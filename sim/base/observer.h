/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observer - what the software side tells a referee, who may also look into the hardware.
 *
 * The calls cost nothing and change nothing, and any of them may be NULL. They are how
 * exposure is measured and how the invariants are checked: the DMA API never sees a cache,
 * a cache never sees the API. A space is a number that software and hardware both know:
 * VT-d's domain id, the PSCID of a RISC-V IOMMU.
 */
#ifndef SIM_BASE_OBSERVER_H
#define SIM_BASE_OBSERVER_H

#include <stdbool.h>

#include "sim/base/simtime.h"

struct observer {
    void *self;
    /* An unmap has returned: these bytes are no longer the device's. If they are pooled, they
     * stay reachable all the same, by design: only the lending has ended. */
    void (*given_back)(void *self, uint32_t space, uint64_t iova, uint64_t bytes,
                       sim_time_t now);
    /* The frames behind these bytes may now hold other data: at once after given_back, or,
     * under a policy that holds pages back until they are safe, later. */
    void (*reusable)(void *self, uint32_t space, uint64_t iova, uint64_t bytes,
                     sim_time_t now);
    /* A mapping lets the device at these bytes, and with them at the rest of the pages that
     * they lie in; until given_back. */
    void (*lent)(void *self, uint32_t space, uint64_t iova, uint64_t bytes, sim_time_t now);
    /* A pool that stays mapped, whoever uses it, has grown by these bytes (grows), or has
     * given them up: they are no longer mapped, nor cached. */
    void (*pooled)(void *self, uint32_t space, uint64_t iova, uint64_t bytes, bool grows,
                   sim_time_t now);
    /* These addresses are about to be used for a new mapping. */
    void (*handed_out)(void *self, uint32_t space, uint64_t iova, uint64_t bytes,
                       sim_time_t now);
    /* The page-table page at pa has been given back and may be used for anything. */
    void (*table_freed)(void *self, uint64_t pa, sim_time_t now);
};

#endif
