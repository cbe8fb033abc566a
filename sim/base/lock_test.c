/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/lock.h"

#include <string.h>

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

enum { CPUS = 5, TRANSFER = 7 };

static struct lock lock;
static unsigned order[CPUS], taken;

/*
 * CPU i comes at 1000 + 10 * ((i + 2) % 5), in the order 3, 4, 0, 1, 2. A transfer is the
 * only price: of the lock's line to each that comes later and back to the holder that lets
 * go, and of the line that the next one spins on.
 */
static void queue_up(struct kernel_rig *r, void *state)
{
    struct cpu *cpu       = cpu_this();
    const unsigned rank   = (cpu->id + 2) % CPUS;
    const uint64_t waited = cpu_owner_cycles(cpu, OWNER_lock_wait);
    (void)r;
    (void)state;
    kernel_rig_sleep_until(1000 + 10 * rank);
    lock_take(cpu, &lock);
    const sim_time_t come = 1000 + 10 * rank + (rank > 0 ? TRANSFER : 0);
    const sim_time_t mine = rank == 0 ? come : 1000 + rank * (500 + 2 * TRANSFER);
    EXPECT_EQUAL(cpu->time, mine);
    EXPECT_EQUAL(cpu->irq_off, 1);
    EXPECT_EQUAL(cpu_owner_cycles(cpu, OWNER_lock_wait) - waited, mine - come);
    EXPECT(lock.holder == cpu);
    order[taken++] = cpu->id;
    cpu_spend(cpu, 500);
    lock_release(cpu, &lock);
    EXPECT_EQUAL(cpu->irq_off, 0);
    EXPECT_EQUAL(cpu->owner, OWNER_driver);
}

static struct kernel_rig *timeless(unsigned cpus)
{
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    memset(&r->cpu_config, 0, sizeof r->cpu_config);
    memset(&lock, 0, sizeof lock);
    taken                         = 0;
    r->cpu_config.period_ps       = 1;
    r->cpu_config.transfer_cycles = TRANSFER;
    r->cpus                       = cpus;
    return r;
}

TEST_CASE(lock, is_handed_over_in_the_order_of_arrival)
{
    struct kernel_rig *r = timeless(CPUS);
    kernel_rig_run(r, queue_up, NULL);
    for (unsigned i = 0; i < CPUS; i++)
        EXPECT_EQUAL(order[i], (i + 3) % CPUS);
    EXPECT_EQUAL(lock.taken, CPUS);
    EXPECT_EQUAL(lock.contended, CPUS - 1);
    EXPECT(lock.holder == NULL);
    kernel_rig_free(r);
}

static void takes_twice(struct kernel_rig *r, void *state)
{
    (void)r;
    (void)state;
    lock_take(cpu_this(), &lock);
    lock_take(cpu_this(), &lock);
}

static void lets_go_of_nothing(struct kernel_rig *r, void *state)
{
    (void)r;
    (void)state;
    lock_release(cpu_this(), &lock);
}

static void run_one(void *arg)
{
    kernel_program *const *program = arg;
    struct kernel_rig *r           = timeless(1);
    kernel_rig_run(r, *program, NULL);
    kernel_rig_free(r);
}

TEST_CASE(lock, taking_it_twice_and_letting_go_of_nothing_are_violations)
{
    kernel_program *twice = takes_twice, *nothing = lets_go_of_nothing;
    EXPECT_DIES(run_one, &twice, "lock->holder != cpu");
    EXPECT_DIES(run_one, &nothing, "lock->holder == cpu");
}

/* A timer that is due while the lock is held waits; its handler may take the lock. */
static void take_in_timer(void *arg)
{
    lock_take(cpu_this(), arg);
    order[taken++] = 9;
    lock_release(cpu_this(), arg);
}

static void interrupted(struct kernel_rig *r, void *state)
{
    struct cpu *cpu        = cpu_this();
    struct cpu_timer timer = { .fire = take_in_timer, .arg = &lock };
    (void)r;
    (void)state;
    cpu_timer_arm(cpu, &timer, cpu->time + 10);
    lock_take(cpu, &lock);
    cpu_spend(cpu, 100);
    cpu_sync(cpu);
    EXPECT_EQUAL(taken, 0);
    lock_release(cpu, &lock);
    cpu_sync(cpu);
    EXPECT_EQUAL(taken, 1);
    EXPECT_EQUAL(lock.contended, 0);
}

TEST_CASE(lock, interrupts_wait_while_it_is_held)
{
    struct kernel_rig *r = timeless(1);
    kernel_rig_run(r, interrupted, NULL);
    kernel_rig_free(r);
}
