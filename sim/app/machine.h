/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine - one run: a system built, a trace replayed on it, and all taken apart again.
 *
 * It is one host with its drives (drives.h), or several with RDMA NICs (fabric.h). What is
 * reported is what happened between the two barriers around the replay.
 */
#ifndef SIM_APP_MACHINE_H
#define SIM_APP_MACHINE_H

#include "sim/app/config.h"
#include "sim/app/series.h"
#include "sim/base/barrier.h"
#include "sim/scope/timeline.h"
#include "sim/scope/waves.h"
#include "sim/system/system.h"

/* What to run. */
struct machine_run {
    enum blk_api api;
    const struct flush_policy *policy;
    unsigned cpus;
    uint64_t limit; /* Records; UINT64_MAX: all. */
    uint64_t seed;
    bool run_ahead;
    /* Tests plant faults: kernel.plant_reuse and iotlb.plant_deaf; 0: none. */
    uint64_t plant_reuse, plant_deaf;
    bool attacker; /* Each drive and each NIC has a hostile device beside it. */
    bool rdma;     /* The sources are RDMA work: fabric.h's hosts replay them. */
    const struct replay_source *source;
    unsigned sources;
    const volatile sig_atomic_t *interrupted;
    void (*progress)(void *self, uint64_t records);
    void *progress_self;
    struct timeline *timeline; /* Draws the replay; NULL: nobody does. */
    struct waves *waves;       /* Writes the IOMMU's signals; NULL: nobody does. */
    const struct replay_watcher *records; /* Of each drive's records; NULL: nobody looks. */
    const struct dma_watcher *calls; /* Of the DMA API, while the replay runs; likewise. */
    void (*finding)(void *self, const char *text); /* Of linux.dma_debug; may be NULL. */
    void *finding_self;
    /* Told of each packet that an RDMA NIC sends; may be NULL. */
    void (*packet)(void *self, const struct rdma_packet *packet);
    void *packet_self;
    /* Fault injection: kernel.fails of the hosts with RDMA NICs while the replay runs;
     * NULL: nothing fails. */
    bool (*fails)(void *self, unsigned host, const char *what);
    void *fails_self;
};

/* Those that count beside a system's; likewise in the order of the reports. */
#define MACHINE_REPLAY_COUNTERS(C)                                                         \
    C(replay_stats, replay, replay_stat_table)                                             \
    C(driver_stats, driver, driver_stat_table)
#define MACHINE_DEVICE_COUNTERS(C)                                                         \
    C(nvme_stats, nvme, nvme_stat_table)                                                   \
    C(fabric_stats, fabric, fabric_stat_table)                                             \
    C(verbs_stats, verbs, verbs_stat_table)                                                \
    C(rdma_stats, rdma, rdma_stat_table)                                                   \
    C(rdma_wire_stats, wire, rdma_wire_stat_table)                                         \
    C(nvmf_stats, nvmf, nvmf_stat_table)
#define MACHINE_BARE_COUNTERS(C)                                                           \
    C(attacker_stats, attacker, attacker_stat_table)                                       \
    C(exerciser_stats, exerciser, exerciser_stat_table)
#define MACHINE_COUNTERS(C)                                                                \
    MACHINE_REPLAY_COUNTERS(C)                                                             \
    SYSTEM_SOFTWARE_COUNTERS(C)                                                            \
    MACHINE_DEVICE_COUNTERS(C)                                                             \
    SYSTEM_ATC_COUNTERS(C)                                                                 \
    SYSTEM_DMA_COUNTERS(C)                                                                 \
    SYSTEM_IOMMU_COUNTERS(C)                                                               \
    MACHINE_BARE_COUNTERS(C)

/* Every counter of the machine; the same tables describe it everywhere (machine_stats). */
struct machine_counters {
    union {
        struct system_counters system;
        struct {
            SYSTEM_COUNTER_FIELDS
        };
    };
    MACHINE_REPLAY_COUNTERS(SYSTEM_COUNTER_FIELD)
    MACHINE_DEVICE_COUNTERS(SYSTEM_COUNTER_FIELD)
    MACHINE_BARE_COUNTERS(SYSTEM_COUNTER_FIELD)
};

