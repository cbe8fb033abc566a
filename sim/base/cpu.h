/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu - a simulated CPU: ordinary C on a coroutine, whose time is what its work costs.
 *
 * A CPU's local time runs ahead of the engine's while it works on what nobody else can see
 * (cpu_spend). Every primitive that others can see (a shared line, simulated memory, a
 * lock, a register) first lets the rest of the world catch up with it, so that effects take
 * place in the order of simulated time. Interrupts and timers are taken at those points
 * too, unless they are off.
 *
 * Inaccuracies: an interrupt waits for the next such point, typically some tens of cycles.
 */
#ifndef SIM_BASE_CPU_H
#define SIM_BASE_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim/base/account.h"
#include "sim/base/engine.h"
#include "sim/base/line.h"
#include "sim/base/memory.h"
#include "sim/base/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define CPU_PARAMS(P)                                                                               \
    P(u32, period_ps,         323,  1, 1000000, ANY, "ps",     "Clock period",                      \
      "3.1 GHz, the clock of the machines in the calibration papers")                               \
    P(u32, hit_cycles,          5,  0,  100000, ANY, "cycles", "A line that this CPU holds",        \
      "L1 load-to-use latency of server cores: 4 to 5 cycles (vendor optimisation manuals)")        \
    P(u32, llc_cycles,         60,  0,  100000, ANY, "cycles", "A clean line from the last level",  \
      "20 ns: mesh server parts of 2017 to 2021")                                                   \
    P(u32, transfer_cycles,   140,  0,  100000, ANY, "cycles", "A line that another CPU changed",   \
      "45 ns core to core in one socket")                                                           \
    P(u32, cold_cycles,        60,  0,  100000, ANY, "cycles", "The first touch of a line",         \
      "as llc_cycles: kernel objects are warm in the last level when they are handed out")          \
    P(u32, locked_cycles,      20,  0,  100000, ANY, "cycles", "A locked operation on a held line", \
      "18 to 22 cycles on current x86 cores")                                                       \
    P(u32, barrier_cycles,     30,  0,  100000, ANY, "cycles", "A full memory barrier",             \
      "lock-prefixed add to the stack plus store-buffer drain")                                     \
    P(u32, pause_cycles,       40,  0,  100000, ANY, "cycles", "One pause in a polling loop",       \
      "10 cycles before Skylake, 140 since; 40 in between")                                         \
    P(u32, uncached_write_cycles, 90, 0, 100000, ANY, "cycles", "Until a register write is posted", \
      "about 30 ns to leave the core")                                                              \
    P(u32, irq_entry_cycles,  600,  0,  100000, ANY, "cycles", "Interrupt entry",                   \
      "vectoring, register save and irq_enter: about 0.2 us")                                       \
    P(u32, irq_exit_cycles,   400,  0,  100000, ANY, "cycles", "Interrupt exit",                    \
      "end-of-interrupt write, irq_exit and iret")                                                  \
    P(u32, wake_cycles,      1500,  0, 1000000, ANY, "cycles", "From idle to running",              \
      "shallow idle state and scheduler: about 0.5 us")
/* clang-format on */

struct cpu_config {
    CPU_PARAMS(PARAM_FIELD)
};
extern const struct param_table cpu_param_table;

enum { CPU_VECTORS = 256, CPU_TENURES = 16 };

/* Whose cycles they were until then. */
struct cpu_tenure {
    sim_time_t until;
    enum cpu_owner owner;
    enum cpu_phase phase;
};

/* For who draws a timeline: told whose a CPU's time was until then, stretch by stretch; two
 * that follow each other may be the same owner's. It must not change anything. */
struct cpu_watcher {
    void (*owned)(void *self, unsigned cpu, sim_time_t until, enum cpu_owner owner,
                  enum cpu_phase phase);
    void *self;
};

struct cpu;
struct cpu_timer {
    void (*fire)(void *arg); /* Runs on the CPU it was armed on, as an interrupt would. */
    void *arg;
    sim_time_t due;
    struct cpu_timer *next;
    struct cpu *cpu; /* NULL while not armed. */
};

struct cpu {
    struct engine *engine;
    const struct cpu_config *config;
    struct memory *memory;
    unsigned id, place;
    sim_time_t time, started; /* Local time, and when this CPU was switched on. */
    enum cpu_owner owner;
    enum cpu_phase phase;
    uint64_t cycles[PHASES][OWNERS];
    uint64_t tenures; /* That have ended, and the newest of them: more than a CPU begins */
    struct cpu_tenure tenure[CPU_TENURES]; /* between two points where others catch up. */
    unsigned irq_off;                      /* Interrupts are taken while it is 0. */
    bool waiting;                          /* In cpu_wait, or spinning for a lock. */
    bool kicked;   /* Something happened since the last cpu_wait returned. */
    bool spinning; /* Waiting for a lock: only its holder may wake this CPU. */
    bool finished;
    uint64_t pending[CPU_VECTORS / 64];
    struct {
        void (*handle)(void *arg);
        void *arg;
    } vector[CPU_VECTORS];
    struct cpu_timer *timer; /* Armed ones, earliest first. */
    struct cpu *lock_next;   /* The CPU behind this one in a lock's queue. */
    void *coroutine;
    void *software; /* Whatever runs here may leave a pointer to itself. */
    const struct cpu_watcher *watcher; /* NULL: nobody watches. */
    void (*program)(void *arg);
    void *program_arg;
};

