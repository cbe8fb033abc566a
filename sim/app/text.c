/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What no shell takes for anything but itself, wherever it stands in a word. */
static bool is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-+./:,=@%";
    return text[0] != '\0' && text[strspn(text, plain)] == '\0';
}

char *text_shell_word(const char *text)
{
    char *word;
    size_t bytes;
    if (is_plain(text))
        return text_make("%s", text);
    FILE *out = open_memstream(&word, &bytes);
    CHECK(out != NULL);
    fputc('\'', out);
    for (; *text != '\0'; text++)
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    fputc('\'', out);
    CHECK(fclose(out) == 0);
    return word;
}

char text_thousands(double *value)
{
    static const char letter[] = "kMGT";
    char used                  = 0;
    for (const char *next = letter; *value >= 999.5 && *next != '\0'; next++) {
        *value /= 1000.0;
        used = *next;
    }
    return used;
}
