/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/metric.h"

#define DEF(name, unit, better, text) { #name, unit, text, METRIC_##better },
const struct metric_def metric_def[METRIC_COUNT] = { METRICS(DEF) };

const char *metric_better_name(enum metric_better better)
{
    static const char *const name[] = { "none", "lower", "higher" };
    return name[better];
}

static double per(double part, double whole)
{
    return whole == 0.0 ? 0.0 : part / whole;
}

static double phase_cycles(const struct machine_counters *c, enum cpu_phase phase)
{
    uint64_t sum = 0;
    for (unsigned o = 0; o < OWNERS; o++)
        if (o != OWNER_idle)
            sum += c->cycles[phase][o];
    return (double)sum;
}

static double busy_cycles(const struct machine_counters *c)
{
    double sum = 0.0;
    for (unsigned p = 0; p < PHASES; p++)
        sum += phase_cycles(c, (enum cpu_phase)p);
    return sum;
}

static double percentile(const struct histogram *h, double percent, double unit)
{
    return (double)histogram_percentile(h, percent) / unit;
}

/* What rates are of. Where all records are accesses of a device, only the time that it is
 * busy: software writes their lists into its registers before, which takes longer. */
static double rated_seconds(const struct machine_result *r)
{
    const struct machine_counters *c = &r->counters;
    const bool bare = c->exerciser.access > 0 && c->exerciser.access == c->replay.record;
    return (double)(bare ? c->exerciser.busy_ps : r->time_ps) * 1e-12;
}

static void software_metrics(const struct machine_result *r, double *value)
{
    const struct machine_counters *c = &r->counters;
    const double ios                 = (double)c->replay.record;
    const double seconds             = rated_seconds(r);
    const double bytes   = (double)(c->driver.bytes + c->fabric.bytes + c->exerciser.bytes);
    value[METRIC_ID_ios] = ios;
    value[METRIC_ID_bytes]                  = bytes;
    value[METRIC_ID_pages]                  = (double)c->kernel.page_mapped;
    value[METRIC_ID_sim_time_ns]            = (double)r->time_ps / 1000.0;
    value[METRIC_ID_iops]                   = per(ios, seconds);
    value[METRIC_ID_throughput_gbps]        = per(bytes * 8e-9, seconds);
    value[METRIC_ID_cpu_cycles_per_io]      = per(busy_cycles(c), ios);
    value[METRIC_ID_map_cycles_per_io]      = per(phase_cycles(c, PHASE_map), ios);
    value[METRIC_ID_unmap_cycles_per_io]    = per(phase_cycles(c, PHASE_unmap), ios);
    value[METRIC_ID_deferred_cycles_per_io] = per(phase_cycles(c, PHASE_deferred), ios);
    value[METRIC_ID_invalidation_descriptors] =
        (double)(c->kernel.descriptor + c->kernel.extension);
    value[METRIC_ID_invalidations_per_io] =
        per((double)(c->kernel.descriptor + c->kernel.extension), ios);
    value[METRIC_ID_io_latency_ns_p50] = percentile(&r->io_latency_ns, 50.0, 1.0);
    value[METRIC_ID_io_latency_ns_p99] = percentile(&r->io_latency_ns, 99.0, 1.0);
    value[METRIC_ID_dma_address_bytes_per_io] =
        per((double)(c->driver.address_bytes + c->verbs.address_bytes), ios);
}

static double page_us(uint64_t page_ps, double ios)
{
    return per((double)page_ps * 1e-6, ios);
}

