/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric - the figures of a run that people compare and machines judge.
 *
 * One table: every report format, the gate and docs/result.md are made from it.
 */
#ifndef SIM_APP_METRIC_H
#define SIM_APP_METRIC_H

#include "sim/app/machine.h"

/* clang-format off */
#define METRICS(M)                                                                                  \
    /* name                    unit          better   what it is */                                 \
    M(ios,                     "requests",   none,    "Records replayed to their end")              \
    M(bytes,                   "bytes",      none,    "Data moved")                                 \
    M(pages,                   "pages",      none,    "4 KiB pages mapped")                         \
    M(sim_time_ns,             "ns",         lower,   "Simulated time of the replay")               \
    M(iops,                    "1/s",        higher,  "Records a second")                           \
    M(throughput_gbps,         "Gbit/s",     higher,  "Data a second")                              \
    M(cpu_cycles_per_io,       "cycles",     lower,   "CPU cycles that were not idle, all owners")  \
    M(map_cycles_per_io,       "cycles",     lower,   "CPU cycles inside mapping calls")            \
    M(unmap_cycles_per_io,     "cycles",     lower,   "CPU cycles inside unmapping calls")          \
    M(deferred_cycles_per_io,  "cycles",     lower,   "CPU cycles of flush timers and trimming")    \
    M(iotlb_lookups,           "lookups",    none,    "Look-ups in the IOTLB")                      \
    M(iotlb_hit_rate,          "ratio",      higher,  "Share of the look-ups that hit")             \
    M(walk_reads,              "reads",      lower,   "Page-table entries read by walkers")         \
    M(walk_reads_per_miss,     "reads",      lower,   "... for each walk")                          \
    M(invalidation_descriptors, "commands",  lower,   "Invalidation descriptors, waits not counted") \
    M(invalidations_per_io,    "commands",   lower,   "... for each record")                        \
    M(dma_latency_ns_p50,      "ns",         lower,   "A device read's latency, median")            \
    M(dma_latency_ns_p99,      "ns",         lower,   "A device read's latency, 99th percentile")   \
    M(io_latency_ns_p50,       "ns",         lower,   "Submission to completion of a record, median") \
    M(io_latency_ns_p99,       "ns",         lower,   "... 99th percentile")                        \
    M(exposure_page_us_per_io, "page us",    lower,   "Time that given-back pages stayed reachable") \
    M(exposure_us_max,         "us",         lower,   "The longest that one page stayed reachable") \
    M(exposed_pages_max,       "pages",      lower,   "Most pages reachable at the same time")      \
    M(exposure_held_page_us_per_io, "page us", lower, "... before the pages' frames could be used again") \
    M(exposure_reuse_page_us_per_io, "page us", lower, "... when they could hold other data")       \
    M(partial_page_us_per_io,  "page us",    lower,   "Time that pages were mapped of which only a part was lent") \
    M(exposure_partial_page_us_per_io, "page us", lower, "... and that such pages stayed reachable") \
    M(pool_page_us_per_io,     "page us",    lower,   "Time that pages of pools stayed mapped by design") \
    M(pool_pages_max,          "pages",      lower,   "Most pages of pools at the same time")       \
    M(stale_hits,              "accesses",   lower,   "Device accesses through stale translations") \
    M(stale_hits_held,         "accesses",   lower,   "... to pages whose frames were kept")        \
    M(stale_hits_reusable,     "accesses",   lower,   "... to pages that could hold other data")    \
    M(stale_hits_renewed,      "accesses",   lower,   "... of addresses that were handed out again") \
    M(promise_broken,          "times",      lower,   "The policy's promise or an invariant was broken") \
    M(attack_accesses,         "accesses",   none,    "Accesses that the hostile device tried")     \
    M(attack_passed_stale,     "accesses",   lower,   "... that went through after the unmap")      \
    M(attack_passed_pool,      "accesses",   lower,   "... that reached bytes of a pool that are nobody's") \
    M(attack_passed_other,     "accesses",   lower,   "... that reached other bytes of a page lent in part") \
    M(attack_passed_untranslated, "accesses", lower, "... that nothing translated: any memory")     \
    M(attack_us_max,           "us",         lower,   "The longest after an unmap that one went through") \
    M(collateral_entries,      "entries",    lower,   "IOTLB entries invalidated although their page was mapped") \
    M(collateral_refills,      "entries",    lower,   "... that a walk had to fill again")          \
    M(collateral_pointers,     "pointers",   lower,   "Walk-cache entries invalidated although their table was in use") \
    M(collateral_pointer_refills, "pointers", lower,  "... that a walk had to read again")          \
    M(refill_stall_ns_per_io,  "ns",         lower,   "Waited by translations for such walks and reads") \
    M(inval_lock_cycles_per_io, "cycles",    lower,   "Waiting while another CPU held the invalidation queue") \
    M(inval_slot_cycles_per_io, "cycles",    lower,   "Waiting for room in the invalidation queue") \
    M(inval_poll_cycles_per_io, "cycles",    lower,   "Polling for invalidations to complete")      \
    M(drain_wait_ns_per_io,    "ns",         lower,   "Invalidations waiting for earlier DMA")      \
    M(dma_address_bytes_per_io, "bytes",     lower,   "What the driver keeps from map to unmap")    \
    M(faults,                  "transactions", lower, "Device transactions that the IOMMU refused")
/* clang-format on */

enum metric_better { METRIC_none, METRIC_lower, METRIC_higher };

#define METRIC_ID(name, unit, better, text) METRIC_ID_##name,
enum metric_id { METRICS(METRIC_ID) METRIC_COUNT };

struct metric_def {
    const char *name, *unit, *text;
    enum metric_better better;
};
extern const struct metric_def metric_def[METRIC_COUNT];
const char *metric_better_name(enum metric_better better);

/* Works them out; value has METRIC_COUNT places. */
void metric_values(const struct machine_result *result, double *value);

#endif
