/* SPDX-License-Identifier: Apache-2.0 */
/* repl_random - evict any way, each with the same chance, from the cache's own generator.
 */
#include "iommu_model/repl.h"

#include "sim/base/check.h"

static void random_reset(uint8_t *age, uint32_t ways)
{
    for (uint32_t w = 0; w < ways; w++)
        age[w] = 0;
}

static void random_ignore(uint8_t *age, uint32_t ways, uint32_t way)
{
    (void)age;
    CHECK(way < ways);
}

static uint32_t random_victim(const uint8_t *age, uint32_t ways, struct rng *rng)
{
    (void)age;
    return rng_below(rng, ways);
}

const struct repl_policy repl_random = {
    .name          = "random",
    .summary       = "Evict any way with equal chance",
    .reset         = random_reset,
    .on_hit        = random_ignore,
    .on_fill       = random_ignore,
    .on_invalidate = random_ignore,
    .victim        = random_victim,
};