static void exposure_metrics(const struct machine_result *r, double *value)
{
    const struct audit_stats *a                   = &r->counters.audit;
    const double ios                              = (double)r->counters.replay.record;
    value[METRIC_ID_exposure_page_us_per_io]      = page_us(a->exposed_page_ps, ios);
    value[METRIC_ID_exposure_held_page_us_per_io] = page_us(a->exposed_page_ps_held, ios);
    value[METRIC_ID_exposure_reuse_page_us_per_io] =
        page_us(a->exposed_page_ps_reusable, ios);
    value[METRIC_ID_partial_page_us_per_io] = page_us(a->partial_page_ps, ios);
    value[METRIC_ID_exposure_partial_page_us_per_io] =
        page_us(a->exposed_partial_page_ps, ios);
    value[METRIC_ID_pool_page_us_per_io] = page_us(a->pool_page_ps, ios);
    value[METRIC_ID_pool_pages_max]      = (double)r->pool_pages_most;
    value[METRIC_ID_exposure_us_max]     = (double)r->exposure_ps_max * 1e-6;
    value[METRIC_ID_exposed_pages_max]   = (double)r->exposed_pages_most;
    value[METRIC_ID_stale_hits]          = (double)a->stale_access;
    value[METRIC_ID_stale_hits_held]     = (double)a->stale_access_held;
    value[METRIC_ID_stale_hits_reusable] = (double)a->stale_access_reusable;
    value[METRIC_ID_stale_hits_renewed]  = (double)a->stale_access_renewed;
    value[METRIC_ID_promise_broken]      = (double)audit_broken(a);
    value[METRIC_ID_attack_accesses]     = (double)r->counters.attacker.access;
    value[METRIC_ID_attack_passed_stale] =
        (double)(a->hostile_access_held + a->hostile_access_reusable
                 + a->hostile_access_renewed);
    value[METRIC_ID_attack_passed_pool]         = (double)a->hostile_access_pool;
    value[METRIC_ID_attack_passed_other]        = (double)a->hostile_access_other;
    value[METRIC_ID_attack_passed_untranslated] = (double)a->hostile_access_untranslated;
    value[METRIC_ID_attack_us_max] =
        r->attack_ns.count == 0 ? 0.0 : (double)r->attack_ns.max * 1e-3;
}

static double owner_cycles(const struct machine_counters *c, enum cpu_owner owner)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < PHASES; p++)
        sum += c->cycles[p][owner];
    return (double)sum;
}

/* What invalidations cost beside the cycles of submitting them. */
static void invalidation_metrics(const struct machine_result *r, double *value)
{
    const struct machine_counters *c            = &r->counters;
    const double ios                            = (double)c->replay.record;
    const double cycle_ns                       = (double)r->iommu_period_ps * 1e-3;
    value[METRIC_ID_collateral_entries]         = (double)c->audit.collateral_entry;
    value[METRIC_ID_collateral_refills]         = (double)c->audit.collateral_refill;
    value[METRIC_ID_collateral_pointers]        = (double)c->audit.collateral_pointer;
    value[METRIC_ID_collateral_pointer_refills] = (double)c->audit.pointer_refill;
    value[METRIC_ID_refill_stall_ns_per_io] =
        per((double)c->audit.refill_cycles * cycle_ns, ios);
    value[METRIC_ID_inval_lock_cycles_per_io] = per(owner_cycles(c, OWNER_inval_lock), ios);
    value[METRIC_ID_inval_slot_cycles_per_io] = per(owner_cycles(c, OWNER_inval_slot), ios);
    value[METRIC_ID_inval_poll_cycles_per_io] = per(owner_cycles(c, OWNER_inval_wait), ios);
    value[METRIC_ID_drain_wait_ns_per_io] =
        per((double)c->iommu.drain_cycles * cycle_ns, ios);
}

void metric_values(const struct machine_result *r, double *value)
{
    const struct machine_counters *c = &r->counters;
    software_metrics(r, value);
    exposure_metrics(r, value);
    invalidation_metrics(r, value);
    value[METRIC_ID_iotlb_lookups] = (double)c->iotlb.lookup;
    value[METRIC_ID_iotlb_hit_rate] =
        per((double)c->iotlb.lookup_hit, (double)c->iotlb.lookup);
    value[METRIC_ID_walk_reads] = (double)c->memport.read_walk;
    value[METRIC_ID_walk_reads_per_miss] =
        per((double)c->memport.read_walk, (double)c->iommu.walk);
    value[METRIC_ID_dma_latency_ns_p50] = percentile(&r->dma_read_ps, 50.0, 1000.0);
    value[METRIC_ID_dma_latency_ns_p99] = percentile(&r->dma_read_ps, 99.0, 1000.0);
    value[METRIC_ID_faults]             = (double)c->dma.fault;
}
