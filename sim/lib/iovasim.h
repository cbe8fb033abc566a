/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iovasim - a simulated machine for a driver and a device of one's own.
 *
 *     device (ops, a port) -- PCI Express link -- IOMMU -- memory -- CPUs with the driver
 *
 * A machine is made from a preset, told what differs from it, given devices, and run as
 * often as wanted, each time from power-on:
 *
 *     struct iovasim_machine *m = iovasim_new("vtd-server");
 *     iovasim_set(m, "iotlb.sets", "32");
 *     iovasim_set_policy(m, "lazy");
 *     struct iovasim_slot *slot = iovasim_add_device(m, "copy0", &copy_ops, &copy);
 *     if (!iovasim_run(m, &(struct iovasim_program){ .run = driver }, slot))
 *         fprintf(stderr, "%s\n", iovasim_error(m));
 *     printf("%" PRIu64 "\n", iovasim_cycles(m, OWNER_inval_wait));
 *     iovasim_free(m);
 *
 * The driver is C that blocks; it calls dma_api/dma-mapping.h, iommu.h and kernel.h, and
 * sim/base/cpu.h and mmio.h for CPU, memory and registers. The device is a passive state
 * machine behind sim/base/port.h. docs/library.md tells the whole story.
 *
 * Times are in picoseconds (sim_time_t). Calls that can fail because of what they are given
 * return false and leave a line of text, iovasim_error(). A setter's mistake stays: no run
 * begins until the machine is made anew, so that it is enough to look at iovasim_run. What
 * a caller must not do at all is a violation: one line on standard error, and abort().
 *
 * Several machines may exist; one runs at a time in a process.
 */
#ifndef IOVASIM_H
#define IOVASIM_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dma_api/dma-mapping.h"
#include "dma_api/kernel.h"
#include "sim/base/cpu.h"
#include "sim/base/mmio.h"
#include "sim/base/port.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of these headers, and of the library that is linked: "0.1.0". Within a minor version the
 * interface does not change. */
#define IOVASIM_VERSION_MAJOR 0
#define IOVASIM_VERSION_MINOR 1
#define IOVASIM_VERSION_PATCH 0
const char *iovasim_version(void);

struct iovasim_machine;
struct iovasim_slot;

/* ---- A machine ----------------------------------------------------------------------- */

/* A preset's name as `iovasim presets` lists them; NULL: vtd-server. Never NULL: an unknown
 * preset is a mistake like any other. CPUs: 1, policy: strict, seed: 1. */
struct iovasim_machine *iovasim_new(const char *preset);
void iovasim_free(struct iovasim_machine *m); /* NULL is nothing. */

/* A parameter by its key, as in docs/parameters.md: those of platform, cpu, iommu, context,
 * iotlb, walkcache, walker, memport, invq, faultq, vtd, riscv, extension, link, atc, linux,
 * cost, policy, audit, and of flush policies. Numbers are decimal or 0x hexadecimal. */
bool iovasim_set(struct iovasim_machine *m, const char *key, const char *value);

/* When the IOMMU's caches are told of an unmap: a name of `iovasim policies`. */
bool iovasim_set_policy(struct iovasim_machine *m, const char *name);

bool iovasim_set_cpus(struct iovasim_machine *m, unsigned cpus); /* 1 .. 64 */

/* Of what is random: replacement policies, a device TLB. */
bool iovasim_set_seed(struct iovasim_machine *m, uint64_t seed);

/* A run that has not ended by then fails; 0: none (the default). Simulated time from
 * power-on. */
bool iovasim_set_time_limit(struct iovasim_machine *m, sim_time_t limit);

/* A run ends, and fails, soon after *flag is not 0 any more, e.g. by a signal handler.
 * NULL: none (the default). */
bool iovasim_set_interrupt(struct iovasim_machine *m, const volatile sig_atomic_t *flag);

/* Who carries the CPUs out (sim/base/engine.h): e.g. a SystemC kernel, with the host that
 * systemc_host_call gives (sim/host/systemc.h). Results are the same bytes under every
 * host. NULL: the library itself does (the default). */
bool iovasim_set_host(struct iovasim_machine *m, const struct sim_host *host);

/* The line about the first mistake of a setter or else about the last run; "": none. */
const char *iovasim_error(const struct iovasim_machine *m);

/* ---- Devices ------------------------------------------------------------------------- */

/*
 * What a device is: functions that get its own state (self). None of them blocks or calls
 * the DMA API; each may be NULL but reset and step.
 *
 * A device sleeps until it is woken: by iovasim_wake, or because its port has something to
 * take or room again. step then does what there is to do: takes responses, submits what it
 * can (port_ready, port_submit), and calls iovasim_wake for a time of its own. In a step or
 * a register access the device sees no time but now.
 */
struct iovasim_device_ops {
    /* Power-on, before each run: state as at first; slot is kept for the calls below. */
    void (*reset)(void *self, struct iovasim_slot *slot);
    /* Registers: offset in bytes; bytes is 4 or 8. A read without a function is all ones.
     */
    void (*write)(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                  sim_time_t now);
    uint64_t (*read)(void *self, uint32_t offset, unsigned bytes, sim_time_t now);
    void (*step)(void *self, sim_time_t now);
    /* Whether nothing is under way; asked 1 ms of simulated time after the program's end,
     * or when nothing is due any more: false is an error then. */
    bool (*idle)(const void *self);
};

