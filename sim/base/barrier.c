/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/barrier.h"

void barrier_wait(struct barrier *b, struct cpu *cpu)
{
    cpu_sync(cpu);
    const uint64_t generation = b->generation;
    b->waiting[b->arrived++]  = cpu;
    if (b->arrived < b->count) {
        while (b->generation == generation)
            cpu_wait(cpu, TIME_NEVER);
        return;
    }
    b->generation++;
    b->arrived = 0;
    for (unsigned i = 0; i + 1 < b->count; i++)
        cpu_wake(b->waiting[i], cpu->time);
}
