/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig - an IOMMU on the bench: tables written by hand, a client that is the test.
 *
 * Nothing of dma_api/ is involved: the rig plays software with direct writes to memory and
 * registers, so that the model can be examined cycle by cycle.
 */
#ifndef SIM_TEST_RIG_H
#define SIM_TEST_RIG_H

#include "iommu_model/arch_vtd.h"
#include "iommu_model/iommu.h"
#include "iommu_model/vtd_spec.h"

struct rig {
    struct memory memory;
    struct mem_channel channel;
    struct iommu_settings settings;
    struct vtd_config vtd;
    struct iommu iommu;
    sim_time_t iommu_due, client_due, now;
    unsigned client;
    uint64_t next_page; /* Where the next table goes. */
    uint64_t root, queue, status;
    bool scalable;
    uint32_t tail;
};

enum {
    RIG_PERIOD_PS = 1000,
    RIG_LATENCY   = 50, /* Cycles of a memory read. */
};

/* Defaults of all parameters, with the rig's period and memory latency; change settings
 * between rig_defaults and rig_start. */
void rig_defaults(struct rig *r);
void rig_start(struct rig *r);
void rig_stop(struct rig *r);

uint64_t rig_page(struct rig *r);

/* A context entry for the requester with second-stage tables of so many levels; returns the
 * root of the tables. */
uint64_t rig_attach(struct rig *r, unsigned requester, unsigned domain, unsigned levels);
void rig_pass_through(struct rig *r, unsigned requester, unsigned domain);

/* Maps a page of 2^page_lg2 bytes, making tables on the way. pa 0 with prot 0 unmaps. */
void rig_map(struct rig *r, uint64_t root, unsigned levels, uint64_t iova, uint64_t pa,
             unsigned page_lg2, unsigned prot);

/* The same in the first stage's format. */
void rig_map_first(struct rig *r, uint64_t root, unsigned levels, uint64_t iova,
                   uint64_t pa, unsigned page_lg2, unsigned prot);

/* ---- Scalable mode: with vtd.scalable set before rig_start ----------------------------
 */

/* A context entry with these bits beside the present bit, and a PASID directory of 2^13
 * PASIDs; high is its second word. Returns the entry's address. */
uint64_t rig_context(struct rig *r, unsigned requester, uint64_t low, uint64_t high);
/* Writes words 0 to 2 of a PASID table entry; returns its address. */
uint64_t rig_pasid(struct rig *r, unsigned requester, unsigned pasid, uint64_t low,
                   uint64_t domain, uint64_t first);

/* The physical address of the entry that maps iova at a level, along existing tables. */
uint64_t rig_entry(struct rig *r, uint64_t root, unsigned levels, uint64_t iova,
                   unsigned level);

/* Puts a descriptor into the queue; ring writes the tail register. */
void rig_queue(struct rig *r, struct vtd_descriptor d);
void rig_ring(struct rig *r);
/* Queues a wait, rings, and runs until its status is there. Returns the time it took. */
sim_time_t rig_wait(struct rig *r);

void rig_submit(struct rig *r, unsigned requester, uint64_t iova, unsigned access,
                uint32_t id);

/* Runs the IOMMU up to and including that time. */
void rig_run(struct rig *r, sim_time_t until);
/* Runs until the next response and takes it; false when none ever comes. */
bool rig_next(struct rig *r, struct iommu_response *response);
/* Submits one request now and returns the cycles until its answer. */
cycle_t rig_translate(struct rig *r, unsigned requester, uint64_t iova, unsigned access,
                      struct iommu_response *response);

#endif
