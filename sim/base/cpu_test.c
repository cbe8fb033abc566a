/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/cpu.h"

#include <string.h>

#include "sim/test/kernel_rig.h"
#include "sim/test/shim.h"

/* A clock of 1 ps and no prices: times are what the test says. */
static struct kernel_rig *timeless(unsigned cpus)
{
    struct kernel_rig *r = kernel_rig_new(RIG_DIRECT);
    memset(&r->cpu_config, 0, sizeof r->cpu_config);
    r->cpu_config.period_ps = 1;
    r->cpus                 = cpus;
    return r;
}

static void run(struct kernel_rig *r, kernel_program *program)
{
    kernel_rig_run(r, program, NULL);
    kernel_rig_free(r);
}

/* ---- Lines -----------------------------------------------------------------------------
 */

enum { HIT = 5, LLC = 60, TRANSFER = 140, COLD = 61, LOCKED = 20 };

struct touch {
    struct line before;
    unsigned load, store;
    enum line_state after_load;
};

/* Every state that a line can be in between two CPUs, as CPU 0 finds it. */
static const struct touch touches[] = {
    { { 0, LINE_COLD }, COLD, COLD, LINE_SHARED },
    { { 1, LINE_SHARED }, HIT, HIT, LINE_SHARED },
    { { 2, LINE_SHARED }, LLC, TRANSFER, LINE_SHARED },
    { { 3, LINE_SHARED }, HIT, TRANSFER, LINE_SHARED },
    { { 1, LINE_MODIFIED }, HIT, HIT, LINE_MODIFIED },
    { { 2, LINE_MODIFIED }, TRANSFER, TRANSFER, LINE_SHARED },
    { { 0, LINE_DEVICE }, LLC, LLC, LINE_SHARED },
};

static uint64_t price_of(void (*touch)(struct cpu *cpu, struct line *line),
                         struct line *line)
{
    struct cpu *cpu       = cpu_this();
    const uint64_t before = cpu->cycles[PHASE_other][OWNER_driver];
    const sim_time_t time = cpu->time;
    touch(cpu, line);
    EXPECT_EQUAL(cpu->time - time, cpu->cycles[PHASE_other][OWNER_driver] - before);
    return cpu->time - time;
}

static void lines(struct kernel_rig *r, void *state)
{
    (void)r;
    (void)state;
    for (unsigned i = 0; i < sizeof touches / sizeof touches[0]; i++) {
        const struct touch *t = &touches[i];
        struct line line      = t->before;
        EXPECT_EQUAL(price_of(cpu_load, &line), t->load);
        EXPECT_EQUAL(line.holders, t->before.holders | 1);
        EXPECT_EQUAL(line.state, t->after_load);
        line = t->before;
        EXPECT_EQUAL(price_of(cpu_store, &line), t->store);
        EXPECT_EQUAL(line.holders, 1);
        EXPECT_EQUAL(line.state, LINE_MODIFIED);
        line = t->before;
        EXPECT_EQUAL(price_of(cpu_atomic, &line), t->store + LOCKED);
        line_device_wrote(&line);
        EXPECT_EQUAL(line.holders, 0);
        EXPECT_EQUAL(price_of(cpu_load, &line), LLC);
    }
}

TEST_CASE(cpu, a_touch_of_a_line_costs_by_who_holds_it)
{
    struct kernel_rig *r          = timeless(1);
    r->cpu_config.hit_cycles      = HIT;
    r->cpu_config.llc_cycles      = LLC;
    r->cpu_config.transfer_cycles = TRANSFER;
    r->cpu_config.cold_cycles     = COLD;
    r->cpu_config.locked_cycles   = LOCKED;
    run(r, lines);
}

