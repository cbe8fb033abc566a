/* SPDX-License-Identifier: Apache-2.0 */
/* barrier - simulated CPUs wait for each other, idling and taking interrupts meanwhile. */
#ifndef SIM_BASE_BARRIER_H
#define SIM_BASE_BARRIER_H

#include "sim/base/cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All zero but count is a fresh barrier for that many CPUs; it can be used again and again.
 */
struct barrier {
    unsigned count, arrived;
    uint64_t generation;
    struct cpu *waiting[ENGINE_CPUS_MAX];
};

/* Returns when count CPUs have arrived, in the same generation. */
void barrier_wait(struct barrier *b, struct cpu *cpu);

#ifdef __cplusplus
}
#endif

#endif
