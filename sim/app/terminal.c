/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sim/base/check.h"

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "";
}

bool terminal_moves(FILE *stream)
{
    return isatty(fileno(stream)) && strcmp(setting("TERM"), "dumb") != 0
           && setting("TERM")[0] != '\0';
}

bool terminal_colours(FILE *stream)
{
    return terminal_moves(stream) && setting("NO_COLOR")[0] == '\0';
}

unsigned terminal_columns(FILE *stream)
{
    struct winsize size;
    if (!isatty(fileno(stream)) || ioctl(fileno(stream), TIOCGWINSZ, &size) != 0
        || size.ws_col == 0)
        return TERMINAL_COLUMNS;
    return size.ws_col;
}

/* Characters of UTF-8: all bytes but those that go on with one. */
static unsigned width_of(const char *text, size_t bytes)
{
    unsigned width = 0;
    for (size_t i = 0; i < bytes; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

void terminal_wrap(FILE *out, unsigned used, unsigned indent, const char *text)
{
    bool first = true; /* Of its line: nothing is between it and what is there already. */
    if (used < indent)
        used += (unsigned)fprintf(out, "%*s", (int)(indent - used), "");
    while (*(text += strspn(text, " ")) != '\0') {
        const size_t bytes   = strcspn(text, " ");
        const unsigned width = width_of(text, bytes);
        if (!first && used + 1 + width > TERMINAL_COLUMNS) {
            fprintf(out, "\n%*s", (int)indent, "");
            used  = indent;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", (int)bytes, text);
        used += !first + width;
        first = false;
        text += bytes;
    }
    fputc('\n', out);
}

void terminal_wrapf(FILE *out, unsigned used, unsigned indent, const char *format, ...)
{
    char *text;
    size_t bytes;
    va_list args;
    FILE *made = open_memstream(&text, &bytes);
    CHECK(made != NULL);
    va_start(args, format);
    vfprintf(made, format, args);
    va_end(args);
    CHECK(fclose(made) == 0);
    terminal_wrap(out, used, indent, text);
    free(text);
}