static void memory_lines(struct kernel_rig *r, void *state)
{
    const uint64_t pa = 0x123450040, value = 0x1122334455667788;
    struct cpu *cpu = cpu_this();
    (void)state;
    if (cpu->id == 0)
        cpu_write64(cpu, pa, value);
    kernel_rig_meet(r);
    const sim_time_t before = cpu->time;
    EXPECT_EQUAL(cpu_read32(cpu, pa + 4), value >> 32);
    EXPECT_EQUAL(cpu->time - before, cpu->id == 0 ? HIT : TRANSFER);
    kernel_rig_meet(r);
    if (cpu->id == 1)
        cpu_write32(cpu, pa + 60, 7); /* The same line, other bytes. */
    kernel_rig_meet(r);
    const sim_time_t again = cpu->time;
    if (cpu->id == 0)
        EXPECT_EQUAL(cpu_read64(cpu, pa), value);
    EXPECT_EQUAL(cpu->time - again, cpu->id == 0 ? TRANSFER : 0);
}

TEST_CASE(cpu, memory_moves_between_cpus_by_lines_of_64_bytes)
{
    struct kernel_rig *r          = timeless(2);
    r->cpu_config.hit_cycles      = HIT;
    r->cpu_config.transfer_cycles = TRANSFER;
    run(r, memory_lines);
}

/* ---- Accounts --------------------------------------------------------------------------
 */

static void accounts(struct kernel_rig *r, void *state)
{
    struct cpu *cpu = cpu_this();
    uint64_t before[OWNERS];
    struct error error;
    (void)r;
    (void)state;
    for (unsigned o = 0; o < OWNERS; o++)
        before[o] = cpu_owner_cycles(cpu, (enum cpu_owner)o);
    for (unsigned p = 0; p < PHASES; p++)
        for (unsigned o = 0; o < OWNERS; o++) {
            EXPECT_EQUAL(cpu_enter_phase(cpu, (enum cpu_phase)p), PHASE_other);
            EXPECT_EQUAL(cpu_own(cpu, (enum cpu_owner)o), OWNER_driver);
            cpu_spend(cpu, 100 * p + o);
            EXPECT_EQUAL(cpu_own(cpu, OWNER_driver), o);
            EXPECT_EQUAL(cpu_enter_phase(cpu, PHASE_other), p);
        }
    for (unsigned o = 0; o < OWNERS; o++)
        EXPECT_EQUAL(cpu_owner_cycles(cpu, (enum cpu_owner)o) - before[o],
                     100 * (0 + 1 + 2 + 3) + 4 * o);
    EXPECT(cpu_check(cpu, &error));
    cpu->cycles[PHASE_map][OWNER_pt_map]++;
    EXPECT(!cpu_check(cpu, &error));
    EXPECT_HAS(error.text, "owners sum to");
    cpu->cycles[PHASE_map][OWNER_pt_map]--;
}

TEST_CASE(cpu, every_cycle_has_one_owner_and_one_phase)
{
    run(timeless(1), accounts);
    kernel_rig_once(RIG_DIRECT, accounts);
}

static void edges(struct kernel_rig *r, void *state)
{
    struct cpu *cpu = cpu_this();
    (void)r;
    (void)state;
    const sim_time_t now     = cpu->time;
    const uint64_t stalled   = cpu_owner_cycles(cpu, OWNER_setup);
    const enum cpu_owner was = cpu_own(cpu, OWNER_setup);
    cpu_stall_until(cpu, now); /* Nothing to wait for. */
    EXPECT_EQUAL(cpu->time, now);
    cpu_stall_until(cpu, now + 1); /* Up to the next edge. */
    EXPECT_EQUAL(cpu->time, now + 323);
    cpu_stall_until(cpu, now + 646);
    EXPECT_EQUAL(cpu->time, now + 646);
    cpu_stall_until(cpu, now + 647);
    EXPECT_EQUAL(cpu->time, now + 969);
    EXPECT_EQUAL(cpu_owner_cycles(cpu, OWNER_setup) - stalled, 3);
    cpu_own(cpu, was);
    const uint64_t idle = cpu_owner_cycles(cpu, OWNER_idle);
    const uint64_t busy = cpu_owner_cycles(cpu, OWNER_driver);
    cpu_wait(cpu, now + 969 + 324); /* Two cycles, then it wakes up. */
    EXPECT_EQUAL(cpu_owner_cycles(cpu, OWNER_idle) - idle, 2);
    EXPECT_EQUAL(cpu_owner_cycles(cpu, OWNER_driver) - busy, 1500);
}

