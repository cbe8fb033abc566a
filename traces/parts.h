/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts - the files of one recording that lie beside each other: equal names but for a
 * number behind a certain text, as in nvme0n1.blktrace.0 and nvme0n1.blktrace.1.gz.
 */
#ifndef TRACES_PARTS_H
#define TRACES_PARTS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PARTS_MAX = 4096 };

/* Whether both paths name parts of one recording (or are the same part). */
bool parts_belong(const char *a, const char *b, const char *infix);

/* Hands the paths of the others to visit, the lowest number first, until it says false or
 * they are at an end; returns what it said last. */
bool parts_visit(const char *path, const char *infix,
                 bool (*visit)(void *arg, const char *path), void *arg);

#ifdef __cplusplus
}
#endif

#endif
