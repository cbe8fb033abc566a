/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repl_fifo - evict the ways in turn, whatever has hit since.
 *
 * age[0] is the way whose turn it is; filling that one passes the turn on, a fill elsewhere
 * (into an invalid way) does not. So, unless invalidations leave holes behind, it is the
 * way that was filled longest ago.
 */
#include "iommu_model/repl.h"

#include "sim/base/check.h"

static void fifo_reset(uint8_t *age, uint32_t ways)
{
    for (uint32_t w = 0; w < ways; w++)
        age[w] = 0;
}

static void fifo_ignore(uint8_t *age, uint32_t ways, uint32_t way)
{
    (void)age;
    CHECK(way < ways);
}

static void fifo_advance(uint8_t *age, uint32_t ways, uint32_t way)
{
    CHECK(way < ways);
    if (age[0] == way)
        age[0] = (uint8_t)(way + 1 == ways ? 0 : way + 1);
}

static uint32_t fifo_victim(const uint8_t *age, uint32_t ways, struct rng *rng)
{
    (void)rng;
    CHECK(age[0] < ways);
    return age[0];
}

const struct repl_policy repl_fifo = {
    .name          = "fifo",
    .summary       = "Evict the way filled longest ago",
    .by_fill       = true,
    .reset         = fifo_reset,
    .on_hit        = fifo_ignore,
    .on_fill       = fifo_advance,
    .on_invalidate = fifo_ignore,
    .victim        = fifo_victim,
};
