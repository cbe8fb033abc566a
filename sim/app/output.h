/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output - files that appear whole or not at all: written under a temporary name beside the
 * target, renamed when they are complete.
 */
#ifndef SIM_APP_OUTPUT_H
#define SIM_APP_OUTPUT_H

#include <stdio.h>

#include "sim/base/error.h"

struct output {
    FILE *stream;
    char *path, *temporary; /* temporary NULL: written to directly ("-", a device). */
};

bool output_open(struct output *o, const char *path, struct error *error);

/*
 * Whether it could be opened: asked before long work, not after it. Nothing is left. Each
 * output of a command asks, once: a file, or standard output, that another one of this
 * process has asked for is refused.
 */
bool output_try(const char *path, struct error *error);

/* Whether a file that is to be read stays what it is: false, with a line, when an output is
 * to go there; and no output that asks later may. */
bool output_spares(const char *path, struct error *error);

/* The file is there, whole; false when the disk was full, say, and then nothing is there.
 */
bool output_finish(struct output *o, struct error *error);
void output_abandon(struct output *o);

#endif
