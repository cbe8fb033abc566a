/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_optimistic - an unmap waits for a while: the same buffer may be mapped again.
 *
 * A map that finds its buffer still mapped costs a search and saves both the map and the
 * unmap. What nobody asks for in time is unmapped, strictly; until then the device reaches
 * it, through page tables that say so.
 */
#include "dma_api/registry.h"

#include "dma_api/domain.h"

/* clang-format off */
#define OPTIMISTIC_PARAMS(P) \
    P(u32, timeout_us, 10000, 1, 10000000, ANY, "us", "From an unmap until it is carried out", \
      "as a flush queue of Linux; bounce-pool and vIOMMU proposals have the same order") \
    P(u32, capacity_mib, 64, 1, 1048576, ANY, "MiB", "Waiting at most, beside what is in use", \
      "a choice of the replay") \
    P(u32, lookup_cycles, 60, 0, 100000, ANY, "cycles", "Searching for the same buffer", \
      "about 10 steps in a tree of buffers, half of them mispredicted")
/* clang-format on */

struct optimistic_config {
    OPTIMISTIC_PARAMS(PARAM_FIELD)
};

#define PARAM_OWNER struct optimistic_config
static const struct param_def optimistic_params[]      = { OPTIMISTIC_PARAMS(PARAM_ROW)
                                                               PARAM_END };
static const struct param_table optimistic_param_table = { "optimistic", "Unmaps that wait",
                                                           optimistic_params,
                                                           sizeof(struct optimistic_config),
                                                           NULL };

struct optimistic {
    struct optimistic_config config;
    struct registry registry;
    struct cpu_timer timer;
    bool timer_on;
};

static void arm(struct optimistic *s)
{
    struct cpu *cpu = cpu_this();
    cpu_sync(cpu);
    const sim_time_t since = registry_idle_since(&s->registry);
    if (s->timer_on || since == TIME_NEVER)
        return;
    const sim_time_t due = since + s->config.timeout_us * TIME_US;
    s->timer_on          = true;
    cpu_timer_arm(cpu, &s->timer, due > cpu->time ? due : cpu->time);
}

static void timer_fired(void *arg)
{
    struct optimistic *s       = arg;
    struct cpu *cpu            = cpu_this();
    const enum cpu_phase phase = cpu_enter_phase(cpu, PHASE_deferred);
    const enum cpu_owner owner = cpu_own(cpu, OWNER_flush_queue);
    const sim_time_t wait      = s->config.timeout_us * TIME_US;
    s->timer_on                = false;
    registry_retire(&s->registry, cpu->time > wait ? cpu->time - wait : 0, UINT64_MAX);
    arm(s);
    cpu_own(cpu, owner);
    cpu_enter_phase(cpu, phase);
}

static void optimistic_init(struct dma_domain *d, void *state, const void *config)
{
    struct optimistic *s = state;
    s->config            = *(const struct optimistic_config *)config;
    s->timer             = (struct cpu_timer){ .fire = timer_fired, .arg = s };
    registry_init(&s->registry, d);
}

static void optimistic_exit(struct dma_domain *d, void *state)
{
    struct optimistic *s = state;
    (void)d;
    cpu_timer_cancel(&s->timer);
    registry_free(&s->registry);
}

static bool optimistic_serves(const void *state, uint64_t bytes)
{
    const struct optimistic *s = state;
    return bytes <= (uint64_t)s->config.capacity_mib << 20;
}

static dma_addr_t optimistic_map(struct dma_domain *d, void *state,
                                 const struct flush_mapping *m)
{
    struct optimistic *s = state;
    (void)d;
    return registry_map(&s->registry, m, s->config.lookup_cycles);
}

static bool optimistic_owns(struct dma_domain *d, void *state, dma_addr_t iova,
                            uint64_t bytes)
{
    struct optimistic *s = state;
    const uint64_t most  = (uint64_t)s->config.capacity_mib << 20;
    (void)d;
    (void)bytes;
    if (!registry_unmap(&s->registry, iova))
        return false;
    if (s->registry.bytes > most)
        registry_retire(&s->registry, 0, most);
    arm(s);
    return true;
}

const struct flush_policy flush_optimistic = {
    .name    = "optimistic",
    .summary = "An unmap waits for the same buffer to be mapped again, for a bounded time",
    .source  = "optimistic teardown of virtual IOMMUs (catalogue 28)",
    .promise = PROMISE_POOL_ONLY,
    .translates  = true,
    .params      = &optimistic_param_table,
    .state_bytes = sizeof(struct optimistic),
    .init        = optimistic_init,
    .exit        = optimistic_exit,
    .serves      = optimistic_serves,
    .map         = optimistic_map,
    .owns        = optimistic_owns,
};
