/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_adaptive - strict while there is little to do, a short window while there is much.
 *
 * Each CPU counts its unmaps in periods of a fixed length. After a busy period it batches,
 * after a quiet one it invalidates at once, so that the cost of strictness is paid where
 * nobody notices.
 */
#include "dma_api/domain.h"

/* clang-format off */
#define ADAPTIVE_PARAMS(P) \
    P(u32, period_us, 100, 1, 1000000, ANY, "us", "Unmaps are counted for so long", "a choice: some requests of a fast drive") \
    P(u32, busy_unmaps, 20, 1, 1000000, ANY, "unmaps", "A period of a CPU with so many is busy", \
      "a fifth of the time in invalidations of 1 us") \
    P(u32, window_us, 500, 1, 10000000, ANY, "us", "From the first range to the flush, when busy", \
      "the user's exposure budget")
/* clang-format on */

struct adaptive_config {
    ADAPTIVE_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct adaptive_config
static const struct param_def adaptive_params[] = { ADAPTIVE_PARAMS(PARAM_ROW) PARAM_END };
static const struct param_table adaptive_param_table = {
    "adaptive", "The controller", adaptive_params, sizeof(struct adaptive_config), NULL
};

struct adaptive_cpu {
    sim_time_t began;
    uint32_t unmaps;
    bool busy;
    struct line line;
};

struct adaptive {
    struct adaptive_config config;
    struct adaptive_cpu *cpu; /* One for each. */
};

static void adaptive_rules(const void *config, struct flush_rules *r)
{
    const struct adaptive_config *c = config;
    r->batch                        = BATCH_cpu;
    r->grain                        = GRAIN_domain;
    r->ring_entries                 = 1024;
    r->timeout_ps                   = c->window_us * TIME_US;
}

static void adaptive_init(struct dma_domain *d, void *state, const void *config)
{
    struct adaptive *s = state;
    s->config          = *(const struct adaptive_config *)config;
    s->cpu             = kernel_host_alloc(d->kernel, d->kernel->cpus, sizeof *s->cpu);
}

static void adaptive_exit(struct dma_domain *d, void *state)
{
    kernel_host_free(d->kernel, ((struct adaptive *)state)->cpu);
}

/* Whether the period before was busy; counts this unmap. */
static bool is_busy(const struct adaptive *s, struct adaptive_cpu *c)
{
    struct cpu *cpu         = cpu_this();
    const sim_time_t period = s->config.period_us * TIME_US;
    cpu_store(cpu, &c->line);
    if (cpu->time - c->began >= period) {
        c->busy   = cpu->time - c->began < 2 * period && c->unmaps >= s->config.busy_unmaps;
        c->began  = cpu->time;
        c->unmaps = 0;
    }
    c->unmaps++;
    return c->busy;
}

static void adaptive_unmap(struct dma_domain *d, void *state, struct flush_range *range)
{
    struct adaptive *s = state;
    if (is_busy(s, &s->cpu[cpu_this()->id]))
        batch_unmap(d->batch, range);
    else
        batch_flush_now(d->batch, range);
}

const struct flush_policy flush_adaptive = {
    .name        = "adaptive",
    .summary     = "Strict while a CPU unmaps little, a short window while it unmaps much",
    .source      = "a point of the design space (catalogue 42)",
    .promise     = PROMISE_BOUNDED_TIME,
    .translates  = true,
    .params      = &adaptive_param_table,
    .state_bytes = sizeof(struct adaptive),
    .rules       = adaptive_rules,
    .init        = adaptive_init,
    .exit        = adaptive_exit,
    .unmap       = adaptive_unmap,
};
