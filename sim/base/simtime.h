/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simtime - the one time base: picoseconds in an unsigned 64-bit integer (213 days).
 *
 * A clock domain has a whole period in ps and edges at its multiples. State changes at
 * edges; a latency parameter counts cycles of its own domain.
 */
#ifndef SIM_BASE_SIMTIME_H
#define SIM_BASE_SIMTIME_H

#include <stdint.h>

#include "sim/base/check.h"

typedef uint64_t sim_time_t; /* Picoseconds since the start of the simulation. */
typedef uint64_t cycle_t;    /* A count of cycles of one clock domain. */

#define TIME_NEVER  UINT64_MAX
#define CYCLE_NEVER UINT64_MAX
#define TIME_NS     UINT64_C(1000)
#define TIME_US     UINT64_C(1000000)
#define TIME_MS     UINT64_C(1000000000)

/* The first edge of a clock of period_ps at or after t, as a count of cycles. */
static inline cycle_t cycle_at_or_after(sim_time_t t, uint64_t period_ps)
{
    CHECK(period_ps != 0);
    return t == TIME_NEVER ? CYCLE_NEVER : t / period_ps + (t % period_ps != 0);
}

/* When the given cycle's edge is. */
static inline sim_time_t cycle_time(cycle_t cycle, uint64_t period_ps)
{
    return cycle == CYCLE_NEVER ? TIME_NEVER : cycle * period_ps;
}

static inline cycle_t cycle_max(cycle_t a, cycle_t b)
{
    return a > b ? a : b;
}

static inline sim_time_t time_min(sim_time_t a, sim_time_t b)
{
    return a < b ? a : b;
}

static inline sim_time_t time_max(sim_time_t a, sim_time_t b)
{
    return a > b ? a : b;
}

#endif
