/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/near.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t smallest(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters have to be changed, added or left out. Words are short. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1];
    const size_t n = strlen(b);
    if (n > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0]          = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t above = row[j];
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

struct near near_begin(const char *wanted)
{
    return (struct near){ .wanted = wanted, .least = SIZE_MAX };
}

void near_offer(struct near *n, const char *candidate)
{
    enum { ENOUGH = 3 }; /* Letters of a beginning. */
    const size_t length = strlen(n->wanted);
    size_t distance     = edit_distance(n->wanted, candidate);
    if (length >= ENOUGH && distance > 1 && strncmp(n->wanted, candidate, length) == 0)
        distance = 1;
    if (distance >= n->least || strlen(candidate) >= NEAR_BYTES_MAX)
        return;
    n->least = distance;
    strcpy(n->text, candidate);
}

const char *near_hint(struct near *n)
{
    n->hint[0] = '\0';
    if (n->least <= strlen(n->wanted) / 3)
        snprintf(n->hint, sizeof n->hint, " did you mean %s?", n->text);
    return n->hint;
}
