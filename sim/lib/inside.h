/* SPDX-License-Identifier: Apache-2.0 */
/* inside - what a struct iovasim_machine is made of. */
#ifndef SIM_LIB_INSIDE_H
#define SIM_LIB_INSIDE_H

#include "sim/base/barrier.h"
#include "sim/lib/iovasim.h"
#include "sim/system/system.h"

struct iovasim_slot {
    struct iovasim_machine *machine;
    char *name;
    struct iovasim_device_ops ops;
    void *self;
    /* Of a run. */
    struct slot slot;
    sim_time_t *due;
    bool stepping;
    struct rootport_watcher watcher;
    void (*referee)(void *self, const struct dma_slot *slot, sim_time_t now);
    void *referee_self;
};

struct iovasim_machine {
    struct system_config config;
    const struct flush_policy *policy;
    unsigned cpus;
    uint64_t seed;
    sim_time_t limit; /* 0: none. */
    const volatile sig_atomic_t *interrupted;
    const struct sim_host *host; /* NULL: one for each run. */
    struct iovasim_slot *slot[IOVASIM_DEVICES_MAX];
    unsigned slots;
    void (*told)(void *self, const struct iovasim_event *event);
    void *told_self;
    struct error mistake; /* The first of a setter. */

    /* Of a run, or the last one. */
    const struct iovasim_program *program;
    void *program_self;
    struct engine engine;
    struct system system;
    struct barrier barrier;
    sim_time_t *deadline;
    bool running, failed, finished, late;
    struct error error;
    struct system_counters before, result;
    sim_time_t time;
};

#endif
