/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/check.h"

#include <stdlib.h>

enum { WITNESSES_MAX = 8 };

static struct {
    check_witness_fn *speak;
    void *self;
} witness[WITNESSES_MAX];
static unsigned witness_count;

void check_failed(const char *condition, const char *file, int line)
{
    static int nested;

    fprintf(stderr, "iovasim: violation: %s:%d: %s\n", file, line, condition);
    if (!nested++) /* A witness that fails in turn must not bring us back here. */
        for (unsigned i = witness_count; i-- > 0;)
            witness[i].speak(witness[i].self, stderr);
    fflush(stderr);
    abort();
}

void check_witness_add(check_witness_fn *speak, void *self)
{
    CHECK(speak != NULL);
    CHECK(witness_count < WITNESSES_MAX);
    witness[witness_count].speak  = speak;
    witness[witness_count++].self = self;
}

void check_witness_remove(void *self)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < witness_count; i++)
        if (witness[i].self != self)
            witness[kept++] = witness[i];
    CHECK(kept < witness_count);
    witness_count = kept;
}
