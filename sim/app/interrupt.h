/* SPDX-License-Identifier: Apache-2.0 */
/* interrupt - Ctrl-C: the first asks long work to stop, the second ends the program. */
#ifndef SIM_APP_INTERRUPT_H
#define SIM_APP_INTERRUPT_H

#include <signal.h>

void interrupt_install(void);

/* Not 0 once SIGINT or SIGTERM has come. */
extern volatile sig_atomic_t interrupt_seen;

#endif
