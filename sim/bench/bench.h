/* SPDX-License-Identifier: Apache-2.0 */
/* bench - what `./dev bench` measures; every figure that is judged is a ratio within one
 * run. */
#ifndef SIM_BENCH_BENCH_H
#define SIM_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/engine.h"

/* Host seconds of this process and thread spent so far. */
double bench_seconds(void);

/* (a) and (b): host nanoseconds to a translation, under the engine and on the floor. */
struct translate_bench {
    double engine_ns, floor_ns;
};
struct translate_bench bench_translate(const struct sim_host *host, bool miss,
                                       uint64_t count);

#endif
