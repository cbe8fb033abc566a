/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct - the engine's host without SystemC: each CPU is a ucontext coroutine.
 *
 * For unit tests, fuzzers and sweeps, where starting a SystemC kernel for each run would be
 * in the way. Results are the same bytes as under SystemC.
 */
#ifndef SIM_HOST_DIRECT_H
#define SIM_HOST_DIRECT_H

#include "sim/base/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct direct_host;

/* A host for one engine; free also drops coroutines that have not finished. */
struct direct_host *direct_host_new(void);
const struct sim_host *direct_host_verbs(struct direct_host *h);
void direct_host_free(struct direct_host *h);

#ifdef __cplusplus
}
#endif

#endif
