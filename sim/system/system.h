/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system - a system without devices: memory, IOMMU, CPUs, kernel, and the referee; and the
 * slots into which devices are put.
 *
 *     device (-- its TLB) -- link, root port -- IOMMU -- memory -- CPUs with kernel
 *
 * Whoever builds a machine owns the engine, on which there may be several systems, and
 * calls these in order: system_build_iommu, slot_build for each device with the device
 * behind it, system_build_extension (slots may also follow it), system_build_software; then
 * the engine runs. system_boot and slot_attach are called by the program of CPU 0.
 */
#ifndef SIM_SYSTEM_SYSTEM_H
#define SIM_SYSTEM_SYSTEM_H

#include "dma_api/domain.h"
#include "sim/system/system_config.h"

struct system {
    const struct system_config *config;
    const struct flush_policy *policy;
    struct engine *engine;
    uint64_t seed;
    struct memory memory;
    struct mem_channel channel;
    struct mmio_window iommu_window, extension_window;
    struct iommu iommu;
    struct extension extension;
    struct audit audit;
    unsigned cpu_count;
    struct cpu cpu[ENGINE_CPUS_MAX];
    struct cpu *cpus[ENGINE_CPUS_MAX];
    struct kernel kernel;
    const struct backend *backend;
    void *backend_state; /* From system_boot to system_halt. */
};

/* Hardware. config and policy are kept. */
void system_build_iommu(struct system *s, const struct system_config *config,
                        const struct flush_policy *policy, struct engine *engine,
                        uint64_t seed);
void system_build_extension(struct system *s);
/* The CPUs, CPU i of which runs program(argument[i]), and the kernel. */
void system_build_software(struct system *s, unsigned cpus, void (*program)(void *arg),
                           void *const *argument);
/* All of it but the slots, which go first. */
void system_destroy(struct system *s);

/* Brings the IOMMU up through its registers, and takes it down. */
bool system_boot(struct system *s, struct error *error);
void system_halt(struct system *s);

/* What the policy promises; of a bounded promise, with how much is allowed beyond it. */
struct audit_promise system_promise(const struct system *s, enum flush_promise *promise);

/* The device's TLB is on when the kernel switches it on: not where there is nothing to
 * translate. */
static inline bool system_has_device_tlb(const struct system *s)
{
    return s->config->atc.enabled && s->policy->translates;
}

/* ---- Slots --------------------------------------------------------------------------- */

struct slot {
    struct system *system;
    uint16_t requester;
    struct rootport port;
    struct atc atc; /* When it has one. */
    struct mmio_window window;
    struct device device;
    struct dma_domain *domain; /* NULL under passthrough. */
};

/* A link, a root port, a TLB if asked for, and the window of the device's registers. */
void slot_build(struct slot *slot, struct system *s, uint16_t requester, bool device_tlb,
                const char *window_name, const struct mmio_ops *registers, void *device);
void slot_destroy(struct slot *slot);

/* What the device behind it submits to. */
struct port *slot_port(struct slot *slot);

/* Adds the device to the kernel and lets it into a domain: its own, or another's (shared),
 * or, when the policy does not translate, none. */
bool slot_attach(struct slot *slot, const char *name, struct dma_domain *shared);
/* The device leaves; its domain goes, too, unless it is shared or mappings are left:
 * returns how many. */
uint64_t slot_detach(struct slot *slot, bool shared);

bool slot_idle(const struct slot *slot);

/* ---- Counters ------------------------------------------------------------------------ */

/* The modules that count: a struct, its field, and its table; in the order in which they
 * are reported. Whoever has more of them (sim/app/machine.h) reports its own between the
 * groups. */
#define SYSTEM_SOFTWARE_COUNTERS(C)                                                        \
    C(kernel_stats, kernel, kernel_stat_table)                                             \
    C(iova_stats, iova, iova_stat_table)
#define SYSTEM_DMA_COUNTERS(C) C(dma_stats, dma, dma_stat_table)
#define SYSTEM_ATC_COUNTERS(C) C(atc_stats, atc, atc_stat_table)
#define SYSTEM_IOMMU_COUNTERS(C)                                                           \
    C(iommu_stats, iommu, iommu_stat_table)                                                \
    C(iotlb_stats, iotlb, iotlb_stat_table)                                                \
    C(walkcache_stats, walkcache, walkcache_stat_table)                                    \
    C(context_stats, context, context_stat_table)                                          \
    C(memport_stats, memport, memport_stat_table)                                          \
    C(extension_stats, extension, extension_stat_table)                                    \
    C(audit_stats, audit, audit_stat_table)
#define SYSTEM_COUNTERS(C)                                                                 \
    SYSTEM_SOFTWARE_COUNTERS(C)                                                            \
    SYSTEM_DMA_COUNTERS(C)                                                                 \
    SYSTEM_ATC_COUNTERS(C)                                                                 \
    SYSTEM_IOMMU_COUNTERS(C)

#define SYSTEM_COUNTER_FIELD(type, name, table) struct type name;
#define SYSTEM_COUNTER_FIELDS                                                              \
    SYSTEM_COUNTERS(SYSTEM_COUNTER_FIELD)                                                  \
    uint64_t xlate_cycles[XLATE_PART_COUNT];                                               \
    uint64_t cycles[PHASES][OWNERS]; /* Of all CPUs. */                                    \
    sim_time_t now;

/* Where the counters of a module are in a struct of many. */
struct system_stat_place {
    const struct stat_table *table;
    size_t offset;
};
#define SYSTEM_STAT_PLACE(owner, name, table) { &table, offsetof(struct owner, name) },

struct system_counters {
    SYSTEM_COUNTER_FIELDS
};

/* Where they stand, of everything but slots; then those of a slot on top, and of its domain
 * if it has one. */
void system_count(struct system *s, struct system_counters *c);
void slot_count(const struct slot *slot, struct system_counters *c);
void slot_count_domain(const struct slot *slot, struct system_counters *c);
/* Brings the occupancy of the invalidation queue up to now. */
void system_measure_queue(struct system *s);

/* The tables in order, with what each describes in c (c NULL: *stats is NULL); NULL behind
 * the last. */
const struct stat_table *system_stats(const struct system_counters *c, unsigned index,
                                      const void **stats);

/* later -= earlier. */
void system_subtract(struct system_counters *later, const struct system_counters *earlier);

/* The same of the cycles alone, and their sums. */
void system_subtract_cycles(struct system_counters *later,
                            const struct system_counters *earlier);
void system_add_cycles(struct system_counters *sum, const struct system_counters *one);

/* sum += one, counter by counter. */
void system_add_stats(const struct stat_table *table, void *sum, const void *one);

/* ---- Checks at the end --------------------------------------------------------------- */

/* Whether everything has come back to the kernel; whether nothing is under way. */
bool system_check_kernel(const struct kernel *kernel, struct error *error);
bool system_check_idle(const struct system *s, struct error *error);
/* Whether each CPU's cycles sum to its time. */
bool system_check_cpus(const struct system *s, struct error *error);
/* Whether the CPUs' owners have exactly the cycles that there were in time_ps. */
bool system_check_owners(const struct system_counters *c, unsigned cpus, sim_time_t time_ps,
                         uint64_t period_ps, struct error *error);

#endif
