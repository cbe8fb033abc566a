/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine - decides what happens next.
 *
 * The engine orders everything by (time, place), where a place is a number given at set-up:
 * hardware blocks in the order in which they were added, then CPUs by id. A block is
 * passive: it keeps its due time in the slot that the engine gave it and is stepped when
 * that time has come. A CPU is a coroutine that a host runs. The order never depends on
 * pointers, on hashing, on the host, or on whether parties run ahead.
 */
#ifndef SIM_BASE_ENGINE_H
#define SIM_BASE_ENGINE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "sim/base/simtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Everything the engine needs from the thing that hosts it. spawn, resume and advance_to
 * are called by the engine only, yield only by a running coroutine. resume returns when the
 * coroutine yields or its entry function returns.
 */
struct sim_host {
    const char *name;
    void *self;
    void *(*spawn)(void *self, const char *name, void (*entry)(void *arg), void *arg);
    void (*resume)(void *self, void *coroutine);
    void (*yield)(void *self, void *coroutine);
    void (*advance_to)(void *self, sim_time_t now);
};

enum { ENGINE_BLOCKS_MAX = 128, ENGINE_CPUS_MAX = 64, ENGINE_NO_CPU = ENGINE_CPUS_MAX };

struct cpu;

struct engine {
    sim_time_t now;
    const struct sim_host *host;
    bool run_ahead; /* CPUs step the hardware themselves instead of switching to the engine.
                     */
    const volatile sig_atomic_t *interrupted; /* NULL, or set when the run is to stop. */
    bool stopped;
    unsigned block_count, cpu_count, until_poll;
    sim_time_t due[ENGINE_BLOCKS_MAX]; /* Of the blocks, which write them. */
    struct {
        void (*step)(void *self, sim_time_t now);
        void *self;
        const char *name;
    } block[ENGINE_BLOCKS_MAX];
    struct cpu *cpu[ENGINE_CPUS_MAX];
    unsigned running; /* The CPU whose coroutine runs, or ENGINE_NO_CPU. */
    sim_time_t running_due;
    sim_time_t cpu_due[ENGINE_CPUS_MAX]; /* Of the others. */
    unsigned leaves;                 /* A tournament of cpu_due: of each pair, the one */
    uint8_t winner[ENGINE_CPUS_MAX]; /* that goes first; winner[1] before all. */
};

void engine_init(struct engine *e, const struct sim_host *host, bool run_ahead);
void engine_free(struct engine *e);

/*
 * Adds a block and returns its due slot, TIME_NEVER at first. The block writes the slot
 * itself: in its verbs and in step, which must move it past now or leave the block idle.
 * Every block is added before the first CPU; name is kept.
 */
sim_time_t *engine_add_block(struct engine *e, const char *name,
                             void (*step)(void *self, sim_time_t now), void *self);

/* ---- For cpu.c only ---- */

/* Gives cpu the next place; it is due at first. */
unsigned engine_add_cpu(struct engine *e, struct cpu *cpu, sim_time_t due);

/* When the CPU at this place wants to go on. */
static inline sim_time_t engine_cpu_due(const struct engine *e, unsigned place)
{
    return place == e->running ? e->running_due : e->cpu_due[place];
}

/* Changes it. Between these calls the order of the other CPUs is known without a look at
 * each of them. */
void engine_set_cpu_due(struct engine *e, unsigned place, sim_time_t due);

/*
 * Called on the coroutine of a CPU: returns when it is due (TIME_NEVER: somebody else says
 * when) and everything before that in the order has happened.
 */
void engine_wait_turn(struct engine *e, sim_time_t due);

/* ---- For who has built a machine ---- */

/* Runs until nothing is due any more or the run was interrupted (e->stopped). */
void engine_run(struct engine *e);

#ifdef __cplusplus
}
#endif

#endif