enum { MACHINE_DRIVES_MAX = 8, MACHINE_ENDS = 2, MACHINE_ATTACKERS_MAX = 8 };

/* What one of several drives did; machine_counters has their sums. */
struct machine_drive {
    uint16_t requester;
    struct replay_stats replay;
    struct driver_stats driver;
    struct dma_stats dma;
    struct histogram io_latency_ns;
};

/* What one hostile device did, and what it reached; machine_counters has the sums. */
struct machine_attacker {
    char host[16]; /* Of several; "": there is one. */
    char victim[16];
    uint16_t requester;
    struct attacker_stats stats;
    uint64_t reached[AUDIT_REACH_COUNT];
    uint64_t late_ns_p50, late_ns_max; /* Of its accesses to pages given back. */
};

struct machine_result {
    const char *preset, *api, *policy;
    enum flush_promise promise;
    bool translates, negative, attacker, exerciser, rdma;
    bool nvmf; /* Block requests over RDMA: the two ends are below. */
    unsigned cpus;
    uint64_t seed;
    uint64_t iommu_period_ps;
    struct machine_counters counters; /* Of the replay. */
    sim_time_t time_ps;               /* Of the replay. */
    uint64_t findings;                /* Of the whole life of the machine. */
    uint64_t source_records[REPLAY_SOURCES_MAX];
    uint64_t exposure_ps_max, exposed_pages_most, pool_pages_most;
    unsigned drives;
    struct machine_drive drive[MACHINE_DRIVES_MAX];
    unsigned attackers;
    struct machine_attacker attack[MACHINE_ATTACKERS_MAX];
    struct machine_counters end[MACHINE_ENDS];   /* nvmf: of the host and of the target. */
    struct machine_counters start[MACHINE_ENDS]; /* The same, before the replay: from */
    sim_time_t start_ps; /* connected queue pairs to a controller that is ready. */
    char leak[96]; /* The parameters by which a hostile device gets past an invalidation, as
                      is known of this hardware; "": none. */
    struct error broken;  /* The first broken invariant of a negative control or a leak. */
    struct series series; /* Of the replay. */
    struct histogram io_latency_ns, dma_read_ps, dma_write_ps, exposure_ns, attack_ns;
};

enum machine_outcome {
    MACHINE_RAN,
    MACHINE_STOPPED, /* Interrupted. */
    MACHINE_REFUSED, /* The configuration does not work: error says why. */
    MACHINE_TRACE,   /* The trace is broken. */
    MACHINE_BROKEN,  /* One of the simulator's own checks failed. */
};

/* Runs it under the host. The traces are read from their starts. */
enum machine_outcome machine_run(const struct config *config, const struct machine_run *run,
                                 const struct sim_host *host, struct machine_result *result,
                                 struct error *error);

/* The statistics tables in order, with what each describes in c (c NULL: *stats is NULL).
 */
const struct stat_table *machine_stats(const struct machine_counters *c, unsigned index,
                                       const void **stats);

/* ---- What drives.c and fabric.c share ---- */

/* later -= earlier; sum += one; whether the outcomes of every whole sum to it. */
void machine_subtract(struct machine_counters *later,
                      const struct machine_counters *earlier);
void machine_add(struct machine_counters *sum, const struct machine_counters *one);
bool machine_check_stats(const struct machine_counters *all, struct error *error);
/* The account of the replay is complete: as many cycles as its CPUs had time for. */
bool machine_check_owners(const struct machine_result *result, const struct config *config,
                          struct error *error);
/* What a negative control or, under attack, hardware that is known for it (result->leak)
 * breaks is noted in the result; how often is in the statistics. False: nothing excuses it.
 */
bool machine_check_promise(const struct audit *audit, struct machine_result *result,
                           struct error *error);

#endif
