/* SPDX-License-Identifier: Apache-2.0 */
#include "traces/outfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/base/check.h"

static const char suffix[] = ".XXXXXX";

bool outfile_failed(const struct outfile *out, struct error *error)
{
    return error_set(error, "%s: cannot write: %s", out->path, strerror(errno));
}

static void forget(struct outfile *out)
{
    free(out->path);
    free(out->temporary);
    *out = (struct outfile){ NULL, NULL, NULL };
}

/* A rename would replace a device or a pipe by a file, which nobody wants. */
static bool target_check(const char *path, struct error *error)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return error_set(error, "%s: cannot write: not a regular file", path);
    return true;
}

/* Beside the target, so that the rename stays on one file system, and as readable as any
 * new file, which mkstemp's are not. */
static bool temporary_open(struct outfile *out, struct error *error)
{
    const int fd = mkstemp(out->temporary);
    if (fd < 0)
        return error_set(error, "%s: cannot create: %s", out->path, strerror(errno));
    const mode_t mask = umask(0);
    umask(mask);
    out->file = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "wb") : NULL;
    if (out->file != NULL)
        return true;
    outfile_failed(out, error);
    close(fd);
    unlink(out->temporary);
    return false;
}

bool outfile_open(struct outfile *out, const char *path, struct error *error)
{
    *out = (struct outfile){ NULL, NULL, NULL };
    if (strcmp(path, TRACE_STANDARD_OUTPUT) == 0) {
        out->path = strdup("standard output");
        out->file = stdout;
        CHECK(out->path != NULL);
        return true;
    }
    if (!target_check(path, error))
        return false;
    const size_t bytes = strlen(path);
    out->path          = strdup(path);
    out->temporary     = malloc(bytes + sizeof suffix);
    CHECK(out->path != NULL);
    CHECK(out->temporary != NULL);
    memcpy(out->temporary, path, bytes);
    memcpy(out->temporary + bytes, suffix, sizeof suffix);
    if (temporary_open(out, error))
        return true;
    forget(out);
    return false;
}

bool outfile_finish(struct outfile *out, struct error *error)
{
    bool good = fflush(out->file) == 0 && !ferror(out->file);
    if (!good)
        outfile_failed(out, error);
    if (out->temporary != NULL) {
        if (fclose(out->file) != 0 && good)
            good = outfile_failed(out, error);
        if (good && rename(out->temporary, out->path) != 0)
            good = outfile_failed(out, error);
        if (!good)
            unlink(out->temporary);
    }
    forget(out);
    return good;
}

void outfile_abandon(struct outfile *out)
{
    if (out->temporary != NULL) {
        fclose(out->file);
        unlink(out->temporary);
    }
    forget(out);
}
