/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/base/check.h"

char *text_make(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int bytes = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(bytes >= 0);
    char *text = malloc((size_t)bytes + 1);
    CHECK(text != NULL);
    va_start(args, format);
    vsnprintf(text, (size_t)bytes + 1, format, args);
    va_end(args);
    return text;
}
