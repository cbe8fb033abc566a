/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repl_plru - tree pseudo-LRU.
 *
 * The ways are the leaves of a binary tree whose inner nodes each hold one bit: 0 sends the
 * search for a victim to the lower half. Touching a way points every node on its path away
 * from it. Nodes are numbered from 1 as in a heap, node n in age[n - 1]. Dropping an entry
 * leaves the tree alone.
 */
#include "iommu_model/repl.h"

#include "sim/base/lg2.h"

static void plru_reset(uint8_t *age, uint32_t ways)
{
    CHECK(is_pow2(ways));
    for (uint32_t w = 0; w < ways; w++)
        age[w] = 0;
}

static void plru_touch(uint8_t *age, uint32_t ways, uint32_t way)
{
    CHECK(way < ways);
    for (uint32_t node = ways + way; node > 1; node /= 2)
        age[node / 2 - 1] = (node & 1) == 0; /* Came from the lower half: point up. */
}

static void plru_leave(uint8_t *age, uint32_t ways, uint32_t way)
{
    (void)age;
    CHECK(way < ways);
}

static uint32_t plru_victim(const uint8_t *age, uint32_t ways, struct rng *rng)
{
    uint32_t node = 1;
    (void)rng;
    while (node < ways)
        node = 2 * node + age[node - 1];
    return node - ways;
}

const struct repl_policy repl_plru = {
    .name          = "plru",
    .summary       = "Tree pseudo-LRU",
    .ways_pow2     = true,
    .reset         = plru_reset,
    .on_hit        = plru_touch,
    .on_fill       = plru_touch,
    .on_invalidate = plru_leave,
    .victim        = plru_victim,
};
