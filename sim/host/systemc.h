/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemc - the engine's host under a SystemC kernel: each CPU is an SC_THREAD.
 *
 * The program's kernel. The engine runs in an SC_THREAD of its own and hands control to the
 * CPUs' threads with immediate notifications, so that SystemC never decides an order;
 * SystemC's time follows the engine's whenever a CPU is switched to.
 */
#ifndef SIM_HOST_SYSTEMC_H
#define SIM_HOST_SYSTEMC_H

#include "sim/base/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Calls run(arg, host) inside the SystemC simulation, on the engine's thread, and returns
 * when it returns. A process can elaborate one SystemC simulation, so this may be called
 * once; run may set up and run any number of engines, one after the other.
 */
void systemc_host_call(void (*run)(void *arg, const struct sim_host *host), void *arg);

/* Whether it has been called: there is a SystemC simulation. */
bool systemc_host_called(void);

#ifdef __cplusplus
}
#endif

#endif
