/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/base/check.h"

static void forget(struct output *o)
{
    free(o->path);
    free(o->temporary);
    *o = (struct output){ NULL, NULL, NULL };
}

/* A device or a pipe is written to, not replaced. */
static bool replaceable(const char *path)
{
    struct stat s;
    return stat(path, &s) != 0 || S_ISREG(s.st_mode);
}

static bool open_directly(struct output *o, struct error *error)
{
    o->stream = fopen(o->path, "w");
    if (o->stream != NULL)
        return true;
    error_set(error, "%s: cannot write: %s", o->path, strerror(errno));
    forget(o);
    return false;
}

bool output_open(struct output *o, const char *path, struct error *error)
{
    *o      = (struct output){ NULL, NULL, NULL };
    o->path = strdup(path);
    CHECK(o->path != NULL);
    if (strcmp(path, "-") == 0) {
        o->stream = stdout;
        return true;
    }
    if (!replaceable(path))
        return open_directly(o, error);
    const size_t room = strlen(path) + sizeof ".XXXXXX";
    o->temporary      = malloc(room);
    CHECK(o->temporary != NULL);
    snprintf(o->temporary, room, "%s.XXXXXX", path);
    const int fd = mkstemp(o->temporary);
    if (fd < 0) {
        error_set(error, "%s: cannot write: %s", path, strerror(errno));
        forget(o);
        return false;
    }
    const mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask); /* mkstemp makes it the owner's alone. */
    o->stream = fdopen(fd, "w");
    CHECK(o->stream != NULL);
    return true;
}

static bool close_stream(struct output *o)
{
    const bool done = fflush(o->stream) == 0 && !ferror(o->stream);
    return (o->stream == stdout || fclose(o->stream) == 0) && done;
}

bool output_finish(struct output *o, struct error *error)
{
    bool done = close_stream(o);
    if (o->temporary != NULL)
        done = done && rename(o->temporary, o->path) == 0;
    if (!done) {
        error_set(error, "%s: cannot write: %s", o->path, strerror(errno));
        if (o->temporary != NULL)
            unlink(o->temporary);
    }
    forget(o);
    return done;
}

void output_abandon(struct output *o)
{
    close_stream(o);
    if (o->temporary != NULL)
        unlink(o->temporary);
    forget(o);
}

/* Of two paths that are not there yet only the words can be compared. */
static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (strcmp(a, b) == 0)
        return true;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev
           && x.st_ino == y.st_ino;
}

/* What a command reads and what it is to write, as far as it has said so. */
enum { FILES_MAX = 64 };
static struct {
    char *path;
    bool is_output;
} known[FILES_MAX];

/* Its place in what is known, or the first that is free. */
static unsigned place_of(const char *path)
{
    unsigned i = 0;
    while (i < FILES_MAX && known[i].path != NULL && !same_file(known[i].path, path))
        i++;
    return i;
}

static void note(unsigned place, const char *path, bool is_output)
{
    known[place].path      = strdup(path);
    known[place].is_output = is_output;
    CHECK(known[place].path != NULL);
}

/* Two outputs in one would spoil each other. */
static bool claim(const char *path, struct error *error)
{
    const bool terminal = strcmp(path, "-") == 0;
    if (!terminal && !replaceable(path))
        return true; /* /dev/null, a pipe: takes whatever comes. */
    const unsigned place = place_of(path);
    CHECK(place < FILES_MAX);
    if (known[place].path == NULL)
        note(place, path, true);
    else if (known[place].is_output)
        return error_set(error, "%s: two outputs cannot go there",
                         terminal ? "standard output" : path);
    else
        return error_set(error, "%s: it is read, and would be overwritten", path);
    return true;
}

bool output_spares(const char *path, struct error *error)
{
    if (strcmp(path, "-") == 0)
        return true;
    const unsigned place = place_of(path);
    if (place == FILES_MAX)
        return true;
    if (known[place].path == NULL)
        note(place, path, false);
    return !known[place].is_output
           || error_set(error, "%s: it is read, and would be overwritten", path);
}

bool output_try(const char *path, struct error *error)
{
    struct output o;
    if (!claim(path, error) || !output_open(&o, path, error))
        return false;
    output_abandon(&o);
    return true;
}
