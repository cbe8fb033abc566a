/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool progress_init(struct progress *p, const char *mode, struct error *error)
{
    *p = (struct progress){ .shown = false };
    if (mode == NULL || strcmp(mode, "auto") == 0)
        p->shown = isatty(STDERR_FILENO);
    else if (strcmp(mode, "always") == 0)
        p->shown = true;
    else if (strcmp(mode, "never") != 0)
        return error_set(error, "--progress: expected auto, always or never, got '%s'",
                         mode);
    return true;
}

void progress_begin(struct progress *p, const char *what, unsigned piece, unsigned pieces,
                    uint64_t total)
{
    snprintf(p->what, sizeof p->what, "%s", what);
    p->piece  = piece;
    p->pieces = pieces;
    p->total  = total;
    p->began = p->last = seconds();
}

void progress_update(struct progress *p, uint64_t done)
{
    if (!p->shown)
        return;
    const double now = seconds();
    if (now - p->last < 0.2)
        return;
    const double rate = (double)done / (now - p->began);
    p->last           = now;
    p->dirty          = true;
    fprintf(stderr, "\r\033[K[%u/%u] %s: %" PRIu64, p->piece, p->pieces, p->what, done);
    if (p->total != 0)
        fprintf(stderr, " of %" PRIu64, p->total);
    fprintf(stderr, " %s, %.*f/s", p->unit != NULL ? p->unit : "records", rate < 10.0,
            rate);
    if (p->total > done && rate > 0.0)
        fprintf(stderr, ", %.0f s left", (double)(p->total - done) / rate);
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->dirty)
        fputs("\r\033[K", stderr);
    p->dirty = false;
}
