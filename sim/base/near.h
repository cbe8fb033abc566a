/* SPDX-License-Identifier: Apache-2.0 */
/*
 * near - of words that are known, the one that somebody who wrote another probably meant.
 */
#ifndef SIM_BASE_NEAR_H
#define SIM_BASE_NEAR_H

#include <stddef.h>

enum { NEAR_BYTES_MAX = 96 }; /* Of a word, with its end; longer ones are not offered. */

struct near {
    const char *wanted;
    size_t least; /* Letters to change, add or leave out up to the nearest so far. */
    char text[NEAR_BYTES_MAX], hint[NEAR_BYTES_MAX + 16];
};

struct near near_begin(const char *wanted);
void near_offer(struct near *n, const char *candidate);

/* " did you mean X?" for the nearest; "" when none is near: a third of the letters differs,
 * and none begins with what was written. */
const char *near_hint(struct near *n);

#endif
