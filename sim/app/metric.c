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

static void software_metrics(const struct machine_result *r, double *value)
{
    const struct machine_counters *c        = &r->counters;
    const double ios                        = (double)c->replay.record;
    const double seconds                    = (double)r->time_ps * 1e-12;
    value[METRIC_ID_ios]                    = ios;
    value[METRIC_ID_bytes]                  = (double)c->driver.bytes;
    value[METRIC_ID_pages]                  = (double)c->kernel.page_mapped;
    value[METRIC_ID_sim_time_ns]            = (double)r->time_ps / 1000.0;
    value[METRIC_ID_iops]                   = per(ios, seconds);
    value[METRIC_ID_throughput_gbps]        = per((double)c->driver.bytes * 8e-9, seconds);
    value[METRIC_ID_cpu_cycles_per_io]      = per(busy_cycles(c), ios);
    value[METRIC_ID_map_cycles_per_io]      = per(phase_cycles(c, PHASE_map), ios);
    value[METRIC_ID_unmap_cycles_per_io]    = per(phase_cycles(c, PHASE_unmap), ios);
    value[METRIC_ID_deferred_cycles_per_io] = per(phase_cycles(c, PHASE_deferred), ios);
    value[METRIC_ID_invalidation_descriptors] = (double)c->kernel.descriptor;
    value[METRIC_ID_invalidations_per_io]     = per((double)c->kernel.descriptor, ios);
    value[METRIC_ID_io_latency_ns_p50]        = percentile(&r->io_latency_ns, 50.0, 1.0);
    value[METRIC_ID_io_latency_ns_p99]        = percentile(&r->io_latency_ns, 99.0, 1.0);
    value[METRIC_ID_dma_address_bytes_per_io] = per((double)c->driver.address_bytes, ios);
}

void metric_values(const struct machine_result *r, double *value)
{
    const struct machine_counters *c = &r->counters;
    const double ios                 = (double)c->replay.record;
    software_metrics(r, value);
    value[METRIC_ID_iotlb_lookups] = (double)c->iotlb.lookup;
    value[METRIC_ID_iotlb_hit_rate] =
        per((double)c->iotlb.lookup_hit, (double)c->iotlb.lookup);
    value[METRIC_ID_walk_reads] = (double)c->memport.read_walk;
    value[METRIC_ID_walk_reads_per_miss] =
        per((double)c->memport.read_walk, (double)c->iommu.walk);
    value[METRIC_ID_dma_latency_ns_p50] = percentile(&r->dma_read_ps, 50.0, 1000.0);
    value[METRIC_ID_dma_latency_ns_p99] = percentile(&r->dma_read_ps, 99.0, 1000.0);
    value[METRIC_ID_exposure_page_us_per_io] =
        per((double)c->audit.exposed_page_ps * 1e-6, ios);
    value[METRIC_ID_exposure_us_max]   = (double)r->exposure_ps_max * 1e-6;
    value[METRIC_ID_exposed_pages_max] = (double)r->exposed_pages_most;
    value[METRIC_ID_stale_hits]        = (double)c->audit.stale_access;
    value[METRIC_ID_faults]            = (double)c->dma.fault;
}
