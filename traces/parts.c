/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/parts.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "traces/text.h"

/* Behind the last infix of the file's name, where a number must be; NULL otherwise. */
static const char *number_in(const char *path, const char *infix)
{
    const char *slash = strrchr(path, '/');
    const char *at    = slash != NULL ? slash + 1 : path;
    const char *found = NULL;
    for (; (at = strstr(at, infix)) != NULL; at += strlen(infix))
        found = at + strlen(infix);
    return found != NULL && text_is_digit(*found) ? found : NULL;
}

/* What may follow the number: how the file is compressed. */
static bool tail_is_fine(const char *at)
{
    static const char *const tail[] = { "", ".gz", ".zst", ".xz", ".bz2" };
    while (text_is_digit(*at))
        at++;
    for (unsigned i = 0; i < sizeof tail / sizeof tail[0]; i++)
        if (strcmp(at, tail[i]) == 0)
            return true;
    return false;
}

static bool is_part(const char *path, const char *infix, const char **number)
{
    *number = number_in(path, infix);
    return *number != NULL && tail_is_fine(*number);
}

bool parts_belong(const char *a, const char *b, const char *infix)
{
    const char *in_a, *in_b;
    return is_part(a, infix, &in_a) && is_part(b, infix, &in_b) && in_a - a == in_b - b
           && memcmp(a, b, (size_t)(in_a - a)) == 0;
}

struct found {
    unsigned long number;
    char *path;
};

static int compare(const void *a, const void *b)
{
    const struct found *const x = a, *const y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* All parts in the folder but the one at path. */
static unsigned collect(const char *path, const char *infix, struct found *found)
{
    const char *slash    = strrchr(path, '/');
    const int folder_len = slash != NULL ? (int)(slash - path) + 1 : 0;
    char folder[4096];
    unsigned count = 0;
    snprintf(folder, sizeof folder, "%.*s.", folder_len, path);
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char other[4096];
        const char *number;
        const int bytes =
            snprintf(other, sizeof other, "%.*s%s", folder_len, path, entry->d_name);
        if (count == PARTS_MAX || bytes < 0 || (size_t)bytes >= sizeof other
            || strcmp(other, path) == 0 || !parts_belong(path, other, infix))
            continue;
        is_part(other, infix, &number);
        found[count] = (struct found){ strtoul(number, NULL, 10), strdup(other) };
        CHECK(found[count].path != NULL);
        count++;
    }
    if (directory != NULL)
        closedir(directory);
    return count;
}

bool parts_visit(const char *path, const char *infix,
                 bool (*visit)(void *arg, const char *path), void *arg)
{
    const char *number;
    bool good = true;
    if (!is_part(path, infix, &number))
        return true;
    struct found *found = calloc(PARTS_MAX, sizeof *found);
    CHECK(found != NULL);
    const unsigned count = collect(path, infix, found);
    qsort(found, count, sizeof *found, compare);
    /* Of copies of one part, plain and compressed, one is enough. */
    const unsigned long own = strtoul(number, NULL, 10);
    for (unsigned i = 0; i < count; i++) {
        const bool again = i > 0 && found[i].number == found[i - 1].number;
        good = good && (again || found[i].number == own || visit(arg, found[i].path));
    }
    for (unsigned i = 0; i < count; i++)
        free(found[i].path);
    free(found);
    return good;
}
