/* SPDX-License-Identifier: Apache-2.0 */
/* findings - what linux.dma_debug says during the runs of a command: shown, and counted. */
#ifndef SIM_APP_FINDINGS_H
#define SIM_APP_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim/base/error.h"

enum { FINDINGS_SHOWN = 16 }; /* Of each run. */

/* All zero but for out: nothing has been found. */
struct findings {
    FILE *out;
    uint64_t all, of_run;
};

/* One more in the present run, one line of text. */
void findings_note(struct findings *f, const char *text);

/* The run is over; says how many there were when not all are shown. */
void findings_sum_up(struct findings *f, const char *run);

/* False, with a line for the user, when any run had some. */
bool findings_none(const struct findings *f, struct error *error);

#endif