TEST_CASE(cpu, waiting_ends_at_an_edge_of_the_clock)
{
    kernel_rig_once(RIG_DIRECT, edges);
}

/* ---- Waiting and waking ----------------------------------------------------------------
 */

static void wakes(struct kernel_rig *r, void *state)
{
    struct cpu *cpu       = cpu_this();
    const sim_time_t zero = 1000;
    (void)state;
    kernel_rig_sleep_until(zero);
    if (cpu->id == 1) {
        kernel_rig_sleep_until(zero + 100);
        cpu_wake(&r->cpu[0], cpu->time);
        cpu_wake(&r->cpu[0], cpu->time); /* Twice is once. */
        kernel_rig_sleep_until(zero + 200);
        cpu_wake(&r->cpu[0], cpu->time); /* It works: remembered. */
        return;
    }
    cpu_wait(cpu, TIME_NEVER);
    EXPECT_EQUAL(cpu->time, zero + 100);
    cpu_wait(cpu, zero + 150);
    EXPECT_EQUAL(cpu->time, zero + 150);
    cpu_spend(cpu, 100);
    cpu_wait(cpu, TIME_NEVER);
    EXPECT_EQUAL(cpu->time, zero + 250);
    cpu_wait(cpu, zero + 250); /* That time has come. */
    EXPECT_EQUAL(cpu->time, zero + 250);
}

TEST_CASE(cpu, a_wake_ends_the_wait_or_the_next_one)
{
    run(timeless(2), wakes);
}

static void waits_off(struct kernel_rig *r, void *state)
{
    (void)r;
    (void)state;
    cpu_irq_disable(cpu_this());
    cpu_wait(cpu_this(), TIME_NEVER);
}

static void run_waits_off(void *arg)
{
    (void)arg;
    run(timeless(1), waits_off);
}

TEST_CASE(cpu, waiting_with_interrupts_off_is_a_violation)
{
    EXPECT_DIES(run_waits_off, NULL, "irq_off == 0");
}

/* ---- Timers and interrupts -------------------------------------------------------------
 */

static struct {
    unsigned count;
    struct {
        unsigned what;
        sim_time_t time;
        enum cpu_phase phase;
        enum cpu_owner owner;
        unsigned irq_off;
    } event[16];
} heard;

static void hear(void *arg)
{
    struct cpu *cpu = cpu_this();
    CHECK(heard.count < 16);
    heard.event[heard.count].what      = *(const unsigned *)arg;
    heard.event[heard.count].time      = cpu->time;
    heard.event[heard.count].phase     = cpu->phase;
    heard.event[heard.count].owner     = cpu->owner;
    heard.event[heard.count++].irq_off = cpu->irq_off;
}

static unsigned number[] = { 0, 1, 2, 3, 4, 5 };

static void timers(struct kernel_rig *r, void *state)
{
    static const sim_time_t due[] = { 500, 300, 500, 100, 400 };
    static const unsigned order[] = { 3, 1, 0, 2 };
    struct cpu_timer timer[5];
    struct cpu *cpu       = cpu_this();
    const sim_time_t zero = cpu->time;
    (void)r;
    (void)state;
    heard.count = 0;
    for (unsigned i = 0; i < 5; i++) {
        timer[i] = (struct cpu_timer){ .fire = hear, .arg = &number[i] };
        cpu_timer_arm(cpu, &timer[i], zero + due[i]);
    }
    EXPECT(cpu_timer_cancel(&timer[4]));
    EXPECT(!cpu_timer_cancel(&timer[4]));
    kernel_rig_sleep_until(zero + 99);
    EXPECT_EQUAL(heard.count, 0);
    kernel_rig_sleep_until(zero + 100);
    EXPECT_EQUAL(heard.count, 1);
    EXPECT(!cpu_timer_cancel(&timer[3])); /* It has fired. */
    kernel_rig_sleep_until(zero + 1000);
    EXPECT_EQUAL(heard.count, 4);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQUAL(heard.event[i].what, order[i]); /* At one time: first armed, first. */
        EXPECT_EQUAL(heard.event[i].time, zero + due[order[i]]);
        EXPECT_EQUAL(heard.event[i].irq_off, 1);
    }
}

