/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/lock.h"

void lock_take(struct cpu *cpu, struct lock *lock)
{
    lock_take_as(cpu, lock, OWNER_lock_wait);
}

void lock_take_as(struct cpu *cpu, struct lock *lock, enum cpu_owner waits)
{
    cpu_irq_disable(cpu);
    cpu_atomic(cpu, &lock->line);
    cpu_sync(cpu);
    CHECK(lock->holder != cpu); /* Linux would hang here, too. */
    lock->taken++;
    if (lock->holder == NULL) {
        lock->holder = cpu;
        return;
    }

    lock->contended++;
    cpu->lock_next = NULL;
    if (lock->last == NULL)
        lock->first = cpu;
    else
        lock->last->lock_next = cpu;
    lock->last = cpu;

    const enum cpu_owner owner = cpu_own(cpu, waits);
    cpu_spin_until_handed(cpu);
    cpu_own(cpu, owner);
    CHECK(lock->holder == cpu);
}

void lock_release(struct cpu *cpu, struct lock *lock)
{
    cpu_store(cpu, &lock->line);
    CHECK(lock->holder == cpu);
    struct cpu *next = lock->first;
    lock->holder     = next;
    if (next != NULL) {
        lock->first = next->lock_next;
        if (lock->first == NULL)
            lock->last = NULL;
        cpu_hand_over(
            next,
            cpu->time + (uint64_t)cpu->config->transfer_cycles * cpu->config->period_ps);
    }
    cpu_irq_enable(cpu);
}
