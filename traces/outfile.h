/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outfile - a file that appears whole or not at all: a temporary beside its target until it
 * is finished. TRACE_STANDARD_OUTPUT is written to directly.
 */
#ifndef TRACES_OUTFILE_H
#define TRACES_OUTFILE_H

#include <stdio.h>

#include "sim/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRACE_STANDARD_OUTPUT "-"

struct outfile {
    FILE *file;
    char *path, *temporary; /* temporary NULL: standard output. */
};

/* Messages name the path. */
bool outfile_open(struct outfile *out, const char *path, struct error *error);
bool outfile_failed(const struct outfile *out, struct error *error); /* Returns false. */

/* After either, out is empty. */
bool outfile_finish(struct outfile *out, struct error *error);
void outfile_abandon(struct outfile *out);

#ifdef __cplusplus
}
#endif

#endif