TEST_CASE(cpu, timers_fire_on_time_in_the_order_in_which_they_were_armed)
{
    run(timeless(1), timers);
}

static void masked(struct kernel_rig *r, void *state)
{
    struct cpu_timer timer = { .fire = hear, .arg = &number[0] };
    struct cpu *cpu        = cpu_this();
    (void)r;
    (void)state;
    heard.count = 0;
    cpu_handle(cpu, 7, hear, &number[1]);
    cpu_handle(cpu, 200, hear, &number[2]);
    cpu_irq_disable(cpu);
    cpu_irq_disable(cpu);
    cpu_timer_arm(cpu, &timer, cpu->time);
    cpu_interrupt(cpu, 7, cpu->time);
    cpu_interrupt(cpu, 200, cpu->time);
    cpu_interrupt(cpu, 200, cpu->time); /* Pending is pending. */
    cpu_sync(cpu);
    cpu_irq_enable(cpu);
    cpu_sync(cpu);
    EXPECT_EQUAL(heard.count, 0);
    cpu_irq_enable(cpu);
    const uint64_t paid    = cpu_owner_cycles(cpu, OWNER_irq);
    const sim_time_t begin = cpu->time;
    cpu_enter_phase(cpu, PHASE_map);
    cpu_own(cpu, OWNER_pt_map);
    cpu_sync(cpu);
    EXPECT_EQUAL(heard.count, 3);
    EXPECT_EQUAL(cpu_owner_cycles(cpu, OWNER_irq) - paid, 3 * 70);
    EXPECT_EQUAL(cpu->cycles[PHASE_map][OWNER_irq], 0);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQUAL(heard.event[i].what, 2 - i); /* The highest vector; timers last. */
        EXPECT_EQUAL(heard.event[i].time, begin + 70 * i + 50);
        EXPECT_EQUAL(heard.event[i].phase, PHASE_other);
        EXPECT_EQUAL(heard.event[i].owner, OWNER_driver);
    }
    EXPECT_EQUAL(cpu_own(cpu, OWNER_driver), OWNER_pt_map); /* As it was before. */
    EXPECT_EQUAL(cpu_enter_phase(cpu, PHASE_other), PHASE_map);
}

TEST_CASE(cpu, interrupts_wait_while_they_are_off_and_leave_accounts_as_they_were)
{
    struct kernel_rig *r           = timeless(1);
    r->cpu_config.irq_entry_cycles = 50;
    r->cpu_config.irq_exit_cycles  = 20;
    run(r, masked);
}

static void arms_twice(struct kernel_rig *r, void *state)
{
    struct cpu_timer timer = { .fire = hear, .arg = &number[0] };
    (void)r;
    (void)state;
    cpu_timer_arm(cpu_this(), &timer, 100);
    cpu_timer_arm(cpu_this(), &timer, 200);
}

static void run_arms_twice(void *arg)
{
    (void)arg;
    run(timeless(1), arms_twice);
}

TEST_CASE(cpu, arming_a_timer_twice_is_a_violation)
{
    EXPECT_DIES(run_arms_twice, NULL, "timer->cpu == NULL");
}

/* ---- Barriers --------------------------------------------------------------------------
 */

static void rounds(struct kernel_rig *r, void *state)
{
    static unsigned inside;
    struct cpu *cpu = cpu_this();
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        const sim_time_t longest = (i + 1) * 1000 + 3 * 10;
        kernel_rig_sleep_until((i + 1) * 1000 + cpu->id * 10);
        inside++;
        kernel_rig_meet(r);
        EXPECT_EQUAL(inside % 4, 0); /* Nobody left before the last came. */
        EXPECT_EQUAL(cpu->time, longest);
        kernel_rig_meet(r);
    }
}

TEST_CASE(cpu, a_barrier_lets_all_go_when_the_last_has_come_again_and_again)
{
    run(timeless(4), rounds);
}
