/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock - a queued spin lock between simulated CPUs, as Linux's on x86.
 *
 * Taking it is one locked operation on its line. A CPU that finds it held spins on a line
 * of its own, in order of arrival, so its spinning disturbs nobody and is not simulated
 * turn by turn: it waits, on the account of lock_wait or another, until the holder hands
 * the lock over, which costs one transfer of that line. Interrupts are off while it is
 * held.
 */
#ifndef SIM_BASE_LOCK_H
#define SIM_BASE_LOCK_H

#include "sim/base/cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All zero is a free lock. */
struct lock {
    struct line line;
    struct cpu *holder, *first, *last; /* Who holds it; who waits, in order. */
    uint64_t taken, contended;
};

void lock_take(struct cpu *cpu, struct lock *lock);
/* The same, with the wait on another account. */
void lock_take_as(struct cpu *cpu, struct lock *lock, enum cpu_owner waits);
void lock_release(struct cpu *cpu, struct lock *lock);

#ifdef __cplusplus
}
#endif

#endif
