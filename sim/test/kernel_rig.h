/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_rig - a booted kernel on simulated CPUs, for tests of the DMA API.
 *
 * Engine, memory, CPUs that each run the test's program, struct kernel, and one of four
 * machines under it: none with an IOMMU; one with a fake backend, which writes down what it
 * is asked and whose flushes a test can delay; or a real struct iommu driven by
 * backend_vtd or backend_riscv, with the test itself as the device.
 *
 * CPU 0 brings everything up before the programs start and takes it down after the last has
 * returned; then nothing may be left, and every run asks that.
 */
#ifndef SIM_TEST_KERNEL_RIG_H
#define SIM_TEST_KERNEL_RIG_H

#include "dma_api/domain.h"
#include "iommu_model/arch_riscv.h"
#include "iommu_model/arch_vtd.h"
#include "iommu_model/audit.h"
#include "iommu_model/extension.h"
#include "iommu_model/vtd_spec.h"
#include "sim/base/barrier.h"

enum kernel_rig_hardware { RIG_DIRECT, RIG_FAKE, RIG_VTD, RIG_RISCV };

enum kernel_event_kind {
    EVENT_MAP_SYNC,
    EVENT_FLUSH_RANGE,
    EVENT_FLUSH_ALL,
    EVENT_FLUSHED, /* The end of either, on the same CPU. */
    EVENT_GIVEN_BACK,
    EVENT_HANDED_OUT,
    EVENT_TABLE_FREED,
};

/* What the fake backend or the observer was told, and how far things were then. */
struct kernel_event {
    enum kernel_event_kind kind;
    unsigned cpu;
    uint64_t first, last; /* Of a table: its address, twice. */
    bool tables;          /* Of a range flush. */
    bool mapped;          /* The tables still map first. */
    uint64_t released;    /* Ranges that had been given back to the allocator. */
    sim_time_t time;
};

/* A descriptor of the invalidation queue, as it stood there when the tail was written. */
struct kernel_descriptor {
    struct vtd_descriptor words;
    unsigned tail_write; /* Counted from 0. */
};

enum {
    RIG_CPUS_MAX        = 16,
    RIG_EVENTS_MAX      = 8192,
    RIG_DESCRIPTORS_MAX = 8192,
    RIG_REQUESTER       = 0x28,
    RIG_QUEUE_ENTRIES   = 256,
    RIG_DEVICE_TLB      = 64,
};

/* One page in the device's own TLB; prot 0: none. */
struct kernel_rig_page {
    uint64_t iova, pa;
    uint8_t prot;
};

struct kernel_rig;
typedef void kernel_program(struct kernel_rig *r, void *state);

struct kernel_rig {
    /* To be changed before kernel_rig_run. */
    unsigned cpus;
    enum kernel_rig_hardware hardware;
    bool untrusted, noncoherent; /* The device. */
    bool ats;                    /* It has a TLB of its own. VT-d. */
    bool may_break;              /* The test breaks what the audit watches over. */
    bool panics;                 /* The test stops the kernel: what stands in panic then. */
    const struct flush_policy *policy;
    void *policy_config;
    struct cpu_config cpu_config;
    struct linux_config linux_config;
    struct cost_config cost;
    struct iommu_settings settings;
    struct vtd_config vtd;
    struct riscv_config riscv;
    uint64_t ecap_hidden; /* Capabilities that the driver is not shown, from now on. */
    const char *fake_format;
    unsigned fake_levels;
    uint64_t fake_leaf_sizes, fake_flush_cycles;

    struct engine engine;
    struct memory memory;
    struct mem_channel channel;
    struct cpu cpu[RIG_CPUS_MAX], *cpu_list[RIG_CPUS_MAX];
    struct barrier barrier;
    struct kernel kernel;
    struct mmio_window window; /* Of the IOMMU's registers. */
    struct iommu iommu;
    struct extension_config extension_config;
    struct extension extension;
    struct mmio_window extension_window;
    struct audit audit;
    const struct backend *backend;
    void *backend_state;
    struct dma_domain *domain; /* NULL without an IOMMU or translation. */
    struct device device;
    kernel_program *program;
    void *state;

    struct kernel_event event[RIG_EVENTS_MAX];
    unsigned events;
    struct kernel_descriptor descriptor[RIG_DESCRIPTORS_MAX];
    unsigned descriptors, tail_writes;
    uint64_t shown_tail; /* The last value of the tail register. */
    bool spoil;          /* The next descriptor becomes an illegal one on its way. */
    unsigned status_reads;
    uint64_t allocations, fail_at;

    /* The device. */
    unsigned client;
    sim_time_t *client_due;
    struct error panic;
    sim_time_t answers_faster; /* Each answer comes so much sooner than the last. */
    struct kernel_rig_page tlb[RIG_DEVICE_TLB];
    uint64_t tlb_hits, invalidations;   /* Messages that have come. */
    uint32_t answering;                 /* Their tags that are not answered yet, */
    sim_time_t answer_at, answer_after; /* at the latest then; so long after the last. */
    bool deaf;                          /* A fault: it answers and keeps all it has. */
    bool answered[RIG_CPUS_MAX];
    struct iommu_response answer[RIG_CPUS_MAX];
};

/* One CPU, no IOMMU, strict, every parameter at its default. */
struct kernel_rig *kernel_rig_new(enum kernel_rig_hardware hardware);
void kernel_rig_free(struct kernel_rig *r);
void kernel_rig_policy(struct kernel_rig *r, const char *name);
void kernel_rig_policy_set(struct kernel_rig *r, const char *name, const char *value);

/* Runs program(r, state) on every CPU; expects that nothing is left then. */
void kernel_rig_run(struct kernel_rig *r, kernel_program *program, void *state);
/* All of it for a test that changes nothing. */
void kernel_rig_once(enum kernel_rig_hardware hardware, kernel_program *program);

/* ---- For programs ------------------------------------------------------------------ */

void kernel_rig_meet(struct kernel_rig *r); /* All CPUs: a barrier. */
void kernel_rig_sleep_until(sim_time_t time);

/* The device asks for a page; true, with the physical address, when it may. RIG_VTD,
 * RIG_RISCV. */
bool kernel_rig_reach(struct kernel_rig *r, uint64_t iova, unsigned access, uint64_t *pa);

/* What tables say, read from memory by nobody's code but this: permissions, 0 when nothing
 * is mapped. */
unsigned kernel_rig_lookup(struct kernel_rig *r, const struct pagetable *t, uint64_t iova,
                           uint64_t *pa);
/* Leaves of 2^page_lg2 bytes in the whole table, and tables without the root. */
unsigned kernel_rig_leaves(struct kernel_rig *r, const struct pagetable *t,
                           unsigned page_lg2);
unsigned kernel_rig_tables(struct kernel_rig *r, const struct pagetable *t);

/* The nth allocation from now on fails, counted from 1 (whatever kernel_no_memory asks
 * for), and only it; 0: none does. */
void kernel_rig_fail_at(struct kernel_rig *r, uint64_t nth);
bool kernel_rig_failed(const struct kernel_rig *r); /* Whether it has come so far. */

/* How many events of a kind there were from a given one on, and the nth of them. */
unsigned kernel_rig_count(const struct kernel_rig *r, enum kernel_event_kind kind,
                          unsigned from);
const struct kernel_event *kernel_rig_event(const struct kernel_rig *r,
                                            enum kernel_event_kind kind, unsigned from,
                                            unsigned nth);

#endif
