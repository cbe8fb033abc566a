/* SPDX-License-Identifier: Apache-2.0 */
/*
 * riscv_rig - a RISC-V IOMMU on the bench: the test plays software and device.
 *
 * Tables are written by whoever uses the rig; it owns the memory, which lives longer than
 * the IOMMU, and the two queues in it.
 */
#ifndef SIM_TEST_RISCV_RIG_H
#define SIM_TEST_RISCV_RIG_H

#include "iommu_model/arch_riscv.h"
#include "iommu_model/iommu.h"
#include "iommu_model/riscv_spec.h"

struct riscv_rig {
    struct memory memory;
    struct mem_channel channel;
    struct iommu_settings settings;
    struct riscv_config riscv;
    struct iommu iommu;
    sim_time_t iommu_due, client_due, now;
    unsigned client;
    uint32_t tail, stamp;
};

enum {
    RISCV_RIG_PERIOD_PS = 1000,
    RISCV_RIG_LATENCY   = 10, /* Cycles of a memory read, and of a write. */
    RISCV_RIG_QUEUE_LG2 = 7,  /* Entries of either queue. */
};

/* The command queue, the fault queue, and where fences write. */
#define RISCV_RIG_COMMANDS UINT64_C(0x987650000)
#define RISCV_RIG_FAULTS   UINT64_C(0x987651000)
#define RISCV_RIG_STATUS   UINT64_C(0x987652000)

/* Makes the memory, and resets all parameters to their defaults. */
void riscv_rig_open(struct riscv_rig *r);
void riscv_rig_close(struct riscv_rig *r);
void riscv_rig_defaults(struct riscv_rig *r);

/* An IOMMU with those parameters, out of reset; then both queues switched on. */
void riscv_rig_reset(struct riscv_rig *r);
void riscv_rig_start(struct riscv_rig *r);
void riscv_rig_stop(struct riscv_rig *r);

void riscv_rig_write(struct riscv_rig *r, uint32_t offset, uint64_t value, unsigned bytes);
uint64_t riscv_rig_read(struct riscv_rig *r, uint32_t offset, unsigned bytes);

/* Puts a command into the queue; ring writes the tail register. */
void riscv_rig_queue(struct riscv_rig *r, struct riscv_command c);
void riscv_rig_ring(struct riscv_rig *r);
/* Queues a fence with these flags, rings, and runs until its data is in memory; false when
 * that never comes. */
bool riscv_rig_fence(struct riscv_rig *r, uint64_t flags);

void riscv_rig_submit(struct riscv_rig *r, const struct iommu_request *request);
/* Runs until the next response; false when none ever comes. */
bool riscv_rig_next(struct riscv_rig *r, struct iommu_response *response);
bool riscv_rig_translate(struct riscv_rig *r, const struct iommu_request *request,
                         struct iommu_response *response);
/* Runs up to and including that time; or until nothing is left to do. */
void riscv_rig_run(struct riscv_rig *r, sim_time_t until);
void riscv_rig_settle(struct riscv_rig *r);

/* Takes the oldest record out of the fault queue in memory; false when there is none. */
bool riscv_rig_fault(struct riscv_rig *r, uint64_t record[4]);

#endif
