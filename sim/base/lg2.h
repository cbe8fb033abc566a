/* SPDX-License-Identifier: Apache-2.0 */
/* lg2 - powers of two and bit fields. */
#ifndef SIM_BASE_LG2_H
#define SIM_BASE_LG2_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/check.h"

static inline bool is_pow2(uint64_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

/* Index of the highest set bit; x must not be 0. */
static inline unsigned lg2_floor(uint64_t x)
{
    CHECK(x != 0);
    return 63u - (unsigned)__builtin_clzll(x);
}

/* Smallest n with 2^n >= x; x must not be 0. */
static inline unsigned lg2_ceil(uint64_t x)
{
    CHECK(x != 0);
    return x == 1 ? 0 : lg2_floor(x - 1) + 1;
}

/* 2^n - 1; n may be 64. */
static inline uint64_t mask_lg2(unsigned n)
{
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

static inline uint64_t align_down(uint64_t x, unsigned lg2)
{
    return x & ~mask_lg2(lg2);
}

static inline uint64_t align_up(uint64_t x, unsigned lg2)
{
    return (x + mask_lg2(lg2)) & ~mask_lg2(lg2);
}

/* Bits last..first of x, shifted down. */
static inline uint64_t bits_get(uint64_t x, unsigned last, unsigned first)
{
    return (x >> first) & mask_lg2(last - first + 1);
}

/* value placed at bits last..first; it must fit. */
static inline uint64_t bits_put(uint64_t value, unsigned last, unsigned first)
{
    CHECK((value & ~mask_lg2(last - first + 1)) == 0);
    return value << first;
}

#endif
