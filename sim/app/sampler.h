/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler - fills a series while an engine runs: a block that looks at counters when a
 * window ends, and does nothing else. What it is due for moves nobody.
 */
#ifndef SIM_APP_SAMPLER_H
#define SIM_APP_SAMPLER_H

#include "iommu_model/audit.h"
#include "iommu_model/rootport.h"
#include "sim/app/series.h"
#include "sim/base/engine.h"

struct sampler {
    struct engine *engine;
    struct series *series;
    sim_time_t *due; /* When the window under way ends. */

    /* Adds to value, which holds zeros, where the counters stand; see series_begin(). */
    void (*look)(void *self, uint64_t *value);
    void *self;
};

/* Behind every other block, so that all that happens at a time is in the window it ends. */
void sampler_init(struct sampler *s, struct engine *engine, struct series *series,
                  void (*look)(void *self, uint64_t *value), void *self);

void sampler_begin(struct sampler *s);

/* The last window is what is left. */
void sampler_end(struct sampler *s);

/* For look(): sums of one more device, of one more IOMMU. Of the extremes, which begin
 * anew, the larger. */
void sampler_add_dma(uint64_t *value, const struct dma_stats *dma);
void sampler_add_iommu(uint64_t *value, struct iommu *iommu, struct audit *audit);

#endif
