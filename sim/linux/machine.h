/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine - the recorded machine, as far as the DMA API sees it: CPUs, devices with their
 * domains, and the registers and queue of a VT-d unit that does at once what it is told and
 * writes down each invalidation.
 *
 * Inaccuracies: the unit translates nothing; an invalidation is over when its tail write
 * arrives.
 */
#ifndef SIM_LINUX_MACHINE_H
#define SIM_LINUX_MACHINE_H

#include "dma_api/domain.h"
#include "sim/base/barrier.h"
#include "sim/base/engine.h"
#include "sim/linux/recording.h"
#include "sim/linux/settings.h"

enum { MACHINE_LOG_MAX = 256 };

struct machine {
    const struct check_settings *settings;
    const struct recording *recording;
    struct engine engine;
    struct memory memory;
    struct cpu_config cpu_config;
    struct cost_config cost;
    struct cpu cpu[REC_CPUS_MAX], *cpu_list[REC_CPUS_MAX];
    unsigned cpus;
    struct barrier barrier;
    struct kernel kernel;
    struct mmio_window window;
    void *iommu; /* The driver's state. */
    struct device device[REC_DEVICES_MAX];
    struct dma_domain **domain; /* By id, up to the highest that the recording names. */
    unsigned domains;

    /* Registers. */
    uint32_t status;
    uint64_t queue, head;

    /* Invalidations since machine_log_clear, context and PASID caches' left out. */
    struct rec_inv log[MACHINE_LOG_MAX];
    unsigned logged;
};

/* Builds everything but what needs a running CPU; program(arg) runs on each CPU. */
void machine_build(struct machine *m, const struct check_settings *settings,
                   const struct recording *recording, const struct sim_host *host,
                   void (*program)(void *arg), void *arg);
void machine_destroy(struct machine *m);

/* On CPU 0: the driver, a domain for each id, the devices in theirs. */
bool machine_bring_up(struct machine *m, struct error *error);
void machine_take_down(struct machine *m);

static inline void machine_log_clear(struct machine *m)
{
    m->logged = 0;
}

#endif
