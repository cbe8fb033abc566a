/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sim/app/terminal.h"

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
        p->shown = terminal_moves(stderr);
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

/* A line that went on in the next one could not be wiped: it is cut. */
static void put_line(const struct progress *p, uint64_t done, double rate)
{
    char line[256], total[32] = "", left[48] = "";
    if (p->total != 0)
        snprintf(total, sizeof total, " of %" PRIu64, p->total);
    if (p->total > done && rate > 0.0)
        snprintf(left, sizeof left, ", %.0f s left", (double)(p->total - done) / rate);
    snprintf(line, sizeof line, "[%u/%u] %s: %" PRIu64 "%s %s, %.*f/s%s", p->piece,
             p->pieces, p->what, done, total, p->unit != NULL ? p->unit : "records",
             rate < 10.0, rate, left);
    fflush(stdout); /* Above it, not behind it. */
    fprintf(stderr, "\r\033[K%.*s", (int)terminal_columns(stderr) - 1, line);
    fflush(stderr);
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
    put_line(p, done, rate);
}

void progress_end(struct progress *p)
{
    if (p->dirty)
        fputs("\r\033[K", stderr);
    p->dirty = false;
}
