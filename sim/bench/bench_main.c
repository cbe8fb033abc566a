/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/bench/bench.h"
#include "sim/host/systemc.h"

static uint64_t bench_scale = 1000000;

static void run(void *arg, const struct sim_host *host)
{
    (void)arg;
    for (int miss = 0; miss < 2; miss++) {
        const struct translate_bench b =
            bench_translate(host, miss, miss ? bench_scale : 4 * bench_scale);
        printf("%-16s %7.1f ns  floor %7.1f ns  ratio %.2f\n",
               miss ? "4-level miss" : "hit", b.engine_ns, b.floor_ns,
               b.engine_ns / b.floor_ns);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        bench_scale = (uint64_t)atoll(argv[1]);
    systemc_host_call(run, NULL);
    return 0;
}