enum { IOVASIM_DEVICES_MAX = 12 };

/* Puts a device into the next slot of the machine: bus 0, device 5 and on. name and ops are
 * copied, self is kept. ops NULL: a device that is there and does nothing, for programs
 * that only map. It is behind the machine's IOMMU, with a domain of its own under the
 * machine's policy, and with a TLB of its own if atc.enabled is 1 (preset vtd-ats). NULL:
 * no slot is left, or ops lacks a function. */
struct iovasim_slot *iovasim_add_device(struct iovasim_machine *m, const char *name,
                                        const struct iovasim_device_ops *ops, void *self);

/* For the device: its end of the link, who it is in its requests, and when it is stepped
 * next, at the latest. In a step, at must be later than now. */
struct port *iovasim_port(struct iovasim_slot *slot);
uint16_t iovasim_requester(const struct iovasim_slot *slot);
void iovasim_wake(struct iovasim_slot *slot, sim_time_t at);

/* The message that interrupts a CPU: a write of 4 bytes, to be submitted like any other,
 * which arrives behind the writes that were submitted before it. *vector, 0 .. 255, is the
 * payload and has to stay until the response. */
struct port_request iovasim_message(const struct iovasim_slot *slot, unsigned cpu,
                                    uint32_t *vector);

/* For the driver, while the machine runs: the device for the DMA API, and its registers.
 * (iovasim_device(slot)->kernel is the kernel, with its CPUs and memory.) */
struct device *iovasim_device(struct iovasim_slot *slot);
struct mmio_window *iovasim_registers(struct iovasim_slot *slot);

/* ---- Runs ---------------------------------------------------------------------------- */

/*
 * The driver. probe and remove may be NULL; they run on CPU 0 alone, before and after what
 * is measured, on the account of OWNER_setup. probe returns 0 or a negative errno, which
 * ends the run. run is called on every CPU at the same time (cpu_this()->id says which), on
 * the account of OWNER_driver; what is measured begins with the first call and ends when
 * the last has returned. Interrupts: cpu_handle(), cpu_wait().
 *
 * At the end everything must have come back: pages, mappings' tables, memory of
 * kernel_host_alloc. A driver that cannot go on calls kernel_panic.
 */
struct iovasim_program {
    int (*probe)(void *self);
    void (*run)(void *self);
    void (*remove)(void *self);
};

/*
 * Builds the machine, boots its kernel, runs the program, takes everything down and asks
 * whether all is well. True: it is. False, with a line: a mistake of a setter or between
 * parameters; probe failed, a panic, the time limit; a CPU waits for what never comes; a
 * device or a driver has left something; the policy broke what it promises. Faults, stale
 * accesses that the policy allows and findings of linux.dma_debug are results, not
 * failures. Results are there if what is measured came to its end, true or not.
 */
bool iovasim_run(struct iovasim_machine *m, const struct iovasim_program *program,
                 void *self);

/* ---- What happened ------------------------------------------------------------------- */

enum iovasim_event_kind {
    IOVASIM_FAULT,   /* An access of the device was refused. */
    IOVASIM_STALE,   /* It went through a translation whose unmap had returned. */
    IOVASIM_FINDING, /* linux.dma_debug has found a mistake of the driver. */
};

struct iovasim_event {
    enum iovasim_event_kind kind;
    sim_time_t time;
    struct iovasim_slot *slot; /* NULL: of no device. */
    uint64_t iova;
    uint32_t bytes;
    bool write;
    sim_time_t late;  /* Of a stale access: how long after the unmap. */
    const char *text; /* All of it in a line, without newline; during the call. */
};

/* told is called during runs, for each event, from power-on; it must not call the machine.
 * NULL: nobody is told. */
void iovasim_watch(struct iovasim_machine *m,
                   void (*told)(void *self, const struct iovasim_event *event), void *self);

/* ---- Results of the last run --------------------------------------------------------- */

sim_time_t
iovasim_time(const struct iovasim_machine *m); /* What was measured took so long. */

/* Cycles of all CPUs by owner (sim/base/account.h: cpu_owner_name[]), and of those the ones
 * inside a call that maps, unmaps, ... All owners sum to the time of all CPUs. */
uint64_t iovasim_cycles(const struct iovasim_machine *m, enum cpu_owner owner);
uint64_t iovasim_cycles_in(const struct iovasim_machine *m, enum cpu_owner owner,
                           enum cpu_phase phase);

/* A counter of docs/statistics.md: "iotlb.lookup_hit", "audit.stale_access", "dma.fault";
 * of kernel, iova, dma, atc, iommu, iotlb, walkcache, context, memport, extension, audit.
 * Those of devices are sums over all. False: there is none of that name. */
bool iovasim_statistic(const struct iovasim_machine *m, const char *name, uint64_t *value);

/* The name of the index-th; false behind the last. */
bool iovasim_statistic_name(unsigned index, char *out, size_t bytes);

/* Time, cycles by owner, and every counter that is not 0: a line each. */
void iovasim_print(const struct iovasim_machine *m, FILE *out);

#ifdef __cplusplus
}
#endif

#endif
