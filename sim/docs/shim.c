/* SPDX-License-Identifier: Apache-2.0 */
/* shim - what rigs for tests expect, outside of a test: what is not so ends the program. */
#include "sim/test/shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool shim_true(bool got, const char *text, const char *file, int line)
{
    if (got)
        return true;
    fprintf(stderr, "iovasim_docs: %s:%d: expected %s\n", file, line, text);
    exit(1);
}

bool shim_equal(uint64_t got, uint64_t want, const char *text, const char *file, int line)
{
    return shim_true(got == want, text, file, line);
}

bool shim_text_equal(const char *got, const char *want, const char *text, const char *file,
                     int line)
{
    return shim_true(strcmp(got, want) == 0, text, file, line);
}
