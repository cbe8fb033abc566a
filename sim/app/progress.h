/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress - one line on standard error about long work: how far, how fast, how long still.
 *
 * Nothing is written unless standard error is a terminal that can wipe it (auto) or it was
 * asked for.
 */
#ifndef SIM_APP_PROGRESS_H
#define SIM_APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/error.h"

struct progress {
    bool shown, dirty; /* dirty: the line has to be wiped. */
    char what[64];
    const char *unit; /* Of what is counted; NULL: records. */
    uint64_t total;   /* Of this piece of work; 0: not known. */
    unsigned piece, pieces;
    double began, last;
};

/* mode, of --progress: "auto" (as NULL is), "always" or "never"; an error for another word.
 */
bool progress_init(struct progress *p, const char *mode, struct error *error);

/* A new piece of work, the piece-th of pieces (from 1). */
void progress_begin(struct progress *p, const char *what, unsigned piece, unsigned pieces,
                    uint64_t total);
void progress_update(struct progress *p, uint64_t done);

/* Wipes the line. */
void progress_end(struct progress *p);

#endif
