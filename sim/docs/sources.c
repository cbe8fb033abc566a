/* SPDX-License-Identifier: Apache-2.0 */
/* sources - parts of source files in the pages: functions as they are built, and lists. */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/docs/docs.h"

enum { LINES_MAX = 4096 };

struct lines {
    char *text, *at[LINES_MAX];
    unsigned count;
};

static void give_up(const char *file, const char *what)
{
    fprintf(stderr, "iovasim_docs: %s: there is no %s\n", file, what);
    exit(1);
}

static struct lines lines_of(const struct docs *docs, const char *file)
{
    char path[4096];
    struct lines l = { .count = 0 };
    snprintf(path, sizeof path, "%s/%s", docs->root, file);
    FILE *in = fopen(path, "r");
    if (in == NULL)
        give_up(file, "such file");
    l.text = docs_read_all(in);
    fclose(in);
    for (char *line = l.text; *line != '\0'; l.count++) {
        char *end = strchr(line, '\n');
        CHECK(l.count < LINES_MAX);
        CHECK(end != NULL);
        *end          = '\0';
        l.at[l.count] = line;
        line          = end + 1;
    }
    return l;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Whether the line begins a declaration or definition of this function. */
static bool declares(const char *line, const char *name)
{
    const size_t n = strlen(name);
    if (!is_name(line[0]))
        return false;
    for (const char *c = line; (c = strstr(c, name)) != NULL; c += n)
        if (c > line && !is_name(c[-1]) && c[n] == '(')
            return true;
    return false;
}

/* The comment right above a line belongs to what the line begins. */
static unsigned with_comment(const struct lines *l, unsigned first)
{
    const char *above = first > 0 ? l->at[first - 1] : "";
    const size_t n    = strlen(above);
    if (n < 2 || strcmp(above + n - 2, "*/") != 0)
        return first;
    do
        first--;
    while (first > 0 && strstr(l->at[first], "/*") == NULL);
    return first;
}

static void put_function(FILE *out, const struct lines *l, const char *file,
                         const char *name)
{
    for (unsigned i = 0; i < l->count; i++) {
        unsigned body = i;
        if (!declares(l->at[i], name))
            continue;
        while (strchr(l->at[body], ';') == NULL && strcmp(l->at[body], "{") != 0)
            body++;
        if (strcmp(l->at[body], "{") != 0)
            continue; /* Only declared here. */
        for (unsigned k = with_comment(l, i); strcmp(l->at[k], "}") != 0; k++)
            fprintf(out, "%s\n", l->at[k]);
        fputs("}\n", out);
        return;
    }
    give_up(file, name);
}

void docs_put_code(FILE *out, const struct docs *docs, const char *file, const char *names)
{
    struct lines l = lines_of(docs, file);
    char *list     = strdup(names), *rest;
    bool first     = true;
    CHECK(list != NULL);
    fputs("```c\n", out);
    for (char *name = strtok_r(list, " ", &rest); name != NULL;
         name       = strtok_r(NULL, " ", &rest)) {
        if (!first)
            fputs("\n", out);
        put_function(out, &l, file, name);
        first = false;
    }
    fputs("```\n", out);
    free(list);
    free(l.text);
}

/* ---- The functions of a header ------------------------------------------------------- */

/* The name that a line declares, or defines as a macro with arguments; "": none. */
static void declared_name(const char *line, char *name, size_t room)
{
    const char *end   = strchr(line, '(');
    const bool macro  = strncmp(line, "#define ", 8) == 0;
    const char *space = macro ? strchr(line + 8, ' ') : NULL;
    name[0]           = '\0';
    if (end == NULL || (space != NULL && space < end)
        || (!macro && (!is_name(line[0]) || strncmp(line, "enum ", 5) == 0)))
        return;
    const char *first = end;
    while (first > line && is_name(first[-1]))
        first--;
    if (first == line || first == end || (size_t)(end - first) >= room)
        return;
    memcpy(name, first, (size_t)(end - first));
    name[end - first] = '\0';
}

/* A heading of the form "---- Title ----" in a comment; NULL: none. */
static const char *title_of(const char *line, char *title, size_t room)
{
    const char *from = strstr(line, "/* ---- ");
    if (from == NULL)
        return NULL;
    snprintf(title, room, "%s", from + 8);
    title[strcspn(title, "-\n")] = '\0';
    for (size_t n = strlen(title); n > 0 && title[n - 1] == ' '; n--)
        title[n - 1] = '\0';
    return title;
}

void docs_put_functions(FILE *out, const struct docs *docs, const char *file)
{
    struct lines l = lines_of(docs, file);
    char title[128], name[128], before[128] = "";
    bool row = false;
    fputs("| | functions and macros |\n| --- | --- |", out);
    for (unsigned i = 0; i < l.count; i++) {
        if (title_of(l.at[i], title, sizeof title) != NULL) {
            fprintf(out, "%s\n| %s |", row ? " |" : "", title);
            row = false;
        }
        declared_name(l.at[i], name, sizeof name);
        if (name[0] == '\0' || islower((unsigned char)name[0]) == 0
            || strcmp(name, before) == 0)
            continue;
        fprintf(out, "%s [`%s`](../%s#L%u)", row ? "," : "", name, file, i + 1);
        row = true;
        snprintf(before, sizeof before, "%s", name);
    }
    fputs(" |\n", out);
    free(l.text);
}
