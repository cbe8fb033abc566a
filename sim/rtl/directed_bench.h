/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directed_bench - an IOMMU with a scenario's tables, driven and watched cycle by cycle.
 *
 * What the RTL's test bench was: a device port with a read and a write channel, each of
 * which issues its next request some cycles after the last one's completion; a register
 * port whose writes take effect two cycles after they are presented; memory of fixed
 * latencies behind one data path. Everything that is seen at one of these ports is kept
 * with its cycle.
 */
#ifndef SIM_RTL_DIRECTED_BENCH_H
#define SIM_RTL_DIRECTED_BENCH_H

#include "iommu_model/arch_riscv.h"
#include "iommu_model/iommu.h"
#include "iommu_model/riscv_spec.h"
#include "sim/rtl/directed_tables.h"

#ifdef __cplusplus
extern "C" {
#endif

enum directed_channel { DIRECTED_READ, DIRECTED_WRITE, DIRECTED_CHANNELS };

struct directed_request {
    uint64_t iova;
    uint32_t device, process;
    bool has_process;
};

struct directed_answer {
    cycle_t issued, done;
    uint64_t pa;
    uint16_t cause, reads; /* cause 0: no fault. */
    bool context_hit, iotlb_hit;
};

/* Requests that a channel issues one after the other. */
struct directed_stream {
    const struct directed_request *request;
    struct directed_answer *answer;
    uint32_t count, next, gap;
    cycle_t issue; /* Of the next one, unless it is under way. */
    bool waiting;
};

enum {
    DIRECTED_QUEUE_ENTRIES = 1 << DIRECTED_QUEUE_LG2,
    /* The register port: from a write's address to its effect, to its response, and from
     * there to the next write. */
    DIRECTED_REGISTER_CYCLES = 2,
    DIRECTED_RESPONSE_CYCLES = 3,
    DIRECTED_SPACING_CYCLES  = DIRECTED_RESPONSE_CYCLES + 1,
    /* The device port: from a request's completion to its response. */
    DIRECTED_DEVICE_CYCLES = 2,
};

struct directed_bench {
    struct directed_scenario scenario;
    struct memory memory;
    struct mem_channel channel;
    struct directed_tables tables;
    struct riscv_config riscv;
    struct iommu_settings settings;
    struct iommu_watcher watcher;
    struct iommu iommu;
    sim_time_t iommu_due, client_due;
    unsigned client;
    uint32_t device; /* The one that the tables attach. */
    cycle_t now;
    struct directed_stream stream[DIRECTED_CHANNELS];

    uint32_t tail;        /* Commands queued so far. */
    cycle_t rung;         /* The doorbell's last write; CYCLE_NEVER: never. */
    cycle_t tail_visible; /* The register shows it. */
    uint32_t rung_tail;

    /* By index of the command or record. */
    cycle_t fetched[DIRECTED_QUEUE_ENTRIES], done[DIRECTED_QUEUE_ENTRIES],
        head[DIRECTED_QUEUE_ENTRIES], fault_visible[DIRECTED_QUEUE_ENTRIES];
    bool met_fill[DIRECTED_QUEUE_ENTRIES]; /* A walk ended in the command's cycle. */
    uint64_t fills;                        /* Walks that ended up to the last cycle. */
    uint32_t faults;

    cycle_t bus_free; /* The data path to memory can take a beat. */
    size_t access_count;
    struct directed_access *access; /* In order of acceptance, in absolute cycles. */
};

/* Everything is off but for the queues; the first cycle is free of any after-effect. base
 * holds all settings that the scenario does not say. */
struct directed_bench *directed_bench_make(const struct directed_scenario *s,
                                           const struct iommu_settings *base);
void directed_bench_free(struct directed_bench *b);

/* ---- Registers and commands ---- */

void directed_bench_mode(struct directed_bench *b, enum riscv_ddtp_mode mode);
void directed_bench_queue(struct directed_bench *b, struct riscv_command command);
/* Presents the write of the new tail in this cycle. */
void directed_bench_ring(struct directed_bench *b);
/* Queues one command, rings, and runs until nothing is left to do. */
void directed_bench_command(struct directed_bench *b, struct riscv_command command);

/* ---- Time ---- */

void directed_bench_cycle(struct directed_bench *b);
/* Up to that cycle, which is then the next. */
void directed_bench_run(struct directed_bench *b, cycle_t until);
/* Until nothing is under way and nothing is due. */
void directed_bench_settle(struct directed_bench *b);

/* ---- Requests ---- */

/* The channel issues count requests, the first in that cycle, each other one gap + 1 cycles
 * after the completion of the one before it. */
void directed_bench_stream(struct directed_bench *b, enum directed_channel channel,
                           cycle_t first, const struct directed_request *request,
                           struct directed_answer *answer, uint32_t count);
/* Runs until both channels are through; the next cycle is the one behind the last answer.
 */
void directed_bench_finish(struct directed_bench *b);
/* One request now, and nothing else beside it. */
struct directed_answer directed_bench_access(struct directed_bench *b,
                                             enum directed_channel channel,
                                             const struct directed_request *request);
/* The attached device's request to an offset in page n. */
struct directed_request directed_page(const struct directed_bench *b, uint64_t page,
                                      uint64_t offset);
/* Maps the page so that everything is allowed, and accesses it as directed_bench_access. */
struct directed_answer directed_bench_touch(struct directed_bench *b,
                                            enum directed_channel channel, uint64_t page,
                                            uint64_t offset);

static inline int64_t directed_latency(const struct directed_answer *a)
{
    return (int64_t)(a->done - a->issued);
}

/* The cycle of the look-up that answered. */
cycle_t directed_lookup_cycle(const struct directed_bench *b,
                              const struct directed_answer *a);

uint32_t directed_bench_entries(const struct directed_bench *b); /* Valid in the IOTLB. */

/* Reads of tables that were accepted in these cycles. */
uint32_t directed_bench_reads(const struct directed_bench *b, cycle_t first, cycle_t last);

#ifdef __cplusplus
}
#endif

#endif
