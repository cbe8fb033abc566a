/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng - reproducible random numbers.
 *
 * Each consumer makes its own generator from (seed, name), so that a new consumer never
 * shifts the numbers of another. SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
 */
#ifndef SIM_BASE_RNG_H
#define SIM_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

/* A generator for the consumer called name. */
static inline struct rng rng_make(uint64_t seed, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a over the name. */
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    const struct rng r = { hash ^ (seed * UINT64_C(0x9e3779b97f4a7c15)) };
    return r;
}

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z          = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z          = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in 0 .. bound-1 (multiply-shift; the bias below 2^-32 is accepted). */
static inline uint32_t rng_below(struct rng *r, uint32_t bound)
{
    return (uint32_t)(((rng_next(r) >> 32) * bound) >> 32);
}

#endif