/* Switches a CPU on at the engine's present time; it runs program(arg) on its coroutine. */
void cpu_init(struct cpu *cpu, unsigned id, struct engine *engine, struct memory *memory,
              const struct cpu_config *config, void (*program)(void *arg), void *arg);

/* The CPU whose coroutine is running. A violation when there is none. */
struct cpu *cpu_this(void);
/* The same, or NULL. */
struct cpu *cpu_running(void);

/* ---- Work ---------------------------------------------------------------------------- */

/* Private work of that many cycles, on the account of the present owner. */
static inline void cpu_spend(struct cpu *cpu, uint64_t cycles)
{
    cpu->time += cycles * cpu->config->period_ps;
    cpu->cycles[cpu->phase][cpu->owner] += cycles;
}

/* Lets the world catch up with this CPU, then takes interrupts and timers that are due. */
void cpu_sync(struct cpu *cpu);

static inline void cpu_tell_owned(const struct cpu *cpu, enum cpu_owner owner)
{
    if (cpu->watcher != NULL)
        cpu->watcher->owned(cpu->watcher->self, cpu->id, cpu->time, owner, cpu->phase);
}

static inline void cpu_tenure_ends(struct cpu *cpu)
{
    cpu_tell_owned(cpu, cpu->owner);
    struct cpu_tenure *t = &cpu->tenure[cpu->tenures++ % CPU_TENURES];
    t->until             = cpu->time;
    t->owner             = cpu->owner;
    t->phase             = cpu->phase;
}

/* Changes the owner of the cycles that follow; returns the one before. */
static inline enum cpu_owner cpu_own(struct cpu *cpu, enum cpu_owner owner)
{
    const enum cpu_owner before = cpu->owner;
    cpu_tenure_ends(cpu);
    cpu->owner = owner;
    return before;
}

static inline enum cpu_phase cpu_enter_phase(struct cpu *cpu, enum cpu_phase phase)
{
    const enum cpu_phase before = cpu->phase;
    cpu_tenure_ends(cpu);
    cpu->phase = phase;
    return before;
}

/* Touches a line for reading or writing, or with a locked operation. */
void cpu_load(struct cpu *cpu, struct line *line);
void cpu_store(struct cpu *cpu, struct line *line);
void cpu_atomic(struct cpu *cpu, struct line *line);
void cpu_barrier(struct cpu *cpu);

/* Simulated memory through this CPU's caches; pa is aligned to the size. */
uint64_t cpu_read64(struct cpu *cpu, uint64_t pa);
uint32_t cpu_read32(struct cpu *cpu, uint64_t pa);
void cpu_write64(struct cpu *cpu, uint64_t pa, uint64_t value);
void cpu_write32(struct cpu *cpu, uint64_t pa, uint32_t value);

/* One turn of a polling loop's back-off. */
static inline void cpu_relax(struct cpu *cpu)
{
    cpu_spend(cpu, cpu->config->pause_cycles);
}

/* ---- Waiting ------------------------------------------------------------------------- */

/*
 * Idles until an interrupt or timer was taken, somebody called cpu_wake, or the time is
 * until (TIME_NEVER: no limit). May return early; the caller tests its condition again.
 */
void cpu_wait(struct cpu *cpu, sim_time_t until);

/* Ends another CPU's cpu_wait, now or, when it is not waiting, at its next one. */
void cpu_wake(struct cpu *cpu, sim_time_t now);

/* The CPU does nothing until then, on the present owner's account; no interrupts. */
void cpu_stall_until(struct cpu *cpu, sim_time_t until);

/* ---- Interrupts and timers ----------------------------------------------------------- */

void cpu_handle(struct cpu *cpu, unsigned vector, void (*handle)(void *arg), void *arg);
void cpu_interrupt(struct cpu *cpu, unsigned vector, sim_time_t now);

static inline void cpu_irq_disable(struct cpu *cpu)
{
    cpu->irq_off++;
}

static inline void cpu_irq_enable(struct cpu *cpu)
{
    CHECK(cpu->irq_off > 0);
    cpu->irq_off--;
}

/* Arms timer on this CPU; it must not be armed. It fires at due or at the next point after
 * it at which interrupts are taken. */
void cpu_timer_arm(struct cpu *cpu, struct cpu_timer *timer, sim_time_t due);

/* Takes the timer back if it is armed; true when it was. */
bool cpu_timer_cancel(struct cpu_timer *timer);

/* ---- Audit --------------------------------------------------------------------------- */

/*
 * Adds to sum the cycles of this CPU up to now, by phase and owner: of a CPU that waits
 * also those that it is not charged yet, of one that has run ahead of now none that are to
 * come. Returns how many they are: the whole cycles since it was switched on. now is the
 * engine's.
 */
uint64_t cpu_account(const struct cpu *cpu, sim_time_t now, uint64_t sum[PHASES][OWNERS]);

/* Whether the cycles of all phases and owners sum to the CPU's time. */
bool cpu_check(const struct cpu *cpu, struct error *error);
void cpu_describe(const struct cpu *cpu, FILE *out);
uint64_t cpu_owner_cycles(const struct cpu *cpu, enum cpu_owner owner);

/* For lock.c only: sleeps, interrupts off, until another CPU hands over at a given time. */
void cpu_spin_until_handed(struct cpu *cpu);
void cpu_hand_over(struct cpu *cpu, sim_time_t at);

/* For engine.c only. */
void cpu_resume(struct cpu *cpu);
void cpu_yield(struct cpu *cpu);

#ifdef __cplusplus
}
#endif

#endif
