/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repl_lru - evict the way that was touched longest ago.
 *
 * age[w] is the number of ways touched more recently than w, so the ages of a set are
 * always a permutation of 0 .. ways-1 and the victim is the way of age ways-1.
 *
 * Inaccuracies: hardware above four ways approximates this; see repl_plru.c.
 */
#include "iommu_model/repl.h"

#include <string.h>

#include "sim/base/check.h"

static void lru_reset(uint8_t *age, uint32_t ways)
{
    for (uint32_t w = 0; w < ways; w++)
        age[w] = (uint8_t)(ways - 1 - w); /* An empty set fills from way 0 up. */
}

/* Adds one to each of eight ages that is below was; ages are below 128 here. */
static uint64_t grow_older(uint64_t ages, uint8_t was)
{
    const uint64_t ones   = UINT64_C(0x0101010101010101);
    const uint64_t not_lt = (ages | 0x80 * ones) - was * ones;
    return ages + (~not_lt >> 7 & ones);
}

static void lru_make_youngest(uint8_t *age, uint32_t ways, uint32_t way)
{
    CHECK(way < ways);
    const uint8_t was = age[way];
    uint32_t w        = 0;
    if (was == 0)
        return;
    for (; ways <= 128 && w + 8 <= ways; w += 8) {
        uint64_t ages;
        memcpy(&ages, &age[w], sizeof ages);
        ages = grow_older(ages, was);
        if (way - w < 8) /* In the word: a byte store would delay the next load of it. */
            ages &= ~(UINT64_C(0xff) << (way - w) * 8);
        memcpy(&age[w], &ages, sizeof ages);
    }
    for (; w < ways; w++)
        age[w] = w == way ? 0 : (uint8_t)(age[w] + (age[w] < was));
}

static void lru_make_oldest(uint8_t *age, uint32_t ways, uint32_t way)
{
    CHECK(way < ways);
    for (uint32_t w = 0; w < ways; w++)
        age[w] = (uint8_t)(age[w] - (age[w] > age[way]));
    age[way] = (uint8_t)(ways - 1);
}

static uint32_t lru_victim(const uint8_t *age, uint32_t ways, struct rng *rng)
{
    uint32_t way = 0;
    (void)rng;
    while (way < ways && age[way] != ways - 1)
        way++;
    CHECK(way < ways); /* Ages are a permutation: the oldest always exists. */
    return way;
}

const struct repl_policy repl_lru = {
    .name          = "lru",
    .summary       = "Evict the way touched longest ago",
    .reset         = lru_reset,
    .on_hit        = lru_make_youngest,
    .on_fill       = lru_make_youngest,
    .on_invalidate = lru_make_oldest,
    .victim        = lru_victim,
};
