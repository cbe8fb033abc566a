/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu_model/context.h"

static bool context_config_check(const void *config, struct error *error)
{
    const struct context_config *c = config;
    if (repl_find(c->replacement)->ways_pow2
        && (!is_pow2(c->device_ways) || !is_pow2(c->process_ways)))
        return error_set(
            error,
            "context.device_ways, context.process_ways: expected powers of two "
            "with context.replacement=%s, got %u and %u",
            c->replacement, c->device_ways, c->process_ways);
    return true;
}

#define PARAM_OWNER struct context_config
#define STAT_OWNER  struct context_stats
static const struct param_def context_params[] = { CONTEXT_PARAMS(PARAM_ROW) PARAM_END };
static const struct stat_def context_stats[]   = { CONTEXT_STATS(STAT_ROW) STAT_END };

const struct param_table context_param_table = { "context", "The caches of device contexts",
                                                 context_params,
                                                 sizeof(struct context_config),
                                                 context_config_check };
const struct stat_table context_stat_table   = { "context", "The caches of device contexts",
                                                 context_stats,
                                                 sizeof(struct context_stats) };

void context_cache_init(struct context_cache *c, const struct setassoc_shape *shape,
                        struct rng rng, struct context_stats *stats)
{
    context_array_init(&c->array, shape, rng);
    c->stats  = stats;
    c->recent = NULL;
}

void context_cache_free(struct context_cache *c)
{
    context_array_free(&c->array);
}

static uint32_t set_of(const struct context_cache *c, uint64_t key)
{
    return (uint32_t)(key ^ (key >> 32)) & (c->array.shape.sets - 1);
}

static struct context_entry *find(const struct context_cache *c, uint64_t key)
{
    struct context_entry *e = context_array_set(&c->array, set_of(c, key));
    for (uint32_t way = 0; way < c->array.shape.ways; way++)
        if (e[way].valid && e[way].key == key)
            return &e[way];
    return NULL;
}

const struct xlate_context *context_cache_lookup(struct context_cache *c, uint64_t key)
{
    struct context_entry *e = c->recent;
    c->stats->lookup++;
    if (e != NULL && e->key == key) {
        c->stats->lookup_hit++;
        return &e->context;
    }
    e = find(c, key);
    c->stats->lookup_hit += e != NULL;
    c->stats->lookup_missed += e == NULL;
    c->recent = e;
    if (e == NULL)
        return NULL;
    context_array_hit(&c->array, set_of(c, key), e);
    return &e->context;
}

const struct xlate_context *context_cache_probe(const struct context_cache *c, uint64_t key)
{
    const struct context_entry *e = find(c, key);
    return e == NULL ? NULL : &e->context;
}

void context_cache_fill(struct context_cache *c, uint64_t key,
                        const struct xlate_context *context)
{
    struct context_entry *e = find(c, key);
    if (e == NULL) {
        e = context_array_place(&c->array, set_of(c, key));
        c->stats->entry_evicted += e->valid;
    } else {
        context_array_filled(&c->array, set_of(c, key), e);
    }
    *e        = (struct context_entry){ key, *context, true };
    c->recent = NULL;
    c->stats->entry_filled++;
}

uint32_t context_cache_invalidate(struct context_cache *c,
                                  bool (*drop)(const void *arg,
                                               const struct context_entry *entry),
                                  const void *arg)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < context_array_entries(&c->array); i++) {
        struct context_entry *e = &c->array.entry[i];
        if (e->valid && drop(arg, e)) {
            context_array_drop(&c->array, e);
            count++;
        }
    }
    c->recent = NULL;
    c->stats->entry_invalidated += count;
    return count;
}
