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

enum { ENGINE_BLOCKS_MAX = 64, ENGINE_CPUS_MAX = 64 };

struct cpu;

struct engine {
    sim_time_t now;
    const struct sim_host *host;
    bool run_ahead; /* CPUs step the hardware themselves instead of switching to the engine.
                     */
    const volatile sig_atomic_t *interrupted; /* NULL, or set when the run is to stop. */
    bool stopped;
    unsigned block_count, cpu_count, until_poll;
    sim_time_t due[ENGINE_BLOCKS_MAX + ENGINE_CPUS_MAX]; /* Blocks first, then CPUs. */
    struct {
        void (*step)(void *self, sim_time_t now);
        void *self;
        const char *name;
    } block[ENGINE_BLOCKS_MAX];
    struct cpu *cpu[ENGINE_CPUS_MAX];
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

/* Used by cpu_init: gives cpu the next place. */
unsigned engine_add_cpu(struct engine *e, struct cpu *cpu);

/* Runs until nothing is due any more or the run was interrupted (e->stopped). */
void engine_run(struct engine *e);

/*
 * Called on the coroutine of the CPU at this place, whose due slot says when it wants to go
 * on: returns when that time has come and everything before it in the order has happened.
 */
void engine_wait_turn(struct engine *e, unsigned place);

#ifdef __cplusplus
}
#endif

#endif
