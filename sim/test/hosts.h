/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts - runs a test body under every host, with and without running ahead.
 *
 * Under SystemC the body runs in a child process, since a process elaborates only once;
 * what it wrote to its result comes back over shared memory.
 */
#ifndef SIM_TEST_HOSTS_H
#define SIM_TEST_HOSTS_H

#include <stddef.h>

#include "sim/base/engine.h"

struct host_case {
    const char *name; /* "direct", "direct without running ahead", ... */
    bool systemc, run_ahead;
};

enum { HOST_CASES = 4 };
extern const struct host_case host_case[HOST_CASES];

/* Runs body(host, run_ahead, result, bytes); result starts zeroed. False if it died. */
bool host_case_run(const struct host_case *c,
                   void (*body)(const struct sim_host *host, bool run_ahead, void *result,
                                size_t bytes),
                   void *result, size_t bytes);

#endif
