/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/sampler.h"

static void sample(void *self, sim_time_t now)
{
    struct sampler *s                   = self;
    uint64_t value[SERIES_COLUMN_COUNT] = { 0 };
    s->look(s->self, value);
    series_sample(s->series, now, value);
    *s->due = series_due(s->series);
}

void sampler_init(struct sampler *s, struct engine *engine, struct series *series,
                  void (*look)(void *self, uint64_t *value), void *self)
{
    *s     = (struct sampler){ engine, series, NULL, look, self };
    s->due = engine_add_block(engine, "series", sample, s);
}

void sampler_begin(struct sampler *s)
{
    uint64_t value[SERIES_COLUMN_COUNT] = { 0 };
    s->look(s->self, value);
    series_begin(s->series, s->engine->now, value);
    *s->due = series_due(s->series);
}

void sampler_end(struct sampler *s)
{
    const struct series *all = s->series;
    const sim_time_t last =
        all->windows == 0 ? all->began : all->window[all->windows - 1].end;
    if (s->engine->now > last)
        sample(s, s->engine->now);
    *s->due = TIME_NEVER;
}

void sampler_add_dma(uint64_t *value, const struct dma_stats *dma)
{
    value[SERIES_ID_dma_bytes] += dma->read_bytes + dma->write_bytes;
    value[SERIES_ID_translate_ps] += dma->translate_ps;
}

static void larger_of(uint64_t *most, uint64_t seen)
{
    *most = seen > *most ? seen : *most;
}

void sampler_add_iommu(uint64_t *value, struct iommu *iommu, struct audit *audit)
{
    const struct iommu_stats *s = &iommu->stats;
    value[SERIES_ID_translation] += s->translation;
    value[SERIES_ID_iotlb_lookup] += iommu->iotlb.stats.lookup;
    value[SERIES_ID_iotlb_lookup_hit] += iommu->iotlb.stats.lookup_hit;
    value[SERIES_ID_walk] += s->walk;
    value[SERIES_ID_walk_read] += iommu->memport.stats.read_walk;
    value[SERIES_ID_walkcache_lookup] += iommu->walkcache.stats.lookup;
    value[SERIES_ID_walkcache_lookup_missed] += iommu->walkcache.stats.lookup_missed;
    value[SERIES_ID_invalidation] += s->command - s->command_wait;
    value[SERIES_ID_queued_cycles] += s->queued_cycles;
    larger_of(&value[SERIES_ID_queued_most], iommu->invq.queued_most);
    larger_of(&value[SERIES_ID_exposed_most], audit->exposed_peak);
    larger_of(&value[SERIES_ID_pool_most], audit->pool_peak);
    iommu->invq.queued_most = iommu->invq.queued;
    audit->exposed_peak     = audit->exposed_now;
    audit->pool_peak        = audit->pool_now;
}
